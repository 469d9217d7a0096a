//! Answers the questions of a takeover from the logs, one at a time, with any events in between.

use std::convert::Infallible;

use sequencer::core::digest::fingerprint;
use sequencer::core::{NextOffset, Offset};
use sequencer::processor::instance::{Input, Phase};
use sequencer::processor::reading::{View, bound_view, committed_view};
use sequencer::processor::restore::{Restored, restore};
use sequencer::processor::takeover::{
    Action, Bound, Event, RequestLog, StateLog, Step, Takeover, Verdict,
};
use sequencer::wire::state::{self, TopicId};

use crate::world::World;

pub const TOPIC: TopicId = TopicId([7; 16]);

pub struct Asked {
    pub partition: i32,
    pub assignment: u32,
    takeover: Takeover,
    pub question: Action,
    /// A question that was asked beside an earlier one, and the answer of that moment.
    ahead: Option<(Action, Event)>,
    /// Number of repairs of the partition when the takeover began.
    repairs: u64,
}

impl Asked {
    pub fn new(partition: i32, assignment: u32, takeover: Takeover, repairs: u64) -> Asked {
        let Step::Do(question) = takeover.first() else {
            panic!("no question");
        };
        Asked {
            partition,
            assignment,
            takeover,
            question,
            ahead: None,
            repairs,
        }
    }
}

impl World {
    pub fn takeover_step(&mut self, node: usize) {
        let count = self.live(node).asked.len();
        if count == 0 {
            return;
        }
        let chosen = self.random.below(count);
        let asked = &self.live(node).asked[chosen];
        let (partition, assignment, question) = (asked.partition, asked.assignment, asked.question);
        let repairs = asked.repairs;
        if let Some(beside) = question.beside()
            && asked.ahead.is_none()
            && self.random.chance(50)
        {
            let answer = self.answer(partition as usize, beside);
            let answer = answer.filter(|answer| !matches!(answer, Event::Unavailable(_)));
            self.coverage.state("takeover: two questions at a time");
            self.live(node).asked[chosen].ahead = answer.map(|answer| (beside, answer));
            return;
        }
        let ahead = &mut self.live(node).asked[chosen].ahead;
        let answer = match ahead.take_if(|(asked, _)| *asked == question) {
            Some((_, answer)) => Some(answer),
            None => self.answer(partition as usize, question),
        };
        let Some(answer) = answer else {
            return;
        };
        if let Event::Bound(Bound::Log(bound)) = &answer {
            let end = bound.end;
            let bounds = &mut self.live(node).bounds;
            bounds.insert((partition, assignment), (end, repairs));
        }
        match self.live(node).asked[chosen].takeover.on(answer) {
            Step::Do(question) => self.live(node).asked[chosen].question = question,
            Step::Done(mut verdict) => {
                let asked = self.live(node).asked.swap_remove(chosen);
                let repairs = self.partitions[partition as usize].repairs;
                let outdated = asked.repairs != repairs;
                self.look_at(partition, &mut verdict);
                assert!(
                    !matches!(verdict, Verdict::Start(_)) || !self.is_in_another_topic(partition),
                    "I6: partition {partition} starts in a topic that was made again"
                );
                let halts = matches!(verdict, Verdict::Halt(..));
                let verdict = Input::Restored {
                    partition,
                    assignment,
                    verdict,
                };
                self.input(node, verdict);
                if outdated {
                    return;
                }
                // Where nothing could be found out, or the partition is about to leave, a halted one stays so
                // for the reason that it had when it halted, and that a repair may have taken away since.
                let goes_on = self.halted(partition as usize).is_none();
                let part = &mut self.partitions[partition as usize];
                part.repair_unseen &= !halts && !goes_on;
                if !part.repair_unseen {
                    self.check_halt(node, partition as usize);
                }
            }
        }
    }

    /// True when the request topic was made again since the partition's checkpoint.
    pub fn is_in_another_topic(&self, partition: i32) -> bool {
        self.damaged.get(&(partition as usize)) == Some(&"other_topic")
    }

    /// Counts what was reached. A new partition gets the window of this run.
    fn look_at(&mut self, partition: i32, verdict: &mut Verdict) {
        match verdict {
            Verdict::Wait(_) => self.coverage.state("takeover waits"),
            Verdict::Halt(halt, _) => self.coverage.state(halt.code()),
            Verdict::Start(start) => {
                if start.restored.footer.is_none() {
                    self.coverage.state("takeover: fresh start");
                    let mut scalars = start.restored.fold.scalars();
                    scalars.window_capacity = self.config.window;
                    if scalars.homes.has(partition as u32) {
                        scalars.floor = self.config.floor;
                    }
                    start.restored.fold.set_scalars(scalars);
                } else {
                    self.coverage.state("takeover: restored");
                }
                if start.answered.is_some() {
                    self.coverage.state("takeover: folds what is answered");
                }
                if start.rewrite_from.is_some() {
                    self.coverage
                        .state("takeover: restored from the last full rewrite");
                }
                if start.restored.skipped_batches > 0 {
                    self.coverage
                        .state("takeover: skipped batches that do not add up");
                }
            }
        }
    }

    fn answer(&mut self, partition: usize, question: Action) -> Option<Event> {
        if self.faulty() && self.random.chance(3) {
            self.coverage.fault("question without an answer");
            return Some(Event::Unavailable("no leader".into()));
        }
        let part = &self.partitions[partition];
        let log = &part.requests;
        Some(match question {
            Action::ReadBound if self.no_state_topic => Event::Bound(Bound::NoTopic),
            Action::ReadBound => Event::Bound(match &part.state {
                None => Bound::NoPartition,
                Some(state) => Bound::Log(StateLog {
                    start: state.start,
                    end: state.end_for(bound_view()),
                }),
            }),
            Action::GrowState => {
                for part in &mut self.partitions {
                    part.state.get_or_insert_default();
                }
                self.coverage
                    .state("state topic grew with the request topic");
                Event::Growing
            }
            Action::ReadCommitted => {
                if committed_view() == View::Committed && self.is_unstable(partition) {
                    self.coverage
                        .state("takeover waits for the committed offset");
                    if self.hides_answers(partition) {
                        self.coverage
                            .state("takeover waits for answers that are committed");
                    }
                    return None;
                }
                Event::Committed(self.partitions[partition].committed)
            }
            Action::ReadState { from, to } => match self.read_state(partition, from, to)? {
                Ok(restored) => Event::State(Box::new(restored)),
                Err(newer) => Event::UnknownFormat(newer.to_string()),
            },
            Action::DescribeLog => Event::Log(RequestLog {
                start: NextOffset(log.start),
                end: NextOffset(log.replicated),
                topic_id: self.topic,
                partitions: self.partitions.len() as u32,
            }),
            Action::ReadRecord(Offset(offset)) => {
                let record = log
                    .committed_at(offset, &self.transactions)
                    .filter(|_| offset >= log.start && offset < log.stable());
                Event::Record(record.map(|record| {
                    let (key, value) = (record.key.as_deref(), record.value.as_deref());
                    fingerprint(key, value, record.timestamp)
                }))
            }
            Action::ReadService => {
                let state = self.partitions[0].state.as_ref()?;
                if state.stable() < state.replicated {
                    return None;
                }
                let restored = self.restored(0, 0, state.stable());
                Event::Service(restored.footer.map(|footer| footer.decided()))
            }
        })
    }

    /// Committed records up to a bound. None while a transaction below it is undecided or has no marker.
    fn read_state(
        &self,
        partition: usize,
        from: i64,
        to: i64,
    ) -> Option<Result<Restored, state::Error>> {
        let state = self.partitions[partition].state.as_ref()?;
        (state.stable() >= to).then(|| self.read_committed(partition, from, to))
    }

    /// The result of the shipped restore from committed records, with or without markers.
    pub fn restored(&self, partition: usize, from: i64, to: i64) -> Restored {
        let read = self.read_committed(partition, from, to);
        read.expect("no newer format")
    }

    fn read_committed(
        &self,
        partition: usize,
        from: i64,
        to: i64,
    ) -> Result<Restored, state::Error> {
        let state = self.partitions[partition].state.as_ref();
        let state = state.expect("a state log");
        let restored = restore(|feed| {
            for (_, record) in state.committed(from, to, &self.transactions) {
                let key = record.key.as_deref().unwrap_or_default();
                if !feed(key, record.value.as_deref(), record.header("b")) {
                    break;
                }
            }
            Ok::<(), Infallible>(())
        });
        match restored {
            Ok(restored) => restored,
        }
    }

    pub fn foreign_step(&mut self, node: usize) {
        let live = self.live(node);
        let run = live.run;
        let Some(foreign) = live.foreign.pop() else {
            return;
        };
        let index = foreign.partition as usize;
        let Some(state) = &self.partitions[index].state else {
            return;
        };
        let end = foreign.to.unwrap_or(state.replicated);
        if state.stable() < end {
            return self.live(node).foreign.push(foreign);
        }
        let keys: Vec<Vec<u8>> = state
            .committed(foreign.from, end, &self.transactions)
            .filter(|(_, record)| {
                let key = record.key.as_deref().unwrap_or_default();
                let read = state::decode(key, record.value.as_deref(), record.header("b"));
                let batch = read.ok().and_then(|record| record.batch);
                batch.is_none_or(|batch| batch.writer != run)
            })
            .map(|(_, record)| record.key.clone().unwrap_or_default())
            .collect();
        if !keys.is_empty() {
            self.coverage.state("keys of others written again");
        }
        self.input(
            node,
            Input::Foreign {
                partition: foreign.partition,
                assignment: foreign.assignment,
                from: foreign.from,
                keys,
                end,
            },
        );
    }

    /// The word with which a partition is halted at its owner.
    pub fn halted(&self, partition: usize) -> Option<&'static str> {
        let owner = self.partitions[partition].owner?;
        let reports = self.nodes[owner].as_ref()?.instance.report();
        let report = reports
            .into_iter()
            .find(|report| report.partition as usize == partition)?;
        match report.phase {
            Phase::Halted { code, .. } => Some(code),
            _ => None,
        }
    }
}
