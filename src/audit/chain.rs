//! Checks the records of one sequence, in order: each page names the hash of the record before it, the numbers
//! of records are consecutive, and so are the IDs.
//!
//! An operator's act is a record of its own, so that the checker distinguishes a jump that somebody ordered
//! from a hole. The end of the chain is compared with the state: a record that was removed at the end leaves no
//! gap.

use std::collections::BTreeMap;

use serde::Serialize;

use super::source::Ledger;
use crate::core::ledger::{Chain, Hash};
use crate::wire::ledger::{Entry, Kind, Rules, decode, hex};

/// Examples of each finding that are kept.
const EXAMPLES_MAX: usize = 10;
/// Most operators' acts that are listed.
const ACTS_MAX: usize = 1_000;

/// The kind of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Wrong {
    /// A record that this service did not write.
    Unreadable,
    /// The hash in a record is not the hash of the record before it.
    Altered,
    /// Records of the chain are missing.
    RecordMissing,
    /// A record of the chain occurs twice.
    RecordTwice,
    /// IDs between two grants were never given.
    IdMissing,
    /// IDs were given again.
    IdTwice,
    /// A grant contradicts itself, or the rules.
    Contradiction,
}

impl Wrong {
    /// The finding in words.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Wrong::Unreadable => "unreadable record",
            Wrong::Altered => "altered record",
            Wrong::RecordMissing => "missing record",
            Wrong::RecordTwice => "record twice",
            Wrong::IdMissing => "missing ID",
            Wrong::IdTwice => "ID given twice",
            Wrong::Contradiction => "contradiction",
        }
    }
}

/// One example of a finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Example {
    /// The partition of the ledger.
    pub partition: i32,
    /// The offset of the page in the ledger. For missing records, the offset where the ledger ends.
    pub offset: i64,
    /// The problem in words.
    pub problem: String,
}

/// All findings of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// The kind of the finding.
    pub wrong: Wrong,
    /// Number of occurrences.
    pub count: u64,
    /// The first occurrences.
    pub examples: Vec<Example>,
}

/// The act of an operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Act {
    /// `define`, `set_next`, `retire`, or `recover`.
    pub kind: &'static str,
    /// The partition of the ledger.
    pub partition: i32,
    /// Offset of the act's page in the ledger.
    pub offset: i64,
    /// The next ID after the act. None when no ID was left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<i64>,
    /// Time of the act, in milliseconds since 1970.
    pub timestamp: i64,
    /// The requester that the operator's record names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requester: Option<String>,
    /// The reason that the operator's record gives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The result of an audit of one sequence.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Report {
    /// The name of the sequence.
    pub sequence: String,
    /// The partition of the ledger.
    pub partition: i32,
    /// Pages that were read, of all sequences.
    pub pages_read: u64,
    /// Records of this sequence.
    pub records: u64,
    /// Grants among these records.
    pub grants: u64,
    /// IDs that the grants gave.
    pub ids: u64,
    /// Number of the first record.
    pub first_record: Option<u64>,
    /// Number of the last record.
    pub last_record: Option<u64>,
    /// First ID of the first grant.
    pub first_id: Option<i64>,
    /// Last ID of the last grant.
    pub last_id: Option<i64>,
    /// Hash of the last record.
    pub last_hash: Option<String>,
    /// Acts of operators, the first of them.
    pub acts: Vec<Act>,
    /// Ranges of IDs that were given while the sequence was not audited, and checks that were not possible.
    pub unchecked: Vec<String>,
    /// The findings.
    pub findings: Vec<Finding>,
    /// Why there was nothing to check. None when something was checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// True when something was checked and nothing is wrong.
    pub clean: bool,
}

impl Report {
    /// Takes the places of pages in their own partitions, for a ledger that reads several as one.
    pub(crate) fn locate(&mut self, ledger: &dyn Ledger) {
        let locate = |partition: &mut i32, offset: &mut i64| {
            let place = ledger.place(*offset);
            (*partition, *offset) = (place.partition, place.offset);
        };
        for act in &mut self.acts {
            locate(&mut act.partition, &mut act.offset);
        }
        let examples = self.findings.iter_mut();
        for example in examples.flat_map(|finding| &mut finding.examples) {
            locate(&mut example.partition, &mut example.offset);
        }
    }
}

/// The state's knowledge of a sequence's ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Remembered {
    /// The end of its chain.
    Chain(Chain),
    /// The sequence exists, and has no record in the ledger.
    NotAudited,
    /// The sequence does not exist.
    NoSequence,
    /// The state cannot be used, for this reason.
    Unknown(String),
}

impl Remembered {
    /// Why the end of the ledger cannot be compared with the state.
    fn unchecked(&self) -> Option<String> {
        let why = match self {
            Remembered::Chain(_) => return None,
            Remembered::NotAudited => "the state knows of no ledger of the sequence",
            Remembered::NoSequence => "the state does not know the sequence",
            Remembered::Unknown(why) => why,
        };
        Some(format!("the end of the ledger: {why}"))
    }

    /// Why the ledger has no record of the sequence.
    fn without_records(&self, name: &str) -> String {
        match self {
            Remembered::Chain(_) => format!("the ledger has no record of {name:?}"),
            Remembered::NotAudited => format!(
                "{name:?} is not audited, so the ledger has no record of it; a definition with audit = true \
                 begins one"
            ),
            Remembered::NoSequence => format!(
                "no sequence {name:?} is known, and the ledger has no record of it: is the name right?"
            ),
            Remembered::Unknown(why) => format!(
                "the ledger has no record of {name:?}, and whether it should have one is not known: {why}"
            ),
        }
    }
}

/// Checks the pages of one sequence, in order.
pub(crate) struct Checker {
    report: Report,
    findings: BTreeMap<Wrong, Finding>,
    /// The chain in the state, read before the ledger.
    remembered: Remembered,
    /// True when the first record may have any number.
    begins_inside: bool,
    last: Option<Entry>,
    /// Numbers and hashes of the records of the current page.
    page: Vec<(u64, Hash)>,
    /// The same of the page before, by which a repeated page is recognised.
    page_before: Vec<(u64, Hash)>,
    /// The rules in the last `define` record.
    rules: Option<Rules>,
    /// The ID that the next grant must begin with. None when any ID is allowed.
    next: Option<i128>,
    last_offset: i64,
}

impl Checker {
    /// `begins_inside`: the records before the first one are not read, or are gone.
    pub(crate) fn new(
        sequence: &str,
        partition: i32,
        remembered: Remembered,
        begins_inside: bool,
    ) -> Checker {
        Checker {
            report: Report {
                sequence: sequence.to_owned(),
                partition,
                unchecked: remembered.unchecked().into_iter().collect(),
                ..Report::default()
            },
            findings: BTreeMap::new(),
            remembered,
            begins_inside,
            last: None,
            page: Vec::new(),
            page_before: Vec::new(),
            rules: None,
            next: None,
            last_offset: 0,
        }
    }

    /// Reads the next page. The caller hands its records to [`Checker::record`] one by one.
    pub(crate) fn page(&mut self, offset: i64, value: &[u8]) -> Vec<Entry> {
        self.last_offset = offset;
        let Some(entries) = decode(value) else {
            self.report.records += 1;
            self.wrong(
                Wrong::Unreadable,
                offset,
                "it is no page of the ledger".to_owned(),
            );
            return Vec::new();
        };
        let other = entries.first().map(|entry| &entry.sequence);
        if let Some(other) = other.filter(|other| **other != self.report.sequence) {
            let problem = format!("it lies under another key and is of sequence {other:?}");
            self.wrong(Wrong::Altered, offset, problem);
        }
        let told = entries.iter().map(|entry| (entry.record, entry.hash));
        self.page_before = std::mem::replace(&mut self.page, told.collect());
        entries
    }

    /// Checks the next record of the current page.
    pub(crate) fn record(&mut self, offset: i64, entry: &Entry) {
        self.report.records += 1;
        if !self.link(offset, entry) {
            return;
        }
        self.against_state(offset, entry);
        match entry.kind {
            Kind::Grant => self.grant(offset, entry),
            Kind::Define | Kind::SetNext | Kind::Retire => self.act(offset, entry),
        }
        self.report.first_record.get_or_insert(entry.record);
        self.report.last_record = Some(entry.record);
        self.report.last_hash = Some(hex(&entry.hash));
        self.last = Some(entry.clone());
    }

    /// Ends the check and returns the report. `whole`: the end of the ledger was reached.
    pub(crate) fn finish(mut self, whole: bool, pages_read: u64) -> Report {
        let last = self.last.as_ref().map_or(0, |last| last.record);
        if let Some(state) = self.chain().filter(|state| whole && state.records > last) {
            let problem = format!(
                "the state knows of {} records, the ledger ends with record {last}",
                state.records
            );
            self.wrong(Wrong::RecordMissing, self.last_offset, problem);
        }
        self.report.pages_read = pages_read;
        self.report.findings = self.findings.into_values().collect();
        if self.report.records == 0 {
            let why = self.remembered.without_records(&self.report.sequence);
            self.report.problem = Some(why);
        }
        self.report.clean = self.report.findings.is_empty() && self.report.problem.is_none();
        self.report
    }

    fn chain(&self) -> Option<Chain> {
        match self.remembered {
            Remembered::Chain(chain) => Some(chain),
            _ => None,
        }
    }

    /// Adds a line about a check that is not possible.
    pub(crate) fn unchecked(&mut self, what: String) {
        self.report.unchecked.push(what);
    }

    /// Checks the record's place in the chain. False for a copy of an earlier record.
    fn link(&mut self, offset: i64, entry: &Entry) -> bool {
        let number = entry.record;
        if entry.repaired {
            self.note(offset, entry, "recover");
        }
        let Some(last) = &self.last else {
            if self.begins_inside || entry.repaired {
                return true;
            }
            if number != 1 {
                let problem = format!("the ledger begins with record {number}");
                self.wrong(Wrong::RecordMissing, offset, problem);
            } else if entry.previous != hex(&Hash::NONE) {
                let problem = "record 1 names a record before it".to_owned();
                self.wrong(Wrong::Altered, offset, problem);
            }
            return true;
        };
        let (before, known) = (last.record, hex(&last.hash));
        if number == before + 1 {
            if entry.previous != known {
                let problem = format!(
                    "record {number} names {} as the hash of record {before}, which is {known}",
                    entry.previous
                );
                self.wrong(Wrong::Altered, offset, problem);
            }
            return true;
        }
        // A repair may go back to an older state, or to none.
        if entry.repaired {
            self.next = None;
            return true;
        }
        if number <= before {
            let same = if self.page_before.contains(&(number, entry.hash)) {
                "the same"
            } else {
                "another"
            };
            let problem =
                format!("record {number} comes after record {before}: {same} record again");
            self.wrong(Wrong::RecordTwice, offset, problem);
            return false;
        }
        let ids = match (self.next, entry.first) {
            (Some(next), Some(first)) if next != i128::from(first) => {
                format!(", and with them the IDs from {next} to before {first}")
            }
            _ => String::new(),
        };
        let (from, to) = (before + 1, number - 1);
        let records = if from == to {
            format!("record {from} is not there")
        } else {
            format!("records {from} to {to} are not there")
        };
        self.wrong(Wrong::RecordMissing, offset, format!("{records}{ids}"));
        self.next = None;
        true
    }

    fn against_state(&mut self, offset: i64, entry: &Entry) {
        let Some(state) = self.chain().filter(|state| state.records == entry.record) else {
            return;
        };
        if state.hash != entry.hash {
            let problem = format!(
                "record {} has the hash {}, and the state remembers {}",
                entry.record,
                hex(&entry.hash),
                hex(&state.hash)
            );
            self.wrong(Wrong::Altered, offset, problem);
        }
    }

    fn grant(&mut self, offset: i64, entry: &Entry) {
        let (Some((first, last)), Some(count)) = (entry.ids(), entry.count) else {
            return;
        };
        let step = i128::from(entry.step());
        let (from, to) = (i128::from(first), i128::from(last));
        if count == 0 || from + (i128::from(count) - 1) * step != to {
            let problem = format!("{count} IDs from {first} by {step} do not end with {last}");
            self.wrong(Wrong::Contradiction, offset, problem);
        }
        if let Some(rules) = self.rules
            && (i128::from(rules.increment) != step
                || first.min(last) < rules.min
                || last.max(first) > rules.max)
        {
            let problem = format!("the IDs {first} to {last} are not by the rules of the sequence");
            self.wrong(Wrong::Contradiction, offset, problem);
        }
        if let Some(next) = self.next.filter(|next| *next != from && !entry.repaired)
            && !self.begins_again(entry, from)
        {
            let ahead = if step < 0 { from < next } else { from > next };
            if ahead {
                let problem = format!("the IDs from {next} to before {first} were given to nobody");
                self.wrong(Wrong::IdMissing, offset, problem);
            } else {
                let problem = format!("{first} to {last} were given, and {next} was to come next");
                self.wrong(Wrong::IdTwice, offset, problem);
            }
        }
        self.next = Some(to + step);
        self.report.grants += 1;
        // A forged page may have any count.
        self.report.ids = self.report.ids.saturating_add(count);
        self.report.first_id.get_or_insert(first);
        self.report.last_id = Some(last);
    }

    /// True for the first grant of a new turn of a cycle.
    fn begins_again(&self, entry: &Entry, from: i128) -> bool {
        let turned = self
            .last
            .as_ref()
            .is_some_and(|last| last.turn.checked_add(1) == Some(entry.turn));
        // The rules are unknown when the search began inside the chain.
        turned
            && self.rules.is_none_or(|rules| {
                let begin = if rules.increment < 0 {
                    rules.max
                } else {
                    rules.min
                };
                rules.cycles() && from == i128::from(begin)
            })
    }

    fn act(&mut self, offset: i64, entry: &Entry) {
        if let Some(rules) = entry.definition {
            let was_audited = self.rules.is_none_or(|rules| rules.audit);
            if !was_audited && let (Some(next), Some(now)) = (self.next, entry.next) {
                self.report.unchecked.push(format!(
                    "not audited: what was given between {next} and {now}, up to record {}",
                    entry.record
                ));
            }
            self.rules = Some(rules);
        }
        self.note(offset, entry, entry.kind.as_str());
        self.next = entry.next.map(i128::from);
    }

    fn note(&mut self, offset: i64, entry: &Entry, kind: &'static str) {
        if self.report.acts.len() < ACTS_MAX {
            self.report.acts.push(Act {
                kind,
                partition: self.report.partition,
                offset,
                next: entry.next.or(entry.first),
                timestamp: entry.timestamp,
                requester: entry.requester.clone().filter(|_| kind != "recover"),
                reason: entry.reason.clone(),
            });
        }
    }

    fn wrong(&mut self, wrong: Wrong, offset: i64, problem: String) {
        let finding = self.findings.entry(wrong).or_insert(Finding {
            wrong,
            count: 0,
            examples: Vec::new(),
        });
        finding.count += 1;
        if finding.examples.len() < EXAMPLES_MAX {
            finding.examples.push(Example {
                partition: self.report.partition,
                offset,
                problem,
            });
        }
    }
}
