//! The reset: an operator's repair. Everything before it is void. The full state follows it.

use super::bytes::{Reader, push_text};
use super::{BatchId, FORMAT_VERSION_FIRST, encode_envelope};
use crate::core::NextOffset;

/// The repair's own data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reset {
    /// Requests from this offset on, up to the offset where the repair goes on, may never be answered. The
    /// repair skips none when both are the same.
    pub answered: NextOffset,
    /// The epoch of the repair. It is here as well as in the footer, because compaction removes that footer. A
    /// footer of an earlier epoch behind the reset is that of a zombie.
    pub epoch: u64,
    /// The author and the reason of the repair, for people.
    pub reason: String,
}

impl Reset {
    /// Appends the reset's value to `out`.
    pub fn encode(&self, out: &mut Vec<u8>, batch: BatchId) {
        encode_envelope(out, batch, FORMAT_VERSION_FIRST);
        out.extend_from_slice(&self.answered.0.to_be_bytes());
        out.extend_from_slice(&self.epoch.to_be_bytes());
        push_text(out, &self.reason);
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Reset> {
        Some(Reset {
            answered: NextOffset(reader.offset()?),
            epoch: reader.u64()?,
            reason: reader.text()?.to_owned(),
        })
    }
}
