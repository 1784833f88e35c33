"""How the part `linear` goes through its numbers of sources."""

from benchmarks.linear import up_and_down


def test_each_number_of_sources_but_the_largest_is_measured_on_the_way_up_and_down() -> None:
    visits = up_and_down((1, 4, 16, 64), rounds=7)

    assert visits == [(1, 4), (4, 4), (16, 4), (64, 7), (16, 3), (4, 3), (1, 3)]
    assert {step: sum(rounds for number, rounds in visits if number == step) for step in (1, 4, 16, 64)} == {
        1: 7,
        4: 7,
        16: 7,
        64: 7,
    }
