"""The right to deliver for a sink: one worker has it at a time."""

from xclip_stream.protocols import Clock, DeliveryQueue

_RENEWED_AFTER = 1 / 6
"""Of a lease one and a half times as long as the longest delivery, that leaves more than such a delivery takes."""


class SinkLease:
    """The right to deliver for a sink, renewed in time."""

    def __init__(self, *, queue: DeliveryQueue, sink_id: str, clock: Clock, ttl_s: float) -> None:
        self._queue = queue
        self._sink_id = sink_id
        self._clock = clock
        self._ttl_s = ttl_s
        self._token: int | None = None
        self._renewed_at = 0.0

    def acquire(self) -> bool:
        """Give back what this worker may still hold, and take the lease anew; False while another worker has it."""
        self.release()
        self._token = self._queue.acquire_sink(self._sink_id, ttl_s=self._ttl_s)
        self._renewed_at = self._clock.monotonic()
        return self._token is not None

    def renew(self) -> None:
        """Keep the lease; asks the queue only when a sixth of it has passed. Raises StaleOwner when it is lost."""
        now = self._clock.monotonic()
        if self._token is not None and now - self._renewed_at > self._ttl_s * _RENEWED_AFTER:
            self._queue.renew_sink(self._sink_id, self._token, ttl_s=self._ttl_s)
            self._renewed_at = now

    def release(self) -> None:
        if self._token is not None:
            self._queue.release_sink(self._sink_id, self._token)
            self._token = None
