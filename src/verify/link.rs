//! The links of strays: `PARTITION:EPOCH:LEADER.OFFSET:LEADER.OFFSET:TAG` in the header `sequencer-forwarded`,
//! and the end of a chain of links.

/// Leader epoch and offset of a client's record. A later record of a partition has a greater position, also
/// after a truncation.
pub type Position = (i32, i64);

/// The position before the first record.
pub const BEGINNING: Position = (-1, -1);

/// A link that this service wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// The partition of the client's record.
    pub partition: u32,
    /// The epoch of the repairs of that partition.
    pub epoch: u64,
    /// The position of the client's record.
    pub position: Position,
    /// The previous stray from that partition to this one, since that repair.
    pub previous: Position,
}

/// The end of the chain from one partition, as the home partition knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    pub epoch: u64,
    pub position: Position,
    /// True when home was repaired: the next link need not follow.
    pub open: bool,
}

/// How the home partition treats a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    On(End),
    Known,
    Gap,
}

impl Link {
    /// Applies the link to an end of its chain.
    pub fn step(&self, end: End) -> Step {
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

/// Reads a header. None for an invalid link: then the record is an ordinary request. A right tag over numbers
/// that no record of Kafka's has makes no link either.
pub fn read(header: &[u8], secret: &[u8; 32], key: &[u8], value: Option<&[u8]>) -> Option<Link> {
    let text = std::str::from_utf8(header).ok()?;
    let parts = text.split(':').collect::<Vec<_>>();
    let [partition, epoch, position, previous, tag] = parts.try_into().ok()?;
    let pair = |text: &str| {
        let (leader_epoch, offset) = text.split_once('.')?;
        Some((leader_epoch.parse().ok()?, offset.parse().ok()?))
    };
    let link = Link {
        partition: partition.parse().ok()?,
        epoch: epoch.parse().ok()?,
        position: pair(position)?,
        previous: pair(previous)?,
    };
    let one_spelling = text == spelled(link, tag);
    let lies = |(leader_epoch, offset): Position| leader_epoch >= -1 && offset >= 0;
    let follows = link.previous == BEGINNING || lies(link.previous);
    let sound = link.partition <= i32::MAX as u32 && lies(link.position) && follows;
    (sound && one_spelling && tag == tag_of(link, secret, key, value)).then_some(link)
}

fn spelled(link: Link, tag: &str) -> String {
    let Link {
        partition,
        epoch,
        position,
        previous,
    } = link;
    let pair = |(leader_epoch, offset): Position| format!("{leader_epoch}.{offset}");
    format!(
        "{partition}:{epoch}:{}:{}:{tag}",
        pair(position),
        pair(previous)
    )
}

/// The first 16 bytes, in hexadecimal, of the keyed BLAKE3 hash over the numbers, the key and the value.
fn tag_of(link: Link, secret: &[u8; 32], key: &[u8], value: Option<&[u8]>) -> String {
    let mut input = Vec::new();
    input.extend(link.partition.to_be_bytes());
    input.extend(link.epoch.to_be_bytes());
    for (leader_epoch, offset) in [link.position, link.previous] {
        input.extend(leader_epoch.to_be_bytes());
        input.extend(offset.to_be_bytes());
    }
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
pub fn write(link: Link, secret: &[u8; 32], key: &[u8], value: Option<&[u8]>) -> String {
    spelled(link, &tag_of(link, secret, key, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forged_link_is_none() {
        let link = Link {
            partition: 3,
            epoch: 0,
            position: (1, 120),
            previous: BEGINNING,
        };
        let header = write(link, &[7; 32], b"a", Some(b"5"));
        let known = |header: &str| read(header.as_bytes(), &[7; 32], b"a", Some(b"5"));
        assert_eq!(known(&header), Some(link));
        assert_eq!(read(header.as_bytes(), &[8; 32], b"a", Some(b"5")), None);
        assert_eq!(read(header.as_bytes(), &[7; 32], b"a", None), None);
        assert_eq!(known(&header.replacen("3:", "03:", 1)), None);
        assert_eq!(known(&header.replacen("120", "121", 1)), None);
        assert_eq!(known(&format!("{header}:")), None);
    }

    #[test]
    fn a_right_tag_over_numbers_that_no_record_has_is_none() {
        let is_known = |partition, position, previous| {
            let link = Link {
                partition,
                epoch: 7,
                position,
                previous,
            };
            let header = write(link, &[7; 32], b"a", None);
            read(header.as_bytes(), &[7; 32], b"a", None).is_some()
        };
        assert!(is_known(1, (-1, 12), BEGINNING));
        assert!(!is_known(1, (-13, 12), (3, 11)));
        assert!(!is_known(1, BEGINNING, BEGINNING));
        assert!(!is_known(1, (3, 12), (3, -1)));
        assert!(!is_known(u32::MAX, (3, 12), BEGINNING));
    }
}
