"""Ends what is open of a source that is not read any more, so that nothing waits for it."""

from xclip_stream.errors import StaleOwner
from xclip_stream.protocols import IngestQueue
from xclip_stream.types import ScoreStatus, WindowId


def close_source(queue: IngestQueue, source_id: str, *, live: bool, token: int, now: float) -> None:
    """Close the epoch of a source, if it is open.

    An epoch of its own takes its place, and has ended too: a file that comes back is then read from its start, where
    it could not be resumed behind its end.
    """
    if queue.epoch_ended(source_id):
        return
    epoch = f"removed-{token}"
    end = WindowId(source_id, epoch, 0)
    try:
        queue.begin_epoch(source_id, epoch, live=live, token=token)
        queue.add_tombstone(
            end, status=ScoreStatus.SOURCE_ENDED, live=live, pts_s=0.0, captured_at=now if live else 0.0, token=token
        )
    except StaleOwner:
        return  # somebody reads it again
