//! The offsets up to which each log is checked. The logs may grow during the check.
//!
//! Requests in the log at the start must be answered. The checkpoints show whether the service has come so far:
//! a checkpoint covers a request only when its reply, or its forward, is acknowledged. So the steps are: read
//! the ends of the requests; wait until checkpoints cover them; read the ends again, since strays were
//! forwarded in between; wait until checkpoints cover those; and only then read the ends of the replies.

use std::thread;
use std::time::{Duration, Instant};

use super::oracle::Service;
use super::progress::Progress;
use super::source::{Extent, Flow, Logs, Topic};
use super::state_log::StateLog;
use super::{Error, Options};

/// The interval between two looks at the state topic. Checkpoints come every 100 ms.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// The longest time that an open transaction may hide replies. The transaction of a dead instance ends by its
/// timeout of 5 s, and brokers look for timed-out transactions every 10 s.
const OPEN_TRANSACTION_MAX: Duration = Duration::from_secs(20);

/// The ranges that are read.
pub(super) struct Bounds {
    /// Ranges of the request log, by partition.
    pub requests: Vec<Extent>,
    /// By partition, requests below this offset must be answered.
    pub required: Vec<i64>,
    /// Copies of the state log, by partition.
    pub states: Vec<StateLog>,
    /// Ranges of the reply topics.
    pub replies: Vec<(Topic, u32, Extent)>,
}

impl Bounds {
    /// Waits as described above, and returns the bounds.
    pub(super) fn find(
        logs: &dyn Logs,
        options: &Options,
        progress: &mut Progress,
    ) -> Result<Bounds, Error> {
        let deadline = Instant::now() + options.wait;
        let at_start = ends(logs)?;
        let mut states = Vec::new();
        for partition in 0..logs.partitions(Topic::State)? {
            let extent = logs.extent(Topic::State, partition)?;
            states.push(StateLog::new(&options.directory, extent.start)?);
        }
        let required: Vec<i64> = at_start.iter().map(|extent| extent.end).collect();
        wait(logs, &mut states, &required, deadline, progress)?;
        let requests = ends(logs)?;
        let now: Vec<i64> = requests.iter().map(|extent| extent.end).collect();
        if now != required {
            wait(logs, &mut states, &now, deadline, progress)?;
        }
        for (partition, state) in states.iter_mut().enumerate() {
            state.settle();
            if let Some(problem) = &state.unreadable {
                let problem = problem.clone();
                return Err(Error::Format { partition, problem });
            }
        }
        let mut replies = Vec::new();
        for number in (0..).take(options.replies.len()) {
            let topic = Topic::Replies(number);
            for partition in 0..logs.partitions(topic)? {
                let extent = settled(logs, options, topic, partition)?;
                replies.push((topic, partition, extent));
            }
        }
        Ok(Bounds {
            requests,
            required,
            states,
            replies,
        })
    }

    /// The longest list of N in any footer. Empty before the first footer.
    pub(super) fn homes(&self) -> Vec<u32> {
        let lists = self.states.iter().filter_map(|state| state.homes.as_ref());
        let longest = lists
            .map(|(_, longest)| longest)
            .max_by_key(|list| list.len());
        longest.cloned().unwrap_or_default()
    }

    /// The list of N by which a partition began, in a service with this list. If compaction has left no beginning
    /// of its state, it is taken to have begun with every N that is not above its own number.
    pub(super) fn begins_by(&self, partition: usize, service: &[u32]) -> Vec<u32> {
        let state = self.states.get(partition).filter(|state| state.exact);
        let own = state.and_then(|state| state.homes.as_ref());
        let list = own.map_or(service, |(first, _)| first);
        let number = u32::try_from(partition).unwrap_or(u32::MAX);
        let later = list.iter().skip(1).take_while(|n| **n <= number);
        list.iter().take(1).chain(later).copied().collect()
    }

    /// The decisions for the whole service: those in the first footer of partition 0. Before that footer
    /// exists, the number of the topic's partitions counts.
    pub(super) fn service(&self) -> Service {
        let decided = self.states.iter().find_map(|state| state.decided);
        let present = u32::try_from(self.requests.len()).unwrap_or(u32::MAX);
        Service {
            partitions: decided.map_or(present, |(partitions, _)| partitions),
            secret: decided.map(|(_, secret)| secret),
        }
    }

    /// By partition, requests below this offset are covered by a checkpoint.
    pub(super) fn covered(&self) -> Vec<i64> {
        let covered = |state: &StateLog| state.covered.unwrap_or(0);
        self.states.iter().map(covered).collect()
    }
}

fn ends(logs: &dyn Logs) -> Result<Vec<Extent>, Error> {
    let partitions = 0..logs.partitions(Topic::Requests)?;
    let extents = partitions.map(|partition| logs.extent(Topic::Requests, partition));
    Ok(extents.collect::<Result<_, _>>()?)
}

/// The extent of a reply partition, once no transaction that was open at the first look hides replies behind
/// it. An instance that was killed leaves such a transaction.
fn settled(
    logs: &dyn Logs,
    options: &Options,
    topic: Topic,
    partition: u32,
) -> Result<Extent, Error> {
    let end = logs.high_watermark(topic, partition)?;
    let deadline = Instant::now() + OPEN_TRANSACTION_MAX;
    loop {
        let extent = logs.extent(topic, partition)?;
        if extent.end >= end {
            return Ok(extent);
        }
        if Instant::now() >= deadline {
            let name = match topic {
                Topic::Replies(number) => options.replies.get(usize::from(number)),
                Topic::Requests | Topic::State => None,
            };
            return Err(Error::OpenTransaction {
                topic: name.cloned().unwrap_or_default(),
                partition,
            });
        }
        thread::sleep(LOOK_INTERVAL);
    }
}

/// Copies the state logs until their footers reach `ends`, or until the deadline.
fn wait(
    logs: &dyn Logs,
    states: &mut [StateLog],
    ends: &[i64],
    deadline: Instant,
    progress: &mut Progress,
) -> Result<(), Error> {
    let mut first = true;
    let total = ends.iter().sum::<i64>();
    let stage = "checkpoints up to the end of the requests";
    progress.stage(stage, u64::try_from(total).unwrap_or(0));
    loop {
        let mut behind = false;
        let mut covered = 0;
        for (partition, (state, end)) in (0..).zip(states.iter_mut().zip(ends)) {
            let covers = |state: &StateLog| *end == 0 || state.covered >= Some(*end);
            if first || !covers(state) {
                copy(logs, partition, state)?;
            }
            behind |= !covers(state);
            covered += state.covered.unwrap_or(0).min(*end);
        }
        first = false;
        progress.waiting(u64::try_from(covered).unwrap_or(0));
        if !behind || Instant::now() >= deadline {
            return Ok(());
        }
        thread::sleep(LOOK_INTERVAL);
    }
}

fn copy(logs: &dyn Logs, partition: u32, state: &mut StateLog) -> Result<(), Error> {
    let range = Extent {
        start: state.end,
        end: logs.extent(Topic::State, partition)?.end,
    };
    let mut failed = None;
    logs.read(
        Topic::State,
        partition,
        range,
        &mut |record| match state.push(record) {
            Ok(()) => Flow::Continue,
            Err(error) => {
                failed = Some(error);
                Flow::Stop
            }
        },
    )?;
    // The marker of the transaction lies after the last record.
    state.end = state.end.max(range.end);
    failed.map_or(Ok(()), |error| Err(error.into()))
}
