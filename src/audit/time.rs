//! Times in the form that an operator reads and writes: RFC 3339, printed in UTC.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

pub(crate) use crate::wire::time::of_millis;

/// The description of the format, to follow the word "expected".
const EXPECTED: &str = "a time with its offset such as 2026-03-01T08:00:00Z or \
     2026-03-01T10:00:00+02:00, or a date such as 2026-03-01, which begins at midnight in UTC";

/// Length of a date in bytes. Anything longer has a time, which needs a UTC offset.
const DATE_BYTES: usize = 10;

/// The current time, as `2026-01-31T23:59:59Z`.
pub(crate) fn now_utc() -> String {
    format!("{:.0}", Timestamp::now())
}

/// Parses a time, and returns milliseconds since 1970.
///
/// # Errors
/// A message with the expected format.
pub(crate) fn to_millis(text: &str) -> Result<i64, String> {
    let expected = |why: &dyn std::fmt::Display| format!("{why}; expected {EXPECTED}");
    let time = if text.len() == DATE_BYTES {
        let date: Result<Date, _> = text.parse();
        date.and_then(|date| TimeZone::UTC.to_timestamp(date.into()))
    } else {
        text.parse()
    };
    let time = time.map_err(|error| expected(&error))?;
    match time.as_millisecond() {
        // Kafka gives small negative numbers a special meaning.
        ..0 => Err(expected(&"it lies before 1970")),
        millis => Ok(millis),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_read() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_700_000_000_123, "2023-11-14T22:13:20.123Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(of_millis(millis), text);
            assert_eq!(to_millis(text), Ok(millis), "{text}");
        }
        assert!(to_millis(&now_utc()).is_ok());
        assert_eq!(now_utc().len(), "2026-01-31T23:59:59Z".len());
    }

    #[test]
    fn a_date_alone_is_its_midnight_and_an_offset_counts() {
        for (text, millis) in [
            ("2000-03-01", 951_868_800_000),
            ("2000-03-01T00:00:00Z", 951_868_800_000),
            ("2000-03-01T02:00:00+02:00", 951_868_800_000),
            ("2000-02-29T18:30:00.5-05:30", 951_868_800_500),
        ] {
            assert_eq!(to_millis(text), Ok(millis), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused_with_the_format() {
        for text in [
            "",
            "yesterday",
            "2000-13-01",
            "2026-02-31",
            "2026-02-31T08:00:00Z",
            "2100-02-29",
            "2000-01-01T25:00:00Z",
            "2000-01-01T10:00:00",
            "1969-12-31T23:59:59.999Z",
            "1700000000",
        ] {
            let refused = to_millis(text).expect_err(text);
            assert!(refused.contains("2026-03-01T10:00:00+02:00"), "{refused}");
        }
    }
}
