"""Evidence out of a bucket, for people to look at."""

from collections.abc import Iterator
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from xclip_stream.errors import EvidenceError, NoSuchSpan
from xclip_stream.protocols import KeptFile
from xclip_stream.storage.s3 import BucketFolder, open_client, reason

PIECE_BYTES = 64 * 1024
_MISSING = {"NoSuchKey", "404"}


class S3Reader:
    """Reads evidence from a bucket; the arguments are those of `S3Store`."""

    def __init__(self, url: str, *, endpoint_url: str | None, access_key: str | None, secret_key: str | None) -> None:
        self._folder = BucketFolder.parse(url)
        self._client = open_client(endpoint_url=endpoint_url, access_key=access_key, secret_key=secret_key)

    def read(self, name: str, *, span: str | None) -> KeptFile | None:
        bucket, key = self._folder.bucket, self._folder.key(name)
        place = f"s3://{bucket}/{key}"
        try:
            found = self._client.get_object(Bucket=bucket, Key=key, **({"Range": span} if span else {}))
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            if code in _MISSING:
                return None
            kind = NoSuchSpan if code == "InvalidRange" else EvidenceError
            raise kind(f"{place}: cannot be read ({reason(error)})") from error
        except BotoCoreError as error:
            raise EvidenceError(f"{place}: cannot be read ({reason(error)})") from error
        return KeptFile(
            _pieces(found["Body"], place), found["Body"].close, found["ContentLength"], found.get("ContentRange", "")
        )


def _pieces(body: Any, place: str) -> Iterator[bytes]:
    try:
        yield from body.iter_chunks(PIECE_BYTES)
    except BotoCoreError as error:
        raise EvidenceError(f"{place}: broke off ({reason(error)})") from error
