//! Selects the sequences to show: the first ones by name, out of any number.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::cli::changed::Changed;
use crate::core::Fold;
use crate::core::definition::Definition;
use crate::core::fold::{Description, Entry};
use crate::core::sequence::Sequence;

/// One sequence on one partition.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Row {
    /// The name of the sequence.
    pub name: String,
    /// The partition where it was found.
    pub partition: i32,
    /// The home partition of the name. If it differs from `partition`, the entry is a stray.
    pub home: i32,
    /// The ID that the next request gets; none when no ID is left.
    pub next_id: Option<i64>,
    /// False when no request has named it yet. None when its partition was not read.
    pub used: Option<bool>,
    /// True when the sequence gives no more IDs.
    pub retired: bool,
    /// The last change by an operator. Present only when this one sequence was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changed: Option<Changed>,
}

impl Row {
    /// The row of a name that no request has named yet. `floor` is none when undefined names are refused.
    pub(crate) fn unused(name: String, home: i32, floor: Option<i64>) -> Row {
        let next_id = floor.and_then(|floor| Sequence::above(floor).next(&Definition::DEFAULT));
        Row {
            next_id,
            used: Some(false),
            ..Row::unknown(name, home)
        }
    }

    /// The row of a name whose home was not read.
    pub(crate) fn unknown(name: String, home: i32) -> Row {
        Row {
            name,
            partition: home,
            home,
            next_id: None,
            used: None,
            retired: false,
            changed: None,
        }
    }
}

/// Selects rows from partitions that come in any order.
#[derive(Debug)]
pub(in crate::cli) struct Selection {
    only: Option<String>,
    limit: usize,
    rows: BTreeSet<Row>,
    total: u64,
}

impl Selection {
    /// Selects the first `limit` sequences by name, or all of one name.
    pub(in crate::cli) fn new(only: Option<String>, limit: u64) -> Selection {
        Selection {
            only,
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
            rows: BTreeSet::new(),
            total: 0,
        }
    }

    /// Adds a partition's sequences.
    pub(super) fn add(&mut self, partition: i32, fold: &Fold) {
        let here = u32::try_from(partition).unwrap_or(0);
        if let Some(name) = self.only.clone() {
            if let Some(description) = fold.description(&name)
                && fold.is_home_of(here, &name)
            {
                self.total += 1;
                let changed = fold.note(&name).map(Changed::of);
                self.rows.insert(Row {
                    changed,
                    ..row(&name, partition, description)
                });
            }
            return;
        }
        for entry in fold.iter() {
            let Entry::Sequence { name, .. } = entry else {
                continue;
            };
            if !fold.is_home_of(here, name) {
                continue;
            }
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

    /// Returns the selected rows, without their homes, and the number of all rows.
    pub(super) fn rows(self) -> (Vec<Row>, u64) {
        (self.rows.into_iter().collect(), self.total)
    }
}

fn row(name: &str, partition: i32, description: Description) -> Row {
    Row {
        name: name.to_owned(),
        partition,
        home: partition,
        next_id: description.next,
        used: Some(true),
        retired: description.retired,
        changed: None,
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;
    use crate::core::fold::{Defined, Note};
    use crate::core::{Homes, Offset, Timestamp};

    fn fold(names: &[&str]) -> Fold {
        let mut fold = Fold::new(Homes::first(2));
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
        let next = |floor| Row::unused("a".to_owned(), 0, floor).next_id;
        assert_eq!(next(Some(0)), Some(1));
        assert_eq!(next(Some(500)), Some(501));
        assert_eq!(next(None), None, "undefined names are refused");
    }

    #[test]
    fn the_one_that_was_asked_for_says_who_changed_it_when_and_why() {
        let mut fold = fold(&["plain"]);
        let note = Note {
            op: "set_next".into(),
            requester: "maria@ops".into(),
            reason: "".into(),
            offset: Offset(7),
            timestamp: Timestamp(1_700_000_000_123),
        };
        fold.put(Entry::Sequence {
            name: "orders",
            sequence: Sequence::above(41),
            defined: Some(Cow::Owned(Defined {
                definition: Definition::DEFAULT,
                retired: false,
                note,
                chain: None,
            })),
        });
        let changed = |name: &str| {
            let mut selection = Selection::new(Some(name.to_owned()), 0);
            selection.add(0, &fold);
            selection.rows().0[0].changed.clone()
        };
        assert_eq!(changed("plain"), None);
        let told = serde_json::to_string(&changed("orders")).unwrap();
        assert_eq!(
            told,
            r#"{"op":"set_next","at":"2023-11-14T22:13:20.123Z","requester":"maria@ops","offset":7}"#
        );
    }
}
