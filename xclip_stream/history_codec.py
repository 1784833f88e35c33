"""The history's entries: small, because a camera adds one each second, and exact, so that rules give the same again.

What the rows and columns of the logits mean is the same for thousands of windows: it is kept once, as a layout, and an
entry names its digest.
"""

import hashlib
import json
import struct
from dataclasses import dataclass

import numpy as np

from xclip_stream.errors import DecodeError
from xclip_stream.types import Scores, ScoreStatus, WindowId

_HEAD = struct.Struct(">BB?QIddd8sB")
"""Version, status, live, seq, generation, first and last media time, event time, layout, length of the epoch."""
_VERSION = 1
_STATUSES = tuple(ScoreStatus)


@dataclass(frozen=True, slots=True)
class Layout:
    """What the logits of a window are of: the regions of its rows, the prompts of its columns, and who scored it."""

    regions: tuple[str, ...]
    prompts: tuple[str, ...]
    model_name: str
    model_sha256: str


def encode_layout(scores: Scores) -> bytes:
    """Return the layout of scores as JSON."""
    layout = [list(scores.regions), list(scores.prompts), scores.model_name, scores.model_sha256]
    return json.dumps(layout, ensure_ascii=False, separators=(",", ":")).encode()


def decode_layout(data: bytes) -> Layout:
    """Read what `encode_layout` wrote.

    Raises:
        DecodeError: it is not a layout.
    """
    try:
        regions, prompts, model_name, model_sha256 = json.loads(data)
        return Layout(tuple(map(str, regions)), tuple(map(str, prompts)), str(model_name), str(model_sha256))
    except (ValueError, TypeError, RecursionError) as error:
        raise DecodeError("not a layout of the history") from error


def layout_digest(layout: bytes) -> str:
    """Return the name of an encoded layout: 16 hex digits."""
    return hashlib.sha256(layout).hexdigest()[:16]


def encode_judged(scores: Scores, digest: str) -> bytes:
    """Return the entry of a window whose layout has this digest."""
    epoch = scores.id.epoch.encode()[:255]
    head = _HEAD.pack(
        _VERSION,
        _STATUSES.index(scores.status),
        scores.live,
        scores.id.seq,
        scores.generation & 0xFFFFFFFF,
        scores.first_pts_s,
        scores.last_pts_s,
        scores.captured_at,
        bytes.fromhex(digest),
        len(epoch),
    )
    return head + epoch + scores.logits.astype("<f4", copy=False).tobytes()


def digest_of(entry: bytes) -> str | None:
    """Return the digest of the layout that an entry needs; None where it is no entry."""
    return _HEAD.unpack_from(entry)[8].hex() if len(entry) >= _HEAD.size else None


def decode_judged(entry: bytes, *, source_id: str, layout: Layout | None) -> Scores:
    """Read what `encode_judged` wrote.

    Raises:
        DecodeError: it is no such entry, or its layout is another one.
    """
    if layout is None or len(entry) < _HEAD.size:
        raise DecodeError("not an entry of the history, or its layout is gone")
    version, status, live, seq, generation, first_pts_s, last_pts_s, captured_at, _, length = _HEAD.unpack_from(entry)
    begin = _HEAD.size + length
    shape = (len(layout.regions), len(layout.prompts))
    if version != _VERSION or status >= len(_STATUSES) or len(entry) - begin != 4 * shape[0] * shape[1]:
        raise DecodeError("an entry of the history of another version, or of another layout")
    return Scores(
        id=WindowId(source_id, entry[_HEAD.size : begin].decode(errors="replace"), seq),
        generation=generation,
        status=_STATUSES[status],
        live=live,
        first_pts_s=first_pts_s,
        last_pts_s=last_pts_s,
        captured_at=captured_at,
        produced_at=captured_at,
        scored_at=captured_at,
        regions=layout.regions,
        prompts=layout.prompts,
        logits=np.frombuffer(entry[begin:], "<f4").astype(np.float32, copy=False).reshape(shape),
        model_name=layout.model_name,
        model_sha256=layout.model_sha256,
    )
