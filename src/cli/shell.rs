//! Command lines that can be copied into a shell.

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

/// The program as the user called it.
pub fn program() -> String {
    let called = std::env::args_os().next();
    called.map_or_else(|| "sequencer".to_owned(), |name| word(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_when_a_shell_would_read_them_otherwise() {
        assert_eq!(
            line([
                "./target/release/sequencer",
                "next",
                "my orders",
                "",
                "it's",
                "a=b",
                "$x"
            ]),
            r"./target/release/sequencer next 'my orders' '' 'it'\''s' a=b '$x'"
        );
    }
}
