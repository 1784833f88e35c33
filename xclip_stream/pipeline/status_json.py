"""The JSON object of `xclip-stream status` and of the dashboard. Its keys are kept: docs/operations.md tells them."""

from typing import Any

from xclip_stream.inspection import WindowsWaiting
from xclip_stream.pipeline.attention import SystemView, concerns
from xclip_stream.protocols import RuleStatus, SourceStatus


def plain_view(view: SystemView) -> dict[str, Any]:
    """Return one look at a system as JSON values; ages are in seconds, rounded to milliseconds."""
    queue, attention = view.queue, concerns(view)
    return {
        "at_unix_s": round(queue.at, 3),
        "ok": not attention,
        "attention": attention,
        "sources": [_source(view, status, view.rules.get(name)) for name, status in view.sources.items()],
        "queue": {
            "live_windows": _windows(queue.live),
            "file_windows": _windows(queue.files),
            "window_bytes": queue.window_bytes,
            "max_window_bytes": queue.max_bytes,
            "scores": {"count": queue.scores.count, "oldest_s": _rounded(queue.scores.oldest_s)},
            "max_scores": queue.max_scores,
            "dead_letters": {"count": queue.dead.count, "oldest_s": _rounded(queue.dead.oldest_s)},
            "events_retained": queue.events,
            "redis_memory_bytes": queue.memory_bytes,
            "redis_max_memory_bytes": queue.max_memory_bytes or None,
        },
        "outboxes": [
            {"sink": name, "count": outbox.count, "oldest_s": _rounded(outbox.oldest_s)}
            for name, outbox in sorted(queue.outboxes.items())
        ],
        "score_workers": [
            {
                "name": worker.name,
                "held": worker.held,
                "quiet_s": _rounded(worker.quiet_s),
                "deliveries": worker.deliveries,
                "seen_s": _rounded(worker.seen_s),
            }
            for worker in queue.score_workers
        ],
        "ingest_workers": sorted(queue.ingest_workers),
        "leases": [
            {"role": role, "holder": lease.holder, "left_s": _rounded(lease.left_s)}
            for role, lease in sorted(queue.leases.items())
        ],
    }


def _source(view: SystemView, status: SourceStatus, rule: RuleStatus | None) -> dict[str, Any]:
    reader = view.queue.leases.get(f"source:{status.source_id}")
    return {
        "id": status.source_id,
        "state": str(status.state),
        "live": status.live,
        "silent": view.is_silent(status),
        "configured": None if view.source_ids is None else status.source_id in view.source_ids,
        "reported_s": _rounded(view.report_age_s(status)),
        "worker": reader.holder if reader else None,
        "fps": status.fps,
        "lag_s": _rounded(status.lag_s),
        "position_s": _rounded(status.position_s),
        "duration_s": _rounded(status.duration_s),
        "windows": status.windows,
        "unchanged": status.unchanged,
        "window_step": status.window_step,
        "idle": status.idle,
        "decoded_share": status.decoded_share,
        "judged": rule.windows if rule else 0,
        "dropped": dropped(status, rule),
        "expired": rule.expired if rule else 0,
        "failed": rule.failed if rule else 0,
        "open_events": rule.open_events if rule else 0,
        "events": rule.events if rule else 0,
        "top_rule": (rule.top_rule if rule else "") or None,
        "top_score": round(rule.top_score, 4) if rule and rule.top_rule else None,
        "error": status.error,
        "evidence_made": status.evidence_made,
        "evidence_failed": status.evidence_failed,
    }


def dropped(status: SourceStatus, rule: RuleStatus | None) -> int:
    """Return how many windows were dropped before the queue, or lost in it.

    The reader counts what it has dropped in its own life, the rules what has passed them in this epoch.
    """
    return max(status.dropped, rule.dropped if rule else 0)


def _windows(found: WindowsWaiting) -> dict[str, Any]:
    return {"waiting": found.waiting, "held": found.held, "oldest_s": _rounded(found.oldest_s)}


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
