"""What a container says of its video, before anything of it was measured."""

from dataclasses import dataclass

from av.container import InputContainer
from av.video.stream import VideoStream

_LEVELLED = {"h264", "hevc"}
_UNDECLARED = {"mjpeg", "mpjpeg"}
"""Formats that say no rate; FFmpeg takes 25 frames a second for it."""
SANE_RATES = (0.1, 240.0)
"""Cameras declare all sorts of things; for one that declares nothing FFmpeg says the unit of its time stamps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoFacts:
    """What is declared of a video stream; None where nothing is."""

    container: str
    codec: str
    profile: str | None
    level: str | None
    pixel_format: str | None
    width: int
    height: int
    declared_fps: float | None
    audio: tuple[str, ...]
    """The codecs of its sound, which is not read."""


def facts_of(container: InputContainer, stream: VideoStream) -> VideoFacts:
    """Return what `container` says of `stream`, as far as it is known now."""
    context = stream.codec_context
    rate = float(stream.average_rate or stream.guessed_rate or 0.0)
    declares = SANE_RATES[0] <= rate <= SANE_RATES[1] and container.format.name not in _UNDECLARED
    return VideoFacts(
        container=container.format.name,
        codec=context.name,
        profile=context.profile,
        level=_level(context.name, context.level),
        pixel_format=context.pix_fmt,
        width=context.width,
        height=context.height,
        declared_fps=rate if declares else None,
        audio=tuple(sound.codec_context.name for sound in container.streams.audio),
    )


def _level(codec: str, level: int) -> str | None:
    """Return a level as people write it: 4.1 is 41 in H.264 and 123 in H.265."""
    if codec not in _LEVELLED or level <= 0:
        return None
    return f"{level / (10 if codec == 'h264' else 30):.1f}"
