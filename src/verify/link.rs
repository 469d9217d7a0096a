//! The links of strays: `PARTITION:EPOCH:LEADER.OFFSET:LEADER.OFFSET:ORIGIN.OFFSET:HOPS:TAG` in the header
//! `sequencer-forwarded`, and the end of a chain of links.

/// Leader epoch and offset of a record. A later record of a partition has a greater position, also
/// after a truncation.
pub(super) type Position = (i32, i64);

/// The position before the first record.
pub(super) const BEGINNING: Position = (-1, -1);
/// Highest number of times that a request is forwarded.
pub(super) const HOPS_MAX: u8 = 16;

/// A link that this service wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Link {
    /// The partition that forwarded the record.
    pub partition: u32,
    /// The epoch of the repairs of that partition.
    pub epoch: u64,
    /// The position of the record there.
    pub position: Position,
    /// The previous stray from that partition to this one, since that repair.
    pub previous: Position,
    /// Partition and offset of the record that the client wrote.
    pub origin: (u32, i64),
    /// Number of times that the request was forwarded.
    pub hops: u8,
}

/// The end of the chain from one partition, as the partition knows it that the chain goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End {
    pub epoch: u64,
    pub position: Position,
    /// True when that partition was repaired: the next link need not follow.
    pub open: bool,
}

/// The treatment of a link by the partition that it goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    On(End),
    Known,
    Gap,
}

impl Link {
    /// Applies the link to an end of its chain.
    pub(super) fn step(&self, end: End) -> Step {
        let later = self.position > end.position;
        let on = Step::On(End {
            epoch: end.epoch.max(self.epoch),
            position: self.position,
            open: false,
        });
        match self.previous.cmp(&end.position) {
            _ if !later => Step::Known,
            std::cmp::Ordering::Equal => on,
            // An owner that a repair has replaced forwarded the record.
            _ if self.epoch < end.epoch => Step::Known,
            _ if end.open => on,
            std::cmp::Ordering::Greater => Step::Gap,
            // A repair began the chain again, or a truncation removed the forwarded records.
            std::cmp::Ordering::Less
                if self.epoch > end.epoch || self.position.0 > end.position.0 =>
            {
                on
            }
            std::cmp::Ordering::Less => Step::Gap,
        }
    }
}

/// The record that carries a link: the partition that it lies in, its key and its value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Carrier<'a> {
    pub partition: u32,
    pub key: &'a [u8],
    pub value: Option<&'a [u8]>,
}

/// Reads a header. None for an invalid link: then the record is an ordinary request. A right tag over numbers
/// that no record of Kafka's has makes no link either.
pub(super) fn read(header: &[u8], secret: &[u8; 32], carrier: Carrier<'_>) -> Option<Link> {
    let text = std::str::from_utf8(header).ok()?;
    let parts = text.split(':').collect::<Vec<_>>();
    let [partition, epoch, position, previous, origin, hops, tag] = parts.try_into().ok()?;
    let pair = |text: &str| {
        let (leader_epoch, offset) = text.split_once('.')?;
        Some((leader_epoch.parse().ok()?, offset.parse().ok()?))
    };
    let link = Link {
        partition: partition.parse().ok()?,
        epoch: epoch.parse().ok()?,
        position: pair(position)?,
        previous: pair(previous)?,
        origin: {
            let (partition, offset) = origin.split_once('.')?;
            (partition.parse().ok()?, offset.parse().ok()?)
        },
        hops: hops.parse().ok()?,
    };
    let one_spelling = text == spelled(link, tag);
    let lies = |(leader_epoch, offset): Position| leader_epoch >= -1 && offset >= 0;
    let follows = link.previous == BEGINNING || lies(link.previous);
    let numbered = |partition| partition <= i32::MAX as u32;
    let (origin, at) = link.origin;
    let written = numbered(origin) && at >= 0;
    let is_own = link.origin == (link.partition, link.position.1);
    let counted = (1..=HOPS_MAX).contains(&link.hops) && (link.hops > 1 || is_own);
    let sound = numbered(link.partition) && lies(link.position) && follows && written && counted;
    (sound && one_spelling && tag == tag_of(link, secret, carrier)).then_some(link)
}

fn spelled(link: Link, tag: &str) -> String {
    let Link {
        partition,
        epoch,
        position,
        previous,
        origin,
        hops,
    } = link;
    let pair = |(leader_epoch, offset): Position| format!("{leader_epoch}.{offset}");
    format!(
        "{partition}:{epoch}:{}:{}:{}.{}:{hops}:{tag}",
        pair(position),
        pair(previous),
        origin.0,
        origin.1
    )
}

/// The first 16 bytes, in hexadecimal, of the keyed BLAKE3 hash over where the record lies, the numbers, the key
/// and the value.
fn tag_of(link: Link, secret: &[u8; 32], carrier: Carrier<'_>) -> String {
    let Carrier {
        partition,
        key,
        value,
    } = carrier;
    let mut input = Vec::new();
    input.extend(partition.to_be_bytes());
    input.extend(link.partition.to_be_bytes());
    input.extend(link.epoch.to_be_bytes());
    for (leader_epoch, offset) in [link.position, link.previous] {
        input.extend(leader_epoch.to_be_bytes());
        input.extend(offset.to_be_bytes());
    }
    input.extend(link.origin.0.to_be_bytes());
    input.extend(link.origin.1.to_be_bytes());
    input.push(link.hops);
    input.extend((key.len() as u64).to_be_bytes());
    input.extend(key);
    input.push(u8::from(value.is_some()));
    input.extend(value.unwrap_or_default());
    let hash = blake3::keyed_hash(secret, &input);
    hash.as_bytes()[..16]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Writes the header of a link.
#[cfg(test)]
pub(super) fn write(link: Link, secret: &[u8; 32], carrier: Carrier<'_>) -> String {
    spelled(link, &tag_of(link, secret, carrier))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: Link = Link {
        partition: 3,
        epoch: 0,
        position: (1, 120),
        previous: BEGINNING,
        origin: (4, 31),
        hops: 2,
    };
    const CARRIER: Carrier<'static> = Carrier {
        partition: 5,
        key: b"a",
        value: Some(b"5"),
    };

    #[test]
    fn a_forged_or_copied_link_is_none() {
        let header = write(LINK, &[7; 32], CARRIER);
        let known = |header: &str| read(header.as_bytes(), &[7; 32], CARRIER);
        assert_eq!(known(&header), Some(LINK));
        assert_eq!(read(header.as_bytes(), &[8; 32], CARRIER), None);
        for carrier in [
            Carrier {
                partition: 6,
                ..CARRIER
            },
            Carrier {
                value: None,
                ..CARRIER
            },
        ] {
            assert_eq!(read(header.as_bytes(), &[7; 32], carrier), None);
        }
        assert_eq!(known(&header.replacen("3:", "03:", 1)), None);
        assert_eq!(known(&header.replacen("120", "121", 1)), None);
        assert_eq!(known(&header.replacen("4.31", "4.32", 1)), None);
        assert_eq!(known(&header.replacen(":2:", ":3:", 1)), None);
        assert_eq!(known(&format!("{header}:")), None);
    }

    #[test]
    fn a_right_tag_over_numbers_that_no_record_has_is_none() {
        let is_known = |link: Link| {
            let header = write(link, &[7; 32], CARRIER);
            read(header.as_bytes(), &[7; 32], CARRIER).is_some()
        };
        let chained = |partition, position, previous| Link {
            partition,
            position,
            previous,
            ..LINK
        };
        assert!(is_known(chained(1, (-1, 12), BEGINNING)));
        assert!(!is_known(chained(1, (-13, 12), (3, 11))));
        assert!(!is_known(chained(1, BEGINNING, BEGINNING)));
        assert!(!is_known(chained(1, (3, 12), (3, -1))));
        assert!(!is_known(chained(u32::MAX, (3, 12), BEGINNING)));
        let from = |origin, hops| Link {
            origin,
            hops,
            ..LINK
        };
        assert!(is_known(from((3, 120), 1)));
        assert!(!is_known(from((4, 31), 1)), "another record in the source");
        assert!(!is_known(from((3, 120), 0)));
        assert!(!is_known(from((4, 31), HOPS_MAX + 1)));
        assert!(!is_known(from((4, -1), 2)));
        assert!(!is_known(from((u32::MAX, 31), 2)));
    }
}
