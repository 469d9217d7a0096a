//! Repairs a partition that halts because a batch of its log cannot be read. Its state is right, and the repair
//! goes on with it after the batch. The requests in the batch get no reply, and no ID jumps.

use std::io::{self, Write};

use super::evidence::{Evidence, Inquiry};
use super::way::rebuild;
use crate::cli::Error;
use crate::core::NextOffset;
use crate::processor::rebuild::Rebuild;

/// A repair that skips unreadable records.
#[derive(Debug)]
pub(super) struct Skip {
    /// The restored state, to go on after these records.
    pub rebuilt: Box<Rebuild>,
    /// The first offset that is skipped.
    pub from: NextOffset,
}

/// Finds the repair, if a next owner could not read its first record. None when it could.
pub(super) fn find(
    inquiry: &Inquiry<'_>,
    partition: i32,
    evidence: &Evidence,
) -> Result<Option<Skip>, Error> {
    let restored = &evidence.state.restored;
    let Some(footer) = &restored.footer else {
        return Ok(None);
    };
    let (from, end) = (footer.next, evidence.log.end);
    let readable = |at: i64| inquiry.unreadable(NextOffset(at), end);
    let Some(batch) = readable(from.0)? else {
        return Ok(None);
    };
    let next = behind(from.0, batch, end.0, readable)?;
    let mut rebuilt = rebuild(partition, evidence, restored.fold.clone(), NextOffset(next));
    rebuilt.folding.last_applied = footer.last_applied;
    Ok(Some(Skip {
        rebuilt: Box::new(rebuilt),
        from,
    }))
}

/// Finds the first offset at or after `from` that can be read, or `end`. `unreadable` returns the unreadable
/// batch around an offset, if there is one. `batch` is the one around `from`.
///
/// Only the beginning of a batch is known. So its end is searched: in strides that double, then between the
/// last two.
fn behind<E>(
    mut from: i64,
    mut batch: i64,
    end: i64,
    unreadable: impl Fn(i64) -> Result<Option<i64>, E>,
) -> Result<i64, E> {
    loop {
        let (mut inside, mut stride) = (from, 1);
        let mut outside = loop {
            let at = inside.saturating_add(stride).min(end);
            if at == end || unreadable(at)? != Some(batch) {
                break at;
            }
            inside = at;
            stride = stride.saturating_mul(2);
        };
        while outside - inside > 1 {
            let middle = inside + (outside - inside) / 2;
            match unreadable(middle)? {
                Some(found) if found == batch => inside = middle,
                _ => outside = middle,
            }
        }
        if outside >= end {
            return Ok(end);
        }
        match unreadable(outside)? {
            None => return Ok(outside),
            // The next batch cannot be read either.
            Some(next) => (from, batch) = (outside, next),
        }
    }
}

/// Prints what the repair does.
pub(super) fn print(skip: &Skip, evidence: &Evidence, out: &mut impl Write) -> io::Result<()> {
    let (from, next) = (skip.from, skip.rebuilt.folding.next);
    writeln!(out, "the repair, behind what cannot be read")?;
    writeln!(
        out,
        "  never answers what lies at {from} to {}; its clients ask again",
        next.0 - 1
    )?;
    writeln!(
        out,
        "  goes on at offset {next}, {} before the end of the log, with the same state: no ID jumps",
        evidence.log.end.0 - next.0
    )?;
    writeln!(
        out,
        "A larger kafka.receive.message.max.bytes may read it: with it `sequencer serve` answers these \
         requests, and this command with the same --set says that nothing is to be repaired.\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Searches batches that cannot be read, given by first offset and first offset after the batch.
    fn found(batches: &[(i64, i64)], from: i64, end: i64) -> i64 {
        let unreadable = |at: i64| {
            let of = |(begin, behind): &&(i64, i64)| (*begin..*behind).contains(&at);
            Ok::<_, ()>(batches.iter().find(of).map(|(begin, _)| *begin))
        };
        let batch = unreadable(from).unwrap().unwrap();
        behind(from, batch, end, unreadable).unwrap()
    }

    #[test]
    fn what_can_be_read_is_never_passed_over() {
        for length in 1..70 {
            for from in [5, 5 + length / 2] {
                let end = 5 + length;
                assert_eq!(found(&[(5, end)], from, end + 100), end);
                assert_eq!(found(&[(5, end)], from, end), end, "the end of the log");
                // A second batch a little later: the offsets between them can be read.
                let second = (end + 1, end + 50);
                assert_eq!(found(&[(5, end), second], from, end + 100), end);
                // A second batch right after the first.
                let second = (end, end + 50);
                assert_eq!(found(&[(5, end), second], from, end + 100), end + 50);
            }
        }
    }
}
