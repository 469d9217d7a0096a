//! A partition that cannot be read. The error names the partition, so it stops this partition and nothing else.
//! The instance keeps the partition, checkpoints it and hands it over. It takes the partition over again at
//! growing intervals, since the log may have changed in between. An error that is the same each time lies in
//! the log, and halts the partition.

use super::{Effect, Instance, Owned, Stage};
use crate::core::planted::planted;
use crate::core::{NextOffset, Offset};
use crate::processor::halt::Halt;
use crate::wire::state::TopicId;

/// Pause before the first new takeover of a partition that could not be read, in ms: as long as the client
/// library itself waits after a failed fetch.
pub const READ_AGAIN_FIRST_MS: u64 = 500;

/// Longest pause, in ms. The end of a long problem is noticed within this time.
pub const READ_AGAIN_MAX_MS: u64 = 10_000;

/// A batch that could not be read in this many attempts in a row counts as unreadable. This is enough that a
/// short lack of memory, or a leader that has just changed, halts nothing.
pub const UNREADABLE_ATTEMPTS: u32 = 3;

/// Why a partition could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadFailure {
    /// The offset at which reading failed.
    pub offset: Offset,
    /// The problem, in words.
    pub problem: String,
    /// True when the fault lies in the log itself: no reader can read it.
    pub in_log: bool,
}

/// The read failure, until something comes from the partition again.
#[derive(Debug)]
pub(super) struct Trouble {
    failure: ReadFailure,
    attempts: u32,
    fetching: Fetching,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fetching {
    /// The partition has just failed, and must be stopped.
    Failed,
    /// The partition is not taken over again before this time.
    Stopped { again_ms: u64 },
    /// The partition halts once everything that was folded is committed.
    Halting,
    /// The partition is being taken over, or fetched again.
    Again,
}

impl Owned {
    /// True when the next record follows the one that was read last. After an error it may not: the client
    /// library skips what it cannot read.
    pub(super) fn follows(&mut self) -> bool {
        match &self.trouble {
            None => true,
            Some(trouble) if trouble.fetching == Fetching::Again => {
                self.trouble = None;
                self.halted = None;
                true
            }
            Some(_) => planted!(ReadOnBehindError),
        }
    }

    /// True when no read failure prevents the fetch.
    pub(super) fn may_fetch(&self) -> bool {
        let fetching = self.trouble.as_ref().map(|trouble| trouble.fetching);
        fetching.is_none_or(|fetching| fetching == Fetching::Again)
    }

    /// Notes that the partition is being taken over again, whatever the reason.
    pub(super) fn taken_over_anew(&mut self) {
        if let Some(trouble) = &mut self.trouble {
            trouble.fetching = Fetching::Again;
        }
    }

    /// The failure in words. None when there is none.
    pub(super) fn trouble_in_words(&self) -> Option<String> {
        let trouble = self.trouble.as_ref()?;
        Some(format!("cannot be read: {}", trouble.failure.problem))
    }
}

impl Trouble {
    fn pause_ms(&self) -> u64 {
        let doubled = READ_AGAIN_FIRST_MS << (self.attempts - 1).min(10);
        doubled.min(READ_AGAIN_MAX_MS)
    }
}

impl Instance {
    /// Notes that a partition could not be read. From now on, even before the next input, nothing that comes
    /// from the partition counts until it is fetched again.
    pub fn read_failed(&mut self, partition: i32, failure: ReadFailure) {
        let Some(owned) = self.owned.get_mut(&partition) else {
            return;
        };
        if !matches!(owned.stage, Stage::Running(_)) || !owned.may_fetch() {
            return;
        }
        let before = owned.trouble.take().map_or(0, |trouble| trouble.attempts);
        owned.trouble = Some(Trouble {
            failure,
            attempts: before.saturating_add(1),
            fetching: Fetching::Failed,
        });
    }

    /// Handles a read offset that the log does not have.
    pub(super) fn log_error(&mut self, partition: i32, effects: &mut Vec<Effect>) {
        if self.running(partition).is_some() {
            self.start_again(partition, effects);
        }
    }

    /// I6: if a partition folds another topic than this one, its log no longer exists. Its takeover reports
    /// this.
    pub(super) fn topic_seen(&mut self, topic_id: TopicId, effects: &mut Vec<Effect>) {
        let of_another = |owned: &Owned| match &owned.stage {
            Stage::Running(running) => running.topic_id() != topic_id,
            _ => false,
        };
        let others = self.owned.iter().filter(|(_, owned)| of_another(owned));
        let others: Vec<i32> = others.map(|(partition, _)| *partition).collect();
        if planted!(OtherTopicIgnored) {
            return;
        }
        for partition in others {
            self.log_error(partition, effects);
        }
    }

    /// Stops a partition that could not be read, takes it over again in time, and halts it if it can never be
    /// read. A transaction with this partition is not interrupted: others are in it as well.
    pub(super) fn read_again(&mut self, now_ms: u64, effects: &mut Vec<Effect>) {
        let mut due = Vec::new();
        for (partition, owned) in &mut self.owned {
            let (Stage::Running(running), Some(trouble)) = (&mut owned.stage, &mut owned.trouble)
            else {
                continue;
            };
            let partition = *partition;
            match trouble.fetching {
                Fetching::Failed => {
                    effects.push(Effect::StopFetching { partition });
                    let ReadFailure {
                        offset,
                        problem,
                        in_log,
                    } = &trouble.failure;
                    trouble.fetching = if *in_log && trouble.attempts >= UNREADABLE_ATTEMPTS {
                        // Else a restore would not get beyond it, and a repair could not either.
                        running.arrive(NextOffset(offset.0));
                        running.intake.halt(Halt::Unreadable {
                            at: NextOffset(offset.0),
                            problem: problem.clone(),
                        });
                        Fetching::Halting
                    } else {
                        let again_ms = now_ms + trouble.pause_ms();
                        Fetching::Stopped { again_ms }
                    };
                }
                Fetching::Stopped { again_ms }
                    if now_ms >= again_ms
                        && running.intake.is_open()
                        && !planted!(UnreadIsLeft) =>
                {
                    due.push(partition);
                }
                Fetching::Stopped { .. } | Fetching::Halting | Fetching::Again => {}
            }
        }
        due.retain(|partition| !self.transacts_any(&[*partition]));
        self.drop_from_cut(&due);
        for partition in due {
            self.restore(partition, effects);
        }
    }
}
