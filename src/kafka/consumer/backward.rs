//! Finds the last record of some kind without reading a whole log.

use crate::kafka::error::Error;

/// The first range, from the end back. Each further range is twice as long.
const TAIL_OFFSETS: i64 = 1_000;

/// Searches `start..end` from its end back, in one range after another, until `search` finds something in one.
///
/// # Errors
/// The error of `search`.
pub(crate) fn search_backward<T>(
    start: i64,
    end: i64,
    mut search: impl FnMut(i64, i64) -> Result<Option<T>, Error>,
) -> Result<Option<T>, Error> {
    let (mut to, mut length) = (end, TAIL_OFFSETS);
    while to > start {
        let from = start.max(to - length);
        let found = search(from, to)?;
        if found.is_some() {
            return Ok(found);
        }
        (to, length) = (from, length * 2);
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_double_from_the_end_to_the_start_until_something_is_found() {
        let searched = |start, end, found_from: i64| {
            let mut ranges = Vec::new();
            let found = search_backward(start, end, |from, to| {
                ranges.push((from, to));
                Ok((from <= found_from).then_some(from))
            });
            (ranges, found.unwrap())
        };
        let all = vec![(9_000, 10_000), (7_000, 9_000), (3_000, 7_000), (5, 3_000)];
        assert_eq!(searched(5, 10_000, 4), (all.clone(), None));
        assert_eq!(searched(5, 10_000, 8_000), (all[..2].to_vec(), Some(7_000)));
        assert_eq!(searched(5, 5, 5), (Vec::new(), None));
    }
}
