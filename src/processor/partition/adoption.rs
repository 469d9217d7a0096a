//! The moves of names between partitions in a rescale.
//!
//! A child stops at its order to adopt. It reads the committed state of its parent, writes what moves into its own
//! state with ordinary checkpoints, and folds the order when all of it is committed. Until then it is no home of
//! names, so nobody sees a part of it, and a new owner goes on where this one stopped. What it then reports to the
//! parent is committed, so the parent may forget it.
//!
//! A parent removes the names that a child has adopted, some with each checkpoint.

use super::Partition;
use crate::core::fold::Slot;
use crate::core::planted::planted;
use crate::core::rescale::Standing;
use crate::core::{Fold, Homes, NextOffset, Offset};
use crate::processor::halt::Halt;
use crate::processor::parent::Parent;

/// Entries that one checkpoint of a child takes from its parent: 0.5 MB or so, a tenth of a second's work of a broker.
/// An instance may have several children, and in `exactly_once` mode the answers of all its partitions wait for the
/// transaction.
const STAGED_ENTRIES_MAX: usize = 5_000;

/// Sequences that a parent looks at with each checkpoint, to remove those that have moved: a millisecond's work.
const LOOKED_AT_MAX: usize = 20_000;

/// Pause before the state of a parent is read again, in ms. A parent commits its split within a checkpoint interval.
const ASK_AGAIN_MS: u64 = 100;

/// A child's wait for what it adopts.
#[derive(Debug)]
pub(super) struct Adoption {
    parent: u32,
    homes: Homes,
    /// The offset of the order to adopt.
    at: NextOffset,
    /// True until the partition is no longer fetched.
    is_fetched: bool,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// The parent's state is to be read at this time.
    Asks { again_ms: u64, reason: String },
    /// The parent's state is being read.
    Asked,
    /// These entries are being written, from this place on.
    Writes { leaving: Box<Fold>, next: usize },
}

/// A parent's way through its sequences.
#[derive(Debug, Default)]
pub(super) struct Burial {
    /// The index of the next sequence to look at.
    next: usize,
    /// Sequences that were removed since index 0.
    found: usize,
}

/// Waits and stages.
impl Partition {
    /// A new owner whose predecessor has committed everything need not read the parent again.
    pub(super) fn with_adopted(mut self) -> Partition {
        let fold = &mut self.folding.fold;
        let is_home = fold.scalars().homes.has(self.folding.partition);
        if fold.has_frozen() && !is_home {
            fold.set_staged();
        }
        self
    }

    /// Folds no more until everything that moves here is committed.
    #[cold]
    pub(super) fn waits_for(&mut self, parent: u32, homes: Homes, at: Offset) {
        self.intake.adopt();
        self.adoption = Some(Adoption {
            parent,
            homes,
            at: NextOffset(at.0),
            is_fetched: true,
            stage: Stage::Asks {
                again_ms: 0,
                reason: "the parent's state is not read yet".to_owned(),
            },
        });
    }

    /// True once for each wait: the partition is no longer to be fetched.
    pub(in crate::processor) fn stops_for_adoption(&mut self) -> bool {
        let adoption = self.adoption.as_mut();
        adoption.is_some_and(|adoption| std::mem::take(&mut adoption.is_fetched))
    }

    /// The parent whose state is to be read now, and the list with which this partition adopts.
    pub(crate) fn asks_parent(&mut self, now_ms: u64) -> Option<(u32, Homes)> {
        if self.intake.is_draining() {
            return None;
        }
        let adoption = self.adoption.as_mut()?;
        match adoption.stage {
            Stage::Asks { again_ms, .. } if now_ms >= again_ms => {
                adoption.stage = Stage::Asked;
                Some((adoption.parent, adoption.homes))
            }
            _ => None,
        }
    }

    /// Takes what the parent's state has for this partition. Returns true when the partition is to be fetched.
    pub(crate) fn parent_read(&mut self, parent: Parent, now_ms: u64) -> bool {
        let Some(adoption) = &mut self.adoption else {
            return false;
        };
        if !matches!(adoption.stage, Stage::Asked) {
            return false;
        }
        match parent {
            Parent::NotYet(reason) => {
                let again_ms = now_ms + ASK_AGAIN_MS;
                adoption.stage = Stage::Asks { again_ms, reason };
            }
            Parent::Leaving(leaving) => adoption.stage = Stage::Writes { leaving, next: 0 },
            // Without the copy here, the state that was reported to the parent is lost.
            Parent::Adopted => {
                self.adoption_broken("the parent knows that they are, and keeps them no longer");
            }
        }
        if planted!(AdoptionNotAwaited) {
            self.stage(usize::MAX);
            return self.stage_committed();
        }
        false
    }

    /// Takes the next entries of the parent, at most `spare`. The parent's scalars come last: where they are, all
    /// is there.
    pub(super) fn stage(&mut self, spare: usize) {
        let Some(Adoption {
            stage: Stage::Writes { leaving, next },
            ..
        }) = &mut self.adoption
        else {
            return;
        };
        let (fold, unwritten) = (&mut self.folding.fold, &mut self.pending.unwritten);
        let mut put = |slot: Slot| {
            let Some(entry) = leaving.entry(slot) else {
                return;
            };
            let key = entry.key();
            let known = fold.slot(key).and_then(|slot| fold.entry(slot));
            if known.as_ref() != Some(&entry) {
                fold.put(entry);
                unwritten.extend(fold.slot(key));
            }
        };
        let end = leaving.len().min(*next + STAGED_ENTRIES_MAX.min(spare));
        let slots = (*next..end).filter_map(|place| leaving.slot_at(place));
        slots
            .filter(|slot| *slot != Slot::Frozen)
            .for_each(&mut put);
        *next = end;
        if end < leaving.len() {
            return;
        }
        put(Slot::Frozen);
        let (expected, found) = (leaving.sequences(), fold.sequences());
        if expected != found {
            self.adoption_broken(&format!(
                "{expected} are in the parent's state, and {found} here"
            ));
        }
    }

    /// Goes on when all is committed. Returns true when the partition is to be fetched.
    pub(super) fn stage_committed(&mut self) -> bool {
        let is_complete = match &self.adoption {
            Some(Adoption {
                stage: Stage::Writes { leaving, next },
                ..
            }) => *next >= leaving.len() && self.folding.fold.has_frozen(),
            _ => false,
        };
        if !is_complete || !self.intake.adopted() {
            return false;
        }
        self.adoption = None;
        self.folding.fold.set_staged();
        true
    }

    #[cold]
    fn adoption_broken(&mut self, problem: &str) {
        let Some(Adoption { parent, at, .. }) = self.adoption.take() else {
            return;
        };
        self.intake.halt(Halt::AdoptionBroken {
            parent,
            problem: problem.to_owned(),
            at,
        });
    }

    /// The facts about a rescale, for those who watch it.
    pub(in crate::processor) fn standing(&self) -> Standing {
        let folding = &self.folding;
        folding.fold.standing(folding.partition)
    }

    /// Why the partition waits, in words.
    pub(in crate::processor) fn adoption_in_words(&self) -> Option<String> {
        let Adoption {
            parent,
            homes,
            stage,
            ..
        } = self.adoption.as_ref()?;
        let n = homes.partitions();
        let what = match stage {
            Stage::Asks { reason, .. } => reason.clone(),
            Stage::Asked => "its state is being read".to_owned(),
            Stage::Writes { leaving, next } => {
                format!("{next} of {} entries are written here", leaving.len())
            }
        };
        Some(format!(
            "adopts names of partition {parent} in the rescale to {n} partitions: {what}"
        ))
    }
}

/// Removes what has moved.
impl Partition {
    /// True while a checkpoint is wanted because names come or go.
    pub(super) fn moves_names(&self) -> bool {
        let writes = |adoption: &Adoption| matches!(adoption.stage, Stage::Writes { .. });
        self.adoption.as_ref().is_some_and(writes) || self.folding.fold.has_unburied()
    }

    /// Removes names that children have adopted. The next checkpoint has their tombstones.
    pub(super) fn bury(&mut self, spare: usize) {
        let fold = &mut self.folding.fold;
        if !fold.has_unburied() {
            return;
        }
        let Burial { next, found } = &mut self.burial;
        let slots = &mut self.pending.unwritten;
        let before = slots.len();
        let max = LOOKED_AT_MAX.min(spare);
        let on = fold.bury(self.folding.partition, *next, max, slots);
        *found += slots.len() - before;
        match on {
            Some(on) => *next = on,
            None => {
                if *found == 0 {
                    fold.all_buried();
                }
                self.burial = Burial::default();
            }
        }
    }
}
