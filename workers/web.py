"""The web worker: the dashboard, its API and the event streams, over the queue and the configuration."""

import os
import socket
import sys
import threading
from collections.abc import Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import structlog
from prometheus_client import CollectorRegistry

from workers.alert import build_rulebook
from workers.evidence_places import open_reader
from workers.main import LISTEN_VARIABLE, WORKERS_VARIABLE, Role, worker_main
from xclip_stream.config import Config, ConfigWatch, WebConfig, effective_yaml, read_config, split_address
from xclip_stream.errors import ConfigError, XclipStreamError
from xclip_stream.logs import hidden
from xclip_stream.metrics import Expected, QueueCollector, WorkersCollector, expose
from xclip_stream.pipeline.attention import look
from xclip_stream.pipeline.status_json import plain_view
from xclip_stream.pipeline.vitals import Pulse, Vitals
from xclip_stream.protocols import EvidenceReader
from xclip_stream.queues.redis import RedisQueue, open_queue
from xclip_stream.tracing import Tracing
from xclip_stream.web.address import address_of, address_url, bound
from xclip_stream.web.app import build_app
from xclip_stream.web.ask_workers import SUPERVISOR, ask_workers
from xclip_stream.web.event_feed import EventFeed
from xclip_stream.web.server import serving
from xclip_stream.web.services import Services
from xclip_stream.web.site import COPY_NAME, ShownSource, Site

SILENCE_S = 60.0
LOOK_EVERY_S = 0.5
LEAVE_S = 2.0


def run(
    config: Config,
    *,
    stop: threading.Event,
    redis_url: str,
    watch: ConfigWatch,
    vitals: Vitals,
    registry: CollectorRegistry | None = None,  # noqa: ARG001 - its loops have nothing to count
    tracing: Tracing | None = None,  # noqa: ARG001 - no window passes through it
) -> None:
    """Serve until `stop` is set.

    Raises:
        ConfigError: the address is in use, or may not be served without a token.
    """
    host, port = place_of(config.web)
    queue = open_queue(redis_url, namespace=config.redis.namespace, max_bytes=config.queue.max_bytes)
    with closing(queue), bound(host, port) as listener:
        serve(queue, listener, stop=stop, watch=watch, vitals=vitals)


def serve(
    queue: RedisQueue, listener: socket.socket, *, stop: threading.Event, watch: ConfigWatch, vitals: Vitals
) -> None:
    """Serve at a socket until `stop` is set.

    Raises:
        XclipStreamError: the server has ended by itself.
    """
    log, web = structlog.get_logger(), watch.config.web
    feed, shown = EventFeed(queue, log=log), ShownConfig(watch, log=log)
    services = Services(
        queue=queue,
        feed=feed,
        look=lambda: look_at(queue, watch),
        metrics=partial(expose, shown_metrics(queue, watch)),
        site=lambda: shown.site,
        read_copy=shown.read_copy,
        redact=hidden,
        bucket=lambda: shown.bucket,
    )
    token = None if web.token is None else web.token.get_secret_value()
    app = build_app(services, token=token, hosts=(*web.hosts, socket.gethostname().lower()))
    follower = threading.Thread(target=feed.run, args=(stop,), name="events", daemon=True)
    follower.start()
    with serving(app, listener) as server, vitals.pulse("web", within_s=SILENCE_S) as pulse:
        log.info("web_served", url=address_url(address_of(listener)))
        attend(server, shown, feed, stop=stop, pulse=pulse)
    follower.join(LEAVE_S)
    if not stop.is_set():
        raise XclipStreamError("the server of the dashboard has ended")


def place_of(web: WebConfig) -> tuple[str, int]:
    """Return the host and port to serve on.

    Raises:
        ConfigError: it may not be served there, or the environment names no address.
    """
    address = os.environ.get(LISTEN_VARIABLE) or web.listen
    try:
        refusal = web.refusal(address)
        host, port = split_address(address)
    except ValueError as error:
        raise ConfigError(f"cannot serve the dashboard on {address!r}: {error}") from None
    if refusal:
        raise ConfigError(refusal)
    return host, port


def attend(
    server: threading.Thread, shown: "ShownConfig", feed: EventFeed, *, stop: threading.Event, pulse: Pulse
) -> None:
    """Follow the configuration while the server serves, and tell how that goes."""
    while not stop.is_set() and server.is_alive():
        shown.follow()
        if feed.problem is None:
            pulse.ready()
        else:
            pulse.unready(feed.problem)
        stop.wait(LOOK_EVERY_S)


def look_at(queue: RedisQueue, watch: ConfigWatch) -> Mapping[str, Any]:
    """Return one look at the system, as `xclip-stream status --json` prints it, and what is amiss with the file."""
    view = plain_view(look(queue, source_ids=watch.config.source_ids, sink_ids=watch.config.sink_ids))
    if watch.complaint is None:
        return view
    return view | {"ok": False, "attention": [watch.complaint, *view["attention"]]}


def shown_metrics(queue: RedisQueue, watch: ConfigWatch) -> CollectorRegistry:
    """Return what `/metrics` shows: what Redis knows and, of a run, what its workers count."""

    def expected() -> Expected:
        return Expected(watch.config.source_ids, watch.config.sink_ids)

    registry = CollectorRegistry()
    if folder := os.environ.get(WORKERS_VARIABLE):
        registry.register(WorkersCollector(partial(ask_workers, Path(folder), [*Role, SUPERVISOR])))
    registry.register(QueueCollector(queue, expected=expected))
    return registry


class ShownConfig:
    """The configuration in force, as the dashboard shows it."""

    def __init__(self, watch: ConfigWatch, *, log: Any) -> None:
        self._watch = watch
        self._log = log
        self._evidence = watch.config.evidence
        self.site = build_site(watch.config)
        self.bucket = self._open_bucket()

    def follow(self) -> None:
        changed = self._watch.poll()
        if changed is None:
            return
        if changed.evidence != self._evidence:
            self._evidence = changed.evidence
            self.bucket = self._open_bucket()
        self.site = build_site(changed)

    def read_copy(self, text: str) -> Site:
        """Read an edited copy; what it refers to is not looked up, since its author may not be allowed to know it.

        Raises:
            ConfigError: it is wrong.
        """
        return build_site(read_config(text, name=COPY_NAME, folder=self._watch.folder, blind=True))

    def _open_bucket(self) -> EvidenceReader | None:
        """Open the bucket of the evidence; a dashboard that cannot shows everything else."""
        try:
            return open_reader(self._evidence)
        except ConfigError as error:
            self._log.warning("evidence_not_shown", error=str(error))
            return None


def build_site(config: Config) -> Site:
    """Return what the dashboard shows of a configuration."""
    rulebook, evidence = build_rulebook(config), config.evidence
    return Site(
        config_hash=config.config_hash,
        yaml=effective_yaml(config, hide=hidden),
        sources=tuple(ShownSource(id=source.id, live=source.live, url=source.shown_url) for source in config.sources),
        rules=tuple(rulebook.rules),
        sinks={sink.id: sink.type for sink in config.sinks},
        gap_s=rulebook.gap_s,
        history_hours=config.history.hours,
        evidence_url="" if evidence is None else evidence.shown_url,
        evidence_dir=None if evidence is None or evidence.url is not None else evidence.dir,
    )


def main() -> int:
    return worker_main("web", run)


if __name__ == "__main__":
    sys.exit(main())
