//! Words of a command line that can be copied into a shell.

use std::ffi::OsStr;

/// Characters that no shell gives a meaning.
const PLAIN: &str = "+,-./:=@_%";

/// A word as a shell takes it.
pub fn word(text: &OsStr) -> String {
    let text = text.to_string_lossy();
    let plain = |c: char| c.is_alphanumeric() || PLAIN.contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.into_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// A command line of these words.
pub fn line<S: AsRef<OsStr>>(words: impl IntoIterator<Item = S>) -> String {
    let words: Vec<String> = words.into_iter().map(|text| word(text.as_ref())).collect();
    words.join(" ")
}
