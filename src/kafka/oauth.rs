//! Tokens for brokers that ask for SASL/OAUTHBEARER: fetched from an identity provider by the client credentials
//! of this program (OpenID Connect), and given to every client in time.
//!
//! The properties have librdkafka's names. librdkafka fetches tokens itself only when it is built with an installed
//! libcurl, which a build without system libraries does not have.
//!
//! | file | subject |
//! |---|---|
//! | `provider` | the operator's properties |
//! | `fetch` | one question to the provider, and its answer |
//! | `tokens` | the current token, the thread that renews it, and the clients that get it |

mod fetch;
mod provider;
mod tokens;

pub(crate) use provider::{MECHANISM, is_own, missing, mistake};
pub(crate) use tokens::{Pass, Tokens};
