//! Parses a file of definitions from TOML, or returns the line with the mistake.
//!
//! ```toml
//! [sequences.invoices]     # a table for each sequence; a field that is left out stays as it is
//! start = 1000
//! at_end = "error"
//!
//! [sequences."orders.eu"]  # a name with dots or blanks is quoted
//!
//! [policy]                 # the rule for names that nobody defined
//! undefined = "refuse"
//! ```

use std::path::Path;

use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::cli::Error;
use crate::cli::args::{AT_END, UNDEFINED};
use crate::cli::operation::{FIELDS, Field};
use crate::core::Name;
use crate::core::limits::{BOUND_MAX, BOUND_MIN, COUNT_MAX, REMEMBER_MAX};
use crate::service::settings::file::{line_of, tables, text_of};
use crate::service::settings::nearest_of;

/// Largest file in bytes (16 MiB): about a hundred thousand sequences. A larger file is probably a wrong path.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The file's sections.
const SECTIONS: [&str; 2] = ["sequences", "policy"];

/// The content of a file.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Definitions {
    /// The sequences, in the order of the file.
    pub sequences: Vec<Wanted>,
    /// The rule for undefined names.
    pub undefined: Option<String>,
}

/// The definition of one sequence in the file.
#[derive(Debug, PartialEq)]
pub(super) struct Wanted {
    /// The name of the sequence.
    pub name: String,
    /// The fields that the file gives.
    pub fields: Vec<Field>,
}

/// The type that the value of a field must have.
enum Kind {
    Integer(i64, i64),
    Word(&'static [&'static str]),
    Flag,
}

/// The position of a mistake, in bytes, and its description.
type Mistake = (usize, String);

/// Reads a file.
pub(super) fn read(path: &Path) -> Result<Definitions, Error> {
    let shown = path.display();
    let text = text_of(path, FILE_BYTES_MAX)
        .map_err(|reason| Error::Usage(format!("cannot read {shown}: {reason}")))?;
    parse(&text).map_err(|(line, message)| Error::Usage(format!("{shown}:{line}: {message}")))
}

fn parse(text: &str) -> Result<Definitions, (usize, String)> {
    let table = tables(text)?;
    definitions(table.get_ref()).map_err(|(at, message)| (line_of(text, at), message))
}

fn definitions(table: &DeTable<'_>) -> Result<Definitions, Mistake> {
    let mut all = Definitions::default();
    for (key, value) in table {
        match key.get_ref().as_ref() {
            "sequences" => all.sequences = sequences(table_of("sequences", value)?)?,
            "policy" => all.undefined = policy(table_of("policy", value)?)?,
            other => return Err(unknown(key, "section", other, "", &SECTIONS)),
        }
    }
    Ok(all)
}

fn table_of<'a, 'b>(
    what: &str,
    value: &'b Spanned<DeValue<'a>>,
) -> Result<&'b DeTable<'a>, Mistake> {
    match value.get_ref() {
        DeValue::Table(table) => Ok(table),
        other => Err((
            value.span().start,
            format!("{what} must be a table, got {}", kind(other)),
        )),
    }
}

fn sequences(table: &DeTable<'_>) -> Result<Vec<Wanted>, Mistake> {
    let mut placed = Vec::with_capacity(table.len());
    for (key, value) in table {
        let (at, name) = (key.span().start, key.get_ref().as_ref());
        match Name::from_key(Some(name.as_bytes())) {
            Err(rejection) => return Err((at, rejection.message)),
            Ok(name) if name.is_policy() => {
                let message = format!(
                    "the name {name:?} is reserved; use [policy]",
                    name = name.as_str()
                );
                return Err((at, message));
            }
            Ok(_) => {}
        }
        let fields = fields(name, table_of(&format!("sequence {name:?}"), value)?)?;
        let name = name.to_owned();
        placed.push((at, Wanted { name, fields }));
    }
    placed.sort_unstable_by_key(|(at, _)| *at);
    Ok(placed.into_iter().map(|(_, wanted)| wanted).collect())
}

fn fields(name: &str, table: &DeTable<'_>) -> Result<Vec<Field>, Mistake> {
    let place = format!(" of sequence {name:?}");
    for (key, value) in table {
        let field = key.get_ref().as_ref();
        if FIELDS.contains(&field) {
            continue;
        }
        if matches!(value.get_ref(), DeValue::Table(_)) {
            let whole = format!("{name}.{field}");
            let message = format!(
                "{field:?} is no field{place}; a name with dots is quoted: [sequences.{whole:?}]"
            );
            return Err((key.span().start, message));
        }
        return Err(unknown(key, "field", field, &place, &FIELDS));
    }
    let mut fields = Vec::new();
    for field in FIELDS {
        if let Some(value) = table.get(field) {
            fields.push((field, accepted(field, &place, &kind_of(field), value)?));
        }
    }
    Ok(fields)
}

fn kind_of(field: &str) -> Kind {
    match field {
        "at_end" => Kind::Word(&AT_END),
        "max_count" => Kind::Integer(1, COUNT_MAX.cast_signed()),
        "audit" => Kind::Flag,
        "remember" => Kind::Integer(0, REMEMBER_MAX.into()),
        _ => Kind::Integer(BOUND_MIN, BOUND_MAX),
    }
}

fn policy(table: &DeTable<'_>) -> Result<Option<String>, Mistake> {
    const FIELD: &str = "undefined";
    let mut undefined = None;
    for (key, value) in table {
        match key.get_ref().as_ref() {
            FIELD => {
                let word = accepted(FIELD, " of the policy", &Kind::Word(&UNDEFINED), value)?;
                undefined = word.as_str().map(str::to_owned);
            }
            other => return Err(unknown(key, "field", other, " of the policy", &[FIELD])),
        }
    }
    Ok(undefined)
}

/// Converts the value to the form in a request.
fn accepted(
    field: &str,
    place: &str,
    kind: &Kind,
    value: &Spanned<DeValue<'_>>,
) -> Result<Value, Mistake> {
    let accepted = match (kind, value.get_ref()) {
        (Kind::Integer(min, max), DeValue::Integer(integer)) => {
            i64::from_str_radix(integer.as_str(), integer.radix())
                .ok()
                .filter(|integer| (min..=max).contains(&integer))
                .map(Value::from)
        }
        (Kind::Word(words), DeValue::String(text)) => words
            .contains(&text.as_ref())
            .then(|| Value::from(text.as_ref())),
        (Kind::Flag, DeValue::Boolean(flag)) => Some(Value::from(*flag)),
        _ => None,
    };
    accepted.ok_or_else(|| {
        let expected = match kind {
            Kind::Integer(min, max) => format!("a whole number from {min} to {max}"),
            Kind::Word(words) => format!("{:?}", words.join("\" or \"")).replace("\\\"", "\""),
            Kind::Flag => "true or false".to_owned(),
        };
        let got = shown(value.get_ref());
        (
            value.span().start,
            format!("{field}{place} must be {expected}, got {got}"),
        )
    })
}

fn unknown(
    key: &Spanned<impl Sized>,
    what: &str,
    name: &str,
    place: &str,
    known: &[&'static str],
) -> Mistake {
    let hint = match nearest_of(name, known.iter().copied()) {
        Some(near) => format!("did you mean {near:?}?"),
        None => format!("known: {}", known.join(", ")),
    };
    (
        key.span().start,
        format!("unknown {what} {name:?}{place}; {hint}"),
    )
}

fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("{text:?}"),
        DeValue::Integer(integer) => integer.to_string(),
        DeValue::Float(float) => float.to_string(),
        DeValue::Boolean(flag) => flag.to_string(),
        other => kind(other).to_owned(),
    }
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistake(text: &str) -> String {
        let (line, message) = parse(text).unwrap_err();
        format!("{line}: {message}")
    }

    #[test]
    fn sequences_come_in_the_order_of_the_file_with_the_fields_that_are_given() {
        let text = "\
[sequences.zebra]
max_count = 1_00
start = -5

[sequences.\"a.b c\"]
at_end = \"cycle\"
audit = false
max = 9223372036854775807
min = 0x10

[sequences.plain]

[policy]
undefined = \"refuse\"
";
        let definitions = parse(text).unwrap();
        let wanted = |name: &str, fields: &[Field]| Wanted {
            name: name.to_owned(),
            fields: fields.to_vec(),
        };
        assert_eq!(
            definitions.sequences,
            [
                wanted(
                    "zebra",
                    &[("start", (-5).into()), ("max_count", 100.into())]
                ),
                wanted(
                    "a.b c",
                    &[
                        ("min", 16.into()),
                        ("max", i64::MAX.into()),
                        ("at_end", "cycle".into()),
                        ("audit", false.into()),
                    ]
                ),
                wanted("plain", &[]),
            ]
        );
        assert_eq!(definitions.undefined.as_deref(), Some("refuse"));
        assert_eq!(parse("").unwrap(), Definitions::default());
        assert_eq!(parse("[policy]").unwrap().undefined, None);
    }

    #[test]
    fn what_is_not_known_is_named_with_its_line_and_the_nearest_that_is() {
        for (text, expected) in [
            (
                "[sequences.a]\nmin = 1\nmax_cuont = 5\n",
                "3: unknown field \"max_cuont\" of sequence \"a\"; did you mean \"max_count\"?",
            ),
            (
                "[sequences.a]\ncolour = 5\n",
                "2: unknown field \"colour\" of sequence \"a\"; known: start, increment, min, max, \
                 at_end, max_count, audit, remember",
            ),
            (
                "\n[sequence.a]\n",
                "2: unknown section \"sequence\"; did you mean \"sequences\"?",
            ),
            (
                "[policy]\nundefinde = \"create\"\n",
                "2: unknown field \"undefinde\" of the policy; did you mean \"undefined\"?",
            ),
            (
                "[sequences.orders.eu]\nmin = 1\n",
                "1: \"eu\" is no field of sequence \"orders\"; a name with dots is quoted: \
                 [sequences.\"orders.eu\"]",
            ),
        ] {
            assert_eq!(mistake(text), expected);
        }
    }

    #[test]
    fn what_cannot_be_right_is_named_with_its_line_and_its_limits() {
        for (text, expected) in [
            (
                "[sequences.a]\nmax_count = 0\n",
                "2: max_count of sequence \"a\" must be a whole number from 1 to 9007199254740991, got 0",
            ),
            (
                "[sequences.a]\nmax = 9223372036854775808\n",
                "2: max of sequence \"a\" must be a whole number from -9223372036854775807 to \
                 9223372036854775807, got 9223372036854775808",
            ),
            (
                "[sequences.a]\nstart = 1.5\n",
                "2: start of sequence \"a\" must be a whole number from -9223372036854775807 to \
                 9223372036854775807, got 1.5",
            ),
            (
                "[sequences.a]\nat_end = \"stop\"\n",
                "2: at_end of sequence \"a\" must be \"error\" or \"cycle\", got \"stop\"",
            ),
            (
                "[sequences.a]\naudit = 1\n",
                "2: audit of sequence \"a\" must be true or false, got 1",
            ),
            (
                "[policy]\nundefined = true\n",
                "2: undefined of the policy must be \"create\" or \"refuse\", got true",
            ),
            (
                "[sequences]\na = 5\n",
                "2: sequence \"a\" must be a table, got a number",
            ),
            (
                "[sequences.\"\"]\n",
                "1: the name must be 1 to 255 bytes, got 0",
            ),
            (
                "[sequences.__policy]\n",
                "1: the name \"__policy\" is reserved; use [policy]",
            ),
        ] {
            assert_eq!(mistake(text), expected);
        }
        assert!(mistake("[sequences.a]\n[sequences.a]\n").starts_with("2: "));
        assert!(mistake("[sequences.a]\nmin = \n").starts_with("2: "));
    }
}
