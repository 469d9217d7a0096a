//! The example in each row of the first table of `docs/errors.md` produces the row's code.

use serde_json::Value;

use crate::support::records::{Mode, Reply, Request};
use crate::support::service::Service;

const ERRORS: &str = include_str!("../../docs/errors.md");

/// The only code that a test cannot produce with a broker. A unit test of the fold produces it.
const WITHOUT_EXAMPLE: [&str; 1] = ["too_many_sequences"];

/// One record, in kcat's form.
struct Line {
    key: String,
    value: String,
    headers: Vec<(String, String)>,
}

/// A row: its code, and its records. The last record gets the code.
struct Row {
    code: String,
    lines: Vec<Line>,
}

/// The texts between backticks.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// Expands `x×300` to 300 letters x.
fn expanded(text: &str) -> String {
    let Some((before, after)) = text.split_once('×') else {
        return text.to_owned();
    };
    let end = after.find(|c: char| !c.is_ascii_digit());
    let (times, rest) = after.split_at(end.unwrap_or(after.len()));
    let (letter, before) = (&before[before.len() - 1..], &before[..before.len() - 1]);
    format!("{before}{}{rest}", letter.repeat(times.parse().unwrap()))
}

fn line(text: &str) -> Line {
    let mut headers = Vec::new();
    let mut rest = text;
    while let Some((header, after)) = rest.strip_prefix("-H ").and_then(|r| r.split_once(' ')) {
        let (name, value) = header.split_once('=').unwrap();
        headers.push((name.to_owned(), value.to_owned()));
        rest = after;
    }
    let text = expanded(rest);
    let (key, value) = text.split_once(':').unwrap_or((&text, ""));
    Line {
        key: key.to_owned(),
        value: value.to_owned(),
        headers,
    }
}

fn rows() -> Vec<Row> {
    let (_, section) = ERRORS.split_once("\n## Error codes\n").unwrap();
    let section = section.split("\n## ").next().unwrap();
    let cells = section
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.split(" | ").collect::<Vec<_>>());
    cells
        .map(|cells| Row {
            code: quoted(cells[0]).next().unwrap().to_owned(),
            lines: match cells[2] {
                cell if cell.starts_with('`') => quoted(cell).map(line).collect(),
                _ => Vec::new(),
            },
        })
        .collect()
}

#[test]
fn each_example_gets_the_error_of_its_row() {
    let rows = rows();
    for mode in [Mode::Immediate, Mode::ExactlyOnce] {
        let service = Service::new("errors", mode);
        let instance = service.start("a");
        let mut writer = service.writer();
        for line in rows.iter().flat_map(|row| &row.lines) {
            let headers = line.headers.iter();
            let headers: Vec<(&str, &[u8])> = headers
                .map(|(name, value)| (name.as_str(), value.as_bytes()))
                .collect();
            let (key, value) = (line.key.as_bytes(), line.value.as_bytes());
            writer.send_with(None, Some(key), Some(value), &headers);
        }
        let sent = writer.finish();
        service.tail().wait_answered(sent as usize);
        let (log, replies) = (service.request_log(), service.all_replies());
        for row in &rows {
            let Some(last) = row.lines.last() else {
                assert!(WITHOUT_EXAMPLE.contains(&row.code.as_str()), "{}", row.code);
                continue;
            };
            let body = answer(&log, &replies, last);
            assert_eq!(body["error"]["code"], row.code.as_str(), "{body}");
        }
        assert_eq!(instance.sigterm_and_wait(), 0);
    }
}

/// The reply to the last record of this key and value.
fn answer(log: &[Request], replies: &[Reply], line: &Line) -> Value {
    let is_it = |request: &&Request| {
        request.key.as_deref() == Some(line.key.as_bytes())
            && request.value.as_deref() == Some(line.value.as_bytes())
    };
    let request = log.iter().rfind(is_it).unwrap();
    let end = format!(
        "\"partition\":{},\"offset\":{}}}",
        request.partition, request.offset
    );
    let reply = replies
        .iter()
        .find(|reply| reply.body.ends_with(end.as_bytes()));
    serde_json::from_slice(&reply.unwrap().body).unwrap()
}

#[test]
fn examples_are_read_as_a_person_reads_them() {
    let read = line("-H a=b x×3:{\"c\":1}");
    assert_eq!(
        (read.key.as_str(), read.value.as_str()),
        ("xxx", "{\"c\":1}")
    );
    assert_eq!(read.headers, [("a".to_owned(), "b".to_owned())]);
    assert_eq!(expanded("k:{\"r\":\"x×2\"}"), "k:{\"r\":\"xx\"}");
    let rows = rows();
    assert!(rows.len() >= 14);
    let examples = rows.iter().filter(|row| !row.lines.is_empty());
    assert_eq!(examples.count(), rows.len() - WITHOUT_EXAMPLE.len());
}
