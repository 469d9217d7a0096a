// Asks for an ID of the sequence that its argument names, and prints it.
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

const name = process.argv[2];
// The Observable errors with { code, message } when the answer is an error.
const reply = await firstValueFrom(sequencer.send('sequencer.requests', { key: name, value: {} }));
console.log(reply.first);
await app.close();
