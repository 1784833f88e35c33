"""Where evidence is kept: a folder, or a bucket of S3-compatible storage."""

from xclip_stream.storage.local import LocalStore
from xclip_stream.storage.open import open_bucket, open_bucket_reader
from xclip_stream.storage.retention import Retention, Swept

__all__ = ["LocalStore", "Retention", "Swept", "open_bucket", "open_bucket_reader"]
