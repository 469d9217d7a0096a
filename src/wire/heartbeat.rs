//! Heartbeats: the records by which an instance shows in `sequencer.heartbeats` that it lives.
//!
//! The key is the group, a slash and the `instance_id`, because two services may share the topic by mistake.
//! The value holds the format version, flags, incarnation, count, interval and patience, big-endian. A record
//! of another version is ignored: its instance counts as not heard.

/// The version of the format.
const VERSION: u8 = 1;
/// The length of a value: version, flags, incarnation, count, interval, patience.
const VALUE_BYTES: usize = 1 + 1 + 8 + 8 + 4 + 4;
/// The header that holds the newest version of state records that the writer reads, as decimal text. Without it,
/// the writer is a release from before rescales. A release that does not know the header passes over it.
pub const STATE_FORMAT: &str = "state-format";

/// The flag of an incarnation's last heartbeat.
const GOODBYE: u8 = 1;
/// The flag of a notice that a peer evicts this incarnation.
const EVICTED: u8 = 2;

/// The meaning of a heartbeat for its incarnation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// It lives.
    Alive,
    /// It ends, and this is its last heartbeat.
    Goodbye,
    /// A peer takes it for dead and evicts it. The peer writes this in its name, so that all others know.
    Evicted,
}

/// The content of one heartbeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// The `instance_id` of the writer.
    pub instance: String,
    /// A random number that each engine draws at its start.
    pub incarnation: u64,
    /// The number of this heartbeat in its incarnation, from 0.
    pub count: u64,
    /// The time until the next heartbeat, in ms.
    pub interval_ms: u32,
    /// The silence that the instance asks others to bear, in ms; 0 when it asks for none.
    pub patience_ms: u32,
    /// The meaning of this heartbeat.
    pub sign: Sign,
}

impl Heartbeat {
    /// The key of the heartbeat's record.
    pub fn key(&self, group: &str) -> String {
        format!("{group}/{}", self.instance)
    }

    /// The value of the heartbeat's record.
    pub fn encode(&self) -> [u8; VALUE_BYTES] {
        let mut value = [0; VALUE_BYTES];
        value[0] = VERSION;
        value[1] = match self.sign {
            Sign::Alive => 0,
            Sign::Goodbye => GOODBYE,
            Sign::Evicted => EVICTED,
        };
        value[2..10].copy_from_slice(&self.incarnation.to_be_bytes());
        value[10..18].copy_from_slice(&self.count.to_be_bytes());
        value[18..22].copy_from_slice(&self.interval_ms.to_be_bytes());
        value[22..26].copy_from_slice(&self.patience_ms.to_be_bytes());
        value
    }

    /// Decodes a record's key and value. Returns none for a record that is no heartbeat of this version, or
    /// belongs to another group.
    pub fn decode(group: &str, key: Option<&[u8]>, value: Option<&[u8]>) -> Option<Heartbeat> {
        let key = std::str::from_utf8(key?).ok()?;
        let instance = key.strip_prefix(group)?.strip_prefix('/')?.to_owned();
        let value: &[u8; VALUE_BYTES] = value?.try_into().ok()?;
        let [VERSION, flags, rest @ ..] = value else {
            return None;
        };
        let (incarnation, rest) = rest.split_first_chunk()?;
        let (count, rest) = rest.split_first_chunk()?;
        let (interval_ms, rest) = rest.split_first_chunk()?;
        let (patience_ms, _) = rest.split_first_chunk()?;
        Some(Heartbeat {
            instance,
            incarnation: u64::from_be_bytes(*incarnation),
            count: u64::from_be_bytes(*count),
            interval_ms: u32::from_be_bytes(*interval_ms),
            patience_ms: u32::from_be_bytes(*patience_ms),
            sign: match *flags {
                0 => Sign::Alive,
                GOODBYE => Sign::Goodbye,
                EVICTED => Sign::Evicted,
                _ => return None,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heartbeat() -> Heartbeat {
        Heartbeat {
            instance: "sequencer-0".to_owned(),
            incarnation: 0x0102_0304_0506_0708,
            count: 9,
            interval_ms: 50,
            patience_ms: 400,
            sign: Sign::Goodbye,
        }
    }

    #[test]
    fn the_bytes_stay_as_they_are() {
        let golden = [
            1, 1, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 50, 0, 0, 1, 144,
        ];
        assert_eq!(heartbeat().encode(), golden);
        assert_eq!(heartbeat().key("orders"), "orders/sequencer-0");
        let read = Heartbeat::decode("orders", Some(b"orders/sequencer-0"), Some(&golden));
        assert_eq!(read, Some(heartbeat()));
    }

    #[test]
    fn what_is_none_of_this_version_is_passed_over() {
        let value = heartbeat().encode();
        let decode = |key, value| Heartbeat::decode("orders", key, value);
        let key: Option<&[u8]> = Some(b"orders/sequencer-0");
        assert_eq!(decode(None, Some(&value)), None);
        assert_eq!(decode(key, None), None);
        assert_eq!(decode(key, Some(&value[1..])), None);
        assert_eq!(decode(Some(b"others/sequencer-0"), Some(&value)), None);
        assert_eq!(decode(Some(b"orders"), Some(&value)), None);
        assert_eq!(decode(Some(&[0xff]), Some(&value)), None);
        let mut later = value;
        later[0] = 2;
        assert_eq!(decode(key, Some(&later)), None);
        let mut unknown = value;
        unknown[1] = 4;
        assert_eq!(decode(key, Some(&unknown)), None);
        assert_eq!(decode(key, Some(&value)), Some(heartbeat()));
    }
}
