//! The part of a parent's committed state that a child adopts in a rescale.

use super::restore::Restored;
use crate::core::fold::Entry;
use crate::core::planted::planted;
use crate::core::{Fold, Homes};

/// The part of a parent's state that one of its children adopts.
#[derive(Debug)]
pub enum Parent {
    /// The state does not have the split yet, or could not be read: why, in words.
    NotYet(String),
    /// The sequences that move to the child, and the copy of the parent's window and scalars.
    Leaving(Box<Fold>),
    /// The parent has noted that the child has adopted everything, and keeps nothing for it.
    Adopted,
}

impl Parent {
    /// Reads what a parent's state has for a child. `homes`: the list with which the child adopts.
    ///
    /// Only committed state counts, and only with a footer that it adds up to. A parent whose log loses the split
    /// may count on otherwise, but not from before this footer.
    pub fn of(restored: &Restored, child: u32, homes: &Homes) -> Parent {
        let known = restored.footer.as_ref().map(|footer| footer.scalars.homes);
        if !known.is_some_and(|known| known.extends(homes)) {
            return Parent::NotYet("the parent has not committed its split yet".to_owned());
        }
        let fold = &restored.fold;
        if fold.is_adopted(child) {
            return Parent::Adopted;
        }
        let mut leaving = Fold::default();
        for entry in fold.iter() {
            match entry {
                Entry::Sequence { name, .. } if homes.of(name.as_bytes()) == child => {
                    leaving.put(entry);
                }
                Entry::Own { name, .. } if homes.of(name.as_bytes()) == child => {
                    if !planted!(OwnWindowLeft) {
                        leaving.put(entry);
                    }
                }
                Entry::Window { segment, places } if planted!(WindowCopiedLate) => {
                    leaving.put(Entry::FrozenWindow { segment, places });
                }
                Entry::Frozen(mut frozen) if planted!(WindowCopiedLate) => {
                    frozen.window_next = fold.scalars().window_next;
                    leaving.put(Entry::Frozen(frozen));
                }
                Entry::FrozenWindow { .. } if planted!(WindowCopiedLate) => {}
                Entry::Frozen(_) | Entry::FrozenWindow { .. } => leaving.put(entry),
                Entry::Sequence { .. }
                | Entry::Window { .. }
                | Entry::Own { .. }
                | Entry::Sent { .. }
                | Entry::Accepted { .. }
                | Entry::Reported(_) => {}
            }
        }
        Parent::Leaving(Box::new(leaving))
    }
}
