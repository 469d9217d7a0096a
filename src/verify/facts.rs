//! The facts about each request and each reply that are stored until they are matched.

use super::body::Gives;
use super::source::Extent;
use super::spill::{Fact, Reader, Writer};

/// The part of the request log that is checked. All offsets of all partitions get consecutive numbers, their
/// *places*.
#[derive(Clone, Debug, Default)]
pub(super) struct Layout {
    spans: Vec<Extent>,
    /// The place of the first offset of each partition.
    bases: Vec<u64>,
    places: u64,
}

impl Layout {
    /// A layout of these ranges, one for each partition.
    pub(super) fn new(spans: Vec<Extent>) -> Layout {
        let mut places = 0;
        let mut bases = Vec::new();
        for span in &spans {
            bases.push(places);
            places += u64::try_from(span.end - span.start).unwrap_or(0);
        }
        Layout {
            spans,
            bases,
            places,
        }
    }

    /// Total number of places.
    pub(super) fn places(&self) -> u64 {
        self.places
    }

    /// The checked range of a partition.
    pub(super) fn span(&self, partition: u32) -> Option<Extent> {
        self.spans.get(usize::try_from(partition).ok()?).copied()
    }

    /// The place of an offset. None outside of the checked range.
    pub(super) fn place(&self, partition: u32, offset: i64) -> Option<u64> {
        let span = self.span(partition)?;
        let base = self.bases.get(usize::try_from(partition).ok()?)?;
        let inside = (span.start..span.end).contains(&offset);
        inside.then(|| base + u64::try_from(offset - span.start).unwrap_or(0))
    }

    /// Partition and offset of a place.
    pub(super) fn at(&self, place: u64) -> (u32, i64) {
        let after = self.bases.partition_point(|base| *base <= place);
        // An empty partition has the same base as the next one, which is the right one.
        let partition = after.saturating_sub(1);
        let base = self.bases.get(partition).copied().unwrap_or(0);
        let start = self.spans.get(partition).map_or(0, |span| span.start);
        let offset = start + i64::try_from(place - base).unwrap_or(0);
        (u32::try_from(partition).unwrap_or(0), offset)
    }
}

/// The kind of answer that a request should get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Granted,
    Again,
    Other,
    Refused(u8),
    /// A copy in the home partition. The answer is a fact of its own.
    Stray,
}

/// Stands for no sequence: the request named none that exists.
pub(super) const NO_SEQUENCE: u32 = u32::MAX;

/// The answer that a request should get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Due {
    /// The place of the client's record.
    pub place: u64,
    /// The place of the record that decides. It differs from `place` only for requests that were forwarded.
    pub home: u64,
    /// Hash over the body without an error's message.
    pub hash: u64,
    /// Hash over the key.
    pub key: u32,
    pub kind: Kind,
    pub flags: u8,
    /// Number of times that the request had been forwarded when it came to `home`.
    pub hops: u8,
    /// The number of the sequence in its home partition. For a stray, the number of the home partition.
    pub sequence: u32,
    pub run: u32,
    pub life: u32,
    pub first: i64,
    pub increment: i64,
    pub count: u64,
}

/// The request must have a reply.
pub(super) const REQUIRED: u8 = 1;
/// The reply topics do not reach back to this request.
pub(super) const CUT: u8 = 2;
/// The request's headers name a topic.
pub(super) const NAMES_TOPIC: u8 = 4;
/// A repair went back to before this request, so an older reply may have other content.
pub(super) const RELIVED: u8 = 8;
/// A checkpoint covers the request, so a reply was acknowledged.
pub(super) const COVERED: u8 = 16;

impl Due {
    /// True when the flag is set.
    pub(super) fn is(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// The last ID.
    pub(super) fn last(&self) -> i64 {
        let steps = i128::from(self.count.saturating_sub(1));
        let last = i128::from(self.first) + steps * i128::from(self.increment);
        i64::try_from(last).unwrap_or(i64::MAX)
    }
}

impl Fact for Due {
    const BYTES: usize = 68;

    fn write(&self, out: &mut Writer<'_>) {
        let (kind, code) = match self.kind {
            Kind::Granted => (0, 0),
            Kind::Again => (1, 0),
            Kind::Other => (2, 0),
            Kind::Refused(code) => (3, code),
            Kind::Stray => (4, 0),
        };
        out.put(self.place.to_le_bytes());
        out.put(self.home.to_le_bytes());
        out.put(self.hash.to_le_bytes());
        out.put(self.key.to_le_bytes());
        out.put([kind, code, self.flags, self.hops]);
        out.put(self.sequence.to_le_bytes());
        out.put(self.run.to_le_bytes());
        out.put(self.life.to_le_bytes());
        out.put(self.first.to_le_bytes());
        out.put(self.increment.to_le_bytes());
        out.put(self.count.to_le_bytes());
    }

    fn read(from: &mut Reader<'_>) -> Due {
        let place = u64::from_le_bytes(from.take());
        let home = u64::from_le_bytes(from.take());
        let hash = u64::from_le_bytes(from.take());
        let key = u32::from_le_bytes(from.take());
        let [kind, code, flags, hops] = from.take();
        Due {
            place,
            home,
            hash,
            key,
            kind: match kind {
                0 => Kind::Granted,
                1 => Kind::Again,
                2 => Kind::Other,
                3 => Kind::Refused(code),
                _ => Kind::Stray,
            },
            flags,
            hops,
            sequence: u32::from_le_bytes(from.take()),
            run: u32::from_le_bytes(from.take()),
            life: u32::from_le_bytes(from.take()),
            first: i64::from_le_bytes(from.take()),
            increment: i64::from_le_bytes(from.take()),
            count: u64::from_le_bytes(from.take()),
        }
    }

    fn range_by(&self) -> u64 {
        self.place
    }
}

/// A reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    /// The place of the record that the reply answers.
    pub place: u64,
    /// The topic of the reply, by number.
    pub topic: u16,
    pub partition: u32,
    pub offset: i64,
    pub hash: u64,
    pub key: u32,
    pub gives: Gives,
}

impl Fact for Reply {
    const BYTES: usize = 60;

    fn write(&self, out: &mut Writer<'_>) {
        let (kind, code, first, last, increment) = match self.gives {
            Gives::Ids {
                first,
                last,
                increment,
            } => (0, 0, first, last, increment),
            Gives::Error(code) => (1, code, 0, 0, 0),
            Gives::Other => (2, 0, 0, 0, 0),
        };
        out.put(self.place.to_le_bytes());
        out.put(self.topic.to_le_bytes());
        out.put(self.partition.to_le_bytes());
        out.put(self.offset.to_le_bytes());
        out.put(self.hash.to_le_bytes());
        out.put(self.key.to_le_bytes());
        out.put([kind, code]);
        out.put(first.to_le_bytes());
        out.put(last.to_le_bytes());
        out.put(increment.to_le_bytes());
    }

    fn read(from: &mut Reader<'_>) -> Reply {
        let place = u64::from_le_bytes(from.take());
        let topic = u16::from_le_bytes(from.take());
        let partition = u32::from_le_bytes(from.take());
        let offset = i64::from_le_bytes(from.take());
        let hash = u64::from_le_bytes(from.take());
        let key = u32::from_le_bytes(from.take());
        let [kind, code] = from.take();
        let gives = match kind {
            0 => Gives::Ids {
                first: i64::from_le_bytes(from.take()),
                last: i64::from_le_bytes(from.take()),
                increment: i64::from_le_bytes(from.take()),
            },
            1 => Gives::Error(code),
            _ => Gives::Other,
        };
        Reply {
            place,
            topic,
            partition,
            offset,
            hash,
            key,
            gives,
        }
    }

    fn range_by(&self) -> u64 {
        self.place
    }
}

/// The IDs in a reply, with the place in the log where they were decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Given {
    /// The place of the record that decides.
    pub home: u64,
    /// The place of the client's record.
    pub place: u64,
    pub sequence: u32,
    pub run: u32,
    pub life: u32,
    pub first: i64,
    pub last: i64,
    pub increment: i64,
    /// The first ID according to the oracle.
    pub first_due: i64,
    /// True when no reply gave these IDs, only the oracle.
    pub unseen: bool,
}

impl Fact for Given {
    const BYTES: usize = 64;

    fn write(&self, out: &mut Writer<'_>) {
        out.put(self.home.to_le_bytes());
        out.put(self.place.to_le_bytes());
        out.put(self.sequence.to_le_bytes());
        out.put(self.run.to_le_bytes());
        out.put(self.life.to_le_bytes());
        out.put(self.first.to_le_bytes());
        out.put(self.last.to_le_bytes());
        out.put(self.increment.to_le_bytes());
        out.put(self.first_due.to_le_bytes());
        out.put([u8::from(self.unseen), 0, 0, 0]);
    }

    fn read(from: &mut Reader<'_>) -> Given {
        Given {
            home: u64::from_le_bytes(from.take()),
            place: u64::from_le_bytes(from.take()),
            sequence: u32::from_le_bytes(from.take()),
            run: u32::from_le_bytes(from.take()),
            life: u32::from_le_bytes(from.take()),
            first: i64::from_le_bytes(from.take()),
            last: i64::from_le_bytes(from.take()),
            increment: i64::from_le_bytes(from.take()),
            first_due: i64::from_le_bytes(from.take()),
            unseen: from.take::<4>()[0] == 1,
        }
    }

    fn range_by(&self) -> u64 {
        self.home
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_an_offset_of_one_partition() {
        let span = |start, end| Extent { start, end };
        let layout = Layout::new(vec![span(10, 20), span(5, 5), span(0, 3)]);
        assert_eq!(layout.places(), 13);
        for (partition, offset, place) in [(0, 10, 0), (0, 19, 9), (2, 0, 10), (2, 2, 12)] {
            assert_eq!(layout.place(partition, offset), Some(place));
            assert_eq!(layout.at(place), (partition, offset));
        }
        assert_eq!(layout.place(0, 9), None);
        assert_eq!(layout.place(1, 5), None);
        assert_eq!(layout.place(3, 0), None);
    }
}
