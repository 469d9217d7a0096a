//! The Java client's partitioner, written a second time: it gives the home partition of a name.

/// `(murmur2(key) & 0x7fffffff) mod partitions`.
pub(super) fn home_of(name: &str, partitions: u32) -> u32 {
    (murmur2(name.as_bytes()) & 0x7fff_ffff) % partitions.max(1)
}

/// Kafka's `Utils.murmur2`, byte by byte.
fn murmur2(bytes: &[u8]) -> u32 {
    const MIX: u32 = 0x5bd1_e995;
    // Kafka's length is an int as well; names are at most 255 bytes.
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let mut hash = 0x9747_b28c ^ length;
    let mut at = 0;
    while at + 4 <= bytes.len() {
        let mut word = 0;
        for back in (0..4).rev() {
            word = word << 8 | u32::from(bytes[at + back]);
        }
        word = word.wrapping_mul(MIX);
        word ^= word >> 24;
        hash = hash.wrapping_mul(MIX) ^ word.wrapping_mul(MIX);
        at += 4;
    }
    let left = bytes.len() - at;
    for back in (0..left).rev() {
        hash ^= u32::from(bytes[at + back]) << (8 * back);
    }
    if left > 0 {
        hash = hash.wrapping_mul(MIX);
    }
    hash = (hash ^ hash >> 13).wrapping_mul(MIX);
    hash ^ hash >> 15
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_vectors_of_kafkas_own_test() {
        for (text, expected) in [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            (
                "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8",
                -58_897_971,
            ),
            ("abc", 479_470_107),
            ("", 275_646_681),
        ] {
            assert_eq!(murmur2(text.as_bytes()).cast_signed(), expected, "{text}");
        }
    }
}
