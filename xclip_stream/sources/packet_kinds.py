"""What a packet of H.264 or HEVC is to the packets around it, read from the headers of its NAL units. Pure."""

from dataclasses import dataclass

from xclip_stream.sources.nal_units import length_bytes, parameter_sets, units_of
from xclip_stream.sources.slice_qp import shows_whole_frames

_H264_SLICES = range(1, 6)
_H264_IDR, _H264_SEQUENCE = 5, 7
_HEVC_SLICES = range(32)
_HEVC_RESTARTS = range(16, 21)
"""BLA and IDR. After a CRA picture there may be some that refer to what was before it."""
_UNREADABLE = (IndexError, ValueError)


@dataclass(frozen=True, slots=True)
class PacketKind:
    """Of one packet: whether nothing after it refers to anything before it, and whether anything refers to it."""

    restarts: bool
    is_referred_to: bool


class PacketKinds:
    """Reads the packets of one stream.

    Args:
        codec: as FFmpeg names it; of others than h264 and hevc nothing is known.
        extradata: of the stream's codec.
    """

    def __init__(self, codec: str, extradata: bytes) -> None:
        is_known = codec == "hevc" or (codec == "h264" and _is_of_frames(extradata))
        self._codec = codec if is_known else None
        self._length_bytes = length_bytes(codec, extradata) if is_known else 0

    def read(self, data: bytes) -> PacketKind | None:
        """Return what a packet is, or None where that cannot be told: it is damaged, say, or of fields."""
        try:
            match self._codec:
                case "h264":
                    return self._read_h264(data)
                case "hevc":
                    return self._read_hevc(data)
        except _UNREADABLE:
            pass
        return None

    def _read_h264(self, data: bytes) -> PacketKind | None:
        for unit in units_of(data, self._length_bytes):
            kind = unit[0] & 31
            if kind == _H264_SEQUENCE and not shows_whole_frames(bytes(unit)):
                return None
            if kind in _H264_SLICES:
                return PacketKind(kind == _H264_IDR, bool(unit[0] & 0x60))
        return None

    def _read_hevc(self, data: bytes) -> PacketKind | None:
        for unit in units_of(data, self._length_bytes):
            kind = unit[0] >> 1 & 63
            if kind in _HEVC_SLICES:
                # That nothing of the same temporal layer refers to a picture does not say that of the layers above.
                return PacketKind(kind in _HEVC_RESTARTS, is_referred_to=True)
        return None


def _is_of_frames(extradata: bytes) -> bool:
    try:
        sequences = [bytes(unit) for unit in parameter_sets(extradata) if unit[0] & 31 == _H264_SEQUENCE]
        return bool(sequences) and all(shows_whole_frames(unit) for unit in sequences)
    except _UNREADABLE:
        return False
