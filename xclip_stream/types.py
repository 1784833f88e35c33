"""The values that flow through the pipeline: frames, windows, scores, events, deliveries.

Units stand in the names. `pts_s` is media time: seconds since the first frame of the source. `captured_at` is event
time: Unix seconds at which the camera saw the frame (for a file, its configured start time plus `pts_s`). Rules and
events know event time only; the wall clock appears in `*_at` fields that measure latency.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Logits = NDArray[np.float32]

TRACEPARENT = r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}"
"""What names a trace and the place in it: https://www.w3.org/TR/trace-context/#traceparent-header"""

_FIRST_MOMENT, _LAST_MOMENT = -62_104_060_800.0, 253_370_764_800.0  # the years 2 and 9999 begin

WHOLE_FRAME = ""
"""The name of the region that is the whole picture."""


def is_moment(at: float) -> bool:
    """Tell whether Unix seconds are a time that the calendar has in every time zone: of the years 2 to 9998."""
    return _FIRST_MOMENT <= at < _LAST_MOMENT


@dataclass(frozen=True, slots=True)
class Region:
    """A rectangle of the frame, in fractions of its width and height, scored as its own picture."""

    name: str
    x0: float = 0.0
    y0: float = 0.0
    x1: float = 1.0
    y1: float = 1.0


Box = tuple[float, float, float, float]
"""A rectangle of the frame without a name: x0, y0, x1, y1 in fractions of its width and height."""

HwAccel = Literal["cuda", "vaapi"]
"""What of a graphics processor decodes video: NVDEC, or what VA-API drives."""
IdleMode = Literal["off", "conservative", "aggressive"]
"""How boldly decoding and scoring are saved of a camera while nothing moves in its picture."""


class IdleState(StrEnum):
    """Whether a camera is decoded now, and why."""

    IDLE = "idle"
    """It is not: nothing moves."""
    AWAKE = "awake"
    """Something moves, or has just moved."""
    LEARNING = "learning"
    """It is not known yet what its packets weigh while nothing moves."""
    DOUBTED = "doubted"
    """Nothing moves, but its packets would not tell reliably if something did."""
    RARE_KEYS = "rare_keys"
    """Nothing moves, but its key frames are too far apart."""


@dataclass(frozen=True, slots=True)
class Idling:
    """What has come of watching a camera without decoding it."""

    state: IdleState
    still_frames: int
    """Of the frames that it has given, those that were not decoded."""


Fit = Literal["crop", "stretch"]
"""How a frame becomes square: `crop` shortens its short side and cuts the middle out, `stretch` squeezes all of it."""


@dataclass(frozen=True, slots=True)
class ClipGeometry:
    """What a checkpoint wants to see: `num_frames` square pictures of `image_px`, cropped or stretched to fit."""

    num_frames: int
    image_px: int
    fit: Fit = "crop"


@dataclass(frozen=True, slots=True)
class Frame:
    """One sampled frame: a picture for each region, at model size.

    `pictures` is uint8 RGB of shape (R, S, S, 3).
    """

    index: int
    pts_s: float
    captured_at: float
    pictures: Pixels


@dataclass(frozen=True, slots=True)
class Picture:
    """A small JPEG of the whole frame that a source gave last, for people to look at."""

    captured_at: float
    jpeg: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, order=True)
class WindowId:
    """The identity of a window. `seq` counts 0, 1, 2… without gaps in one `epoch`, one continuous run of a source."""

    source_id: str
    epoch: str
    seq: int


@dataclass(frozen=True, slots=True)
class Window:
    """A run of sampled frames of one source, ready to be scored.

    `frames` is uint8 RGB of shape (R, T, S, S, 3), one clip for each name in `regions`; `frame_ids` are the T indices
    of the frames in the source's decode order. `captured_at` is the event time of the last frame. `produced_at` is the
    wall clock when the window was complete.
    """

    id: WindowId
    live: bool
    first_pts_s: float
    last_pts_s: float
    captured_at: float
    produced_at: float
    frame_ids: tuple[int, ...]
    regions: tuple[str, ...]
    frames: Pixels = field(repr=False, compare=False)


class ScoreStatus(StrEnum):
    """What became of a `seq`. All but `SCORED` are tombstones: they take the `seq` and carry no logits.

    The history keeps the place of a status in this list: a new one comes last.
    """

    SCORED = "scored"
    DROPPED = "dropped"
    """Given up by a live source under overload."""
    EXPIRED = "expired"
    """Grew older than `max_age_s` in the queue."""
    FAILED = "failed"
    """Went to the dead letters."""
    SOURCE_LOST = "source_lost"
    """Not a window: the camera was lost here, open events end."""
    SOURCE_ENDED = "source_ended"
    """Not a window: the epoch is complete, nothing follows in it."""
    SOURCE_STOPPED = "source_stopped"
    """Not a window: nobody reads the camera from here on, and nothing follows in the epoch."""
    UNCHANGED = "unchanged"
    """Shows what an earlier window shows, and was not scored: the scores of that one stand for it."""

    @property
    def ends_epoch(self) -> bool:
        """True for what nothing may follow in an epoch."""
        return self in {ScoreStatus.SOURCE_ENDED, ScoreStatus.SOURCE_STOPPED}

    @property
    def has_been_queued(self) -> bool:
        """True for what became of a window that was in the queue; the others are told past it, by who reads."""
        return self in {ScoreStatus.SCORED, ScoreStatus.EXPIRED, ScoreStatus.FAILED}


@dataclass(frozen=True, slots=True)
class Scores:
    """The outcome of one window: for each region, one logit for each prompt.

    `logits` is float32 of shape (R, K) in the order of `regions` and `prompts`; both are empty for a tombstone.
    `generation` counts the epochs of a source, so that an older epoch is finished before a newer one begins. An
    UNCHANGED window shows what window `same_as` of its epoch shows, and has its logits once the rules have found them.
    """

    id: WindowId
    generation: int
    status: ScoreStatus
    live: bool
    first_pts_s: float
    last_pts_s: float
    captured_at: float
    produced_at: float
    scored_at: float
    regions: tuple[str, ...] = ()
    prompts: tuple[str, ...] = ()
    logits: Logits = field(default_factory=lambda: np.zeros((0, 0), np.float32), repr=False, compare=False)
    model_name: str = ""
    model_sha256: str = ""
    traceparent: str = ""
    """Names the trace that the window is in, where it is in one."""
    same_as: int | None = None

    @property
    def is_scored(self) -> bool:
        """True where there are scores to judge: those of the window, or those that stand for it."""
        return self.status is ScoreStatus.SCORED or (self.status is ScoreStatus.UNCHANGED and bool(self.regions))


class Phase(StrEnum):
    """The phases of an event; every `started` has exactly one `ended`."""

    STARTED = "started"
    UPDATED = "updated"
    ENDED = "ended"


class EndReason(StrEnum):
    """Why an event ended."""

    RELEASED = "released"
    """The score fell below `exit`."""
    MAX_DURATION = "max_duration"
    SCHEDULE = "schedule"
    SOURCE_LOST = "source_lost"
    SOURCE_ENDED = "source_ended"
    CONFIGURATION = "configuration"
    """The rule was removed or changed."""
    SHUTDOWN = "shutdown"
    """The watching of the camera was stopped."""


@dataclass(frozen=True, slots=True)
class PromptScore:
    """A prompt and its share of the softmax of one rule, 0 to 1."""

    prompt: str
    score: float


@dataclass(frozen=True, slots=True)
class WindowRef:
    """The window that caused a phase of an event."""

    epoch: str
    seq: int
    first_pts_s: float
    last_pts_s: float
    captured_at: float
    reused: bool = False
    """True when it was not scored: nothing had changed since an earlier window, whose scores stand for it."""


@dataclass(frozen=True, slots=True)
class Latency:
    """Where the time went from the capture of a window's last frame to the commit of the event, in milliseconds."""

    produced_ms: float
    scored_ms: float
    committed_ms: float


@dataclass(frozen=True, slots=True)
class Event:
    """One phase of one event. `event_id` is stable over reruns; `revision` counts the phases 0, 1, 2…

    `start_time` and `end_time` are event time in Unix seconds: the last frame of the first window that held the rule,
    and of the last window that did.
    """

    event_id: str
    phase: Phase
    revision: int
    source_id: str
    region: str
    rule_id: str
    severity: str
    labels: Mapping[str, str]
    prompt: str
    score: float
    peak_score: float
    threshold: float
    start_time: float
    end_time: float | None
    end_reason: EndReason | None
    window: WindowRef
    top_prompts: tuple[PromptScore, ...]
    model_name: str
    model_sha256: str
    config_hash: str
    latency: Latency | None = None
    snapshot_url: str | None = None
    clip_url: str | None = None
    clip_partial: bool = False
    traceparent: str | None = None
    """Names the trace of the window that caused this phase, where it is in one."""

    @property
    def message_id(self) -> str:
        """The id that a consumer deduplicates on: stable for this phase of this event."""
        return f"{self.event_id}:{self.revision}"


@dataclass(frozen=True, slots=True)
class Message:
    """One event phase on its way to one sink: `body` is the CloudEvents JSON, the same bytes for every sink."""

    message_id: str
    source_id: str
    body: bytes
    committed_at: float


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A window or a message that was given up, kept with its reason until someone replays or drops it.

    `origin` is `windows` or `outbox:<sink id>`; `payload` is what replay puts back there.
    """

    id: str
    origin: str
    subject: str
    reason: str
    deliveries: int
    died_at: float
    payload: bytes = field(repr=False)
