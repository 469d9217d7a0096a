//! The reset: an operator's repair. All before it is void; the full state follows it.

use super::bytes::{Reader, push_text};
use super::{BatchId, encode_envelope};

/// What a repair says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reset {
    /// Who and why, for people.
    pub reason: String,
}

impl Reset {
    /// Appends the reset's value to `out`.
    pub fn encode(&self, out: &mut Vec<u8>, batch: BatchId) {
        encode_envelope(out, batch);
        push_text(out, &self.reason);
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Reset> {
        Some(Reset {
            reason: reader.text()?.to_owned(),
        })
    }
}
