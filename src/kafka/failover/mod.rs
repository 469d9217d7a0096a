//! Heartbeats through Kafka: whoever can still write to it is alive for the rest of the service.
//!
//! | room | subject |
//! |---|---|
//! | [`topic`] | the topic, made and looked at |
//! | [`tail`] | reads what was written last, and what comes |
//! | [`listen`] | whether another process has this `instance_id`, before any other client is made |
//! | [`heart`] | writes this engine's heartbeats, on a thread of its own |

pub mod heart;
pub mod listen;
pub mod tail;
pub mod topic;
