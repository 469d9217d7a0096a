//! Times in texts, in the form of RFC 3339 in UTC.

use jiff::Timestamp;

/// A record's time, as `2026-01-31T23:59:59.123Z`. The reply to `describe` has it, so these bytes are part of
/// I3.
pub fn of_millis(millis: i64) -> String {
    // A record without a time has -1.
    let time = Timestamp::from_millisecond(millis).ok();
    match time.filter(|_| millis >= 0) {
        Some(time) => format!("{time:.3}"),
        None => "unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_of_a_time_are_those_of_the_contract() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_700_000_000_123, "2023-11-14T22:13:20.123Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(of_millis(millis), text);
        }
        for millis in [-1, i64::MIN, i64::MAX] {
            assert_eq!(of_millis(millis), "unknown");
        }
    }
}
