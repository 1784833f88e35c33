"""Print the events of a Kafka topic, each once.

    pip install confluent-kafka
    python examples/consume_kafka.py localhost:9092 alerts

A worker that was killed after Kafka had stored an event sends it again, under the same id: hence the `seen` below. The
key of a record is the id of its source, so the events of one camera stand in one partition, in their order.
"""

import argparse
import json

from confluent_kafka import Consumer

REMEMBERED_IDS = 10_000


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("servers")
    parser.add_argument("topic")
    parser.add_argument("--group", default="example")
    parser.add_argument("--count", type=int, default=0, help="end after so many events; 0 goes on for ever")
    options = parser.parse_args()
    consumer = Consumer(
        {
            "bootstrap.servers": options.servers,
            "group.id": options.group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe([options.topic])
    seen: dict[str, None] = {}
    while not options.count or len(seen) < options.count:
        record = consumer.poll(1.0)
        if record is None or record.error():
            continue
        event = json.loads(record.value())
        if event["id"] not in seen:
            handle(record.key().decode(), event)
            seen[event["id"]] = None
        if len(seen) > REMEMBERED_IDS:
            del seen[next(iter(seen))]
        consumer.commit(record, asynchronous=False)  # only now: what was not handled comes again
    consumer.close()


def handle(key: str, event: dict) -> None:
    data = event["data"]
    end = f"  ({data['end_reason']})" if data["end_reason"] else ""
    print(f"{key}  {event['id']}  {data['phase']}  {data['rule_id']}  peak {data['peak_score']:.2f}{end}", flush=True)


if __name__ == "__main__":
    main()
