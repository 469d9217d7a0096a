//! `kafka.PROPERTY`: librdkafka's properties as a flat map, with the refused properties and the values that get a
//! warning.

use std::collections::BTreeMap;

use super::checks;
use super::error::Error;
use super::key::{BROKERS_PROPERTY, nearest_of};
use super::origin::Origin;
use super::raw::Raw;
use super::secret::redact;
use crate::kafka::oauth;

/// Properties that the service's promises depend on. Each is refused, with the reason in one line.
const REFUSED: [(&str, &str); 17] = [
    (
        "metadata.broker.list",
        "use kafka.bootstrap.servers or --brokers",
    ),
    ("group.id", "use the key \"group\""),
    (
        "transactional.id",
        "it is made of group and instance_id, so that a restart fences its own past",
    ),
    ("group.instance.id", "use instance_id"),
    (
        "enable.idempotence",
        "a retry without it can write an answer or a checkpoint twice",
    ),
    (
        "isolation.level",
        "requests of aborted transactions take no ID, so it is read_committed",
    ),
    (
        "enable.auto.commit",
        "offsets are committed only with the checkpoint that they belong to",
    ),
    (
        "auto.commit.enable",
        "offsets are committed only with the checkpoint that they belong to",
    ),
    (
        "enable.auto.offset.store",
        "offsets are committed only with the checkpoint that they belong to",
    ),
    (
        "auto.offset.reset",
        "a lost position halts its partition; it is never guessed",
    ),
    (
        "partition.assignment.strategy",
        "it is cooperative-sticky, so that a rebalance stops no other partition",
    ),
    (
        "group.protocol",
        "checkpoints are fenced by the member generation of the classic protocol",
    ),
    (
        "acks",
        "an answer counts only when every in-sync replica has it, so it is all",
    ),
    (
        "request.required.acks",
        "an answer counts only when every in-sync replica has it, so it is all",
    ),
    (
        "enable.partition.eof",
        "checkpoints need it to know the next offset past transaction markers",
    ),
    (
        "enable.gapless.guarantee",
        "failed deliveries are handled one by one, without stopping the rest",
    ),
    (
        "allow.auto.create.topics",
        "a topic that a client names is never created by asking for it",
    ),
];

/// A property that must lie between two values, in milliseconds.
struct Bound {
    property: &'static str,
    min: i64,
    max: i64,
    why: &'static str,
}

/// librdkafka also accepts 0, which turns the statistics off, and intervals up to a day.
const BOUNDS: [Bound; 1] = [Bound {
    property: "statistics.interval.ms",
    min: 100,
    max: 10_000,
    why: "the lag, and with it /readyz, comes from the statistics",
}];

/// The SASL mechanisms that this program supports. librdkafka compares them case-sensitively.
const MECHANISMS: [&str; 4] = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", oauth::MECHANISM];

/// The property of the mechanism, and librdkafka's other name for it.
const MECHANISM: [&str; 2] = ["sasl.mechanism", "sasl.mechanisms"];

/// The text about mechanisms that follows "expected".
const MECHANISM_EXPECTED: &str = "PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER; GSSAPI (Kerberos) and \
                                  AWS_MSK_IAM are not supported";

/// Properties of features that this program does not have, by prefix, with the reason for the refusal.
const UNSUPPORTED: [(&str, &str); 4] = [
    ("sasl.oauthbearer.", CLIENT_CREDENTIALS_ONLY),
    ("enable.sasl.oauthbearer.", CLIENT_CREDENTIALS_ONLY),
    ("https.ca.pem", "https.ca.location takes a file"),
    (
        "sasl.kerberos.",
        "GSSAPI (Kerberos) is not supported; sasl.mechanism can be PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or \
         OAUTHBEARER",
    ),
];

const CLIENT_CREDENTIALS_ONLY: &str = "OAUTHBEARER tokens come by client credentials only: sasl.oauthbearer.token.endpoint.url, \
     sasl.oauthbearer.client.id, sasl.oauthbearer.client.secret, and sasl.oauthbearer.scope and \
     sasl.oauthbearer.extensions if needed";

/// The names of librdkafka's properties, one per line. A test checks that librdkafka knows each of them.
const KNOWN: &str = include_str!("librdkafka.txt");

/// The property that was probably meant.
pub(super) fn nearest(property: &str) -> Option<&'static str> {
    nearest_of(property, KNOWN.lines())
}

/// A maximum of a property. A greater value gets a warning.
struct Advice {
    property: &'static str,
    value_max: i64,
    why: &'static str,
}

const ADVICE: [Advice; 3] = [
    Advice {
        property: "session.timeout.ms",
        value_max: 10_000,
        why: "the partitions of a crashed instance stand still that long",
    },
    Advice {
        property: "heartbeat.interval.ms",
        value_max: 500,
        why: "members hear of a rebalance only that late",
    },
    Advice {
        property: "transaction.timeout.ms",
        value_max: 10_000,
        why: "the open transaction of a crashed instance hides the answers of others that long",
    },
];

/// The prefixes of the properties that another command needs to connect.
const OF_CONNECTION: [&str; 7] = [
    "bootstrap.servers",
    "broker.address",
    "enable.ssl",
    "https.ca",
    "sasl.",
    "security.protocol",
    "ssl.",
];

/// True if a command needs this property to reach the same brokers.
pub(crate) fn is_of_connection(property: &str) -> bool {
    OF_CONNECTION.iter().any(|part| property.starts_with(part))
}

/// Longest timeout in milliseconds that librdkafka accepts for the properties in [`ADVICE`].
const TIMEOUT_MS_MAX: i64 = 3_600_000;

/// The properties set so far, each with its place. Later layers override earlier ones.
#[derive(Clone, Default)]
pub(super) struct Properties {
    values: BTreeMap<String, (String, Origin)>,
}

impl Properties {
    /// Sets one property.
    ///
    /// # Errors
    /// A refused or unsupported property, or an invalid value.
    pub(super) fn set(&mut self, property: &str, raw: &Raw, origin: &Origin) -> Result<(), Error> {
        if let Some((_, reason)) = REFUSED.iter().find(|(refused, _)| *refused == property) {
            return Err(Error::Refused {
                property: property.to_owned(),
                origin: origin.to_string(),
                reason: (*reason).to_owned(),
            });
        }
        let unsupported = UNSUPPORTED
            .iter()
            .find(|(start, _)| property.starts_with(start) && !oauth::is_own(property));
        if let Some((_, reason)) = unsupported {
            return Err(Error::Refused {
                property: property.to_owned(),
                origin: origin.to_string(),
                reason: (*reason).to_owned(),
            });
        }
        let invalid = |expected: &str| Error::Invalid {
            key: format!("kafka.{property}"),
            origin: origin.to_string(),
            value: redact(property, &raw.to_string()).to_owned(),
            expected: expected.to_owned(),
        };
        let value = match raw {
            Raw::Untyped(text) | Raw::Text(text) | Raw::Number(text) => text.clone(),
            Raw::Integer(integer) => integer.to_string(),
            Raw::Flag(flag) => flag.to_string(),
            Raw::List(_) | Raw::Other(_) => return Err(invalid("text, a number, true or false")),
        };
        if property == BROKERS_PROPERTY && !(checks::BROKERS.accepts)(&value) {
            return Err(invalid(checks::BROKERS.expected));
        }
        if ADVICE.iter().any(|advice| advice.property == property) && number(&value).is_none() {
            return Err(invalid(&format!(
                "a whole number from 1 to {TIMEOUT_MS_MAX}"
            )));
        }
        if let Some(bound) = BOUNDS.iter().find(|bound| bound.property == property)
            && !value
                .parse()
                .is_ok_and(|value: i64| (bound.min..=bound.max).contains(&value))
        {
            let Bound { min, max, why, .. } = bound;
            return Err(invalid(&format!(
                "a whole number from {min} to {max}: {why}"
            )));
        }
        if MECHANISM.contains(&property) && !MECHANISMS.contains(&value.as_str()) {
            return Err(invalid(MECHANISM_EXPECTED));
        }
        if let Some(expected) = oauth::mistake(property, &value) {
            return Err(invalid(expected));
        }
        self.values
            .insert(property.to_owned(), (value, origin.clone()));
        Ok(())
    }

    /// Checks all layers together. SASL needs a mechanism, since librdkafka's default is GSSAPI, and a mechanism needs
    /// its properties.
    ///
    /// # Errors
    /// SASL without a mechanism, or OAUTHBEARER without the properties of its provider.
    pub(super) fn check(&self) -> Result<(), Error> {
        const PROTOCOL: &str = "security.protocol";
        let mut mechanism = MECHANISM
            .iter()
            .filter_map(|name| Some((name, self.values.get(*name)?)));
        let mechanism = mechanism.next();
        let has_mechanism = mechanism.is_some();
        if let Some((name, (value, origin))) = mechanism
            && value == oauth::MECHANISM
        {
            let missing = oauth::missing(|property| self.values.contains_key(property));
            if !missing.is_empty() {
                let missing: Vec<String> = missing
                    .iter()
                    .map(|property| format!("kafka.{property}"))
                    .collect();
                return Err(Error::Invalid {
                    key: format!("kafka.{name}"),
                    origin: origin.to_string(),
                    value: format!("{value:?}"),
                    expected: format!("{} beside it", missing.join(", ")),
                });
            }
        }
        match self.values.get(PROTOCOL) {
            Some((value, origin))
                if !has_mechanism && value.to_ascii_lowercase().starts_with("sasl_") =>
            {
                Err(Error::Invalid {
                    key: format!("kafka.{PROTOCOL}"),
                    origin: origin.to_string(),
                    value: format!("{value:?}"),
                    expected: format!("kafka.sasl.mechanism beside it: {MECHANISM_EXPECTED}"),
                })
            }
            _ => Ok(()),
        }
    }

    /// Warnings about allowed values that are probably not intended, one line each.
    pub(super) fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        for Advice {
            property,
            value_max,
            why,
        } in ADVICE
        {
            let Some((value, origin)) = self.values.get(property) else {
                continue;
            };
            if number(value).is_some_and(|value| value > value_max) {
                warnings.push(format!(
                    "kafka.{property} in {origin} is {value}: {why}; {value_max} or less is advised"
                ));
            }
        }
        warnings.extend(self.unverified());
        warnings
    }

    /// Warnings about settings that let others pose as the brokers, one line each. They concern every command that
    /// connects.
    pub(super) fn unverified(&self) -> Vec<String> {
        let off = |value: &str| {
            let value = value.to_ascii_lowercase();
            matches!(value.as_str(), "false" | "f" | "0" | "off" | "none")
        };
        let properties = [
            "enable.ssl.certificate.verification",
            "ssl.endpoint.identification.algorithm",
        ];
        let given = properties.into_iter().filter_map(|property| {
            let (value, origin) = self.values.get(property)?;
            off(value).then(|| {
                format!(
                    "kafka.{property} in {origin} is {value}: anyone on the way can pose as the brokers"
                )
            })
        });
        given.collect()
    }

    /// The brokers, the other properties, and the place of each property.
    pub(super) fn into_parts(
        self,
    ) -> (
        Option<String>,
        BTreeMap<String, String>,
        BTreeMap<String, String>,
    ) {
        let mut brokers = None;
        let mut properties = BTreeMap::new();
        let mut origins = BTreeMap::new();
        for (property, (value, origin)) in self.values {
            origins.insert(property.clone(), origin.to_string());
            if property == BROKERS_PROPERTY {
                brokers = Some(value);
            } else {
                properties.insert(property, value);
            }
        }
        (brokers, properties, origins)
    }
}

fn number(value: &str) -> Option<i64> {
    value
        .parse()
        .ok()
        .filter(|number| (1..=TIMEOUT_MS_MAX).contains(number))
}
