//! Command lines that can be copied into a shell.

use std::ffi::OsString;

pub use crate::service::settings::shell::{line, word};

use super::args::CommonArgs;

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
