//! Shows one partition as an owner would find it.

use serde::Serialize;

use crate::core::link::LinkKey;
use crate::core::rescale::{Part, Standing};
use crate::core::{Fold, Homes};
use crate::kafka::takeovers::questions::Questions;
use crate::processor::restore::Restored;
use crate::processor::takeover::{Action, Bound, Event, StateLog, Step, Takeover, Verdict};
use crate::wire::state::Footer;

/// The verdict of an owner's takeover.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outlook {
    /// Wait: nothing is wrong, but something is not there yet.
    #[default]
    Waits,
    /// Fold from here on.
    Starts,
    /// Stop (I6).
    Halts,
}

impl Outlook {
    /// The word in the table.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Outlook::Waits => "waits",
            Outlook::Starts => "starts",
            Outlook::Halts => "halts",
        }
    }
}

/// The known facts about one partition. A fact is absent when it could not be read, or does not exist yet.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Facts {
    /// The number of the partition.
    pub partition: i32,
    /// The verdict of an owner's takeover.
    pub outlook: Outlook,
    /// The reason why an owner would wait or halt.
    pub reason: Option<String>,
    /// The remedy, when an owner would halt.
    pub repair: Option<String>,
    /// The next request offset to read, according to the last checkpoint.
    pub next_offset: Option<i64>,
    /// The offset that the group has committed, for Kafka's tools.
    pub committed_offset: Option<i64>,
    /// Start of the request log.
    pub log_start: Option<i64>,
    /// End of the request log.
    pub log_end: Option<i64>,
    /// Offsets between the checkpoint and the end, transaction markers included.
    pub lag: Option<i64>,
    /// Offset of the last request that was answered.
    pub last_applied_offset: Option<i64>,
    /// Number of requests that were folded since the beginning.
    pub applied_records: Option<u64>,
    /// Number of sequences.
    pub sequences: Option<usize>,
    /// The reason of the last repair.
    pub repaired: Option<String>,
    /// IDs up to this one count as taken for unknown names; 0 without a repair.
    pub floor: Option<i64>,
    /// The policy for undefined names: `create` or `refuse`.
    pub undefined: Option<&'static str>,
    /// N, from the footer.
    pub service_partitions: Option<u32>,
    /// N of each epoch, from the footer, the first one first.
    pub homes: Option<Vec<u32>>,
    /// The part that the partition has left to do in a rescale. Absent when there never was one.
    pub rescale: Option<&'static str>,
    /// The facts about a rescale.
    #[serde(skip)]
    pub standing: Option<Standing>,
    /// Partitions that have reported to this one.
    #[serde(skip)]
    pub reports: Vec<u32>,
    /// The version of the rules by which the state was folded.
    pub fold_version: Option<u16>,
    /// The request topic's ID, from the footer.
    pub topic_id: Option<String>,
    /// The digest of everything that is remembered.
    pub digest: Option<String>,
    /// The instance that wrote the last checkpoint.
    pub instance: Option<String>,
    /// The consumer group in the footer.
    pub group: Option<String>,
    /// Start of the state log.
    pub state_start: Option<i64>,
    /// End of the state log.
    pub state_end: Option<i64>,
    /// Number of state records that a restore reads.
    pub state_records: Option<u64>,
    /// Number of these batches that do not add up: torn ones, or a zombie's.
    pub skipped_batches: Option<u64>,
}

impl Facts {
    /// True when the state adds up, or does not exist yet: a name that is not in it is unused.
    pub(crate) fn is_known(&self) -> bool {
        self.outlook == Outlook::Starts || self.next_offset.is_some()
    }

    /// The part that the partition has left to do. None when its state is not known.
    pub(crate) fn part(&self, service: &Homes) -> Option<Part> {
        let partition = u32::try_from(self.partition).ok()?;
        Some(self.standing?.part(partition, service))
    }

    fn note(&mut self, event: &Event) {
        match event {
            Event::Bound(Bound::Log(StateLog { start, end })) => {
                self.state_start = Some(*start);
                self.state_end = Some(*end);
            }
            Event::Committed(Some(committed)) => self.committed_offset = Some(committed.next.0),
            Event::Log(log) => {
                self.log_start = Some(log.start.0);
                self.log_end = Some(log.end.0);
            }
            _ => {}
        }
    }

    fn restored(&mut self, restored: &Restored) {
        self.sequences = Some(restored.fold.sequences());
        self.repaired.clone_from(&restored.reset);
        self.state_records = Some(restored.records);
        self.skipped_batches = Some(restored.skipped_batches);
        if let Some(footer) = &restored.footer {
            self.footer(footer);
            let partition = u32::try_from(self.partition).unwrap_or(0);
            self.standing = Some(restored.fold.standing(partition));
            self.reports = restored.fold.reports().collect();
        }
    }

    fn footer(&mut self, footer: &Footer) {
        self.next_offset = Some(footer.next.0);
        self.last_applied_offset = footer.last_applied.map(|last| last.offset.0);
        self.applied_records = Some(footer.scalars.applied);
        self.floor = Some(footer.scalars.floor);
        self.undefined = Some(footer.scalars.undefined.as_str());
        self.service_partitions = Some(footer.scalars.homes.partitions());
        self.homes = Some(footer.scalars.homes.counts().collect());
        self.fold_version = Some(footer.fold_version);
        self.topic_id = Some(footer.topic_id.to_string());
        self.digest = Some(footer.digest.to_string());
        self.instance = Some(footer.instance.clone());
        self.group = Some(footer.group.clone());
    }
}

/// This code decides nothing, so it draws no key.
const NO_KEY: LinkKey = LinkKey([0; 32]);

/// Finds all facts about a partition, with its state.
pub(in crate::cli) fn look(questions: &Questions, partition: i32, group: &str) -> (Facts, Fold) {
    let mut facts = Facts {
        partition,
        ..Facts::default()
    };
    let mut takeover = Takeover::new(partition, group, NO_KEY);
    let mut step = takeover.first();
    let verdict = loop {
        let action = match step {
            Step::Done(verdict) => break verdict,
            Step::Do(action) => action,
        };
        let answer = match action {
            // `inspect` changes nothing.
            Action::GrowState => Ok(Event::Growing),
            action => questions.answer(partition, action),
        };
        let event = answer.unwrap_or_else(|error| Event::Unavailable(error.to_string()));
        facts.note(&event);
        step = takeover.on(event);
    };
    let fold = match verdict {
        Verdict::Start(start) => {
            facts.outlook = Outlook::Starts;
            facts.restored(&start.restored);
            start.restored.fold
        }
        Verdict::Wait(reason) => {
            facts.outlook = Outlook::Waits;
            facts.reason = Some(reason);
            Fold::default()
        }
        Verdict::Halt(halt, _) => {
            facts.outlook = Outlook::Halts;
            facts.reason = Some(halt.to_string());
            facts.repair = Some(halt.remedy(partition));
            state_as_found(questions, &mut facts)
        }
    };
    facts.lag = facts
        .log_end
        .zip(facts.next_offset)
        .map(|(end, next)| end - next);
    (facts, fold)
}

/// Reads the state again, because a takeover that halts does not return it.
fn state_as_found(questions: &Questions, facts: &mut Facts) -> Fold {
    let Some((from, to)) = facts.state_start.zip(facts.state_end) else {
        return Fold::default();
    };
    match questions.answer(facts.partition, Action::ReadState { from, to }) {
        Ok(Event::State(restored)) => {
            facts.restored(&restored);
            restored.fold
        }
        // The reason has been reported already.
        _ => Fold::default(),
    }
}

/// The longest list of N that any of these partitions has learned. None before the first checkpoint.
pub(in crate::cli) fn longest(partitions: &[Facts]) -> Option<Homes> {
    let lists = partitions.iter().filter_map(|facts| facts.standing);
    let lists = lists.map(|standing| standing.homes);
    lists.max_by_key(Homes::epoch)
}
