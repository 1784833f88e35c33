from collections.abc import Sequence

from xclip_stream.pipeline.shares import HANDED_OVER_AT_ONCE, Moves, Shares
from xclip_stream.protocols import IngestTeam

LEASE_S = 6.0


class Worker:
    """One worker's decisions, and the time."""

    def __init__(self, *wanted: str) -> None:
        self.shares = Shares(patience_s=LEASE_S)
        self.wanted = wanted or tuple(f"cam-{number}" for number in range(6))
        self.now_s = 100.0

    def decide(
        self, *, others: Sequence[str] = (), free: Sequence[str] = (), held: Sequence[str] = (), after_s: float = 0.0
    ) -> Moves:
        self.now_s += after_s
        team = IngestTeam(others=frozenset(others), free=frozenset(free))
        return self.shares.decide(team, wanted=self.wanted, held=held, now_s=self.now_s)


def test_a_worker_that_is_alone_takes_everything_at_once() -> None:
    worker = Worker()

    moves = worker.decide(free=worker.wanted)

    assert moves == Moves(take=worker.wanted, at_most=6)


def test_one_of_two_takes_half_and_may_take_any_half() -> None:
    worker = Worker()

    moves = worker.decide(others=["b"], free=worker.wanted)

    assert (moves.take, moves.at_most) == (worker.wanted, 3)


def test_a_share_is_rounded_up_so_that_nothing_is_left_over() -> None:
    worker = Worker("a", "b", "c", "d")

    assert worker.decide(others=["x", "y"], free=worker.wanted).at_most == 2


def test_a_worker_with_its_share_leaves_what_is_free_to_those_who_have_room() -> None:
    worker = Worker("a", "b")

    assert worker.decide(others=["x"], free=["b"], held=["a"]) == Moves()


def test_what_nobody_takes_for_as_long_as_a_lease_is_taken_above_the_share_and_kept() -> None:
    worker = Worker("a", "b")
    worker.decide(others=["x"], free=["b"], held=["a"])

    early = worker.decide(others=["x"], free=["b"], held=["a"], after_s=LEASE_S - 1)
    late = worker.decide(others=["x"], free=["b"], held=["a"], after_s=1)
    after = worker.decide(others=["x"], held=["a", "b"], after_s=10 * LEASE_S)

    assert early == Moves()
    assert late == Moves(take=("b",), at_most=1)
    assert after == Moves()


def test_what_was_taken_meanwhile_does_not_count_as_long_free() -> None:
    worker = Worker("a", "b")
    worker.decide(others=["x"], free=["b"], held=["a"])
    worker.decide(others=["x"], held=["a"], after_s=LEASE_S - 1)

    assert worker.decide(others=["x"], free=["b"], held=["a"], after_s=1) == Moves()


def test_a_newcomer_gets_what_is_above_the_share_once_it_has_stayed() -> None:
    worker = Worker("a", "b", "c", "d")
    worker.decide(held=worker.wanted)

    at_once = worker.decide(others=["x"], held=worker.wanted, after_s=1)
    later = worker.decide(others=["x"], held=worker.wanted, after_s=LEASE_S)

    assert at_once == Moves()
    assert later == Moves(give_back=("c", "d"))


def test_a_few_sources_change_hands_at_a_time_and_the_next_when_those_have_been_taken() -> None:
    worker = Worker(*(f"cam-{number}" for number in range(40)))
    worker.decide(others=["x"], held=worker.wanted)

    first = worker.decide(others=["x"], held=worker.wanted, after_s=LEASE_S)
    kept = [source for source in worker.wanted if source not in first.give_back]
    waiting = worker.decide(others=["x"], free=first.give_back[:1], held=kept, after_s=1)
    second = worker.decide(others=["x"], held=kept, after_s=1)

    assert len(first.give_back) == len(second.give_back) == HANDED_OVER_AT_ONCE
    assert waiting == Moves()


def test_two_workers_with_their_shares_are_left_alone() -> None:
    worker = Worker("a", "b", "c")

    worker.decide(others=["x"], held=["a", "b"])

    assert worker.decide(others=["x"], held=["a", "b"], after_s=10 * LEASE_S) == Moves()


def test_the_sources_of_a_worker_that_died_are_taken_at_once() -> None:
    worker = Worker("a", "b")
    worker.decide(others=["x"], held=["a"])

    assert worker.decide(free=["b"], held=["a"], after_s=LEASE_S) == Moves(take=("b",), at_most=1)


def test_after_an_outage_others_may_come_back_for_what_they_had() -> None:
    worker = Worker("a", "b")
    worker.decide(others=["x"], held=["a"])
    worker.shares.note_outage(worker.now_s)

    at_once = worker.decide(free=["b"], held=["a"])
    when_they_did_not = worker.decide(free=["b"], held=["a"], after_s=LEASE_S)

    assert at_once == Moves()
    assert when_they_did_not == Moves(take=("b",), at_most=1)


def test_a_queue_that_goes_away_again_and_again_does_not_put_off_a_takeover_for_ever() -> None:
    worker = Worker("a", "b")
    worker.decide(others=["x"], held=["a"])
    taken = []
    for _ in range(4):
        worker.shares.note_outage(worker.now_s)
        taken.append(worker.decide(free=["b"], held=["a"], after_s=LEASE_S / 2).take)

    assert taken == [(), (), ("b",), ("b",)]


def test_an_outage_before_the_first_look_delays_nothing() -> None:
    worker = Worker("a")
    worker.shares.note_outage(worker.now_s)

    assert worker.decide(free=["a"]).take == ("a",)


def test_what_a_worker_kept_above_its_share_is_for_a_new_team_to_have() -> None:
    worker = Worker("a", "b")
    worker.decide(others=["x"], free=["b"], held=["a"])
    worker.decide(others=["x"], free=["b"], held=["a"], after_s=LEASE_S)

    worker.decide(others=["y"], held=["a", "b"])

    assert worker.decide(others=["y"], held=["a", "b"], after_s=LEASE_S) == Moves(give_back=("b",))


def test_any_number_of_workers_that_come_and_go_end_with_all_sources_read_and_no_moves_left() -> None:
    """The decisions of all together, on a table that stands for the leases."""
    wanted = tuple(f"cam-{number}" for number in range(23))
    workers: dict[str, Worker] = {}
    held: dict[str, list[str]] = {}
    moved = 0

    def play(rounds: int) -> None:
        nonlocal moved
        moved = 0
        for _ in range(rounds):
            for name, worker in workers.items():
                free = [source for source in wanted if not any(source in mine for mine in held.values())]
                moves = worker.decide(others=[o for o in workers if o != name], free=free, held=held[name], after_s=1.5)
                taken = [source for source in moves.take if source in free][: moves.at_most]
                held[name] = [source for source in held[name] if source not in moves.give_back] + taken
                moved += len(taken)

    for team in (["a"], ["a", "b"], ["a", "b", "c"], ["b", "c"], ["c", "d", "e", "f"], ["f"]):
        workers = {name: workers.get(name, Worker(*wanted)) for name in team}
        held = {name: held.get(name, []) for name in team}
        play(40)
        share = -(-len(wanted) // len(team))

        assert sorted(source for mine in held.values() for source in mine) == sorted(wanted)
        assert max(len(mine) for mine in held.values()) <= share
        play(40)
        assert moved == 0
