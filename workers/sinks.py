"""The sinks of a configuration, put together: each gets plain values, and its library is imported where it is used."""

from dataclasses import dataclass
from functools import partial
from typing import TextIO

from xclip_stream import __version__
from xclip_stream.config import Config, RuleConfig, SourceConfig
from xclip_stream.config.parts import TlsConfig
from xclip_stream.config.sinks import (
    AppriseSinkConfig,
    ConsoleSinkConfig,
    EmailSinkConfig,
    ExecSinkConfig,
    JsonlSinkConfig,
    KafkaSinkConfig,
    MqttSinkConfig,
    NatsSinkConfig,
    RedisSinkConfig,
    SinkConfig,
    WebhookSinkConfig,
)
from xclip_stream.protocols import Sink
from xclip_stream.queues.redis_client import open_client
from xclip_stream.sinks.console import ConsoleSink
from xclip_stream.sinks.email import EmailSink
from xclip_stream.sinks.exec import ExecSink
from xclip_stream.sinks.home_assistant import Discovery, Topics, WatchedRule, slug
from xclip_stream.sinks.jsonl import JsonlSink
from xclip_stream.sinks.redis_stream import RedisStreamSink
from xclip_stream.sinks.tls import TlsFiles
from xclip_stream.sinks.webhook import WebhookSink
from xclip_stream.types import WHOLE_FRAME

LEASE_S = 5.0
"""How long a sink waits when its worker was killed, unless its deliveries may take long."""
REDIS_TIMEOUT_S = 3.0
APPRISE_LONGEST_S = 40.0
"""Apprise waits 4 s for a connection and 4 s for an answer, and some of its services want several."""


@dataclass(frozen=True, slots=True)
class SinkPlan:
    """A sink, and what it knows of the rest of the configuration: it begins anew when either of them changes."""

    sink: SinkConfig
    namespace: str
    watched: tuple[WatchedRule, ...] = ()

    @property
    def id(self) -> str:
        return self.sink.id


def plan_sinks(config: Config) -> list[SinkPlan]:
    """Return the sinks of a configuration as they are to be."""
    return [SinkPlan(sink, config.redis.namespace, _watched_rules(config, sink)) for sink in config.sinks]


def _watched_rules(config: Config, sink: SinkConfig) -> tuple[WatchedRule, ...]:
    """Return the rules that are entities of Home Assistant through this sink."""
    if not isinstance(sink, MqttSinkConfig) or not sink.home_assistant:
        return ()
    return tuple(
        WatchedRule(source.id, rule.id, _regions(source, rule), rule.max_duration_s)
        for source in config.sources
        for rule in config.rules_of(source.id)
        if sink.id in config.sinks_of(rule)
    )


def _regions(source: SourceConfig, rule: RuleConfig) -> tuple[str, ...]:
    return tuple(name for name in rule.regions if name == WHOLE_FRAME or name in source.regions)


def build_sink(plan: SinkPlan, *, redis_url: str, console: TextIO) -> Sink:  # noqa: PLR0911 - one for each type
    """Return the sink that a configuration describes; nothing is opened yet."""
    sink = plan.sink
    match sink:
        case ConsoleSinkConfig():
            return ConsoleSink(stream=console, format=sink.format)
        case JsonlSinkConfig():
            return JsonlSink(path=sink.path)
        case RedisSinkConfig():
            return _redis_sink(sink, redis_url)
        case WebhookSinkConfig():
            return _webhook_sink(sink)
        case ExecSinkConfig():
            return ExecSink(
                command=sink.command, input=sink.input, reject_codes=sink.reject_codes, timeout_s=sink.timeout_s
            )
        case MqttSinkConfig():
            return _mqtt_sink(sink, plan)
        case KafkaSinkConfig():
            return _kafka_sink(sink)
        case NatsSinkConfig():
            return _nats_sink(sink)
        case EmailSinkConfig():
            return _email_sink(sink)
        case AppriseSinkConfig():
            return _apprise_sink(sink)


def lease_s(sink: SinkConfig) -> float:
    """Return how long the sink's lease lasts: longer than its longest delivery, or another worker would take over."""
    match sink:
        case WebhookSinkConfig() | NatsSinkConfig() | ExecSinkConfig():
            longest_s = sink.timeout_s
        case MqttSinkConfig():
            longest_s = 2 * sink.timeout_s  # it waits for a connection, and for the broker to take it
        case KafkaSinkConfig():
            longest_s = sink.timeout_s + 2  # the library is given a little longer to report
        case EmailSinkConfig():
            longest_s = 4 * sink.timeout_s  # that is for each answer of the server, and few are slow
        case AppriseSinkConfig():
            longest_s = APPRISE_LONGEST_S
        case RedisSinkConfig():
            longest_s = 2 * REDIS_TIMEOUT_S  # it connects, and it sends
        case _:
            longest_s = 0.0
    return max(LEASE_S, 1.5 * longest_s)


def _redis_sink(sink: RedisSinkConfig, redis_url: str) -> Sink:
    url = redis_url if sink.url is None else sink.url.get_secret_value()
    open_it = partial(
        open_client, url, key=sink.stream, connect_timeout_s=REDIS_TIMEOUT_S, reply_timeout_s=REDIS_TIMEOUT_S
    )
    return RedisStreamSink(open_client=open_it, stream=sink.stream, maxlen=sink.maxlen)


def _webhook_sink(sink: WebhookSinkConfig) -> Sink:
    return WebhookSink(
        url=sink.url.get_secret_value(),
        secret=None if sink.secret is None else sink.secret.get_secret_value(),
        headers={name: value.get_secret_value() for name, value in sink.headers.items()},
        timeout_s=sink.timeout_s,
    )


def _mqtt_sink(sink: MqttSinkConfig, plan: SinkPlan) -> Sink:
    from xclip_stream.sinks.mqtt import MqttSink  # noqa: PLC0415 - an extra

    topics = Topics(sink.prefix)
    discovery = Discovery(plan.watched, topics=topics, prefix=sink.discovery_prefix, version=__version__)
    return MqttSink(
        url=sink.url.get_secret_value(),
        client_id=slug(f"{sink.prefix}-{plan.namespace}-{sink.id}"),
        topics=topics,
        tls=_tls_files(sink.tls),
        protocol=sink.protocol,
        discovery=discovery if sink.home_assistant else None,
        onvif=sink.onvif,
        timeout_s=sink.timeout_s,
    )


def _kafka_sink(sink: KafkaSinkConfig) -> Sink:
    from xclip_stream.sinks.kafka import KafkaSink  # noqa: PLC0415 - an extra

    login = None
    if sink.user is not None and sink.password is not None:
        login = (sink.sasl, sink.user, sink.password.get_secret_value())
    return KafkaSink(
        servers=sink.servers,
        topic=sink.topic,
        mode=sink.mode,
        login=login,
        tls=None if sink.tls is None else _tls_files(sink.tls),
        timeout_s=sink.timeout_s,
    )


def _nats_sink(sink: NatsSinkConfig) -> Sink:
    from xclip_stream.sinks.nats import NatsSink  # noqa: PLC0415 - an extra

    servers = [server.get_secret_value() for server in sink.servers]
    is_secure = servers[0].startswith("tls://")
    return NatsSink(
        servers=servers,
        subject=sink.subject,
        tls=_tls_files(sink.tls) if is_secure else None,
        timeout_s=sink.timeout_s,
    )


def _email_sink(sink: EmailSinkConfig) -> Sink:
    return EmailSink(
        url=sink.url.get_secret_value(),
        sender=sink.sender,
        to=sink.to,
        window_s=sink.digest_s,
        phases=sink.phases,
        tls=_tls_files(sink.tls),
        timeout_s=sink.timeout_s,
    )


def _apprise_sink(sink: AppriseSinkConfig) -> Sink:
    from xclip_stream.sinks.apprise import AppriseSink  # noqa: PLC0415 - an extra

    return AppriseSink(url=sink.url.get_secret_value(), phases=sink.phases)


def _tls_files(tls: TlsConfig) -> TlsFiles:
    return TlsFiles(ca_file=tls.ca_file, cert_file=tls.cert_file, key_file=tls.key_file)
