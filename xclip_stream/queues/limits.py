"""The numbers that both queues live by."""

from dataclasses import dataclass

DEFAULT_MAX_BYTES = 256 * 1024 * 1024
FILE_SHARE = 0.75
"""The part of the byte cap that files may fill, so that a camera finds room beside any number of files."""
FILES_FIRST_EVERY = 4
"""Cameras are served before files, but for one batch in so many: cameras in overload must not starve a file."""


RULEBOOKS_KEPT = 100
"""The rules of so many configurations are kept, so that an old event can be shown with the rule as it was."""


REQUESTS_KEPT = 1000
"""Requests for evidence of one source that nobody has settled; the oldest make room. Approximate on a server."""


def gone_with_it(deliveries: int) -> str:
    """Return the reason of a window that nobody came back to report on."""
    return f"not scored in {deliveries} deliveries: each worker that had it died or hung"


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueLimits:
    """What the queue holds, and when it thinks a consumer dead.

    Args:
        max_bytes: the pixels of all windows that wait or are being scored. None: a third of the server's `maxmemory`,
            else 256 MiB. One window is admitted to an empty queue whatever its size.
        file_windows: the windows that one file may have in the queue at a time.
        live_windows: the same for one camera, so that under overload its windows stay young.
        max_scores: scores that wait for the rules; above it no window of a file is admitted.
        claim_idle_s: a window that a consumer has held for longer is given to another.
        max_deliveries: how often a window is given to a consumer before it goes to the dead letters.
        events_retained: the length of the public event stream; approximate on a server.
        history_s: how long what the rules have judged is kept; 0 keeps none.
        history_entries: the windows of one source that are kept at most; approximate on a server.
        dead_letters: the number kept; the oldest make room.
        dead_bytes: the payload that the dead letters may hold. A letter above it is kept without payload. None: a
            quarter of `max_bytes`.
    """

    max_bytes: int | None = None
    file_windows: int = 8
    live_windows: int = 2
    max_scores: int = 10_000
    claim_idle_s: float = 30.0
    max_deliveries: int = 3
    events_retained: int = 100_000
    history_s: float = 21_600.0
    history_entries: int = 100_000
    dead_letters: int = 10_000
    dead_bytes: int | None = None
