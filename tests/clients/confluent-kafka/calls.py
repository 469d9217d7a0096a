"""100 calls at once and one that fails."""

import json
import os
import sys

from confluent_kafka import Consumer, Producer, TopicPartition

brokers = os.environ.get("KAFKA_BROKERS", "localhost:9092")
producer = Producer({"bootstrap.servers": brokers})
consumer = Consumer({"bootstrap.servers": brokers, "group.id": "calls"})

topic = "sequencer.replies"
partitions = [TopicPartition(topic, p) for p in consumer.list_topics(topic).topics[topic].partitions]
for partition in partitions:
    partition.offset = consumer.get_watermark_offsets(partition)[1]
consumer.assign(partitions)

calls = {}


def delivered(call):
    def report(failure, message):
        if failure:
            sys.exit(failure.str())
        calls[message.partition(), message.offset()] = call

    return report


for call in range(101):
    producer.produce(
        "sequencer.requests",
        key=f"{sys.argv[1]}-{call % 5}",
        value='{"count":0}' if call == 100 else None,
        on_delivery=delivered(call),
    )
producer.flush()

while calls:
    message = consumer.poll(1)
    if message is None or message.error():
        continue
    reply = json.loads(message.value())
    call = calls.pop((reply["partition"], reply["offset"]), None)
    if call is None:
        continue
    if "error" in reply:
        print(json.dumps({"call": call, "error": reply["error"]["code"]}))
    else:
        ids = {"first": reply["first"], "last": reply["last"]}
        print(json.dumps({"call": call, "name": reply["sequence"], **ids}))
consumer.close()
