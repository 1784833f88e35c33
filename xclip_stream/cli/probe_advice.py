"""What to change in a camera, from what was measured of it. Pure."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xclip_stream.sources.probing import Probe

_KEYFRAMES_S = 4.0
_STARTS_LATE_S = 4.0
_SLOW_FPS = 4.0
"""Two frames for each of the eight that the model looks at in four seconds."""
_BIG_PX = 1920 * 1080
_MUCH_BITS = 8e6
_MUCH_JITTER_S = 0.2
_MEASURED_S = 2.0
"""What is told of rates needs so much video."""


def advice(found: "Probe") -> list[str]:
    """Return a line for each thing that is better changed."""
    if not found.live:
        return [*_stamps(found), *_damage(found)]
    return [*_start(found), *_rates(found), *_size(found), *_stamps(found), *_damage(found)]


def _start(found: "Probe") -> Iterator[str]:
    timing = found.timing
    if timing.keyframe_s is not None and timing.keyframe_s > _KEYFRAMES_S:
        yield f"keyframes every {timing.keyframe_s:.0f} s: {_LATE}"
    elif timing.keyframe_s is None and timing.since_keyframe_s > _KEYFRAMES_S:
        yield f"no second keyframe in {timing.since_keyframe_s:.0f} s: {_LATE}"
    if found.first_frame_s > _STARTS_LATE_S:
        yield (
            f"the first frame took {found.first_frame_s:.1f} s: each reconnect takes as long; "
            "keyframes that come more often help, and so does a nearer or less busy camera"
        )
    if found.b_frames:
        yield "B-frames: each picture waits for later ones; switch them off in the camera"


_LATE = (
    "clips and reconnects begin late, and by default it is decoded also while nothing moves; set the camera's I-frame "
    "interval to 1–2 s"
)


def _rates(found: "Probe") -> Iterator[str]:
    timing, declared = found.timing, found.facts.declared_fps
    if timing.fps is None or timing.span_s < _MEASURED_S:
        return
    if declared is not None and timing.fps < 0.8 * declared:
        yield (
            f"{timing.fps:.1f} of the {declared:.0f} frames a second that it declares: long exposures at night "
            "do that, and a network that loses packets"
        )
    if timing.fps < _SLOW_FPS:
        yield f"{timing.fps:.1f} frames a second are few for actions: let it give 5 or more, or take a longer span_s"
    if timing.speed is not None and not 0.8 < timing.speed < 1.25:
        yield (
            f"its time stamps run {timing.speed:.2f} times as fast as time: its clock or its rate is set wrong, and "
            "events get wrong durations"
        )
    # B-frames come in bunches, whatever the network does.
    if timing.jitter_s is not None and timing.jitter_s > _MUCH_JITTER_S and not found.b_frames:
        yield f"packets come {timing.jitter_s * 1000:.0f} ms early or late: a busy or wireless network; a cable helps"


def _size(found: "Probe") -> Iterator[str]:
    facts, bit_rate = found.facts, found.timing.bit_rate or 0.0
    if facts.width * facts.height > _BIG_PX or bit_rate > _MUCH_BITS:
        yield (
            f"{facts.width} × {facts.height} at {bit_rate / 1e6:.1f} Mbit/s: the model sees squares of 224 pixels, so "
            "a substream of the camera does as well, and decoding it costs a fraction"
        )
    elif facts.codec == "hevc":
        yield "H.265 takes about twice the processor that H.264 does: choose H.264 where that is scarce"


def _stamps(found: "Probe") -> Iterator[str]:
    timing = found.timing
    if timing.jumps:
        yield (
            f"{timing.jumps} × time stamps jumped: the camera set its clock, or recordings were joined; windows do not "
            "reach over a jump"
        )
    if timing.gaps:
        yield (
            f"{timing.gaps} × a gap, the longest of {timing.longest_gap_s:.1f} s: frames are lost on their way, or the "
            "camera leaves out what does not move"
        )


def _damage(found: "Probe") -> Iterator[str]:
    hint = "; with transport udp, try tcp" if found.live else ""
    for line in found.damage:
        yield f"{line}{hint}"
