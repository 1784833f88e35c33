"""Print the events of a NATS JetStream stream, each once; makes the stream where there is none.

    pip install nats-py
    python examples/consume_nats.py nats://localhost:4222

The stream stores a message id once within its duplicate window, and the durable consumer goes on where it stood.
"""

import argparse
import asyncio
import json

import nats
from nats.errors import TimeoutError as NothingYet
from nats.js.api import RetentionPolicy, StreamConfig

STREAM = StreamConfig(
    name="XCLIP",
    subjects=["xclip.events.>"],
    retention=RetentionPolicy.LIMITS,
    max_age=7 * 86_400,
    duplicate_window=3600,  # longer than an outage during which the same event may be sent again
)


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("server")
    parser.add_argument("--count", type=int, default=0, help="end after so many events; 0 goes on for ever")
    options = parser.parse_args()
    client = await nats.connect(options.server)
    stream = client.jetstream()
    await stream.add_stream(STREAM)
    consumer = await stream.pull_subscribe("xclip.events.>", durable="example")
    handled = 0
    while not options.count or handled < options.count:
        try:
            messages = await consumer.fetch(1, timeout=1)
        except NothingYet:
            continue
        for message in messages:
            handle(message.subject, json.loads(message.data))
            await message.ack()  # only now: what was not handled comes again
            handled += 1
    await client.close()


def handle(subject: str, event: dict) -> None:
    data = event["data"]
    end = f"  ({data['end_reason']})" if data["end_reason"] else ""
    print(f"{subject}  {event['id']}  {data['phase']}  {data['rule_id']}{end}", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
