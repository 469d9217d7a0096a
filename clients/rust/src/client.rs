//! Requests, with retries.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until};
use uuid::Builder;

use crate::error::Error;
use crate::options::Options;
use crate::replies::{CORRELATION, Correlation, Replies};
use crate::reply::{self, Ids};

const REPLY_TOPIC: &str = "kafka_replyTopic";
const REPLY_PARTITION: &str = "kafka_replyPartition";
const REQUEST_ID: &str = "sequencer-request-id";

/// One request for numbers.
#[derive(Clone, Debug)]
pub struct Request {
    /// How many numbers. The default is one.
    pub count: u64,
    /// 1 to 255 bytes that say what the number is for, such as `order-7781`: a later request with the same ID gets the
    /// same number, as long as the service remembers the ID. Random if it is left out.
    pub request_id: Option<String>,
}

impl Default for Request {
    fn default() -> Request {
        Request {
            count: 1,
            request_id: None,
        }
    }
}

/// Takes numbers of sequences. Clones share the connection.
///
/// Each request has a request ID, and is sent again with it until a reply comes or [`Options::timeout`] is over. So one
/// request takes one number, also when a reply is lost.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    producer: FutureProducer,
    replies: Replies,
    places: Semaphore,
    options: Options,
}

impl Client {
    /// Connects to a service with the default names of topics. `brokers`: `HOST:PORT`, comma-separated.
    ///
    /// # Errors
    /// [`Error::Connect`].
    pub async fn connect(brokers: &str) -> Result<Client, Error> {
        Client::with_options(brokers, Options::default()).await
    }

    /// Connects with these settings.
    ///
    /// # Errors
    /// [`Error::Connect`].
    pub async fn with_options(brokers: &str, options: Options) -> Result<Client, Error> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", brokers);
        for (property, value) in &options.kafka {
            config.set(property, value);
        }
        let replies = Replies::start(config.clone(), &options).await?;
        // The partitioner finds a name's home, which spares the service from forwarding the request. A record that is
        // sent after the time-out would take a number that nobody waits for.
        let producer = config
            .set("acks", "all")
            .set("partitioner", "murmur2")
            .set("linger.ms", "0")
            .set(
                "message.timeout.ms",
                options.timeout.as_millis().to_string(),
            )
            .create()?;
        let shared = Shared {
            producer,
            replies,
            places: Semaphore::new(options.in_flight_max),
            options,
        };
        Ok(Client {
            shared: Arc::new(shared),
        })
    }

    /// Takes the next number.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Unanswered`].
    pub async fn next(&self, sequence: &str) -> Result<i64, Error> {
        let ids = self.next_with(sequence, Request::default()).await?;
        Ok(ids.first)
    }

    /// Takes numbers that follow each other, or those that the same request ID has taken already.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Unanswered`].
    pub async fn next_with(&self, sequence: &str, request: Request) -> Result<Ids, Error> {
        let request_id = request.request_id.map_or_else(draw, Ok)?;
        let deadline = Instant::now() + self.shared.options.timeout;
        let unanswered = |reason: String| Error::Unanswered {
            reason,
            request_id: request_id.clone(),
        };
        // An error of the semaphore would say that it is closed, which it never is.
        let _place = tokio::time::timeout_at(deadline, self.shared.places.acquire())
            .await
            .map_err(|_| unanswered("too many requests wait for their replies".to_owned()))?;
        let mut expected = self.shared.replies.expect()?;
        let correlation = expected.correlation;
        let mut reason = None;
        while Instant::now() < deadline {
            let attempt_end = deadline.min(Instant::now() + self.shared.options.attempt_timeout);
            tokio::select! {
                biased;
                body = &mut expected.body => {
                    let body = body.map_err(|_| unanswered("the reader of replies has ended".to_owned()))?;
                    return reply::read(&body, &request_id);
                }
                error = self.send(sequence, request.count, &request_id, &correlation) => {
                    if !may_retry(&error) {
                        return Err(unanswered(error.to_string()));
                    }
                    reason = Some(error.to_string());
                    // Until the time of the attempt is over, so that a broker that is down is not flooded.
                    sleep_until(attempt_end).await;
                }
                () = sleep_until(attempt_end) => {}
            }
        }
        let reason = reason.or_else(|| self.shared.replies.failure());
        Err(unanswered(reason.unwrap_or("no reply in time".to_owned())))
    }

    /// Writes the request. Comes back only when that failed.
    async fn send(
        &self,
        sequence: &str,
        count: u64,
        request_id: &str,
        correlation: &Correlation,
    ) -> KafkaError {
        let Shared {
            producer,
            replies,
            options,
            ..
        } = &*self.shared;
        let headers = OwnedHeaders::new()
            .insert(header(CORRELATION, correlation.as_slice()))
            .insert(header(REPLY_TOPIC, options.reply_topic.as_bytes()))
            .insert(header(REPLY_PARTITION, &replies.partition.to_be_bytes()))
            .insert(header(REQUEST_ID, request_id.as_bytes()));
        let count = count.to_string();
        let record = FutureRecord::to(&options.request_topic)
            .key(sequence)
            .payload(&count)
            .headers(headers);
        match producer.send(record, Duration::ZERO).await {
            Ok(_) => std::future::pending().await,
            Err((error, _)) => error,
        }
    }
}

fn header<'a>(key: &'a str, value: &'a [u8]) -> Header<'a, &'a [u8]> {
    Header {
        key,
        value: Some(value),
    }
}

/// Whether the same request may be written later.
fn may_retry(error: &KafkaError) -> bool {
    !matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::TopicAuthorizationFailed
                | RDKafkaErrorCode::MessageSizeTooLarge
                | RDKafkaErrorCode::SaslAuthenticationFailed
        )
    )
}

/// A random request ID.
fn draw() -> Result<String, Error> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| Error::Connect(error.to_string()))?;
    Ok(Builder::from_random_bytes(random).into_uuid().to_string())
}
