//! The verdict: what was checked and counted, and the anomalies.

use serde::Serialize;

/// Examples that are kept of each kind of anomaly. The others are only counted.
const EXAMPLES_MAX: usize = 5;

/// The promises, in the order of their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) enum Invariant {
    /// I1, unique.
    Unique,
    /// I2, gapless and monotonic.
    Gapless,
    /// I3, stable.
    Stable,
    /// I4, nothing lost.
    Answered,
    /// I5, one request, one grant.
    OneGrant,
    /// I6, stop rather than guess, as far as the request log shows it.
    StopsRatherThanGuesses,
    /// Each footer adds up with the entries before it.
    CheckpointAddsUp,
    /// Each reply has the content that the contract requires.
    Contract,
}

impl Invariant {
    /// All invariants.
    pub(crate) const ALL: [Invariant; 8] = [
        Invariant::Unique,
        Invariant::Gapless,
        Invariant::Stable,
        Invariant::Answered,
        Invariant::OneGrant,
        Invariant::StopsRatherThanGuesses,
        Invariant::CheckpointAddsUp,
        Invariant::Contract,
    ];

    /// The name in the documentation.
    pub(crate) const fn name(self) -> &'static str {
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

    /// The unit of its number of checks.
    pub(crate) const fn unit(self) -> &'static str {
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
pub(crate) struct Example {
    /// Partition of the request topic. For a checkpoint, partition of the state topic.
    pub partition: u32,
    /// Offset of the client's record, or of the footer.
    pub offset: i64,
    /// The anomaly in words.
    pub what: String,
}

/// The result for one invariant.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Finding {
    /// The name of the invariant.
    pub invariant: &'static str,
    /// Number of checks.
    pub checked: u64,
    /// The unit of that number.
    pub of: &'static str,
    /// Number of failed checks.
    pub anomalies: u64,
    /// Some of the anomalies.
    pub examples: Vec<Example>,
}

/// The numbers that the check counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Counts {
    /// Committed records of the request topic.
    pub requests: u64,
    /// Requests that got IDs.
    pub grants: u64,
    /// IDs in these grants.
    pub ids: u64,
    /// Requests that got the IDs of an earlier one with the same `request_id`.
    pub again: u64,
    /// Operators' records that were accepted.
    pub operators: u64,
    /// Requests that got an error.
    pub refused: u64,
    /// Requests that lay outside their home partition.
    pub strays: u64,
    /// Strays whose home partition is not checked as far back.
    pub strays_outside: u64,
    /// Forwarded records that arrived again.
    pub forwarded_again: u64,
    /// Orders by which partitions carried out rescales.
    pub orders: u64,
    /// Sequences that exist at the end.
    pub sequences: u64,
    /// Replies to requests that were checked.
    pub replies: u64,
    /// Replies after the first one to the same request.
    pub replies_again: u64,
    /// Replies to requests outside of the checked range.
    pub replies_outside: u64,
    /// Records of reply topics that are not replies of this service.
    pub foreign: u64,
    /// Footers in the state topic.
    pub footers: u64,
    /// Footers of owners that had lost the partition. A restore skips them.
    pub footers_late: u64,
    /// Footers that could not be checked: in the compacted head, made void by a repair, of another request
    /// topic, or beyond the end.
    pub footers_unchecked: u64,
    /// Repairs by `sequencer recover`.
    pub repairs: u64,
    /// Requests that a repair skipped.
    pub passed_over: u64,
    /// Requests whose replies retention may have removed.
    pub replies_gone: u64,
}

/// The report of a check.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    /// True when something was checked and nothing is wrong.
    pub clean: bool,
    /// The reason why there was nothing to check. None when something was checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// The findings, by invariant.
    pub findings: Vec<Finding>,
    /// The counted numbers.
    pub counts: Counts,
    /// The parts that could not be checked, in words.
    pub unchecked: Vec<String>,
}

impl Report {
    /// A report without findings.
    pub(crate) fn new() -> Report {
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

    /// Notes that there was nothing to check. This is not the same as clean.
    pub(super) fn nothing(&mut self, why: String) {
        self.clean = false;
        self.problem = Some(why);
    }

    /// Counts one check of an invariant.
    pub(crate) fn checked(&mut self, invariant: Invariant) {
        if let Some(finding) = self.finding(invariant) {
            finding.checked += 1;
        }
    }

    /// Adds an anomaly of an invariant.
    pub(crate) fn wrong(
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

    /// The invariants with anomalies.
    #[cfg(test)]
    pub(crate) fn broken(&self) -> Vec<Invariant> {
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
