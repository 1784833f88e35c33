"""Decides when a camera needs no decoding, from what its packets weigh and from small pictures of it. Pure.

An interval is what comes between two key frames. While the camera is awake each is decoded, and what was seen in it
teaches what packets weigh while nothing moves. After some calm seconds the camera is idle: an interval is then looked
through only where its packets weigh otherwise or where it is time for a check, and decoded only where something moved.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from xclip_stream.sources.blocks import Blocks, Grey, has_moved
from xclip_stream.sources.size_signal import SizeSignal
from xclip_stream.types import IdleMode, IdleState

PICTURE_EVERY_S = 0.2
"""How far apart the decoded pictures are that are compared."""
_MOVING_SHARE = 0.5
"""Where fewer of its pictures differ from those before, an interval is neither still nor moving."""
_LOOKS = 6
"""So many times a camera is looked at while it has been still for as long again, within the bounds of its settings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IdleSettings:
    """How much is dared.

    Args:
        calm_s: how long nothing may have moved before a camera is idle.
        look_s: how far apart the key frames are that are looked at where weights are trusted, at first and in the end;
            else each one is.
        check_s: how far apart the intervals are that are looked through although they weigh as ever, likewise.
        key_interval_s: a camera whose key frames are further apart is never idle.
        blind_s: the same where weights are not trusted: what comes and goes between two key frames may not be seen.
        tried: on so many moving intervals weights have to have been tried before they are trusted or not.
        missed: the share of those that they may have missed.
        margin: that of `SizeSignal`; the smaller it is, the more still intervals are decoded.
        idles_blind: whether a camera is idle although its weights have missed more.
        doubt_s: how long a camera is not idle after something moved in an interval that looked still.
    """

    calm_s: float
    look_s: tuple[float, float]
    check_s: tuple[float, float]
    key_interval_s: float
    blind_s: float
    tried: int
    missed: float
    margin: float
    idles_blind: bool
    doubt_s: float


SETTINGS: Mapping[IdleMode, IdleSettings] = {
    "conservative": IdleSettings(
        calm_s=5.0,
        look_s=(10.0, 40.0),
        check_s=(60.0, 240.0),
        key_interval_s=4.0,
        blind_s=2.1,
        tried=4,
        missed=0.1,
        margin=1.2,
        idles_blind=False,
        doubt_s=600.0,
    ),
    "aggressive": IdleSettings(
        calm_s=2.0,
        look_s=(30.0, 60.0),
        check_s=(300.0, 900.0),
        key_interval_s=6.0,
        blind_s=6.0,
        tried=2,
        missed=0.25,
        margin=1.5,
        idles_blind=True,
        doubt_s=60.0,
    ),
}


@dataclass(slots=True)
class _Connection:
    """What is known of one connection, in seconds of its media time."""

    state: IdleState = IdleState.LEARNING
    is_suspicious: bool = False
    is_check: bool = False
    is_whole: bool = False
    """Whether all of this idle interval was looked through."""
    anchor: Grey | None = None
    """What pictures are compared with: the last one that differed. So slow changes add up."""
    began_s: float | None = None
    pictured_s: float | None = None
    moved_s: float = 0.0
    looked_s: float = 0.0
    checked_s: float = 0.0
    doubted_s: float | None = None
    unseen: int = 0
    """How many intervals have begun since a picture was compared."""
    pictured: int = 0
    moved: int = 0
    """How many pictures of this interval were compared, and how many of them differed."""
    weights: list[float] = field(default_factory=list)


class IdleWatch:
    """Watches one camera. Times are seconds of its media time, which begins anew with each connection.

    Args:
        counts: the blocks of small pictures that are looked at; by default all.
    """

    def __init__(self, settings: IdleSettings, *, counts: Blocks | None = None) -> None:
        self._settings = settings
        self._counts = counts
        self._signal = SizeSignal(margin=settings.margin)
        self._now = _Connection()

    @property
    def is_idle(self) -> bool:
        """Whether the interval that has begun is watched without decoding it."""
        return self._now.state is IdleState.IDLE

    @property
    def state(self) -> IdleState:
        """Whether the interval that has begun is decoded, and why; from any thread."""
        return self._now.state

    @property
    def is_trusted(self) -> bool:
        """Whether the weights of packets tell of movement often enough to be relied upon."""
        return self._is_tried and self._signal.missed <= self._settings.missed

    @property
    def _is_tried(self) -> bool:
        return self._signal.moving >= self._settings.tried

    def reconnect(self) -> None:
        """Note that what comes now is of a new connection. What was learned is kept."""
        self._now = _Connection()

    def begin_interval(self, at_s: float) -> None:
        """Note a key frame: an interval is over, and another begins, which is idle or not."""
        now = self._now
        length_s = 0.0 if now.began_s is None else at_s - now.began_s
        if length_s > 0 and (now.is_whole or not self.is_idle):
            self._learn()
        now.state = self._state(at_s, length_s)
        now.began_s, now.weights, now.pictured, now.moved = at_s, [], 0, 0
        now.is_suspicious = now.is_check = now.is_whole = False
        now.unseen += 1

    def add(self, weight: float) -> None:
        """Note a packet of this interval, the key frame first."""
        self._now.weights.append(weight)

    def has_run_over(self, at_s: float) -> bool:
        """Return whether this interval is too long to be idle in."""
        began_s = self._now.began_s
        return began_s is None or not 0 <= at_s - began_s <= self._settings.key_interval_s

    def doubts_end(self) -> bool:
        """Return whether this idle interval has to be looked through so far: its last packets weigh otherwise."""
        return self._signal.suspects_end(self._now.weights)

    def doubts_whole(self, at_s: float) -> bool:
        """Return whether this idle interval, which is over, has to be looked through."""
        now = self._now
        if self._signal.suspects_whole(now.weights):
            return True
        now.is_check = at_s - now.checked_s >= self._apart_s(self._settings.check_s, at_s - now.moved_s)
        return now.is_check

    def wants_look(self, at_s: float) -> bool:
        """Return whether the key frame that ends this idle interval is to be looked at."""
        now = self._now
        apart_s = self._apart_s(self._settings.look_s, (at_s - now.moved_s) / _LOOKS)
        return not self.is_trusted or at_s - now.looked_s >= apart_s

    def look(self, picture: Grey | None, at_s: float) -> None:
        """Note what the key frame shows that ends this idle interval; None where it cannot be decoded."""
        now = self._now
        unseen, now.unseen, now.looked_s = now.unseen, 0, at_s
        if picture is None or self._differs(picture):
            now.is_suspicious = True
            if unseen > 1 and picture is not None:
                # It may have come in an interval that was taken for still, and is gone.
                self._signal.note_missed()

    def look_through(self, picture: Grey | None, at_s: float) -> None:
        """Note what a picture of this idle interval shows; None where it cannot be decoded."""
        now = self._now
        now.pictured_s = now.looked_s = at_s
        now.unseen = 0
        now.pictured += 1
        if picture is None or self._differs(picture):
            now.is_suspicious = True

    def note_looked_through(self, at_s: float) -> None:
        """Note that all of this idle interval was looked through."""
        self._now.is_whole, self._now.checked_s = True, at_s

    @property
    def must_wake(self) -> bool:
        """Whether something moved in this idle interval, so that it has to be decoded."""
        return self._now.is_suspicious

    def wake(self) -> None:
        """Note that this interval is decoded after all."""
        now = self._now
        now.state, now.pictured, now.pictured_s = IdleState.AWAKE, 0, None

    def wants_picture(self, at_s: float) -> bool:
        """Return whether a picture is to be compared."""
        pictured_s = self._now.pictured_s
        return pictured_s is None or not 0 <= at_s - pictured_s < PICTURE_EVERY_S

    def see(self, picture: Grey, at_s: float) -> None:
        """Compare a decoded picture with those before."""
        now = self._now
        now.pictured_s = now.checked_s = now.looked_s = at_s
        now.unseen = 0
        now.pictured += 1
        is_first = now.anchor is None
        if self._differs(picture):
            now.anchor, now.moved_s = picture, at_s
            if not is_first:
                now.moved += 1
                # Of a decoder that held it back until this interval, which may be idle, had begun.
                now.is_suspicious = True

    @staticmethod
    def _apart_s(bounds: tuple[float, float], wished_s: float) -> float:
        least_s, most_s = bounds
        return min(most_s, max(least_s, wished_s))

    def _differs(self, picture: Grey) -> bool:
        anchor = self._now.anchor
        return anchor is None or has_moved(anchor, picture, counts=self._counts)

    def _learn(self) -> None:
        now = self._now
        if now.moved and now.moved >= _MOVING_SHARE * now.pictured:
            self._signal.learn_moving(now.weights)
            if now.is_check:
                now.doubted_s = now.moved_s
        elif not now.moved:
            self._signal.learn_still(now.weights)

    def _state(self, at_s: float, length_s: float) -> IdleState:
        """Return what the interval is that begins now, where the one before was of this length; 0: there was none."""
        now, settings = self._now, self._settings
        if now.anchor is None or length_s <= 0:
            return IdleState.LEARNING
        if at_s - now.moved_s < settings.calm_s:
            return IdleState.AWAKE
        if not self._signal.is_ready:
            return IdleState.LEARNING
        if now.doubted_s is not None and at_s - now.doubted_s < settings.doubt_s:
            return IdleState.DOUBTED
        if self._is_tried and not self.is_trusted and not settings.idles_blind:
            return IdleState.DOUBTED
        longest_s = settings.key_interval_s if self.is_trusted else settings.blind_s
        return IdleState.IDLE if length_s <= longest_s else IdleState.RARE_KEYS
