"""Decides when a camera needs no decoding, from what its packets weigh and from small pictures of it. Pure.

An interval is what comes between two key frames. While the camera is awake each is decoded, and what was seen in it
teaches what packets weigh while nothing moves. After some calm seconds the camera is idle: an interval is then decoded
only where its packets weigh otherwise, where its key frame shows something else, or where it is time for a check.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from xclip_stream.sources.blocks import Blocks, Grey, has_moved
from xclip_stream.sources.size_signal import SizeSignal
from xclip_stream.types import IdleMode

PICTURE_EVERY_S = 0.2
"""How far apart the decoded pictures are that are compared."""
_MOVING_SHARE = 0.5
"""Where fewer of its pictures differ from those before, an interval is neither still nor moving."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IdleSettings:
    """How much is dared.

    Args:
        calm_s: how long nothing may have moved before a camera is idle.
        look_every_s: how often a key frame is looked at where weights are trusted; else each one is.
        check_every_s: how often an interval that looks still is decoded all the same.
        key_interval_s: a camera whose key frames are further apart is never idle.
        blind_s: the same where weights are not trusted: what comes and goes between two key frames may not be seen.
        tried: on so many moving intervals weights have to have been tried before they are trusted or not.
        missed: the share of those that they may have missed.
        margin: that of `SizeSignal`; the smaller it is, the more still intervals are decoded.
        idles_blind: whether a camera is idle although its weights have missed more.
        doubt_s: how long a camera is not idle after something moved in an interval that looked still.
    """

    calm_s: float
    look_every_s: float
    check_every_s: float
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
        look_every_s=10.0,
        check_every_s=60.0,
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
        look_every_s=30.0,
        check_every_s=300.0,
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

    is_idle: bool = False
    is_suspicious: bool = False
    is_check: bool = False
    anchor: Grey | None = None
    """What pictures are compared with: the last one that differed. So slow changes add up."""
    began_s: float | None = None
    pictured_s: float | None = None
    moved_s: float = 0.0
    looked_s: float = 0.0
    decoded_s: float = 0.0
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
        return self._now.is_idle

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
        if length_s > 0 and not now.is_idle:
            self._learn()
        now.is_idle = self._may_idle(at_s, length_s)
        now.began_s, now.weights, now.pictured, now.moved = at_s, [], 0, 0
        now.is_suspicious = now.is_check = False
        now.unseen += 1

    def add(self, weight: float) -> None:
        """Note a packet of this interval, the key frame first."""
        self._now.weights.append(weight)

    def has_run_over(self, at_s: float) -> bool:
        """Return whether this interval is too long to be idle in."""
        began_s = self._now.began_s
        return began_s is None or not 0 <= at_s - began_s <= self._settings.key_interval_s

    def suspects_end(self) -> bool:
        """Return whether the last packets tell of movement, so that it is not waited for the rest."""
        return self._signal.suspects_end(self._now.weights)

    def wants_look(self, at_s: float) -> bool:
        """Return whether the key frame that ends this idle interval is to be looked at."""
        return not self.is_trusted or at_s - self._now.looked_s >= self._settings.look_every_s

    def look(self, picture: Grey | None, at_s: float) -> None:
        """Note what the key frame shows that ends this idle interval; None where it cannot be decoded."""
        now = self._now
        unseen, now.unseen, now.looked_s = now.unseen, 0, at_s
        if picture is None or self._differs(picture):
            now.is_suspicious = True
            if unseen > 1 and picture is not None:
                # It may have come in an interval that was taken for still, and is gone.
                self._signal.note_missed()

    def wants_decoding(self, at_s: float) -> bool:
        """Return whether an idle interval that is over has to be decoded."""
        now = self._now
        if now.is_suspicious or self._signal.suspects(now.weights):
            return True
        now.is_check = at_s - now.decoded_s >= self._settings.check_every_s
        return now.is_check

    def wake(self) -> None:
        """Note that this interval is decoded after all."""
        self._now.is_idle = False

    def wants_picture(self, at_s: float) -> bool:
        """Return whether a decoded picture is to be compared."""
        pictured_s = self._now.pictured_s
        return pictured_s is None or not 0 <= at_s - pictured_s < PICTURE_EVERY_S

    def see(self, picture: Grey, at_s: float) -> None:
        """Compare a decoded picture with those before."""
        now = self._now
        now.pictured_s = now.decoded_s = now.looked_s = at_s
        now.unseen = 0
        now.pictured += 1
        is_first = now.anchor is None
        if self._differs(picture):
            now.anchor, now.moved_s = picture, at_s
            if not is_first:
                now.moved += 1
                # Of a decoder that held it back until this interval, which may be idle, had begun.
                now.is_suspicious = True

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

    def _may_idle(self, at_s: float, length_s: float) -> bool:
        now, settings = self._now, self._settings
        if not self._signal.is_ready or now.anchor is None or at_s - now.moved_s < settings.calm_s:
            return False
        if now.doubted_s is not None and at_s - now.doubted_s < settings.doubt_s:
            return False
        if self.is_trusted:
            return 0 < length_s <= settings.key_interval_s
        return 0 < length_s <= settings.blind_s and (settings.idles_blind or not self._is_tried)
