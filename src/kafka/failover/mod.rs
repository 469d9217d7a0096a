//! Heartbeats through Kafka: a process that can still write to Kafka counts as alive for the rest of the
//! service.
//!
//! | room | subject |
//! |---|---|
//! | [`topic`] | creates and checks the topic |
//! | [`tail`] | reads the last heartbeats, then new ones |
//! | [`listen`] | whether another process has this `instance_id`, before any other client is made |
//! | [`releases`] | whether the releases of all instances know what a command asks of them |
//! | [`heartbeats`] | how this process shows that it is alive, and when it takes others for gone |
//! | [`heart`] | writes this engine's heartbeats, on its own thread |
//! | `watch` | reads the heartbeats of peers, on its own thread, and reports who is gone |
//! | `evict` | removes a member that is gone from the group |
//! | `ready` | the consumers that are ready for that |
//! | `fence` | ends its open transaction |

mod evict;
mod fence;
pub(crate) mod heart;
pub(crate) mod heartbeats;
pub(crate) mod listen;
mod ready;
pub(crate) mod releases;
mod shared;
pub(crate) mod tail;
pub(crate) mod topic;
mod watch;
