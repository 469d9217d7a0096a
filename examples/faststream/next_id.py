"""Asks for an ID of the sequence that its argument names, and prints it."""

import asyncio
import os
import sys
import uuid

from faststream import Context
from faststream.kafka import KafkaBroker

broker = KafkaBroker(os.environ.get("KAFKA_BROKERS", "localhost:9092").split(","), logger=None)
answers: dict[str, asyncio.Future[dict]] = {}


# A new group begins at the end of the topic unless it is told otherwise, and could miss its first reply.
@broker.subscriber("billing.replies", group_id="billing", auto_offset_reset="earliest")
async def answered(reply: dict, correlation_id: str = Context("message.correlation_id")) -> None:
    if correlation_id in answers:
        answers.pop(correlation_id).set_result(reply)


async def next_id(name: str) -> int:
    correlation_id = str(uuid.uuid4())
    answer = answers[correlation_id] = asyncio.get_running_loop().create_future()
    await broker.publish(
        None,
        "sequencer.requests",
        key=name.encode(),
        reply_to="billing.replies",
        correlation_id=correlation_id,
    )
    reply = await answer
    if "error" in reply:
        raise ValueError(reply["error"]["message"])
    return reply["first"]


async def main() -> None:
    await broker.start()
    print(await next_id(sys.argv[1]))
    await broker.stop()


asyncio.run(main())
