//! Limits that can change an answer. They belong to the fold's version: a release that changes one
//! of them changes [`FOLD_VERSION`], because two instances must give one request the same answer.

/// The rules by which requests are folded, and the form of the answers. An instance refuses a partition whose
/// state names a version that it does not know.
///
/// It stays 1 until the first release, also when an answer changes: no release answers in another way yet, and
/// another number would only refuse the states that exist.
pub const FOLD_VERSION: u16 = 1;

/// Longest sequence name in UTF-8 bytes. Kafka keys have no limit of their own. With 255, a key fits into a
/// file name, a label and a log line.
pub const NAME_BYTES_MAX: usize = 255;

/// Longest request value in bytes (64 KiB). It bounds how much an owner has to parse for one record.
pub const VALUE_BYTES_MAX: usize = 64 * 1024;

/// Most IDs that one request can take, unless the definition of its sequence says otherwise.
pub const COUNT_DEFAULT_MAX: u64 = 1_000_000;

/// Most IDs that a definition can let one request take: 2^53-1, the largest integer that every JSON reader holds
/// exactly. Clients that keep blocks of IDs ask for very large ones.
pub const COUNT_MAX: u64 = ID_LAST.unsigned_abs();

/// Longest `request_id` and `requester` in UTF-8 bytes.
pub const TEXT_FIELD_BYTES_MAX: usize = 255;

/// First ID of a sequence.
pub const ID_FIRST: i64 = 1;

/// Last ID of a sequence: 2^53-1, the largest integer that every JSON reader holds exactly.
pub const ID_LAST: i64 = (1 << 53) - 1;

/// Lowest bound of a definition; the lowest 64-bit integer is left out, so that negation is safe.
pub const BOUND_MIN: i64 = -i64::MAX;

/// Highest bound of a definition.
pub const BOUND_MAX: i64 = i64::MAX;

/// Requests with a `request_id` that a partition remembers: about 10 MB of memory (see `core::window`). A retry
/// that comes after this many others counts as a new request.
pub const WINDOW_REQUESTS: u32 = 100_000;

/// Most requests with a `request_id` that a definition lets its sequence remember: ten minutes of 1,600 requests a
/// second.
pub const REMEMBER_MAX: u32 = 1_000_000;

/// Most requests that all sequences of a partition may remember: about 70 MB of memory, and 40 MB of its state (see
/// `core::own`).
pub const REMEMBERED_PER_PARTITION_MAX: u64 = 1_000_000;

/// The least that a sequence with an own window counts for [`REMEMBERED_PER_PARTITION_MAX`]. So a partition has 10,000
/// of them at most, and a definition looks at them in a millisecond.
pub const REMEMBER_COUNTED_MIN: u32 = 100;

/// Most sequences of one partition (2^24). It bounds an owner's memory to about 2 GiB a partition, even if a
/// client floods it with names.
pub const SEQUENCES_PER_PARTITION_MAX: usize = 1 << 24;

/// Most times that a request is forwarded. With one number of partitions a request is home after one hop, and a
/// change of that number adds three at most. More than this is a loop: partitions disagree about a name's home.
pub const HOPS_MAX: u8 = 16;

/// Most numbers of partitions that a service can have had, the first one included. Each is at least twice the one
/// before: 16 of them reach from 1 partition to 32,768, beyond what one topic of a Kafka cluster holds.
pub const EPOCHS_MAX: usize = 16;

/// Most partitions that a rescale leads to. The record that begins it causes a message to each of them at most, in
/// one step of the fold.
pub const RESCALED_PARTITIONS_MAX: u32 = 10_000;

/// Longest part of a client's own text that an error message repeats, in bytes.
pub const ECHO_BYTES_MAX: usize = 64;
