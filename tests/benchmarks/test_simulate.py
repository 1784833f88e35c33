"""The arithmetic from one window to many cameras."""

from typing import Any

import pytest

from benchmarks.simulate import BEGIN, END, Costs, Prices, Site, check, costs_of, plan, plan_table, report, written

COSTS = Costs(
    decode_ms=100.0,
    read_ms=20.0,
    redis_ms=5.0,
    score_ms=3.0,
    alert_ms=1.0,
    deliver_ms=1.0,
    model_ms=500.0,
    reader_mib=20.0,
)
HALF_FULL = Site(fill=0.5)
FREE = Prices()


def linear_details(*, each_ms: tuple[float, float, float] = (20.0, 20.0, 20.0)) -> dict[str, Any]:
    """A run of 1, 4 and 16 sources: 50 MiB once, and 10 MiB for each source."""
    steps = (1, 4, 16)
    return {
        "sources": list(steps),
        "cpu_ms_per_window": {
            str(step): {"all": cost, "windows_per_s": float(step)} for step, cost in zip(steps, each_ms, strict=True)
        },
        "memory": {str(step): {"ingest": {"pss_mib": 10.0 * step}, "alert": {"pss_mib": 50.0}} for step in steps},
        "mib_for_each_further_source": {"ingest": 10.0},
        "video": {"width_px": 320, "height_px": 180, "fps": 10.0},
    }


def results() -> dict[str, Any]:
    stages = {"decode, as of a camera": 100.0, "read": 20.0, "redis": 5.0, "score": 3.0, "alert": 1.0, "deliver": 1.0}
    video = {"width_px": 1920, "height_px": 1080, "fps": 25.0}
    details = {"cpu_ms_per_window": {**stages, "model, float32": 500.0}, "video": video}
    return {
        "machine": {"cores_for_us": 2, "processor": "a processor"},
        "figures": {
            "pipeline_overhead_share": {"value": 0.03, "details": details},
            "linear_64_sources": {"value": 0.02, "details": linear_details()},
        },
    }


def test_cores_follow_from_the_windows_and_from_how_full_a_core_may_be() -> None:
    found = plan(COSTS, HALF_FULL, cameras=100, prices=FREE)

    assert found.windows_per_s == 100
    assert found.ingest_cores == pytest.approx(100 * 0.120 / 0.5)
    assert found.score_cores == pytest.approx(100 * 0.503 / 0.5)
    assert found.gpus == 0


def test_a_gpu_takes_the_model_from_the_processors() -> None:
    site = Site(fill=0.5, gpu_windows_per_s=400.0)

    found = plan(COSTS, site, cameras=1000, prices=FREE)

    assert found.gpus == 5
    assert found.score_cores == pytest.approx(1000 * 0.003 / 0.5)


def test_a_redis_is_split_when_its_one_thread_or_its_link_is_full() -> None:
    by_thread = plan(COSTS, Site(fill=0.5, link_gbit_s=1e6), cameras=200, prices=FREE)
    by_link = plan(COSTS, Site(fill=0.5, link_gbit_s=1.0), cameras=200, prices=FREE)

    assert by_thread.shards == 2  # 200 × 5 ms is a whole thread, of which half may be used
    assert by_link.shards == 4  # 1.93 Gbit/s in, 0.5 Gbit/s for each
    assert plan(COSTS, HALF_FULL, cameras=1, prices=FREE).shards == 1


def test_ten_times_the_cameras_need_ten_times_as_much() -> None:
    few, many = (plan(COSTS, HALF_FULL, cameras=count, prices=FREE) for count in (100, 1000))

    for name in ("ingest_cores", "score_cores", "other_cores", "redis_gbit_s", "redis_gib", "reader_gib"):
        assert getattr(many, name) == pytest.approx(10 * getattr(few, name))


def test_the_cost_of_a_camera_is_that_of_all_divided_by_them() -> None:
    prices = Prices(core=10.0, gib=0.0, gpu=0.0)

    found = plan(COSTS, HALF_FULL, cameras=100, prices=prices)

    assert found.cost == pytest.approx(found.cores * 10.0 / 100)
    assert plan(COSTS, HALF_FULL, cameras=100, prices=FREE).cost is None


def test_the_largest_step_is_predicted_from_the_smaller_ones() -> None:
    cores, memory = check(linear_details(each_ms=(20.0, 20.0, 25.0)))

    assert (cores.sources, cores.predicted, cores.measured) == (16, pytest.approx(0.32), pytest.approx(0.4))
    assert cores.off == pytest.approx(-0.2)
    assert memory.predicted == pytest.approx(memory.measured) == pytest.approx(210.0)


def test_costs_come_from_a_results_file() -> None:
    assert costs_of(results()).ingest_ms == 120.0

    unmeasured = results()
    unmeasured["figures"]["linear_64_sources"]["value"] = None
    with pytest.raises(ValueError, match="--only linear"):
        costs_of(unmeasured)
    with pytest.raises(ValueError, match="model, float32"):
        costs_of(results(), model="model, int4")


def test_the_tables_go_between_the_marks_of_a_page() -> None:
    page = f"# Scaling\n\n{BEGIN}\nold\n{END}\n\nMore.\n"

    made = report(results(), HALF_FULL, FREE, cameras=(10, 10_000), model="model, float32")
    found = written(page, made)

    assert "old" not in found
    assert "| 10,000 |" in found
    assert found.endswith(f"{END}\n\nMore.\n")
    with pytest.raises(ValueError, match="no place"):
        written("# Scaling\n", made)


def test_the_table_has_prices_where_there_are_some() -> None:
    priced = [plan(COSTS, HALF_FULL, cameras=10, prices=Prices(core=10.0))]

    assert "month" in plan_table(priced)
    assert "month" not in plan_table([plan(COSTS, HALF_FULL, cameras=10, prices=FREE)])
