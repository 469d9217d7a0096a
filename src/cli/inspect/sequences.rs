//! The sequences to show: the first so many by name, however many there are.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::core::Fold;
use crate::core::definition::Definition;
use crate::core::fold::{Description, Entry};
use crate::core::sequence::Sequence;

/// One sequence on one partition.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// Where it was found.
    pub partition: i32,
    /// Where its requests should go; another one than `partition` is a stray.
    pub home: i32,
    /// The ID that the next request gets; none when no ID is left.
    pub next_id: Option<i64>,
    /// False when nobody has asked for it yet.
    pub used: bool,
    /// It gives no more IDs.
    pub retired: bool,
}

impl Row {
    /// A name that nobody has asked for yet.
    pub fn unused(name: String, home: i32, floor: i64) -> Row {
        Row {
            name,
            partition: home,
            home,
            next_id: Sequence::above(floor).next(&Definition::DEFAULT),
            used: false,
            retired: false,
        }
    }
}

/// Chooses rows as partitions come in, in any order.
#[derive(Debug)]
pub struct Selection {
    only: Option<String>,
    limit: usize,
    rows: BTreeSet<Row>,
    total: u64,
}

impl Selection {
    /// The first `limit` by name, or all of one name.
    pub fn new(only: Option<String>, limit: u64) -> Selection {
        Selection {
            only,
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
            rows: BTreeSet::new(),
            total: 0,
        }
    }

    /// Takes a partition's sequences.
    pub fn add(&mut self, partition: i32, fold: &Fold) {
        if let Some(name) = self.only.clone() {
            if let Some(description) = fold.description(&name) {
                self.total += 1;
                self.rows.insert(row(&name, partition, description));
            }
            return;
        }
        for entry in fold.iter() {
            let Entry::Sequence { name, .. } = entry else {
                continue;
            };
            self.total += 1;
            let full = self.rows.len() >= self.limit;
            if full
                && self
                    .rows
                    .last()
                    .is_none_or(|last| last.name.as_str() < name)
            {
                continue;
            }
            if let Some(description) = fold.description(name) {
                self.rows.insert(row(name, partition, description));
            }
            if self.rows.len() > self.limit {
                self.rows.pop_last();
            }
        }
    }

    /// The rows, without their homes, and how many there would have been.
    pub fn rows(self) -> (Vec<Row>, u64) {
        (self.rows.into_iter().collect(), self.total)
    }
}

fn row(name: &str, partition: i32, description: Description) -> Row {
    Row {
        name: name.to_owned(),
        partition,
        home: partition,
        next_id: description.next,
        used: true,
        retired: description.retired,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fold(names: &[&str]) -> Fold {
        let mut fold = Fold::default();
        for name in names {
            let sequence = Sequence::above(41);
            fold.put(Entry::Sequence {
                name,
                sequence,
                defined: None,
            });
        }
        fold
    }

    fn shown(only: Option<&str>, limit: u64) -> (Vec<(String, i32)>, u64) {
        let mut selection = Selection::new(only.map(str::to_owned), limit);
        selection.add(1, &fold(&["d", "b", "f"]));
        selection.add(0, &fold(&["c", "a", "b"]));
        let (rows, total) = selection.rows();
        let rows = rows.into_iter().map(|row| (row.name, row.partition));
        (rows.collect(), total)
    }

    #[test]
    fn the_first_by_name_are_kept_whatever_the_order() {
        let row = |name: &str, partition| (name.to_owned(), partition);
        assert_eq!(
            shown(None, 3),
            (vec![row("a", 0), row("b", 0), row("b", 1)], 6)
        );
        assert_eq!(shown(None, 0), (vec![], 6));
        assert_eq!(shown(None, 100).0.len(), 6);
        assert_eq!(shown(Some("b"), 0), (vec![row("b", 0), row("b", 1)], 2));
    }

    #[test]
    fn an_unused_name_begins_above_the_floor() {
        assert_eq!(Row::unused("a".to_owned(), 0, 0).next_id, Some(1));
        assert_eq!(Row::unused("a".to_owned(), 0, 500).next_id, Some(501));
    }
}
