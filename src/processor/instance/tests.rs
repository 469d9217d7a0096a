use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::core::link::LinkKey;
use crate::core::partitioner::partition_of;
use crate::core::{Digest, Fold, Homes, Offset, Scalars, Timestamp};
use crate::processor::Mode;
use crate::processor::answered::Answered;
use crate::processor::checkpoint::Destination;
use crate::processor::partition::Service;
use crate::processor::restore::Restored;
use crate::processor::takeover::Start;
use crate::wire::headers::{Headers, Names};
use crate::wire::route::{AllowList, Routing};
use crate::wire::state::{self, Content, Footer, TopicId};

const INTERVAL_MS: u64 = 100;
const TRANSACTION_MS: u64 = 5_000;
const REVOKE_MS: u64 = 1_000;
const STOP_MS: u64 = 5_000;

/// An instance with a clock, and the content of its last effects.
struct Driven {
    instance: Instance,
    now_ms: u64,
    /// By partition, the assignment of the last [`Effect::Restore`].
    assignments: BTreeMap<i32, u32>,
    /// The checkpoint of the last [`Effect::Transact`].
    under_way: Option<Box<Checkpoint>>,
    /// By partition, the offset of the next state record.
    state_ends: BTreeMap<i32, i64>,
    /// Next request offset by partition.
    offsets: BTreeMap<i32, i64>,
    /// The consumer refuses to fetch a partition twice.
    fetched: BTreeSet<i32>,
}

impl Driven {
    fn new(mode: Mode) -> Driven {
        Driven {
            instance: Instance::new(Options {
                service: Service {
                    mode,
                    group: "group".into(),
                    instance: "instance".into(),
                    reply_partitions: 1,
                    routing: Routing {
                        names: Names::default(),
                        allow: AllowList::new(Vec::new(), Vec::new()),
                        default_topic: "replies".into(),
                    },
                    rewrite_floor_records: 1_000_000,
                },
                run: Run {
                    writer: 1,
                    link_key: KEY,
                },
                checkpoint_interval_ms: INTERVAL_MS,
                footer_interval_ms: FOOTER_INTERVAL_MS,
                transaction_timeout_ms: TRANSACTION_MS,
                revoke_deadline_ms: REVOKE_MS,
                stop_deadline_ms: STOP_MS,
            }),
            now_ms: 1_000_000,
            assignments: BTreeMap::new(),
            under_way: None,
            state_ends: BTreeMap::new(),
            offsets: BTreeMap::new(),
            fetched: BTreeSet::new(),
        }
    }

    /// Returns an instance that runs these partitions, each with a checkpoint at offset 0.
    fn running<const N: usize>(mode: Mode, partitions: [i32; N]) -> Driven {
        let mut driven = Driven::new(mode);
        driven.on(Input::Assigned(partitions.into()));
        for partition in partitions {
            assert_eq!(
                driven.starts(partition),
                [format!("fetch {partition} from 0")]
            );
        }
        driven
    }

    fn on(&mut self, input: Input) -> Vec<String> {
        let mut effects = Vec::new();
        self.instance.on(self.now_ms, input, &mut effects);
        effects
            .into_iter()
            .map(|effect| self.told(effect))
            .collect()
    }

    /// Returns an effect in words, and remembers what is needed to answer it.
    fn told(&mut self, effect: Effect) -> String {
        match effect {
            Effect::AcceptAssignment => "accept".into(),
            Effect::Restore {
                partition,
                assignment,
            } => {
                self.assignments.insert(partition, assignment);
                format!("restore {partition}")
            }
            Effect::Fetch { partition, from } => {
                assert!(
                    self.fetched.insert(partition),
                    "{partition} is fetched already"
                );
                format!("fetch {partition} from {from}")
            }
            Effect::StopFetching { partition } => {
                self.fetched.remove(&partition);
                format!("stop fetching {partition}")
            }
            Effect::GiveUp { partitions } => {
                self.fetched
                    .retain(|partition| !partitions.contains(partition));
                format!("give up {partitions:?}")
            }
            Effect::Transact(checkpoint) => {
                let sections = checkpoint.sections.iter();
                let partitions: Vec<i32> = sections.map(|section| section.partition).collect();
                assert!(self.under_way.is_none(), "one at a time");
                self.under_way = Some(checkpoint);
                format!("transact {partitions:?}")
            }
            Effect::CancelTransaction => "cancel".into(),
            Effect::Fence => "fence".into(),
            Effect::ReadForeign {
                partition,
                from,
                to,
                assignment: _,
            } => match to {
                Some(to) => format!("read foreign {partition} {from}..{to}"),
                None => format!("read foreign {partition} {from}.."),
            },
            Effect::ReadParent {
                partition, parent, ..
            } => format!("read parent {parent} for {partition}"),
            Effect::Leave => "leave".into(),
            Effect::ExitFenced => "exit".into(),
            Effect::StartOver => "start over".into(),
        }
    }

    fn wait(&mut self, ms: u64) -> Vec<String> {
        self.now_ms += ms;
        self.on(Input::Tick)
    }

    fn verdict(&mut self, partition: i32, verdict: Verdict) -> Vec<String> {
        let assignment = self.assignments[&partition];
        self.on(Input::Restored {
            partition,
            assignment,
            verdict,
        })
    }

    /// Ends the takeover of a partition with success, at offset 0.
    fn starts(&mut self, partition: i32) -> Vec<String> {
        self.offsets.insert(partition, 0);
        self.verdict(partition, start(0))
    }

    /// Folds a request for one ID; returns the token of its reply.
    fn request(&mut self, partition: i32, name: &str) -> Option<Token> {
        self.output(partition, name).map(|reply| reply.0)
    }

    /// The same; also returns the partition of the reply.
    fn output(&mut self, partition: i32, name: &str) -> Option<(Token, i32)> {
        let name = at_home(partition, name);
        let offset = self.offsets.entry(partition).or_default();
        let record = Record {
            partition,
            leader_epoch: 0,
            offset: Offset(*offset),
            timestamp: Timestamp(0),
            key: Some(name.as_bytes()),
            value: None,
            headers: Headers::NONE,
        };
        *offset += 1;
        match self.instance.record(record)? {
            Output::Reply(reply) => match reply.outgoing.destination {
                Destination::Default { partition } => Some((reply.token, partition)),
                other => panic!("{other:?}"),
            },
            output @ (Output::Forward(_) | Output::Several) => panic!("{output:?}"),
        }
    }

    /// Folds requests for one ID of `count` names.
    fn requests(&mut self, partition: i32, count: usize) {
        for index in 0..count {
            self.request(partition, &format!("name {index}"));
        }
    }

    /// Ends the transaction in progress.
    fn settled(&mut self, outcome: Outcome) -> Vec<String> {
        self.settled_in_time(outcome, true)
    }

    fn settled_in_time(&mut self, outcome: Outcome, in_time: bool) -> Vec<String> {
        let checkpoint = self.under_way.take().expect("a transaction under way");
        let mut written = Vec::new();
        if outcome == Outcome::Committed {
            for section in &checkpoint.sections {
                if section.batch.is_empty() {
                    written.push(None);
                    continue;
                }
                let end = self.state_ends.entry(section.partition).or_default();
                let (first, last) = (*end, *end + section.batch.len() as i64 - 1);
                *end = last + 2;
                written.push(Some(Written { first, last }));
            }
        }
        self.on(Input::Settled {
            checkpoint,
            outcome,
            written,
            late: !in_time,
        })
    }

    /// An instance with a transaction of these partitions in progress, and no other effects.
    fn transacting<const N: usize>(partitions: [i32; N]) -> Driven {
        let mut driven = Driven::running(Mode::ExactlyOnce, partitions);
        for partition in partitions {
            driven.request(partition, "a");
        }
        assert_eq!(driven.wait(0), [format!("transact {partitions:?}")]);
        driven
    }

    fn revoke<const N: usize>(&mut self, partitions: [i32; N], lost: bool) -> Vec<String> {
        let partitions = partitions.into();
        self.on(Input::Revoked { partitions, lost })
    }

    fn phase(&self, partition: i32) -> Phase {
        let report = self.instance.report();
        let found = report.iter().find(|report| report.partition == partition);
        found.expect("owned").phase.clone()
    }

    /// The next offset in the footer of the checkpoint in progress.
    fn checkpointed(&self, partition: i32) -> i64 {
        let checkpoint = self.under_way.as_ref().expect("a transaction under way");
        let mut sections = checkpoint.sections.iter();
        let section = sections.find(|s| s.partition == partition).expect("in it");
        let (key, value) = section.batch.iter().last().expect("a footer");
        match state::decode(key, value, None).expect("readable").content {
            Content::Footer(footer) => footer.next.0,
            other => panic!("no footer: {other:?}"),
        }
    }
}

/// The partitions of the service, and the key of its links.
const N: u32 = 8;
const KEY: LinkKey = LinkKey([5; 32]);

/// A name whose home is this partition.
fn at_home(partition: i32, name: &str) -> String {
    let mut names = (0..).map(|number| format!("{name}-{number}"));
    names
        .find(|name| partition_of(name.as_bytes(), N) as i32 == partition)
        .unwrap()
}

/// A takeover that ends with success, at a footer with this next offset.
fn start(next: i64) -> Verdict {
    let next = NextOffset(next);
    let topic_id = TopicId([7; 16]);
    let footer = Footer {
        next,
        digest: Digest::default(),
        scalars: Scalars {
            homes: Homes::first(N),
            ..Scalars::default()
        },
        link_key: KEY,
        fold_version: 1,
        topic_id,
        last_applied: None,
        answers_beyond: false,
        batch_records: 0,
        group: "group".into(),
        instance: "instance".into(),
    };
    Verdict::Start(Box::new(Start {
        restored: Restored {
            fold: Fold::new(Homes::first(N)),
            footer: Some(footer),
            ..Restored::default()
        },
        next,
        answered: None,
        link_key: KEY,
        decides: false,
        topic_partitions: N,
        topic_id,
        last_applied: None,
        state_end: 0,
        rewrite_from: None,
    }))
}

fn halt() -> Verdict {
    Verdict::Halt(Halt::NoStatePartition, 7)
}

fn wait() -> Verdict {
    Verdict::Wait("no leader".into())
}

fn is_halted(phase: &Phase) -> bool {
    matches!(
        phase,
        Phase::Halted {
            code: "no_state_partition",
            ..
        }
    )
}

const NOTHING: [&str; 0] = [];

mod assignment {
    use super::*;

    #[test]
    fn an_assignment_is_accepted_and_its_partitions_are_restored() {
        let mut driven = Driven::new(Mode::Immediate);
        assert_eq!(
            driven.on(Input::Assigned(vec![2, 5])),
            ["accept", "restore 2", "restore 5"]
        );
        assert_ne!(driven.assignments[&2], driven.assignments[&5]);
        assert_eq!(driven.phase(2), Phase::Restoring);
    }

    #[test]
    fn a_good_verdict_starts_fetching_where_the_state_ends() {
        let mut driven = Driven::new(Mode::Immediate);
        driven.on(Input::Assigned(vec![2]));
        assert_eq!(driven.request(2, "a"), None, "it is passed over");
        assert_eq!(driven.verdict(2, start(41)), ["fetch 2 from 41"]);
        assert_eq!(driven.phase(2), Phase::Running);
        assert_eq!(driven.instance.positions(), [(2, NextOffset(41))]);
    }

    #[test]
    fn a_second_assignment_leaves_running_partitions_alone() {
        let mut driven = Driven::running(Mode::Immediate, [0]);
        assert_eq!(driven.on(Input::Assigned(vec![])), ["accept"]);
        assert_eq!(driven.on(Input::Assigned(vec![1])), ["accept", "restore 1"]);
        assert_eq!(driven.phase(0), Phase::Running);
        assert!(driven.request(0, "a").is_some());
    }

    #[test]
    fn a_verdict_of_an_older_assignment_is_ignored() {
        let mut driven = Driven::new(Mode::Immediate);
        driven.on(Input::Assigned(vec![0]));
        let older = driven.assignments[&0];
        driven.revoke([0], false);
        let verdict = |verdict| Input::Restored {
            partition: 0,
            assignment: older,
            verdict,
        };
        assert_eq!(driven.on(verdict(start(0))), NOTHING, "it is not owned");
        driven.on(Input::Assigned(vec![0]));
        assert_eq!(driven.on(verdict(start(0))), NOTHING);
        assert_eq!(driven.on(verdict(halt())), NOTHING);
        assert_eq!(driven.phase(0), Phase::Restoring);
        assert_eq!(driven.starts(0), ["fetch 0 from 0"]);
    }

    #[test]
    fn a_verdict_is_taken_once() {
        let mut driven = Driven::running(Mode::Immediate, [0]);
        driven.request(0, "a");
        driven.on(Input::LogError { partition: 0 });
        let older = driven.assignments[&0] - 1;
        let again = Input::Restored {
            partition: 0,
            assignment: older,
            verdict: start(0),
        };
        assert_eq!(driven.on(again), NOTHING);
        assert_eq!(driven.phase(0), Phase::Restoring);
    }

    #[test]
    fn a_waiting_partition_is_asked_about_again_after_its_time() {
        let mut driven = Driven::new(Mode::Immediate);
        driven.on(Input::Assigned(vec![0]));
        assert_eq!(driven.verdict(0, wait()), NOTHING);
        assert_eq!(driven.phase(0), Phase::Waiting("no leader".into()));
        assert_eq!(driven.wait(WAIT_AGAIN_MS - 1), NOTHING);
        assert_eq!(driven.wait(1), ["restore 0"]);
        assert_eq!(
            driven.wait(WAIT_AGAIN_MS),
            NOTHING,
            "it is being asked about"
        );
        assert_eq!(driven.starts(0), ["fetch 0 from 0"]);
    }

    #[test]
    fn i6_a_halted_partition_is_looked_at_again_and_others_go_on() {
        let mut driven = Driven::running(Mode::Immediate, [1]);
        driven.on(Input::Assigned(vec![0]));
        assert_eq!(driven.verdict(0, halt()), NOTHING);
        assert!(is_halted(&driven.phase(0)));
        assert!(driven.request(1, "a").is_some());
        assert_eq!(driven.wait(HALT_AGAIN_MS - 1), NOTHING);
        assert_eq!(driven.wait(1), ["restore 0"]);
        assert_eq!(driven.verdict(0, halt()), NOTHING);
        assert_eq!(driven.wait(HALT_AGAIN_MS), ["restore 0"]);
        assert_eq!(driven.starts(0), ["fetch 0 from 0"], "it was repaired");
        assert_eq!(driven.phase(0), Phase::Running);
    }

    #[test]
    fn i6_a_halted_partition_stays_reported_as_halted_while_it_is_looked_at() {
        let mut driven = Driven::new(Mode::Immediate);
        driven.on(Input::Assigned(vec![0]));
        driven.verdict(0, halt());
        for _ in 0..3 {
            assert_eq!(driven.wait(HALT_AGAIN_MS), ["restore 0"]);
            assert!(is_halted(&driven.phase(0)), "while it is looked at");
            driven.verdict(0, wait());
            assert!(is_halted(&driven.phase(0)), "when it cannot be looked at");
        }
        driven.wait(HALT_AGAIN_MS);
        let repaired_otherwise = Verdict::Halt(Halt::UnknownFoldVersion { found: 9 }, 0);
        driven.verdict(0, repaired_otherwise);
        assert!(matches!(
            driven.phase(0),
            Phase::Halted {
                code: "unknown_fold_version",
                ..
            }
        ));
    }

    #[test]
    fn a_log_that_is_not_where_it_was_is_restored_again() {
        let mut driven = Driven::running(Mode::Immediate, [0, 1]);
        assert_eq!(
            driven.on(Input::LogError { partition: 0 }),
            ["stop fetching 0", "restore 0"]
        );
        assert_eq!(driven.request(0, "a"), None);
        assert_eq!(driven.phase(1), Phase::Running);
        let again = driven.on(Input::LogError { partition: 0 });
        assert_eq!(again, NOTHING, "it is being restored");
    }

    #[test]
    fn t2_a_log_error_cancels_the_partitions_transaction_before_it_is_restored() {
        let mut driven = Driven::transacting([0, 1]);
        assert_eq!(
            driven.on(Input::LogError { partition: 0 }),
            ["cancel", "stop fetching 0", "restore 0"]
        );
        assert_eq!(driven.starts(0), ["fetch 0 from 0"]);
        assert_eq!(driven.settled(Outcome::Aborted), NOTHING);
        assert_eq!(driven.wait(INTERVAL_MS), ["transact [1]"], "0 began anew");
    }
}

mod checkpoints {
    use super::*;

    #[test]
    fn a_fresh_partition_is_checkpointed_at_once() {
        let mut driven = Driven::new(Mode::Immediate);
        driven.on(Input::Assigned(vec![0]));
        let Verdict::Start(mut fresh) = start(0) else {
            unreachable!();
        };
        fresh.restored.footer = None;
        assert_eq!(
            driven.verdict(0, Verdict::Start(fresh)),
            ["fetch 0 from 0", "transact [0]"]
        );
    }

    #[test]
    fn without_news_there_is_no_checkpoint() {
        let mut driven = Driven::running(Mode::Immediate, [0]);
        assert_eq!(driven.wait(INTERVAL_MS), NOTHING);
        assert!(!driven.instance.is_busy());
    }

    #[test]
    fn at_once_after_an_idle_interval_then_one_an_interval() {
        let mut driven = Driven::running(Mode::Immediate, [0, 1]);
        driven.wait(INTERVAL_MS);
        let replies = [
            driven.request(0, "a").unwrap(),
            driven.request(0, "a").unwrap(),
            driven.request(1, "a").unwrap(),
        ];
        for reply in replies {
            driven.instance.acknowledged(reply, 1);
        }
        assert_eq!(driven.wait(0), ["transact [0, 1]"], "idle for an interval");
        let reply = driven.request(0, "a").unwrap();
        driven.instance.acknowledged(reply, 1);
        assert_eq!(driven.settled(Outcome::Committed), NOTHING);
        assert_eq!(driven.wait(INTERVAL_MS - 1), NOTHING);
        assert_eq!(driven.wait(1), ["transact [0]"], "an interval after");
    }

    #[test]
    fn few_replies_that_wait_for_their_transaction_do_not_wait_for_the_interval() {
        let mut driven = Driven::transacting([0, 1]);
        driven.request(0, "a");
        assert_eq!(driven.settled(Outcome::Committed), ["transact [0]"]);
        for _ in 0..=EAGER_REPLIES_MAX {
            driven.request(1, "a");
        }
        assert_eq!(driven.settled(Outcome::Committed), ["transact [1]"]);
        driven.request(0, "a");
        assert_eq!(
            driven.settled(Outcome::Committed),
            NOTHING,
            "there were many"
        );
        assert_eq!(
            driven.wait(INTERVAL_MS),
            ["transact [0, 1]"],
            "and a footer"
        );
        driven.request(0, "a");
        assert_eq!(driven.settled(Outcome::Aborted), NOTHING, "not in a circle");
        assert_eq!(driven.wait(INTERVAL_MS), ["transact [0, 1]"]);
    }

    #[test]
    fn one_transaction_at_a_time_however_long_it_takes() {
        let mut driven = Driven::transacting([0]);
        driven.request(0, "a");
        for _ in 0..5 {
            assert_eq!(driven.wait(INTERVAL_MS), NOTHING);
        }
        assert!(driven.instance.is_busy());
        assert_eq!(driven.settled(Outcome::Committed), ["transact [0]"]);
    }

    #[test]
    fn i4_an_immediate_checkpoint_waits_for_the_replies_that_it_covers() {
        let mut driven = Driven::running(Mode::Immediate, [0, 1]);
        let replies = [
            driven.request(0, "a").unwrap(),
            driven.request(1, "a").unwrap(),
        ];
        assert_eq!(driven.wait(INTERVAL_MS), NOTHING);
        let later = driven.request(0, "a").unwrap();
        assert_eq!(driven.instance.outstanding(), 3);
        driven.instance.acknowledged(later, 1);
        driven.instance.acknowledged(replies[0], 1);
        assert_eq!(driven.wait(0), NOTHING, "one is missing");
        driven.instance.acknowledged(replies[1], 1);
        assert_eq!(driven.wait(0), ["transact [0, 1]"]);
        assert_eq!(driven.checkpointed(0), 1, "the later one is not in it");
    }

    #[test]
    fn i4_an_acknowledgement_for_an_older_assignment_means_nothing() {
        let mut driven = Driven::running(Mode::Immediate, [0]);
        let older = driven.request(0, "a").unwrap();
        driven.on(Input::LogError { partition: 0 });
        driven.starts(0);
        let reply = driven.request(0, "a").unwrap();
        driven.wait(INTERVAL_MS);
        driven.instance.acknowledged(older, 1);
        assert_eq!(driven.wait(0), NOTHING);
        driven.instance.acknowledged(reply, 1);
        assert_eq!(driven.wait(0), ["transact [0]"]);
    }

    #[test]
    fn the_end_past_markers_is_checkpointed_once() {
        let mut driven = Driven::running(Mode::Immediate, [0]);
        let next = NextOffset(9);
        let reached = || Input::EndOfPartition { partition: 0, next };
        assert_eq!(driven.on(reached()), ["transact [0]"]);
        assert_eq!(driven.checkpointed(0), 9);
        driven.settled(Outcome::Committed);
        driven.on(reached());
        assert_eq!(driven.wait(INTERVAL_MS), NOTHING);
    }

    #[test]
    fn what_was_aborted_goes_into_the_next_one() {
        let mut driven = Driven::transacting([0]);
        driven.request(0, "a");
        assert_eq!(driven.settled(Outcome::Aborted), NOTHING);
        assert_eq!(driven.wait(INTERVAL_MS), ["transact [0]"]);
        assert_eq!(driven.checkpointed(0), 2);
        let checkpoint = driven.under_way.as_ref().unwrap();
        assert_eq!(checkpoint.sections[0].replies.len(), 2);
    }

    #[test]
    fn t5_what_is_unsettled_is_restored_again_and_the_rest_goes_on() {
        let mut driven = Driven::transacting([0, 1]);
        driven.on(Input::Assigned(vec![2]));
        driven.starts(2);
        assert_eq!(
            driven.settled(Outcome::Unsettled),
            [
                "stop fetching 0",
                "restore 0",
                "stop fetching 1",
                "restore 1"
            ]
        );
        assert_eq!(driven.phase(2), Phase::Running);
    }

    #[test]
    fn t5_a_transaction_of_an_older_assignment_settles_nothing() {
        for outcome in [Outcome::Committed, Outcome::Aborted, Outcome::Unsettled] {
            let mut driven = Driven::transacting([0]);
            driven.revoke([0], true);
            driven.on(Input::Assigned(vec![0]));
            driven.starts(0);
            driven.request(0, "a");
            let mut effects = driven.settled(outcome);
            effects.extend(driven.wait(INTERVAL_MS));
            assert_eq!(effects, ["transact [0]"]);
            let checkpoint = driven.under_way.as_ref().unwrap();
            assert_eq!(checkpoint.sections[0].replies.len(), 1, "{outcome:?}");
        }
    }

    #[test]
    fn another_process_of_the_same_id_ends_this_one() {
        let mut driven = Driven::transacting([0]);
        assert_eq!(driven.settled(Outcome::Fenced)[0], "exit");
    }

    #[test]
    fn without_a_producer_everything_starts_over() {
        let mut driven = Driven::transacting([0]);
        assert_eq!(driven.settled(Outcome::Failed)[0], "start over");
    }

    #[test]
    fn a_cut_that_waits_goes_on_without_a_partition_that_is_restored_again() {
        let mut driven = Driven::running(Mode::Immediate, [0, 1]);
        driven.request(0, "a");
        let reply = driven.request(1, "a").unwrap();
        driven.wait(0);
        driven.instance.acknowledged(reply, 1);
        assert_eq!(
            driven.on(Input::LogError { partition: 0 }),
            ["stop fetching 0", "restore 0", "transact [1]"]
        );
    }

    #[test]
    fn a_partition_whose_replies_are_not_acknowledged_does_not_hold_up_the_others() {
        let mut driven = Driven::running(Mode::Immediate, [0, 1, 2]);
        let stuck = driven.request(0, "a").unwrap();
        for partition in [1, 2] {
            let reply = driven.request(partition, "a").unwrap();
            driven.instance.acknowledged(reply, 1);
        }
        assert_eq!(driven.wait(INTERVAL_MS), [""; 0], "it is cut");
        assert_eq!(driven.wait(UNCOVERED_WAIT_MS - 1), [""; 0], "it may come");
        assert_eq!(driven.wait(1), ["transact [1, 2]"]);
        driven.settled(Outcome::Committed);
        driven.instance.acknowledged(stuck, 1);
        assert_eq!(driven.wait(INTERVAL_MS), ["transact [0]"]);
    }

    #[test]
    fn the_number_of_reply_partitions_can_change() {
        let mut driven = Driven::running(Mode::Immediate, [0]);
        let destination = |driven: &mut Driven| driven.output(0, "a").map(|reply| reply.1);
        assert_eq!(destination(&mut driven), Some(0));
        driven.on(Input::ReplyPartitions(1_000));
        let chosen = partition_of(at_home(0, "a").as_bytes(), 1_000) as i32;
        assert_eq!(destination(&mut driven), Some(chosen));
    }
}

mod foreign_records {
    use super::*;

    #[test]
    fn what_others_wrote_before_our_batch_is_read_and_written_again() {
        let mut driven = Driven::transacting([0]);
        let own = at_home(0, "a");
        driven.state_ends.insert(0, 3);
        assert_eq!(driven.settled(Outcome::Committed), ["read foreign 0 0..3"]);
        let assignment = driven.assignments[&0];
        driven.on(Input::Foreign {
            partition: 0,
            assignment,
            from: 0,
            keys: vec![format!("S{own}").into_bytes(), b"Sgone".to_vec()],
            end: 3,
        });
        assert_eq!(driven.wait(INTERVAL_MS), ["transact [0]"]);
        let checkpoint = driven.under_way.as_ref().unwrap();
        let written = checkpoint.sections[0].batch.iter().map(|(key, value)| {
            let key = String::from_utf8(key.to_vec()).unwrap();
            (key, value.is_some())
        });
        let own = format!("S{own}");
        let expected = [("Sgone", false), (&own, true), ("F", true)];
        assert!(written.eq(expected.map(|(key, value)| (key.to_owned(), value))));
    }

    #[test]
    fn an_answer_for_an_older_assignment_is_ignored() {
        let mut driven = Driven::running(Mode::Immediate, [0]);
        let assignment = driven.assignments[&0] - 1;
        let keys = vec![b"Sa".to_vec()];
        let foreign = Input::Foreign {
            partition: 0,
            assignment,
            from: 0,
            keys,
            end: 3,
        };
        assert_eq!(driven.on(foreign), NOTHING);
        assert_eq!(driven.wait(INTERVAL_MS), NOTHING);
    }

    #[test]
    fn what_could_not_be_read_is_asked_for_again_until_it_is() {
        let mut driven = Driven::running(Mode::Immediate, [0]);
        let assignment = driven.assignments[&0];
        for (from, to) in [(5, Some(9)), (3, Some(4))] {
            let unread = Input::ForeignUnread {
                partition: 0,
                assignment,
                from,
                to,
            };
            assert_eq!(driven.on(unread), NOTHING);
        }
        assert_eq!(driven.wait(WAIT_AGAIN_MS - 1), NOTHING);
        assert_eq!(driven.wait(1), ["read foreign 0 3..9"]);
        assert_eq!(driven.wait(WAIT_AGAIN_MS), NOTHING);
    }

    #[test]
    fn a_repair_beside_a_running_owner_is_what_it_goes_on_from() {
        let mut driven = Driven::running(Mode::Immediate, [0]);
        let assignment = driven.assignments[&0];
        let repair = Input::Foreign {
            partition: 0,
            assignment,
            from: 0,
            keys: vec![b"R".to_vec(), b"F".to_vec()],
            end: 3,
        };
        assert_eq!(driven.on(repair), ["stop fetching 0", "restore 0"]);
    }

    #[test]
    fn an_idle_partition_looks_now_and_then() {
        let mut driven = Driven::running(Mode::Immediate, [0]);
        assert_eq!(driven.wait(FOREIGN_CHECK_MS - 1), NOTHING);
        assert_eq!(driven.wait(1), ["read foreign 0 0.."]);
        assert_eq!(driven.wait(1), NOTHING);
        assert_eq!(driven.wait(FOREIGN_CHECK_MS), ["read foreign 0 0.."]);
    }
}

mod revocation {
    use super::*;

    #[test]
    fn a_partition_without_news_is_given_up_at_once() {
        let mut driven = Driven::running(Mode::Immediate, [0, 1]);
        assert_eq!(driven.revoke([0], false), ["give up [0]"]);
        assert_eq!(driven.request(0, "a"), None);
        assert!(driven.request(1, "a").is_some());
        assert!(driven.instance.report().iter().all(|r| r.partition == 1));
    }

    #[test]
    fn a_partition_that_does_not_run_is_given_up_at_once() {
        for verdict in [None, Some(wait()), Some(halt())] {
            let mut driven = Driven::new(Mode::Immediate);
            driven.on(Input::Assigned(vec![0]));
            if let Some(verdict) = verdict {
                driven.verdict(0, verdict);
            }
            assert_eq!(driven.revoke([0], false), ["give up [0]"]);
            assert_eq!(driven.wait(HALT_AGAIN_MS), NOTHING);
        }
    }

    #[test]
    fn t3_it_waits_for_a_last_checkpoint_whatever_the_interval_says() {
        let mut driven = Driven::transacting([0]);
        driven.request(0, "a");
        assert_eq!(driven.revoke([0], false), NOTHING);
        assert_eq!(driven.phase(0), Phase::Draining);
        driven.request(0, "passed over");
        assert_eq!(driven.settled(Outcome::Committed), ["transact [0]"]);
        assert_eq!(driven.checkpointed(0), 2);
        assert_eq!(driven.settled(Outcome::Committed), ["give up [0]"]);
    }

    #[test]
    fn i4_an_immediate_partition_waits_for_its_replies_first() {
        let mut driven = Driven::running(Mode::Immediate, [0]);
        let reply = driven.request(0, "a").unwrap();
        assert_eq!(driven.revoke([0], false), NOTHING);
        driven.instance.acknowledged(reply, 1);
        assert_eq!(driven.wait(0), ["transact [0]"]);
        assert_eq!(driven.settled(Outcome::Committed), ["give up [0]"]);
    }

    #[test]
    fn t3_an_aborted_last_checkpoint_is_tried_again_until_the_deadline() {
        let mut driven = Driven::transacting([0]);
        driven.revoke([0], false);
        driven.now_ms += REVOKE_MS - 1;
        assert_eq!(driven.settled(Outcome::Aborted), ["transact [0]"]);
        assert_eq!(driven.settled(Outcome::Committed), ["give up [0]"]);
    }

    #[test]
    fn t3_at_the_deadline_the_transaction_is_fenced_once_before_it_is_given_up() {
        let mut driven = Driven::transacting([0, 1]);
        driven.revoke([0], false);
        assert_eq!(driven.wait(REVOKE_MS - 1), NOTHING);
        assert_eq!(driven.wait(1), ["cancel", "fence"]);
        assert_eq!(driven.wait(1), NOTHING, "once");
        assert_eq!(driven.wait(REVOKE_MS), NOTHING, "once");
        assert_eq!(driven.on(Input::FencedOurselves), ["give up [0]"]);
        // The log shows whether the other partition's part was committed.
        assert_eq!(
            driven.settled(Outcome::Unsettled),
            ["stop fetching 1", "restore 1"]
        );
        assert_eq!(driven.starts(1), ["fetch 1 from 0"]);
    }

    #[test]
    fn t3_what_stays_goes_on_when_the_fenced_transaction_was_aborted() {
        let mut driven = Driven::transacting([0, 1]);
        driven.revoke([0], false);
        driven.wait(REVOKE_MS);
        driven.on(Input::FencedOurselves);
        assert_eq!(driven.settled(Outcome::Aborted), ["transact [1]"]);
    }

    #[test]
    fn t3_nothing_is_begun_between_the_fence_and_its_answer() {
        for outcome in [Outcome::Aborted, Outcome::Committed] {
            let mut driven = Driven::transacting([0, 1]);
            driven.request(1, "a");
            driven.revoke([0], false);
            assert_eq!(driven.wait(REVOKE_MS), ["cancel", "fence"]);
            assert_eq!(driven.settled(outcome), NOTHING, "{outcome:?}");
            assert_eq!(driven.wait(INTERVAL_MS), NOTHING, "{outcome:?}");
            assert_eq!(
                driven.on(Input::FencedOurselves),
                ["give up [0]", "transact [1]"],
                "{outcome:?}"
            );
        }
    }

    #[test]
    fn t3_after_the_deadline_no_transaction_is_begun_with_a_revoked_partition() {
        let mut driven = Driven::transacting([0, 1]);
        driven.revoke([0], false);
        driven.now_ms += REVOKE_MS;
        assert_eq!(
            driven.settled(Outcome::Aborted),
            ["give up [0]", "transact [1]"]
        );
    }

    #[test]
    fn t3_at_the_deadline_a_checkpoint_that_is_not_begun_goes_on_without_it() {
        let mut driven = Driven::running(Mode::Immediate, [0, 1]);
        driven.request(0, "a");
        let reply = driven.request(1, "a").unwrap();
        driven.wait(0);
        driven.instance.acknowledged(reply, 1);
        assert_eq!(driven.revoke([0], false), NOTHING);
        assert_eq!(driven.wait(REVOKE_MS), ["give up [0]", "transact [1]"]);
    }

    #[test]
    fn a_partition_whose_takeover_ends_while_it_is_revoked_does_not_start() {
        let mut driven = Driven::transacting([0]);
        driven.on(Input::Assigned(vec![1]));
        assert_eq!(driven.revoke([0, 1], false), NOTHING);
        assert_eq!(driven.starts(1), NOTHING);
        assert_eq!(driven.settled(Outcome::Committed), ["give up [0, 1]"]);
    }

    #[test]
    fn an_unsettled_partition_that_is_revoked_is_given_up_without_more_ado() {
        let mut driven = Driven::transacting([0]);
        driven.revoke([0], false);
        let effects = driven.settled(Outcome::Unsettled);
        assert_eq!(effects.last().map(String::as_str), Some("give up [0]"));
    }

    #[test]
    fn a_lost_partition_is_given_up_at_once() {
        let mut driven = Driven::transacting([0, 1]);
        driven.on(Input::Assigned(vec![2]));
        driven.starts(2);
        assert_eq!(driven.revoke([2], true), ["give up [2]"], "not in it");
        assert_eq!(driven.revoke([0, 1], true), ["cancel", "give up [0, 1]"]);
        assert_eq!(driven.settled(Outcome::Aborted), NOTHING);
    }

    #[test]
    fn a_lost_partition_leaves_a_checkpoint_that_is_not_begun() {
        let mut driven = Driven::running(Mode::Immediate, [0, 1]);
        driven.request(0, "a");
        let reply = driven.request(1, "a").unwrap();
        driven.wait(0);
        driven.instance.acknowledged(reply, 1);
        assert_eq!(driven.revoke([0], true), ["give up [0]", "transact [1]"]);
    }
}

mod stopping {
    use super::*;

    #[test]
    fn without_news_it_leaves_at_once_and_once() {
        let mut driven = Driven::running(Mode::Immediate, [0]);
        assert_eq!(driven.on(Input::Stop), ["leave"]);
        assert_eq!(driven.on(Input::Stop), NOTHING);
        assert_eq!(driven.wait(STOP_MS), NOTHING);
    }

    #[test]
    fn without_partitions_it_leaves_at_once() {
        assert_eq!(Driven::new(Mode::Immediate).on(Input::Stop), ["leave"]);
    }

    #[test]
    fn it_leaves_after_a_last_checkpoint_whatever_the_interval_says() {
        let mut driven = Driven::transacting([0, 1]);
        driven.request(1, "a");
        assert_eq!(driven.on(Input::Stop), NOTHING);
        assert_eq!(
            driven.phase(0),
            Phase::Running,
            "until the transaction has ended"
        );
        driven.request(0, "b");
        assert_eq!(driven.settled(Outcome::Committed), ["transact [0, 1]"]);
        assert_eq!(driven.phase(0), Phase::Draining);
        assert!(driven.instance.positions().is_empty());
        driven.request(0, "passed over");
        assert_eq!(driven.settled(Outcome::Committed), ["leave"]);
    }

    #[test]
    fn at_its_deadline_it_leaves_without_the_checkpoint() {
        let mut driven = Driven::transacting([0]);
        driven.on(Input::Stop);
        driven.now_ms += STOP_MS - 1;
        assert_eq!(
            driven.on(Input::Stop),
            NOTHING,
            "a second one moves nothing"
        );
        assert_eq!(driven.wait(1), ["leave"]);
        assert_eq!(driven.wait(1), NOTHING);
    }

    #[test]
    fn what_is_assigned_after_a_stop_is_accepted_and_not_begun() {
        let mut driven = Driven::transacting([0]);
        driven.on(Input::Stop);
        assert_eq!(driven.on(Input::Assigned(vec![1])), ["accept"]);
        assert_eq!(driven.revoke([1], false), ["give up [1]"]);
    }

    #[test]
    fn a_takeover_that_ends_after_a_stop_starts_nothing() {
        let mut driven = Driven::transacting([0]);
        driven.on(Input::Assigned(vec![1]));
        driven.on(Input::Stop);
        assert_eq!(driven.starts(1), NOTHING);
        assert_eq!(driven.settled(Outcome::Committed), ["leave"]);
    }

    #[test]
    fn a_partition_revoked_while_stopping_is_handed_over() {
        let mut driven = Driven::transacting([0]);
        driven.on(Input::Stop);
        assert_eq!(driven.revoke([0], false), NOTHING);
        assert_eq!(driven.settled(Outcome::Committed), ["give up [0]", "leave"]);
    }
}

mod limits {
    use super::*;

    #[test]
    fn no_records_are_taken_when_as_many_entries_changed_while_a_transaction_is_under_way() {
        let mut driven = Driven::running(Mode::Immediate, [0]);
        let next = NextOffset(1);
        driven.on(Input::EndOfPartition { partition: 0, next });
        driven.offsets.insert(0, 1);
        driven.requests(0, CHANGES_MAX - 1);
        assert!(driven.instance.takes_records());
        driven.request(0, "one more");
        assert!(!driven.instance.takes_records());
        driven.settled(Outcome::Committed);
        assert!(driven.instance.takes_records(), "the next one is cut");
    }

    #[test]
    fn no_records_are_taken_when_as_many_replies_are_held_while_a_transaction_is_under_way() {
        let mut driven = Driven::transacting([0]);
        for _ in 0..HELD_REPLIES_MAX - 1 {
            driven.request(0, "a");
        }
        assert!(driven.instance.takes_records());
        driven.request(0, "a");
        assert!(!driven.instance.takes_records());
    }

    #[test]
    fn no_records_are_taken_when_as_many_bytes_are_held_while_a_transaction_is_under_way() {
        let mut driven = Driven::transacting([0]);
        // As long as a name may be, with the digits that give it this home partition.
        let name = "x".repeat(252);
        // A reply is its key, which is in its body too, and a few more bytes.
        let replies = HELD_BYTES_MAX / (2 * name.len());
        for _ in 0..replies {
            driven.request(0, &name);
        }
        assert!(replies < HELD_REPLIES_MAX);
        assert!(!driven.instance.takes_records());
    }

    #[test]
    fn a_full_checkpoint_does_not_wait_for_the_interval() {
        let mut driven = Driven::transacting([0]);
        driven.settled(Outcome::Committed);
        driven.requests(0, HELD_REPLIES_MAX);
        assert!(driven.instance.takes_records(), "none is under way");
        assert_eq!(driven.wait(0), ["transact [0]"]);
    }

    #[test]
    fn the_highest_ids_and_counts_are_reported() {
        let mut driven = Driven::running(Mode::Immediate, [0, 1]);
        driven.request(0, "a");
        driven.request(0, "b");
        driven.request(1, "a");
        let counts = driven.instance.take_counts();
        assert_eq!((counts.granted, counts.ids), (3, 3));
        assert_eq!(driven.instance.take_counts(), Counts::default());
        let report = driven.instance.report();
        let of = |index: usize| (report[index].next, report[index].sequences);
        assert_eq!(of(0), (Some(NextOffset(2)), 2));
        assert_eq!(of(1), (Some(NextOffset(1)), 1));
    }
}

/// Work that did not fit into its time is split into smaller parts: nothing is folded twice or skipped.
#[test]
fn a_transaction_that_is_late_again_is_made_smaller() {
    let mut driven = Driven::running(Mode::ExactlyOnce, [0]);
    driven.requests(0, 100);
    assert_eq!(driven.wait(0), ["transact [0]"]);
    // The first time may be a restarting broker, so the work comes again at its full size.
    assert!(driven.settled_in_time(Outcome::Aborted, false).is_empty());
    assert_eq!(driven.wait(INTERVAL_MS), ["transact [0]"]);
    let again = driven.settled_in_time(Outcome::Aborted, false);
    assert_eq!(again, ["stop fetching 0", "restore 0"]);
    assert_eq!(driven.starts(0), ["fetch 0 from 0"]);
    driven.offsets.clear();
    driven.requests(0, 100);
    // Some records are kept out, and the consumer's message that it reached the end is not accepted.
    let end = driven.on(Input::EndOfPartition {
        partition: 0,
        next: NextOffset(100),
    });
    assert!(end.contains(&"transact [0]".to_owned()), "{end:?}");
    let section = &driven.under_way.as_ref().expect("under way").sections[0];
    let next = section.next.0;
    assert!((1..50).contains(&next), "{next}");
    assert_eq!(section.replies.len() as i64, next);
    assert!(end.contains(&format!("fetch 0 from {next}")), "{end:?}");
    // A record that the consumer had buffered before is not taken either.
    driven.offsets.insert(0, next + 10);
    driven.request(0, "ahead");
    assert_eq!(driven.instance.positions(), [(0, NextOffset(next))]);
    driven.offsets.insert(0, next);
    driven.requests(0, 1);
    assert_eq!(driven.instance.positions(), [(0, NextOffset(next + 1))]);
}

#[test]
fn i6_a_partition_that_is_fetched_again_is_compared_by_the_record_that_it_folded_last() {
    let mut driven = Driven::running(Mode::Immediate, [0]);
    let known = |driven: &Driven| driven.instance.leader_epoch(0);
    assert_eq!(
        known(&driven),
        None,
        "a takeover has compared its last record"
    );
    driven.request(0, "a");
    assert_eq!(known(&driven), Some(0));
    driven.on(Input::LogError { partition: 0 });
    assert_eq!(known(&driven), None);
    // Else it would be compared with what the takeover has found to be right, for ever.
    driven.starts(0);
    assert_eq!(known(&driven), None);
}

#[test]
fn partitions_are_left_for_a_later_transaction_before_one_is_folded_again() {
    let mut driven = Driven::running(Mode::ExactlyOnce, [0, 1, 2, 3]);
    for partition in 0..4 {
        driven.requests(partition, 10);
    }
    assert_eq!(driven.wait(0), ["transact [0, 1, 2, 3]"]);
    assert!(driven.settled_in_time(Outcome::Aborted, false).is_empty());
    let mut effects = driven.wait(INTERVAL_MS);
    let mut cuts = Vec::new();
    while let Some(effect) = effects.iter().find(|effect| effect.starts_with("transact")) {
        cuts.push(effect.clone());
        effects = driven.settled(Outcome::Committed);
        effects.extend(driven.wait(INTERVAL_MS));
    }
    assert!(cuts.len() > 1, "{cuts:?}");
    let all = cuts.concat();
    for partition in ["0", "1", "2", "3"] {
        assert_eq!(all.matches(partition).count(), 1, "{cuts:?}");
    }
}

/// Holds however often other transactions fit into their time.
#[test]
fn a_partition_that_is_late_again_is_made_smaller_although_others_go_on() {
    let mut driven = Driven::running(Mode::ExactlyOnce, [0, 1]);
    driven.requests(0, 100);
    assert_eq!(driven.wait(0), ["transact [0]"]);
    assert!(driven.settled_in_time(Outcome::Aborted, false).is_empty());
    driven.requests(1, 40);
    let mut effects = driven.wait(INTERVAL_MS);
    assert!(effects.contains(&"transact [1]".to_owned()), "{effects:?}");
    effects = driven.settled(Outcome::Committed);
    effects.extend(driven.wait(INTERVAL_MS));
    assert!(effects.contains(&"transact [0]".to_owned()), "{effects:?}");
    let again = driven.settled_in_time(Outcome::Aborted, false);
    assert!(again.contains(&"restore 0".to_owned()), "{again:?}");
}

mod trouble {
    use super::*;
    use crate::processor::instance::trouble::{
        READ_AGAIN_FIRST_MS, READ_AGAIN_MAX_MS, ReadFailure, UNREADABLE_ATTEMPTS,
    };

    impl Driven {
        fn read_fails(&mut self, partition: i32, in_log: bool) -> Vec<String> {
            let failure = ReadFailure {
                offset: Offset(self.offsets[&partition]),
                problem: "a broker's words".to_owned(),
                in_log,
            };
            self.instance.read_failed(partition, failure);
            self.on(Input::Tick)
        }

        fn reaches_end(&mut self, partition: i32, next: i64) {
            let next = NextOffset(next);
            self.on(Input::EndOfPartition { partition, next });
        }
    }

    #[test]
    fn an_error_of_one_partition_stops_that_one_until_it_is_taken_over_anew() {
        let mut driven = Driven::running(Mode::Immediate, [0, 1]);
        assert_eq!(driven.read_fails(0, false), ["stop fetching 0"]);
        let Phase::Waiting(reason) = driven.phase(0) else {
            panic!("{:?}", driven.phase(0));
        };
        assert_eq!(reason, "cannot be read: a broker's words");
        assert_eq!(driven.phase(1), Phase::Running);
        assert!(driven.request(1, "a").is_some(), "others go on");
        let of_others = [(1, NextOffset(1))];
        assert_eq!(driven.instance.positions(), of_others);
        assert_eq!(driven.wait(READ_AGAIN_FIRST_MS - 1), NOTHING);
        assert_eq!(driven.wait(1), ["restore 0"]);
        assert!(matches!(driven.phase(0), Phase::Waiting(_)), "still");
        assert_eq!(driven.starts(0), ["fetch 0 from 0"]);
        assert!(
            matches!(driven.phase(0), Phase::Waiting(_)),
            "until it is read"
        );
        assert!(driven.request(0, "a").is_some());
        assert_eq!(driven.phase(0), Phase::Running);
    }

    #[test]
    fn i4_what_comes_behind_an_error_is_passed_over() {
        let mut driven = Driven::running(Mode::Immediate, [0]);
        let failure = ReadFailure {
            offset: Offset(0),
            problem: String::new(),
            in_log: false,
        };
        // In the same poll: the client library has skipped offset 0.
        driven.instance.read_failed(0, failure);
        driven.offsets.insert(0, 1);
        assert_eq!(driven.request(0, "a"), None);
        driven.reaches_end(0, 2);
        assert_eq!(driven.wait(READ_AGAIN_FIRST_MS), ["restore 0"]);
        driven.starts(0);
        assert_eq!(driven.instance.report()[0].next, Some(NextOffset(0)));
    }

    #[test]
    fn it_is_tried_again_at_growing_distances() {
        let mut driven = Driven::running(Mode::Immediate, [0]);
        let mut pause_ms = READ_AGAIN_FIRST_MS;
        for _ in 0..10 {
            driven.read_fails(0, false);
            assert_eq!(driven.wait(pause_ms - 1), NOTHING);
            assert_eq!(driven.wait(1), ["restore 0"]);
            driven.starts(0);
            pause_ms = (2 * pause_ms).min(READ_AGAIN_MAX_MS);
        }
        assert_eq!(pause_ms, READ_AGAIN_MAX_MS);
        driven.reaches_end(0, 0);
        driven.read_fails(0, false);
        assert_eq!(
            driven.wait(READ_AGAIN_FIRST_MS),
            ["restore 0"],
            "from the first"
        );
    }

    #[test]
    fn a_transaction_with_it_is_not_given_up() {
        let mut driven = Driven::transacting([0, 1]);
        assert_eq!(driven.read_fails(0, false), ["stop fetching 0"]);
        assert_eq!(driven.wait(READ_AGAIN_FIRST_MS), NOTHING);
        assert_eq!(driven.settled(Outcome::Committed), ["restore 0"]);
    }

    #[test]
    fn i6_what_can_never_be_read_halts_the_partition_with_its_repair() {
        let mut driven = Driven::running(Mode::Immediate, [0, 1]);
        let reply = driven.request(0, "a").unwrap();
        driven.instance.acknowledged(reply, 1);
        driven.wait(INTERVAL_MS);
        driven.settled(Outcome::Committed);
        for _ in 1..UNREADABLE_ATTEMPTS {
            driven.read_fails(0, true);
            assert_eq!(driven.wait(READ_AGAIN_MAX_MS), ["restore 0"]);
            driven.verdict(0, start(1));
        }
        let effects = driven.read_fails(0, true);
        assert!(
            effects.contains(&"stop fetching 0".to_owned()),
            "{effects:?}"
        );
        let halted = |driven: &Driven| match driven.phase(0) {
            Phase::Halted { code, remedy, .. } => Some((code, remedy)),
            _ => None,
        };
        let expected = ("unreadable", "sequencer recover --partition 0".to_owned());
        assert_eq!(halted(&driven), Some(expected.clone()));
        assert!(driven.request(1, "a").is_some(), "others go on");
        // The partition is looked at again, and stays halted until it is read.
        assert!(driven.wait(HALT_AGAIN_MS).contains(&"restore 0".to_owned()));
        assert_eq!(halted(&driven), Some(expected.clone()));
        driven.verdict(0, start(1));
        assert_eq!(halted(&driven), Some(expected.clone()));
        driven.read_fails(0, true);
        assert_eq!(halted(&driven), Some(expected), "at once");
        driven.wait(HALT_AGAIN_MS);
        driven.verdict(0, start(9));
        driven.offsets.insert(0, 9);
        assert!(driven.request(0, "a").is_some(), "repaired");
        assert_eq!(driven.phase(0), Phase::Running);
    }

    #[test]
    fn a_repaired_partition_is_not_called_halted_because_it_could_not_be_read_before() {
        let mut driven = Driven::running(Mode::Immediate, [0]);
        driven.read_fails(0, false);
        assert_eq!(driven.wait(READ_AGAIN_FIRST_MS), ["restore 0"]);
        let halt = Halt::Truncated {
            next: NextOffset(9),
            end: NextOffset(3),
        };
        driven.verdict(0, Verdict::Halt(halt, 0));
        assert!(matches!(driven.phase(0), Phase::Halted { .. }));
        assert_eq!(driven.wait(HALT_AGAIN_MS), ["restore 0"]);
        driven.starts(0);
        let Phase::Waiting(reason) = driven.phase(0) else {
            panic!("{:?}", driven.phase(0));
        };
        assert_eq!(
            reason, "cannot be read: a broker's words",
            "until it is read"
        );
    }

    #[test]
    fn i6_a_topic_that_was_made_again_is_noticed_under_a_running_partition() {
        let mut driven = Driven::transacting([0, 1]);
        driven.on(Input::Assigned(vec![2]));
        assert_eq!(driven.on(Input::RequestTopic(TopicId([7; 16]))), NOTHING);
        let effects = driven.on(Input::RequestTopic(TopicId([8; 16])));
        let expected = [
            "cancel",
            "stop fetching 0",
            "restore 0",
            "cancel",
            "stop fetching 1",
            "restore 1",
        ];
        assert_eq!(effects, expected, "what is being taken over asks by itself");
    }

    #[test]
    fn it_is_handed_over_like_any_other() {
        let mut driven = Driven::running(Mode::Immediate, [0]);
        driven.read_fails(0, false);
        assert_eq!(driven.revoke([0], false), ["give up [0]"]);
    }
}

mod invariants {
    use super::*;
    use crate::core::planted::{Bug, Planted};

    fn is_broken(phase: &Phase, number: &str) -> bool {
        match phase {
            Phase::Halted { code, reason, .. } => {
                *code == "invariant_broken" && reason.contains(number)
            }
            _ => false,
        }
    }

    /// Partition 1 halts, commits nothing and is taken over again; partition 2 goes on.
    fn halts_alone(driven: &mut Driven, number: &str) {
        assert!(is_broken(&driven.phase(1), number), "{:?}", driven.phase(1));
        assert_eq!(driven.phase(2), Phase::Running);
        if let Some(token) = driven.request(2, "b") {
            driven.instance.acknowledged(token, 1);
        }
        assert_eq!(driven.wait(INTERVAL_MS), ["transact [2]"]);
        driven.settled(Outcome::Committed);
        assert!(driven.wait(HALT_AGAIN_MS).contains(&"restore 1".to_owned()));
        assert_eq!(driven.starts(1), ["fetch 1 from 0"]);
        assert_eq!(driven.phase(1), Phase::Running);
    }

    #[test]
    fn a_grant_that_is_wrong_halts_its_partition() {
        for (bug, number) in [(Bug::CounterStays, "I1"), (Bug::IdSkipped, "I2")] {
            let mut driven = Driven::running(Mode::Immediate, [1, 2]);
            let planted = Planted::new(bug);
            assert_eq!(driven.request(1, "a"), None);
            assert_eq!(driven.wait(1), ["stop fetching 1"]);
            drop(planted);
            halts_alone(&mut driven, number);
        }
    }

    #[test]
    fn a_digest_that_is_wrong_halts_its_partition() {
        let mut driven = Driven::running(Mode::ExactlyOnce, [1, 2]);
        driven.request(1, "a");
        let planted = Planted::new(Bug::DigestDrifts);
        assert_eq!(driven.wait(INTERVAL_MS), NOTHING);
        drop(planted);
        assert_eq!(driven.wait(1), ["stop fetching 1"]);
        halts_alone(&mut driven, "I6");
    }

    #[test]
    fn a_commit_out_of_order_halts_the_partitions_in_it() {
        let mut driven = Driven::transacting([1]);
        assert_eq!(driven.settled(Outcome::OutOfOrder), ["stop fetching 1"]);
        assert!(is_broken(&driven.phase(1), "T1"), "{:?}", driven.phase(1));
    }
}

mod answers {
    use super::*;

    /// True when the checkpoint in progress has a footer of this partition.
    fn has_footer(driven: &Driven, partition: i32) -> bool {
        let checkpoint = driven.under_way.as_ref().expect("a transaction under way");
        let mut sections = checkpoint.sections.iter();
        let section = sections.find(|s| s.partition == partition).expect("in it");
        assert_eq!(section.answered.is_none(), !section.batch.is_empty());
        section.answered.is_none()
    }

    /// Commits a request's answer, and returns whether a footer came with it.
    fn answered(driven: &mut Driven, partition: i32) -> bool {
        driven.request(partition, "a");
        assert_eq!(driven.wait(1), [format!("transact [{partition}]")]);
        let has_footer = has_footer(driven, partition);
        assert_eq!(driven.settled(Outcome::Committed), [""; 0]);
        has_footer
    }

    #[test]
    fn a_footer_comes_first_and_then_once_in_an_interval() {
        let mut driven = Driven::running(Mode::ExactlyOnce, [0]);
        assert!(answered(&mut driven, 0), "the first one after a takeover");
        let others: Vec<bool> = (0..99).map(|_| answered(&mut driven, 0)).collect();
        assert_eq!(others, [false; 99]);
        assert!(answered(&mut driven, 0), "after the interval");
        assert!(!answered(&mut driven, 0));
    }

    #[test]
    fn a_footer_follows_although_no_request_does() {
        let mut driven = Driven::running(Mode::ExactlyOnce, [0]);
        for _ in 0..3 {
            answered(&mut driven, 0);
        }
        assert_eq!(driven.wait(INTERVAL_MS - 1), [""; 0]);
        assert_eq!(driven.wait(1), ["transact [0]"]);
        assert_eq!(driven.checkpointed(0), 3);
        assert_eq!(driven.settled(Outcome::Committed), [""; 0]);
        assert_eq!(driven.wait(1_000), [""; 0], "nothing is left");
    }

    #[test]
    fn the_last_transaction_before_a_hand_over_has_a_footer() {
        for stops in [false, true] {
            let mut driven = Driven::running(Mode::ExactlyOnce, [0]);
            for _ in 0..3 {
                answered(&mut driven, 0);
            }
            let handed_over = match stops {
                true => driven.on(Input::Stop),
                false => driven.revoke([0], false),
            };
            assert_eq!(handed_over, ["transact [0]"]);
            assert_eq!(driven.checkpointed(0), 3);
            let ends = driven.settled(Outcome::Committed);
            let given_up = if stops { "leave" } else { "give up [0]" };
            assert_eq!(ends, [given_up]);
        }
    }

    #[test]
    fn an_aborted_answer_comes_again_with_or_without_a_footer() {
        let mut driven = Driven::running(Mode::ExactlyOnce, [0]);
        answered(&mut driven, 0);
        driven.request(0, "a");
        assert_eq!(driven.wait(1), ["transact [0]"]);
        assert!(!has_footer(&driven, 0));
        driven.settled(Outcome::Aborted);
        assert_eq!(driven.wait(INTERVAL_MS), ["transact [0]"]);
        let checkpoint = driven.under_way.as_ref().expect("under way");
        assert_eq!(checkpoint.sections[0].replies.len(), 1);
    }

    #[test]
    fn where_transactions_are_late_each_one_has_its_footer() {
        let mut driven = Driven::running(Mode::ExactlyOnce, [0]);
        answered(&mut driven, 0);
        driven.request(0, "a");
        assert_eq!(driven.wait(1), ["transact [0]"]);
        assert!(!has_footer(&driven, 0));
        driven.settled_in_time(Outcome::Aborted, false);
        driven.wait(INTERVAL_MS);
        assert!(has_footer(&driven, 0));
    }

    #[test]
    fn immediate_checkpoints_all_have_footers() {
        let mut driven = Driven::running(Mode::Immediate, [0]);
        for _ in 0..5 {
            let token = driven.request(0, "a").expect("a reply");
            driven.instance.acknowledged(token, 1);
            assert_eq!(driven.wait(INTERVAL_MS), ["transact [0]"]);
            assert!(has_footer(&driven, 0));
            driven.settled(Outcome::Committed);
        }
    }

    /// A takeover with requests up to 2 that are answered already.
    fn start_behind(digest: Digest) -> Verdict {
        let Verdict::Start(mut start) = start(0) else {
            panic!("no start");
        };
        start.answered = Some(Answered {
            next: NextOffset(2),
            batch: BatchId {
                writer: 1,
                number: 1,
            },
            digest,
            last_applied: None,
        });
        Verdict::Start(start)
    }

    #[test]
    fn a_log_that_ends_before_what_is_answered_is_looked_at_again() {
        let mut driven = Driven::new(Mode::ExactlyOnce);
        driven.on(Input::Assigned(vec![0]));
        driven.verdict(0, start_behind(Digest::default()));
        driven.request(0, "a");
        let end = driven.on(Input::EndOfPartition {
            partition: 0,
            next: NextOffset(1),
        });
        assert_eq!(end, ["stop fetching 0"]);
        assert_eq!(driven.wait(WAIT_AGAIN_MS - 1), [""; 0]);
        assert_eq!(driven.wait(1), ["restore 0"]);
    }

    #[test]
    fn a_partition_stays_halted_until_what_is_answered_adds_up() {
        let mut driven = Driven::new(Mode::ExactlyOnce);
        driven.on(Input::Assigned(vec![0]));
        driven.verdict(0, start_behind(Digest(1)));
        driven.offsets.insert(0, 0);
        for again in [false, true] {
            let is_halted = |driven: &Driven| matches!(driven.phase(0), Phase::Halted { .. });
            assert_eq!(is_halted(&driven), again);
            driven.requests(0, 3);
            assert_eq!(driven.wait(1), ["stop fetching 0"]);
            assert!(is_halted(&driven), "{:?}", driven.phase(0));
            assert_eq!(driven.wait(HALT_AGAIN_MS), ["restore 0"]);
            driven.verdict(0, start_behind(Digest(1)));
            driven.offsets.insert(0, 0);
        }
    }
}
