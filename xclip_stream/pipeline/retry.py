"""When a message that a sink did not take is tried again."""

from dataclasses import dataclass

from xclip_stream.errors import DeliveryError, DeliveryRejected
from xclip_stream.types import Message


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """When a message that a sink did not take is tried again, and when it is given up.

    The delay before a next attempt doubles from `first_delay_s` to `max_delay_s`, each time a random part of the step,
    or is what the sink asked for where that is longer; a sink that says that it is gone is left alone for `max_delay_s`
    each time. A message is given up after `max_attempts`, or at the first failure after `max_age_s` since it was
    committed.
    """

    first_delay_s: float = 1.0
    max_delay_s: float = 300.0
    max_attempts: int = 1000
    max_age_s: float = 86_400.0

    def reason_to_give_up(self, message: Message, failure: DeliveryError, *, attempts: int, now: float) -> str | None:
        """Return why a message that failed is not tried again; None when it is."""
        age_s = now - message.committed_at
        if isinstance(failure, DeliveryRejected):
            return str(failure)
        if attempts >= self.max_attempts:
            return f"given up after {attempts} attempt{'s' if attempts > 1 else ''}: {failure}"
        if age_s > self.max_age_s:
            return f"given up {age_s:.0f} s after the event: {failure}"
        return None
