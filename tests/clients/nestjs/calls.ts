// 100 calls at once and one that fails. The client asks for the answers in the first partition that
// it was assigned; see KafkaReplyPartitionAssigner.
import 'reflect-metadata';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ClientKafka, ClientsModule, Transport } from '@nestjs/microservices';
import { firstValueFrom } from 'rxjs';

const brokers = (process.env.KAFKA_BROKERS ?? 'localhost:9092').split(',');

@Module({
  imports: [
    ClientsModule.register([
      {
        name: 'SEQUENCER',
        transport: Transport.KAFKA,
        options: { client: { brokers }, consumer: { groupId: 'orders' } },
      },
    ]),
  ],
})
class AppModule {}

const app = await NestFactory.createApplicationContext(AppModule, { logger: ['error'] });
const sequencer = app.get<ClientKafka>('SEQUENCER');
sequencer.subscribeToResponseOf('sequencer.requests');
await sequencer.connect();

const prefix = process.argv[2];
const ask = async (call: number) => {
  const name = `${prefix}-${call % 5}`;
  const value = call === 100 ? { count: 0 } : {};
  try {
    const reply = await firstValueFrom(sequencer.send('sequencer.requests', { key: name, value }));
    console.log(JSON.stringify({ call, name: reply.sequence, first: reply.first, last: reply.last }));
  } catch (error: any) {
    console.log(JSON.stringify({ call, error: error.code }));
  }
};
await Promise.all(Array.from({ length: 101 }, (_, call) => ask(call)));
await app.close();
