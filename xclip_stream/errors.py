"""One root of errors, each named for its cause.

A driver's own errors (PyAV, redis-py, httpx) are translated into these at the seam that owns the driver and nowhere
else. The message of each is one line that a user can act on: it names the file, key, camera or sink, and never
carries a secret.
"""


class XclipStreamError(Exception):
    """Anything that this package raises on purpose; `str(error)` is one line for the user."""


class ConfigError(XclipStreamError):
    """The configuration is wrong; carries every problem found, one a line, as `file:line:column: what and why`."""


class CheckpointError(XclipStreamError):
    """A model checkpoint is missing, unreadable, unsafe or of the wrong shape."""


class HubUnreachable(CheckpointError):
    """The hub cannot be asked now, and the cache does not have the checkpoint; trying again may help."""


class PromptError(XclipStreamError):
    """A prompt cannot be encoded, for example because it is longer than the model's context."""


class ScoringError(XclipStreamError):
    """The model could not score a window, or gave a value that is not finite."""


class ScorerOutOfMemory(ScoringError):
    """The batch does not fit into the memory of the device; a smaller one may."""


class ScorerBroken(XclipStreamError):
    """The device or model cannot score anything more in this process: only a new process can."""


class SourceError(XclipStreamError):
    """A source cannot be read."""


class SourceUnavailable(SourceError):
    """A source cannot be read now but may be later: host refused, silent, stream ended. Live sources retry these."""


class SourceRejected(SourceError):
    """A source cannot be read and trying again will not help: missing file, no video, wrong password."""


class NoSuchAddress(SourceRejected):
    """No source has such a URL: another scheme, no host, a port or an option that is none."""


class LoginRejected(SourceRejected):
    """A camera refuses the user or the password. Trying often can lock the account."""


class EvidenceError(XclipStreamError):
    """A picture or a clip of an event cannot be made or kept now; trying again may help."""


class FootageGone(EvidenceError):
    """There is no video of that time any more: no clip can ever be made of it."""


class NoSuchSpan(EvidenceError):
    """A part of a picture or a clip was asked for that lies behind its end."""


class QueueError(XclipStreamError):
    """The queue refused a step or holds something that it should not."""


class QueueUnavailable(QueueError):
    """The queue's server cannot be reached or refuses to write now; the step may be tried again."""


class StaleOwner(QueueError):
    """Another worker has taken this role over; what this one wanted to commit was not accepted."""


class DecodeError(XclipStreamError):
    """Bytes from the queue are not what this version of the package writes."""


class DeliveryError(XclipStreamError):
    """A sink did not take a message; trying again may help."""

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class SinkGone(DeliveryError):
    """A sink says that it is gone and will not come back: only rare attempts are in place, in case it does."""


class DeliveryRejected(DeliveryError):
    """A sink refused a message for good; trying again will not help."""
