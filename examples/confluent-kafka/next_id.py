"""Asks for an ID of the sequence that its argument names, and prints it."""

import json
import os
import sys

from confluent_kafka import Consumer, Producer, TopicPartition

brokers = os.environ.get("KAFKA_BROKERS", "localhost:9092")
producer = Producer({"bootstrap.servers": brokers})
# The group is never joined; the library wants a name.
consumer = Consumer({"bootstrap.servers": brokers, "group.id": "orders"})

# Read from where the topic ends now, before the request is sent.
topic = "sequencer.replies"
partitions = [TopicPartition(topic, p) for p in consumer.list_topics(topic).topics[topic].partitions]
for partition in partitions:
    partition.offset = consumer.get_watermark_offsets(partition)[1]
consumer.assign(partitions)

delivered = []
producer.produce("sequencer.requests", key=sys.argv[1], on_delivery=lambda *report: delivered.append(report))
producer.flush()
[(failure, request)] = delivered
if failure:
    sys.exit(failure.str())

# A reply names the record that it answers.
while True:
    message = consumer.poll(1)
    if message is None or message.error():
        continue
    reply = json.loads(message.value())
    if (reply["partition"], reply["offset"]) == (request.partition(), request.offset()):
        break
consumer.close()
if "error" in reply:
    sys.exit(reply["error"]["message"])
print(reply["first"])
