//! What the engine tells people: status, metrics, and a log line when something changes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::{debug, error, info, warn};

use super::latency::Latency;
use super::statistics::{self, Ends};
use crate::core::Code;
use crate::kafka::consumer::Record;
use crate::kafka::error::Error;
use crate::kafka::replies::Served;
use crate::kafka::transactor::Completed;
use crate::kafka::undelivered::Tally;
use crate::processor::Mode;
use crate::processor::halt::RECOVER;
use crate::processor::instance::{Instance, PartitionReport, Phase};
use crate::processor::takeover::Verdict;
use crate::processor::transaction::Outcome;
use crate::service::metrics::Metrics;
use crate::service::status::{PartitionState, PartitionStatus, Shared};
use crate::wire::route::Cause;

/// How often the status is published.
const PUBLISH_INTERVAL: Duration = Duration::from_millis(250);
/// A producer's transaction that holds a partition back for longer than this is worth a line: the
/// Java client's own time-out is a minute, ordinary ones last milliseconds.
const OPEN_TRANSACTION_WARN: Duration = Duration::from_secs(10);

#[derive(Default)]
struct Watched {
    phase: Option<Phase>,
    ends: Option<Ends>,
    /// The last committed one; before the first, when the partition began to run.
    checkpoint: Option<Instant>,
    /// Since when the last stable offset stands still below the high watermark.
    held: Option<(i64, Instant)>,
    warned: bool,
}

/// Watches an engine.
pub struct Reporter {
    status: Shared,
    metrics: Arc<Metrics>,
    mode: Mode,
    /// How long answers take.
    pub latency: Latency,
    watched: BTreeMap<i32, Watched>,
    published: Option<Instant>,
    connected: bool,
    problem: Option<String>,
    /// N and the partitions of the request topic, as the last takeover found them.
    partitions: (u32, u32),
    /// How a printed command reaches this service.
    service_flags: String,
}

impl Reporter {
    pub fn new(
        status: Shared,
        metrics: Arc<Metrics>,
        mode: Mode,
        service_flags: String,
    ) -> Reporter {
        Reporter {
            status,
            metrics,
            mode,
            service_flags,
            latency: Latency::default(),
            watched: BTreeMap::new(),
            published: None,
            connected: false,
            problem: None,
            partitions: (0, 0),
        }
    }

    pub fn rebalanced(&mut self, kind: &'static str, partitions: &[i32]) {
        info!(kind, ?partitions, "rebalance");
        self.connected = true;
        self.problem = None;
        match kind {
            "assign" => self.metrics.rebalances_assign.inc(),
            "revoke" => self.metrics.rebalances_revoke.inc(),
            _ => self.metrics.rebalances_lost.inc(),
        }
        if kind == "lost" {
            self.connected = false;
        }
    }

    pub fn kafka_error(&mut self, error: &Error) {
        self.metrics.kafka_error(error.class.as_str());
        self.problem = Some(error.to_string());
    }

    /// A record gave nothing to send now: in `exactly_once` mode its reply waits for the checkpoint.
    pub fn held(&mut self, record: &Record<'_>) {
        if self.mode == Mode::ExactlyOnce {
            self.latency
                .held(record.partition, record.offset, record.timestamp_ms);
        }
    }

    pub fn restored(&mut self, partition: i32, verdict: &Verdict, took: Duration, records: u64) {
        self.latency.forget(partition);
        match verdict {
            Verdict::Start(start) => {
                self.metrics
                    .restore_duration_seconds
                    .observe(took.as_secs_f64());
                self.metrics.restore_records.inc_by(records);
                let skipped = start.restored.skipped_batches;
                self.metrics.state_batches_skipped.inc_by(skipped);
                info!(
                    partition,
                    next = start.next.0,
                    sequences = start.restored.fold.len(),
                    records,
                    took_ms = took.as_millis(),
                    "restored"
                );
                if let Some(repaired) = &start.restored.reset {
                    info!(partition, repaired, "the state begins with a repair");
                }
                let (of_service, of_topic) = (start.decided.partitions, start.topic_partitions);
                self.partitions = (of_service, of_topic);
                if of_topic > of_service {
                    warn!(
                        partition,
                        service_partitions = of_service,
                        topic_partitions = of_topic,
                        "the request topic has grown: names keep their homes in the first \
                         service_partitions, requests elsewhere are forwarded there"
                    );
                }
                if skipped > 0 {
                    warn!(
                        partition,
                        batches = skipped,
                        "skipped state batches that do not add up"
                    );
                }
            }
            Verdict::Wait(reason) => debug!(partition, reason, "waiting"),
            Verdict::Halt(..) => {}
        }
    }

    pub fn completed(&mut self, completed: &Completed) {
        let took = completed.took;
        match completed.outcome {
            Outcome::Committed => {
                self.metrics.checkpoints_committed.inc();
                self.undelivered(&completed.undelivered);
                let seconds = took.as_secs_f64();
                self.metrics.checkpoint_duration_seconds.observe(seconds);
                let records = u64::try_from(completed.checkpoint.records()).unwrap_or(u64::MAX);
                self.metrics.checkpoint_records.inc_by(records);
                let now = Instant::now();
                for section in &completed.checkpoint.sections {
                    self.watched
                        .entry(section.partition)
                        .or_default()
                        .checkpoint = Some(now);
                    self.latency.committed(section.partition, section.next);
                }
            }
            Outcome::Aborted => self.metrics.checkpoints_aborted.inc(),
            Outcome::Unsettled | Outcome::Fenced | Outcome::Failed => {
                self.metrics.checkpoints_unknown.inc();
            }
        }
        if let Some(problem) = &completed.problem {
            self.metrics.kafka_error(problem.class.as_str());
            warn!(outcome = ?completed.outcome, took_ms = took.as_millis(), error = %problem, "checkpoint had a problem");
        }
    }

    /// Replies that came back or went elsewhere.
    pub fn replies_served(&mut self, served: Served) {
        let returned = u64::try_from(served.returned).unwrap_or(u64::MAX);
        self.metrics.reply_failures.inc_by(returned);
        self.undelivered(&served.undelivered);
    }

    fn undelivered(&self, tally: &Tally) {
        for (cause, count) in tally.iter() {
            self.metrics.undelivered(cause, count);
        }
    }

    pub fn statistics(&mut self, json: &str) {
        self.connected = true;
        for (partition, ends) in statistics::ends(json) {
            let watched = self.watched.entry(partition).or_default();
            watched.ends = Some(ends);
            watched.held = match watched.held {
                _ if ends.stable >= ends.high => None,
                Some((stable, since)) if stable == ends.stable => Some((stable, since)),
                _ => Some((ends.stable, Instant::now())),
            };
            let long = watched
                .held
                .filter(|(_, since)| since.elapsed() > OPEN_TRANSACTION_WARN);
            match long {
                Some((stable, since)) if !watched.warned => {
                    watched.warned = true;
                    warn!(
                        partition,
                        offset = stable,
                        seconds = since.elapsed().as_secs(),
                        "a producer's open transaction holds the partition back"
                    );
                }
                Some(_) => {}
                None => watched.warned = false,
            }
        }
    }

    pub fn publish_when_due(&mut self, instance: &mut Instance, queued: i32) {
        if self
            .published
            .is_some_and(|at| at.elapsed() < PUBLISH_INTERVAL)
        {
            return;
        }
        self.metrics.producer_queue_messages.set(queued.into());
        self.publish(instance);
    }

    pub fn publish(&mut self, instance: &mut Instance) {
        self.published = Some(Instant::now());
        let counts = instance.take_counts();
        self.metrics.requests_granted.inc_by(counts.granted);
        self.metrics.requests_repeated.inc_by(counts.again);
        self.metrics.requests_operated.inc_by(counts.operated);
        self.metrics.ids_granted.inc_by(counts.ids);
        self.metrics.strays_forwarded.inc_by(counts.forwarded);
        self.metrics.forwards_repeated.inc_by(counts.repeated);
        for (cause, count) in Cause::ALL.into_iter().zip(counts.undelivered) {
            self.metrics.undelivered(cause, count);
        }
        for (code, count) in Code::ALL.into_iter().zip(counts.rejected) {
            if count > 0 {
                self.metrics.requests_rejected.inc_by(count);
                self.metrics.rejected(code, count);
            }
        }
        self.latency.publish(&self.metrics);
        instance.survey();
        let reports = instance.report();
        self.watched
            .retain(|partition, _| reports.iter().any(|report| report.partition == *partition));
        self.latency
            .keep(|partition| self.watched.contains_key(&partition));
        let partitions = reports
            .into_iter()
            .map(|report| (report.partition, self.partition(report)))
            .collect();
        let (connected, problem) = (self.connected, self.problem.clone());
        self.status.update(|status| {
            status.connected = connected;
            status.problem = problem;
            (status.service_partitions, status.request_partitions) = self.partitions;
            status.partitions = partitions;
        });
    }

    fn partition(&mut self, mut report: PartitionReport) -> PartitionStatus {
        if let Phase::Halted { remedy, .. } = &mut report.phase
            && remedy.starts_with(RECOVER)
        {
            *remedy = format!("{remedy} {}", self.service_flags);
        }
        let watched = self.watched.entry(report.partition).or_default();
        if watched.phase.as_ref() != Some(&report.phase) {
            announce(report.partition, &report.phase);
            watched.phase = Some(report.phase.clone());
            // From here on a checkpoint is due, also the first.
            if report.phase == Phase::Running {
                watched.checkpoint.get_or_insert_with(Instant::now);
            }
        }
        let halt = match &report.phase {
            Phase::Halted { code, .. } => Some(*code),
            _ => None,
        };
        let (state, reason, repair) = match report.phase {
            Phase::Restoring => (PartitionState::Restoring, None, None),
            Phase::Waiting(reason) => (PartitionState::Waiting, Some(reason), None),
            Phase::Running => (PartitionState::Running, None, None),
            Phase::Draining => (PartitionState::Draining, None, None),
            Phase::Halted { reason, remedy, .. } => {
                (PartitionState::Halted, Some(reason), Some(remedy))
            }
        };
        let next = report.next.map_or(-1, |next| next.0);
        let millis =
            |since: Instant| u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
        PartitionStatus {
            state,
            halt,
            reason,
            repair,
            next_offset: next,
            lag_records: watched.ends.map(|ends| (ends.stable - next).max(0)),
            sequences: u64::try_from(report.sequences).unwrap_or(u64::MAX),
            outlook: report.outlook,
            checkpoint_age_ms: watched.checkpoint.map(millis),
            open_transaction_hold_ms: watched.held.map(|(_, since)| millis(since)),
        }
    }
}

fn announce(partition: i32, phase: &Phase) {
    match phase {
        Phase::Halted {
            code,
            reason,
            remedy,
            highest,
        } => error!(
            partition,
            code,
            reason,
            highest_id = highest,
            repair = remedy,
            "partition halted"
        ),
        Phase::Waiting(reason) => info!(partition, reason, "partition waits"),
        Phase::Running => info!(partition, "partition runs"),
        Phase::Draining => info!(partition, "partition is handed over"),
        Phase::Restoring => debug!(partition, "partition is restored"),
    }
}
