//! The partitions that clients without murmur2 choose for a key.

/// librdkafka's default for records with a key: CRC32.
pub fn crc32(key: &[u8], partitions: i32) -> i32 {
    let mut crc = !0_u32;
    for byte in key {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xedb8_8320 & 0_u32.wrapping_sub(crc & 1));
        }
    }
    (!crc % partitions as u32) as i32
}

/// Sarama's default: FNV-1a, as a signed number.
pub fn fnv1a(key: &[u8], partitions: i32) -> i32 {
    let mut hash = 0x811c_9dc5_u32;
    for byte in key {
        hash = (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
    }
    (hash as i32 % partitions).abs()
}

#[test]
fn the_published_vectors_of_both_hashes_come_out() {
    assert_eq!(
        crc32(b"123456789", i32::MAX),
        (0xcbf4_3926_u32 % i32::MAX as u32) as i32
    );
    assert_eq!(fnv1a(b"a", i32::MAX), (0xe40c_292c_u32 as i32).abs());
}
