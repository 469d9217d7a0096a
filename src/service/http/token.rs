//! `http.token`: limits who may read the pages besides the probes.
//!
//! A token comes as `Authorization: Bearer TOKEN`, or as the password of any user name, because a browser can
//! ask a user for a password. Hashes are compared instead of texts, and in constant time. So the time of an
//! answer does not show how much of a guess was right.

use std::sync::Arc;

use axum::extract::{Request, State as Extract};
use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// Longest `Authorization` that is checked: the token's limit in base 64, with room for a user name.
const AUTHORIZATION_BYTES_MAX: usize = 1_024;

/// The hash of the token. Clones share it.
#[derive(Clone)]
pub struct Token(Arc<blake3::Hash>);

impl Token {
    /// Creates a token from its text.
    pub fn new(token: &str) -> Token {
        Token(Arc::new(blake3::hash(token.as_bytes())))
    }

    fn admits(&self, headers: &HeaderMap) -> bool {
        let Some(given) = headers.get(AUTHORIZATION).map(|value| value.as_bytes()) else {
            return false;
        };
        if given.len() > AUTHORIZATION_BYTES_MAX {
            return false;
        }
        let Some(space) = given.iter().position(|byte| *byte == b' ') else {
            return false;
        };
        let (scheme, rest) = given.split_at(space);
        let credentials = rest.trim_ascii();
        if scheme.eq_ignore_ascii_case(b"bearer") {
            return self.is(credentials);
        }
        if !scheme.eq_ignore_ascii_case(b"basic") {
            return false;
        }
        let pair = base64(credentials).unwrap_or_default();
        match pair.iter().position(|byte| *byte == b':') {
            Some(colon) => self.is(pair.get(colon + 1..).unwrap_or_default()),
            None => false,
        }
    }

    /// `blake3::Hash` compares in constant time.
    fn is(&self, given: &[u8]) -> bool {
        blake3::hash(given) == *self.0
    }
}

/// Accepts a request when no token is configured or the request has the right one.
pub(super) async fn check(
    Extract(token): Extract<Option<Token>>,
    request: Request,
    next: Next,
) -> Response {
    match token {
        Some(token) if !token.admits(request.headers()) => (
            StatusCode::UNAUTHORIZED,
            [(
                WWW_AUTHENTICATE,
                "Basic realm=\"sequencer\", charset=\"UTF-8\"",
            )],
            "a token is needed: Authorization: Bearer TOKEN, or as the password of any user\n",
        )
            .into_response(),
        _ => next.run(request).await,
    }
}

/// Decodes base 64. None for invalid text.
fn base64(text: &[u8]) -> Option<Vec<u8>> {
    let (mut bits, mut width, mut bytes) = (0_u32, 0, Vec::with_capacity(text.len()));
    for byte in text.iter().take_while(|byte| **byte != b'=') {
        let six = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = ((bits << 6) | u32::from(six)) & 0xffff;
        width += 6;
        if width >= 8 {
            width -= 8;
            bytes.push((bits >> width).to_le_bytes()[0]);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn only_the_whole_token_is_admitted() {
        let token = Token::new("0123456789abcdef");
        let admits = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
            token.admits(&headers)
        };
        assert!(admits("Bearer 0123456789abcdef"));
        assert!(admits("bearer  0123456789abcdef "));
        // anybody:0123456789abcdef
        assert!(admits("Basic YW55Ym9keTowMTIzNDU2Nzg5YWJjZGVm"));
        for wrong in [
            "Bearer 0123456789abcde",
            "Bearer 0123456789abcdef0",
            "Bearer ",
            "0123456789abcdef",
            "Basic 0123456789abcdef",
            "Basic YW55Ym9keQ==",
            "Basic *",
            "Digest 0123456789abcdef",
        ] {
            assert!(!admits(wrong), "{wrong}");
        }
        assert!(!token.admits(&HeaderMap::new()));
    }
}
