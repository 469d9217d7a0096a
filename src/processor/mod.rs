//! The life of a partition and of an instance, decided without Kafka: input in, effects out.
//!
//! Each decision whose order matters for the promise is made here; `src/kafka` only carries it out.
//!
//! ```text
//!            assigned                 verdict: start                revoked, stop
//!  (nothing) ────────▶ Restoring ───────────────────▶ Running ────────────────────▶ Draining ──▶ (nothing)
//!                         │  ▲                           │
//!                verdict: │  │ asked again               │ unsettled transaction, log error
//!            wait or halt ▼  │ after a while             ▼
//!                    Waiting, Halted                 Restoring
//! ```
//!
//! | room | subject |
//! |---|---|
//! | [`instance`] | all partitions of one process, and their one transaction at a time |
//! | `folding` | a request log on its way into the fold, for an owner or a repair |
//! | [`partition`] | a running partition: fold, replies, content of a checkpoint |
//! | [`checkpoint`] | a checkpoint as bytes: batch, footer, offsets |
//! | [`answered`] | the committed offset beyond the last footer |
//! | [`replies`] | which replies are on their way, and when a checkpoint may cover them (I4) |
//! | [`rewrite`] | when the whole state is written again, so that a restore does not grow |
//! | [`transaction`] | the order of the steps of one transaction: T1, T3, T4, T5 |
//! | [`membership`] | the member as which a transaction sends its offsets: T3, T4 |
//! | [`takeover`] | the order of the steps from assignment to the first record: T2 |
//! | [`Mode`] | when replies are sent |
//! | [`reading`] | isolation and offset reset of the clients: T2, T8, I6 |
//! | [`restore`] | reads the state log and accepts only footers that add up |
//! | [`rebuild`] | folds the request log again, for a repair |
//! | [`parent`] | the part of a parent's state that a child adopts |
//! | [`repair`] | the chains of strays after a repair |
//! | [`failover`] | which peers are gone, besides the view of the group |
//! | [`halt`] | why a partition stopped, and the command that repairs it (I6) |

pub mod answered;
pub mod checkpoint;
pub mod failover;
mod folding;
pub mod halt;
pub mod instance;
pub mod membership;
mod mode;
pub mod parent;
pub mod partition;
pub mod reading;
pub mod rebuild;
pub mod repair;
pub mod replies;
pub mod restore;
pub mod rewrite;
pub mod takeover;
pub mod transaction;

pub use mode::Mode;
