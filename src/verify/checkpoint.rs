//! Compares a footer and the entries at it with the oracle at the same offset of the log.
//!
//! Every entry is compared, but not again at every footer. If an entry has not changed on either side since the
//! last comparison, the result is the same as before.

use std::collections::BTreeSet;

use super::oracle::{Key, Oracle, Scalars, Service};
use super::remembered::{Remembered, agrees, of_oracle};
use super::state::{Footer, Value};
use super::state_log::{Found, Replay};

/// Highest number of differences that are described in words.
const WORDS_MAX: usize = 3;

/// The differences of the last comparison.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    differing: BTreeSet<Key>,
}

impl Comparison {
    /// Compares. Returns the differences in words, or none when the footer adds up.
    pub(super) fn at(
        &mut self,
        found: &Found,
        adds_up: bool,
        first: bool,
        replay: &mut Replay,
        oracle: &mut Oracle,
        service: Service,
    ) -> Option<String> {
        let mut keys: Vec<Key> = replay.touched.drain(..).collect();
        keys.extend(oracle.touched.drain(..));
        if first {
            keys.extend(oracle.keys());
            keys.extend(replay.remembered.keys());
        }
        let remembered = &replay.remembered;
        for key in keys {
            if agrees(oracle, key, remembered.get(key)) {
                self.differing.remove(&key);
            } else {
                self.differing.insert(key);
            }
        }
        let mut words = of_footer(&found.footer, oracle, service);
        let entries = self.differing.iter();
        words.extend(entries.map(|key| of_entry(*key, oracle, remembered)));
        if !adds_up {
            words.push("its digest is not that of the entries".to_owned());
        }
        let more = words.len().saturating_sub(WORDS_MAX);
        words.truncate(WORDS_MAX);
        if more > 0 {
            words.push(format!("{more} more"));
        }
        (!words.is_empty()).then(|| words.join("; "))
    }
}

fn of_footer(footer: &Footer, oracle: &Oracle, service: Service) -> Vec<String> {
    let mut words = Vec::new();
    let mut differ = |what: &str, found: &dyn std::fmt::Debug, due: &dyn std::fmt::Debug| {
        words.push(format!("{what} is {found:?}, should be {due:?}"));
    };
    let Scalars {
        highest_timestamp,
        applied,
        floor,
        unknown,
        window_capacity,
        window_next,
        links_open,
        epoch,
        homes,
        policy_is_own,
        // The owner removes adopted sequences at its own pace.
        unburied: _,
    } = &footer.scalars;
    let due = &oracle.scalars;
    if *applied != due.applied {
        differ("the number of records read", applied, &due.applied);
    }
    if *highest_timestamp != due.highest_timestamp {
        let what = "the highest time";
        differ(what, highest_timestamp, &due.highest_timestamp);
    }
    if *floor != due.floor {
        differ("the floor", floor, &due.floor);
    }
    if *unknown != due.unknown {
        differ("what happens to undefined names", unknown, &due.unknown);
    }
    if *window_capacity != due.window_capacity {
        let what = "the window's size";
        differ(what, window_capacity, &due.window_capacity);
    }
    if *window_next != due.window_next {
        differ("the window's next place", window_next, &due.window_next);
    }
    if *links_open != due.links_open {
        differ("believing first links", links_open, &due.links_open);
    }
    if *epoch != due.epoch {
        differ("the epoch of repairs", epoch, &due.epoch);
    }
    if *homes != due.homes {
        let what = "the service's number of partitions";
        differ(what, homes, &due.homes);
    }
    if *policy_is_own != due.policy_is_own {
        let what = "having a policy of its own";
        differ(what, policy_is_own, &due.policy_is_own);
    }
    let last = footer.last;
    if last != oracle.last {
        let offset = |last: Option<(i64, i32, u128)>| last.map(|(offset, ..)| offset);
        if offset(last) == offset(oracle.last) {
            words.push(
                "the leader or the fingerprint of the last record is not that of the log"
                    .to_owned(),
            );
        } else {
            differ("the last record", &offset(last), &offset(oracle.last));
        }
    }
    if Some(footer.secret) != service.secret {
        words.push("the key of the service's links is another one".to_owned());
    }
    words
}

fn of_entry(key: Key, oracle: &Oracle, remembered: &Remembered) -> String {
    let named = |number: u32| {
        let at = usize::try_from(number).unwrap_or(usize::MAX);
        let name = oracle.names.get_index(at);
        format!("sequence {:?}", name.map_or("", |name| name))
    };
    let what = match key {
        Key::Sequence(number) => named(number),
        Key::Own(number, segment) => {
            format!("segment {segment} of the own window of {}", named(number))
        }
        Key::Window(segment) => format!("segment {segment} of the window"),
        Key::Sent(home) => format!("the last stray sent to partition {home}"),
        Key::Frozen => "the copy of the scalars at the split".to_owned(),
        Key::FrozenWindow(segment) => {
            format!("segment {segment} of the copy of the window at the split")
        }
        Key::Reported(partition) => format!("the report of partition {partition}"),
        Key::Accepted(source) => format!("the last stray accepted from partition {source}"),
    };
    let (found, due) = (remembered.get(key).cloned(), of_oracle(oracle, key));
    format!("{what} is {}, should be {}", words(found), words(due))
}

fn words(value: Option<Value>) -> String {
    match value {
        None => "absent".to_owned(),
        Some(Value::Sent(position)) => format!("{position:?}"),
        Some(Value::Reported) => "present".to_owned(),
        Some(Value::Frozen(frozen)) => format!("{frozen:?}"),
        Some(Value::Accepted(end)) => format!("{end:?}"),
        Some(Value::Window(places)) => format!("{} places of other content", places.len()),
        Some(Value::Sequence {
            next,
            defined: None,
        }) => format!("at {next}"),
        Some(Value::Sequence {
            next,
            defined: Some(defined),
        }) => format!(
            "at {next} by {:?} of offset {} ({:?}, retired: {})",
            defined.note.op, defined.note.offset, defined.rules, defined.retired
        ),
    }
}
