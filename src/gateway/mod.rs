//! `sequencer gateway`: IDs over HTTP, for callers that do not speak Kafka. It has no state: it is a Kafka client
//! like any other, which writes the request record, waits for its own reply, and answers.
//!
//! | room | subject |
//! |---|---|
//! | [`call`] | pure: from an HTTP request to a record, and from a reply to an HTTP answer |
//! | [`serve`] | start, run, stop |
//! | `server` | the sockets and their limits |
//! | `app` | the handlers |
//! | `steps` | the steps of a call in Kafka |
//! | `access` | decides whose calls are answered |
//! | `callers` | the file of callers: tokens and scopes |
//! | `local` | the check of callers when there is no such file |
//! | `spans` | the spans of a call, and their export |
//! | `metrics` | counters and histograms |

mod access;
mod app;
pub(crate) mod call;
mod callers;
mod local;
mod metrics;
pub(crate) mod serve;
mod server;
mod spans;
mod steps;
#[cfg(test)]
mod tests;
