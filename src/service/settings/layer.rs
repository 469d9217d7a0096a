//! One layer of the configuration: checks its assignments against the table of keys, and separates librdkafka's
//! properties from the other keys.

use std::path::Path;

use config::{ConfigError, Map, Source, Value};

use super::environment::variable_of;
use super::error::Error;
use super::file::{self, Assignment};
use super::flags::Flags;
use super::key::{self, KAFKA_PREFIX};
use super::origin::Origin;
use super::properties::Properties;
use super::raw::Raw;
use super::secret::{REDACTED, is_secret};

/// The defaults and their documentation.
const DEFAULT: &str = include_str!("../../../config/default.toml");

/// The keys of one layer outside `kafka.*`, with types and origins, as a source for the `config` crate. The crate holds
/// nested tables, in which no key can be the prefix of another. Keys under `kafka.` can be.
#[derive(Clone, Debug, Default)]
pub(super) struct Layer {
    values: Map<String, Value>,
}

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        Ok(self.values.clone())
    }
}

impl Layer {
    /// Creates a layer of these assignments. Those of `kafka.*` go to `properties`.
    ///
    /// # Errors
    /// An unknown key, an invalid value, or a refused property.
    pub(super) fn new(
        assignments: Vec<Assignment>,
        properties: &mut Properties,
    ) -> Result<Layer, Error> {
        let mut layer = Layer::default();
        for (name, raw, origin) in assignments {
            match name
                .strip_prefix(KAFKA_PREFIX)
                .filter(|property| !property.is_empty())
            {
                Some(property) => properties.set(property, &raw, &origin)?,
                None => layer.set(&name, &raw, &origin)?,
            }
        }
        Ok(layer)
    }

    fn set(&mut self, name: &str, raw: &Raw, origin: &Origin) -> Result<(), Error> {
        let key = key::find(name).ok_or_else(|| unknown(name, origin))?;
        let place = origin.to_string();
        let value = key.kind.accept(raw, &place).ok_or_else(|| Error::Invalid {
            key: name.to_owned(),
            origin: place,
            value: if is_secret(name) {
                REDACTED.to_owned()
            } else {
                raw.to_string()
            },
            expected: key.kind.expected(),
        })?;
        self.values.insert(name.to_owned(), value);
        Ok(())
    }
}

fn unknown(name: &str, origin: &Origin) -> Error {
    let hint = if key::is_section(name) {
        let known: Vec<&str> = key::of_section(name).collect();
        let known = if known.is_empty() {
            format!("{name}.PROPERTY")
        } else {
            known.join(", ")
        };
        format!("; it is a section, of {known}")
    } else {
        // A user who set a variable needs the name of the right variable.
        key::nearest(name).map_or_else(String::new, |known| match origin {
            Origin::Environment(_) => format!("; did you mean {}?", variable_of(known)),
            _ => format!("; did you mean {known:?}?"),
        })
    };
    Error::UnknownKey {
        key: name.to_owned(),
        origin: origin.to_string(),
        hint,
    }
}

/// The assignments of the built-in defaults.
pub(super) fn defaults() -> Result<Vec<Assignment>, Error> {
    file::parse(DEFAULT, |_| Origin::Default).map_err(|(line, message)| Error::Malformed {
        path: "config/default.toml".into(),
        line,
        message,
    })
}

/// The assignments of the file given with `--config`.
pub(super) fn file(path: &Path) -> Result<Vec<Assignment>, Error> {
    let text = file::read(path)?;
    file::parse(&text, |line| Origin::File {
        path: path.to_owned(),
        line,
    })
    .map_err(|(line, message)| Error::Malformed {
        path: path.to_owned(),
        line,
        message,
    })
}

/// The assignments of the flags: first `--set` in its order, then the flags with names of their own, which override it.
pub(super) fn flags(flags: &Flags) -> Result<Vec<Assignment>, Error> {
    let mut assignments = Vec::new();
    for argument in &flags.set {
        let (name, value) = argument.split_once('=').ok_or_else(|| Error::Assignment {
            argument: if is_secret(argument) {
                REDACTED.to_owned()
            } else {
                format!("{argument:?}")
            },
        })?;
        let value = Raw::Untyped(value.to_owned());
        assignments.push((name.trim().to_owned(), value, Origin::Flag("--set")));
    }
    let named = [
        (
            "kafka.bootstrap.servers",
            "--brokers",
            flags.brokers.clone(),
        ),
        ("group", "--group", flags.group.clone()),
        (
            "reply.mode",
            "--reply-mode",
            flags.reply_mode.map(|mode| mode.as_str().to_owned()),
        ),
        ("http.address", "--http", flags.http.clone()),
        ("gateway.address", "--address", flags.gateway.clone()),
        (
            "log.format",
            "--log-format",
            flags.log_format.map(|format| format.as_str().to_owned()),
        ),
    ];
    for (name, flag, value) in named {
        if let Some(value) = value {
            assignments.push((name.to_owned(), Raw::Untyped(value), Origin::Flag(flag)));
        }
    }
    Ok(assignments)
}
