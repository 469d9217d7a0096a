//! `sequencer define NAME`, `describe`, `set-next`, `retire`: sends one request, and shows the sequence after
//! it.

use std::io::{self, Write};

use serde_json::Value;

use super::Error;
use super::args::{AskArgs, DefineArgs, DescribeArgs, RetireArgs, SetNextArgs};
use super::ask::{CHANGES, Client, Effect, READS, check_name};
use super::operation::{self, FIELDS, Record};
use super::reply::Reply;
use crate::core::printable::printable;

/// Defines or redefines a sequence.
pub(super) fn define(args: &DefineArgs, out: &mut impl Write) -> Result<(), Error> {
    let name = args.name.as_deref().unwrap_or_default();
    let record = Record::of(&args.record)?;
    let value = record.value("define", operation::fields(&args.fields));
    ask(&args.ask, name, value, CHANGES, out)
}

/// Shows a sequence.
pub(super) fn describe(args: &DescribeArgs, out: &mut impl Write) -> Result<(), Error> {
    ask(&args.ask, &args.name, operation::describe(), READS, out)
}

/// Moves a sequence.
pub(super) fn set_next(args: &SetNextArgs, out: &mut impl Write) -> Result<(), Error> {
    let record = Record::of(&args.record)?;
    let mut fields = vec![("next", Value::from(args.next))];
    if args.force {
        fields.push(("force", Value::from(true)));
    }
    let value = record.value("set_next", fields);
    ask(&args.ask, &args.name, value, CHANGES, out)
}

/// Ends a sequence.
pub(super) fn retire(args: &RetireArgs, out: &mut impl Write) -> Result<(), Error> {
    let value = Record::of(&args.record)?.value("retire", []);
    ask(&args.ask, &args.name, value, CHANGES, out)
}

fn ask(
    args: &AskArgs,
    name: &str,
    value: Vec<u8>,
    effect: Effect,
    out: &mut impl Write,
) -> Result<(), Error> {
    check_name(name)?;
    let mut client = Client::open(args, [name])?;
    let body = client.ask(name, value, effect)?;
    let reply = Reply::take(&body, args.output.json(), out)?;
    if !args.output.json() {
        show(name, &reply, out)?;
    }
    Ok(())
}

/// Shows a sequence by its description: name, rules, next ID, last change.
fn show(name: &str, reply: &Reply, out: &mut impl Write) -> io::Result<()> {
    let mut row =
        |field: &str, value: &str| writeln!(out, "{:<9}  {}", printable(field), printable(value));
    row("sequence", name)?;
    if let Some(definition) = &reply.definition {
        let known = FIELDS.into_iter();
        let unknown = definition.keys().map(String::as_str);
        // A newer service may return fields that this program does not know.
        let unknown = unknown.filter(|field| !FIELDS.contains(field));
        for field in known.chain(unknown) {
            if let Some(value) = definition.get(field) {
                row(field, &plain(value))?;
            }
        }
    }
    if let Some(undefined) = &reply.undefined {
        return row("undefined", undefined);
    }
    match reply.next {
        _ if reply.retired => row("retired", "yes: it gives no IDs until it is defined again")?,
        Some(next) => row("next", &next.to_string())?,
        None => row("next", "none: it is exhausted")?,
    }
    match &reply.changed {
        Some(changed) => row("changed", &changed.words()),
        None => Ok(()),
    }
}

/// A value without the quotes of JSON, for people.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => printable(text).into_owned(),
        other => printable(&other.to_string()).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(body: &str) -> String {
        let mut out = Vec::new();
        let reply = Reply::read(body.as_bytes()).unwrap();
        show("orders", &reply, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_sequence_is_shown_field_by_field_and_its_end_in_words() {
        let body = |rest: &str| {
            format!(
                r#"{{"sequence":"orders","definition":{{"start":1,"format":"x","min":1,"at_end":"error"}}{rest},"partition":0,"offset":9}}"#
            )
        };
        assert_eq!(
            shown(&body(r#","next":42"#)),
            "sequence   orders\nstart      1\nmin        1\nat_end     error\nformat     x\n\
             next       42\n"
        );
        assert!(shown(&body("")).ends_with("next       none: it is exhausted\n"));
        assert!(shown(&body(r#","next":42,"retired":true"#)).contains("retired    yes"));
        let changed = r#","next":42,"changed":{"op":"set_next","at":"2026-03-01T08:15:30.123Z","reason":"a\u001b[31m","offset":7}"#;
        let last =
            "changed    set_next at 2026-03-01T08:15:30.123Z by the request at offset 7, reason a";
        let text = shown(&body(changed));
        let line = text.lines().last().unwrap();
        assert!(line.starts_with(last) && !line.contains('\u{1b}'), "{line}");
    }
}
