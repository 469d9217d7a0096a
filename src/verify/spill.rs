//! Facts on disk, sorted into ranges of the request log, so that only one range at a time is in memory.
//!
//! The files have no name: the system removes them when this process ends in any way.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::path::Path;

/// Buffer size of a file during writing.
const BUFFER_BYTES: usize = 16 * 1024;
/// Highest number of ranges. Three sets of their files are well below the 1,024 files that a process may open
/// by default.
const RANGES_MAX: u64 = 128;

/// Creates a temporary file without a name.
pub(super) fn unnamed(directory: &Path) -> io::Result<File> {
    tempfile::tempfile_in(directory)
}

/// A fact of fixed size that belongs to a place of the request log.
pub(super) trait Fact: Sized {
    /// Number of bytes on disk.
    const BYTES: usize;
    /// Writes the fact to `BYTES` bytes.
    fn write(&self, out: &mut Writer<'_>);
    /// Reads the fact.
    fn read(from: &mut Reader<'_>) -> Self;
    /// The place of the log, over all partitions, by which facts are sorted into ranges.
    fn range_by(&self) -> u64;
}

/// Writes the fields of a fact one after the other.
pub(super) struct Writer<'a>(&'a mut Vec<u8>);

impl Writer<'_> {
    /// Appends bytes.
    pub(super) fn put<const N: usize>(&mut self, bytes: [u8; N]) {
        self.0.extend_from_slice(&bytes);
    }
}

/// Reads the fields of a fact one after the other.
pub(super) struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    /// Returns the next bytes. Past the end it returns zeros, which would be a mistake in the caller.
    pub(super) fn take<const N: usize>(&mut self) -> [u8; N] {
        match self.0.split_first_chunk::<N>() {
            Some((bytes, rest)) => {
                self.0 = rest;
                *bytes
            }
            None => [0; N],
        }
    }
}

/// The division of places into ranges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ranges {
    /// Number of places in one range.
    width: u64,
    /// Number of ranges.
    count: u64,
}

impl Ranges {
    /// A division in which the facts of a range fit into `bytes`, if there is one fact for each place.
    pub(super) fn of(places: u64, fact_bytes: usize, bytes: u64) -> Ranges {
        let facts = (bytes / fact_bytes as u64).max(1);
        let count = places.div_ceil(facts).clamp(1, RANGES_MAX);
        Ranges {
            width: places.div_ceil(count).max(1),
            count,
        }
    }

    fn at(self, place: u64) -> u64 {
        (place / self.width).min(self.count - 1)
    }
}

/// Facts on disk, by range.
pub(super) struct Spill<F> {
    ranges: Ranges,
    /// The limit of the facts in memory at a time, in bytes.
    bytes_max: u64,
    files: Vec<BufWriter<File>>,
    written: Vec<u64>,
    buffer: Vec<u8>,
    facts: std::marker::PhantomData<F>,
}

impl<F: Fact> Spill<F> {
    /// Creates the files.
    pub(super) fn new(directory: &Path, ranges: Ranges, bytes_max: u64) -> io::Result<Spill<F>> {
        let file = |_| {
            let file = unnamed(directory)?;
            Ok(BufWriter::with_capacity(BUFFER_BYTES, file))
        };
        let files = (0..ranges.count)
            .map(file)
            .collect::<io::Result<Vec<_>>>()?;
        Ok(Spill {
            ranges,
            bytes_max,
            written: vec![0; files.len()],
            files,
            buffer: Vec::new(),
            facts: std::marker::PhantomData,
        })
    }

    /// Adds a fact.
    pub(super) fn push(&mut self, fact: &F) -> io::Result<()> {
        self.buffer.clear();
        fact.write(&mut Writer(&mut self.buffer));
        let at = usize::try_from(self.ranges.at(fact.range_by())).unwrap_or(0);
        if let (Some(file), Some(written)) = (self.files.get_mut(at), self.written.get_mut(at)) {
            *written += 1;
            file.write_all(&self.buffer)?;
        }
        Ok(())
    }

    /// Total number of facts.
    pub(super) fn len(&self) -> u64 {
        self.written.iter().sum()
    }

    /// Number of ranges.
    pub(super) fn ranges(&self) -> usize {
        self.files.len()
    }

    /// Number of turns in which a range is read, so that each turn fits into memory.
    pub(super) fn turns(&self, range: usize) -> u64 {
        let facts = self.written.get(range).copied().unwrap_or(0);
        (facts * F::BYTES as u64)
            .div_ceil(self.bytes_max.max(1))
            .clamp(1, self.ranges.width)
    }

    /// Loads the facts of one turn of a range, unsorted. The last turn of a range removes its file.
    pub(super) fn load(&mut self, range: usize, turn: u64, turns: u64) -> io::Result<Vec<F>> {
        let Some(file) = self.files.get_mut(range) else {
            return Ok(Vec::new());
        };
        file.flush()?;
        let mut reader = BufReader::with_capacity(1 << 20, file.get_mut().try_clone()?);
        reader.rewind()?;
        let facts = self.written.get(range).copied().unwrap_or(0);
        let begin = self.ranges.width * range as u64;
        let step = self.ranges.width.div_ceil(turns);
        let (from, to) = (begin + step * turn, begin + step * (turn + 1));
        let last = turn + 1 == turns;
        let mut found = Vec::new();
        let mut bytes = vec![0; F::BYTES];
        for _ in 0..facts {
            reader.read_exact(&mut bytes)?;
            let fact = F::read(&mut Reader(&bytes));
            let place = fact.range_by();
            if (from <= place && place < to) || (last && place >= to) {
                found.push(fact);
            }
        }
        if last {
            file.get_mut().set_len(0)?;
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Eq)]
    struct Number(u64);

    impl Fact for Number {
        const BYTES: usize = 8;
        fn write(&self, out: &mut Writer<'_>) {
            out.put(self.0.to_le_bytes());
        }
        fn read(from: &mut Reader<'_>) -> Number {
            Number(u64::from_le_bytes(from.take()))
        }
        fn range_by(&self) -> u64 {
            self.0
        }
    }

    #[test]
    fn every_fact_comes_back_once_and_in_the_order_of_the_ranges() {
        let directory = tempfile::tempdir().unwrap();
        let ranges = Ranges::of(1_000, Number::BYTES, 800);
        let mut spill = Spill::<Number>::new(directory.path(), ranges, 300).unwrap();
        for number in (0..1_000).rev() {
            spill.push(&Number(number)).unwrap();
        }
        assert_eq!(
            (spill.ranges(), spill.turns(0), spill.len()),
            (10, 3, 1_000)
        );
        let mut all = Vec::new();
        for range in 0..spill.ranges() {
            let turns = spill.turns(range);
            for turn in 0..turns {
                let mut facts = spill.load(range, turn, turns).unwrap();
                facts.sort_unstable_by_key(|number| number.0);
                all.extend(facts.into_iter().map(|number| number.0));
            }
        }
        assert_eq!(all, (0..1_000).collect::<Vec<_>>());
        // No file has a name.
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
