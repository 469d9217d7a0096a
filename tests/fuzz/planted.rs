//! Bugs, planted around the shipped code, that the harness must catch within a few rounds, from the
//! kept corpus; and the shipped code with the same seed, which it must not blame.

use sequencer::processor::Mode;
use sequencer::processor::checkpoint::Section;

use crate::corpus;
use crate::engine::{Bound, Engine};
use crate::input::{FORWARDED, Record};
use crate::node::{Node, Outcome, Reply, Shipped};
use crate::properties;

/// A bug by what it does to the records that go into a partition, and to what comes out.
#[derive(Clone, Copy)]
struct Bug {
    before: fn(&mut Record, u32),
    after: fn(&mut Outcome),
}

const NONE: Bug = Bug {
    before: |_, _| {},
    after: |_| {},
};

struct Planted {
    bug: Bug,
    partition: u32,
    shipped: Box<dyn Node>,
}

impl Node for Planted {
    fn record(&mut self, offset: i64, record: &Record) -> Outcome {
        let mut record = record.clone();
        (self.bug.before)(&mut record, self.partition);
        let mut outcome = self.shipped.record(offset, &record);
        (self.bug.after)(&mut outcome);
        outcome
    }

    fn cut(&mut self) -> Section {
        self.shipped.cut()
    }

    fn is_broken(&self) -> bool {
        self.shipped.is_broken()
    }
}

/// What the harness says of a bug.
fn found(bug: Bug) -> Result<(), String> {
    let mut engine = Engine::new(1, corpus::read("requests"));
    engine.try_run(Bound::Rounds(20), |input| {
        properties::check(input, &mut |id, mode: Mode| {
            Box::new(Planted {
                bug,
                partition: id.cast_unsigned(),
                shipped: Shipped::new(id, mode),
            })
        })
    })
}

fn caught(bug: Bug, word: &str) {
    let said = found(bug).unwrap_err();
    assert!(said.contains(word), "it should say {word:?}: {said}");
    assert!(said.contains("SEQUENCER_FUZZ_SEED=1"), "{said}");
}

fn reply(outcome: &mut Outcome, change: impl FnOnce(&mut Reply)) {
    if let Outcome::Reply(reply) = outcome {
        change(reply);
    }
}

#[test]
fn without_a_bug_nothing_is_found() {
    assert_eq!(found(NONE), Ok(()));
}

#[test]
fn a_panic_is_caught_and_the_input_is_made_small() {
    // No input of the corpus has a name of this length.
    let before = |record: &mut Record, _| {
        let key = record.key.as_deref().unwrap_or_default();
        assert!(key.len() < 300, "planted");
    };
    let said = found(Bug { before, ..NONE }).unwrap_err();
    assert!(said.contains("planted"), "{said}");
    let (_, input) = said.split_once("found:\n").unwrap();
    assert_eq!(input.matches("key ").count(), 1, "{said}");
    assert!(!input.contains("header"), "{said}");
}

#[test]
fn fields_in_another_order_are_caught() {
    let after = |outcome: &mut Outcome| {
        reply(outcome, |reply| {
            let body = String::from_utf8_lossy(&reply.body).into_owned();
            let fields = body.split(",\"offset\":").collect::<Vec<_>>();
            if let [before, offset] = fields[..]
                && let Some((before, partition)) = before.rsplit_once("\"partition\":")
            {
                let offset = offset.trim_end_matches('}');
                let body = format!("{before}\"offset\":{offset},\"partition\":{partition}}}");
                reply.body = body.into_bytes();
            }
        });
    };
    caught(Bug { after, ..NONE }, "the reply should be");
}

#[test]
fn an_unescaped_text_is_caught() {
    let after = |outcome: &mut Outcome| {
        reply(outcome, |reply| {
            let body = String::from_utf8_lossy(&reply.body).into_owned();
            reply.body = body.replace("\\\\", "\\").into_bytes();
        });
    };
    caught(
        Bug { after, ..NONE },
        "the reply is not one of the contract",
    );
}

#[test]
fn a_fold_that_reads_the_reply_topic_is_caught() {
    let before = |record: &mut Record, _| {
        if record.header(b"kafka_replyTopic") == Some(b"..") {
            record.value = Some(b"0".to_vec());
        }
    };
    caught(Bug { before, ..NONE }, "routing headers change the fold");
}

#[test]
fn a_correlation_that_must_be_text_is_caught() {
    let after = |outcome: &mut Outcome| {
        reply(outcome, |reply| {
            for (name, value) in &mut reply.headers {
                if name.ends_with(b"orrelationId")
                    && let Some(value) = value
                {
                    *value = String::from_utf8_lossy(value).into_owned().into_bytes();
                }
            }
        });
    };
    caught(Bug { after, ..NONE }, "headers should be");
}

#[test]
fn a_link_that_is_believed_without_its_tag_is_caught() {
    let before = |record: &mut Record, partition| {
        for (name, value) in &mut record.headers {
            if name == FORWARDED
                && let Some(text) = value.as_deref().and_then(|v| std::str::from_utf8(v).ok())
                && let Some((link, _)) = text.rsplit_once(':')
            {
                *value = Some(format!("{link}:TAG").into_bytes());
            }
        }
        *record = record.clone().tagged(partition);
    };
    caught(Bug { before, ..NONE }, "a wrong tag is not as if absent");
}

#[test]
fn a_wrong_tag_that_is_refused_is_caught() {
    let before = |record: &mut Record, partition| {
        if record.header(FORWARDED).is_some() && record.link(partition).is_none() {
            record.value = Some(b"0".to_vec());
        }
    };
    caught(Bug { before, ..NONE }, "a wrong tag is not as if absent");
}

#[test]
fn a_record_that_is_passed_over_is_caught() {
    let after = |outcome: &mut Outcome| {
        if let Outcome::Reply(reply) = outcome
            && reply.body.windows(9).any(|part| part == b"exhausted")
        {
            *outcome = Outcome::Nothing;
        }
    };
    caught(Bug { after, ..NONE }, "answer");
}

#[test]
fn an_id_that_is_given_twice_is_caught() {
    let after = |outcome: &mut Outcome| {
        reply(outcome, |reply| {
            let body = String::from_utf8_lossy(&reply.body).into_owned();
            let twice = body.replace("\"first\":2,\"last\":2,", "\"first\":1,\"last\":1,");
            reply.body = twice.into_bytes();
        });
    };
    caught(Bug { after, ..NONE }, "I2: the next of");
}
