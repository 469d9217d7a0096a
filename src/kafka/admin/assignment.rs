//! The assignment of a group member in the encoding of Kafka's consumer protocol. The quick listing of a group
//! has it in this form.
//!
//! | bytes | contain |
//! |---|---|
//! | 2 | version; newer versions only append fields |
//! | 4 | number of topics, and for each: |
//! | 2 and more | length and name of the topic |
//! | 4 and more | number of partitions, and 4 bytes for each |

use std::collections::BTreeMap;

/// The partitions by topic, in order. Empty when the bytes are not an assignment: during a rebalance a member
/// has none, and the list is for display only.
pub(super) fn read(bytes: &[u8]) -> BTreeMap<String, Vec<i32>> {
    topics(bytes).unwrap_or_default()
}

fn topics(mut bytes: &[u8]) -> Option<BTreeMap<String, Vec<i32>>> {
    let from = &mut bytes;
    let _version = take::<2>(from)?;
    let mut assigned = BTreeMap::new();
    for _ in 0..i32::from_be_bytes(take(from)?) {
        let length = usize::try_from(i16::from_be_bytes(take(from)?)).ok()?;
        let (name, rest) = from.split_at_checked(length)?;
        *from = rest;
        let mut partitions = Vec::new();
        for _ in 0..i32::from_be_bytes(take(from)?) {
            partitions.push(i32::from_be_bytes(take(from)?));
        }
        partitions.sort_unstable();
        assigned.insert(String::from_utf8_lossy(name).into_owned(), partitions);
    }
    Some(assigned)
}

fn take<const N: usize>(from: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = from.split_first_chunk()?;
    *from = rest;
    Some(*taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two topics and user data, as a consumer of version 1 gets them.
    const BYTES: &[u8] =
        b"\0\x01\0\0\0\x02\0\x01a\0\0\0\x02\0\0\0\x03\0\0\0\x01\0\x01b\0\0\0\0\xff\xff\xff\xff";

    #[test]
    fn partitions_are_read_by_topic() {
        let expected = BTreeMap::from([("a".to_owned(), vec![1, 3]), ("b".to_owned(), vec![])]);
        assert_eq!(read(BYTES), expected);
        assert_eq!(read(b""), BTreeMap::new(), "during a rebalance");
    }

    #[test]
    fn bytes_that_end_too_early_or_promise_too_much_are_none() {
        for end in 0..BYTES.len() - 4 {
            assert_eq!(read(&BYTES[..end]), BTreeMap::new(), "{end} bytes");
        }
        let huge = b"\0\0\x7f\xff\xff\xff\0\x01a\x7f\xff\xff\xff\0\0\0\x01";
        assert_eq!(read(huge), BTreeMap::new());
        assert_eq!(read(b"\0\0\0\0\0\x01\xff\xff"), BTreeMap::new());
    }
}
