//! One process: inputs, effects, and what is under way.

use super::*;

impl World {
    pub(super) fn live(&mut self, node: usize) -> &mut Node {
        self.nodes[node].as_mut().expect("a live node")
    }

    pub(super) fn begin(&mut self, node: usize) {
        self.runs += 1;
        self.memberships += 1;
        self.init_producer(node, None);
        let options = Options {
            service: Service {
                mode: self.mode,
                group: "group".into(),
                instance: format!("node {node}"),
                reply_partitions: 2,
                rewrite_floor_records: 20,
            },
            writer: self.runs,
            checkpoint_interval_ms: 20,
            revoke_deadline_ms: 60,
            stop_deadline_ms: 1_000_000,
        };
        self.nodes[node] = Some(Node {
            instance: Instance::new(options),
            writer: self.runs,
            reading: BTreeMap::new(),
            asked: Vec::new(),
            foreign: Vec::new(),
            carried: None,
            unacknowledged: Vec::new(),
            rebalances: VecDeque::new(),
            revoking: None,
            assigned: BTreeSet::new(),
            member: Some(self.memberships),
            fenced_ourselves: false,
            stopped: false,
        });
    }

    /// The process is gone; what it had asked the coordinator for may still arrive.
    pub(super) fn crash(&mut self, node: usize) {
        if let Some(id) = self.committing(node)
            && self.random.chance(50)
        {
            self.end(id, Fate::Committed);
        }
        self.nodes[node] = None;
        self.disown(node);
    }

    pub(super) fn input(&mut self, node: usize, input: Input) {
        let now_ms = self.now_ms;
        let Some(live) = &mut self.nodes[node] else {
            return;
        };
        let mut effects = Vec::new();
        live.instance.on(now_ms, input, &mut effects);
        for effect in effects {
            if self.nodes[node].is_some() {
                self.carry_out(node, effect);
            }
        }
    }

    pub(super) fn carry_out(&mut self, node: usize, effect: Effect) {
        match effect {
            Effect::AcceptAssignment => {}
            Effect::Restore {
                partition,
                assignment,
            } => {
                let takeover = Takeover::new(partition, "group");
                let Step::Do(question) = takeover.first() else {
                    panic!("no question");
                };
                self.live(node).asked.push(Asked {
                    partition,
                    assignment,
                    takeover,
                    question,
                });
            }
            Effect::Fetch { partition, from } => {
                if self.owners[index(partition)] == Some(node) {
                    let next =
                        self.committed[index(partition)].map_or(NextOffset::ZERO, |c| c.next);
                    assert_eq!(from, next, "T1, T2 of partition {partition}");
                }
                let from = usize::try_from(from.0).unwrap();
                self.live(node).reading.insert(partition, from);
            }
            Effect::StopFetching { partition } => {
                self.live(node).reading.remove(&partition);
            }
            Effect::GiveUp { partitions } => self.give_up(node, &partitions),
            Effect::Transact(checkpoint) => {
                let live = self.live(node);
                assert!(live.carried.is_none(), "one transaction at a time");
                live.carried = Some(Carried {
                    steps: TransactionSteps::default(),
                    checkpoint,
                    written: Vec::new(),
                    id: None,
                    calling: None,
                    generation: live.member.unwrap_or(0),
                    fenced: false,
                    too_late: false,
                });
            }
            Effect::CancelTransaction => {
                if let Some(carried) = &mut self.live(node).carried {
                    carried.steps.cancel();
                }
            }
            Effect::Fence => {
                let committing = self.committing(node);
                self.init_producer(node, committing);
                let live = self.live(node);
                live.fenced_ourselves = true;
                if let Some(carried) = &mut live.carried {
                    carried.fenced = true;
                }
            }
            Effect::ReadForeign {
                partition,
                assignment,
                from,
                to,
            } => self
                .live(node)
                .foreign
                .push((partition, assignment, from, to)),
            Effect::Leave => {
                assert!(self.live(node).stopped);
                self.crash(node);
            }
            Effect::StartOver => self.crash(node),
            Effect::ExitFenced => panic!("nobody else has this node's ID"),
        }
    }

    pub(super) fn fenced_step(&mut self, node: usize) {
        if std::mem::take(&mut self.live(node).fenced_ourselves) {
            self.input(node, Input::FencedOurselves);
        }
    }

    pub(super) fn chosen_reading(&mut self, node: usize) -> Option<(i32, usize)> {
        let chosen = self.random.below(PARTITIONS);
        let live = self.nodes[node].as_ref()?;
        let (partition, offset) = live.reading.iter().nth(chosen)?;
        Some((*partition, *offset))
    }

    pub(super) fn deliver(&mut self, node: usize) {
        let Some((partition, mut offset)) = self.chosen_reading(node) else {
            return;
        };
        if offset < self.requests[index(partition)].start {
            return self.input(node, Input::LogError { partition });
        }
        for _ in 0..1 + self.random.below(4) {
            let log = &self.requests[index(partition)];
            let live = self.nodes[node].as_mut().unwrap();
            let Some(record) = log.records.get(offset) else {
                break;
            };
            if !live.instance.takes_records() {
                break;
            }
            if let Some(request) = record {
                let reply = live.instance.record(Record {
                    partition,
                    offset: Offset(number(offset)),
                    timestamp: Timestamp(number(offset)),
                    key: request.key.as_deref(),
                    value: request.value.as_deref(),
                });
                if let Some(reply) = reply {
                    let body = reply.body.to_vec();
                    let sent = (reply.token, index(partition), offset);
                    live.unacknowledged.push(sent);
                    self.reply_seen(index(partition), offset, &body);
                }
            }
            offset += 1;
            self.live(node).reading.insert(partition, offset);
        }
    }

    pub(super) fn end_of_partition(&mut self, node: usize) {
        let Some((partition, offset)) = self.chosen_reading(node) else {
            return;
        };
        if offset == self.requests[index(partition)].records.len() {
            let next = NextOffset(number(offset));
            self.input(node, Input::EndOfPartition { partition, next });
        }
    }

    pub(super) fn acknowledge(&mut self, node: usize) {
        for _ in 0..self.random.below(12) {
            let count = self.live(node).unacknowledged.len();
            if count == 0 {
                return;
            }
            let chosen = self.random.below(count);
            let live = self.live(node);
            let (token, partition, offset) = live.unacknowledged.swap_remove(chosen);
            live.instance.acknowledged(token, 1);
            self.requests[partition].records[offset]
                .as_mut()
                .unwrap()
                .answers += 1;
        }
    }

    pub(super) fn takeover_step(&mut self, node: usize) {
        let count = self.live(node).asked.len();
        if count == 0 {
            return;
        }
        let chosen = self.random.below(count);
        let Asked {
            partition,
            question,
            ..
        } = self.live(node).asked[chosen];
        let Some(answer) = self.answer(index(partition), question) else {
            return;
        };
        let asked = &mut self.live(node).asked[chosen];
        match asked.takeover.on(answer) {
            Step::Do(question) => asked.question = question,
            Step::Done(verdict) => {
                let Asked { assignment, .. } = self.live(node).asked.swap_remove(chosen);
                let verdict = Input::Restored {
                    partition,
                    assignment,
                    verdict,
                };
                self.input(node, verdict);
                self.check_not_halted(node);
            }
        }
    }

    /// Nobody halts who owns the partition.
    pub(super) fn check_not_halted(&self, node: usize) {
        for report in self.nodes[node]
            .iter()
            .flat_map(|live| live.instance.report())
        {
            if let Phase::Halted { reason, .. } = report.phase {
                let owner = self.owners[index(report.partition)];
                assert!(owner != Some(node), "I6: {} {reason}", report.partition);
            }
        }
    }

    pub(super) fn answer(&mut self, partition: usize, question: Question) -> Option<Answer> {
        if self.faults && self.random.chance(3) {
            return Some(Answer::Unavailable("no leader".into()));
        }
        let state_end = |partition: usize| number(self.states[partition].records.len());
        let log = &self.requests[partition];
        Some(match question {
            Question::ReadBound => Answer::Bound(Some(Extent {
                start: 0,
                end: state_end(partition),
            })),
            Question::ReadCommitted => Answer::Committed(self.committed[partition]),
            Question::ReadState { from, to } => {
                Answer::State(Box::new(self.restore(partition, from, to)?))
            }
            Question::DescribeLog => Answer::Log(LogExtent {
                start: NextOffset(number(log.start)),
                end: NextOffset(number(log.records.len())),
                topic_id: TopicId([7; 16]),
                partitions: PARTITIONS as u32,
            }),
            Question::ReadRecord(Offset(offset)) => {
                let offset = usize::try_from(offset).unwrap();
                let record = log.records[offset].as_ref().filter(|_| offset >= log.start);
                Answer::Record(record.map(|request| {
                    fingerprint(
                        request.key.as_deref(),
                        request.value.as_deref(),
                        number(offset),
                    )
                }))
            }
            Question::ReadServiceSize => {
                let visible = self.visible(0, 0, state_end(0))?;
                Answer::ServiceSize(visible.iter().find_map(|record| {
                    let value = record.value.as_deref();
                    match state::decode(&record.key, value, None).ok()?.content {
                        Content::Footer(footer) => Some(footer.partitions),
                        _ => None,
                    }
                }))
            }
        })
    }

    pub(super) fn foreign_step(&mut self, node: usize) {
        let live = self.live(node);
        let writer = live.writer;
        let Some((partition, assignment, from, to)) = live.foreign.pop() else {
            return;
        };
        let end = to.unwrap_or_else(|| number(self.states[index(partition)].records.len()));
        let Some(records) = self.visible(index(partition), from, end) else {
            return self
                .live(node)
                .foreign
                .push((partition, assignment, from, to));
        };
        let keys = records
            .into_iter()
            .filter(|record| {
                let header = record.header.as_ref().map(<[u8; 16]>::as_slice);
                let record = state::decode(&record.key, record.value.as_deref(), header);
                let batch = record.ok().and_then(|record| record.batch);
                batch.is_none_or(|batch| batch.writer != writer)
            })
            .map(|record| record.key.clone())
            .collect();
        self.input(
            node,
            Input::Foreign {
                partition,
                assignment,
                keys,
                end,
            },
        );
    }
}
