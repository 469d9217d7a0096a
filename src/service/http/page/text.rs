//! Numbers, times and tables, as the page shows them.

use maud::{Markup, html};

/// Shown instead of a value that is not known.
pub(super) const UNKNOWN: &str = "–";

/// The number of digits in a group.
const GROUP: usize = 3;

/// A number with its digits in groups. The gaps are made by the style sheet, so that a copied number has none.
pub(super) fn number(value: impl std::fmt::Display) -> Markup {
    let digits = value.to_string();
    let (sign, digits) = match digits.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", digits.as_str()),
    };
    let first = match digits.len() % GROUP {
        0 => GROUP.min(digits.len()),
        first => first,
    };
    let (head, rest) = digits.split_at_checked(first).unwrap_or((digits, ""));
    let groups = (0..rest.len()).step_by(GROUP);
    html! {
        span.number {
            (sign) (head)
            @for group in groups.filter_map(|at| rest.get(at..at + GROUP)) { span { (group) } }
        }
    }
}

/// A number that may be unknown.
pub(super) fn number_or_unknown(value: Option<impl std::fmt::Display>) -> Markup {
    match value {
        Some(value) => number(value),
        None => html! { (UNKNOWN) },
    }
}

/// A rate, in whole numbers a second.
pub(super) fn rate(per_second: Option<f64>) -> Markup {
    match per_second {
        Some(rate) => html! { span { (number(format!("{rate:.0}"))) "/s" } },
        None => html! { (UNKNOWN) },
    }
}

/// A latency, with its unit.
pub(super) fn milliseconds(value: Option<f64>) -> String {
    match value {
        None => UNKNOWN.to_owned(),
        Some(ms) if ms < 10.0 => format!("{ms:.1} ms"),
        Some(ms) if ms < 1_000.0 => format!("{ms:.0} ms"),
        Some(ms) => format!("{:.1} s", ms / 1_000.0),
    }
}

/// A duration, with its unit.
pub(super) fn duration(milliseconds: u64) -> String {
    match milliseconds {
        0..10_000 => format!("{}.{} s", milliseconds / 1_000, milliseconds % 1_000 / 100),
        10_000..600_000 => format!("{} s", milliseconds / 1_000),
        600_000..36_000_000 => format!("{} min", milliseconds / 60_000),
        36_000_000..864_000_000 => format!("{} h", milliseconds / 3_600_000),
        _ => format!("{} days", milliseconds / 86_400_000),
    }
}

/// How long ago something was.
pub(super) fn ago(age_ms: Option<u64>) -> String {
    age_ms.map_or_else(
        || UNKNOWN.to_owned(),
        |age_ms| format!("{} ago", duration(age_ms)),
    )
}

/// The head of a table with these columns. The names of columns of numbers begin with `#`.
pub(super) fn head(columns: &[&str]) -> Markup {
    html! {
        thead {
            tr {
                @for column in columns {
                    @match column.strip_prefix('#') {
                        Some(column) => th.right scope="col" { (column) },
                        None => th scope="col" { (column) },
                    }
                }
            }
        }
    }
}

/// Partitions in words, with neighbours as a range: `0 to 3, 7`.
pub(super) fn partitions(partitions: &[i32]) -> String {
    if partitions.is_empty() {
        return "none".to_owned();
    }
    let follows = |a: &i32, b: &i32| a.checked_add(1) == Some(*b);
    let ranges = partitions.chunk_by(follows).map(|range| match range {
        [first, _, .., last] => format!("{first} to {last}"),
        _ => {
            let range: Vec<String> = range.iter().map(i32::to_string).collect();
            range.join(", ")
        }
    });
    ranges.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_in_groups_of_three_from_the_end() {
        for (value, html) in [
            (7_i64, "7"),
            (-7, "-7"),
            (999, "999"),
            (1_000, "1<span>000</span>"),
            (-123_456, "-123<span>456</span>"),
            (
                9_007_199_254_740_991,
                "9<span>007</span><span>199</span><span>254</span><span>740</span><span>991</span>",
            ),
        ] {
            let number = number(value).into_string();
            assert_eq!(number, format!("<span class=\"number\">{html}</span>"));
        }
        assert_eq!(rate(None).into_string(), UNKNOWN);
        assert!(
            rate(Some(1_499.6))
                .into_string()
                .ends_with("<span>500</span></span>/s</span>")
        );
    }

    #[test]
    fn durations_have_a_unit_that_fits() {
        for (ms, text) in [
            (0, "0.0 s"),
            (9_999, "9.9 s"),
            (10_000, "10 s"),
            (600_000, "10 min"),
            (36_000_000, "10 h"),
            (864_000_000, "10 days"),
        ] {
            assert_eq!(duration(ms), text);
        }
        assert_eq!(milliseconds(Some(0.84)), "0.8 ms");
        assert_eq!(milliseconds(Some(12.4)), "12 ms");
        assert_eq!(milliseconds(Some(1_240.0)), "1.2 s");
    }

    #[test]
    fn partitions_that_follow_each_other_are_a_range() {
        for (list, text) in [
            (&[][..], "none"),
            (&[4], "4"),
            (&[0, 1], "0, 1"),
            (&[0, 1, 2, 3, 7, 9, 10], "0 to 3, 7, 9, 10"),
        ] {
            assert_eq!(partitions(list), text);
        }
    }
}
