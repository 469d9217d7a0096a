//! One question to the provider, and its answer.

use std::time::Duration;
use std::{fmt, fs};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::Deserialize;
use ureq::Agent;
use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};

use super::provider::Provider;
use crate::core::printable::printable;
use crate::kafka::error::Class;

/// The longest time for a question. Providers answer in milliseconds; a start waits meanwhile.
const DEADLINE: Duration = Duration::from_secs(10);
/// The longest answer that is read. A token has a few KiB.
const ANSWER_BYTES_MAX: u64 = 256 * 1024;
/// The longest text of a provider that is repeated in an error.
const REASON_CHARS_MAX: usize = 200;

/// A token, and its life.
#[cfg_attr(test, derive(Debug))]
pub(super) struct Token {
    /// The token itself.
    pub(super) value: String,
    /// The name of this program in the token: its subject, or else the client's ID.
    pub(super) principal: String,
    /// How long it can be used.
    pub(super) life: Duration,
}

/// Why there is no token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// Denied, when only the operator can help; otherwise the next attempt may bring one.
    pub(super) class: Class,
    /// In words, with the endpoint.
    pub(super) reason: String,
}

/// The answer of a token endpoint (RFC 6749, sections 5.1 and 5.2).
#[derive(Deserialize)]
struct Answer {
    access_token: Option<String>,
    expires_in: Option<u64>,
    error: Option<String>,
    error_description: Option<String>,
}

/// The part of a token that is read, if it is a JWT.
#[derive(Deserialize)]
struct Claims {
    sub: Option<String>,
    exp: Option<f64>,
}

/// Asks for a token.
pub(super) fn fetch(provider: &Provider) -> Result<Token, Failure> {
    let failed = |class: Class, reason: &dyn fmt::Display| Failure {
        class,
        reason: format!("{}: {}", provider.endpoint, printable(&reason.to_string())),
    };
    let agent = agent(provider).map_err(|reason| Failure {
        class: Class::Denied,
        reason,
    })?;
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("grant_type", "client_credentials");
    if let Some(scope) = &provider.scope {
        form.append_pair("scope", scope);
    }
    let mut response = agent
        .post(&provider.endpoint)
        .header("Authorization", authorization(provider))
        .header("Accept", "application/json")
        .content_type("application/x-www-form-urlencoded")
        .send(form.finish())
        .map_err(|error| failed(Class::Retriable, &error))?;
    let status = response.status();
    let body = response
        .body_mut()
        .with_config()
        .limit(ANSWER_BYTES_MAX)
        .read_to_vec()
        .map_err(|error| failed(Class::Retriable, &error))?;
    let answer: Option<Answer> = serde_json::from_slice(&body).ok();
    if status != 200 {
        let class = match status.is_client_error() && status != 429 {
            true => Class::Denied,
            false => Class::Retriable,
        };
        return Err(failed(class, &refusal(status.as_u16(), answer)));
    }
    let no_answer = || failed(Class::Denied, &"the answer is not that of a token endpoint");
    let answer = answer.ok_or_else(no_answer)?;
    token(answer, &provider.client_id, now()).map_err(|reason| failed(Class::Denied, &reason))
}

fn agent(provider: &Provider) -> Result<Agent, String> {
    let roots = match &provider.authorities {
        None => RootCerts::PlatformVerifier,
        Some(path) => {
            let failed = |reason: String| format!("https.ca.location {path:?}: {reason}");
            let pem = fs::read(path).map_err(|error| failed(error.to_string()))?;
            let certificates: Vec<Certificate<'static>> = ureq::tls::parse_pem(&pem)
                .filter_map(|item| match item {
                    Ok(ureq::tls::PemItem::Certificate(certificate)) => Some(certificate),
                    _ => None,
                })
                .collect();
            if certificates.is_empty() {
                return Err(failed("no certificate in it".to_owned()));
            }
            RootCerts::new_with_certs(&certificates)
        }
    };
    let tls = TlsConfig::builder()
        .provider(TlsProvider::NativeTls)
        .root_certs(roots);
    let config = Agent::config_builder()
        .timeout_global(Some(DEADLINE))
        .http_status_as_error(false)
        // The credentials are for this endpoint only.
        .max_redirects(0)
        .tls_config(tls.build());
    Ok(Agent::new_with_config(config.build()))
}

/// HTTP Basic, with both parts encoded first (RFC 6749, section 2.3.1).
fn authorization(provider: &Provider) -> String {
    let encoded =
        |text: &str| -> String { form_urlencoded::byte_serialize(text.as_bytes()).collect() };
    let pair = format!(
        "{}:{}",
        encoded(&provider.client_id),
        encoded(&provider.client_secret)
    );
    format!("Basic {}", STANDARD.encode(pair))
}

fn refusal(status: u16, answer: Option<Answer>) -> String {
    let parts = answer.map(|answer| [answer.error, answer.error_description]);
    let parts: Vec<String> = parts.into_iter().flatten().flatten().collect();
    let reason: String = parts.join(": ").chars().take(REASON_CHARS_MAX).collect();
    match reason.as_str() {
        "" => format!("status {status}"),
        reason => format!("status {status}, {reason}"),
    }
}

/// `now`: seconds since 1970. The life that the provider states is believed before the time in the token, because
/// it needs no clock that agrees with the provider's.
fn token(answer: Answer, client_id: &str, now: f64) -> Result<Token, String> {
    let value = answer.access_token.filter(|value| !value.is_empty());
    let value = value.ok_or("the answer has no access_token")?;
    let claims = claims(&value);
    let stated = answer.expires_in.map(|seconds| seconds as f64);
    let until = claims.as_ref().and_then(|claims| claims.exp);
    let life = stated.or(until.map(|until| until - now));
    let life = life.ok_or("the answer has no expires_in, and the token no exp")?;
    let life = Duration::try_from_secs_f64(life).unwrap_or_default();
    if life.is_zero() {
        return Err("the token is expired already: check the clocks".to_owned());
    }
    let principal = claims.and_then(|claims| claims.sub);
    Ok(Token {
        value,
        principal: principal.unwrap_or_else(|| client_id.to_owned()),
        life,
    })
}

/// None for a token that is no JWT, which a provider may give out as well.
fn claims(token: &str) -> Option<Claims> {
    let payload = token.split('.').nth(1)?;
    let payload = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
    serde_json::from_slice(&payload).ok()
}

fn now() -> f64 {
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed();
    since.unwrap_or_default().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(text: &str) -> Answer {
        serde_json::from_str(text).unwrap()
    }

    fn jwt(claims: &str) -> String {
        format!("e30.{}.signature", URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn the_life_is_the_stated_one_or_else_that_in_the_token() {
        let with = |expires_in: &str, token: &str| {
            let text = format!(r#"{{"access_token":"{token}"{expires_in},"token_type":"Bearer"}}"#);
            token_of(&text)
        };
        let ends = jwt(r#"{"sub":"orders","exp":1060}"#);
        let told = with(r#","expires_in":300"#, &ends).unwrap();
        assert_eq!(
            (told.life.as_secs(), told.principal.as_str()),
            (300, "orders")
        );
        assert_eq!(with("", &ends).unwrap().life.as_secs(), 60);
        let opaque = with(r#","expires_in":300"#, "opaque").unwrap();
        assert_eq!(opaque.principal, "me");
        assert!(with("", "opaque").unwrap_err().contains("expires_in"));
        assert!(
            with("", &jwt(r#"{"exp":999}"#))
                .unwrap_err()
                .contains("clocks")
        );
        assert!(
            token_of(r#"{"expires_in":1}"#)
                .unwrap_err()
                .contains("access_token")
        );
    }

    fn token_of(text: &str) -> Result<Token, String> {
        token(answer(text), "me", 1_000.0)
    }

    #[test]
    fn a_refusal_names_what_the_provider_says_and_no_more_than_that() {
        let said = r#"{"error":"invalid_client","error_description":"who are you"}"#;
        let told = refusal(401, Some(answer(said)));
        assert_eq!(told, "status 401, invalid_client: who are you");
        assert_eq!(refusal(503, None), "status 503");
        let long = format!(r#"{{"error":"{}"}}"#, "x".repeat(10_000));
        assert!(refusal(400, Some(answer(&long))).len() < 300);
    }

    #[test]
    fn the_parts_of_the_credentials_are_encoded_before_they_are_joined() {
        let provider = Provider {
            endpoint: String::new(),
            client_id: "a:b".to_owned(),
            client_secret: "c d".to_owned(),
            scope: None,
            extensions: Vec::new(),
            authorities: None,
        };
        let expected = format!("Basic {}", STANDARD.encode("a%3Ab:c+d"));
        assert_eq!(authorization(&provider), expected);
    }
}
