"""Evidence in a bucket of Amazon S3, or of a server that speaks its protocol."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import boto3
from boto3.exceptions import Boto3Error
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from xclip_stream.errors import EvidenceError

_CONTENT_TYPES = {".mp4": "video/mp4", ".jpg": "image/jpeg"}
_TIMEOUT_S = 10


@dataclass(frozen=True, slots=True)
class BucketFolder:
    """A folder in a bucket, or all of it where `prefix` is empty."""

    bucket: str
    prefix: str

    @classmethod
    def parse(cls, url: str) -> Self:
        parts = urlsplit(url)
        return cls(parts.netloc, parts.path.strip("/"))

    def key(self, name: str) -> str:
        return f"{self.prefix}/{name}" if self.prefix else name


class S3Store:
    """Keeps evidence in a bucket. What grows stands in a folder of this machine until it is finished.

    Args:
        url: s3://bucket, with a folder behind it or without.
        spool: the folder of this machine.
        endpoint_url: the server, where it is not Amazon's.
        access_key, secret_key: without them those of the environment, the machine or ~/.aws are taken.
    """

    shows_growing = False

    def __init__(
        self,
        url: str,
        *,
        spool: Path,
        endpoint_url: str | None = None,
        access_key: str | None = None,
        secret_key: str | None = None,
    ) -> None:
        self._folder = BucketFolder.parse(url)
        self._spool = spool
        self._client = open_client(endpoint_url=endpoint_url, access_key=access_key, secret_key=secret_key)

    def place(self, name: str) -> Path:
        path = self._spool / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise EvidenceError(f"{path.parent}: cannot be made ({error.strerror})") from error
        return path

    def has(self, name: str) -> bool:
        bucket, key = self._folder.bucket, self._folder.key(name)
        try:
            self._client.head_object(Bucket=bucket, Key=key)
        except ClientError:
            return False  # it is not there, or these keys may only write
        except BotoCoreError as error:
            raise EvidenceError(f"s3://{bucket}/{key}: cannot be looked for ({reason(error)})") from error
        return True

    def keep(self, draft: Path, name: str) -> None:
        bucket, key = self._folder.bucket, self._folder.key(name)
        content_type = _CONTENT_TYPES.get(Path(name).suffix, "application/octet-stream")
        try:
            self._client.upload_file(str(draft), bucket, key, ExtraArgs={"ContentType": content_type})
            draft.unlink()
            (self._spool / name).unlink(missing_ok=True)
        except (Boto3Error, BotoCoreError, ClientError, OSError) as error:
            raise EvidenceError(f"s3://{bucket}/{key}: cannot be written ({reason(error)})") from error


def open_client(*, endpoint_url: str | None, access_key: str | None, secret_key: str | None) -> Any:
    """Return a client, which any thread may use."""
    return boto3.client(
        "s3",
        endpoint_url=endpoint_url,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        # One try: who asks tries again by himself, and meanwhile does other things.
        config=Config(
            connect_timeout=_TIMEOUT_S,
            read_timeout=_TIMEOUT_S,
            retries={"total_max_attempts": 1},
            signature_version="s3v4",
        ),
    )


def reason(error: Exception) -> str:
    """Return the words of an error in one line. The clients' own texts name no key."""
    return str(error).partition("\n")[0]
