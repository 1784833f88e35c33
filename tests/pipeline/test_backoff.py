"""How a reader waits for room, before a queue of eight windows that are scored one after the other."""

import random
from collections import deque

import pytest

from xclip_stream.pipeline.backoff import RoomWait

WINDOWS = 400
READ_S = 0.002


def read_into_a_full_queue(*, scored_in_s: float, room: RoomWait) -> tuple[float, float]:
    """Return the share of time in which nothing was scored, and how often each window was tried."""
    now_s = idle_s = free_at_s = 0.0
    tries = 0
    waiting: deque[float] = deque()
    for _ in range(WINDOWS):
        now_s += READ_S
        while True:
            tries += 1
            while waiting and waiting[0] <= now_s:
                waiting.popleft()
            if len(waiting) < 8:
                break
            now_s += room.next_delay_s()
        room.note_taken()
        idle_s += max(0.0, now_s - free_at_s)
        free_at_s = max(now_s, free_at_s) + scored_in_s
        waiting.append(free_at_s)
    return idle_s / free_at_s, tries / WINDOWS


@pytest.mark.parametrize("scored_in_s", [0.003, 0.008, 0.05, 0.3, 1.0])
def test_scorers_do_not_run_dry_and_few_windows_are_sent_for_nothing(scored_in_s: float) -> None:
    idle, tries = read_into_a_full_queue(scored_in_s=scored_in_s, room=RoomWait(draw=random.Random(7).random))

    assert idle < 0.02
    assert tries < 2.5


def test_no_wait_is_longer_than_the_longest() -> None:
    room = RoomWait(longest_s=1.0, draw=lambda: 1.0)

    assert max(room.next_delay_s() for _ in range(100)) == 1.0
