"""The section of the evidence: pictures and clips of events."""

from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, ByteSize, Field, SecretStr, ValidationInfo, field_validator, model_validator

from xclip_stream.config.parts import Closed
from xclip_stream.config.values import anchored

_MIB = 1024 * 1024


def _bucket_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme != "s3" or not parts.hostname or "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError("must be a bucket, like s3://bucket/folder; credentials have keys of their own")
    return url.rstrip("/")


def _web_url(url: str) -> str:
    if urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).hostname:
        raise ValueError("must be a URL that starts with http:// or https://")
    return url.rstrip("/")


BucketUrl = Annotated[str, AfterValidator(_bucket_url)]
WebUrl = Annotated[str, AfterValidator(_web_url)]


class EvidenceConfig(Closed):
    """What is kept of events, where, and for how long. Without this section nothing is."""

    dir: Path = Field(default=Path("evidence"), validate_default=True)
    url: BucketUrl | None = None
    endpoint_url: WebUrl | None = None
    access_key: SecretStr | None = None
    secret_key: SecretStr | None = None
    base_url: WebUrl | None = None
    pre_roll_s: float = Field(default=5.0, ge=0, le=60)
    post_roll_s: float = Field(default=5.0, ge=0, le=60)
    max_clip_s: float = Field(default=120.0, ge=1, le=3600)
    ring_bytes: ByteSize = Field(default=ByteSize(24 * _MIB), ge=_MIB, le=1024 * _MIB)
    overlay: bool = False
    max_age_s: float = Field(default=7 * 86_400.0, ge=60, le=10 * 365 * 86_400)
    max_bytes: ByteSize = Field(default=ByteSize(10 * 1024 * _MIB), ge=_MIB)

    @field_validator("dir")
    @classmethod
    def _anchor(cls, path: Path, info: ValidationInfo) -> Path:
        return anchored(str(path), info).absolute()

    @model_validator(mode="after")
    def _check_bucket(self) -> Self:
        if self.url is None and (self.endpoint_url or self.access_key or self.secret_key):
            raise ValueError("endpoint_url, access_key and secret_key are for a url like s3://bucket/folder")
        if (self.access_key is None) != (self.secret_key is None):
            raise ValueError("access_key and secret_key come together")
        return self

    @model_validator(mode="after")
    def _check_length(self) -> Self:
        if self.max_clip_s <= self.pre_roll_s:
            raise ValueError("max_clip_s must be more than pre_roll_s: clips would end before their event begins")
        return self

    @property
    def shown_url(self) -> str:
        """Where events say that the files are: `base_url`, else the bucket, else the folder on this machine."""
        return self.base_url or self.url or self.dir.as_uri()
