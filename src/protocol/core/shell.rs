//! Quotes the words of a command line, so that a person can copy it into a shell.

use std::ffi::OsStr;

/// Characters that have no meaning in any shell.
const PLAIN: &str = "+,-./:=@_%";

/// Quotes a word for a shell.
pub fn word(text: &OsStr) -> String {
    let text = text.to_string_lossy();
    let plain = |c: char| c.is_alphanumeric() || PLAIN.contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.into_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Joins words to a command line.
pub fn line<S: AsRef<OsStr>>(words: impl IntoIterator<Item = S>) -> String {
    let words: Vec<String> = words.into_iter().map(|text| word(text.as_ref())).collect();
    words.join(" ")
}
