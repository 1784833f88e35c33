"""Runs a whole configuration on this machine: a Redis, the four workers under supervision, the display, the end."""

import os
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.text import Text
from structlog.typing import FilteringBoundLogger

from workers.main import HEALTH_VARIABLE, REDIS_URL_VARIABLE, check_windows
from xclip_stream import __version__
from xclip_stream.cli.before_start import bring_checkpoint, check_files
from xclip_stream.cli.connection import NamedRedis, OwnRedis, redis_of_run
from xclip_stream.cli.display import Display, choose_display
from xclip_stream.cli.fitting_table import FittingTable
from xclip_stream.cli.run_dashboard import RunDashboard, choose_address
from xclip_stream.cli.run_folder import run_folder
from xclip_stream.cli.run_workers import worker_specs
from xclip_stream.config import Config, ConfigWatch, literal
from xclip_stream.exits import DONE, FAILED, INTERRUPTED, MISCONFIGURED, print_error
from xclip_stream.logs import STYLE_VARIABLE, set_up_logging
from xclip_stream.metrics import SupervisionCollector, expose, process_registry
from xclip_stream.pipeline.lifecycle import StopFlag, SystemClock, stop_on_signals
from xclip_stream.pipeline.progress import Progress, Scope, Snapshot
from xclip_stream.pipeline.supervisor import Outcome, Supervisor, Verdict
from xclip_stream.protocols import Overview, QueueDepths, SourceState, SourceStatus
from xclip_stream.queues.redis import open_queue
from xclip_stream.redaction import redact_text
from xclip_stream.web.address import address_url
from xclip_stream.web.ask_workers import SUPERVISOR
from xclip_stream.web.health import HealthServer

LOOK_EVERY_S = 0.5
REVIVE_AFTER_S = 5.0
"""How long the embedded Redis may be silent before it is started again."""


def run_config(
    config: Config,
    config_path: Path,
    *,
    again: bool,
    log_level: str,
    drain_timeout_s: float,
    patience_s: float | None = None,
    web: bool = False,
) -> int:
    """Run everything until the files are done or a signal comes; return the exit code.

    Args:
        web: whether the dashboard is served too.
        patience_s: how long to wait for the first frame of any camera; None waits for ever.

    Raises:
        XclipStreamError: it cannot begin: no file can be read, or the checkpoint or a Redis cannot be had.
    """
    log = set_up_logging(worker="run", level=log_level, secrets=config.secret_values())
    check_files(config)
    bring_checkpoint(config)
    stop = StopFlag()
    with redis_of_run(config, config_path) as redis, open_queue(redis.url, namespace=config.redis.namespace) as queue:
        queue.ping()
        rewind_files(config, queue, again=again)
        with run_folder() as folder:
            shown = RunDashboard(choose_address(config.web), folder) if web else None
            if shown is not None:
                sys.stderr.write(f"dashboard: {address_url(shown.listen)}\n")
            run = Run(
                config,
                config_path,
                folder=folder,
                queue=queue,
                redis=redis,
                stop=stop,
                log=log,
                log_level=log_level,
                shown=shown,
            )
            return run.go(drain_timeout_s=drain_timeout_s, patience_s=patience_s)


def rewind_files(config: Config, overview: Overview, *, again: bool) -> None:
    """Let files that were finished before play again, and say which go on where they were left."""
    known = overview.source_statuses()
    for source in config.sources:
        if source.live:
            continue
        if again or overview.epoch_ended(source.id):
            overview.forget_source(source.id)
        elif source.id in known:
            sys.stderr.write(f"{source.id}: goes on after {known[source.id].windows} windows (--again starts anew)\n")


class Run:
    """One run, from the first worker to the last line."""

    def __init__(
        self,
        config: Config,
        config_path: Path,
        *,
        folder: Path,
        queue: Overview,
        redis: OwnRedis | NamedRedis,
        stop: threading.Event,
        log: FilteringBoundLogger,
        log_level: str,
        shown: RunDashboard | None,
    ) -> None:
        self._watch = ConfigWatch(config_path, config, check=check_windows)
        self._specs = worker_specs(
            config_path,
            folder=folder,
            log_level=log_level,
            scored=lambda: self._progress.scored,
            shown=shown,
        )
        # They cannot all serve their health on one address.
        own = {REDIS_URL_VARIABLE: literal(redis.url), STYLE_VARIABLE: "json", HEALTH_VARIABLE: ""}
        self._environ = {**os.environ, **own, **(shown.environ if shown else {})}
        self._config_path = config_path
        self._redis = redis
        self._shown = shown
        self._stop = stop
        self._log = log
        self._looked_at = 0.0
        self._gave_up = False
        self._reached_at = time.monotonic()
        self._progress = Progress(overview=queue, scope=_scope(config), started_at=time.time())
        self._dead_before = queue.depths([]).dead

    def go(self, *, drain_timeout_s: float, patience_s: float | None) -> int:
        """Run, show, sum up; return the exit code."""
        give_up_at = None if patience_s is None else time.monotonic() + patience_s
        display, output = choose_display(self._watch.config.sources, stop=self._stop)
        supervisor = Supervisor(
            workers=self._specs,
            environ=self._environ,
            depths=self._depths,
            is_finished=lambda: self._look(display) or self._is_hopeless(give_up_at),
            clock=SystemClock(self._stop),
            stop=self._stop,
            log=self._log,
            on_log=display.log_line,
            on_output=display.output_line,
            drain_timeout_s=drain_timeout_s,
        )
        with stop_on_signals(self._stop, force=supervisor.force), self._serving(supervisor), display:
            outcome = supervisor.run()
        snapshot = self._progress.look() or self._progress.last
        if snapshot is not None:
            self._sum_up(snapshot)
        return INTERRUPTED if output.closed else self._judge(outcome, snapshot)

    def _serving(self, supervisor: Supervisor) -> AbstractContextManager[object]:
        """Let the dashboard ask for what the supervisor counts, where there is one."""
        if self._shown is None:
            return nullcontext()
        registry = process_registry("run", version=__version__, is_ready=lambda: True)
        registry.register(SupervisionCollector(supervisor.lives))
        address = self._shown.health_of(SUPERVISOR)
        return HealthServer(address, alive=lambda: None, ready=lambda: None, metrics=partial(expose, registry))

    def _look(self, display: Display) -> bool:
        """Look at the run, not too often but for the last time; return whether it is done."""
        if time.monotonic() - self._looked_at < LOOK_EVERY_S and not self._progress.seems_done:
            return False
        self._looked_at = time.monotonic()
        if (changed := self._watch.poll()) is not None:
            self._progress.follow(_scope(changed))
            display.follow(changed.sources)
        snapshot = self._progress.look()
        if snapshot is not None:
            self._reached_at = time.monotonic()
            display.update(snapshot)
        elif time.monotonic() - self._reached_at > REVIVE_AFTER_S:
            self._log.warning("redis_unreachable", for_s=REVIVE_AFTER_S)
            self._redis.revive()
            self._reached_at = time.monotonic()
        return self._progress.is_done(snapshot)

    def _is_hopeless(self, give_up_at: float | None) -> bool:
        """True when it is time to give up, and no camera has given a frame."""
        snapshot = self._progress.last
        if give_up_at is None or snapshot is None or time.monotonic() < give_up_at:
            return False
        self._gave_up = snapshot.silent >= set(self._watch.config.source_ids)
        return self._gave_up

    def _depths(self) -> QueueDepths | None:
        snapshot = self._progress.look()
        return None if snapshot is None else snapshot.depths

    def _sum_up(self, snapshot: Snapshot) -> None:
        if sys.stderr.isatty():
            Console(stderr=True).print(summary_table(self._watch.config.source_ids, snapshot))
            return
        for name, status in snapshot.sources.items():
            rule = snapshot.rules.get(name)
            self._log.info(
                "source_summary",
                source=name,
                windows=rule.windows if rule else 0,
                dropped=status.dropped,
                events=rule.events if rule else 0,
                state=_state_at_end(status),
            )

    def _judge(self, outcome: Outcome, snapshot: Snapshot | None) -> int:
        """Say what went wrong and return the exit code."""
        match outcome.verdict:
            case Verdict.FORCED:
                return INTERRUPTED
            case Verdict.MISCONFIGURED:
                print_error(redact_text(outcome.reason))
                return MISCONFIGURED
            case Verdict.GIVEN_UP:
                print_error(redact_text(outcome.reason))
                return FAILED
        looking = f"xclip-stream dead-letters list --config {self._config_path}"
        complaints = (
            [] if snapshot is None else _complaints(snapshot, self._dead_before, looking, gave_up=self._gave_up)
        )
        for complaint in complaints:
            print_error(redact_text(complaint))
        return FAILED if complaints else DONE


def summary_table(source_ids: Sequence[str], snapshot: Snapshot) -> FittingTable:
    """Return the table at the end of a run."""
    table = FittingTable("source", "windows", "dropped", "events", "state")
    for name in source_ids:
        status, rule = snapshot.sources.get(name), snapshot.rules.get(name)
        windows, events = (rule.windows, rule.events) if rule else (0, 0)
        dropped = (status.dropped if status else 0) + (rule.expired if rule else 0)
        state = _state_at_end(status) if status else "never started"
        table.add_row(*(Text(str(cell)) for cell in (name, windows, dropped, events, state)))
    return table


def _state_at_end(status: SourceStatus) -> str:
    """Return what to call the state of a source when the run is over, which its last word may not know."""
    return "stopped" if status.state is SourceState.RUNNING else str(status.state)


def _scope(config: Config) -> Scope:
    return Scope(
        source_ids=frozenset(config.source_ids),
        file_ids=frozenset(source.id for source in config.sources if not source.live),
        sink_ids=config.sink_ids,
    )


def _complaints(snapshot: Snapshot, dead_before: int, looking: str, *, gave_up: bool) -> list[str]:
    errors = {name: status.error for name, status in snapshot.sources.items() if status.error}
    # A run that was ended early may have a camera that is still connecting: that is no mistake.
    unread = [name for name in sorted(snapshot.failed | snapshot.silent) if gave_up or name in errors]
    failed = [f"source {name}: {errors.get(name, 'not a single frame came')}" for name in unread]
    dead = snapshot.depths.dead - dead_before
    letters = f"{dead} dead letter{'s' if dead > 1 else ''}: look with `{looking}`"
    return [*failed, letters] if dead > 0 else failed
