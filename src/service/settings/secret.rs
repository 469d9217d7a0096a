//! Recognises values that may be secrets. These are never printed: not in logs, not in errors, not in `Debug`.

/// The placeholder for a secret.
pub(crate) const REDACTED: &str = "[redacted]";

/// Parts of the names of properties whose values may be secrets. The list is broader than librdkafka's present
/// properties (`sasl.password`, `ssl.key.pem` …), so that it covers later ones, too. Redacting a harmless value does no
/// damage.
const SECRET_PARTS: [&str; 9] = [
    "password",
    "passphrase",
    "passwd",
    "secret",
    "token",
    "credential",
    "private",
    "pem",
    "oauthbearer.config",
];

/// Names that contain such a part, but whose values are public.
const NO_SECRETS: [&str; 1] = ["sasl.oauthbearer.token.endpoint.url"];

/// True if the value of this key, or this text itself, may contain a secret.
pub(crate) fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase().replace('_', ".");
    let may_be = SECRET_PARTS.iter().any(|part| key.contains(part));
    may_be && !NO_SECRETS.iter().any(|name| key.ends_with(name))
}

/// The value, or [`REDACTED`] if the key may hold a secret.
pub(crate) fn redact<'a>(key: &str, value: &'a str) -> &'a str {
    if is_secret(key) { REDACTED } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_of_librdkafka_are_recognised_and_plain_settings_are_not() {
        for key in [
            "sasl.password",
            "ssl.key.password",
            "ssl.key.pem",
            "ssl.keystore.password",
            "sasl.oauthbearer.client.secret",
            "sasl.oauthbearer.config",
            "sasl.oauthbearer.assertion.private.key.passphrase",
            "SEQUENCER__KAFKA__SASL_PASSWORD",
        ] {
            assert!(is_secret(key), "{key}");
            assert_eq!(redact(key, "hunter2"), REDACTED);
        }
        for key in [
            "sasl.username",
            "ssl.key.location",
            "ssl.ca.location",
            "session.timeout.ms",
            "sasl.oauthbearer.token.endpoint.url",
            "SEQUENCER__KAFKA__SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL",
        ] {
            assert!(!is_secret(key), "{key}");
        }
    }
}
