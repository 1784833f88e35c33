"""What tests put into a queue, and how they read it."""

import numpy as np

from xclip_stream.protocols import TakenWindow
from xclip_stream.queues.memory import MemoryQueue
from xclip_stream.queues.redis import RedisQueue
from xclip_stream.types import Message, Scores, ScoreStatus, Window, WindowId

Queue = MemoryQueue | RedisQueue
PIXELS = np.arange(2 * 4 * 8 * 8 * 3, dtype=np.uint8).reshape(2, 4, 8, 8, 3)


def window(seq: int = 0, *, source: str = "yard", epoch: str = "e1", live: bool = False) -> Window:
    return Window(
        id=WindowId(source, epoch, seq),
        live=live,
        first_pts_s=float(seq),
        last_pts_s=seq + 3.5,
        captured_at=1_000_000.25 + seq,
        produced_at=1_000_001.125 + seq,
        frame_ids=(seq, seq + 1, seq + 2, seq + 3),
        regions=("", "gate"),
        frames=PIXELS,
    )


def scores_of(taken: TakenWindow, *, status: ScoreStatus = ScoreStatus.SCORED) -> Scores:
    return Scores(
        id=taken.window.id,
        generation=taken.generation,
        status=status,
        live=taken.window.live,
        first_pts_s=taken.window.first_pts_s,
        last_pts_s=taken.window.last_pts_s,
        captured_at=taken.window.captured_at,
        produced_at=taken.window.produced_at,
        scored_at=taken.window.produced_at + 0.1,
        regions=taken.window.regions,
        prompts=("falling", "walking"),
        logits=np.array([[1.5, -2.0], [0.25, 3.0]], np.float32),
        model_name="model",
        model_sha256="abc",
    )


def message(name: str = "m1", *, source: str = "yard") -> Message:
    return Message(message_id=name, source_id=source, body=f'{{"id":"{name}"}}'.encode(), committed_at=5.0)


def fill(queue: Queue, count: int, *, source: str = "yard", epoch: str = "e1", live: bool = False) -> None:
    """Add windows 0 to `count` of an epoch."""
    for seq in range(queue.begin_epoch(source, epoch, live=live), count):
        queue.add_window(window(seq, source=source, epoch=epoch, live=live))


def take(queue: Queue, max_count: int = 100) -> list[TakenWindow]:
    return queue.take_windows(max_count=max_count, block_s=0)


def alert_token(queue: Queue) -> int:
    token = queue.acquire_alert(ttl_s=60)
    assert token is not None
    return token


def waiting_scores(queue: Queue) -> list[Scores]:
    """Read all scores as a new alert worker would, and step down again."""
    token = alert_token(queue)
    found = [taken.scores for taken in queue.take_scores(token, max_count=1000, block_s=0)]
    queue.release_alert(token)
    return found
