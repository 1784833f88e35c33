import pytest

from benchmarks.batching import Server, simulate

SERVER = Server(fixed_s=0.003, window_s=0.001, most=4)


def test_a_lone_window_costs_a_batch_and_waits_as_long_as_it_is_told_to():
    assert simulate([1.0], SERVER, wait_s=0.0).latencies_s == pytest.approx([0.004])
    assert simulate([1.0], SERVER, wait_s=0.010).latencies_s == pytest.approx([0.014])


def test_what_comes_while_a_batch_is_scored_is_the_next_batch():
    found = simulate([0.0, 0.001, 0.002], SERVER, wait_s=0.0)

    assert found.latencies_s == pytest.approx([0.004, 0.008, 0.007])


def test_a_batch_that_is_full_does_not_wait():
    assert simulate([0.0] * 4, SERVER, wait_s=1.0).latencies_s == pytest.approx([0.007] * 4)


def test_there_are_no_more_windows_in_a_batch_than_it_may_have():
    found = simulate([0.0] * 5, SERVER, wait_s=0.0)

    assert found.latencies_s == pytest.approx([0.007] * 4 + [0.011])
    assert found.busy == pytest.approx(1.0)
