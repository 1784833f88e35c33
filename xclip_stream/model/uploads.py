"""Brings clips to a device while it computes, through pinned memory that is kept."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

LANES = 2
"""While the clips of one are computed, the other is filled."""


@dataclass(frozen=True, slots=True)
class Lane:
    """A buffer on the host, one on the device, and how far the device is with them."""

    host: Tensor
    device: Tensor
    sent: Any
    """An event: `host` is copied, and may be filled again."""
    read: Any
    """An event: `device` is done with, and may be written again."""

    @property
    def room(self) -> int:
        """How many clips it takes."""
        return len(self.host)


class Uploads:
    """Copies clips on a stream of its own, so that the copy of the next ones runs while the last ones are computed.

    Two waits make that safe: the host fills a buffer again only when its copy is over, and the copy writes on the
    device only when what was computed from the buffer is done. Since both come round in turn, the host is never more
    than two calls ahead of the device.

    For one thread, with the device as its current one.

    Args:
        clip_shape: (T, S, S, 3) of bytes.
        api: torch's functions for the device; None takes those of its kind. On a CPU they do nothing.
    """

    def __init__(self, device: torch.device, clip_shape: tuple[int, ...], *, api: Any = None) -> None:
        self._device = device
        self._clip_shape = clip_shape
        self._api: Any = api or torch.get_device_module(device)
        self._stream: Any = None
        self._lanes: list[Lane] = []
        self._turn = -1

    @contextmanager
    def sent(self, clips: NDArray[np.uint8]) -> Iterator[Tensor]:
        """Give clips (n, T, S, S, 3) on the device, to whatever is put on its current stream inside the context.

        The tensor is written again by a later call: nothing may use it afterwards.
        """
        count, lane = len(clips), self._next_lane(len(clips))
        lane.sent.synchronize()
        np.copyto(lane.host[:count].numpy(), clips)
        now = self._api.current_stream(self._device)
        with self._api.stream(self._stream):
            self._stream.wait_event(lane.read)
            lane.device[:count].copy_(lane.host[:count], non_blocking=True)
            lane.sent.record(self._stream)
        now.wait_event(lane.sent)
        try:
            yield lane.device[:count]
        finally:
            lane.read.record(now)

    def release(self) -> None:
        """Let go of all buffers. The device has to be idle."""
        self._lanes.clear()
        self._turn = -1

    def _next_lane(self, count: int) -> Lane:
        """Return the lane whose turn it is, with room for so many clips."""
        if self._stream is None:
            self._stream = self._api.Stream()
        turn = (self._turn + 1) % LANES
        if turn == len(self._lanes):
            self._lanes.append(self._new_lane(count))
        lane = self._lanes[turn]
        if lane.room < count:
            # Its own copy is waited for, since the host's memory goes. That on the device goes to the current stream,
            # on which its last reader is: whatever gets it there comes later.
            lane.sent.synchronize()
            self._lanes[turn] = lane = self._new_lane(count)
        self._turn = turn
        return lane

    def _new_lane(self, count: int) -> Lane:
        shape = (count, *self._clip_shape)
        host = torch.empty(shape, dtype=torch.uint8, pin_memory=self._device.type == "cuda")
        device = torch.empty(shape, dtype=torch.uint8, device=self._device)
        lane = Lane(host, device, sent=self._api.Event(), read=self._api.Event())
        # The memory on the device may be some that the current stream has let go of but not yet done with.
        lane.read.record(self._api.current_stream(self._device))
        return lane
