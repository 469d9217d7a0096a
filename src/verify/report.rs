//! The verdict: what was checked, what was counted, what is wrong.

use serde::Serialize;

/// Examples that are kept of each kind of anomaly; the others are counted.
const EXAMPLES_MAX: usize = 5;

/// What is promised, in the order of its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Invariant {
    /// I1.
    Unique,
    /// I2.
    Gapless,
    /// I3.
    Stable,
    /// I4.
    Answered,
    /// I5.
    OneGrant,
    /// I6, as far as the request log shows it.
    StopsRatherThanGuesses,
    /// Each footer, and the entries at it.
    CheckpointAddsUp,
    /// What a reply says.
    Contract,
}

impl Invariant {
    /// All of them.
    pub const ALL: [Invariant; 8] = [
        Invariant::Unique,
        Invariant::Gapless,
        Invariant::Stable,
        Invariant::Answered,
        Invariant::OneGrant,
        Invariant::StopsRatherThanGuesses,
        Invariant::CheckpointAddsUp,
        Invariant::Contract,
    ];

    /// As in the documentation.
    pub const fn name(self) -> &'static str {
        match self {
            Invariant::Unique => "I1 unique",
            Invariant::Gapless => "I2 gapless and monotonic",
            Invariant::Stable => "I3 stable",
            Invariant::Answered => "I4 answered",
            Invariant::OneGrant => "I5 one request, one grant",
            Invariant::StopsRatherThanGuesses => "I6 stops rather than guesses",
            Invariant::CheckpointAddsUp => "checkpoint adds up",
            Invariant::Contract => "reply as the log says",
        }
    }

    /// What its number of checks counts.
    pub const fn unit(self) -> &'static str {
        match self {
            Invariant::Unique | Invariant::Gapless => "grants",
            Invariant::Stable => "requests answered more than once",
            Invariant::Answered => "requests",
            Invariant::OneGrant => "requests sent again",
            Invariant::StopsRatherThanGuesses => "forwarded requests",
            Invariant::CheckpointAddsUp => "footers",
            Invariant::Contract => "replies",
        }
    }
}

/// One anomaly.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Example {
    /// Of the request topic; of the state topic for a checkpoint.
    pub partition: u32,
    /// Of the record that the client wrote, or of the footer.
    pub offset: i64,
    /// In words.
    pub what: String,
}

/// What was found about one invariant.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// Which.
    pub invariant: &'static str,
    /// How often it was checked.
    pub checked: u64,
    /// What that number counts.
    pub of: &'static str,
    /// How often it did not hold.
    pub anomalies: u64,
    /// Some of those.
    pub examples: Vec<Example>,
}

/// What was counted on the way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Committed records of the request topic.
    pub requests: u64,
    /// Requests that got IDs.
    pub grants: u64,
    /// Those IDs.
    pub ids: u64,
    /// Requests that got the IDs of an earlier one with the same `request_id`.
    pub again: u64,
    /// Operators' records that were accepted.
    pub operators: u64,
    /// Requests that got an error.
    pub refused: u64,
    /// Requests that lay outside their home partition.
    pub strays: u64,
    /// Strays whose home is not checked so far back.
    pub strays_outside: u64,
    /// Forwarded records that came once more.
    pub forwarded_again: u64,
    /// Sequences.
    pub sequences: u64,
    /// Replies to requests that were checked.
    pub replies: u64,
    /// Replies beyond the first to their request.
    pub replies_again: u64,
    /// Replies to requests outside of what was checked.
    pub replies_outside: u64,
    /// Records of reply topics that are no replies of this service.
    pub foreign: u64,
    /// Footers in the state topic.
    pub footers: u64,
    /// Footers of owners that had lost the partition; a restore passes over them.
    pub footers_late: u64,
    /// Footers that could not be checked: in the compacted head, made void by a repair, of another
    /// request topic, beyond the end.
    pub footers_unchecked: u64,
    /// Repairs by `sequencer recover`.
    pub repairs: u64,
    /// Requests that a repair passed over.
    pub passed_over: u64,
    /// Requests without a reply that the reply topics do not reach back to.
    pub replies_gone: u64,
}

/// Everything.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Something was checked, and nothing is wrong.
    pub clean: bool,
    /// Why there was nothing to check.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// By invariant.
    pub findings: Vec<Finding>,
    /// What was counted.
    pub counts: Counts,
    /// What could not be checked, in words.
    pub unchecked: Vec<String>,
}

impl Report {
    /// Before anything is found.
    pub fn new() -> Report {
        let finding = |invariant: Invariant| Finding {
            invariant: invariant.name(),
            checked: 0,
            of: invariant.unit(),
            anomalies: 0,
            examples: Vec::new(),
        };
        Report {
            clean: true,
            problem: None,
            findings: Invariant::ALL.map(finding).to_vec(),
            counts: Counts::default(),
            unchecked: Vec::new(),
        }
    }

    fn finding(&mut self, invariant: Invariant) -> Option<&mut Finding> {
        let at = Invariant::ALL
            .iter()
            .position(|known| *known == invariant)?;
        self.findings.get_mut(at)
    }

    /// There was nothing to check, which is not the same as clean.
    pub(super) fn nothing(&mut self, why: String) {
        self.clean = false;
        self.problem = Some(why);
    }

    /// It was checked once.
    pub fn checked(&mut self, invariant: Invariant) {
        if let Some(finding) = self.finding(invariant) {
            finding.checked += 1;
        }
    }

    /// It does not hold.
    pub fn wrong(
        &mut self,
        invariant: Invariant,
        (partition, offset): (u32, i64),
        what: impl FnOnce() -> String,
    ) {
        self.clean = false;
        let Some(finding) = self.finding(invariant) else {
            return;
        };
        finding.anomalies += 1;
        if finding.examples.len() < EXAMPLES_MAX {
            finding.examples.push(Example {
                partition,
                offset,
                what: what(),
            });
        }
    }

    /// The invariants that do not hold.
    #[cfg(test)]
    pub fn broken(&self) -> Vec<Invariant> {
        let findings = Invariant::ALL.iter().zip(&self.findings);
        findings
            .filter(|(_, finding)| finding.anomalies > 0)
            .map(|(invariant, _)| *invariant)
            .collect()
    }
}

impl Default for Report {
    fn default() -> Report {
        Report::new()
    }
}
