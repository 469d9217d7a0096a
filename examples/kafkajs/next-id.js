// Asks for an ID of the sequence that its argument names, and prints it.
import { randomUUID } from 'node:crypto';
import { Kafka, logLevel } from 'kafkajs';

const brokers = (process.env.KAFKA_BROKERS ?? 'localhost:9092').split(',');
const kafka = new Kafka({ brokers, logLevel: logLevel.ERROR });
const admin = kafka.admin();
const producer = kafka.producer();
// Every process reads all replies, so each has a group of its own.
const consumer = kafka.consumer({ groupId: `orders-${randomUUID()}` });
await Promise.all([admin.connect(), producer.connect(), consumer.connect()]);

// Read from where the topic ends now, before the request is sent.
const topic = 'sequencer.replies';
const ends = await admin.fetchTopicOffsets(topic);
const answers = new Map();
await consumer.subscribe({ topic });
await consumer.run({
  eachMessage: async ({ message }) => {
    const reply = JSON.parse(message.value);
    answers.get(reply.request_id)?.(reply);
  },
});
ends.forEach(({ partition, high }) => consumer.seek({ topic, partition, offset: high }));

// With a request_id the request may be sent again: it gets the same ID.
const request_id = randomUUID();
const answer = new Promise((resolve) => answers.set(request_id, resolve));
await producer.send({
  topic: 'sequencer.requests',
  messages: [{ key: process.argv[2], value: JSON.stringify({ request_id }) }],
});
const reply = await answer;
if (reply.error) throw new Error(reply.error.message);
console.log(reply.first);
await Promise.all([admin.disconnect(), producer.disconnect(), consumer.disconnect()]);
