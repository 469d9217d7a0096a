//! `gateway.*`: the settings of `sequencer gateway`.

use std::path::PathBuf;
use std::time::Duration;

use config::{Map, Value};
use serde::Deserialize;

use super::error::Error;

/// Connections for probes and for calls that are refused at once, besides those of the calls in progress.
pub(super) const SPARE_CONNECTIONS: usize = 16;

/// The settings of the gateway, `gateway.*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gateway {
    /// `gateway.address` as HOST:PORT.
    pub address: String,
    /// `gateway.callers`: the file of callers. `None` if only callers on this machine are answered.
    pub callers: Option<PathBuf>,
    /// `gateway.tls_certificate`: the file with the certificate, and those of its issuers. `None` without TLS.
    pub tls_certificate: Option<PathBuf>,
    /// `gateway.tls_key`: the file with the private key of the certificate.
    pub tls_key: Option<PathBuf>,
    /// `gateway.tls_by_proxy`: true if a proxy in front of the gateway speaks TLS with the callers.
    pub tls_by_proxy: bool,
    /// `gateway.timeout_ms`: the longest wait of a call for its reply.
    pub timeout: Duration,
    /// `gateway.key_age_max_s`: the greatest age of a key that a gateway drew. Older keys are refused.
    pub key_age_max_s: u64,
    /// `gateway.in_flight_max`: the limit of calls that wait for replies.
    pub in_flight_max: usize,
    /// `gateway.in_flight_per_caller_max`: the limit of such calls for each caller.
    pub in_flight_per_caller_max: usize,
    /// `gateway.connections_max`: the limit of open connections.
    pub connections_max: usize,
    /// `gateway.otlp_endpoint`: the URL that spans are sent to. `None` without spans.
    pub otlp_endpoint: Option<String>,
}

/// The section as the `config` crate deserialises it.
#[derive(Deserialize)]
pub(super) struct Shape {
    address: String,
    callers: String,
    tls_certificate: String,
    tls_key: String,
    tls_by_proxy: bool,
    timeout_ms: u64,
    key_age_max_s: u64,
    in_flight_max: usize,
    in_flight_per_caller_max: usize,
    connections_max: usize,
    otlp_endpoint: String,
}

impl Shape {
    /// Checks that `connections_max` leaves connections for probes, and that a certificate has a key.
    ///
    /// # Errors
    /// The calls in progress may use all connections, so that none is left for a probe. Or one of `tls_certificate` and
    /// `tls_key` is not set.
    pub(super) fn check(&self, values: &Map<String, Value>) -> Result<(), Error> {
        let lacking = match (self.tls_certificate.is_empty(), self.tls_key.is_empty()) {
            (true, false) => Some(("gateway.tls_certificate", "gateway.tls_key")),
            (false, true) => Some(("gateway.tls_key", "gateway.tls_certificate")),
            _ => None,
        };
        if let Some((key, other)) = lacking {
            return Err(Error::Invalid {
                key: key.to_owned(),
                origin: super::resolve::place(values, key),
                value: "\"\"".to_owned(),
                expected: format!("a file, because {other} names one"),
            });
        }
        const KEY: &str = "gateway.connections_max";
        let least = self.in_flight_max + SPARE_CONNECTIONS;
        if self.connections_max >= least {
            return Ok(());
        }
        Err(Error::Invalid {
            key: KEY.to_owned(),
            origin: super::resolve::place(values, KEY),
            value: self.connections_max.to_string(),
            expected: format!(
                "at least {least}: gateway.in_flight_max, and {SPARE_CONNECTIONS} for probes"
            ),
        })
    }
}

/// A file, or none for an empty text.
fn path(text: String) -> Option<PathBuf> {
    (!text.is_empty()).then(|| PathBuf::from(text))
}

impl From<Shape> for Gateway {
    fn from(shape: Shape) -> Gateway {
        Gateway {
            address: shape.address,
            callers: path(shape.callers),
            tls_certificate: path(shape.tls_certificate),
            tls_key: path(shape.tls_key),
            tls_by_proxy: shape.tls_by_proxy,
            timeout: Duration::from_millis(shape.timeout_ms),
            key_age_max_s: shape.key_age_max_s,
            in_flight_max: shape.in_flight_max,
            in_flight_per_caller_max: shape.in_flight_per_caller_max,
            connections_max: shape.connections_max,
            otlp_endpoint: (!shape.otlp_endpoint.is_empty()).then_some(shape.otlp_endpoint),
        }
    }
}

impl Gateway {
    /// Each key with its value, in the order of `config/default.toml`.
    pub(super) fn pairs(&self) -> [(&'static str, String); 11] {
        let file = |path: &Option<PathBuf>| {
            let path = path.as_ref();
            path.map_or_else(String::new, |path| path.display().to_string())
        };
        [
            ("gateway.address", self.address.clone()),
            ("gateway.callers", file(&self.callers)),
            ("gateway.tls_certificate", file(&self.tls_certificate)),
            ("gateway.tls_key", file(&self.tls_key)),
            ("gateway.tls_by_proxy", self.tls_by_proxy.to_string()),
            ("gateway.timeout_ms", self.timeout.as_millis().to_string()),
            ("gateway.key_age_max_s", self.key_age_max_s.to_string()),
            ("gateway.in_flight_max", self.in_flight_max.to_string()),
            (
                "gateway.in_flight_per_caller_max",
                self.in_flight_per_caller_max.to_string(),
            ),
            ("gateway.connections_max", self.connections_max.to_string()),
            (
                "gateway.otlp_endpoint",
                self.otlp_endpoint.clone().unwrap_or_default(),
            ),
        ]
    }
}
