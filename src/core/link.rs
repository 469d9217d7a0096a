//! The chain of strays from one partition to another: each link names the one before it.
//!
//! Clients with different partitioners write one name to different partitions. A request that lies
//! in another partition than its name's home is forwarded there, with a header that says where it
//! came from: `PARTITION:OFFSET:PREVIOUS:TAG`. By PREVIOUS home knows that nothing was lost between
//! two links, by OFFSET that none comes twice, and by TAG, a keyed hash, that no client made it up.

use std::fmt;

/// The key of the tags: drawn at random once for the whole service, kept in the state topic.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct LinkKey(pub [u8; 32]);

impl fmt::Debug for LinkKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkKey(..)")
    }
}

/// One forwarded record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// The partition that the client wrote to.
    pub partition: u32,
    /// The offset of the client's record.
    pub offset: i64,
    /// The offset that the partition forwarded to the same home before; -1 at first.
    pub previous: i64,
}

/// In the place of an offset before the first.
pub const NO_PREVIOUS: i64 = -1;

/// Hexadecimal digits of a tag.
const TAG_DIGITS: usize = 32;

impl Link {
    /// The header's value for a record.
    pub fn header(&self, key: &LinkKey, name: &[u8], value: Option<&[u8]>) -> String {
        let Link {
            partition,
            offset,
            previous,
        } = self;
        let tag = self.tag(key, name, value);
        format!("{partition}:{offset}:{previous}:{tag}")
    }

    /// The link of a record, if its header is one that this service wrote.
    pub fn verified(
        header: &[u8],
        key: &LinkKey,
        name: &[u8],
        value: Option<&[u8]>,
    ) -> Option<Link> {
        let mut parts = std::str::from_utf8(header).ok()?.splitn(4, ':');
        let link = Link {
            partition: parts.next()?.parse().ok()?,
            offset: parts.next()?.parse().ok()?,
            previous: parts.next()?.parse().ok()?,
        };
        let tag = parts.next()?;
        // The whole text is compared, so that one link has one spelling.
        (tag.len() == TAG_DIGITS && link.header(key, name, value).as_bytes() == header)
            .then_some(link)
    }

    fn tag(&self, key: &LinkKey, name: &[u8], value: Option<&[u8]>) -> String {
        let Link {
            partition,
            offset,
            previous,
        } = self;
        let mut hasher = blake3::Hasher::new_keyed(&key.0);
        hasher.update(&partition.to_be_bytes());
        hasher.update(&offset.to_be_bytes());
        hasher.update(&previous.to_be_bytes());
        hasher.update(&(name.len() as u64).to_be_bytes());
        hasher.update(name);
        hasher.update(&[u8::from(value.is_some())]);
        hasher.update(value.unwrap_or_default());
        let mut tag = hasher.finalize().to_hex().to_string();
        tag.truncate(TAG_DIGITS);
        tag
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: LinkKey = LinkKey([7; 32]);
    const LINK: Link = Link {
        partition: 3,
        offset: 120,
        previous: NO_PREVIOUS,
    };

    #[test]
    fn a_link_is_known_again_and_a_forged_one_is_not() {
        let header = LINK.header(&KEY, b"orders", Some(b"5"));
        let verified = |header: &str, key: &LinkKey, name: &[u8], value: Option<&[u8]>| {
            Link::verified(header.as_bytes(), key, name, value)
        };
        assert_eq!(verified(&header, &KEY, b"orders", Some(b"5")), Some(LINK));
        assert_eq!(
            verified(&header, &LinkKey([8; 32]), b"orders", Some(b"5")),
            None
        );
        assert_eq!(verified(&header, &KEY, b"order", Some(b"5")), None);
        assert_eq!(verified(&header, &KEY, b"orders", Some(b"6")), None);
        assert_eq!(verified(&header, &KEY, b"orders", None), None);
        for forged in [
            header.replacen("3:", "4:", 1),
            header.replacen("3:", "03:", 1),
            header.replacen(":120:", ":121:", 1),
            header.replacen(":-1:", ":119:", 1),
            header[..header.len() - 1].to_owned(),
            format!("{header}0"),
            String::new(),
            "1:2:3".to_owned(),
        ] {
            assert_eq!(
                verified(&forged, &KEY, b"orders", Some(b"5")),
                None,
                "{forged}"
            );
        }
    }

    #[test]
    fn the_key_is_not_printed() {
        assert_eq!(format!("{KEY:?}"), "LinkKey(..)");
    }
}
