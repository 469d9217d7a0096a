//! The Java client's partitioner: murmur2 with its seed, sign bit cleared, modulo partitions.
//!
//! It decides the home partition of a name, and the partition of a reply.

/// Kafka's murmur2 (`org.apache.kafka.common.utils.Utils.murmur2`).
pub fn murmur2(data: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    const R: u32 = 24;
    // A key is far below 4 GiB: names are at most 255 bytes, and Kafka's records end at 2 GiB.
    #[allow(clippy::cast_possible_truncation)]
    let mut h: u32 = SEED ^ data.len() as u32;
    let mut words = data.chunks_exact(4);
    for word in &mut words {
        let mut k = u32::from_le_bytes([word[0], word[1], word[2], word[3]]);
        k = k.wrapping_mul(M);
        k ^= k >> R;
        k = k.wrapping_mul(M);
        h = h.wrapping_mul(M) ^ k;
    }
    let rest = words.remainder();
    for (i, byte) in rest.iter().enumerate() {
        h ^= u32::from(*byte) << (8 * i);
    }
    if !rest.is_empty() {
        h = h.wrapping_mul(M);
    }
    h ^= h >> 13;
    h = h.wrapping_mul(M);
    h ^ (h >> 15)
}

/// The number of a key whose remainder, divided by the number of partitions, is the key's partition.
pub fn hash_of(key: &[u8]) -> u32 {
    murmur2(key) & 0x7fff_ffff
}

/// The partition of a key among `partitions`, as the Java client would choose it.
pub fn partition_of(key: &[u8], partitions: u32) -> u32 {
    hash_of(key) % partitions.max(1)
}

/// The same as an `i32`, as Kafka's clients number partitions. There are never more than an `i32` counts.
pub fn partition_id_of(key: &[u8], partitions: u32) -> i32 {
    i32::try_from(partition_of(key, partitions)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written by `tests/vectors/Murmur2Vectors.java` with the Java client's own classes.
    const VECTORS: &str = include_str!("../../../tests/vectors/murmur2.tsv");

    fn from_hex(digits: &str) -> Vec<u8> {
        let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
        (0..digits.len()).step_by(2).map(byte).collect()
    }

    #[test]
    fn hashes_and_partitions_are_those_of_the_java_client() {
        let mut lines = VECTORS.lines().map(|line| line.split('\t'));
        let counts: Vec<u32> = lines
            .next()
            .unwrap()
            .skip(2)
            .map(|count| count.parse().unwrap())
            .collect();
        let mut lengths = std::collections::BTreeSet::new();
        for mut line in lines {
            let key = from_hex(line.next().unwrap());
            let hash: i32 = line.next().unwrap().parse().unwrap();
            assert_eq!(murmur2(&key).cast_signed(), hash, "{key:?}");
            let partitions: Vec<u32> = line.map(|partition| partition.parse().unwrap()).collect();
            let ours: Vec<u32> = counts.iter().map(|n| partition_of(&key, *n)).collect();
            assert_eq!(ours, partitions, "{key:?}");
            lengths.insert(key.len());
        }
        assert!(counts.len() >= 10 && (0..=255).all(|length| lengths.contains(&length)));
    }
}
