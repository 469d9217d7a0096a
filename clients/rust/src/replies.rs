//! The replies of a client: one partition of the reply topic, read without a group.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::message::{BorrowedMessage, Headers};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::error::Error;
use crate::options::Options;

pub(crate) const CORRELATION: &str = "kafka_correlationId";

/// Identifies a request among all that wait for replies on the partition.
pub(crate) type Correlation = [u8; 16];

/// Pause after a failure of the consumer, which goes on by itself.
const FAILURE_PAUSE: Duration = Duration::from_millis(100);

/// The requests that wait.
#[derive(Default)]
struct Waiting {
    requests: HashMap<Correlation, oneshot::Sender<Vec<u8>>>,
    failure: Option<String>,
}

/// Reads the partition until it is dropped.
pub(crate) struct Replies {
    pub(crate) partition: i32,
    waiting: Arc<Mutex<Waiting>>,
    reader: JoinHandle<()>,
}

impl Replies {
    /// Finds the end of the partition before it returns, so that no reply to a later request is missed.
    pub(crate) async fn start(config: ClientConfig, options: &Options) -> Result<Replies, Error> {
        let (topic, timeout) = (options.reply_topic.clone(), options.timeout);
        let assigned = tokio::task::spawn_blocking(move || assign(config, &topic, timeout)).await;
        let (consumer, partition) =
            assigned.map_err(|error| Error::Connect(error.to_string()))??;
        let waiting = Arc::new(Mutex::new(Waiting::default()));
        let reader = tokio::spawn(read(consumer, Arc::clone(&waiting)));
        Ok(Replies {
            partition,
            waiting,
            reader,
        })
    }

    /// A reply that is waited for until the result is dropped.
    pub(crate) fn expect(&self) -> Result<Expected<'_>, Error> {
        let mut correlation = Correlation::default();
        getrandom::fill(&mut correlation).map_err(|error| Error::Connect(error.to_string()))?;
        let (sender, body) = oneshot::channel();
        lock(&self.waiting).requests.insert(correlation, sender);
        Ok(Expected {
            correlation,
            body,
            replies: self,
        })
    }

    /// The last failure of the consumer.
    pub(crate) fn failure(&self) -> Option<String> {
        lock(&self.waiting).failure.clone()
    }
}

impl Drop for Replies {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// A reply that a request waits for.
pub(crate) struct Expected<'a> {
    pub(crate) correlation: Correlation,
    pub(crate) body: oneshot::Receiver<Vec<u8>>,
    replies: &'a Replies,
}

impl Drop for Expected<'_> {
    fn drop(&mut self) {
        lock(&self.replies.waiting)
            .requests
            .remove(&self.correlation);
    }
}

fn assign(
    mut config: ClientConfig,
    topic: &str,
    timeout: Duration,
) -> Result<(StreamConsumer, i32), Error> {
    // No group is joined; librdkafka wants a name all the same. A reply in an aborted transaction is right as well.
    let consumer: StreamConsumer = config
        .set("group.id", "sequencer-client")
        .set("enable.auto.commit", "false")
        .set("isolation.level", "read_uncommitted")
        .set("auto.offset.reset", "latest")
        .set("allow.auto.create.topics", "false")
        .create()?;
    let metadata = consumer.fetch_metadata(Some(topic), timeout)?;
    let partitions: Vec<i32> = metadata
        .topics()
        .iter()
        .flat_map(|topic| topic.partitions())
        .map(rdkafka::metadata::MetadataPartition::id)
        .collect();
    // By chance, so that the instances of a program share the partitions out.
    let random = getrandom::u32().map_err(|error| Error::Connect(error.to_string()))? as usize;
    let partition = match partitions.len() {
        0 => return Err(Error::Connect(format!("there is no topic {topic}"))),
        count => partitions[random % count],
    };
    let (_, end) = consumer.fetch_watermarks(topic, partition, timeout)?;
    let mut place = TopicPartitionList::new();
    place.add_partition_offset(topic, partition, Offset::Offset(end))?;
    consumer.assign(&place)?;
    Ok((consumer, partition))
}

async fn read(consumer: StreamConsumer, waiting: Arc<Mutex<Waiting>>) {
    loop {
        match consumer.recv().await {
            Ok(message) => {
                let Some(correlation) = correlation(&message) else {
                    continue;
                };
                let waits = lock(&waiting).requests.remove(&correlation);
                if let Some(request) = waits {
                    // A request that is given up meanwhile has no receiver.
                    let _ = request.send(message.payload().unwrap_or_default().to_vec());
                }
            }
            Err(error) => {
                lock(&waiting).failure = Some(error.to_string());
                tokio::time::sleep(FAILURE_PAUSE).await;
            }
        }
    }
}

fn correlation(message: &BorrowedMessage<'_>) -> Option<Correlation> {
    let headers = message.headers()?;
    let header = headers.iter().find(|header| header.key == CORRELATION)?;
    header.value?.try_into().ok()
}

/// A panic elsewhere leaves the map as it was: each change of it is one call.
fn lock(waiting: &Mutex<Waiting>) -> MutexGuard<'_, Waiting> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}
