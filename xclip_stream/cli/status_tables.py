"""The tables of `xclip-stream status`."""

from rich.console import Group, RenderableType
from rich.text import Text

from xclip_stream.cli.fitting_table import FittingTable
from xclip_stream.cli.status_lines import score_text, state_text
from xclip_stream.pipeline.attention import SystemView, concerns
from xclip_stream.pipeline.status_json import dropped
from xclip_stream.protocols import SourceStatus

NOTHING = "–"


def tables(view: SystemView) -> RenderableType:
    """Return one look at a system: what needs attention, then sources, queues and workers."""
    lines = [Text(f"! {line}", style="red") for line in concerns(view)] or [Text("all is well", style="green")]
    return Group(*lines, _sources(view), _queues(view), _workers(view))


def age_text(seconds: float | None) -> str:
    """Return an age in the unit that suits it."""
    if seconds is None:
        return NOTHING
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"


def _sources(view: SystemView) -> FittingTable:
    table = FittingTable(
        *("source", "state", "report", "fps", "lag", "decoded", "windows", "unchanged", "dropped", "expired", "failed"),
        *("last score", "open", "events", "error"),
        title="Sources",
    )
    for status in view.sources.values():
        table.add_row(status.source_id, *_source_cells(view, status))
    for name in view.source_ids or ():
        if name not in view.sources:
            table.add_row(name, Text("unknown", style="red"))
    return table


def _source_cells(view: SystemView, status: SourceStatus) -> list[RenderableType]:
    rule = view.rules.get(status.source_id)
    is_removed = view.source_ids is not None and status.source_id not in view.source_ids
    state = Text("not configured", style="dim") if is_removed else state_text(status)
    counts = (dropped(status, rule), rule.expired, rule.failed) if rule else (status.dropped, 0, 0)
    return [
        state,
        Text(age_text(view.report_age_s(status)), style="red" if view.is_silent(status) else ""),
        Text(f"{status.fps:.1f}"),
        Text(f"{status.lag_s:.1f} s" if status.live else NOTHING),
        Text(_decoded(status)),
        Text(f"{status.windows}{_thinned(status)}", style="yellow" if status.window_step > 1 else ""),
        Text(str(status.unchanged) if status.live else NOTHING),
        *(Text(str(count), style="yellow" if count else "") for count in counts),
        Text(score_text(rule) or NOTHING),
        Text(str(rule.open_events if rule else 0)),
        Text(str(rule.events if rule else 0)),
        Text(status.error),
    ]


def _decoded(status: SourceStatus) -> str:
    return NOTHING if status.idle is None else f"{status.decoded_share:.0%}, {status.idle.replace('_', ' ')}"


def _thinned(status: SourceStatus) -> str:
    return f", one in {status.window_step}" if status.window_step > 1 else ""


def _queues(view: SystemView) -> FittingTable:
    queue = view.queue
    table = FittingTable("what", "waiting", "held", "oldest", "cap", title="Queues")
    room = f"{queue.window_bytes / (1 << 20):.1f} of {queue.max_bytes / (1 << 20):.0f} MiB"
    for name, found in (("windows of cameras", queue.live), ("windows of files", queue.files)):
        table.add_row(name, str(found.waiting), str(found.held), age_text(found.oldest_s), room)
    for name, waiting, cap in (
        ("scores", queue.scores, str(queue.max_scores)),
        *((f"outbox of {name}", outbox, NOTHING) for name, outbox in sorted(queue.outboxes.items())),
        ("dead letters", queue.dead, NOTHING),
    ):
        table.add_row(Text(name), str(waiting.count), NOTHING, age_text(waiting.oldest_s), cap)
    return table


def _workers(view: SystemView) -> FittingTable:
    queue = view.queue
    table = FittingTable("role", "worker", "what is known", title="Workers")
    for name in sorted(queue.ingest_workers):
        read = [lease.role for lease in queue.leases.values() if lease.holder == name and _is_source(lease.role)]
        # What tells it from all others anywhere stands behind the @.
        table.add_row(
            "ingest", Text(name.partition("@")[0]), f"reads {len(read)} source{'' if len(read) == 1 else 's'}"
        )
    for worker in queue.score_workers:
        seen = f"last took a window {age_text(worker.seen_s)} ago"
        held = f"; has {worker.held}, silent on one for {age_text(worker.quiet_s)}" if worker.held else ""
        again = f", delivered {worker.deliveries} times" if worker.deliveries > 1 else ""
        table.add_row("score", Text(worker.name), seen + held + again)
    for role, lease in sorted(queue.leases.items()):
        if not _is_source(role):
            table.add_row(Text(role), Text(lease.holder), f"its lease ends in {age_text(lease.left_s)}")
    if "alert" not in queue.leases:
        table.add_row("alert", Text("nobody", style="yellow"))
    return table


def _is_source(role: str) -> bool:
    return role.startswith("source:")
