"""What the rules remember of a source: a value that is stored with every commit and read again after a restart."""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import TypeAdapter, ValidationError

from xclip_stream.basis import Basis
from xclip_stream.errors import DecodeError
from xclip_stream.ordering import START, Position
from xclip_stream.types import WindowRef
from xclip_stream.weighing import Weight

STATE_VERSION = 1


@dataclass(frozen=True, slots=True)
class Holding:
    """A rule that holds in one region: pending while `revision` is 0, then an open event with so many phases told.

    It has all that is needed to end the event, even when its rule is no longer there.
    """

    event_id: str
    rule_id: str
    region: str
    fingerprint: str
    severity: str
    labels: Mapping[str, str]
    sinks: tuple[str, ...]
    threshold: float
    model_name: str
    model_sha256: str
    first: WindowRef
    """The first window that held the rule."""
    held_at: float
    """Event time of the last window that did."""
    seen: WindowRef
    """The last window that was scored."""
    score: float
    peak: Weight
    """Of the window with the highest score so far."""
    peak_at: float | None = None
    """Event time of the middle of that window; None in a state that an older version wrote."""
    told_peak: float = 0.0
    revision: int = 0

    @property
    def key(self) -> tuple[str, str]:
        """What there is at most one holding of."""
        return self.rule_id, self.region

    @property
    def is_open(self) -> bool:
        """True when the event has started."""
        return self.revision > 0


@dataclass(frozen=True, slots=True)
class Rest:
    """A rule that had an event in one region, which ended at event time `since`."""

    rule_id: str
    region: str
    since: float

    @property
    def key(self) -> tuple[str, str]:
        """What there is at most one rest of."""
        return self.rule_id, self.region


@dataclass(frozen=True, slots=True)
class Counts:
    """What has passed the rules in the current epoch."""

    windows: int = 0
    """Windows of any outcome, `dropped`, `expired` and `failed` among them."""
    dropped: int = 0
    expired: int = 0
    failed: int = 0
    lost: int = 0
    """Of a live source: given up because nothing came for their `seq`, or for the one whose scores would be theirs."""
    events: int = 0
    """Events that were started."""
    unchanged: int = 0
    """Of a camera: judged by the scores of an earlier window, because nothing had changed."""


@dataclass(frozen=True, slots=True)
class RuleState:
    """All that the rules remember of one source."""

    source_id: str
    position: Position = START
    position_s: float = 0.0
    """Media time of the last window, seconds."""
    holdings: tuple[Holding, ...] = ()
    rests: tuple[Rest, ...] = ()
    counts: Counts = Counts()
    notices: int = 0
    """How many notices this source has given, ever."""
    basis: Basis | None = None
    """Of a camera: the scores that stand for windows that show the same as the last one that was scored."""
    version: int = STATE_VERSION

    @property
    def open_events(self) -> int:
        """How many events have started and not ended."""
        return sum(holding.is_open for holding in self.holdings)

    def encode(self) -> bytes:
        """Return the state as JSON."""
        return _STATE.dump_json(self)

    @classmethod
    def decode(cls, body: bytes) -> "RuleState":
        """Read what `encode` wrote.

        Raises:
            DecodeError: it is not a state that this version understands.
        """
        try:
            state = _STATE.validate_json(body)
        except ValidationError as error:
            raise DecodeError(f"the stored rule state cannot be read: {error.errors()[0]['msg']}") from error
        if state.version != STATE_VERSION:
            raise DecodeError(f"the stored rule state has version {state.version}, this is {STATE_VERSION}")
        return state


def newly_lost(before: RuleState, after: RuleState) -> int:
    """Return how many windows were given up as lost between two states of a source, but for those of an epoch that
    both began and ended between them."""
    same_epoch = before.position.generation == after.position.generation
    return after.counts.lost - (before.counts.lost if same_epoch else 0)


_STATE = TypeAdapter(RuleState)
