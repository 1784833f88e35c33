"""The sections of the sinks: one for each `type`."""

import re
from collections.abc import Mapping
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, field_validator, model_validator

from xclip_stream.config.parts import TlsConfig
from xclip_stream.config.sink_section import Phases, SinkSection, Timeout, TopicName, check_tls_scheme
from xclip_stream.config.values import (
    AnchoredPath,
    HostAndPort,
    MailAddress,
    MqttUrl,
    NatsUrl,
    RedisAddress,
    ServiceUrl,
    SmtpUrl,
    WebhookSecret,
    WebhookUrl,
    distinct,
    shown_url,
)
from xclip_stream.redaction import redact_url
from xclip_stream.types import Phase

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def _without_slash(topic: str) -> str:
    if "/" in topic:
        raise ValueError("is a topic of Kafka, which has no slashes")
    return topic


class ConsoleSinkConfig(SinkSection):
    """Events on standard output."""

    type: Literal["console"]
    format: Literal["text", "json"] = "text"

    @property
    def place(self) -> str:
        return f"standard output, {self.format}"


class JsonlSinkConfig(SinkSection):
    """Events appended to a file, one JSON object a line."""

    type: Literal["jsonl"]
    path: AnchoredPath

    @property
    def place(self) -> str:
        return str(self.path)


class RedisSinkConfig(SinkSection):
    """Events added to a stream of your own. Without `url` it is on the Redis of the queue."""

    type: Literal["redis"]
    stream: str = Field(min_length=1, max_length=512)
    maxlen: int = Field(default=100_000, ge=1, le=100_000_000)
    url: RedisAddress | None = None

    @property
    def place(self) -> str:
        return self.stream


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

    @property
    def place(self) -> str:
        return shown_url(self.url)


class MqttSinkConfig(SinkSection):
    """Events to an MQTT broker; with `home_assistant`, rules as entities of it."""

    type: Literal["mqtt"]
    url: MqttUrl
    tls: TlsConfig = TlsConfig()
    protocol: Literal["5", "3.1.1"] = "5"
    prefix: TopicName = "xclip-stream"
    home_assistant: bool = False
    discovery_prefix: TopicName = "homeassistant"
    onvif: bool = False
    timeout_s: Timeout = 10.0

    @model_validator(mode="after")
    def _check_tls(self) -> Self:
        check_tls_scheme(self.tls, self.url, "mqtts")
        return self

    @property
    def place(self) -> str:
        return redact_url(self.url.get_secret_value())


class KafkaSinkConfig(SinkSection):
    """Events to a topic of Kafka."""

    type: Literal["kafka"]
    servers: Annotated[tuple[HostAndPort, ...], Field(min_length=1), AfterValidator(distinct)]
    topic: Annotated[TopicName, AfterValidator(_without_slash)]
    mode: Literal["structured", "binary"] = "structured"
    user: str | None = Field(default=None, min_length=1)
    password: SecretStr | None = None
    sasl: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    tls: TlsConfig | None = None
    """None: no TLS. An empty one trusts the authorities that the system trusts."""
    timeout_s: Timeout = 10.0

    @model_validator(mode="after")
    def _check_login(self) -> Self:
        if (self.user is None) != (self.password is None):
            raise ValueError("user and password belong together: give both or none")
        return self

    @property
    def place(self) -> str:
        return f"{', '.join(self.servers)}, topic {self.topic}"


class NatsSinkConfig(SinkSection):
    """Events to a stream of NATS JetStream."""

    type: Literal["nats"]
    servers: Annotated[tuple[NatsUrl, ...], Field(min_length=1)]
    tls: TlsConfig = TlsConfig()
    subject: TopicName = "xclip.events"
    timeout_s: Timeout = 10.0

    @model_validator(mode="after")
    def _check_tls(self) -> Self:
        for url in self.servers:
            check_tls_scheme(self.tls, url, "tls")
        return self

    @model_validator(mode="after")
    def _check_login(self) -> Self:
        logins = {urlsplit(url.get_secret_value()).netloc.rpartition("@")[0] for url in self.servers}
        if len(logins - {""}) > 1:
            raise ValueError("the servers of one cluster take the same login: their users and passwords differ")
        return self

    @property
    def place(self) -> str:
        shown = ", ".join(redact_url(url.get_secret_value()) for url in self.servers)
        return f"{shown}, subject {self.subject}.>"


class EmailSinkConfig(SinkSection):
    """Events by e-mail, those of `digest_s` in one."""

    type: Literal["email"]
    url: SmtpUrl
    tls: TlsConfig = TlsConfig()
    sender: MailAddress = Field(alias="from")
    to: Annotated[tuple[MailAddress, ...], Field(min_length=1, max_length=100), AfterValidator(distinct)]
    digest_s: float = Field(default=60.0, ge=0, le=86_400)
    phases: Phases = (Phase.STARTED, Phase.ENDED)
    timeout_s: Timeout = 10.0

    @model_validator(mode="after")
    def _check_tls(self) -> Self:
        check_tls_scheme(self.tls, self.url, "smtps", "smtp+starttls")
        return self

    @property
    def place(self) -> str:
        return f"{', '.join(self.to)} through {redact_url(self.url.get_secret_value())}"


class AppriseSinkConfig(SinkSection):
    """Events to a service that apprise knows: Slack, Discord, Teams, ntfy and many others."""

    type: Literal["apprise"]
    url: ServiceUrl
    phases: Phases = (Phase.STARTED, Phase.ENDED)

    @property
    def place(self) -> str:
        return shown_url(self.url)


class ExecSinkConfig(SinkSection):
    """Events to a program, which is started for each."""

    type: Literal["exec"]
    command: Annotated[tuple[str, ...], Field(min_length=1, max_length=100)]
    input: Literal["argument", "stdin"] = "argument"
    reject_codes: tuple[Annotated[int, Field(ge=1, le=255)], ...] = ()
    timeout_s: Timeout = 30.0

    @property
    def place(self) -> str:
        return self.command[0]


SinkConfig = Annotated[
    ConsoleSinkConfig
    | JsonlSinkConfig
    | RedisSinkConfig
    | WebhookSinkConfig
    | MqttSinkConfig
    | KafkaSinkConfig
    | NatsSinkConfig
    | EmailSinkConfig
    | AppriseSinkConfig
    | ExecSinkConfig,
    Field(discriminator="type"),
]
