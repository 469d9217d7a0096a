//! The host names under which pages are answered on a loopback address.
//!
//! A web site can let its own name resolve to 127.0.0.1, and read the pages in a visitor's browser (DNS
//! rebinding). The browser then sends the site's name as `Host`. So on a loopback address without a token,
//! pages are answered only under names that no site can have, and under names that the operator configures.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State as Extract};
use axum::http::header::HOST;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// The names besides those of the loopback address. Clones share them.
#[derive(Clone)]
pub(crate) struct Hosts(Arc<[String]>);

impl Hosts {
    /// Creates the check for the port, if it needs one. `address` is HOST:PORT from the configuration.
    pub(crate) fn new(
        listens: Option<IpAddr>,
        address: &str,
        names: &[String],
        token: bool,
    ) -> Option<Hosts> {
        let loopback = listens.is_none_or(|listens| listens.is_loopback());
        let configured = [host_of(address).to_owned()];
        let all = configured.iter().chain(names).cloned().collect();
        (loopback && !token).then_some(Hosts(all))
    }

    /// True for a request under an admitted name. A request without a name does not come from a browser.
    pub(crate) fn admits(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        let authority = uri.authority().map(|authority| authority.as_str());
        let headers = headers.get_all(HOST).iter();
        headers
            .map(|host| host.to_str().ok())
            .chain(authority.map(Some))
            .all(|host| host.is_some_and(|host| self.admit(host)))
    }

    fn admit(&self, host: &str) -> bool {
        let name = host_of(host);
        let name = name.strip_suffix('.').unwrap_or(name);
        let address: Result<IpAddr, _> = name
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .unwrap_or(name)
            .parse();
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        address.is_ok_and(|address| address.is_loopback())
            || is("localhost")
            || name.to_ascii_lowercase().ends_with(".localhost")
            || self.0.iter().any(|other| is(other))
    }
}

/// Returns HOST:PORT without the port.
fn host_of(text: &str) -> &str {
    match text.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => text,
    }
}

/// Accepts a request under an admitted name.
pub(super) async fn check(
    Extract(hosts): Extract<Option<Hosts>>,
    request: Request,
    next: Next,
) -> Response {
    let Some(hosts) = hosts else {
        return next.run(request).await;
    };
    if hosts.admits(request.uri(), request.headers()) {
        return next.run(request).await;
    }
    (
        StatusCode::MISDIRECTED_REQUEST,
        "not under this name: use localhost, or put the name into http.hosts\n",
    )
        .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOPBACK: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[test]
    fn only_names_that_no_web_site_can_have_are_admitted() {
        let names = ["ids.example.com".to_owned()];
        let hosts = Hosts::new(Some(LOOPBACK), "myself:8377", &names, false).unwrap();
        for good in [
            "localhost",
            "localhost:8377",
            "LocalHost.:8377",
            "a.localhost",
            "127.0.0.1:8377",
            "127.1.2.3",
            "[::1]:8377",
            "[::1]",
            "myself:1",
            "IDS.example.com",
        ] {
            assert!(hosts.admit(good), "{good}");
        }
        for bad in [
            "",
            "example.com",
            "example.com:8377",
            "localhost.example.com",
            "notlocalhost",
            "127.0.0.1.example.com",
            "10.0.0.1",
            "[fe80::1]:8377",
        ] {
            assert!(!hosts.admit(bad), "{bad}");
        }
    }

    #[test]
    fn nothing_is_checked_where_others_reach_the_port_anyway_or_a_token_is_needed() {
        let any = IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);
        assert!(Hosts::new(Some(any), "0.0.0.0:8377", &[], false).is_none());
        assert!(Hosts::new(Some(LOOPBACK), "127.0.0.1:8377", &[], true).is_none());
        // The names are checked if the address is unknown.
        assert!(Hosts::new(None, "127.0.0.1:8377", &[], false).is_some());
    }
}
