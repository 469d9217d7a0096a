//! The only room that knows Kafka's client library. It carries out what `processor` decides.
//!
//! | room | subject |
//! |---|---|
//! | [`engine`] | the loop: records in, replies out, effects carried out |
//! | [`consumer`] | the member of the group; reading ranges of logs |
//! | [`replies`] | the idempotent producers of `immediate` mode |
//! | [`failover`] | heartbeats: who is alive |
//! | [`forwards`] | strays on their way home |
//! | [`directory`] | which topics there are, for clients that name one |
//! | [`undelivered`] | what is remembered of topics that could not be written |
//! | [`transactor`] | transactions, on a thread of their own |
//! | [`takeovers`] | restore, on threads of their own |
//! | [`tools`] | what the command line does with a cluster: ask once, write a repair |
//! | [`clients`] | the configuration of each client |
//! | [`admin`] | topics and groups |
//! | [`error`] | the one place that looks at error codes |

pub mod admin;
pub mod clients;
pub mod consumer;
pub mod context;
pub mod directory;
pub mod engine;
pub mod error;
pub mod failover;
pub mod forwards;
pub mod produce;
pub mod replies;
pub mod takeovers;
pub mod tools;
pub mod transactor;
pub mod undelivered;
