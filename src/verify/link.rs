//! The links of strays: `PARTITION:OFFSET:PREVIOUS:TAG` in the header `sequencer-forwarded`.

/// A link that this service wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Where the client's record lies.
    pub partition: u32,
    /// Its offset.
    pub offset: i64,
    /// The stray before it from there to here, or -1.
    pub previous: i64,
}

/// Reads a header; none when it is no right link, and the record an ordinary request.
pub fn read(header: &[u8], secret: &[u8; 32], key: &[u8], value: Option<&[u8]>) -> Option<Link> {
    let text = std::str::from_utf8(header).ok()?;
    let [partition, offset, previous, tag] = text.split(':').collect::<Vec<_>>().try_into().ok()?;
    let link = Link {
        partition: partition.parse().ok()?,
        offset: offset.parse().ok()?,
        previous: previous.parse().ok()?,
    };
    let Link {
        partition: source,
        offset,
        previous,
    } = link;
    let one_spelling = text == format!("{source}:{offset}:{previous}:{tag}");
    (one_spelling && tag == tag_of(link, secret, key, value)).then_some(link)
}

/// The first 16 bytes, in hexadecimal, of the keyed BLAKE3 hash over the three numbers, the key and
/// the value.
fn tag_of(link: Link, secret: &[u8; 32], key: &[u8], value: Option<&[u8]>) -> String {
    let mut input = Vec::new();
    input.extend(link.partition.to_be_bytes());
    input.extend(link.offset.to_be_bytes());
    input.extend(link.previous.to_be_bytes());
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

/// The header of a link.
#[cfg(test)]
pub fn write(link: Link, secret: &[u8; 32], key: &[u8], value: Option<&[u8]>) -> String {
    let tag = tag_of(link, secret, key, value);
    format!("{}:{}:{}:{tag}", link.partition, link.offset, link.previous)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forged_link_is_none() {
        let link = Link {
            partition: 3,
            offset: 120,
            previous: -1,
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
}
