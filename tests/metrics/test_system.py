"""What a real system shows while it runs."""

import pytest

from tests.metrics.system import ROLES, System


@pytest.mark.parametrize("role", [*ROLES, "exporter"])
def test_each_process_shows_what_every_process_shows(role: str, system: System) -> None:
    shown = system.scrape(role)

    assert shown("worker_ready", role=role) == 1
    assert len(shown.series("build_info")) == 1
    assert shown("process_resident_memory_bytes") > 10e6
    assert not any(name.endswith("_created") for name in shown.names)


def test_what_one_worker_hands_on_the_next_one_counts(system: System) -> None:
    # From the end of the flow to its start: meanwhile it only grows.
    judged = system.scrape("alert")("windows_judged_total", source="film", outcome="scored")
    scored = system.scrape("score")("windows_scored_total", source="film", outcome="scored")
    reader = system.scrape("ingest")
    queued = reader("windows_queued_total", source="film")

    assert 0 < judged <= scored <= queued
    assert reader("frames_read_total", source="film") >= 2.5 * queued  # five frames a second, two windows
    assert reader("readers") == 2


def test_a_frame_is_followed_to_the_alert_and_to_the_delivery(system: System) -> None:
    sink, alert = system.scrape("deliver"), system.scrape("alert")

    alerts = alert("frame_to_alert_seconds_count", rule="anything")
    delivered = sink("frame_to_delivery_seconds_count", sink="log")
    assert 0 < delivered <= alerts == alert("events_total", source="film", rule="anything", phase="started")
    assert sink("frame_to_delivery_seconds_sum", sink="log") > 0


def test_a_sink_that_is_down_shows_its_attempts_and_what_waits_for_it(system: System) -> None:
    sink, queue = system.scrape("deliver"), system.scrape("exporter")

    assert sink("delivery_attempts_total", sink="down", outcome="failed") >= 1
    assert sink("messages_delivered_total", sink="down") == 0
    assert queue("outbox_messages", sink="down") >= 2
    assert queue("outbox_age_seconds", sink="down") > 0
    assert queue("outbox_messages", sink="log") <= queue("outbox_messages", sink="down")


def test_the_exporter_shows_the_sources_and_who_works(system: System) -> None:
    queue = system.scrape("exporter")

    assert queue("queue_up") == 1
    assert queue("source_state", source="film", state="running") == 1
    assert queue("source_state", source="gone", state="running") == 0
    assert queue("lease_held", role="alert") == queue("lease_held", role="source:film") == 1
    assert (queue("scorers_seen"), queue("ingest_workers")) == (1, 1)
    assert queue("events_retained") >= 2
    assert queue("queue_window_bytes") <= queue("queue_window_max_bytes")
