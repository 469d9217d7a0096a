//! Counts the replies that are sent and not acknowledged, and decides when a checkpoint may cover them (I4).
//!
//! In `immediate` mode a reply is acknowledged in its own time, in no order across reply partitions. So replies
//! are counted by *epoch*. A cut ends an epoch. The offsets of a cut may be committed when no reply of its
//! epoch or an earlier one is outstanding.

use std::collections::VecDeque;

use crate::core::invariants::holds;

/// Identifies the epoch of a reply. The producer hands it back with the acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// The assignment of the partition. An acknowledgement for an earlier assignment is ignored.
    pub assignment: u32,
    /// The epoch of the reply.
    pub epoch: u32,
}

impl Token {
    /// Packs the token into one number.
    pub fn to_bits(self) -> u64 {
        u64::from(self.assignment) << 32 | u64::from(self.epoch)
    }

    /// Unpacks the number.
    pub fn from_bits(bits: u64) -> Token {
        let half = |bits: u64| u32::try_from(bits & u64::from(u32::MAX)).unwrap_or(u32::MAX);
        Token {
            assignment: half(bits >> 32),
            epoch: half(bits),
        }
    }
}

/// Counts of replies sent and not yet acknowledged, oldest epoch first.
#[derive(Debug)]
pub struct Outstanding {
    first_epoch: u32,
    counts: VecDeque<u64>,
}

impl Default for Outstanding {
    fn default() -> Outstanding {
        Outstanding {
            first_epoch: 0,
            counts: VecDeque::from([0]),
        }
    }
}

impl Outstanding {
    /// The current epoch of replies that are sent.
    pub fn epoch(&self) -> u32 {
        let behind = u32::try_from(self.counts.len().saturating_sub(1)).unwrap_or(u32::MAX);
        self.first_epoch.wrapping_add(behind)
    }

    /// Counts a sent reply, and returns its epoch.
    pub fn sent(&mut self) -> u32 {
        if let Some(count) = self.counts.back_mut() {
            *count += 1;
        }
        self.epoch()
    }

    /// Counts acknowledged replies of `epoch`.
    pub fn acknowledged(&mut self, epoch: u32, replies: u64) {
        let index = epoch.wrapping_sub(self.first_epoch);
        let count = usize::try_from(index)
            .ok()
            .and_then(|i| self.counts.get_mut(i));
        holds!(
            count.is_some(),
            "I4: an epoch that is over has no reply outstanding"
        );
        if let Some(count) = count {
            *count = count.saturating_sub(replies);
        }
        while self.counts.len() > 1 && self.counts.front() == Some(&0) {
            self.counts.pop_front();
            self.first_epoch = self.first_epoch.wrapping_add(1);
        }
    }

    /// Ends the epoch, and returns it.
    pub fn cut(&mut self) -> u32 {
        let epoch = self.epoch();
        if self.counts == [0] {
            self.first_epoch = self.first_epoch.wrapping_add(1);
        } else {
            self.counts.push_back(0);
        }
        epoch
    }

    /// True when no reply of `epoch` or an earlier one is outstanding.
    pub fn settled(&self, epoch: u32) -> bool {
        let ahead = epoch.wrapping_sub(self.first_epoch).cast_signed();
        if ahead < 0 {
            return true;
        }
        let upto = usize::try_from(ahead).unwrap_or(usize::MAX);
        self.counts
            .iter()
            .take(upto.saturating_add(1))
            .all(|count| *count == 0)
    }

    /// Replies of all epochs that are sent and not acknowledged.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_is_settled_when_all_replies_up_to_it_are_acknowledged() {
        let mut outstanding = Outstanding::default();
        let first = outstanding.sent();
        outstanding.sent();
        let cut = outstanding.cut();
        assert_eq!(cut, first);
        let second = outstanding.sent();
        outstanding.acknowledged(second, 1);
        assert!(
            !outstanding.settled(cut),
            "a later acknowledgement does not settle it"
        );
        outstanding.acknowledged(first, 1);
        assert!(!outstanding.settled(cut));
        outstanding.acknowledged(first, 1);
        assert!(outstanding.settled(cut));
        assert_eq!(outstanding.total(), 0);
    }

    #[test]
    fn a_token_survives_being_a_number() {
        let token = Token {
            assignment: u32::MAX - 1,
            epoch: 7,
        };
        assert_eq!(Token::from_bits(token.to_bits()), token);
    }

    #[test]
    fn a_cut_without_replies_is_settled_and_epochs_wrap() {
        let mut outstanding = Outstanding {
            first_epoch: u32::MAX,
            counts: VecDeque::from([0]),
        };
        let cut = outstanding.cut();
        assert!(outstanding.settled(cut));
        let epoch = outstanding.sent();
        assert_eq!(epoch, 0);
        let cut = outstanding.cut();
        assert!(!outstanding.settled(cut));
        outstanding.acknowledged(epoch, 1);
        assert!(outstanding.settled(cut));
    }
}
