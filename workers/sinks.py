"""The sinks of a configuration, put together: each gets plain values, and its library is imported where it is used."""

from functools import partial
from typing import TextIO

from xclip_stream.config import (
    ConsoleSinkConfig,
    ExecSinkConfig,
    JsonlSinkConfig,
    KafkaSinkConfig,
    NatsSinkConfig,
    RedisSinkConfig,
    SinkConfig,
    WebhookSinkConfig,
)
from xclip_stream.config.parts import TlsConfig
from xclip_stream.protocols import Sink
from xclip_stream.queues.redis_client import open_client
from xclip_stream.sinks.console import ConsoleSink
from xclip_stream.sinks.exec import ExecSink
from xclip_stream.sinks.jsonl import JsonlSink
from xclip_stream.sinks.redis_stream import RedisStreamSink
from xclip_stream.sinks.tls import TlsFiles
from xclip_stream.sinks.webhook import WebhookSink

LEASE_S = 5.0
"""How long a sink waits when its worker was killed, unless its deliveries may take long."""
REDIS_TIMEOUT_S = 3.0


def build_sink(sink: SinkConfig, *, redis_url: str, console: TextIO) -> Sink:  # noqa: PLR0911 - one for each type
    """Return the sink that a configuration describes; nothing is opened yet."""
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
        case KafkaSinkConfig():
            return _kafka_sink(sink)
        case NatsSinkConfig():
            return _nats_sink(sink)


def lease_s(sink: SinkConfig) -> float:
    """Return how long the sink's lease lasts: longer than its longest delivery, or another worker would take over."""
    match sink:
        case WebhookSinkConfig() | NatsSinkConfig() | ExecSinkConfig():
            return max(LEASE_S, 1.5 * sink.timeout_s)
        case KafkaSinkConfig():
            return max(LEASE_S, 1.5 * (sink.timeout_s + 2))  # the library is given a little longer to report
        case RedisSinkConfig():
            return max(LEASE_S, 1.5 * 2 * REDIS_TIMEOUT_S)  # it connects, and it sends
    return LEASE_S


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


def _tls_files(tls: TlsConfig) -> TlsFiles:
    return TlsFiles(ca_file=tls.ca_file, cert_file=tls.cert_file, key_file=tls.key_file)
