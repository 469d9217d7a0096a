//! Checks of texts: names, patterns, addresses. Each check is beside its words for error messages.

use crate::service::logging;
use crate::wire::headers;

/// Longest topic name that Kafka accepts, in bytes.
const TOPIC_BYTES_MAX: usize = 249;

/// Longest group or instance name, in bytes. The transactional ID contains both. The instance name is also a group
/// instance ID, which Kafka limits like a topic name.
const IDENTITY_BYTES_MAX: usize = 200;

/// Longest header name that can be configured, in bytes. It is the limit of topic names, and above all known clients'
/// names. Each reply and each forward carries some of these headers.
const HEADER_BYTES_MAX: usize = 249;

/// Limits of the HTTP token's length in bytes. 16 random characters are hard to guess, and 200 fit into a header.
const TOKEN_BYTES_MIN: usize = 16;
const TOKEN_BYTES_MAX: usize = 200;

/// Longest host name in bytes, as DNS limits it.
const HOST_BYTES_MAX: usize = 253;

/// The prefix of the service's own headers.
const OWN_HEADERS: &str = "sequencer-";

/// A test of a text, and the words for the accepted texts.
#[derive(Clone, Copy)]
pub(super) struct Check {
    /// The accepted texts, to follow the word "expected".
    pub expected: &'static str,
    /// True for an accepted text.
    pub accepts: fn(&str) -> bool,
}

/// The name of a topic that Sequencer owns.
pub(super) const TOPIC: Check = Check {
    expected: "a topic name: 1 to 249 letters, digits, '.', '_' or '-', not beginning with \"__\"",
    accepts: |text| is_kafka_name(text, TOPIC_BYTES_MAX) && !text.starts_with("__"),
};

/// A pattern over topic names.
pub(super) const PATTERN: Check = Check {
    expected: "topic name patterns of letters, digits, '.', '_', '-' and '*'",
    accepts: |text| {
        (1..=TOPIC_BYTES_MAX).contains(&text.len())
            && text.bytes().all(|byte| byte == b'*' || is_kafka_byte(byte))
    },
};

/// The name of a header in a client convention.
pub(super) const HEADER: Check = Check {
    expected: "a header name: 1 to 249 bytes without control characters, not beginning with \
               \"sequencer-\", and neither traceparent nor tracestate",
    accepts: |text| {
        (1..=HEADER_BYTES_MAX).contains(&text.len())
            && !text.chars().any(char::is_control)
            && !text.starts_with(OWN_HEADERS)
            && text != headers::TRACEPARENT
            && text != headers::TRACESTATE
    },
};

/// The name of a consumer group.
pub(super) const GROUP: Check = Check {
    expected: "1 to 200 bytes without control characters",
    accepts: |text| {
        (1..=IDENTITY_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control)
    },
};

/// The name of an instance. Empty for the host's name.
pub(super) const INSTANCE: Check = Check {
    expected: "1 to 200 letters, digits, '.', '_' or '-', or nothing for the host's name",
    accepts: |text| text.is_empty() || is_kafka_name(text, IDENTITY_BYTES_MAX),
};

/// The address of HTTP. Empty to turn HTTP off.
pub(super) const ADDRESS: Check = Check {
    expected: "HOST:PORT, or nothing to turn it off",
    accepts: |text| text.is_empty() || has_port(text),
};

/// The address of the gateway.
pub(super) const GATEWAY_ADDRESS: Check = Check {
    expected: "HOST:PORT",
    accepts: has_port,
};

/// The URL of a collector of spans. Empty for none. It is shown and logged, so it has no password.
pub(super) const ENDPOINT: Check = Check {
    expected: "http:// or https://, HOST[:PORT] without a user, and a path, or nothing for none",
    accepts: |text| text.is_empty() || is_endpoint(text),
};

/// The path of a file. Empty for no file.
pub(super) const PATH: Check = Check {
    expected: "a path without control characters, or nothing for none",
    accepts: |text| !text.chars().any(char::is_control),
};

/// The bearer token of HTTP. Empty for no token.
pub(super) const TOKEN: Check = Check {
    expected: "16 to 200 letters, digits, '.', '_', '~', '+', '/', '=' or '-', or nothing for none",
    accepts: |text| text.is_empty() || is_token(text),
};

/// A host name under which browsers may request the pages.
pub(super) const HOST: Check = Check {
    expected: "host names of 1 to 253 letters, digits, '.' and '-', without a port",
    accepts: |text| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-".contains(&byte);
        (1..=HOST_BYTES_MAX).contains(&text.len()) && text.bytes().all(allowed)
    },
};

/// The brokers, in librdkafka's format.
pub(super) const BROKERS: Check = Check {
    expected: "HOST:PORT[,HOST:PORT…]",
    accepts: |text| text.split(',').all(|broker| is_broker(broker.trim())),
};

/// Directives of `tracing`.
pub(super) const LEVEL: Check = Check {
    expected: logging::LEVEL_EXPECTED,
    accepts: |text| logging::filter(text).is_some(),
};

/// True for a text that fits into a header and is too long to guess.
fn is_token(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._~+/=-".contains(&byte);
    (TOKEN_BYTES_MIN..=TOKEN_BYTES_MAX).contains(&text.len()) && text.bytes().all(allowed)
}

fn is_kafka_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')
}

fn is_kafka_name(text: &str, bytes_max: usize) -> bool {
    (1..=bytes_max).contains(&text.len())
        && text.bytes().all(is_kafka_byte)
        && text != "."
        && text != ".."
}

/// True for `HOST:PORT` with a port of 16 bits. In `[::1]:8377` the colons of the host are in brackets.
fn has_port(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else {
        return false;
    };
    let bracketed = host.starts_with('[') && host.ends_with(']') && host.len() > 2;
    let plain = !host.is_empty() && !host.contains([':', '[', ']', '/']);
    let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    (bracketed || plain)
        && !host.contains(char::is_whitespace)
        && digits
        && port.parse::<u16>().is_ok()
}

/// True for a URL with a host, and without anything that may be secret.
fn is_endpoint(text: &str) -> bool {
    let Some(("http" | "https", rest)) = text.split_once("://") else {
        return false;
    };
    let authority = rest.split('/').next().unwrap_or(rest);
    let plain = !authority.is_empty() && !authority.contains(':');
    (plain || has_port(authority))
        && rest.bytes().all(|byte| byte.is_ascii_graphic())
        && !rest.contains(['@', '?', '#'])
}

/// True for `[PROTOCOL://]HOST[:PORT]`. librdkafka uses port 9092 when the port is absent.
fn is_broker(text: &str) -> bool {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let host_only = !rest.is_empty()
        && (rest.ends_with(']') || !rest.contains(':'))
        && !rest.contains(char::is_whitespace);
    host_only || has_port(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_need_a_host_and_a_port_of_16_bits() {
        for good in ["127.0.0.1:8377", "[::1]:8377", "localhost:0", ""] {
            assert!((ADDRESS.accepts)(good), "{good}");
        }
        for bad in [
            "8377",
            ":8377",
            "host:",
            "host:65536",
            "host:+1",
            "::1:80",
            "http://host:80",
            "a b:1",
        ] {
            assert!(!(ADDRESS.accepts)(bad), "{bad}");
        }
    }

    #[test]
    fn an_endpoint_is_a_url_without_a_password() {
        for good in [
            "",
            "http://collector:4318/v1/traces",
            "https://otlp.example/v1/traces",
            "http://[::1]:4318/",
        ] {
            assert!((ENDPOINT.accepts)(good), "{good}");
        }
        for bad in [
            "collector:4318",
            "http://",
            "http:///v1/traces",
            "grpc://collector:4317",
            "http://user:password@collector/",
            "http://collector/?key=x",
            "http://collector:x/",
            "http://collector/a b",
        ] {
            assert!(!(ENDPOINT.accepts)(bad), "{bad}");
        }
    }

    #[test]
    fn brokers_are_a_list_with_optional_protocol_and_port() {
        for good in [
            "a:9092",
            "a",
            "a:1, b:2",
            "SASL_SSL://a:9093",
            "[::1]",
            "[::1]:9092",
        ] {
            assert!((BROKERS.accepts)(good), "{good}");
        }
        for bad in ["", "a:9092,", "a:port", "a:99999", "a b"] {
            assert!(!(BROKERS.accepts)(bad), "{bad}");
        }
    }

    #[test]
    fn header_names_are_none_of_the_fixed_ones() {
        for good in ["kafka_correlationId", "Über-ID", "x", &"a".repeat(249)] {
            assert!((HEADER.accepts)(good), "{good}");
        }
        for bad in [
            "",
            "a\nb",
            "traceparent",
            "tracestate",
            headers::REQUEST_ID,
            headers::FORWARDED,
            headers::UNDELIVERED,
            "sequencer-later",
            &"a".repeat(250),
        ] {
            assert!(!(HEADER.accepts)(bad), "{bad}");
        }
    }

    #[test]
    fn topics_follow_kafka_and_are_not_internal() {
        assert!((TOPIC.accepts)("sequencer.requests"));
        for bad in [
            "",
            ".",
            "..",
            "__internal",
            "a b",
            "a/b",
            "é",
            &"a".repeat(250),
        ] {
            assert!(!(TOPIC.accepts)(bad), "{bad}");
        }
        assert!((PATTERN.accepts)("*.reply"));
        assert!(!(PATTERN.accepts)("a?"));
    }
}
