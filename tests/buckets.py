"""A bucket for tests, on a real server of the protocol of S3."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from moto.server import ThreadedMotoServer

KEYS = {"access_key": "AKIATEST", "secret_key": "secret-of-the-bucket"}


@contextmanager
def bucket_server() -> Iterator[str]:
    """Serve buckets; the URL of the server."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def made_bucket(endpoint: str) -> Any:
    """Make the bucket `cameras`, with nothing in it."""
    made = boto3.resource(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id=KEYS["access_key"],
        aws_secret_access_key=KEYS["secret_key"],
    ).Bucket("cameras")
    made.create()
    made.objects.delete()  # all servers of a process share what they hold
    return made
