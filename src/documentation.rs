//! `docs/errors.md` has a row for each code, and none for a code that there is not.

use crate::core::invariants::Invariant;
use crate::core::link::Origin;
use crate::core::rescale::Order;
use crate::core::{Code, Homes, NextOffset, Offset};
use crate::gateway::call::problem::Own;
use crate::processor::halt::Halt;
use crate::wire::route::Cause;
use crate::wire::state::TopicId;

const ERRORS: &str = include_str!("../docs/errors.md");

/// The first cell of each row of the table under a heading, where it is a word in backticks.
fn words<'a>(text: &'a str, heading: &str) -> Vec<&'a str> {
    let (_, section) = text.split_once(&format!("\n## {heading}\n")).unwrap();
    let section = section.split("\n## ").next().unwrap();
    section
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` |"))
        .map(|(word, _)| word)
        .collect()
}

/// One halt of each kind. The match keeps it complete: a new kind does not compile here.
pub(crate) fn halts() -> Vec<Halt> {
    const AT: NextOffset = NextOffset(1);
    const TOPIC: TopicId = TopicId([0; 16]);
    let after = |halt: &Halt| match halt {
        Halt::NoState { .. } => Some(Halt::NothingAddsUp {
            records: 1,
            committed: None,
            start: AT,
        }),
        Halt::NothingAddsUp { .. } => Some(Halt::Truncated { next: AT, end: AT }),
        Halt::Truncated { .. } => Some(Halt::RequestsMissing {
            next: AT,
            start: AT,
        }),
        Halt::RequestsMissing { .. } => Some(Halt::OtherRecord {
            offset: Offset(0),
            next: AT,
        }),
        Halt::OtherRecord { .. } => Some(Halt::OtherTopic {
            expected: TOPIC,
            found: TOPIC,
            start: AT,
        }),
        Halt::OtherTopic { .. } => Some(Halt::OtherGroup {
            expected: String::new(),
            found: String::new(),
        }),
        Halt::OtherGroup { .. } => Some(Halt::UnknownFoldVersion { found: 2 }),
        Halt::UnknownFoldVersion { .. } => Some(Halt::UnknownFormat {
            problem: String::new(),
        }),
        Halt::UnknownFormat { .. } => Some(Halt::LinkBroken {
            source: 0,
            offset: 2,
            previous: 1,
            accepted: 0,
            at: AT,
        }),
        Halt::LinkBroken { .. } => Some(Halt::TooManyHops {
            origin: Origin {
                partition: 0,
                offset: Offset(0),
            },
            home: 1,
            at: AT,
        }),
        Halt::TooManyHops { .. } => Some(Halt::OrderUnfit {
            source: 0,
            order: Box::new(Order::Done { epoch: 1 }),
            homes: Box::new(Homes::first(1)),
            at: AT,
        }),
        Halt::OrderUnfit { .. } => Some(Halt::AdoptionBroken {
            parent: 0,
            problem: String::new(),
            at: AT,
        }),
        Halt::AdoptionBroken { .. } => Some(Halt::Unreadable {
            at: AT,
            problem: String::new(),
        }),
        Halt::Unreadable { .. } => Some(Halt::NoStatePartition),
        Halt::NoStatePartition => Some(Halt::InvariantBroken {
            invariant: Invariant::I1,
            at: AT,
        }),
        Halt::InvariantBroken { .. } => None,
    };
    let first = Halt::NoState {
        start: AT,
        committed: None,
    };
    std::iter::successors(Some(first), after).collect()
}

#[test]
fn every_error_code_has_a_row() {
    let known: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(words(ERRORS, "Error codes"), known);
}

#[test]
fn every_error_of_the_gateway_has_a_row_with_its_status() {
    let known: Vec<&str> = Own::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(words(ERRORS, "Errors of the gateway"), known);
    for code in Own::ALL {
        let row = format!("| `{}` | {} |", code.as_str(), code.status());
        assert!(ERRORS.contains(&row), "{row}");
    }
}

#[test]
fn every_undeliverable_cause_has_a_row() {
    let known: Vec<&str> = Cause::ALL.iter().map(|cause| cause.as_str()).collect();
    assert_eq!(words(ERRORS, "Undeliverable replies"), known);
}

#[test]
fn every_halt_has_a_row_that_names_its_remedy() {
    let halts = halts();
    let known: Vec<&str> = halts.iter().map(Halt::code).collect();
    assert_eq!(words(ERRORS, "Halted partitions"), known);
    for halt in halts {
        let row = ERRORS
            .lines()
            .find(|line| line.starts_with(&format!("| `{}` |", halt.code())));
        let row = row.unwrap();
        let recovers = halt.remedy(0).starts_with("sequencer recover");
        let says = row.contains("sequencer recover") || row.contains("As for `no_state`");
        assert_eq!(says, recovers, "{row}");
    }
}

#[test]
fn a_row_that_is_missing_or_of_no_code_is_seen() {
    let planted = ERRORS.replacen("| `exhausted` |", "| `exhausting` |", 1);
    let words = words(&planted, "Error codes");
    assert!(words.contains(&"exhausting") && !words.contains(&"exhausted"));
}
