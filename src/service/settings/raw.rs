//! A value in a layer, before its key determines the type.

use std::fmt;

/// Values in a file have a type. Values from the environment and from flags are text of any type.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Raw {
    /// Text from the environment or a flag.
    Untyped(String),
    /// A TOML string.
    Text(String),
    /// A TOML integer.
    Integer(i64),
    /// A TOML boolean.
    Flag(bool),
    /// A TOML array.
    List(Vec<Raw>),
    /// A TOML value that only `kafka.*` accepts, as its text: a float, or an integer beyond 64 bits.
    Number(String),
    /// A TOML value that no key accepts, by the name of its type: a date or a nested table.
    Other(&'static str),
}

impl fmt::Display for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Raw::Untyped(text) | Raw::Text(text) => write!(f, "{text:?}"),
            Raw::Integer(integer) => write!(f, "{integer}"),
            Raw::Flag(flag) => write!(f, "{flag}"),
            Raw::Number(text) => f.write_str(text),
            Raw::Other(kind) => write!(f, "a {kind}"),
            Raw::List(items) => {
                f.write_str("[")?;
                for (index, item) in items.iter().enumerate() {
                    let comma = if index == 0 { "" } else { ", " };
                    write!(f, "{comma}{item}")?;
                }
                f.write_str("]")
            }
        }
    }
}
