//! `http.token`: limits who may read the pages, except the probes.
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
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::{Engine, alphabet};

/// Base64 as browsers and `curl` write it, or without the padding, which some clients leave out.
const BASIC: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
/// Longest `Authorization` that is checked: the token's limit in Base64, with room for a user name.
const AUTHORIZATION_BYTES_MAX: usize = 1_024;

/// The hash of the token. Clones share it.
#[derive(Clone)]
pub(crate) struct Token(Arc<blake3::Hash>);

impl Token {
    /// Creates a token from its text.
    pub(crate) fn new(token: &str) -> Token {
        Token(Arc::new(blake3::hash(token.as_bytes())))
    }

    fn admits(&self, headers: &HeaderMap) -> bool {
        let Some(given) = headers.get(AUTHORIZATION).map(|value| value.as_bytes()) else {
            return false;
        };
        let Some((scheme, credentials)) = authorization(given) else {
            return false;
        };
        if scheme.eq_ignore_ascii_case(b"bearer") {
            return self.is(credentials);
        }
        if !scheme.eq_ignore_ascii_case(b"basic") {
            return false;
        }
        let pair = BASIC.decode(credentials).unwrap_or_default();
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

/// The scheme of an `Authorization`, and the credentials that follow it. None for a value that is too long or has only
/// one word.
pub(crate) fn authorization(value: &[u8]) -> Option<(&[u8], &[u8])> {
    if value.len() > AUTHORIZATION_BYTES_MAX {
        return None;
    }
    let space = value.iter().position(|byte| *byte == b' ')?;
    let (scheme, rest) = value.split_at(space);
    Some((scheme, rest.trim_ascii()))
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
        // The credentials are `anybody:0123456789abcdef`.
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
