"""`pipeline_overhead_share`: what a window costs beside its decoding and its model, as a share of the model.

The real workers watch a 1080p file with a model that costs nothing; what they and Redis use of the processors, from
/proc, less what decoding alone uses of the frames that are sampled and those that they are made of, is the overhead.
Each round is followed by the model alone: a B/32 on one thread, which spends nothing on waiting for another. So the
difference of two large figures is never taken. The share is of float32 on the vector units, which all processors have;
of what is faster it is larger, and stands beside.
"""

import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import av
import numpy as np
import redis
import torch

from benchmarks.footage import described, write_full_hd, write_looped
from benchmarks.machine import count_frames, cpu_s_of, decode_sampled
from benchmarks.processes import spent, use_by_role
from benchmarks.ratios import Spread, spread_of
from benchmarks.results import Figure
from benchmarks.scale import Scale
from benchmarks.score import quantised
from benchmarks.site import BACKGROUND, PROMPTS, SPAN_S, STRIDE_S, TURNS, Site, about_prompts, full_size, shape_only
from benchmarks.system import Workers
from workers.score import load_scorer
from xclip_stream.config import load_config
from xclip_stream.model import Scorer, XCLIPProcessor
from xclip_stream.model.batch_scorer import BatchScorer
from xclip_stream.model.matrix_unit import matrix_unit_is_usable
from xclip_stream.protocols import ClipRequest
from xclip_stream.sources.pictures import pictures_of
from xclip_stream.types import WHOLE_FRAME, ClipGeometry, Region

KEY = "pipeline_overhead_share"
AT_MOST = 0.05
GEOMETRY = ClipGeometry(num_frames=8, image_px=224)
FRAMES_A_WINDOW = round(STRIDE_S / (SPAN_S / GEOMETRY.num_frames))
"""How many frames of a window no window before it has had."""
WITHIN_S = 600.0


def measure(scale: Scale) -> Sequence[Figure]:
    video_s = scale.pick(quick=8.0, full=60.0)
    video = write_looped(
        scale.folder / "long.mp4",
        write_full_hd(scale.folder / "full-hd.mp4", seconds=scale.pick(quick=2.0, full=6.0)),
        seconds=video_s,
    )
    checkpoint = full_size(scale.folder / "B32")
    models = load_models(checkpoint, scale.folder)
    site = Site(scale.folder, checkpoint=shape_only(scale.folder / "shape"), rule=TURNS)
    rounds: list[dict[str, float]] = []
    started = time.monotonic()
    with Workers(site, scale.folder, cost_ms=0.0) as workers:
        watch(workers, video, "warm-up")
        ready_s = time.monotonic() - started
        for number in range(scale.rounds):
            windows = scale.pick(quick=2, full=6)
            rounds.append(one_round(workers, video, f"round-{number}", models, windows=windows))
            scale.say(f"round {number + 1} of {scale.rounds}: " + said(rounds[-1]))
        idle = idle_ms(workers, seconds=scale.pick(quick=3.0, full=20.0))
        memory = {role: asdict(use) for role, use in workers.use().items()}
    processor = XCLIPProcessor.from_pretrained(str(checkpoint))
    details = {
        "video": described(video),
        "windows_a_round": round(rounds[0]["windows"]),
        "cpu_ms_per_window": stages(rounds),
        "cpu_ms_per_s_while_idle": idle,
        "share_by_model": {name: asdict(share_of(rounds, name)) for name in models},
        "share_with_idle_of_one_camera": round(
            share_of(rounds, FLOAT32).median + sum(idle.values()) * STRIDE_S / stages(rounds)[FLOAT32], 4
        ),
        "memory": memory,
        "ready_s": round(ready_s, 1),
        "prompts": about_prompts(processor),
    }
    share = share_of(rounds, FLOAT32)
    return [
        Figure(
            key=KEY,
            value=share.median,
            unit="share",
            rival="X-CLIP B/32 in float32 by OpenVINO on one thread, alone",
            spread=share,
            at_most=AT_MOST,
            times_the_floor=spread_of([one["overhead"] / one["floor"] for one in rounds]).median,
            floor="the sampled frames to RGB and to 224 px, and each window once into and out of a bare Redis stream",
            details=details,
        )
    ]


FLOAT32 = "model, float32"


def load_models(checkpoint: Path, folder: Path) -> dict[str, BatchScorer]:
    """Return the model as workers load it, exact and in eight bits."""
    torch.set_num_threads(1)
    os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
    exact = Scorer.from_checkpoint(checkpoint, device="cpu", backend="openvino")
    quantised(exact, folder / "quantized", clips=2)
    kinds: dict[str, Mapping[str, Any]] = {
        FLOAT32: {"threads": 1, "dtype": "float32", "backend": "openvino"},
        "model, int8": {"threads": 1, "quantized": str(folder / "quantized")},
    }
    if matrix_unit_is_usable():
        kinds["model, float32 by amx"] = {"threads": 1, "dtype": "float32", "backend": "amx"}
    models = {}
    for name, keys in kinds.items():
        place = folder / name.rpartition(" ")[2]
        place.mkdir()
        site = Site(place, checkpoint=checkpoint, rule=TURNS, model=keys)
        config = load_config(site.write([{"id": "any", "url": str(folder / "any.mp4")}]))
        models[name] = load_scorer(config, on_progress=lambda: None)
    return models


def watch(workers: Workers, video: Path, source_id: str) -> int:
    """Let the workers watch a video to its end; return how many windows it had."""
    workers.follow([{"id": source_id, "url": str(video)}])
    workers.wait_until_drained([source_id], within_s=WITHIN_S)
    return windows_of(video)


def windows_of(video: Path) -> int:
    """Return how many windows a video has."""
    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        frame_s = 1 / float(stream.average_rate or 1)
        last_s = (container.duration or 0) / av.time_base - frame_s
    spacing_s = SPAN_S / GEOMETRY.num_frames
    return max(1, int((last_s - (SPAN_S - spacing_s)) / STRIDE_S + 1e-6) + 1)


def one_round(
    workers: Workers, video: Path, source_id: str, models: Mapping[str, BatchScorer], *, windows: int
) -> dict[str, float]:
    """Return the processor seconds of one window, by stage, from one pass of all that is compared."""
    before = workers.use(memory=False)
    number = watch(workers, video, source_id)
    used = spent(before, workers.use(memory=False))
    decode = cpu_s_of(lambda: decode_sampled(video, every_s=SPAN_S / GEOMETRY.num_frames))
    found = {role: seconds / number for role, seconds in used.items()}
    found["read"] = found.pop("ingest") - decode / number
    overhead = sum(found.values())
    return {
        **found,
        "decode": decode / number,
        "decode, as of a camera": cpu_s_of(lambda: count_frames(video)) / number,
        "overhead": overhead,
        "floor": frames_floor_s(video) + redis_floor_s(workers.url),
        "windows": number,
        **{name: model_s(model, windows=windows) for name, model in models.items()},
    }


def model_s(model: BatchScorer, *, windows: int) -> float:
    """Return the processor seconds of the model for one window, scored alone as the worker does on a processor."""
    generator = np.random.default_rng()
    requests = [
        ClipRequest(frames=generator.integers(0, 256, (1, 8, 224, 224, 3), np.uint8), prompts=(*PROMPTS, *BACKGROUND))
        for _ in range(windows + 1)
    ]  # new ones each time: what was computed of a frame is kept
    model.score(requests[:1])
    start = time.process_time()
    for request in requests[1:]:
        model.score([request])
    return (time.process_time() - start) / windows


def frames_floor_s(video: Path, *, times: int = 10) -> float:
    """Return the processor seconds for the pictures of one window, made of one decoded frame."""
    with av.open(str(video)) as container:
        frame = next(container.decode(video=0))
        start = time.process_time()
        for _ in range(times):
            pictures_of(frame, (Region(WHOLE_FRAME),), GEOMETRY)
        return FRAMES_A_WINDOW * (time.process_time() - start) / times


def redis_floor_s(url: str, *, times: int = 20) -> float:
    """Return the processor seconds, of the client and the server, for the bytes of a window in and out once."""
    body = os.urandom(8 * 224 * 224 * 3)
    client = redis.Redis.from_url(url, protocol=2)
    server = [int(client.info("server")["process_id"])]
    try:
        before, start = use_by_role(server, memory=False), time.process_time()
        for _ in range(times):
            entry_id = client.xadd("bench:floor", {"frames": body})
            client.xrange("bench:floor", entry_id, entry_id)
            client.xdel("bench:floor", entry_id)
        own = time.process_time() - start
        return (own + sum(spent(before, use_by_role(server, memory=False)).values())) / times
    finally:
        client.delete("bench:floor")
        client.close()


def idle_ms(workers: Workers, *, seconds: float) -> dict[str, float]:
    """Return the processor milliseconds a second of workers that have nothing to do."""
    before = workers.use(memory=False)
    time.sleep(seconds)
    used = spent(before, workers.use(memory=False))
    return {role: round(1000 * value / seconds, 2) for role, value in used.items()}


def share_of(rounds: Sequence[Mapping[str, float]], model: str) -> Spread:
    return spread_of([one["overhead"] / one[model] for one in rounds])


def stages(rounds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the median processor milliseconds of each stage."""
    names = Counter(name for one in rounds for name in one if name != "windows")
    return {name: round(1000 * spread_of([one.get(name, 0.0) for one in rounds]).median, 2) for name in names}


def said(found: Mapping[str, float]) -> str:
    return f"overhead {1000 * found['overhead']:.1f} ms, model {1000 * found[FLOAT32]:.0f} ms a window"
