import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.score_builders import tombstone, window
from xclip_stream.ordering import PATIENCE_CAP_S, PATIENCE_S, START, Arrival, Ordering, Position
from xclip_stream.protocols import TakenScores
from xclip_stream.types import Scores, ScoreStatus


def taken(scores: Scores, *, copy: int = 0) -> TakenScores:
    return TakenScores(f"{scores.generation}-{scores.id.seq}-{copy}", scores)


def epoch(generation: int, length: int, *, live: bool = False) -> list[Scores]:
    """`length` windows and the end of the source."""
    place = {"generation": generation, "epoch": f"e{generation}", "live": live}
    return [
        *(window(seq, **place) for seq in range(length)),
        tombstone(length, ScoreStatus.SOURCE_ENDED, **place),
    ]


def released(ordering: Ordering, *, now_s: float = 0.0) -> list[tuple[int, int]]:
    return [(each.scores.generation, each.scores.id.seq) for each in ordering.release(now_s=now_s)]


def add(ordering: Ordering, *scores: Scores, now_s: float = 0.0) -> list[Arrival]:
    return [ordering.add(taken(each), now_s=now_s) for each in scores]


def test_scores_come_out_in_the_order_of_their_windows():
    ordering = Ordering(START)

    add(ordering, window(1), window(2))
    none = released(ordering)
    add(ordering, window(0), window(4))
    some = released(ordering)

    assert none == []
    assert some == [(1, 0), (1, 1), (1, 2)]
    assert ordering.waiting == 1


def test_a_restart_goes_on_where_the_position_stands():
    ordering = Ordering(Position(generation=3, epoch="e3", next_seq=7, ended=False))

    arrivals = add(ordering, window(6, generation=3), window(7, generation=3), window(9, generation=2))

    assert arrivals == [Arrival.DUPLICATE, Arrival.WAITING, Arrival.DUPLICATE]
    assert released(ordering) == [(3, 7)]
    assert ordering.position == Position(3, "e1", 8, ended=False)


def test_an_entry_that_is_handed_out_again_while_it_waits_is_not_refused():
    ordering = Ordering(START)

    first = ordering.add(taken(window(1)), now_s=0)
    same = ordering.add(taken(window(1)), now_s=0)
    other = ordering.add(taken(window(1), copy=1), now_s=0)

    assert (first, same, other) == (Arrival.WAITING, Arrival.WAITING, Arrival.DUPLICATE)


def test_a_file_waits_for_a_missing_window_as_long_as_it_takes():
    ordering = Ordering(START)
    add(ordering, window(0), window(2))

    assert released(ordering, now_s=0) == [(1, 0)]
    assert released(ordering, now_s=1e6) == []
    add(ordering, window(1))
    assert released(ordering, now_s=1e6) == [(1, 1), (1, 2)]


def test_a_live_source_gives_a_missing_window_up_when_its_patience_is_over_and_then_it_is_late():
    ordering = Ordering(START)
    add(ordering, window(0, live=True), window(2, live=True), window(3, live=True), window(5, live=True))

    assert released(ordering, now_s=PATIENCE_S - 0.1) == [(1, 0)]
    assert released(ordering, now_s=PATIENCE_S) == [(1, 2), (1, 3), (1, 5)]
    assert add(ordering, window(1, live=True), window(3, live=True)) == [Arrival.LATE, Arrival.DUPLICATE]


def test_windows_that_scorers_have_not_come_to_yet_are_waited_for_until_they_are_too_old():
    """As while a model is loaded: the first windows of a camera wait in the queue, tombstones of later ones do not."""
    ordering = Ordering(START, max_age_s=10.0)
    add(ordering, tombstone(2, ScoreStatus.DROPPED, live=True), now_s=0)

    assert released(ordering, now_s=10.0 + PATIENCE_S - 0.1) == []
    add(ordering, window(0, live=True), now_s=10.0 + PATIENCE_S - 0.1)
    assert released(ordering, now_s=10.0 + PATIENCE_S - 0.1) == [(1, 0)]
    assert released(ordering, now_s=10.0 + PATIENCE_S) == [(1, 2)]


def test_patience_begins_when_a_window_has_overtaken_another_in_the_queue():
    ordering = Ordering(START, max_age_s=10.0)
    add(ordering, tombstone(2, ScoreStatus.DROPPED, live=True), now_s=0)
    add(ordering, window(3, status=ScoreStatus.EXPIRED, live=True), now_s=4.0)

    assert released(ordering, now_s=4.0 + PATIENCE_S - 0.1) == []
    assert released(ordering, now_s=4.0 + PATIENCE_S) == [(1, 2), (1, 3)]


def test_the_patience_counts_from_when_the_gap_was_first_seen():
    ordering = Ordering(START)
    add(ordering, window(0, live=True), now_s=0)
    released(ordering, now_s=0)
    add(ordering, window(2, live=True), now_s=100)

    assert released(ordering, now_s=100 + PATIENCE_S - 0.1) == []
    assert released(ordering, now_s=100 + PATIENCE_S) == [(1, 2)]


@pytest.mark.parametrize(
    ("latency_s", "patience_s"), [(0.5, PATIENCE_S), (4.0, 12.0), (3600.0, PATIENCE_CAP_S), (-3600.0, PATIENCE_S)]
)
def test_the_patience_follows_how_long_scoring_takes_within_bounds(latency_s, patience_s):
    ordering = Ordering(START)

    add(ordering, *(window(seq, latency_s=latency_s) for seq in range(300)))

    assert ordering.patience_s == pytest.approx(patience_s)


def test_one_slow_window_in_a_hundred_is_not_what_patience_is_made_from():
    ordering = Ordering(START)

    add(ordering, window(0, latency_s=20.0), *(window(seq, latency_s=2.0) for seq in range(1, 200)))

    assert ordering.patience_s == pytest.approx(6.0)


def test_a_newer_generation_begins_when_the_older_one_has_ended():
    ordering = Ordering(START)

    add(ordering, *epoch(2, 2), *epoch(1, 1)[:1])
    before = released(ordering, now_s=0)
    add(ordering, *epoch(1, 1)[1:])
    after = released(ordering, now_s=0)

    assert before == [(1, 0)]
    assert after == [(1, 1), (2, 0), (2, 1), (2, 2)]


@pytest.mark.parametrize("live", [True, False])
def test_an_older_generation_that_never_ends_holds_up_a_file_but_not_a_camera(live):
    ordering = Ordering(START)
    add(ordering, *epoch(1, 3, live=live)[:2], *epoch(2, 1, live=live))

    assert released(ordering, now_s=0) == [(1, 0), (1, 1)]
    assert released(ordering, now_s=PATIENCE_S) == ([(2, 0), (2, 1)] if live else [])


def test_a_file_that_was_forgotten_may_go_on_with_a_higher_generation():
    fresh, ended = Ordering(START), Ordering(Position(2, "e2", 5, ended=True))
    for ordering in (fresh, ended):
        add(ordering, *epoch(6, 1))

    assert released(fresh, now_s=PATIENCE_S) == [(6, 0), (6, 1)]
    assert released(ended, now_s=PATIENCE_S) == [(6, 0), (6, 1)]


def test_nothing_follows_the_end_of_a_generation():
    ordering = Ordering(START)
    add(ordering, window(2), *epoch(1, 1))

    assert released(ordering, now_s=0) == [(1, 0), (1, 1)]
    assert released(ordering, now_s=1e6) == []
    assert add(ordering, window(3)) == [Arrival.DUPLICATE]


def test_an_enormous_gap_costs_no_memory():
    ordering = Ordering(START)
    add(ordering, window(10**12, live=True))

    assert released(ordering, now_s=PATIENCE_S) == [(1, 10**12)]
    assert add(ordering, window(10**12 - 1, live=True), window(3, live=True)) == [Arrival.LATE, Arrival.DUPLICATE]


@given(st.lists(st.integers(0, 4), min_size=1, max_size=4), st.booleans(), st.data())
def test_any_permutation_and_duplication_comes_out_in_the_same_order(lengths, live, data):
    in_order = [each for n, length in enumerate(lengths) for each in epoch(n + 1, length, live=live)]
    copies = data.draw(st.lists(st.sampled_from(in_order)))
    shuffled = data.draw(
        st.permutations(
            [*(taken(each) for each in in_order), *(taken(each, copy=1 + n) for n, each in enumerate(copies))]
        )
    )
    cuts = data.draw(st.sets(st.integers(0, len(shuffled))))
    ordering, output, refused = Ordering(START), [], 0

    for n, each in enumerate(shuffled):
        refused += ordering.add(each, now_s=0) is not Arrival.WAITING
        if n in cuts:
            output += released(ordering)
    output += released(ordering)

    assert output == [(each.generation, each.id.seq) for each in in_order]
    assert refused == len(copies)
    assert ordering.waiting == 0


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.data())
def test_a_crash_at_any_point_changes_nothing_of_the_order(lengths, data):
    in_order = [each for n, length in enumerate(lengths) for each in epoch(n + 1, length)]
    pending = [taken(each) for each in data.draw(st.permutations(in_order))]
    position, output = START, []

    while pending:
        ordering = Ordering(position)
        for each in pending[: data.draw(st.integers(1, len(pending)))]:
            ordering.add(each, now_s=0)
        committed = ordering.release(now_s=0)
        position = ordering.position
        output += committed
        pending = [each for each in pending if each not in committed]
        if not committed:
            pending = pending[1:] + pending[:1]

    assert [(each.scores.generation, each.scores.id.seq) for each in output] == [
        (each.generation, each.id.seq) for each in in_order
    ]
