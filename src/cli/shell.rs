//! Builds command lines that can be copied into a shell.

use std::ffi::OsString;

pub(super) use crate::core::shell::{line, word};
use crate::service::settings::{is_of_connection, is_secret};

use super::args::CommonArgs;

/// The program as the user called it.
pub(super) fn program() -> String {
    let called = std::env::args_os().next();
    called.map_or_else(|| "sequencer".to_owned(), |name| word(&name))
}

/// The flags by which a command finds the same service. Other settings do not matter for this. Secrets are left
/// out, see [`secrets`].
pub(super) fn service_flags(brokers: Option<&str>, common: &CommonArgs) -> String {
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
    let named = |set: &&String| match set.trim_start().strip_prefix("kafka.") {
        Some(property) => is_of_connection(property) && !is_secret(set),
        None => set.starts_with("topics.") || set.starts_with("group="),
    };
    for set in common.set.iter().filter(named) {
        words.extend(["--set".into(), set.into()]);
    }
    line(words)
}

/// The keys of the secrets among the flags. A printed command never repeats them.
pub(super) fn secrets(common: &CommonArgs) -> Vec<&str> {
    let key = |set: &'_ String| set.split_once('=').map_or(set.len(), |(key, _)| key.len());
    let secrets = common.set.iter().filter(|set| is_secret(set));
    secrets.map(|set| set[..key(set)].trim()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_named_and_never_printed() {
        let common = CommonArgs {
            config: Some("my config.toml".into()),
            set: [
                "kafka.sasl.password=hunter2",
                "kafka.security.protocol=sasl_ssl",
                "kafka.sasl.username=it's me",
                "kafka.linger.ms=5",
                "kafka.ssl.key.pem=hunter2",
                "topics.requests=r",
                "log.level=debug",
            ]
            .map(str::to_owned)
            .to_vec(),
            group: Some("my group".to_owned()),
            log_format: None,
        };
        assert_eq!(
            service_flags(Some("a:1"), &common),
            r"--brokers a:1 --config 'my config.toml' --group 'my group' --set kafka.security.protocol=sasl_ssl --set 'kafka.sasl.username=it'\''s me' --set topics.requests=r"
        );
        let keys = ["kafka.sasl.password", "kafka.ssl.key.pem"];
        assert_eq!(secrets(&common), keys);
    }

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
