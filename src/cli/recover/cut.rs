//! Finds where a log was cut, by the leader epochs of its records. Pure.

/// Finds the first record in `from..to` with a leader epoch above `last`. The leader after a cut has a higher
/// epoch, and the epochs of a log never fall. `read` gives offset and epoch of the first record in a range.
pub(super) fn first_of_later_leader<E>(
    from: i64,
    to: i64,
    last: i32,
    read: impl Fn(i64, i64) -> Result<Option<(i64, i32)>, E>,
) -> Result<Option<i64>, E> {
    let (mut low, mut high, mut found) = (from, to, None);
    while low < high {
        let middle = low + (high - low) / 2;
        match read(middle, high)? {
            Some((at, epoch)) if epoch <= last => low = at + 1,
            later => {
                found = later.map(|(at, _)| at).or(found);
                high = middle;
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Searches records given by offset and epoch. Other offsets hold markers, or aborted records.
    fn found(log: &[(i64, i32)], from: i64, to: i64, last: i32) -> Option<i64> {
        let read = |from: i64, to: i64| {
            let first = log.iter().find(|(at, _)| (from..to).contains(at));
            Ok::<_, ()>(first.copied())
        };
        first_of_later_leader(from, to, last, read).unwrap()
    }

    #[test]
    fn the_cut_is_the_first_record_of_a_later_leader() {
        for cut in 10..40 {
            for hole in [1, 2, 3, 7] {
                let log: Vec<(i64, i32)> = (10..40)
                    .filter(|at| at % hole == 0)
                    .map(|at| (at, if at < cut { 4 } else { 5 + i32::from(at > 30) }))
                    .collect();
                let first = log.iter().find(|(at, _)| *at >= cut);
                assert_eq!(found(&log, 10, 40, 4), first.map(|(at, _)| *at));
                assert_eq!(found(&log, 10, 40, 6), None, "no later leader");
                assert_eq!(found(&log, 10, cut, 4), None, "all of it was answered");
            }
        }
        assert_eq!(found(&[], 10, 40, 4), None);
        assert_eq!(found(&[], 10, 10, 4), None);
    }
}
