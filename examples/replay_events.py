"""Print what happened in the last hours: each event that has ended, with its start and its length.

    REDIS_URL=redis://localhost:6379 python examples/replay_events.py 24

It reads without a group: nobody else's reading is touched, and nothing is acknowledged.
"""

import os
import sys
from datetime import UTC, datetime, timedelta

from xclip_stream.client import EventClient
from xclip_stream.types import Phase


def main() -> None:
    since = datetime.now(UTC) - timedelta(hours=float(sys.argv[1]) if len(sys.argv) > 1 else 24.0)
    with EventClient(os.environ.get("REDIS_URL", "redis://localhost:6379"), start=since) as events:
        for delivery in events.retained():
            event = delivery.event
            if event.phase is Phase.ENDED and event.end_time is not None:
                started, length_s = datetime.fromtimestamp(event.start_time, UTC), event.end_time - event.start_time
                print(f"{started:%Y-%m-%d %H:%M:%S} {event.source_id}: {event.rule_id} for {length_s:.1f} s")


if __name__ == "__main__":
    main()
