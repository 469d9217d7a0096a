//! The engine's output for people: status, metrics, and a log line when something changes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::{debug, error, info, warn};

use super::latency::Latency;
use super::statistics::{self, Ends};
use crate::core::rescale::{Part, Standing};
use crate::core::{Code, Homes};
use crate::kafka::consumer::Record;
use crate::kafka::error::Error;
use crate::kafka::replies::Served;
use crate::kafka::transactor::Completed;
use crate::kafka::undelivered::Tally;
use crate::observe::metrics::Metrics;
use crate::observe::status::{PartitionState, PartitionStatus, Peer, Shared};
use crate::observe::told::undefined_word;
use crate::processor::Mode;
use crate::processor::halt::RECOVER;
use crate::processor::instance::{Instance, PartitionReport, Phase};
use crate::processor::takeover::Verdict;
use crate::processor::transaction::Outcome;
use crate::wire::route::Cause;

/// How often the status is published.
const PUBLISH_INTERVAL: Duration = Duration::from_millis(250);
/// An instance that is not a member for longer than this logs a line. Joining takes the brokers'
/// `group.initial.rebalance.delay.ms`, 3 s by default, and the slowest member's answer.
const NOT_MEMBER_WARN: Duration = Duration::from_secs(10);
/// A producer's transaction that holds a partition back for longer than this is logged. The Java client's own
/// timeout is a minute; ordinary transactions last milliseconds.
const OPEN_TRANSACTION_WARN: Duration = Duration::from_secs(10);

#[derive(Default)]
struct Watched {
    phase: Option<Phase>,
    ends: Option<Ends>,
    /// Time of the last committed checkpoint; before the first one, the time when the partition began to run.
    checkpoint: Option<Instant>,
    /// The last stable offset that stands still below the high watermark, and the time since when.
    held: Option<(i64, Instant)>,
    warned: bool,
    /// Since when there are requests without an answer and without a checkpoint.
    unanswered: Option<Instant>,
}

/// The membership of this instance in its group.
#[derive(Debug)]
struct Membership {
    member: bool,
    /// True when the instance knows its partitions, perhaps none.
    assigned: bool,
    /// Since when the instance is not a member. None once this is logged.
    apart: Option<Instant>,
}

impl Membership {
    /// The membership of an instance that begins to join.
    fn new() -> Membership {
        Membership {
            member: false,
            assigned: false,
            apart: Some(Instant::now()),
        }
    }

    fn is_complete(&self) -> bool {
        self.member && self.assigned
    }
}

/// Watches an engine and reports what it does.
pub(super) struct Reporter {
    status: Shared,
    metrics: Arc<Metrics>,
    mode: Mode,
    /// The latencies of answers.
    pub latency: Latency,
    watched: BTreeMap<i32, Watched>,
    published: Option<Instant>,
    membership: Membership,
    problem: Option<String>,
    /// Failed checkpoints since the last committed one, or since the last rebalance, which may change the
    /// partitions.
    checkpoint_failures: u32,
    checkpoint_problem: Option<String>,
    /// N and the number of partitions of the request topic, as the last takeover found them.
    partitions: (u32, u32),
    /// The longest list of N that a partition of this instance has learned.
    homes: Option<Homes>,
    /// The flags with which a printed command reaches this service.
    service_flags: String,
}

impl Reporter {
    pub(super) fn new(
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
            membership: Membership::new(),
            problem: None,
            checkpoint_failures: 0,
            checkpoint_problem: None,
            partitions: (0, 0),
            homes: None,
        }
    }

    pub(super) fn rebalanced(&mut self, kind: &'static str, partitions: &[i32]) {
        info!(kind, ?partitions, "rebalance");
        self.problem = None;
        self.checkpoint_failures = 0;
        self.membership.assigned |= kind == "assign";
        match kind {
            "assign" => self.metrics.rebalances_assign.inc(),
            "revoke" => self.metrics.rebalances_revoke.inc(),
            _ => self.metrics.rebalances_lost.inc(),
        }
        if kind == "lost" {
            self.membership.assigned = false;
        }
    }

    /// Whether the consumer is a member of its group. Call this before its next event is handled.
    pub(super) fn member(&mut self, member: bool) {
        let membership = &mut self.membership;
        if member {
            membership.apart = None;
        } else if membership.member {
            // The next assignment shows that it is a member again.
            membership.assigned = false;
            membership.apart = Some(Instant::now());
            warn!("no longer a member of the group; joining it again");
        } else if let Some(since) = membership.apart
            && since.elapsed() > NOT_MEMBER_WARN
        {
            membership.apart = None;
            let problem = self.problem.as_deref();
            warn!(
                problem,
                seconds = since.elapsed().as_secs(),
                "not a member of the group; requests are not answered here"
            );
        }
        membership.member = member;
    }

    pub(super) fn kafka_error(&mut self, error: &Error) {
        self.metrics.kafka_error(error.class.as_str());
        self.problem = Some(error.to_string());
    }

    /// Notes a record that gave nothing to send now: in `exactly_once` mode its reply waits for the checkpoint.
    pub(super) fn held(&mut self, record: &Record<'_>) {
        if self.mode == Mode::ExactlyOnce {
            self.latency
                .held(record.partition, record.offset, record.timestamp_ms);
        }
    }

    pub(super) fn restored(
        &mut self,
        partition: i32,
        verdict: &Verdict,
        took: Duration,
        records: u64,
    ) {
        self.latency.forget(partition);
        if let Some(watched) = self.watched.get_mut(&partition) {
            watched.unanswered = None;
        }
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
                let of_service = start.restored.fold.scalars().homes.partitions();
                let of_topic = start.topic_partitions;
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

    pub(super) fn completed(&mut self, completed: &Completed) {
        let took = completed.took;
        self.count_failures(completed);
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
            Outcome::Aborted | Outcome::OutOfOrder => self.metrics.checkpoints_aborted.inc(),
            Outcome::Unsettled | Outcome::Fenced | Outcome::Failed => {
                self.metrics.checkpoints_unknown.inc();
            }
        }
        if let Some(problem) = &completed.problem {
            self.metrics.kafka_error(problem.class.as_str());
            warn!(outcome = ?completed.outcome, took_ms = took.as_millis(), error = %problem, "checkpoint had a problem");
        }
    }

    fn count_failures(&mut self, completed: &Completed) {
        if completed.outcome == Outcome::Committed {
            self.checkpoint_failures = 0;
            self.checkpoint_problem = None;
            return;
        }
        self.checkpoint_failures = self.checkpoint_failures.saturating_add(1);
        self.checkpoint_problem = completed.problem.as_ref().map(ToString::to_string);
    }

    /// Counts replies that came back or went to another topic.
    pub(super) fn replies_served(&mut self, served: Served) {
        let returned = u64::try_from(served.returned).unwrap_or(u64::MAX);
        self.metrics.reply_failures.inc_by(returned);
        self.undelivered(&served.undelivered);
    }

    fn undelivered(&self, tally: &Tally) {
        for (cause, count) in tally.iter() {
            self.metrics.undelivered(cause, count);
        }
    }

    pub(super) fn statistics(&mut self, json: &str) {
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

    /// `peers`: the instances that write heartbeats.
    pub(super) fn publish_when_due(
        &mut self,
        instance: &mut Instance,
        queued: i32,
        peers: impl FnOnce() -> BTreeMap<String, Peer>,
    ) {
        if self
            .published
            .is_some_and(|at| at.elapsed() < PUBLISH_INTERVAL)
        {
            return;
        }
        self.metrics.producer_queue_messages.set(queued.into());
        let peers = peers();
        self.status.update(|status| status.peers = peers);
        self.publish(instance);
    }

    pub(super) fn publish(&mut self, instance: &mut Instance) {
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
        let standings = reports.iter().filter_map(|report| report.standing);
        let longest = standings
            .map(|standing| standing.homes)
            .max_by_key(Homes::epoch);
        let known = [longest, self.homes].into_iter().flatten();
        self.homes = known.max_by_key(Homes::epoch);
        if let Some(homes) = &self.homes {
            self.partitions.0 = homes.partitions();
        }
        let partitions = reports.into_iter().map(|report| {
            let partition = report.partition;
            let fold = instance.fold(partition);
            let undefined = fold.map(|fold| undefined_word(fold.scalars().undefined));
            (partition, self.partition(report, undefined))
        });
        let partitions = partitions.collect();
        let before = self.homes.and_then(|homes| homes.before());
        self.status.update(|status| {
            status.connected = self.membership.is_complete();
            status.problem.clone_from(&self.problem);
            status.checkpoint_failures = self.checkpoint_failures;
            status
                .checkpoint_problem
                .clone_from(&self.checkpoint_problem);
            (status.service_partitions, status.request_partitions) = self.partitions;
            status.service_partitions_before = before;
            status.partitions = partitions;
        });
    }

    fn partition(
        &mut self,
        mut report: PartitionReport,
        undefined: Option<&'static str>,
    ) -> PartitionStatus {
        let rescale = self.part(report.partition, report.standing);
        if let Phase::Halted { remedy, .. } = &mut report.phase
            && remedy.starts_with(RECOVER)
        {
            *remedy = format!("{remedy} {}", self.service_flags);
        }
        let watched = self.watched.entry(report.partition).or_default();
        if watched.phase.as_ref() != Some(&report.phase) {
            announce(report.partition, &report.phase);
            watched.phase = Some(report.phase.clone());
            // From now on a checkpoint is due, also the first one.
            if report.phase == Phase::Running {
                watched.checkpoint.get_or_insert_with(Instant::now);
            }
        }
        let unanswered = report.outstanding + self.latency.waiting(report.partition);
        watched.unanswered = (unanswered > 0)
            .then(|| waiting_since(watched.unanswered, watched.checkpoint, Instant::now()));
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
            unanswered,
            unanswered_ms: watched.unanswered.map(millis),
            sequences: u64::try_from(report.sequences).unwrap_or(u64::MAX),
            undefined,
            rescale,
            outlook: report.outlook,
            checkpoint_age_ms: watched.checkpoint.map(millis),
            open_transaction_hold_ms: watched.held.map(|(_, since)| millis(since)),
        }
    }
}

impl Reporter {
    /// The part that a partition has left to do in a rescale. None when there is none.
    fn part(&self, partition: i32, standing: Option<Standing>) -> Option<&'static str> {
        let partition = u32::try_from(partition).ok()?;
        let part = standing?.part(partition, self.homes.as_ref()?);
        (part != Part::Done).then(|| part.as_str())
    }
}

/// Since when a request may have waited: a committed checkpoint has covered all requests before it.
fn waiting_since(before: Option<Instant>, checkpoint: Option<Instant>, now: Instant) -> Instant {
    let since = before.unwrap_or(now);
    checkpoint.map_or(since, |checkpoint| checkpoint.max(since))
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

#[cfg(test)]
mod tests {
    use prometheus::Registry;

    use super::*;
    use crate::observe::status::Status;
    use crate::processor::checkpoint::Checkpoint;

    fn reporter() -> (Reporter, Shared) {
        let status = Shared::new(Status::default());
        let metrics = Arc::new(Metrics::register(&Registry::new()).unwrap());
        let reporter = Reporter::new(status.clone(), metrics, Mode::Immediate, String::new());
        (reporter, status)
    }

    fn completed(outcome: Outcome) -> Completed {
        Completed {
            checkpoint: Box::new(Checkpoint {
                sections: Vec::new(),
            }),
            outcome,
            written: Vec::new(),
            late: false,
            problem: None,
            took: Duration::ZERO,
            undelivered: Tally::default(),
        }
    }

    #[test]
    fn connected_means_member_with_an_assignment_and_not_that_a_broker_talks() {
        let (mut reporter, _) = reporter();
        let connected = |reporter: &Reporter| reporter.membership.is_complete();
        reporter.statistics(r#"{"name":"x","topics":{}}"#);
        reporter.member(false);
        assert!(!connected(&reporter));
        reporter.member(true);
        assert!(!connected(&reporter), "it has no assignment yet");
        reporter.rebalanced("assign", &[]);
        assert!(connected(&reporter), "a standby is a member");
        reporter.statistics(r#"{"name":"x","topics":{}}"#);
        reporter.member(false);
        assert!(!connected(&reporter));
        // The instance is a member again, but not yet assigned again.
        reporter.member(true);
        assert!(!connected(&reporter));
        reporter.rebalanced("assign", &[1]);
        assert!(connected(&reporter));
        reporter.rebalanced("lost", &[1]);
        assert!(!connected(&reporter));
    }

    #[test]
    fn an_assignment_that_comes_before_the_next_look_counts() {
        let (mut reporter, _) = reporter();
        reporter.member(false);
        reporter.rebalanced("assign", &[0]);
        reporter.member(false);
        reporter.member(true);
        assert!(reporter.membership.is_complete());
    }

    #[test]
    fn failures_in_a_row_are_counted_up_to_a_commit_or_a_rebalance() {
        let (mut reporter, _) = reporter();
        for outcome in [Outcome::Aborted, Outcome::Unsettled, Outcome::Aborted] {
            reporter.completed(&completed(outcome));
        }
        assert_eq!(reporter.checkpoint_failures, 3);
        reporter.completed(&completed(Outcome::Committed));
        assert_eq!(reporter.checkpoint_failures, 0);
        reporter.completed(&completed(Outcome::Aborted));
        reporter.rebalanced("revoke", &[0]);
        assert_eq!(reporter.checkpoint_failures, 0);
    }

    #[test]
    fn requests_wait_since_they_were_seen_or_since_the_last_checkpoint() {
        let old = Instant::now();
        let later = old + Duration::from_secs(1);
        let now = old + Duration::from_secs(2);
        assert_eq!(waiting_since(None, None, now), now);
        // An old checkpoint says nothing about a request that has just come.
        assert_eq!(waiting_since(None, Some(old), now), now);
        assert_eq!(waiting_since(Some(old), None, now), old);
        assert_eq!(waiting_since(Some(old), Some(later), now), later);
        assert_eq!(waiting_since(Some(later), Some(old), now), later);
    }
}
