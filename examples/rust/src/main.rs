//! Asks for an ID of the sequence that its argument names, and prints it.

use std::error::Error;
use std::time::Duration;

use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use serde_json::Value;

const REPLIES: &str = "sequencer.replies";
const TIMEOUT: Duration = Duration::from_secs(10);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let name = std::env::args().nth(1).ok_or("usage: next-id NAME")?;
    let brokers = std::env::var("KAFKA_BROKERS").unwrap_or("localhost:9092".to_owned());
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers);
    let producer: FutureProducer = config.create()?;
    // The group is never joined; the library wants a name.
    let consumer: StreamConsumer = config.set("group.id", "orders").create()?;

    // Read from where the topic ends now, before the request is sent.
    let mut ends = TopicPartitionList::new();
    for topic in consumer.fetch_metadata(Some(REPLIES), TIMEOUT)?.topics() {
        for partition in topic.partitions() {
            let (_, end) = consumer.fetch_watermarks(REPLIES, partition.id(), TIMEOUT)?;
            ends.add_partition_offset(REPLIES, partition.id(), Offset::Offset(end))?;
        }
    }
    consumer.assign(&ends)?;

    let request = FutureRecord::<_, ()>::to("sequencer.requests").key(&name);
    let sent = producer
        .send(request, TIMEOUT)
        .await
        .map_err(|(error, _)| error)?;
    // A reply names the record that it answers.
    let reply = loop {
        let message = consumer.recv().await?;
        let reply: Value = serde_json::from_slice(message.payload().unwrap_or_default())?;
        if reply["partition"] == sent.partition && reply["offset"] == sent.offset {
            break reply;
        }
    };
    if let Some(message) = reply["error"]["message"].as_str() {
        return Err(message.into());
    }
    println!("{}", reply["first"]);
    Ok(())
}
