//! Command lines that can be copied into a shell.

use std::ffi::{OsStr, OsString};

use super::args::CommonArgs;

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

/// The flags by which a command finds the same service. Other settings make no difference to it,
/// and may be secrets.
pub fn service_flags(brokers: Option<&str>, common: &CommonArgs) -> String {
    let mut words: Vec<OsString> = Vec::new();
    if let Some(brokers) = brokers {
        words.extend(["--brokers".into(), brokers.into()]);
    }
    if let Some(config) = &common.config {
        words.extend(["--config".into(), config.into()]);
    }
    if let Some(group) = &common.group {
        words.extend(["--group".into(), group.into()]);
    }
    let named = |set: &&String| set.starts_with("topics.") || set.starts_with("group=");
    for set in common.set.iter().filter(named) {
        words.extend(["--set".into(), set.into()]);
    }
    line(words)
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
