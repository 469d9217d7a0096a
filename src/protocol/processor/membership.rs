//! The member as which a transaction sends its offsets (T4).
//!
//! Each rebalance gives the group another generation, and Kafka refuses a transaction that names the one
//! before. So the generation is the current one when offsets are sent, and a member that stays in the group
//! loses no transaction to a rebalance. The member must be the one as which the transaction was begun. A
//! member that was thrown out and has joined again has another name, and its partitions may have had other
//! owners meanwhile (T3).

use crate::core::planted::planted;

/// The name that the group gave to a member when it joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberId(String);

impl MemberId {
    /// Returns none for a consumer that is no member of its group: librdkafka then reports a generation below
    /// 0, or has forgotten the name.
    pub fn of(name: &str, generation: i32) -> Option<MemberId> {
        (generation >= 0 && !name.is_empty()).then(|| MemberId(name.to_owned()))
    }
}

/// True when a transaction that was begun as one member may send its offsets as the consumer's current
/// member, `now`. A loss that comes after `now` was read must have cancelled the transaction before offsets
/// are sent. So `now` is read first, and cancellation is checked afterwards.
pub fn may_send(begun: Option<&MemberId>, now: Option<&MemberId>) -> bool {
    match (begun, now) {
        (Some(begun), Some(now)) => begun == now || planted!(OffsetsAsAnotherMember),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_sent_as_the_member_that_began() {
        let (first, second) = (MemberId::of("first", 3), MemberId::of("second", 4));
        let later = MemberId::of("first", 4);
        assert!(may_send(first.as_ref(), later.as_ref()));
        assert!(!may_send(first.as_ref(), second.as_ref()));
        assert!(!may_send(first.as_ref(), None));
        assert!(!may_send(None, first.as_ref()));
        assert!(!may_send(None, None));
    }

    #[test]
    fn who_has_no_generation_or_no_name_is_no_member() {
        assert_eq!(MemberId::of("first", -1), None);
        assert_eq!(MemberId::of("", 3), None);
        assert!(MemberId::of("first", 0).is_some());
    }
}
