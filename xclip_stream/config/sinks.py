"""The sections of the sinks: one for each `type`."""

import re
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, SecretStr, field_validator

from xclip_stream.config.parts import Closed
from xclip_stream.config.values import AnchoredPath, Id, RedisAddress, WebhookSecret, WebhookUrl

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class SinkSection(Closed):
    """What every sink has: an id, and how long a message that it does not take is tried again."""

    id: Id
    first_delay_s: float = Field(default=1.0, gt=0, le=3600)
    max_delay_s: float = Field(default=300.0, gt=0, le=86_400)
    max_attempts: int = Field(default=1000, ge=1, le=1_000_000)
    max_age_s: float = Field(default=86_400.0, gt=0, le=30 * 86_400)


class ConsoleSinkConfig(SinkSection):
    """Events on standard output."""

    type: Literal["console"]
    format: Literal["text", "json"] = "text"


class JsonlSinkConfig(SinkSection):
    """Events appended to a file, one JSON object a line."""

    type: Literal["jsonl"]
    path: AnchoredPath


class RedisSinkConfig(SinkSection):
    """Events added to a stream of your own. Without `url` it is on the Redis of the queue."""

    type: Literal["redis"]
    stream: str = Field(min_length=1, max_length=512)
    maxlen: int = Field(default=100_000, ge=1, le=100_000_000)
    url: RedisAddress | None = None


class WebhookSinkConfig(SinkSection):
    """Events POSTed as Standard Webhooks say."""

    type: Literal["webhook"]
    url: WebhookUrl
    secret: WebhookSecret | None = None
    headers: Mapping[str, SecretStr] = Field(default_factory=dict, max_length=100)
    timeout_s: float = Field(default=10.0, gt=0, le=300)

    @field_validator("headers")
    @classmethod
    def _check_headers(cls, headers: Mapping[str, SecretStr]) -> Mapping[str, SecretStr]:
        for name, value in headers.items():
            if not _HEADER_NAME.fullmatch(name):
                raise ValueError(f"{name!r} is not the name of a header")
            if not value.get_secret_value().isprintable():
                raise ValueError(f"the value of {name!r} has a line break or another control character")
        return headers


SinkConfig = Annotated[
    ConsoleSinkConfig | JsonlSinkConfig | RedisSinkConfig | WebhookSinkConfig, Field(discriminator="type")
]
