//! The header of a forwarded record:
//! `PARTITION:EPOCH:LEADER.OFFSET:LEADER.OFFSET:ORIGIN.OFFSET:HOPS:TAG`.
//!
//! The first position is that of the record in the partition that forwards it, the second one that of the link
//! before. The origin is the partition and offset of the record that the client wrote.
//!
//! TAG is a keyed hash over all of these, the destination, the key and the value. It shows the destination that
//! no client forged the link, and that nobody copied the record from another partition.

use super::{Link, LinkKey, Origin, Position};
use crate::core::limits::HOPS_MAX;
use crate::core::planted::planted;
use crate::core::position::Offset;

/// Hexadecimal digits of a tag.
const TAG_DIGITS: usize = 32;

impl Link {
    /// Returns the header's value for a record that goes to the partition `destination`.
    pub fn header(
        &self,
        key: &LinkKey,
        destination: u32,
        name: &[u8],
        value: Option<&[u8]>,
    ) -> String {
        let Link {
            partition,
            epoch,
            position,
            previous,
            origin,
            hops,
        } = self;
        let Origin {
            partition: at,
            offset,
        } = origin;
        let tag = self.tag(key, destination, name, value);
        format!("{partition}:{epoch}:{position}:{previous}:{at}.{offset}:{hops}:{tag}")
    }

    /// Returns the link of a record in the partition `destination`, if this service wrote its header for that
    /// partition. The tag alone does not prove that: a link that no owner makes counts as absent too, so that
    /// the request is answered instead of dropped.
    pub fn verified(
        header: &[u8],
        key: &LinkKey,
        destination: u32,
        name: &[u8],
        value: Option<&[u8]>,
    ) -> Option<Link> {
        let (link, tag) = Link::read(std::str::from_utf8(header).ok()?)?;
        // Compares the whole text, so that a link has only one spelling.
        (tag.len() == TAG_DIGITS
            && link.is_of_an_owner()
            && link.header(key, destination, name, value).as_bytes() == header)
            .then_some(link)
    }

    /// Takes a header apart into its numbers, whatever they are, and its tag, right or wrong.
    pub fn read(header: &str) -> Option<(Link, &str)> {
        let mut parts = header.splitn(7, ':');
        let link = Link {
            partition: parts.next()?.parse().ok()?,
            epoch: parts.next()?.parse().ok()?,
            position: position(parts.next()?)?,
            previous: position(parts.next()?)?,
            origin: origin(parts.next()?)?,
            hops: parts.next()?.parse().ok()?,
        };
        Some((link, parts.next()?))
    }

    /// True for numbers that an owner can give a link.
    fn is_of_an_owner(&self) -> bool {
        let Link {
            partition,
            epoch: _, // any number
            position,
            previous,
            origin,
            hops,
        } = *self;
        // Kafka numbers partitions with a signed integer.
        let is_numbered = |partition: u32| i32::try_from(partition).is_ok();
        let is_own = origin.partition == partition && origin.offset == Offset(position.offset);
        is_numbered(partition)
            && position.is_sound()
            && position != Position::NONE
            && previous.is_sound()
            && is_numbered(origin.partition)
            && origin.offset >= Offset(0)
            && (1..=HOPS_MAX).contains(&hops)
            && (hops > 1 || is_own)
    }

    fn tag(&self, key: &LinkKey, destination: u32, name: &[u8], value: Option<&[u8]>) -> String {
        let Link {
            partition,
            epoch,
            position,
            previous,
            origin,
            hops,
        } = self;
        let mut hasher = blake3::Hasher::new_keyed(&key.0);
        if !planted!(TagWithoutDestination) {
            hasher.update(&destination.to_be_bytes());
        }
        hasher.update(&partition.to_be_bytes());
        hasher.update(&epoch.to_be_bytes());
        for Position {
            leader_epoch,
            offset,
        } in [position, previous]
        {
            hasher.update(&leader_epoch.to_be_bytes());
            hasher.update(&offset.to_be_bytes());
        }
        hasher.update(&origin.partition.to_be_bytes());
        hasher.update(&origin.offset.0.to_be_bytes());
        hasher.update(&[*hops]);
        hasher.update(&(name.len() as u64).to_be_bytes());
        hasher.update(name);
        hasher.update(&[u8::from(value.is_some())]);
        hasher.update(value.unwrap_or_default());
        let mut tag = hasher.finalize().to_hex().to_string();
        tag.truncate(TAG_DIGITS);
        tag
    }
}

fn position(text: &str) -> Option<Position> {
    let (leader_epoch, offset) = text.split_once('.')?;
    Some(Position {
        leader_epoch: leader_epoch.parse().ok()?,
        offset: offset.parse().ok()?,
    })
}

fn origin(text: &str) -> Option<Origin> {
    let (partition, offset) = text.split_once('.')?;
    Some(Origin {
        partition: partition.parse().ok()?,
        offset: Offset(offset.parse().ok()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: LinkKey = LinkKey([7; 32]);
    /// The partition that the links go to.
    const HERE: u32 = 5;
    const LINK: Link = Link {
        partition: 3,
        epoch: 7,
        position: at(2, 120),
        previous: Position::NONE,
        origin: origin(4, 31),
        hops: 2,
    };

    const fn at(leader_epoch: i32, offset: i64) -> Position {
        Position {
            leader_epoch,
            offset,
        }
    }

    const fn origin(partition: u32, offset: i64) -> Origin {
        Origin {
            partition,
            offset: Offset(offset),
        }
    }

    #[test]
    fn a_link_is_known_again_and_a_forged_or_copied_one_is_not() {
        let header = LINK.header(&KEY, HERE, b"orders", Some(b"5"));
        let verified = |key: &LinkKey, destination, name: &[u8], value: Option<&[u8]>| {
            Link::verified(header.as_bytes(), key, destination, name, value)
        };
        assert_eq!(verified(&KEY, HERE, b"orders", Some(b"5")), Some(LINK));
        let other = LinkKey([8; 32]);
        assert_eq!(verified(&other, HERE, b"orders", Some(b"5")), None);
        assert_eq!(verified(&KEY, HERE + 1, b"orders", Some(b"5")), None);
        assert_eq!(verified(&KEY, HERE, b"order", Some(b"5")), None);
        assert_eq!(verified(&KEY, HERE, b"orders", Some(b"6")), None);
        assert_eq!(verified(&KEY, HERE, b"orders", None), None);
        for forged in [
            header.replacen("3:", "4:", 1),
            header.replacen("3:", "03:", 1),
            header.replacen(":7:", ":8:", 1),
            header.replacen(".120:", ".121:", 1),
            header.replacen(":2.", ":3.", 1),
            header.replacen(":-1.-1:", ":2.119:", 1),
            header.replacen(":4.31:", ":5.31:", 1),
            header.replacen(":4.31:", ":4.32:", 1),
            header.replacen(":4.31:2:", ":4.31:3:", 1),
            header.replacen(":4.31:2:", ":4.31:02:", 1),
            header[..header.len() - 1].to_owned(),
            format!("{header}0"),
            String::new(),
            "1:2:3".to_owned(),
            // The format of a link before there were origins.
            format!("3:7:2.120:-1.-1:{}", &header[header.len() - TAG_DIGITS..]),
        ] {
            let verified = Link::verified(forged.as_bytes(), &KEY, HERE, b"orders", Some(b"5"));
            assert_eq!(verified, None, "{forged}");
        }
    }

    #[test]
    fn a_link_with_numbers_that_no_record_has_counts_as_absent_whatever_its_tag() {
        let verified = |link: Link| {
            let header = link.header(&KEY, HERE, b"orders", None);
            Link::verified(header.as_bytes(), &KEY, HERE, b"orders", None)
        };
        let chained = |position, previous| Link {
            position,
            previous,
            ..LINK
        };
        let hops = |hops, origin| Link {
            hops,
            origin,
            ..LINK
        };
        let sound = [
            chained(at(0, 0), Position::NONE),
            chained(at(-1, 5), at(-1, 0)),
            Link {
                partition: i32::MAX.unsigned_abs(),
                ..LINK
            },
            hops(HOPS_MAX, origin(3, 120)),
            hops(1, origin(3, 120)),
        ];
        for sound in sound {
            assert_eq!(verified(sound), Some(sound));
        }
        let nonsense = [
            chained(at(-13, 12), at(3, 11)),
            chained(at(i32::MIN, 12), Position::NONE),
            chained(at(2, -1), Position::NONE),
            chained(at(2, i64::MIN), Position::NONE),
            chained(Position::NONE, Position::NONE),
            chained(at(3, 12), at(-2, 11)),
            chained(at(3, 12), at(3, -1)),
            chained(at(3, 12), at(-1, -2)),
            Link {
                partition: i32::MAX.unsigned_abs() + 1,
                ..LINK
            },
            hops(0, origin(3, 120)),
            hops(HOPS_MAX + 1, origin(3, 120)),
            // After the first hop, the record in the source is the client's own.
            hops(1, origin(4, 120)),
            hops(1, origin(3, 119)),
            hops(2, origin(4, -1)),
            hops(2, origin(i32::MAX.unsigned_abs() + 1, 31)),
        ];
        for nonsense in nonsense {
            assert_eq!(verified(nonsense), None, "{nonsense:?}");
        }
    }
}
