//! Heartbeats through Kafka: whoever can still write to it is alive for the rest of the service.
//!
//! | room | subject |
//! |---|---|
//! | [`topic`] | the topic, made and looked at |
//! | [`tail`] | reads what was written last, and what comes |
//! | [`listen`] | whether another process has this `instance_id`, before any other client is made |
//! | [`heart`] | writes this engine's heartbeats, on a thread of its own |
//! | `watch` | reads those of the others, on a thread of its own, and says who is gone |
//! | `evict` | removes a member that is gone from the group |
//! | `fence` | ends its open transaction |

mod evict;
mod fence;
pub mod heart;
pub mod listen;
mod shared;
pub mod tail;
pub mod topic;
mod watch;
