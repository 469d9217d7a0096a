//! Records of the ledger in words for people.

use super::time;
use super::trace::Read;
use crate::core::printable::printable;
use crate::wire::ledger::{Entry, Kind};

/// The IDs of a grant: `7`, or `7 to 9`. None for other records.
pub(crate) fn ids(entry: &Entry) -> Option<String> {
    let (first, last) = entry.ids()?;
    Some(if first == last {
        first.to_string()
    } else {
        format!("{first} to {last}")
    })
}

/// Describes a record in one line, without its sequence.
pub(crate) fn told(entry: &Entry) -> String {
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
            line.push_str(&printable(text));
        }
    }
    line
}

/// Describes how much of a partition was read: the pages without transaction markers, and the share of the
/// partition's offsets, since the number of pages in the rest is unknown.
pub(crate) fn share(read: &Read, partitions: &[i32]) -> String {
    let Read {
        pages_read,
        offsets_read,
        offsets,
    } = *read;
    let pages = if pages_read == 1 { "page" } else { "pages" };
    let numbers: Vec<String> = partitions.iter().map(i32::to_string).collect();
    let place = match numbers.as_slice() {
        [one] => format!("ledger partition {one}"),
        several => format!("ledger partitions {}", several.join(", ")),
    };
    if offsets == 0 {
        return format!("{place} is empty");
    }
    if offsets_read >= offsets {
        return format!("read all of {place}: {pages_read} {pages}");
    }
    // For people, a rounded figure is enough.
    #[allow(clippy::cast_precision_loss)]
    let percent = offsets_read as f64 * 100.0 / offsets as f64;
    format!("read {pages_read} {pages}, {percent:.2}% of {place}")
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
    }

    #[test]
    fn what_a_client_wrote_moves_no_cursor() {
        let text = r#"{"kind":"grant","first":1,"last":1,"count":1,"partition":0,"offset":0,"timestamp":0,"requester":"\u001b[31mred\nsecond line","request_id":"\u001b[1A\u001b[2Kx"}"#;
        let line = told(&serde_json::from_str(text).unwrap());
        assert!(!line.contains(char::is_control), "{line:?}");
        assert!(line.contains("of \\u{1b}[31mred\\nsecond line, request_id \\u{1b}[1A"));
    }

    #[test]
    fn pages_are_told_without_markers_and_the_rest_as_a_share() {
        let told = |pages_read, offsets_read, offsets| {
            let read = Read {
                pages_read,
                offsets_read,
                offsets,
            };
            share(&read, &[3])
        };
        assert_eq!(
            told(4, 5, 1_000),
            "read 4 pages, 0.50% of ledger partition 3"
        );
        assert_eq!(told(3, 6, 6), "read all of ledger partition 3: 3 pages");
        assert_eq!(told(1, 2, 2), "read all of ledger partition 3: 1 page");
        assert_eq!(told(0, 0, 0), "ledger partition 3 is empty");
        let read = Read {
            pages_read: 3,
            offsets_read: 6,
            offsets: 6,
        };
        assert_eq!(
            share(&read, &[1, 5]),
            "read all of ledger partitions 1, 5: 3 pages"
        );
    }
}
