//! Carries out effects as calls on the clients.

use tracing::{info, warn};

use super::{Engine, Exit};
use crate::core::NextOffset;
use crate::kafka::error::Error;
use crate::kafka::forwards::Changes;
use crate::kafka::takeovers::Task;
use crate::kafka::transactor::Job;
use crate::processor::checkpoint::Checkpoint;
use crate::processor::instance::{Effect, Input};

impl Engine {
    /// Carries out one effect. A failed call on the consumer leaves it without a clear assignment. So the
    /// engine starts over: the log and the state say where.
    pub(super) fn carry_out(&mut self, effect: Effect) -> Result<(), Exit> {
        match effect {
            Effect::AcceptAssignment => answered(self.consumer.accept_assignment()),
            Effect::GiveUp { partitions } => {
                self.forwards.forget(&partitions);
                answered(self.consumer.give_up(&partitions))
            }
            Effect::Restore {
                partition,
                assignment,
            } => {
                self.takeovers.submit(Task::Takeover {
                    partition,
                    assignment,
                });
                Ok(())
            }
            Effect::ReadForeign {
                partition,
                assignment,
                from,
                to,
            } => {
                self.takeovers.submit(Task::Foreign {
                    partition,
                    assignment,
                    from,
                    to,
                });
                Ok(())
            }
            Effect::ReadParent {
                partition,
                assignment,
                parent,
                homes,
            } => {
                self.takeovers.submit(Task::Parent {
                    partition,
                    assignment,
                    parent,
                    homes,
                });
                Ok(())
            }
            // While no records are taken, fetched records would be skipped. This partition starts with the
            // others when records are taken again.
            Effect::Fetch { .. } if self.held_back => Ok(()),
            Effect::Fetch { partition, .. } if self.forwards.is_waiting(partition) => Ok(()),
            Effect::Fetch { partition, from } => self.fetch(partition, from),
            Effect::StopFetching { partition } => self.stop_fetching(partition),
            Effect::Transact(checkpoint) => self.transact(checkpoint),
            Effect::CancelTransaction => {
                self.transactor.cancel();
                Ok(())
            }
            Effect::Fence => {
                self.fence();
                Ok(())
            }
            Effect::Leave => {
                self.left = true;
                Ok(())
            }
            Effect::ExitFenced => {
                let instance_id = self.config.connection.instance_id.clone();
                Err(Exit::Fenced(instance_id))
            }
            Effect::StartOver => {
                let reason = "no transactional producer could be had".to_owned();
                Err(Exit::StartOver(reason))
            }
        }
    }

    /// Fetches a partition. If it were fetched from another offset, requests would be skipped. If it were not
    /// fetched at all, they would never be answered.
    pub(super) fn fetch(&mut self, partition: i32, from: NextOffset) -> Result<(), Exit> {
        let leader_epoch = self.instance.leader_epoch(partition);
        let started = self.consumer.start(partition, from.0, leader_epoch);
        started.map_err(|error| {
            Exit::StartOver(format!("cannot fetch partition {partition}: {error}"))
        })
    }

    /// Stops fetching a partition. If fetching went on, it would move past records that are skipped
    /// meanwhile.
    pub(super) fn stop_fetching(&mut self, partition: i32) -> Result<(), Exit> {
        self.consumer.stop(partition).map_err(|error| {
            Exit::StartOver(format!(
                "cannot stop fetching partition {partition}: {error}"
            ))
        })
    }

    /// Stops the partitions whose strays cannot go home, and no other partitions.
    pub(super) fn stop_full_sources(&mut self) -> Result<(), Exit> {
        let Changes { stop, resume } = self.forwards.changes(self.instance.owned());
        for partition in stop {
            let homes = self.forwards.homes_of(partition);
            warn!(
                partition,
                ?homes,
                "requests cannot be forwarded to their home partitions; this partition waits"
            );
            self.stop_fetching(partition)?;
        }
        if resume.is_empty() || self.held_back {
            return Ok(());
        }
        for (partition, next) in self.instance.positions() {
            if resume.contains(&partition) {
                info!(partition, "requests are forwarded again");
                self.fetch(partition, next)?;
            }
        }
        Ok(())
    }

    fn transact(&mut self, checkpoint: Box<Checkpoint>) -> Result<(), Exit> {
        // T4: a consumer that is no member has no say in the group's offsets.
        let job = Job {
            checkpoint,
            member: self.consumer.member(),
            credentials: self.consumer.credentials(),
        };
        self.transactor
            .submit(job)
            .map_err(|_| Exit::StartOver("the transaction thread has ended".to_owned()))
    }

    /// Fences (T3). Whether or not a new producer can be made, the transaction in progress is cancelled: if
    /// it is not committed yet, it never will be.
    ///
    /// The instance learns of it when all effects of its last input have been carried out.
    fn fence(&mut self) {
        warn!("a revoked partition's transaction is not finished in time; fencing it");
        if let Err(error) = self.transactor.fence() {
            warn!(%error, "fencing failed; the transaction ends by its time-out");
        }
        self.inputs.push(Input::FencedOurselves);
    }
}

fn answered(result: Result<(), Error>) -> Result<(), Exit> {
    result.map_err(|error| Exit::StartOver(error.to_string()))
}
