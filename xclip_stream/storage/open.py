"""Opens a bucket, where the client for it is installed."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from xclip_stream.errors import ConfigError
from xclip_stream.protocols import EvidenceReader, EvidenceStore


def open_bucket(
    url: str, *, spool: Path, endpoint_url: str | None, access_key: str | None, secret_key: str | None
) -> EvidenceStore:
    """Return the store in a bucket; the arguments are those of `S3Store`.

    Raises:
        ConfigError: the package for it is not installed.
    """
    with _client_needed():
        from xclip_stream.storage.s3 import S3Store  # noqa: PLC0415 - an extra, and slow to import
    return S3Store(url, spool=spool, endpoint_url=endpoint_url, access_key=access_key, secret_key=secret_key)


def open_bucket_reader(
    url: str, *, endpoint_url: str | None, access_key: str | None, secret_key: str | None
) -> EvidenceReader:
    """Return what reads from a bucket; the arguments are those of `S3Reader`.

    Raises:
        ConfigError: the package for it is not installed.
    """
    with _client_needed():
        from xclip_stream.storage.s3_reading import S3Reader  # noqa: PLC0415 - an extra, and slow to import
    return S3Reader(url, endpoint_url=endpoint_url, access_key=access_key, secret_key=secret_key)


@contextmanager
def _client_needed() -> Iterator[None]:
    try:
        yield
    except ImportError:
        raise ConfigError(
            "evidence.url: buckets need a package that is not installed: pip install 'xclip-stream[s3]'"
        ) from None
