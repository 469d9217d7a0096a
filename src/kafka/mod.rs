//! The only module that knows Kafka's client library. It carries out the decisions of `processor`.
//!
//! | room | subject |
//! |---|---|
//! | [`engine`] | the loop: records in, replies out, effects carried out |
//! | [`consumer`] | the member of the group; reading ranges of logs |
//! | [`replies`] | the idempotent producers of `immediate` mode |
//! | [`failover`] | heartbeats, and the peers that are alive |
//! | [`forwards`] | strays on their way home |
//! | [`directory`] | the topics of the cluster, for clients that name one |
//! | [`undelivered`] | the memory of topics that could not be written |
//! | [`transactor`] | transactions, on their own thread |
//! | [`takeovers`] | restore, on its own threads |
//! | [`calls`] | request records that each wait for their own reply: the gateway's way to Kafka |
//! | [`tools`] | the cluster calls of the command line: ask once, write a repair |
//! | [`clients`] | the configuration of each client |
//! | [`client`] | creates clients, and keeps their tokens fresh |
//! | [`oauth`] | the tokens of SASL/OAUTHBEARER |
//! | [`admin`] | topics and groups |
//! | [`error`] | the only place that reads error codes |
//! | `librdkafka` | the undocumented behaviour that the others rely on, and the version that was checked |

pub(crate) mod admin;
pub(crate) mod calls;
pub(crate) mod client;
pub mod clients;
pub(crate) mod consumer;
pub(crate) mod context;
pub(crate) mod directory;
pub(crate) mod engine;
pub mod error;
pub(crate) mod failover;
pub(crate) mod forwards;
mod librdkafka;
pub(crate) mod oauth;
pub mod produce;
pub(crate) mod replies;
pub(crate) mod takeovers;
pub mod tools;
pub(crate) mod transactor;
pub(crate) mod undelivered;
