// 100 calls at once and one that fails.
import { randomUUID } from 'node:crypto';
import { Kafka, logLevel } from 'kafkajs';

const brokers = (process.env.KAFKA_BROKERS ?? 'localhost:9092').split(',');
const kafka = new Kafka({ brokers, logLevel: logLevel.ERROR });
const admin = kafka.admin();
const producer = kafka.producer();
const consumer = kafka.consumer({ groupId: `calls-${randomUUID()}` });
await Promise.all([admin.connect(), producer.connect(), consumer.connect()]);

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

const prefix = process.argv[2];
const ask = async (call) => {
  const request_id = randomUUID();
  const answer = new Promise((resolve) => answers.set(request_id, resolve));
  const value = JSON.stringify(call === 100 ? { request_id, count: 0 } : { request_id });
  await producer.send({ topic: 'sequencer.requests', messages: [{ key: `${prefix}-${call % 5}`, value }] });
  const { error, sequence: name, first, last } = await answer;
  console.log(JSON.stringify(error ? { call, error: error.code } : { call, name, first, last }));
};
await Promise.all(Array.from({ length: 101 }, (_, call) => ask(call)));
await Promise.all([admin.disconnect(), producer.disconnect(), consumer.disconnect()]);
