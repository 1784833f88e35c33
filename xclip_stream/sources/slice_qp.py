"""How coarsely each picture of an H.264 stream is quantised, read from its slice headers without decoding. Pure.

A camera that holds its bit rate answers movement with coarser quantisation, not with more bytes: the size of its
packets says little, and the quantiser much. Names are those of ITU-T H.264, 7.3.
"""

from contextlib import suppress
from dataclasses import dataclass

from xclip_stream.sources.nal_units import length_bytes, parameter_sets, units_of

_SLICES = frozenset({1, 5})
_SPS, _PPS, _FILLER = 7, 8, 12
_HEADER_BYTES = 80
"""A slice header is shorter, but for weighted prediction from many pictures."""
_SET_BYTES = 4096
"""What is read of a parameter set is shorter: its lists of scaling and of picture orders are bounded."""
_SEQUENCES, _PICTURES = 32, 256
"""How many parameter sets a stream can have at a time."""
_UNREADABLE = (IndexError, KeyError, ValueError)
_HIGH_PROFILES = frozenset({44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244})


@dataclass(frozen=True, slots=True)
class Quantised:
    """Of one packet: the quantiser of its first slice, and its bytes without stuffing."""

    qp: float
    num_bytes: int


@dataclass(frozen=True, slots=True)
class _Sequence:
    """What a slice header needs of a sequence parameter set."""

    frame_num_bits: int
    order_type: int
    order_bits: int
    delta_order_always_zero: bool
    frames_only: bool
    separate_planes: bool
    chroma: bool


@dataclass(frozen=True, slots=True)
class _Picture:
    """What a slice header needs of a picture parameter set."""

    sequence: int
    cabac: bool
    order_present: bool
    references: tuple[int, int]
    weighted: bool
    weighted_bi: int
    init_qp: int
    redundant: bool


class SliceQuantisers:
    """Reads the quantisers of one stream, whose parameter sets may come beside it or in it.

    Args:
        extradata: of the stream's codec: an `avcC` box, or NAL units behind start codes, or nothing.
    """

    def __init__(self, extradata: bytes) -> None:
        self._sequences: dict[int, _Sequence] = {}
        self._pictures: dict[int, _Picture] = {}
        self._known: set[bytes] = set()
        self._length_bytes = length_bytes("h264", extradata)
        # What cannot be read of it leaves slices without a quantiser.
        with suppress(*_UNREADABLE):
            for unit in parameter_sets(extradata):
                self._learn(unit)

    def read(self, data: bytes) -> Quantised | None:
        """Return what a packet says, or None where that cannot be read."""
        try:
            return self._read(data)
        except _UNREADABLE:
            return None

    def _read(self, data: bytes) -> Quantised | None:
        qp: float | None = None
        num_bytes = 0
        for unit in units_of(data, self._length_bytes):
            kind = unit[0] & 31
            if kind != _FILLER:
                num_bytes += len(unit)
            if kind in _SLICES and qp is None:
                qp = self._slice_qp(unit)
            elif kind in {_SPS, _PPS}:
                self._learn(unit)
        return None if qp is None else Quantised(qp, num_bytes)

    def _learn(self, unit: memoryview) -> None:
        content = bytes(unit[:_SET_BYTES])
        if content in self._known or not content:
            return
        if len(self._known) >= _SEQUENCES + _PICTURES:  # some streams never repeat one
            self._known.clear()
        self._known.add(content)
        kind = content[0] & 31
        if kind == _SPS:
            number, sequence = _sequence(content)
            self._sequences[number] = sequence
        elif kind == _PPS:
            number, picture = _picture(content)
            self._pictures[number] = picture

    def _slice_qp(self, unit: memoryview) -> float:
        bits = _Bits(bytes(unit[1:_HEADER_BYTES]))
        is_idr, is_reference = unit[0] & 31 == 5, bool(unit[0] & 0x60)
        bits.unsigned()  # first_mb_in_slice
        kind = bits.unsigned() % 5  # P, B, I, SP, SI
        picture = self._pictures[bits.unsigned()]
        sequence = self._sequences[picture.sequence]
        if sequence.separate_planes:
            bits.take(2)
        bits.take(sequence.frame_num_bits)
        is_field = not sequence.frames_only and bool(bits.take(1))
        if is_field:
            bits.take(1)
        if is_idr:
            bits.unsigned()
        self._skip_order(bits, sequence, picture, is_field=is_field)
        if picture.redundant:
            bits.unsigned()
        references = list(picture.references)
        if kind == 1:
            bits.take(1)
        if kind in {0, 1, 3} and bits.take(1):
            references[0] = bits.unsigned() + 1
            if kind == 1:
                references[1] = bits.unsigned() + 1
        lists = {0: 1, 3: 1, 1: 2}.get(kind, 0)
        for _ in range(lists):
            _skip_reordering(bits)
        if (picture.weighted and kind in {0, 3}) or (picture.weighted_bi == 1 and kind == 1):
            _skip_weights(bits, references[:lists], chroma=sequence.chroma)
        if is_reference:
            _skip_marking(bits, is_idr=is_idr)
        if picture.cabac and lists:
            bits.unsigned()
        return float(picture.init_qp + bits.signed())

    @staticmethod
    def _skip_order(bits: "_Bits", sequence: _Sequence, picture: _Picture, *, is_field: bool) -> None:
        both = picture.order_present and not is_field
        if sequence.order_type == 0:
            bits.take(sequence.order_bits)
            if both:
                bits.signed()
        elif sequence.order_type == 1 and not sequence.delta_order_always_zero:
            bits.signed()
            if both:
                bits.signed()


class _Bits:
    """Reads bits of a NAL unit's payload; it ends with a ValueError."""

    def __init__(self, escaped: bytes) -> None:
        payload = escaped.replace(b"\0\0\3", b"\0\0")
        self._left = 8 * len(payload)
        self._value = int.from_bytes(payload, "big")

    def take(self, count: int) -> int:
        self._left -= count
        if self._left < 0:
            raise ValueError("the unit ends")
        value = self._value >> self._left
        self._value &= (1 << self._left) - 1
        return value

    def unsigned(self) -> int:
        zeros = self._left - self._value.bit_length()
        if not self._value or zeros > 32:
            raise ValueError("no number")
        return self.take(2 * zeros + 1) - 1

    def signed(self) -> int:
        code = self.unsigned()
        return (code + 1) // 2 if code & 1 else -(code // 2)


def shows_whole_frames(unit: bytes) -> bool:
    """Return whether a sequence parameter set says that each picture is a frame, none of them a field.

    Raises:
        ValueError, IndexError: it cannot be read.
    """
    return _sequence(unit)[1].frames_only


def _sequence(unit: bytes) -> tuple[int, _Sequence]:
    bits = _Bits(unit[1:_SET_BYTES])
    profile = bits.take(8)
    bits.take(16)
    number = bits.unsigned()
    if number >= _SEQUENCES:
        raise ValueError("no number of a sequence parameter set")
    chroma_format, separate = 1, False
    if profile in _HIGH_PROFILES:
        chroma_format = bits.unsigned()
        separate = chroma_format == 3 and bool(bits.take(1))
        bits.unsigned()
        bits.unsigned()
        bits.take(1)
        if bits.take(1):
            _skip_scaling(bits, 12 if chroma_format == 3 else 8)
    frame_num_bits = bits.unsigned() + 4
    order_type, order_bits, always_zero = bits.unsigned(), 0, False
    if order_type == 0:
        order_bits = bits.unsigned() + 4
    elif order_type == 1:
        always_zero = bool(bits.take(1))
        bits.signed()
        bits.signed()
        for _ in range(bits.unsigned()):
            bits.signed()
    bits.unsigned()
    bits.take(1)
    bits.unsigned()
    bits.unsigned()
    frames_only = bool(bits.take(1))
    chroma = chroma_format != 0 and not separate
    return number, _Sequence(frame_num_bits, order_type, order_bits, always_zero, frames_only, separate, chroma)


def _picture(unit: bytes) -> tuple[int, _Picture]:
    bits = _Bits(unit[1:])
    number, sequence = bits.unsigned(), bits.unsigned()
    if number >= _PICTURES:
        raise ValueError("no number of a picture parameter set")
    cabac, order_present = bool(bits.take(1)), bool(bits.take(1))
    if bits.unsigned():
        raise ValueError("slice groups are not read")
    references = bits.unsigned() + 1, bits.unsigned() + 1
    weighted, weighted_bi = bool(bits.take(1)), bits.take(2)
    init_qp = bits.signed() + 26
    bits.signed()
    bits.signed()
    bits.take(2)
    redundant = bool(bits.take(1))
    return number, _Picture(sequence, cabac, order_present, references, weighted, weighted_bi, init_qp, redundant)


def _skip_scaling(bits: _Bits, lists: int) -> None:
    for index in range(lists):
        if not bits.take(1):
            continue
        last = next_scale = 8
        for _ in range(16 if index < 6 else 64):
            if next_scale:
                next_scale = (last + bits.signed()) % 256
            last = next_scale or last


def _skip_reordering(bits: _Bits) -> None:
    if bits.take(1):
        while bits.unsigned() != 3:
            bits.unsigned()


def _skip_weights(bits: _Bits, references: list[int], *, chroma: bool) -> None:
    bits.unsigned()
    if chroma:
        bits.unsigned()
    for count in references:
        for _ in range(count):
            for numbers in (2, 4) if chroma else (2,):
                if bits.take(1):
                    for _ in range(numbers):
                        bits.signed()


def _skip_marking(bits: _Bits, *, is_idr: bool) -> None:
    if is_idr:
        bits.take(2)
    elif bits.take(1):
        while operation := bits.unsigned():
            bits.unsigned()
            if operation == 3:
                bits.unsigned()
