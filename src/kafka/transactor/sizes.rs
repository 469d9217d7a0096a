//! The size limits of a transaction's batches. A producer has one `batch.size` for all its topics.

use super::Topics;
use crate::kafka::clients::Connection;
use crate::kafka::directory::Directory;
use crate::kafka::produce::BatchSize;

/// The topics that each transaction writes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    State,
    Replies,
    Ledger,
}

#[derive(Clone, Debug)]
pub(super) struct Sizes {
    state: BatchSize,
    pub(super) replies: BatchSize,
    ledger: BatchSize,
}

impl Sizes {
    pub(super) fn new(connection: &Connection, topics: &Topics) -> Sizes {
        Sizes {
            state: BatchSize::new(connection, &topics.state),
            replies: BatchSize::new(connection, &topics.replies),
            ledger: BatchSize::new(connection, &topics.ledger),
        }
    }

    pub(super) fn ask(&mut self, directory: &Directory) {
        for size in [&mut self.state, &mut self.replies, &mut self.ledger] {
            size.ask(directory);
        }
    }

    /// True when batches may be larger than before.
    pub(super) fn look_again(&mut self, directory: &Directory) -> bool {
        let before = self.batch_bytes();
        for size in [&mut self.state, &mut self.replies, &mut self.ledger] {
            size.look_again(directory);
        }
        self.batch_bytes() > before
    }

    /// Notes that a batch to this topic was refused as too large. False when batches cannot become smaller.
    pub(super) fn refused(&mut self, role: Role, directory: &Directory) -> bool {
        let size = match role {
            Role::State => &mut self.state,
            Role::Replies => &mut self.replies,
            Role::Ledger => &mut self.ledger,
        };
        size.refused(directory)
    }

    pub(super) fn batch_bytes(&self) -> usize {
        let sizes = [&self.state, &self.replies, &self.ledger];
        let sizes = sizes.map(BatchSize::batch_bytes);
        sizes.into_iter().min().unwrap_or(1)
    }
}
