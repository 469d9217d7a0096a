//! The service's own data about its restores and checkpoints: in its log, and in its metrics.

use std::time::Duration;

use sequencer::bench::Error;
use sequencer::bench::server::Server;
use serde_json::Value;

/// The restores of all partitions, from the log of a service.
pub fn restores(server: &Server) -> Vec<Restored> {
    let log = server.process.log();
    log.lines().filter_map(restored).collect()
}

/// The sum of the samples of a metric.
pub fn metric(server: &Server, begin: &str) -> Result<f64, Error> {
    let page = server.page("/metrics")?;
    let samples = page.lines().filter_map(|line| {
        let rest = line.strip_prefix(begin)?;
        rest.starts_with(['{', ' ']).then_some(())?;
        rest.rsplit(' ').next()?.parse::<f64>().ok()
    });
    Ok(samples.sum())
}

/// The restore of one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The time since its assignment.
    pub took: Duration,
    /// State records read.
    pub records: u64,
    /// Number of sequences after it.
    pub sequences: u64,
}

fn restored(line: &str) -> Option<Restored> {
    let line: Value = serde_json::from_str(line).ok()?;
    let fields = line.get("fields").unwrap_or(&line);
    (fields.get("message")? == "restored").then_some(())?;
    // The log writes a u128 as text.
    let number = |name: &str| {
        let value = fields.get(name)?;
        value.as_u64().or_else(|| value.as_str()?.parse().ok())
    };
    Some(Restored {
        took: Duration::from_millis(number("took_ms")?),
        records: number("records")?,
        sequences: number("sequences")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_a_restore_is_understood() {
        let line = r#"{"level":"INFO","fields":{"message":"restored","partition":3,"sequences":7,"records":9,"took_ms":"12"}}"#;
        let expected = Restored {
            took: Duration::from_millis(12),
            records: 9,
            sequences: 7,
        };
        assert_eq!(restored(line), Some(expected));
        assert_eq!(restored(r#"{"message":"starting"}"#), None);
        assert_eq!(restored("no json"), None);
    }
}
