//! 100 calls at once and one that fails.

use std::collections::HashMap;
use std::error::Error;
use std::time::Duration;

use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::error::KafkaError;
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use serde_json::{Value, json};
use tokio::task::JoinSet;

const REPLIES: &str = "sequencer.replies";
const TIMEOUT: Duration = Duration::from_secs(30);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let prefix = std::env::args().nth(1).ok_or("usage: calls PREFIX")?;
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", std::env::var("KAFKA_BROKERS")?);
    let producer: FutureProducer = config.create()?;
    let consumer: StreamConsumer = config.set("group.id", "calls").create()?;

    let mut ends = TopicPartitionList::new();
    for topic in consumer.fetch_metadata(Some(REPLIES), TIMEOUT)?.topics() {
        for partition in topic.partitions() {
            let (_, end) = consumer.fetch_watermarks(REPLIES, partition.id(), TIMEOUT)?;
            ends.add_partition_offset(REPLIES, partition.id(), Offset::Offset(end))?;
        }
    }
    consumer.assign(&ends)?;

    let mut sending = JoinSet::new();
    for call in 0..=100 {
        let (producer, name) = (producer.clone(), format!("{prefix}-{}", call % 5));
        sending.spawn(async move {
            let mut request = FutureRecord::to("sequencer.requests").key(&name);
            if call == 100 {
                request = request.payload(r#"{"count":0}"#);
            }
            let sent = producer
                .send(request, TIMEOUT)
                .await
                .map_err(|(error, _)| error)?;
            Ok::<_, KafkaError>(((sent.partition, sent.offset), call))
        });
    }
    let sent = sending.join_all().await.into_iter();
    let mut calls = sent.collect::<Result<HashMap<_, _>, _>>()?;

    while !calls.is_empty() {
        let message = consumer.recv().await?;
        let reply: Value = serde_json::from_slice(message.payload().unwrap_or_default())?;
        let number = |field: &str| reply[field].as_i64().unwrap_or(-1);
        let cause = (number("partition") as i32, number("offset"));
        let Some(call) = calls.remove(&cause) else {
            continue;
        };
        let line = match reply.get("error") {
            Some(error) => json!({"call": call, "error": error["code"]}),
            None => {
                json!({"call": call, "name": reply["sequence"], "first": reply["first"], "last": reply["last"]})
            }
        };
        println!("{line}");
    }
    Ok(())
}
