//! Times in UTC, as an operator reads and writes them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

const DAY_S: u64 = 86_400;
/// Days of four centuries, after which the calendar repeats.
const CYCLE_DAYS: u64 = 146_097;
/// From 1 March 0000 to 1 January 1970.
const EPOCH_DAYS: u64 = 719_468;

/// Now, as `2026-01-31T23:59:59Z`.
pub fn now_utc() -> String {
    utc(SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default())
}

/// A record's time, as `2026-01-31T23:59:59.123Z`.
pub fn of_millis(millis: i64) -> String {
    let Ok(millis) = u64::try_from(millis) else {
        return "unknown".to_owned();
    };
    let text = utc(Duration::from_millis(millis));
    format!("{}.{:03}Z", text.trim_end_matches('Z'), millis % 1_000)
}

/// A time that somebody wrote, as `2026-01-31T23:59:59Z` or only its date, in milliseconds since 1970.
pub fn to_millis(text: &str) -> Option<i64> {
    let (date, time) = text
        .strip_suffix('Z')
        .unwrap_or(text)
        .split_once('T')
        .unwrap_or((text, "00:00:00"));
    let mut date = date.splitn(3, '-').map(str::parse::<i64>);
    let (year, month, day) = (date.next()?.ok()?, date.next()?.ok()?, date.next()?.ok()?);
    let mut time = time.splitn(3, ':').map(str::parse::<i64>);
    let (hour, minute, second) = (time.next()?.ok()?, time.next()?.ok()?, time.next()?.ok()?);
    let in_range = (1970..10_000).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && (0..24).contains(&hour)
        && (0..60).contains(&minute)
        && (0..60).contains(&second);
    if !in_range {
        return None;
    }
    // The other way round than in `utc`.
    let year = year - i64::from(month <= 2);
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let days = 365 * year + year / 4 - year / 100 + year / 400 + day_of_year;
    let seconds = (days - i64::try_from(EPOCH_DAYS).ok()?) * i64::try_from(DAY_S).ok()?
        + hour * 3_600
        + minute * 60
        + second;
    Some(seconds * 1_000)
}

/// A time since 1970. Years begin in March here, so that the leap day is the last one.
fn utc(since_1970: Duration) -> String {
    let seconds = since_1970.as_secs();
    let days = seconds / DAY_S + EPOCH_DAYS;
    let (cycle, day) = (days / CYCLE_DAYS, days % CYCLE_DAYS);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = year + cycle * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day_of_month:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_calendar() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_700_000_000, "2023-11-14T22:13:20Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(utc(Duration::from_secs(seconds)), text);
            let millis = i64::try_from(seconds).unwrap() * 1_000;
            assert_eq!(to_millis(text), Some(millis), "{text}");
        }
    }
    #[test]
    fn a_date_alone_is_its_midnight_and_what_is_no_time_is_refused() {
        assert_eq!(of_millis(1_700_000_000_123), "2023-11-14T22:13:20.123Z");
        assert_eq!(to_millis("2000-03-01"), Some(951_868_800_000));
        for text in [
            "",
            "yesterday",
            "2000-13-01",
            "2000-01-01T25:00:00Z",
            "2000-01-01T10:00",
            "1700000000",
        ] {
            assert_eq!(to_millis(text), None, "{text}");
        }
    }
}
