use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::core::limits::{COUNT_MAX, ID_LAST};
use crate::core::name::Name;

fn next(name: &str, count: u64) -> Request<'_> {
    Request {
        name: Name::from_key(Some(name.as_bytes())),
        command: Ok(Command::Next { count }),
        request_id: None,
    }
}

fn recomputed(fold: &Fold) -> Digest {
    let mut again = Fold::default();
    for slot in 0..fold.len() {
        again.put(fold.entry(slot).unwrap());
    }
    again.digest_with(fold.scalars())
}

#[test]
fn ids_start_at_one_and_follow_each_other() {
    let mut fold = Fold::default();
    let mut granted = |name, count| match fold.apply(Timestamp(0), &next(name, count)) {
        Answer::Granted(grant) => (grant.first, grant.last),
        Answer::Rejected(rejection) => panic!("{rejection:?}"),
    };
    assert_eq!(granted("a", 1), (1, 1));
    assert_eq!(granted("b", 10), (1, 10));
    assert_eq!(granted("a", COUNT_MAX), (2, 1 + COUNT_MAX.cast_signed()));
}

#[test]
fn a_rejected_request_moves_no_counter_but_counts_as_folded() {
    let mut fold = Fold::default();
    let mut request = next("a", 1);
    request.command = Err(Rejection::new(Code::UnknownOp, "no"));
    assert!(
        matches!(fold.apply(Timestamp(5), &request), Answer::Rejected(r) if r.code == Code::UnknownOp)
    );
    assert!(fold.is_empty());
    assert_eq!(fold.scalars().applied, 1);
    assert_eq!(fold.scalars().highest_timestamp, Timestamp(5));
}

#[test]
fn time_in_the_fold_never_steps_back() {
    let mut fold = Fold::default();
    fold.apply(Timestamp(9), &next("a", 1));
    fold.apply(Timestamp(3), &next("a", 1));
    assert_eq!(fold.scalars().highest_timestamp, Timestamp(9));
}

#[test]
fn an_operators_floor_holds_for_names_that_the_state_does_not_know() {
    let mut fold = Fold::default();
    fold.set_scalars(Scalars {
        floor: 1000,
        ..Scalars::default()
    });
    let answer = fold.apply(Timestamp(0), &next("new", 1));
    assert!(matches!(answer, Answer::Granted(g) if g.first == 1001));
}

#[test]
fn an_exhausted_sequence_refuses_and_stays() {
    let mut fold = Fold::default();
    fold.put(Entry::Sequence {
        name: "a",
        sequence: Sequence::above(ID_LAST - 1),
    });
    assert!(matches!(
        fold.apply(Timestamp(0), &next("a", 2)),
        Answer::Rejected(r) if r.code == Code::Exhausted
    ));
    assert!(matches!(
        fold.apply(Timestamp(0), &next("a", 1)),
        Answer::Granted(g) if g.last == ID_LAST
    ));
}

/// Each thing that the fold remembers, changed alone, changes the digest.
#[test]
fn the_digest_covers_everything_that_is_remembered() {
    let mut fold = Fold::default();
    fold.put(Entry::Sequence {
        name: "a",
        sequence: Sequence::above(6),
    });
    let scalars = fold.scalars();
    let mut digests = vec![fold.digest_with(scalars)];
    digests.push(fold.digest_with(Scalars {
        highest_timestamp: Timestamp(1),
        ..scalars
    }));
    digests.push(fold.digest_with(Scalars {
        applied: 1,
        ..scalars
    }));
    digests.push(fold.digest_with(Scalars {
        floor: 1,
        ..scalars
    }));
    for (name, above) in [("a", 7), ("b", 6)] {
        let mut other = fold.clone();
        other.put(Entry::Sequence {
            name,
            sequence: Sequence::above(above),
        });
        digests.push(other.digest_with(scalars));
    }
    fold.remove(EntryKey::Sequence("a"));
    digests.push(fold.digest_with(scalars));
    for (i, digest) in digests.iter().enumerate() {
        assert!(
            !digests[..i].contains(digest),
            "case {i} is not in the digest"
        );
    }
}

proptest! {
    /// The fold against the plainest model there is: a map of last IDs.
    #[test]
    fn the_fold_agrees_with_a_naive_model(
        requests in prop::collection::vec((0_u8..6, prop_oneof![1_u64..4, Just(COUNT_MAX)], any::<bool>()), 1..200),
        cuts in prop::collection::vec(any::<bool>(), 200),
    ) {
        let mut fold = Fold::default();
        let mut model: BTreeMap<String, i64> = BTreeMap::new();
        let mut slots = Vec::new();
        let mut grants: BTreeMap<String, Vec<Grant>> = BTreeMap::new();
        for (i, (name, count, valid)) in requests.iter().enumerate() {
            let name = format!("n{name}");
            let mut request = next(&name, *count);
            if !valid {
                request.command = Err(Rejection::new(Code::MalformedRequest, ""));
            }
            let answer = fold.apply(Timestamp(0), &request);
            if *valid {
                let last = model.entry(name.clone()).or_default();
                let expected = Grant { first: *last + 1, last: *last + count.cast_signed(), count: *count };
                *last = expected.last;
                prop_assert_eq!(&answer, &Answer::Granted(expected));
                for earlier in grants.entry(name.clone()).or_default().iter() {
                    prop_assert!(invariants::i1_unique(*earlier, expected));
                }
                grants.entry(name).or_default().push(expected);
            } else {
                prop_assert!(matches!(answer, Answer::Rejected(_)));
            }
            if cuts[i] {
                slots.clear();
                let digest = fold.cut(&mut slots);
                prop_assert_eq!(digest, recomputed(&fold));
                slots.sort_unstable();
                let unique = { let mut s = slots.clone(); s.dedup(); s.len() };
                prop_assert_eq!(unique, slots.len());
            }
        }
        prop_assert_eq!(fold.cut(&mut slots), recomputed(&fold));
    }
}
