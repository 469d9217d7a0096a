//! The status that an instance tells its peers about itself, once a second, in a header of a heartbeat. So each
//! instance can show the partitions of all.
//!
//! It decides nothing, and it is bounded: lines beyond [`BYTES_MAX`] are left out. A command that repairs a partition
//! is not in it: an operator takes that from the instance itself, and not from a record.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::status::{PartitionState, PartitionStatus, Status};
use crate::core::command::Undefined;
use crate::core::rescale::Part;
use crate::processor::Mode;

/// The header of a heartbeat that holds this status. A release that does not know it passes over it.
pub(crate) const HEADER: &str = "status";

/// Upper limit for the encoded partitions: about 400 of them, and far below what a broker takes in one record.
const BYTES_MAX: usize = 64 * 1024;

/// The status of another instance, as it told it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// The release of the instance.
    pub version: String,
    /// Its `reply.mode`.
    pub reply_mode: Mode,
    /// When it told this by its own clock, in milliseconds since 1970.
    pub unix_ms: u64,
    /// The partitions that it owns, without the commands that repair them.
    pub partitions: BTreeMap<i32, PartitionStatus>,
}

/// The encoded form.
#[derive(Serialize, Deserialize)]
struct Record {
    version: String,
    reply_mode: Mode,
    unix_ms: u64,
    partitions: Vec<Line>,
}

/// The encoded form of a partition.
#[derive(Serialize, Deserialize)]
struct Line {
    partition: i32,
    state: PartitionState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    next_offset: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lag_records: Option<i64>,
    sequences: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rescale: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    undefined: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    checkpoint_age_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    open_transaction_hold_ms: Option<u64>,
}

/// Encodes this status for the peers, as of `unix_ms`. None when that fails, which no status makes it.
pub(crate) fn encode(status: &Status, unix_ms: u64) -> Option<String> {
    let mut bytes = 0;
    let fits = |line: &Line| {
        let length = serde_json::to_string(line).map_or(BYTES_MAX, |line| line.len());
        let fits = bytes + length < BYTES_MAX;
        bytes += if fits { length } else { 0 };
        fits
    };
    let lines = status.partitions.iter().map(Line::of);
    let record = Record {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        reply_mode: status.reply_mode,
        unix_ms,
        partitions: lines.filter(fits).collect(),
    };
    serde_json::to_string(&record).ok()
}

/// Decodes the status of a peer. None for one that this release cannot read.
pub(crate) fn decode(header: &[u8]) -> Option<Told> {
    let record: Record = serde_json::from_slice(header).ok()?;
    let partitions = record.partitions.into_iter();
    Some(Told {
        version: record.version,
        reply_mode: record.reply_mode,
        unix_ms: record.unix_ms,
        partitions: partitions
            .map(|line| (line.partition, line.status()))
            .collect(),
    })
}

impl Line {
    fn of((partition, status): (&i32, &PartitionStatus)) -> Line {
        Line {
            partition: *partition,
            state: status.state,
            reason: status.reason.clone(),
            next_offset: status.next_offset,
            lag_records: status.lag_records,
            sequences: status.sequences,
            rescale: status.rescale.map(str::to_owned),
            undefined: status.undefined.map(str::to_owned),
            checkpoint_age_ms: status.checkpoint_age_ms,
            open_transaction_hold_ms: status.open_transaction_hold_ms,
        }
    }

    fn status(self) -> PartitionStatus {
        let part = |word: String| {
            let mut words = Part::ALL.iter().map(|part| part.as_str());
            words.find(|known| *known == word)
        };
        let undefined = |word: String| {
            let mut words = [
                Undefined::Create,
                Undefined::CreateAudited,
                Undefined::Refuse,
            ]
            .map(undefined_word)
            .into_iter();
            words.find(|known| *known == word)
        };
        PartitionStatus {
            state: self.state,
            reason: self.reason,
            next_offset: self.next_offset,
            lag_records: self.lag_records,
            sequences: self.sequences,
            rescale: self.rescale.and_then(part),
            undefined: self.undefined.and_then(undefined),
            checkpoint_age_ms: self.checkpoint_age_ms,
            open_transaction_hold_ms: self.open_transaction_hold_ms,
            ..PartitionStatus::default()
        }
    }
}

/// The word for a policy, with the audit of new sequences in it.
pub(crate) const fn undefined_word(undefined: Undefined) -> &'static str {
    match undefined {
        Undefined::Create => "create",
        Undefined::CreateAudited => "create, audited",
        Undefined::Refuse => "refuse",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running() -> PartitionStatus {
        PartitionStatus {
            state: PartitionState::Running,
            next_offset: 1_234,
            lag_records: Some(5),
            sequences: 7,
            rescale: Some(Part::Split.as_str()),
            undefined: Some(undefined_word(Undefined::CreateAudited)),
            checkpoint_age_ms: Some(80),
            open_transaction_hold_ms: Some(9),
            ..PartitionStatus::default()
        }
    }

    #[test]
    fn a_peer_reads_what_was_told_without_the_command_of_a_repair() {
        let halted = PartitionStatus {
            state: PartitionState::Halted,
            reason: Some("a gap".to_owned()),
            ..PartitionStatus::default()
        };
        let with_repair = PartitionStatus {
            repair: Some("sequencer recover".to_owned()),
            ..halted.clone()
        };
        let status = Status {
            reply_mode: Mode::ExactlyOnce,
            partitions: [(3, running()), (4, with_repair)].into(),
            ..Status::default()
        };
        let told = decode(encode(&status, 17).unwrap().as_bytes()).unwrap();
        assert_eq!(told.version, env!("CARGO_PKG_VERSION"));
        assert_eq!((told.reply_mode, told.unix_ms), (Mode::ExactlyOnce, 17));
        assert_eq!(told.partitions, [(3, running()), (4, halted)].into());
    }

    #[test]
    fn a_header_of_another_form_tells_nothing() {
        assert_eq!(decode(b""), None);
        assert_eq!(decode(b"{\"version\":\"9\"}"), None);
        let later = encode(&Status::default(), 1).unwrap();
        let later = later.replace("\"unix_ms\"", "\"new\":[1],\"unix_ms\"");
        assert!(
            decode(later.as_bytes()).is_some(),
            "a new field is passed over"
        );
    }

    #[test]
    fn the_header_is_bounded_however_many_partitions_there_are() {
        let status = Status {
            partitions: (0..5_000).map(|id| (id, running())).collect(),
            ..Status::default()
        };
        let header = encode(&status, 1).unwrap();
        assert!(header.len() < BYTES_MAX + 5_000, "{}", header.len());
        let told = decode(header.as_bytes()).unwrap();
        assert!(told.partitions.len() > 300, "{}", told.partitions.len());
        let long = PartitionStatus {
            reason: Some("x".repeat(2 * BYTES_MAX)),
            ..running()
        };
        let status = Status {
            partitions: [(0, long)].into(),
            ..Status::default()
        };
        assert!(encode(&status, 1).unwrap().len() < BYTES_MAX);
    }
}
