//! The settings of a client.

use std::time::Duration;

/// The settings of a client.
#[derive(Clone, Debug)]
pub struct Options {
    /// Properties of librdkafka for producer and consumer, such as those of TLS and SASL.
    pub kafka: Vec<(String, String)>,
    /// `topics.requests` of the service.
    pub request_topic: String,
    /// The topic that replies come on. It must exist, and the service must allow it. With one of its own, a program
    /// does not read the replies of others.
    pub reply_topic: String,
    /// Time of a request with all its attempts, and of connecting.
    pub timeout: Duration,
    /// Time after which a request is sent again, with the same request ID.
    pub attempt_timeout: Duration,
    /// Requests that wait for their replies. Further ones wait until there is room.
    pub in_flight_max: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            kafka: Vec::new(),
            request_topic: "sequencer.requests".to_owned(),
            reply_topic: "sequencer.replies".to_owned(),
            timeout: Duration::from_secs(30),
            attempt_timeout: Duration::from_secs(5),
            // Far below the producer's queue of 100,000, so a request never finds it full.
            in_flight_max: 10_000,
        }
    }
}
