//! Answers only callers on this machine, if there is no file of callers. A web site in a browser on this machine is not
//! a caller: it can send requests to a loopback address, and let its own name resolve to one.

use axum::http::HeaderMap;
use axum::http::Uri;
use axum::http::header::{FORWARDED, ORIGIN};
use tokio::net::TcpListener;

use super::call::problem::{Own, Problem};
use crate::service::http::Hosts;

/// The prefix of the headers that a proxy adds.
const PROXY: &str = "x-forwarded-";

/// The check of a request. Clones share it.
#[derive(Clone)]
pub(super) struct Local(Option<Hosts>);

impl Local {
    /// Creates a check for this listener. `address` is HOST:PORT from the configuration.
    pub(super) fn new(listener: &TcpListener, address: &str) -> Local {
        let listens = listener.local_addr().ok().map(|address| address.ip());
        Local(Hosts::new(listens, address, &[], false))
    }

    /// Accepts a request that appears to come from a program on this machine.
    pub(super) fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
        let refused = |detail: String| Err(Problem::own(Own::NotLocal, detail));
        if let Some(hosts) = &self.0
            && !hosts.admits(uri, headers)
        {
            return refused("the Host must be 127.0.0.1 or localhost".to_owned());
        }
        let foreign = headers.keys().find(|name| {
            **name == ORIGIN || **name == FORWARDED || name.as_str().starts_with(PROXY)
        });
        match foreign {
            Some(name) => refused(format!(
                "a request with the header {name} comes from a browser or through a proxy"
            )),
            None => Ok(()),
        }
    }
}
