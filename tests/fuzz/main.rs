//! A fuzz target over what anybody can write into the request topic, and into the state topic.
//!
//! An input is a short log: records with key, value and headers ([`input`]). Inputs come from the kept
//! corpus, changed by mutations that know keys, values, headers and the contract's words
//! ([`mutate`]); one that shows something new joins them for the rest of the run ([`engine`]). Each is
//! given to the shipped code ([`node`]), which must not panic, and must keep the properties of
//! [`properties`] and [`state`].
//!
//! A run is decided by its seed, which is printed when it fails, with the smallest input found, in the
//! form of the corpus. `SEQUENCER_FUZZ_SEED` repeats it, `SEQUENCER_FUZZ_SECONDS` makes it longer. To
//! keep an input, put its text into a file of `tests/fuzz/corpus`.
//!
//! No nightly compiler is needed, at the price of no coverage: what an input shows is told by its
//! replies. [`planted`] shows that the harness catches what it is there for.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod corpus;
mod engine;
mod input;
mod mutate;
mod node;
mod planted;
mod properties;
mod reply;
mod state;
mod work;

use std::time::Duration;

use engine::{Bound, Engine};
use sequencer::core::Code;

/// How long each target runs in `make test`.
const SECONDS: u64 = 25;

fn bound() -> Bound {
    let seconds = std::env::var("SEQUENCER_FUZZ_SECONDS").ok();
    let seconds = seconds.map_or(SECONDS, |text| text.parse().unwrap());
    Bound::Time(Duration::from_secs(seconds))
}

#[test]
fn the_corpus_shows_every_code_and_every_cause_that_headers_decide() {
    let mut seen = engine::Seen::new();
    for input in corpus::read("requests") {
        let shown = properties::check(&input, &mut node::Shipped::new);
        seen.extend(shown.unwrap_or_else(|wrong| panic!("{wrong}\n{input}")));
    }
    let codes = Code::ALL.iter().map(|code| code.as_str());
    let others = [
        "granted",
        "described",
        "last change",
        "policy",
        "forwarded",
        "forwarded again",
        "repeated",
        "broken",
        "named topic",
        "convention 0",
        "convention 1",
        "convention 2",
        "topic_refused",
        "topic_illegal",
        "partition_unknown",
        "partition_unreadable",
        "correlation_too_long",
    ];
    // A partition that is full takes more names than an input has.
    let reachable = codes.filter(|code| *code != Code::TooManySequences.as_str());
    let missing: Vec<&str> = reachable
        .chain(others)
        .filter(|word| !seen.contains(*word))
        .collect();
    assert_eq!(missing, Vec::<&str>::new());
}

#[test]
fn no_request_panics_or_breaks_a_property() {
    let mut engine = Engine::from_environment(corpus::read("requests"));
    engine.run(bound(), |input| {
        properties::check(input, &mut node::Shipped::new)
    });
}

#[test]
fn no_state_record_panics_or_breaks_a_property() {
    let mut inputs = corpus::read("state");
    inputs.extend(corpus::read("requests").iter().map(state::written_by));
    let mut engine = Engine::from_environment(inputs);
    engine.run(bound(), state::check);
}
