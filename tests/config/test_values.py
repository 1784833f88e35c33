"""The kinds of values that a configuration has."""

import pytest

from xclip_stream.config.values import distinct


class Compared(str):
    """A text that counts how often it is compared with another one."""

    __slots__ = ()
    times = 0

    def __eq__(self, other: object) -> bool:
        Compared.times += 1
        return str.__eq__(self, other)

    __hash__ = str.__hash__


def test_a_long_list_with_something_twice_is_no_work() -> None:
    values = tuple(Compared(number % 500) for number in range(1000))

    with pytest.raises(ValueError, match="more than once"):
        distinct(values)

    assert Compared.times < 10_000
