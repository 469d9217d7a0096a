//! Makes text from clients safe to print. The writer of a request chooses its requester, its reason and its
//! `request_id`, and a terminal obeys control characters.

use std::borrow::Cow;
use std::fmt::Write;

/// Escapes every character that moves a cursor, begins a line, changes colours, or turns the direction of the
/// text after it: control characters (C0, DEL, C1), the marks, embeddings, overrides and isolates of
/// bidirectional text, and Unicode's own line and paragraph separators.
///
/// A name may hold some of these characters. So use the result for reading only, never to ask again.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_escaped) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        match character {
            '\n' => safe.push_str("\\n"),
            '\r' => safe.push_str("\\r"),
            '\t' => safe.push_str("\\t"),
            other if is_escaped(other) => {
                // Writing to a `String` cannot fail.
                let _ = write!(safe, "\\u{{{:x}}}", u32::from(other));
            }
            other => safe.push(other),
        }
    }
    Cow::Owned(safe)
}

/// The same for our own text in several lines, which may contain text from a client.
pub fn printable_lines(text: &str) -> Cow<'_, str> {
    if !text.chars().any(|c| c != '\n' && is_escaped(c)) {
        return Cow::Borrowed(text);
    }
    let lines: Vec<Cow<'_, str>> = text.split('\n').map(printable).collect();
    Cow::Owned(lines.join("\n"))
}

/// The same JSON document with these characters escaped in its strings.
pub fn printable_json(json: &str) -> Cow<'_, str> {
    if !json.chars().any(is_unsafe_in_json) {
        return Cow::Borrowed(json);
    }
    let mut safe = String::with_capacity(json.len() + 8);
    for character in json.chars() {
        if is_unsafe_in_json(character) {
            // All of them have at most four digits. Writing to a `String` cannot fail.
            let _ = write!(safe, "\\u{:04x}", u32::from(character));
        } else {
            safe.push(character);
        }
    }
    Cow::Owned(safe)
}

/// Strings of JSON never contain C0 characters. Between the parts of JSON there are line breaks and blanks.
fn is_unsafe_in_json(character: char) -> bool {
    is_escaped(character) && character >= '\u{7f}'
}

fn is_escaped(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2066}'..='\u{2069}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_text() {
        for (text, expected) in [
            ("billing", "billing"),
            ("счёт-№ 7 日本 👩‍🔧", "счёт-№ 7 日本 👩‍🔧"),
            (
                "\u{1b}[2J\u{1b}]0;x\u{7}\nclean: the chain is whole",
                "\\u{1b}[2J\\u{1b}]0;x\\u{7}\\nclean: the chain is whole",
            ),
            ("\u{1b}[31mred\nsecond line", "\\u{1b}[31mred\\nsecond line"),
            ("\u{1b}[1A\u{1b}[2Kx", "\\u{1b}[1A\\u{1b}[2Kx"),
            ("a\r\tb\u{7f}", "a\\r\\tb\\u{7f}"),
            ("\u{80}\u{9b}2J\u{9f}", "\\u{80}\\u{9b}2J\\u{9f}"),
            ("\u{202e}txt\u{2066}", "\\u{202e}txt\\u{2066}"),
            ("a\u{2028}b", "a\\u{2028}b"),
        ] {
            assert_eq!(printable(text), expected);
        }
    }

    #[test]
    fn json_stays_the_same_document() {
        let text = "a\u{7f}\u{9b}\u{202e}b\n\u{1b}ü";
        let json = serde_json::to_string_pretty(&[text]).unwrap();
        let safe = printable_json(&json);
        assert_eq!(safe, "[\n  \"a\\u007f\\u009b\\u202eb\\n\\u001bü\"\n]");
        let read: Vec<String> = serde_json::from_str(&safe).unwrap();
        assert_eq!(read, [text]);
        assert!(matches!(printable_json("[1,\n2]"), Cow::Borrowed(_)));
    }

    #[test]
    fn our_own_lines_stay_lines() {
        assert_eq!(printable_lines("a\nb"), "a\nb");
        assert_eq!(printable_lines("a\u{1b}\nb"), "a\\u{1b}\nb");
    }
}
