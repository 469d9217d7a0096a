//! Reads environment variables `SEQUENCER__SECTION__KEY` as assignments.

use std::ffi::OsString;

use super::error::Error;
use super::file::Assignment;
use super::key::KAFKA_PREFIX;
use super::origin::Origin;
use super::raw::Raw;

/// The prefix of configuration variables. It has two underscores, because variables such as `SEQUENCER_CACHE` with one
/// underscore are not configuration.
const PREFIX: &str = "SEQUENCER__";

/// The assignments of all variables with the prefix, sorted by name. So an error does not depend on the order of the
/// environment.
///
/// # Errors
/// A variable with the prefix whose value is not UTF-8.
pub(super) fn assignments(
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Vec<Assignment>, Error> {
    let mut ours = Vec::new();
    for (name, value) in environment {
        let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else {
            continue;
        };
        let origin = Origin::Environment(name.to_owned());
        let value = value.into_string().map_err(|_| Error::Invalid {
            key: key_of(name),
            origin: origin.to_string(),
            value: "bytes that are not UTF-8".to_owned(),
            expected: "UTF-8 text".to_owned(),
        })?;
        ours.push((key_of(name), Raw::Untyped(value), origin));
    }
    ours.sort_by_key(|(_, _, origin)| origin.to_string());
    Ok(ours)
}

/// The key that a variable sets: `checkpoint.interval_ms` for `SEQUENCER__CHECKPOINT__INTERVAL_MS`. Under `KAFKA` every
/// underscore stands for a dot, since librdkafka's names have no underscores and variables no dots.
fn key_of(variable: &str) -> String {
    let key = variable
        .strip_prefix(PREFIX)
        .unwrap_or(variable)
        .replace("__", ".")
        .to_lowercase();
    match key.strip_prefix(KAFKA_PREFIX) {
        Some(property) => format!("{KAFKA_PREFIX}{}", property.replace('_', ".")),
        None => key,
    }
}

/// The variable that sets this key.
pub(super) fn variable_of(key: &str) -> String {
    let name = match key.strip_prefix(KAFKA_PREFIX) {
        Some(property) => format!(
            "{}{}",
            KAFKA_PREFIX.replace('.', "__"),
            property.replace('.', "_")
        ),
        None => key.replace('.', "__"),
    };
    format!("{PREFIX}{}", name.to_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_and_keys_translate_both_ways() {
        for (variable, key) in [
            ("SEQUENCER__GROUP", "group"),
            (
                "SEQUENCER__CHECKPOINT__INTERVAL_MS",
                "checkpoint.interval_ms",
            ),
            (
                "SEQUENCER__KAFKA__SESSION_TIMEOUT_MS",
                "kafka.session.timeout.ms",
            ),
        ] {
            assert_eq!(key_of(variable), key);
            assert_eq!(variable_of(key), variable);
        }
    }
}
