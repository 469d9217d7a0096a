//! Decides whose calls are answered: the callers in a file, or, without a file, callers on this machine.

use std::sync::Arc;

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, Uri};

use super::call::Call;
use super::call::problem::{Own, Problem};
use super::callers::{Caller, Callers, scope_of};
use super::local::Local;
use crate::service::http::authorization;

/// The check of a request, chosen at the start. Clones share it.
#[derive(Clone)]
pub(super) enum Access {
    Local(Local),
    Callers(Callers),
}

impl Access {
    /// The caller of a request. None where callers have no names.
    pub(super) fn check(
        &self,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<Option<Arc<Caller>>, Problem> {
        match self {
            Access::Local(local) => local.check(uri, headers).map(|()| None),
            Access::Callers(callers) => {
                let caller = bearer(headers).and_then(|token| callers.find(token));
                caller.map(Some).ok_or_else(|| {
                    let detail = "the call needs the header Authorization: Bearer TOKEN, with a token of this gateway";
                    Problem::own(Own::Unauthorized, detail)
                })
            }
        }
    }
}

/// Checks that a call is within the scopes of its caller.
pub(super) fn permits(caller: Option<&Caller>, call: &Call) -> Result<(), Problem> {
    match caller {
        Some(caller) if !caller.permits(call.op, &call.name) => {
            let detail = format!(
                "the caller {} has no scope {} for this sequence",
                caller.name,
                scope_of(call.op)
            );
            Err(Problem::own(Own::OutOfScope, detail).about(&call.name))
        }
        _ => Ok(()),
    }
}

/// The token in a header. None if there are two such headers.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next()?.as_bytes();
    if values.next().is_some() {
        return None;
    }
    let (scheme, token) = authorization(value)?;
    scheme.eq_ignore_ascii_case(b"bearer").then_some(token)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn a_token_comes_in_one_header_of_its_scheme() {
        let read = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
            }
            bearer(&headers).map(<[u8]>::to_vec)
        };
        assert_eq!(read(&["Bearer abc"]), Some(b"abc".to_vec()));
        assert_eq!(read(&["bearer  abc "]), Some(b"abc".to_vec()));
        let long = format!("Bearer {}", "x".repeat(1_024));
        for none in [
            &[][..],
            &["abc"],
            &["Basic abc"],
            &["Bearer a", "Bearer a"],
            &[&long],
        ] {
            assert_eq!(read(none), None, "{none:?}");
        }
    }
}
