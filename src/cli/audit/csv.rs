//! Writes ledger records as lines of a CSV file.

use std::io::{self, Write};

use crate::audit::time;
use crate::wire::ledger::Entry;

/// Writes the names of the columns.
pub fn head(out: &mut impl Write) -> io::Result<()> {
    writeln!(
        out,
        "ledger_offset,record,turn,kind,first,last,count,next,partition,offset,time,requester,request_id,reason"
    )
}

/// Writes one record.
pub fn line(out: &mut impl Write, offset: i64, entry: &Entry) -> io::Result<()> {
    fn number<N: ToString>(value: Option<N>) -> String {
        value.map_or_else(String::new, |value| value.to_string())
    }
    let text = |value: &Option<String>| value.as_deref().map_or_else(String::new, cell);
    let cells = [
        offset.to_string(),
        entry.record.to_string(),
        entry.turn.to_string(),
        entry.kind.as_str().to_owned(),
        number(entry.first),
        number(entry.last),
        number(entry.count),
        number(entry.next),
        entry.partition.to_string(),
        entry.offset.to_string(),
        time::of_millis(entry.timestamp),
        text(&entry.requester),
        text(&entry.request_id),
        text(&entry.reason),
    ];
    writeln!(out, "{}", cells.join(","))
}

/// A spreadsheet takes a text that begins with one of these for a formula, also after characters that it
/// ignores.
const FORMULA_STARTS: [char; 11] = ['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];

/// Writes a client's text. It is quoted if necessary, or if a spreadsheet would take it for a formula.
fn cell(text: &str) -> String {
    let formula = text.starts_with(FORMULA_STARTS);
    if !formula && !text.contains([',', '"', '\n', '\r']) {
        return text.to_owned();
    }
    let guard = if formula { "'" } else { "" };
    format!("\"{guard}{}\"", text.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_a_cell_for_each_column_whatever_a_client_wrote() {
        let text = r#"{"kind":"grant","first":41,"last":50,"count":10,"partition":3,"offset":1234,"timestamp":1700000000000,"requester":"a \"b\", c","request_id":"=1+1"}"#;
        let entry = Entry {
            record: 12,
            ..serde_json::from_str(text).unwrap()
        };
        let (mut heads, mut lines) = (Vec::new(), Vec::new());
        head(&mut heads).unwrap();
        line(&mut lines, 77, &entry).unwrap();
        assert_eq!(
            String::from_utf8(lines).unwrap(),
            "77,12,0,grant,41,50,10,,3,1234,2023-11-14T22:13:20.000Z,\"a \"\"b\"\", c\",\"'=1+1\",\n"
        );
        for text in ["=1", "+1", "-1", "@a", "\t=1", "\r=1", "\n=1", "＝1"] {
            assert_eq!(cell(text), format!("\"'{text}\""));
        }
        assert_eq!(String::from_utf8(heads).unwrap().split(',').count(), 14);
    }
}
