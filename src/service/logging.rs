//! Logs: text for people, JSON lines for machines. Both go to standard error, with times in UTC. Standard
//! output is for the output of commands.
//!
//! `error` means that something may be lost or an invariant is broken. `warn` means that an operator should
//! look. `info` shows the life of the service (start, partitions, stop), and `debug` the course of single
//! checkpoints and rebalances.
//!
//! No problem of standard error (a full disk, a reader that is gone or does not read) stops or delays the
//! process. It only loses log lines, which are counted.

mod sink;

use std::fmt::Debug;
use std::io::{IsTerminal, stderr};
use std::sync::OnceLock;
use std::time::Duration;

use tracing::field::Field;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::fmt::format::{Writer, debug_fn};
use tracing_subscriber::util::SubscriberInitExt;

use super::settings::{Error, LogFormat};
use crate::core::printable::printable;
use sink::Sink;

/// The longest wait for the last log lines at the end of the process, in milliseconds. Writing them takes microseconds,
/// and a stalled reader must not keep the process alive.
const FLUSH_MS_MAX: u64 = 1_000;

/// The one log of the process.
static LOG: OnceLock<Sink> = OnceLock::new();

/// The valid values of `log.level`, to follow the word "expected".
pub(crate) const LEVEL_EXPECTED: &str =
    "off, error, warn, info, debug or trace, also by module: \"info,sequencer::kafka=debug\"";

/// Words that are levels.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Parses a filter. None for invalid directives. It is stricter than the library, which takes a mistyped level
/// such as `inof` for a module and then shows nothing.
pub(crate) fn filter(level: &str) -> Option<EnvFilter> {
    // Commas inside of brackets belong to a span's fields. The library parses such directives.
    let plain = !level.contains(['[', '{']);
    let is_level = |word: &str| LEVELS.iter().any(|known| known.eq_ignore_ascii_case(word));
    let bare_words_are_levels = level
        .split(',')
        .all(|directive| directive.contains('=') || is_level(directive.trim()));
    if plain && !bare_words_are_levels {
        return None;
    }
    // The library accepts no spaces, but people write lists such as `warn, librdkafka=off`.
    let directives: Vec<&str> = level.split(',').map(str::trim).collect();
    EnvFilter::try_new(directives.join(",")).ok()
}

/// Starts logging for the whole process. A second call changes nothing.
///
/// # Errors
/// A `level` that is not a valid directive, which a loaded configuration never has.
pub(crate) fn init(format: LogFormat, level: &str) -> Result<(), Error> {
    let filter = filter(level).ok_or_else(|| Error::Invalid {
        key: "log.level".to_owned(),
        origin: "the settings".to_owned(),
        value: format!("{level:?}"),
        expected: LEVEL_EXPECTED.to_owned(),
    })?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        // Otherwise the library would report on standard error that it cannot write there, and panic.
        .log_internal_errors(false)
        .with_writer(LOG.get_or_init(|| Sink::start(stderr())).clone());
    // The time is UTC with microseconds by the library's default.
    let started = match format {
        LogFormat::Text => {
            // https://no-color.org: colours are only for people at a terminal who have not turned them off.
            let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
            lines
                .compact()
                .fmt_fields(debug_fn(field).delimited(" "))
                .with_ansi(stderr().is_terminal() && !refused)
                .finish()
                .try_init()
        }
        LogFormat::Json => lines
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .finish()
            .try_init(),
    };
    // An error means that logging was started before, so there is a log.
    drop(started);
    Ok(())
}

/// Writes a field of a text line. A value may hold text from a client. It is escaped, so that it moves no
/// cursor and begins no line. JSON has its own escapes.
fn field(writer: &mut Writer<'_>, field: &Field, value: &dyn Debug) -> std::fmt::Result {
    let value = format!("{value:?}");
    let value = printable(&value);
    match field.name() {
        MESSAGE => write!(writer, "{value}"),
        name if writer.has_ansi_escapes() => {
            write!(writer, "{ITALIC}{name}{PLAIN}{DIMMED}={PLAIN}{value}")
        }
        name => write!(writer, "{name}={value}"),
    }
}

const MESSAGE: &str = "message";
const ITALIC: &str = "\x1b[3m";
const DIMMED: &str = "\x1b[2m";
const PLAIN: &str = "\x1b[0m";

/// Waits for the log lines so far, for a second at most. Call it before the process ends, and before other
/// output to standard error.
pub(crate) fn flush() {
    if let Some(log) = LOG.get() {
        log.flush(Duration::from_millis(FLUSH_MS_MAX));
    }
}

/// Number of log lines that could not be written, or not in time.
pub(crate) fn lines_lost() -> u64 {
    LOG.get().map_or(0, Sink::lost)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn text_of_strangers_stays_in_its_line() {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .compact()
            .fmt_fields(debug_fn(field).delimited(" "))
            .with_ansi(false)
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            let reason = "\u{1b}[2J\nclean: \u{9b}\u{202e}";
            tracing::warn!(partition = 3, name = "a\nb", error = %reason, "halted by {reason}");
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let line = text.strip_suffix('\n').unwrap();
        assert!(!line.contains(char::is_control), "{line:?}");
        assert!(!line.contains('\u{202e}'), "{line:?}");
        for part in [
            "halted by \\u{1b}[2J\\nclean: \\u{9b}",
            " partition=3 ",
            " name=\"a\\nb\" ",
            "error=\\u{1b}[2J\\nclean: \\u{9b}\\u{202e}",
        ] {
            assert!(line.contains(part), "{part} in {line:?}");
        }
    }

    #[test]
    fn levels_and_directives_are_taken_and_mistyped_levels_are_not() {
        for good in [
            "info",
            "WARN",
            "off",
            "info,sequencer::kafka=debug",
            "warn, librdkafka=off",
        ] {
            assert!(filter(good).is_some(), "{good}");
        }
        for bad in ["", "inof", "loud", "info,sequencer=loud", "debug,inof"] {
            assert!(filter(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_level_that_is_none_is_an_error_that_names_the_key() {
        let error = init(LogFormat::Text, "loud").map_err(|error| error.to_string());
        assert_eq!(
            error,
            Err("configuration: log.level in the settings: got \"loud\", expected off, error, warn, \
                 info, debug or trace, also by module: \"info,sequencer::kafka=debug\""
                .to_owned())
        );
    }
}
