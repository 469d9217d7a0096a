//! The table of keys: name, type, limits. It decides which keys and values are valid, and which known key is nearest to
//! an unknown one.

use config::{Value, ValueKind};

use super::checks::{self, Check};
use super::raw::Raw;

/// The prefix of librdkafka's properties, which are not in [`KEYS`].
pub(super) const KAFKA_PREFIX: &str = "kafka.";

/// The property that `--brokers` sets.
pub(super) const BROKERS_PROPERTY: &str = "bootstrap.servers";

/// One key of the configuration.
pub(super) struct Key {
    /// The full name, with sections joined by dots.
    pub name: &'static str,
    /// The type and the limits of the value.
    pub kind: Kind,
}

/// The type and the limits of a value.
pub(super) enum Kind {
    /// An integer between the two limits, both included.
    Integer(i64, i64),
    /// True or false.
    Flag,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Text that the check accepts.
    Text(Check),
    /// A list of texts. The check accepts each of them.
    List(Check),
}

/// Every key outside `kafka.*`, in the order of `config/default.toml`.
pub(super) const KEYS: [Key; 45] = [
    key("group", Kind::Text(checks::GROUP)),
    key("instance_id", Kind::Text(checks::INSTANCE)),
    key("topics.requests", Kind::Text(checks::TOPIC)),
    key("topics.replies", Kind::Text(checks::TOPIC)),
    key("topics.state", Kind::Text(checks::TOPIC)),
    key("topics.ledger", Kind::Text(checks::TOPIC)),
    key("topics.heartbeats", Kind::Text(checks::TOPIC)),
    key("topics.gateway_replies", Kind::Text(checks::TOPIC)),
    key("topics.create", Kind::Choice(&["auto", "always", "never"])),
    key("topics.partitions", Kind::Integer(1, 10_000)),
    key("topics.replication", Kind::Integer(0, 100)),
    key("reply.mode", Kind::Choice(&["immediate", "exactly_once"])),
    key("reply.allow", Kind::List(checks::PATTERN)),
    key("reply.headers.kafka.correlation", HEADER),
    key("reply.headers.kafka.topic", HEADER),
    key("reply.headers.kafka.partition", HEADER),
    key("reply.headers.nest.error", HEADER),
    key("reply.headers.nest.disposed", HEADER),
    key("reply.headers.smallrye.correlation", HEADER),
    key("reply.headers.smallrye.topic", HEADER),
    key("reply.headers.smallrye.partition", HEADER),
    key("reply.headers.faststream.correlation", HEADER),
    key("reply.headers.faststream.topic", HEADER),
    key("checkpoint.interval_ms", Kind::Integer(1, 60_000)),
    key(
        "restore.rewrite_floor_records",
        Kind::Integer(1, 1_000_000_000),
    ),
    key("failover.silence_ms", Kind::Integer(0, 60_000)),
    key("membership.static", Kind::Flag),
    key("http.address", Kind::Text(checks::ADDRESS)),
    key("http.token", Kind::Text(checks::TOKEN)),
    key("http.hosts", Kind::List(checks::HOST)),
    key("gateway.address", Kind::Text(checks::GATEWAY_ADDRESS)),
    key("gateway.callers", Kind::Text(checks::PATH)),
    key("gateway.tls_certificate", Kind::Text(checks::PATH)),
    key("gateway.tls_key", Kind::Text(checks::PATH)),
    key("gateway.tls_by_proxy", Kind::Flag),
    key("gateway.timeout_ms", Kind::Integer(1_000, 600_000)),
    key("gateway.key_age_max_s", Kind::Integer(1, 86_400)),
    key("gateway.in_flight_max", Kind::Integer(1, 50_000)),
    key("gateway.in_flight_per_caller_max", Kind::Integer(1, 50_000)),
    key("gateway.connections_max", Kind::Integer(1, 100_000)),
    key("gateway.otlp_endpoint", Kind::Text(checks::ENDPOINT)),
    key("ready.lag_max_records", Kind::Integer(0, i64::MAX)),
    key("shutdown.deadline_ms", Kind::Integer(100, 600_000)),
    key("log.format", Kind::Choice(&["text", "json"])),
    key("log.level", Kind::Text(checks::LEVEL)),
];

const HEADER: Kind = Kind::Text(checks::HEADER);

const fn key(name: &'static str, kind: Kind) -> Key {
    Key { name, kind }
}

/// Names that users often try, and the key that each of them means.
const ALIASES: [(&str, &str); 4] = [
    ("brokers", "kafka.bootstrap.servers"),
    ("bootstrap.servers", "kafka.bootstrap.servers"),
    ("group.id", "group"),
    ("http.port", "http.address"),
];

/// Finds a key by its full name.
pub(super) fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// The keys that begin with this name and a dot.
pub(super) fn of_section(name: &str) -> impl Iterator<Item = &'static str> {
    KEYS.iter().map(|key| key.name).filter(move |known| {
        known
            .strip_prefix(name)
            .is_some_and(|rest| rest.starts_with('.'))
    })
}

/// True if keys begin with this name and a dot.
pub(super) fn is_section(name: &str) -> bool {
    KAFKA_PREFIX.strip_suffix('.') == Some(name) || of_section(name).next().is_some()
}

/// The known key that was probably meant: an alias, a key that differs by a few letters, or a key with the same last
/// part (`partitions` for `topics.partitions`).
pub(super) fn nearest(name: &str) -> Option<&'static str> {
    if let Some((_, known)) = ALIASES.iter().find(|(alias, _)| *alias == name) {
        return Some(known);
    }
    let same_end = || {
        let last = name.rsplit('.').next();
        KEYS.iter()
            .map(|key| key.name)
            .find(|known| known.rsplit('.').next() == last)
    };
    nearest_of(name, KEYS.iter().map(|key| key.name)).or_else(same_end)
}

/// The known word that differs by only a few letters.
pub(crate) fn nearest_of<'a>(
    name: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    // One mistake in four letters is allowed, so `foo` is near no key.
    let distance_max = (name.chars().count() / 4).max(1);
    known
        .into_iter()
        .map(|known| (strsim::damerau_levenshtein(name, known), known))
        .filter(|(distance, _)| *distance <= distance_max)
        .min()
        .map(|(_, known)| known)
}

impl Kind {
    /// The accepted values, to follow the word "expected".
    pub(super) fn expected(&self) -> String {
        match self {
            Kind::Integer(min, i64::MAX) => format!("a whole number, {min} or more"),
            Kind::Integer(min, max) => format!("a whole number from {min} to {max}"),
            Kind::Flag => "true or false".to_owned(),
            Kind::Choice(words) => words.join(" or "),
            Kind::Text(check) => check.expected.to_owned(),
            Kind::List(check) => format!("a list of {}", check.expected),
        }
    }

    /// The value with its type. None if the type is wrong or a limit is exceeded.
    pub(super) fn accept(&self, raw: &Raw, origin: &str) -> Option<Value> {
        let kind = match (self, raw) {
            (Kind::Integer(min, max), Raw::Integer(integer)) => {
                ValueKind::I64(within(*integer, *min, *max)?)
            }
            (Kind::Integer(min, max), Raw::Untyped(text)) => {
                ValueKind::I64(within(text.trim().parse().ok()?, *min, *max)?)
            }
            (Kind::Flag, Raw::Flag(flag)) => ValueKind::Boolean(*flag),
            (Kind::Flag, Raw::Untyped(text)) => ValueKind::Boolean(text.trim().parse().ok()?),
            (Kind::Choice(words), Raw::Text(text) | Raw::Untyped(text)) => {
                ValueKind::String((*words.iter().find(|word| *word == text)?).to_owned())
            }
            (Kind::Text(check), Raw::Text(text) | Raw::Untyped(text)) => {
                ValueKind::String((check.accepts)(text).then(|| text.clone())?)
            }
            (Kind::List(check), Raw::List(items)) => {
                let texts = items.iter().map(|item| match item {
                    Raw::Text(text) => Some(text.as_str()),
                    _ => None,
                });
                list(*check, texts, origin)?
            }
            (Kind::List(check), Raw::Untyped(text)) if text.trim().is_empty() => {
                list(*check, std::iter::empty(), origin)?
            }
            (Kind::List(check), Raw::Untyped(text)) => list(
                *check,
                text.split(',').map(|item| Some(item.trim())),
                origin,
            )?,
            _ => return None,
        };
        Some(Value::new(Some(&origin.to_owned()), kind))
    }
}

fn within(integer: i64, min: i64, max: i64) -> Option<i64> {
    (min..=max).contains(&integer).then_some(integer)
}

fn list<'a>(
    check: Check,
    items: impl Iterator<Item = Option<&'a str>>,
    origin: &str,
) -> Option<ValueKind> {
    let origin = origin.to_owned();
    let value = |text: &str| Value::new(Some(&origin), ValueKind::String(text.to_owned()));
    items
        .map(|item| item.filter(|text| (check.accepts)(text)).map(value))
        .collect::<Option<Vec<Value>>>()
        .map(ValueKind::Array)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_or_shortened_key_finds_the_one_that_was_meant() {
        for (given, meant) in [
            ("checkpoint.intervall_ms", "checkpoint.interval_ms"),
            ("checkpiont.interval_ms", "checkpoint.interval_ms"),
            ("gruop", "group"),
            ("interval_ms", "checkpoint.interval_ms"),
            ("partitions", "topics.partitions"),
            ("brokers", "kafka.bootstrap.servers"),
            ("http.port", "http.address"),
        ] {
            assert_eq!(nearest(given), Some(meant), "{given}");
        }
        assert_eq!(nearest("colour"), None);
        assert_eq!(nearest("http.tls"), None);
    }
}
