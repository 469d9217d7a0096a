//! The loop that carries out the decisions of [`Instance`]. One thread consumes, folds and replies. Beside it
//! run one thread for transactions, one for the replies of a backlog, and a few for takeovers.
//!
//! ```text
//!              records                      replies (immediate)
//!   consumer ───────────▶ Instance::record ────────────────────▶ reply producer
//!              events  ┌▶ Instance::on ──▶ effects ──▶ consumer, transactor, takeovers
//!   completions ───────┘
//! ```
//!
//! In each turn, completions come before new input: first findings and ended transactions, then
//! acknowledgements, then time, then records.

mod effects;
mod failover;
pub(crate) mod inquiry;
mod latency;
mod report;
mod statistics;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use tracing::{debug, error, info, warn};

use super::clients::Connection;
use super::consumer::{Event, GroupConsumer, Waker};
use super::directory::Directory;
use super::error::{Class, Error, Scope, scope};
use super::failover::heart::Heart;
use super::failover::heartbeats::Heartbeats;
use super::forwards::ForwardProducer;
use super::replies::ReplyProducer;
use super::takeovers::{Finding, Takeovers};
use super::transactor::{Completed, ProducerSlot, Topics, Transactor};
use crate::core::{NextOffset, Offset, Timestamp};
use crate::observe::metrics::Metrics;
use crate::observe::status::Shared;
use crate::processor::instance::trouble::ReadFailure;
use crate::processor::instance::{Effect, Input, Instance, Options};
use crate::processor::partition::{Output, Record};
use crate::processor::takeover::Verdict;
use crate::wire::headers::Headers;
use crate::wire::state::TopicId;
use failover::Failovers;
use report::Reporter;

/// The wait for records in a turn when something else will need attention soon.
pub(super) const BUSY_WAIT: Duration = Duration::from_millis(1);
/// The wait for records in a turn when nothing else will need attention soon. A completion is noticed this
/// late at most.
pub(super) const IDLE_WAIT: Duration = Duration::from_millis(20);
/// After this time without taking records, the consumer is served all the same, so that a rebalance does not
/// wait for a broker that does not take replies.
const HOLD_MAX: Duration = Duration::from_secs(1);
/// The interval at which the partitions of the default reply topic are compared with the list of topics. The
/// list is in memory and is fetched again when it is old.
const REPLY_TOPIC_LOOK: Duration = Duration::from_secs(1);
/// How long leaving the group may take, on top of the final checkpoint.
const LEAVE_DEADLINE: Duration = Duration::from_secs(3);

/// The settings and shared values of an engine.
#[derive(Clone)]
pub(crate) struct Config {
    /// How to reach the cluster, and the name of this instance there.
    pub connection: Connection,
    /// The topics that the engine reads and writes.
    pub topics: Topics,
    /// The options of the partitions and their checkpoints.
    pub options: Options,
    /// The status that the engine updates.
    pub status: Shared,
    /// The metrics that the engine counts into.
    pub metrics: Arc<Metrics>,
    /// The command-line flags with which a printed command reaches this service.
    pub service_flags: String,
    /// The right to make a transactional producer, shared with the engines before and after this one.
    pub slot: ProducerSlot,
    /// The heartbeats; none when their topic cannot be used.
    pub heartbeats: Option<Heartbeats>,
}

/// Why an engine ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Exit {
    /// Another live process uses this instance's ID. If this process fought it, both would stop.
    #[error(
        "another process uses instance_id {0:?}: give each instance its own with --set instance_id=NAME"
    )]
    Fenced(String),
    /// The brokers refuse something that an instance needs; only the operator can help.
    #[error("{0}")]
    Denied(String),
    /// A client is no longer usable. A new engine must start.
    #[error("{0}")]
    StartOver(String),
}

/// A message to the engine from the threads beside it.
pub(crate) enum Message {
    /// A transaction has ended.
    Completed(Completed),
    /// A takeover thread has an answer.
    Found(Finding),
    /// A client asks about sequences.
    Asked(inquiry::Inquiry),
    /// Drain all partitions, then leave the group.
    Stop,
}

/// The loop and its clients.
pub(crate) struct Engine {
    config: Config,
    consumer: GroupConsumer,
    replies: ReplyProducer,
    forwards: ForwardProducer,
    transactor: Transactor,
    takeovers: Takeovers,
    directory: Arc<Directory>,
    heart: Option<Heart>,
    failovers: Failovers,
    /// The time of the next look at the default reply topic, and the number of partitions that the instance
    /// knows.
    reply_topic_look: Instant,
    reply_partitions: u32,
    /// Number of looks at the identity of the request topic that the instance knows of.
    identity_looks: u64,
    instance: Instance,
    messages: Receiver<Message>,
    effects: Vec<Effect>,
    /// Inputs that wait until the consumer's poll has returned, or until the effects before them have been
    /// carried out.
    inputs: Vec<Input>,
    reporter: Reporter,
    began: Instant,
    /// The time since when no records are taken; none while records are taken.
    holding_since: Option<Instant>,
    /// True when fetching was stopped because no records could be taken.
    held_back: bool,
    left: bool,
}

impl Engine {
    /// Makes the clients and joins the group.
    ///
    /// # Errors
    /// A configuration that librdkafka refuses, or a thread that cannot be started.
    pub(crate) fn start(config: Config) -> Result<(Engine, Sender<Message>), Exit> {
        let (sender, messages) = channel();
        let over = |error: &dyn std::fmt::Display| Exit::StartOver(error.to_string());
        let directory = Arc::new(
            Directory::start(&config.connection, &config.topics.requests)
                .map_err(|error| over(&error))?,
        );
        let waker = Waker::default();
        let (completed, wakes) = (sender.clone(), waker.clone());
        let transactor = Transactor::start(
            config.connection.clone(),
            config.topics.clone(),
            config.slot.clone(),
            Arc::clone(&directory),
            move |done| {
                let is_heard = completed.send(Message::Completed(done)).is_ok();
                wakes.wake();
                is_heard
            },
        )
        .map_err(|error| over(&error))?;
        let (found, wakes) = (sender.clone(), waker.clone());
        let takeovers = Takeovers::start(
            &config.connection,
            &config.topics,
            config.options.run,
            move |finding| {
                // The channel has no receiver once the engine has ended.
                let _ = found.send(Message::Found(finding));
                wakes.wake();
            },
        )
        .map_err(|error| over(&error))?;
        let replies = ReplyProducer::new(
            &config.connection,
            &config.topics.replies,
            Arc::clone(&directory),
        )
        .map_err(|error| over(&error))?;
        let forwards = ForwardProducer::new(
            &config.connection,
            &config.topics.requests,
            Arc::clone(&directory),
        );
        // The heart starts before the group hears of this engine: peers take a member that they have not
        // heard for one that is gone.
        let heart = heart(&config).map_err(|error| over(&error))?;
        let mut consumer =
            GroupConsumer::new(&config.connection.group_consumer(), &config.topics.requests)
                .map_err(|error| over(&error))?;
        consumer.woken_by(waker);
        let engine = Engine {
            consumer,
            replies,
            forwards,
            transactor,
            takeovers,
            directory,
            heart,
            failovers: Failovers::default(),
            reply_topic_look: Instant::now(),
            identity_looks: 0,
            reply_partitions: config.options.service.reply_partitions,
            instance: Instance::new(config.options.clone()),
            messages,
            effects: Vec::new(),
            inputs: Vec::new(),
            reporter: Reporter::new(
                config.status.clone(),
                Arc::clone(&config.metrics),
                config.options.service.mode,
                config.service_flags.clone(),
            ),
            began: Instant::now(),
            holding_since: None,
            held_back: false,
            left: false,
            config,
        };
        Ok((engine, sender))
    }

    /// Runs until a message stops it, and then until it has left the group.
    ///
    /// # Errors
    /// The reason why it cannot go on.
    pub(crate) fn run(mut self) -> Result<(), Exit> {
        while !self.left {
            self.turn()?;
        }
        info!("leaving the group");
        self.reporter.publish(&mut self.instance);
        self.consumer.close(LEAVE_DEADLINE);
        Ok(())
    }

    fn turn(&mut self) -> Result<(), Exit> {
        self.heart.iter().for_each(Heart::turned);
        while let Ok(message) = self.messages.try_recv() {
            self.message(message)?;
        }
        self.look_at_transaction()?;
        self.acknowledgements()?;
        self.look_at_reply_topic()?;
        self.look_at_request_topic()?;
        self.input(Input::Tick)?;
        self.records()?;
        for input in std::mem::take(&mut self.inputs) {
            self.input(input)?;
        }
        let queued = self.queued();
        let heart = self.heart.as_ref();
        self.reporter
            .publish_when_due(&mut self.instance, queued, || {
                heart.map(Heart::peers).unwrap_or_default()
            });
        Ok(())
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn input(&mut self, input: Input) -> Result<(), Exit> {
        let now_ms = self.now_ms();
        let mut effects = std::mem::take(&mut self.effects);
        self.instance.on(now_ms, input, &mut effects);
        for effect in effects.drain(..) {
            self.carry_out(effect)?;
        }
        self.effects = effects;
        Ok(())
    }

    fn message(&mut self, message: Message) -> Result<(), Exit> {
        match message {
            Message::Stop => {
                info!("stopping: final checkpoint, then leaving the group");
                self.input(Input::Stop)
            }
            Message::Asked(inquiry) => {
                inquiry.answer(&self.instance);
                Ok(())
            }
            Message::Completed(completed) => {
                self.reporter.completed(&completed);
                if let Some(problem) = completed
                    .problem
                    .as_ref()
                    .filter(|error| error.bars_service())
                {
                    return Err(Exit::Denied(problem.to_string()));
                }
                self.input(Input::Settled {
                    checkpoint: completed.checkpoint,
                    outcome: completed.outcome,
                    written: completed.written,
                    late: completed.late,
                })
            }
            Message::Found(Finding::Verdict {
                partition,
                assignment,
                verdict,
                took,
                records,
            }) => {
                self.reporter.restored(partition, &verdict, took, records);
                if matches!(verdict, Verdict::Start(_)) {
                    self.failovers.restored(partition, &self.config.metrics);
                }
                self.input(Input::Restored {
                    partition,
                    assignment,
                    verdict,
                })
            }
            Message::Found(Finding::Foreign {
                partition,
                assignment,
                from,
                keys,
                end,
            }) => {
                if end < from - 1 {
                    warn!(
                        partition,
                        end,
                        written = from,
                        "the state log has lost records; writing the whole state again"
                    );
                }
                if !keys.is_empty() {
                    warn!(
                        partition,
                        keys = keys.len(),
                        "others wrote to our state log; writing their keys again"
                    );
                }
                self.input(Input::Foreign {
                    partition,
                    assignment,
                    from,
                    keys,
                    end,
                })
            }
            Message::Found(Finding::Parent {
                partition,
                assignment,
                parent,
            }) => self.input(Input::Parent {
                partition,
                assignment,
                parent,
            }),
            Message::Found(Finding::ForeignUnread {
                partition,
                assignment,
                from,
                to,
            }) => self.input(Input::ForeignUnread {
                partition,
                assignment,
                from,
                to,
            }),
        }
    }

    /// Ends the engine when a step of a transaction hangs. The next producer of this instance settles the
    /// transaction, because its init fences this producer.
    fn look_at_transaction(&self) -> Result<(), Exit> {
        match self.transactor.stuck() {
            Some(elapsed) => Err(Exit::StartOver(format!(
                "a step of a transaction has not ended within {} s",
                elapsed.as_secs()
            ))),
            None => Ok(()),
        }
    }

    fn acknowledgements(&mut self) -> Result<(), Exit> {
        let instance = &mut self.instance;
        let mut total = 0;
        let served = self.replies.serve(|token, replies| {
            total += replies;
            instance.acknowledged(token, replies);
        });
        self.forwards
            .serve(|token, strays| instance.acknowledged(token, strays));
        self.config.metrics.replies_acknowledged.inc_by(total);
        self.reporter.latency.acknowledged(total);
        let served = served.map_err(|error| Exit::StartOver(error.to_string()))?;
        self.reporter.replies_served(served);
        Ok(())
    }

    /// Notices that the default reply topic has grown. A topic with fewer partitions than before is another
    /// topic. Replies on their way to the old one would wait forever, so that needs a restart.
    fn look_at_reply_topic(&mut self) -> Result<(), Exit> {
        if Instant::now() < self.reply_topic_look {
            return Ok(());
        }
        self.reply_topic_look = Instant::now() + REPLY_TOPIC_LOOK;
        let topic = &self.config.topics.replies;
        let listed = self.directory.partitions(topic);
        if listed.is_none_or(|partitions| partitions <= self.reply_partitions) {
            return Ok(());
        }
        match self.replies.default_partitions() {
            Ok(partitions) if partitions > self.reply_partitions => {
                let before = self.reply_partitions;
                info!(
                    topic,
                    before, partitions, "the default reply topic has grown"
                );
                self.reply_partitions = partitions;
                self.input(Input::ReplyPartitions(partitions))
            }
            Ok(_) => Ok(()),
            Err(error) => {
                debug!(topic, %error, "the default reply topic cannot be looked at");
                Ok(())
            }
        }
    }

    /// Notices another identity of the request topic. If the topic was deleted and created again, the client
    /// library goes on at its old offset.
    fn look_at_request_topic(&mut self) -> Result<(), Exit> {
        match self.directory.identity() {
            Some((looks, id)) if looks != self.identity_looks => {
                self.identity_looks = looks;
                self.input(Input::RequestTopic(TopicId(id)))
            }
            _ => Ok(()),
        }
    }

    /// Number of replies and strays that are not acknowledged yet.
    fn queued(&self) -> i32 {
        self.replies
            .queued()
            .saturating_add(self.forwards.pending())
    }

    fn records(&mut self) -> Result<(), Exit> {
        self.stop_full_sources()?;
        if !(self.instance.takes_records() && self.replies.has_room()) {
            return self.hold_back();
        }
        if self.held_back {
            self.held_back = false;
            for (partition, next) in self.instance.positions() {
                if !self.forwards.is_waiting(partition) {
                    self.fetch(partition, next)?;
                }
            }
        }
        self.holding_since = None;
        let busy = self.instance.is_busy() || self.queued() > 0;
        let wait = if busy { BUSY_WAIT } else { IDLE_WAIT };
        self.poll(wait)
    }

    /// Called when no records can be taken. For a moment that is ordinary: a transaction is being committed.
    /// When it lasts, fetching is stopped, so that the consumer can be served.
    fn hold_back(&mut self) -> Result<(), Exit> {
        let since = *self.holding_since.get_or_insert_with(Instant::now);
        if since.elapsed() < HOLD_MAX {
            if let Ok(message) = self.messages.recv_timeout(BUSY_WAIT) {
                self.message(message)?;
            }
            return Ok(());
        }
        if !self.held_back {
            self.held_back = true;
            warn!("replies or checkpoints cannot be written; requests wait");
            for (partition, _) in self.instance.positions() {
                self.stop_fetching(partition)?;
            }
        }
        self.poll(BUSY_WAIT)
    }

    fn poll(&mut self, wait: Duration) -> Result<(), Exit> {
        let Engine {
            consumer,
            instance,
            replies,
            forwards,
            inputs,
            reporter,
            config,
            held_back,
            heart,
            failovers,
            takeovers,
            ..
        } = self;
        let names = &config.options.service.routing.names;
        let (mut result, mut sent) = (Ok(()), 0);
        reporter.latency.next_poll();
        reporter.member(consumer.is_member());
        consumer.poll(wait, |event| match event {
            // Records that were fetched ahead before fetching stopped are read again later.
            Event::Record(record) if *held_back || forwards.is_waiting(record.partition) => {}
            Event::Record(record) => {
                let all = record.headers.parsed();
                let headers = all.map(|all| Headers::collect(names, all));
                let output = instance.record(Record {
                    partition: record.partition,
                    leader_epoch: record.leader_epoch,
                    offset: Offset(record.offset),
                    timestamp: Timestamp(record.timestamp_ms),
                    key: record.key,
                    value: record.value,
                    headers: headers.as_ref().unwrap_or(Headers::NONE),
                });
                match output {
                    None => reporter.held(&record),
                    Some(Output::Reply(reply)) => {
                        sent += 1;
                        reporter.latency.sent(record.timestamp_ms);
                        if let Err(error) = replies.send(&reply) {
                            result = Err(Exit::StartOver(error.to_string()));
                        }
                    }
                    Some(Output::Forward(forward)) => forwards.send(record.partition, &forward),
                    Some(Output::Several) => {
                        while let Some(output) = instance.more(record.partition) {
                            match output {
                                Output::Reply(reply) => {
                                    sent += 1;
                                    if let Err(error) = replies.send(&reply) {
                                        result = Err(Exit::StartOver(error.to_string()));
                                    }
                                }
                                Output::Forward(order) => forwards.send(record.partition, &order),
                                Output::Several => {}
                            }
                        }
                    }
                }
            }
            // The records before this offset were skipped.
            Event::EndOfPartition { partition, .. }
                if *held_back || forwards.is_waiting(partition) => {}
            Event::EndOfPartition { partition, next } => inputs.push(Input::EndOfPartition {
                partition,
                next: NextOffset(next),
            }),
            Event::Assigned(partitions) => {
                reporter.rebalanced("assign", &partitions);
                failovers.assigned(&partitions, heart.as_ref().and_then(Heart::since_gone));
                inputs.push(Input::Assigned(partitions));
            }
            Event::Revoked { partitions, lost } => {
                reporter.rebalanced(if lost { "lost" } else { "revoke" }, &partitions);
                if lost {
                    takeovers.connections_lost();
                }
                inputs.push(Input::Revoked { partitions, lost });
            }
            Event::Statistics(json) => reporter.statistics(json),
            Event::Error { at, error } => {
                reporter.kafka_error(&error);
                match consumer_error(at, error, config, instance) {
                    Ok(input) => inputs.extend(input),
                    Err(exit) => result = Err(exit),
                }
            }
        });
        config.metrics.replies_sent.inc_by(sent);
        result?;
        replies
            .flush()
            .map_err(|error| Exit::StartOver(error.to_string()))
    }
}

fn heart(config: &Config) -> Result<Option<Heart>, Error> {
    let Some(heartbeats) = &config.heartbeats else {
        return Ok(None);
    };
    let (connection, requests) = (&config.connection, &config.topics.requests);
    // The incarnation is the writer's number, which is drawn for each engine too.
    let incarnation = config.options.run.writer;
    Heart::start(
        connection,
        heartbeats,
        requests,
        incarnation,
        &config.metrics,
        &config.status,
    )
    .map(Some)
}

/// Handles the error at once, because more records of the same partition may follow in the same poll.
fn consumer_error(
    at: Option<(i32, i64)>,
    error: Error,
    config: &Config,
    instance: &mut Instance,
) -> Result<Option<Input>, Exit> {
    match scope(&error, at.map(|(partition, _)| partition)) {
        Scope::Identity => Err(Exit::Fenced(config.connection.instance_id.clone())),
        Scope::Client => Err(Exit::StartOver(error.to_string())),
        Scope::Service => {
            let error = error.about_group_or(&config.connection.group, &config.topics.requests);
            Err(Exit::Denied(error.to_string()))
        }
        Scope::Log(partition) => {
            warn!(partition, %error, "the log is not where it was; looking at it again");
            Ok(Some(Input::LogError { partition }))
        }
        Scope::Partition(partition) => {
            let offset = Offset(at.map_or(-1, |(_, offset)| offset));
            warn!(
                partition,
                offset = offset.0,
                %error,
                "the partition cannot be read; others go on, and this one is tried again"
            );
            let failure = ReadFailure {
                offset,
                in_log: error.is_unreadable(),
                problem: error.message,
            };
            instance.read_failed(partition, failure);
            Ok(None)
        }
        Scope::Told if error.class == Class::Denied => {
            error!(%error, "access denied");
            Ok(None)
        }
        Scope::Told if matches!(error.class, Class::Retriable | Class::EndOfLog) => {
            debug!(%error, "consumer error");
            Ok(None)
        }
        Scope::Told => {
            warn!(%error, "consumer error; the client goes on");
            Ok(None)
        }
    }
}
