"""Handle each event of a running system, through restarts of this program and of Redis.

    REDIS_URL=redis://localhost:6379 python examples/consume_events.py door

Run it twice with different consumer names and the two share the events.
"""

import os
import signal
import sys

from xclip_stream.client import Delivery, EventClient


def handle(delivery: Delivery) -> None:
    """Do what is to be done. Left with an exception, the event comes again."""
    event = delivery.event
    told = f"{event.source_id}: {event.rule_id} {event.phase}, {event.peak_score:.2f}"
    again = " (again)" if delivery.deliveries > 1 else ""
    print(f"{event.message_id} {told}{again}", flush=True)


def main() -> None:
    consumer = sys.argv[1] if len(sys.argv) > 1 else "one"
    url = os.environ.get("REDIS_URL", "redis://localhost:6379")
    with EventClient(url, group="example", consumer=consumer, start="oldest") as events:
        signal.signal(signal.SIGTERM, lambda *_: events.close())
        signal.signal(signal.SIGINT, lambda *_: events.close())
        for delivery in events:
            with delivery:
                handle(delivery)


if __name__ == "__main__":
    main()
