//! Logs repeats of the same error only once in a while.

use std::time::{Duration, Instant};

use crate::kafka::error::Error;

/// How long repeats of the same error stay silent: long enough to keep a log readable through an outage, and
/// short enough that its last lines show that the outage goes on.
const REPEAT_AFTER: Duration = Duration::from_secs(10);
/// How many kinds of errors are remembered. Few kinds come in large numbers.
const KINDS_MAX: usize = 8;

/// The errors that were logged last, and the time of each.
#[derive(Debug, Default)]
pub(super) struct Quiet {
    told: Vec<(Error, Instant)>,
}

impl Quiet {
    /// True when this error should be logged now.
    pub(super) fn tells(&mut self, error: &Error) -> bool {
        self.tells_at(error, Instant::now())
    }

    fn tells_at(&mut self, error: &Error, now: Instant) -> bool {
        self.told
            .retain(|(_, at)| now.duration_since(*at) < REPEAT_AFTER);
        if self.told.iter().any(|(other, _)| other.is_like(error)) {
            return false;
        }
        if self.told.len() < KINDS_MAX {
            self.told.push((error.clone(), now));
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::error::RDKafkaErrorCode;

    #[test]
    fn a_stream_of_one_error_is_told_once_in_a_while() {
        let mut quiet = Quiet::default();
        let begin = Instant::now();
        let down = Error::new("consume", RDKafkaErrorCode::AllBrokersDown, "1/1 down");
        let unreachable = Error::new("consume", RDKafkaErrorCode::Resolve, "no such host");
        assert!(quiet.tells_at(&down, begin));
        assert!(quiet.tells_at(&unreachable, begin));
        assert!(!quiet.tells_at(&down, begin + REPEAT_AFTER / 2));
        assert!(quiet.tells_at(&down, begin + REPEAT_AFTER));
        assert!(!quiet.tells_at(&down, begin + REPEAT_AFTER * 3 / 2));
    }
}
