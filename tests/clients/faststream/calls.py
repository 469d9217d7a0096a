"""100 calls at once and one that fails."""

import asyncio
import json
import os
import sys
import uuid

from faststream import Context
from faststream.kafka import KafkaBroker

broker = KafkaBroker(os.environ.get("KAFKA_BROKERS", "localhost:9092").split(","), logger=None)
answers: dict[str, asyncio.Future[dict]] = {}


@broker.subscriber("billing.replies", group_id="billing", auto_offset_reset="earliest")
async def answered(reply: dict, correlation_id: str = Context("message.correlation_id")) -> None:
    if correlation_id in answers:
        answers.pop(correlation_id).set_result(reply)


async def ask(call: int) -> None:
    correlation_id = str(uuid.uuid4())
    answer = answers[correlation_id] = asyncio.get_running_loop().create_future()
    await broker.publish(
        {"count": 0} if call == 100 else None,
        "sequencer.requests",
        key=f"{sys.argv[1]}-{call % 5}".encode(),
        reply_to="billing.replies",
        correlation_id=correlation_id,
    )
    reply = await answer
    if "error" in reply:
        print(json.dumps({"call": call, "error": reply["error"]["code"]}))
    else:
        ids = {"first": reply["first"], "last": reply["last"]}
        print(json.dumps({"call": call, "name": reply["sequence"], **ids}))


async def main() -> None:
    await broker.start()
    await asyncio.gather(*(ask(call) for call in range(101)))
    await broker.stop()


asyncio.run(main())
