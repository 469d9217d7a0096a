//! Kafka's murmur2, written again, because the product's implementation is under test.

/// `org.apache.kafka.common.utils.Utils.murmur2`.
fn murmur2(data: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut h = 0x9747_b28c_u32 ^ data.len() as u32;
    let whole = data.len() / 4 * 4;
    for i in (0..whole).step_by(4) {
        let mut k = u32::from(data[i])
            | u32::from(data[i + 1]) << 8
            | u32::from(data[i + 2]) << 16
            | u32::from(data[i + 3]) << 24;
        k = k.wrapping_mul(M);
        k ^= k >> 24;
        k = k.wrapping_mul(M);
        h = h.wrapping_mul(M) ^ k;
    }
    for i in (whole..data.len()).rev() {
        h ^= u32::from(data[i]) << (8 * (i - whole));
        if i == whole {
            h = h.wrapping_mul(M);
        }
    }
    h ^= h >> 13;
    h = h.wrapping_mul(M);
    h ^ (h >> 15)
}

/// The partition that the Java client would choose for a key.
pub fn partition_of(key: &[u8], partitions: i32) -> i32 {
    (murmur2(key) & 0x7fff_ffff) as i32 % partitions
}

/// `count` names whose home is this partition.
pub fn names_at_home(partition: i32, partitions: i32, count: usize) -> Vec<String> {
    let names = (0..).map(|i| format!("home-{partition}-{i}"));
    names
        .filter(|name| partition_of(name.as_bytes(), partitions) == partition)
        .take(count)
        .collect()
}
