"""What the sections of the sinks share."""

import re
from abc import ABC, abstractmethod
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from xclip_stream.config.parts import Closed, TlsConfig
from xclip_stream.config.values import Id, distinct
from xclip_stream.types import Phase

_TOPIC = re.compile(r"[A-Za-z0-9_-]+([./][A-Za-z0-9_-]+)*")


def _plain_topic(text: str) -> str:
    """Refuse wildcards, blanks and empty levels, which brokers take for something else, or not at all."""
    if not _TOPIC.fullmatch(text):
        raise ValueError("must be letters, digits, dashes and underscores, with single dots or slashes between them")
    return text


Timeout = Annotated[float, Field(gt=0, le=300)]
Phases = Annotated[tuple[Phase, ...], Field(min_length=1), AfterValidator(distinct)]
"""What people want to be told of; programs get all phases."""
TopicName = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_plain_topic)]


class SinkSection(Closed, ABC):
    """What every sink has: an id, and how long a message that it does not take is tried again."""

    id: Id
    first_delay_s: float = Field(default=1.0, gt=0, le=3600)
    max_delay_s: float = Field(default=300.0, gt=0, le=86_400)
    max_attempts: int = Field(default=1000, ge=1, le=1_000_000)
    max_age_s: float = Field(default=86_400.0, gt=0, le=30 * 86_400)

    @property
    @abstractmethod
    def place(self) -> str:
        """Where its events go, as it may be shown."""


def check_tls_scheme(tls: TlsConfig, url: SecretStr, *schemes: str) -> None:
    """Refuse files for TLS beside a URL that makes no use of them."""
    if tls != TlsConfig() and url.get_secret_value().partition("://")[0].lower() not in schemes:
        raise ValueError(f"tls is for a url that begins with {' or '.join(schemes)}")
