"""What was found of a source, as a table and as JSON."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from xclip_stream.sources.probing import Probe


def probe_table(found: "Probe") -> Table:
    """Return what was found, a line for each thing."""
    table = Table(title=Text(found.shown_url), title_justify="left", show_header=False, box=None, padding=(0, 2, 0, 2))
    for name, value in _rows(found):
        table.add_row(Text(name), Text(value))
    return table


def plain_probe(found: "Probe") -> dict[str, Any]:
    """Return what was found as JSON values."""
    return {
        "source": found.shown_url,
        "live": found.live,
        "error": found.error,
        "frames": found.frames,
        "first_frame_s": round(found.first_frame_s, 3),
        "duration_s": found.duration_s,
        "rotation": found.rotation,
        "b_frames": found.b_frames,
        "video": asdict(found.facts),
        "timing": {
            name: round(value, 4) if isinstance(value, float) else value for name, value in asdict(found.timing).items()
        },
        "damage": list(found.damage),
    }


def _rows(found: "Probe") -> Iterator[tuple[str, str]]:
    facts, timing = found.facts, found.timing
    yield "video", _video(found)
    yield (
        "picture",
        f"{facts.width} × {facts.height}{_rotation(found.rotation)}, {facts.pixel_format or 'unknown format'}",
    )
    declared = "no rate declared" if facts.declared_fps is None else f"{facts.declared_fps:.4g} frames/s declared"
    measured = "" if timing.fps is None else f", {timing.fps:.4g} measured over {timing.span_s:.1f} s"
    yield "rate", f"{declared}{measured}"
    yield "keyframes", _keyframes(found)
    if timing.bit_rate is not None:
        yield "bit rate", f"{timing.bit_rate / 1e6:.2f} Mbit/s"
    yield "B-frames", "yes" if found.b_frames else "none"
    yield "time stamps", _stamps(found)
    yield "first frame", f"{found.first_frame_s:.2f} s after it was asked for"
    if found.duration_s is not None:
        yield "length", f"{found.duration_s:.1f} s"
    sound = "not asked for" if found.live else "none"
    yield "sound", f"{', '.join(facts.audio)}: not read" if facts.audio else sound


def _video(found: "Probe") -> str:
    facts = found.facts
    parts = [facts.codec, facts.profile or "", f"level {facts.level}" if facts.level else ""]
    return f"{' '.join(part for part in parts if part)}, by {facts.container}"


def _rotation(degrees: int) -> str:
    return f", turned by {degrees}°" if degrees else ""


def _keyframes(found: "Probe") -> str:
    timing = found.timing
    if timing.keyframe_s is not None:
        return f"every {timing.keyframe_s:.2g} s"
    return f"{timing.keyframes} in {timing.span_s:.1f} s"


def _stamps(found: "Probe") -> str:
    timing = found.timing
    troubles = [f"{timing.jumps} × a jump"] if timing.jumps else []
    if timing.gaps:
        troubles.append(f"{timing.gaps} × a gap, up to {timing.longest_gap_s:.1f} s")
    jitter = (
        ""
        if timing.jitter_s is None or found.b_frames
        else f"; packets come within {timing.jitter_s * 1000:.0f} ms of their time"
    )
    return (", ".join(troubles) or "regular") + jitter
