//! The IDs that were given, according to the default reply topic.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;

use crate::core::limits::{ID_FIRST, ID_LAST};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Replies {
    pub read: u64,
    /// Replies to names whose home is this partition.
    pub of_partition: u64,
    pub given: BTreeMap<String, Given>,
}

/// The IDs of one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Given {
    pub lowest: i64,
    pub highest: i64,
    /// True when a sequence with the default rules can give every one of these replies.
    by_default_rules: bool,
}

impl Given {
    #[cfg(test)]
    pub(crate) fn from_to(lowest: i64, highest: i64) -> Given {
        Given {
            lowest,
            highest,
            by_default_rules: (ID_FIRST..=ID_LAST).contains(&highest),
        }
    }

    /// True when these IDs are not numbers of a lost definition.
    pub(crate) fn is_plain(&self) -> bool {
        self.by_default_rules
    }

    fn and(self, other: Given) -> Given {
        Given {
            lowest: self.lowest.min(other.lowest),
            highest: self.highest.max(other.highest),
            by_default_rules: self.by_default_rules && other.by_default_rules,
        }
    }
}

/// The fields of a reply that are used here.
#[derive(Deserialize)]
struct Reply<'a> {
    #[serde(borrow)]
    sequence: Option<Cow<'a, str>>,
    first: Option<i64>,
    last: Option<i64>,
    increment: Option<i64>,
}

impl Replies {
    /// Adds a reply. `counts` says whether a name has its home in the partition.
    pub(super) fn reply(&mut self, body: &[u8], counts: impl Fn(&str) -> bool) {
        self.read += 1;
        let Ok(reply) = serde_json::from_slice::<Reply<'_>>(body) else {
            return;
        };
        let Some(name) = reply.sequence.filter(|name| counts(name)) else {
            return;
        };
        self.of_partition += 1;
        if let (Some(first), Some(last)) = (reply.first, reply.last) {
            let given = Given {
                lowest: first.min(last),
                highest: first.max(last),
                by_default_rules: reply.increment.is_none()
                    && (ID_FIRST..=ID_LAST).contains(&first)
                    && (first..=ID_LAST).contains(&last),
            };
            let known = self.given.entry(name.into_owned()).or_insert(given);
            *known = known.and(given);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ids_given_are_those_of_names_that_the_partition_counts_for() {
        let mut replies = Replies::default();
        for body in [
            r#"{"sequence":"a","first":41,"last":50,"count":10,"partition":3,"offset":1}"#,
            // Written to another partition, and forwarded.
            r#"{"sequence":"a","first":51,"last":51,"count":1,"partition":2,"offset":1}"#,
            r#"{"sequence":"b","first":90,"last":99,"count":10,"partition":2,"offset":2}"#,
            r#"{"sequence":"a","error":{"code":"exhausted","message":"m"},"partition":3,"offset":2}"#,
            r#"{"error":{"code":"invalid_name","message":"m"},"partition":3,"offset":3}"#,
            "no JSON",
        ] {
            replies.reply(body.as_bytes(), |name| name == "a");
        }
        let expected = Replies {
            read: 6,
            of_partition: 3,
            given: BTreeMap::from([("a".to_owned(), Given::from_to(41, 51))]),
        };
        assert_eq!(replies, expected);
    }

    #[test]
    fn ids_that_only_a_definition_allows_are_known_as_such() {
        let plain = |body: &str| {
            let mut replies = Replies::default();
            replies.reply(br#"{"sequence":"a","first":1,"last":1}"#, |_| true);
            assert!(replies.given["a"].is_plain());
            replies.reply(body.as_bytes(), |_| true);
            replies.given["a"].is_plain()
        };
        assert!(plain(r#"{"sequence":"a","first":2,"last":9}"#));
        assert!(!plain(r#"{"sequence":"a","first":9,"last":2}"#), "down");
        assert!(!plain(r#"{"sequence":"a","first":-9,"last":-2}"#));
        assert!(!plain(
            r#"{"sequence":"a","first":2,"last":3,"increment":10}"#
        ));
        let beyond = r#"{"sequence":"a","first":2,"last":9007199254740992}"#;
        assert!(!plain(beyond), "beyond the default maximum");
    }
}
