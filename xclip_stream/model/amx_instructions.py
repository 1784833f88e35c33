"""What a processor with a matrix unit (AMX) can do and Python has no words for, as functions for code of Numba.

Arguments called left, right, source, target and place are addresses.
"""

import math
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

PLANES = 3
"""Numbers of eight bits whose sum is a float32."""
TILE_ROW_BYTES = 64
TILE_BYTES = 16 * TILE_ROW_BYTES
STEP_BYTES = 2 * PLANES * TILE_BYTES
CACHE_LINE_BYTES = 64
_PRODUCTS = ((0, 2), (0, 1), (1, 1), (1, 0), (2, 0), (0, 0))
"""Planes of the left and of the right, 0 the highest, ordered so that one of both stays from each to the next."""

_BYTE, _SHORT, _INT, _LONG, _FLOAT = ir.IntType(8), ir.IntType(16), ir.IntType(32), ir.IntType(64), ir.FloatType()

_NOTHING = ir.VoidType()
_TERMS = 7
"""Of the series of an exponential."""

Emit = Callable[..., ir.Value | None]


def _instruction(returns: types.Type, *takes: types.Type) -> Callable[[Emit], Any]:
    """Make a function that code of Numba can call of one that emits its instructions."""

    def made_of(emit: Emit) -> Any:
        def code(context: Any, builder: ir.IRBuilder, _signature: Any, args: Any) -> ir.Value:
            result = emit(builder, *args)
            return context.get_dummy_value() if result is None else result

        @intrinsic
        @wraps(emit)  # Numba looks at the arguments
        def instruction(_typing: Any, *_args: Any) -> Any:
            return returns(*takes), code

        return instruction

    return made_of


# The matrix unit. Tiles 0 to 3 are 32 × 32 sums, 16 × 16 each; 4 and 5 are of the left, 6 and 7 of the right.


@_instruction(types.void, types.intp)
def use_tiles(builder: ir.IRBuilder, place: ir.Value) -> None:
    """Take the configuration of the tiles, 64 bytes."""
    _call(builder, "x86.ldtilecfg", _pointer(builder, place))


@_instruction(types.void)
def leave_tiles(builder: ir.IRBuilder) -> None:
    """Tell the system that the tiles need not be kept when another thread takes the processor."""
    _call(builder, "x86.tilerelease")


@_instruction(types.void)
def clear_sums(builder: ir.IRBuilder) -> None:
    for tile in range(4):
        _call(builder, "x86.tilezero", _BYTE(tile))


@_instruction(types.void, types.intp, types.intp)
def add_products(builder: ir.IRBuilder, left: ir.Value, right: ir.Value) -> None:
    """Add what a step of a left panel and one of a right panel make to the sums."""
    _add_products(builder, left, right, halves=2)


@_instruction(types.void, types.intp, types.intp)
def add_upper_products(builder: ir.IRBuilder, left: ir.Value, right: ir.Value) -> None:
    """Do so with the upper half of the left one, its first 16 rows, alone."""
    _add_products(builder, left, right, halves=1)


def _add_products(builder: ir.IRBuilder, left: ir.Value, right: ir.Value, *, halves: int) -> None:
    def load(tile: int, address: ir.Value, index: int) -> None:
        place = _pointer(builder, address, index * TILE_BYTES)
        _call(builder, "x86.tileloadd64", _BYTE(tile), place, _LONG(TILE_ROW_BYTES))

    there: tuple[int | None, int | None] = None, None
    for planes in _PRODUCTS:
        for half in range(halves):
            # Each tile is loaded just before its first use, while the unit is busy with others.
            if planes[0] != there[0]:
                load(4 + half, left, 2 * planes[0] + half)
            for column in range(2):
                if planes[1] != there[1] and half == 0:
                    load(6 + column, right, 2 * planes[1] + column)
                sums = _BYTE(2 * half + column)
                _call(builder, "x86.tdpbf16ps", sums, _BYTE(4 + half), _BYTE(6 + column))
        there = planes


@_instruction(types.void, types.intp, types.intp)
def store_sums(builder: ir.IRBuilder, target: ir.Value, row_bytes: ir.Value) -> None:
    """Write the sums as 32 rows of 32 numbers."""
    for tile in range(4):
        row = builder.add(target, builder.mul(row_bytes, _LONG(16 * (tile // 2))))
        _call(builder, "x86.tilestored64", _BYTE(tile), _pointer(builder, row, 64 * (tile % 2)), row_bytes)


@_instruction(types.void, types.intp)
def fetch(builder: ir.IRBuilder, place: ir.Value) -> None:
    """Have the second cache fetch the 64 bytes there, which are going to be read."""
    _call(builder, "prefetch.p0", _pointer(builder, place), _INT(0), _INT(2), _INT(1))


# Lines of 32 numbers, and their planes.


@_instruction(types.void, types.intp, types.float32, types.float32, types.intp)
def split(builder: ir.IRBuilder, source: ir.Value, less: ir.Value, by: ir.Value, target: ir.Value) -> None:
    """Write the planes of a line, after (x - less) * by, as a row of a left panel."""
    line = builder.fsub(_load(builder, source, 32), _repeated(builder, less))
    _store_planes(builder, builder.fmul(line, _repeated(builder, by)), target)


@_instruction(types.void, types.intp, types.intp, types.intp)
def split_pair(builder: ir.IRBuilder, source: ir.Value, below: ir.Value, target: ir.Value) -> None:
    """Write the planes of 16 numbers of a row and of those of the row below, in turn, as a row of a right panel."""
    pairs = zip(_planes(builder, _load(builder, source, 16)), _planes(builder, _load(builder, below, 16)), strict=True)
    for plane, (upper, lower) in enumerate(pairs):
        _store(builder, builder.or_(_shifted(builder, upper), lower), target, plane * 2 * TILE_BYTES)


@_instruction(types.void, types.intp, types.intp, types.intp)
def set_line(builder: ir.IRBuilder, source: ir.Value, bias: ir.Value, target: ir.Value) -> None:
    """Write the sum of a line and its bias."""
    _store(builder, builder.fadd(_load(builder, source, 32), _load(builder, bias, 32)), target)


@_instruction(types.void, types.intp, types.intp, types.intp)
def add_line(builder: ir.IRBuilder, source: ir.Value, bias: ir.Value, target: ir.Value) -> None:
    """Add a line and its bias to what is there."""
    line = builder.fadd(_load(builder, source, 32), _load(builder, bias, 32))
    _store(builder, builder.fadd(_load(builder, target, 32), line), target)


@_instruction(types.void, types.intp, types.intp, types.intp)
def silu_line(builder: ir.IRBuilder, source: ir.Value, bias: ir.Value, target: ir.Value) -> None:
    """Write the planes of the SiLU of a line and its bias as a row of a left panel."""
    x = builder.fadd(_load(builder, source, 32), _load(builder, bias, 32))
    below = builder.fadd(_same(x.type, 1.0), _exponential(builder, builder.fneg(x)))
    _store_planes(builder, builder.fdiv(x, below), target)


@_instruction(types.float32, types.intp)
def largest(builder: ir.IRBuilder, source: ir.Value) -> ir.Value:
    """Return the largest number of a line."""
    line = _load(builder, source, 32)
    return _call(builder, "vector.reduce.fmax.v32f32", line, returns=_FLOAT)


@_instruction(types.float32, types.intp, types.float32)
def exponentials(builder: ir.IRBuilder, place: ir.Value, less: ir.Value) -> ir.Value:
    """Turn each number x of a line into e**(x - less), and return their sum."""
    line = _exponential(builder, builder.fsub(_load(builder, place, 32), _repeated(builder, less)))
    _store(builder, line, place)
    while line.type.count > 1:  # halves are added, so that the order is always the same
        half = line.type.count // 2
        parts = (
            builder.shuffle_vector(line, line, ir.Constant(ir.VectorType(_INT, half), list(range(start, start + half))))
            for start in (0, half)
        )
        line = builder.fadd(*parts)
    return builder.extract_element(line, _INT(0))


def _exponential(builder: ir.IRBuilder, x: ir.Value) -> ir.Value:
    """Return e**x to about the last bit: a power of two, and Taylor's series within half of ln 2 around zero."""
    for least_or_most, number in (("<", -87.3), (">", 88.3)):  # what is no number stays so
        limit = _same(x.type, number)
        x = builder.select(builder.fcmp_ordered(least_or_most, x, limit), limit, x)
    shift = _same(x.type, 1.5 * 2**23)  # whoever is added to it is rounded to a whole number, in its lowest bits
    shifted = _fma(builder, x, _same(x.type, math.log2(math.e)), shift)
    n = builder.fsub(shifted, shift)
    for part in (-0.693359375, 2.12194440e-4):  # ln 2, the first with few bits so that nothing is lost
        x = _fma(builder, n, _same(x.type, part), x)
    series = _same(x.type, 1 / math.factorial(_TERMS))
    for term in reversed(range(_TERMS)):
        series = _fma(builder, series, x, _same(x.type, 1 / math.factorial(term)))
    bits = ir.VectorType(_INT, x.type.count)
    exponent = builder.shl(builder.bitcast(shifted, bits), _same(bits, 23))
    power = builder.bitcast(builder.add(exponent, _same(bits, 0x3F800000)), x.type)
    return builder.fmul(series, power)


def _planes(builder: ir.IRBuilder, numbers: ir.Value) -> Iterator[ir.Value]:
    """Yield the planes of a vector, the highest first, as bits whose lower half is zero. Nothing is lost."""
    kind = ir.VectorType(_INT, numbers.type.count)
    for _ in range(PLANES):
        bits = builder.and_(builder.bitcast(numbers, kind), _same(kind, 0xFFFF0000))
        yield bits
        numbers = builder.fsub(numbers, builder.bitcast(bits, numbers.type))


def _store_planes(builder: ir.IRBuilder, line: ir.Value, target: ir.Value) -> None:
    for plane, bits in enumerate(_planes(builder, line)):
        upper = builder.trunc(_shifted(builder, bits), ir.VectorType(_SHORT, line.type.count))
        _store(builder, upper, target, plane * 2 * TILE_BYTES)


def _shifted(builder: ir.IRBuilder, bits: ir.Value) -> ir.Value:
    return builder.lshr(bits, _same(bits.type, 16))


def _same(kind: ir.VectorType, number: float) -> ir.Constant:
    return ir.Constant(kind, [number] * kind.count)


def _repeated(builder: ir.IRBuilder, number: ir.Value) -> ir.Value:
    nothing = ir.Constant(ir.VectorType(_FLOAT, 32), ir.Undefined)
    first = builder.insert_element(nothing, number, _INT(0))
    return builder.shuffle_vector(first, nothing, _same(ir.VectorType(_INT, 32), 0))


def _fma(builder: ir.IRBuilder, x: ir.Value, by: ir.Value, plus: ir.Value) -> ir.Value:
    return _call(builder, f"fma.v{x.type.count}f32", x, by, plus, returns=x.type)


def _load(builder: ir.IRBuilder, address: ir.Value, count: int) -> ir.Value:
    kind = ir.VectorType(_FLOAT, count)
    return builder.load(builder.inttoptr(address, kind.as_pointer()), align=4)


def _store(builder: ir.IRBuilder, vector: ir.Value, address: ir.Value, offset: int = 0) -> None:
    there = builder.add(address, _LONG(offset))
    builder.store(vector, builder.inttoptr(there, vector.type.as_pointer()), align=4)


def _pointer(builder: ir.IRBuilder, address: ir.Value, offset: int = 0) -> ir.Value:
    return builder.inttoptr(builder.add(address, _LONG(offset)), _BYTE.as_pointer())


def _call(builder: ir.IRBuilder, name: str, *args: ir.Value, returns: ir.Type = _NOTHING) -> ir.Value:
    """Call a function of LLVM."""
    function = builder.module.globals.get(f"llvm.{name}")
    if function is None:
        kind = ir.FunctionType(returns, [arg.type for arg in args])
        function = ir.Function(builder.module, kind, f"llvm.{name}")
    return builder.call(function, args)
