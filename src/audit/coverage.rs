//! Records which part of a partition was read, so that a page that a search reads twice counts once.
//!
//! Offsets are not pages: the marker of each transaction takes an offset, too. So pages are counted as they are
//! read, and the part of the partition is reported as a share of its offsets.

/// Ranges of offsets that were read, and the pages in them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Coverage {
    /// Pages that were read, of all sequences, each counted once.
    pub pages: u64,
    /// The ranges, in order and without overlap.
    ranges: Vec<(i64, i64)>,
}

impl Coverage {
    /// Notes a page that was read. [`Coverage::read`] has recorded the pages of earlier reads.
    pub(super) fn page(&mut self, offset: i64) {
        if !self.has(offset) {
            self.pages += 1;
        }
    }

    /// Notes the end of a read of these offsets.
    pub(super) fn read(&mut self, from: i64, to: i64) {
        if from >= to {
            return;
        }
        let first = self.ranges.partition_point(|(_, end)| *end < from);
        let behind = self.ranges.partition_point(|(start, _)| *start <= to);
        let touched = &self.ranges[first..behind];
        let from = touched.first().map_or(from, |(start, _)| from.min(*start));
        let to = touched.last().map_or(to, |(_, end)| to.max(*end));
        self.ranges.splice(first..behind, [(from, to)]);
    }

    /// Number of offsets that were read, markers included.
    pub(crate) fn offsets(&self) -> i64 {
        self.ranges.iter().map(|(start, end)| end - start).sum()
    }

    fn has(&self, offset: i64) -> bool {
        let at = self.ranges.partition_point(|(_, end)| *end <= offset);
        self.ranges
            .get(at)
            .is_some_and(|(start, _)| *start <= offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_twice_counts_once() {
        let mut coverage = Coverage::default();
        let mut read = |from: i64, to: i64| {
            // Every tenth offset is a marker.
            let pages = (from..to).filter(|offset| offset % 10 != 9);
            pages.for_each(|offset| coverage.page(offset));
            coverage.read(from, to);
            (coverage.pages, coverage.offsets(), coverage.ranges.len())
        };
        assert_eq!(read(40, 50), (9, 10, 1));
        assert_eq!(read(0, 10), (18, 20, 2));
        assert_eq!(read(5, 5), (18, 20, 2));
        assert_eq!(read(44, 60), (27, 30, 2));
        assert_eq!(read(10, 20), (36, 40, 2), "beside another range");
        assert_eq!(read(2, 58), (54, 60, 1));
        assert_eq!(read(0, 60), (54, 60, 1));
    }
}
