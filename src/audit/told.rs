//! Records of the ledger in the words of people.

use super::time;
use crate::wire::ledger::{Entry, Kind};

/// The IDs of a grant: `7`, or `7 to 9`. None for anything else.
pub fn ids(entry: &Entry) -> Option<String> {
    let (first, last) = entry.ids()?;
    Some(if first == last {
        first.to_string()
    } else {
        format!("{first} to {last}")
    })
}

/// A record in a line, without its sequence.
pub fn told(entry: &Entry) -> String {
    let next = |next: Option<i64>| next.map_or("no ID".to_owned(), |next| next.to_string());
    let what = match entry.kind {
        Kind::Grant => ids(entry).map_or("granted".to_owned(), |ids| format!("{ids} granted")),
        Kind::Define => format!("defined, next {}", next(entry.next)),
        Kind::SetNext => format!("moved by set_next, next {}", next(entry.next)),
        Kind::Retire => "retired".to_owned(),
    };
    let mut line = format!(
        "{what} at {} by request {}:{}",
        time::of_millis(entry.timestamp),
        entry.partition,
        entry.offset
    );
    let texts = [
        (" of ", &entry.requester),
        (", request_id ", &entry.request_id),
        (", reason ", &entry.reason),
    ];
    for (before, text) in texts {
        if let Some(text) = text {
            line.push_str(before);
            line.push_str(text);
        }
    }
    line
}

/// How much of a partition was read.
pub fn share(read: u64, offsets: i64, partition: i32) -> String {
    let offsets = u64::try_from(offsets).unwrap_or(0);
    if read > offsets {
        // A search of a small ledger comes by a page twice.
        return format!(
            "read all {offsets} pages of ledger partition {partition}, some of them twice"
        );
    }
    let percent = if offsets == 0 {
        0.0
    } else {
        // For people; a rounded figure will do.
        #[allow(clippy::cast_precision_loss)]
        let percent = read as f64 * 100.0 / offsets as f64;
        percent
    };
    format!("read {read} of {offsets} pages of ledger partition {partition} ({percent:.2}%)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_told_in_a_line() {
        let text = r#"{"kind":"grant","first":41,"last":50,"count":10,"partition":3,"offset":1234,"timestamp":1700000000000,"requester":"billing","request_id":"6f1c"}"#;
        assert_eq!(
            told(&serde_json::from_str(text).unwrap()),
            "41 to 50 granted at 2023-11-14T22:13:20.000Z by request 3:1234 of billing, request_id 6f1c"
        );
        assert_eq!(
            share(5, 1_000, 3),
            "read 5 of 1000 pages of ledger partition 3 (0.50%)"
        );
        assert_eq!(
            share(6, 4, 3),
            "read all 4 pages of ledger partition 3, some of them twice"
        );
    }
}
