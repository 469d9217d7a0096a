//! Why a request gave no number.

use rdkafka::error::KafkaError;

/// Why a request gave no number.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The service refused the request. A repeat would be refused as well.
    #[error("{code}: {message}")]
    Refused {
        /// The stable error code, such as `invalid_count`: see the list of errors in the documentation.
        code: String,
        /// The cause, for people.
        message: String,
        /// The request ID, given or drawn.
        request_id: String,
    },
    /// No valid reply came in time. A number may be taken, now or later.
    #[error("{reason}; a number may be taken: repeat the request soon with its request ID")]
    Unanswered {
        /// The last failure that the client saw.
        reason: String,
        /// The request ID, given or drawn. A repeat with it gets the number that this request may have taken.
        request_id: String,
    },
    /// The client cannot connect. No request was sent.
    #[error("cannot connect: {0}")]
    Connect(String),
}

impl From<KafkaError> for Error {
    fn from(error: KafkaError) -> Error {
        Error::Connect(error.to_string())
    }
}
