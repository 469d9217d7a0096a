use super::*;
use crate::core::command::{Command, Request};
use crate::core::fold::{Entry, EntryKey};
use crate::core::ledger::{Hash, Ledger, Line};
use crate::core::name::Name;
use crate::core::position::{Offset, Timestamp};

/// One partition, and the offset of its next record.
#[derive(Clone)]
struct Part {
    number: u32,
    fold: Fold,
    next: i64,
}

struct NoLedger;

impl Ledger for NoLedger {
    fn write(&mut self, _: &Line<'_>) -> Hash {
        Hash::NONE
    }
}

fn part(number: u32, homes: Homes) -> Part {
    Part {
        number,
        fold: Fold::new(homes),
        next: 0,
    }
}

fn homes(counts: &[u32]) -> Homes {
    Homes::read(counts.iter().copied()).unwrap()
}

impl Part {
    fn at(&mut self) -> At {
        self.next += 1;
        At {
            partition: self.number,
            leader_epoch: 0,
            offset: Offset(self.next),
            timestamp: Timestamp(self.next),
        }
    }

    fn ask(&mut self, name: &str, request_id: Option<&str>) -> Answer {
        let request = Request {
            name: Name::from_key(Some(name.as_bytes())),
            command: Ok(Command::Next { count: 1 }),
            request_id: request_id.map(Into::into),
            requester: None,
        };
        let at = self.at();
        self.fold.apply(at, None, &request, &mut NoLedger)
    }

    fn first(&mut self, name: &str, request_id: Option<&str>) -> i64 {
        match self.ask(name, request_id) {
            Answer::Granted(grant) | Answer::Again(grant) => grant.first,
            other => panic!("{other:?}"),
        }
    }

    fn split(&mut self, homes: Homes) -> Answer {
        let at = self.at();
        let mut link = self.fold.link_to(at, u32::MAX);
        link.partition = OPERATOR;
        self.fold.rescale(at, link, Order::Split(homes))
    }

    fn take(&mut self, given: &Given) -> Answer {
        assert_eq!(given.to, self.number);
        let at = self.at();
        self.fold.rescale(at, given.link, given.order)
    }

    /// Takes what moves here from a parent, as a child does before it adopts.
    fn stage(&mut self, parent: &Part, homes: Homes) {
        for entry in parent.fold.iter() {
            match &entry {
                Entry::Sequence { name, .. } if homes.of(name.as_bytes()) == self.number => {
                    self.fold.put(entry);
                }
                Entry::Frozen(_) | Entry::FrozenWindow { .. } => self.fold.put(entry),
                _ => {}
            }
        }
        self.fold.set_staged();
    }
}

fn given(answer: Answer) -> Vec<Given> {
    match answer {
        Answer::Rescaled(rescaled) => rescaled.given,
        other => panic!("{other:?}"),
    }
}

/// A name whose home is this partition by the second list, and was partition 0 before.
fn name_of(partition: u32, homes: Homes) -> String {
    (0..)
        .map(|number| format!("n{number}"))
        .find(|name| homes.of(name.as_bytes()) == partition)
        .unwrap()
}

#[test]
fn a_name_moves_with_its_counter_and_its_window_and_counts_in_one_partition_at_a_time() {
    let (one, two) = (homes(&[1]), homes(&[1, 2]));
    let (mut parent, mut child) = (part(0, one), part(1, one));
    let (stays, leaves) = (name_of(0, two), name_of(1, two));
    assert_eq!(parent.first(&leaves, Some("r")), 1);
    assert_eq!(parent.first(&stays, None), 1);
    let orders = given(parent.split(two));
    let [adopt] = orders.as_slice() else {
        panic!("{orders:?}");
    };
    assert!(matches!(
        parent.ask(&leaves, None),
        Answer::Stray { home: 1, .. }
    ));
    assert!(matches!(
        child.clone().ask(&leaves, None),
        Answer::Stray { home: 0, .. }
    ));
    let before = child.fold.digest_with(child.fold.scalars());
    let waits = child.take(adopt);
    assert_eq!(
        waits,
        Answer::Adopts {
            parent: 0,
            homes: two
        }
    );
    assert_eq!(child.fold.digest_with(child.fold.scalars()), before);
    child.stage(&parent, two);
    let orders = given(child.take(adopt));
    let [adopted] = orders.as_slice() else {
        panic!("{orders:?}");
    };
    let order = Order::Adopted {
        epoch: 1,
        sequences: 1,
    };
    assert_eq!((adopted.to, adopted.order), (0, order));
    assert_eq!(child.first(&leaves, Some("r")), 1, "the same grant again");
    assert_eq!(child.first(&leaves, None), 2);
    assert!(!child.fold.has_frozen());

    assert_eq!(parent.fold.counted(), 2);
    assert_eq!(given(parent.take(adopted)), []);
    assert_eq!(parent.fold.counted(), 1);
    // A name that the next checkpoint writes is left for a later one.
    let mut slots = Vec::new();
    assert_eq!(parent.fold.bury(0, 0, 10, &mut slots), None);
    assert_eq!(slots, []);
    parent.fold.cut(&mut Vec::new());
    assert_eq!(parent.fold.bury(0, 0, 10, &mut slots), None);
    assert_eq!((slots.len(), parent.fold.counted()), (1, 1));
    assert!(!parent.fold.has_unburied());
    assert!(parent.fold.slot(EntryKey::Sequence(&leaves)).is_none());
    assert_eq!(parent.fold.entry(slots[0]), None);
    assert!(parent.fold.key(slots[0]) == Some(EntryKey::Sequence(&leaves)));
    assert_eq!(parent.first(&stays, None), 2);
    // The rest adds up.
    parent.fold.cut(&mut Vec::new());
    let mut restored = Fold::default();
    parent.fold.iter().for_each(|entry| restored.put(entry));
    let scalars = parent.fold.scalars();
    assert_eq!(
        restored.digest_with(scalars),
        parent.fold.digest_with(scalars)
    );
}

#[test]
fn a_split_is_refused_until_all_have_done_their_part_of_the_one_before() {
    let (one, two, four) = (homes(&[1]), homes(&[1, 2]), homes(&[1, 2, 4]));
    let (mut parent, mut child) = (part(0, one), part(1, one));
    let refused = |answer: Answer| match answer {
        Answer::Rejected(rejection) => rejection.code == Code::InvalidDefinition,
        _ => false,
    };
    assert!(refused(parent.split(four)), "one number at a time");
    assert!(refused(parent.split(one)));
    assert!(refused(
        parent.split(homes(&[1, RESCALED_PARTITIONS_MAX + 1]))
    ));
    let adopt = given(parent.split(two));
    assert!(refused(parent.split(four)), "the child has not adopted");
    // The same again tells those who have not reported.
    assert_eq!(given(parent.split(two)).len(), 1);
    child.stage(&parent, two);
    let adopted = given(child.take(&adopt[0]));
    given(parent.take(&adopted[0]));
    assert_eq!(given(parent.split(two)), []);
    let orders = given(parent.split(four));
    let to: Vec<(u32, Order)> = orders.iter().map(|given| (given.to, given.order)).collect();
    assert_eq!(to, [(2, Order::Adopt(four)), (1, Order::Split(four))]);
    assert!(refused(child.split(four)), "only partition 0 decides");
}

#[test]
fn an_order_that_does_not_follow_halts_and_moves_nothing() {
    let two = homes(&[1, 2]);
    let mut other = part(0, homes(&[1]));
    let orders = given(other.split(two));
    let mut child = part(1, homes(&[3]));
    let before = child.fold.digest_with(child.fold.scalars());
    let answer = child.take(&orders[0]);
    assert!(
        matches!(answer, Answer::Unfit { source: 0, .. }),
        "{answer:?}"
    );
    assert_eq!(child.fold.digest_with(child.fold.scalars()), before);
}

#[test]
fn a_policy_of_the_child_is_kept_and_a_floor_of_the_parent_is_taken_over() {
    let (one, two) = (homes(&[1]), homes(&[1, 2]));
    for is_own in [false, true] {
        let (mut parent, mut child) = (part(0, one), part(1, one));
        parent.fold.set_scalars(crate::core::Scalars {
            floor: 70,
            undefined: crate::core::command::Undefined::CreateAudited,
            ..parent.fold.scalars()
        });
        child.fold.set_scalars(crate::core::Scalars {
            policy_is_own: is_own,
            ..child.fold.scalars()
        });
        let orders = given(parent.split(two));
        child.stage(&parent, two);
        given(child.take(&orders[0]));
        assert_eq!(child.fold.scalars().undefined.audits(), !is_own);
        assert_eq!(child.first(&name_of(1, two), None), 71);
    }
}
