//! Finds sequences by the beginning of their names, a bounded number at a time. Names are stored in the order
//! in which they first came, so a search has to look at each of them.

use super::{Description, Fold};

/// The result of one step of a search.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matches {
    /// Names that begin with the prefix, and the description of each.
    pub sequences: Vec<(String, Description)>,
    /// Number of sequences that this step looked at.
    pub looked_at: usize,
    /// The index at which the next step begins. None at the end.
    pub next: Option<usize>,
}

impl Fold {
    /// Looks at up to `look_max` sequences from index `from` on, until `found_max` begin with `prefix`.
    pub fn search(
        &self,
        partition: u32,
        prefix: &str,
        from: usize,
        look_max: usize,
        found_max: usize,
    ) -> Matches {
        let count = self.sequences.len();
        let begin = from.min(count);
        let end = begin.saturating_add(look_max).min(count);
        let mut matches = Matches::default();
        let mut place = begin;
        while place < end && matches.sequences.len() < found_max {
            if let Some((name, state)) = self.sequences.get_index(place)
                && name.starts_with(prefix)
                && !state.buried
                && self.is_home_of(partition, name)
            {
                let found = (name.to_string(), state.description());
                matches.sequences.push(found);
            }
            place += 1;
        }
        matches.looked_at = place - begin;
        matches.next = (place < count).then_some(place);
        matches
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::fold::Entry;
    use crate::core::sequence::Sequence;

    #[test]
    fn steps_of_a_search_find_each_name_once() {
        let mut fold = Fold::default();
        for name in ["orders-1", "bills", "orders-2", "orders-3", "order"] {
            let sequence = Sequence::restored(7);
            fold.put(Entry::Sequence {
                name,
                sequence,
                defined: None,
            });
        }
        let (mut found, mut from) = (Vec::new(), Some(0));
        while let Some(place) = from {
            let step = fold.search(0, "orders", place, 2, 1);
            assert!(step.looked_at <= 2 && step.sequences.len() <= 1);
            found.extend(step.sequences.into_iter().map(|(name, description)| {
                assert_eq!(description.next, Some(7));
                name
            }));
            from = step.next;
        }
        assert_eq!(found, ["orders-1", "orders-2", "orders-3"]);
        assert_eq!(fold.search(0, "", 5, 10, 10), Matches::default());
    }
}
