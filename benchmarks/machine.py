"""What a machine is and what it cannot go beyond: its matrix products and its decoding, measured.

    python -m benchmarks.machine [--quick]

A figure of the pipeline says little without them: the same code is limited by other things on another machine.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import av
import torch
from av.video.stream import VideoStream

import xclip_stream
from benchmarks.footage import described, write_full_hd
from benchmarks.ratios import spread_of
from xclip_stream.model.matrix_unit import matrix_unit_is_usable

SIDE = 2048
"""Of the square matrices: large enough that the product is all that counts, small enough for the cache of a server."""


def describe(*, quick: bool) -> dict[str, Any]:
    """Return what the machine is, and its peaks as medians of rounds."""
    rounds = 3 if quick else 9
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        video = write_full_hd(Path(folder, "full-hd.mp4"), seconds=2.0 if quick else 6.0)
        decoding = decode_peak(video, rounds=rounds)
    return {
        "cores": os.cpu_count(),
        "cores_for_us": len(os.sched_getaffinity(0)),
        "processor": processor(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "memory_mib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "av": av.__version__,
        "xclip_stream": xclip_stream.__version__,
        "peaks": {"matrix_product": products(rounds=rounds), "decode": decoding},
    }


def products(*, rounds: int) -> dict[str, Any]:
    """Return the arithmetic a second of square products, in 10⁹ operations, for one thread and for all of them."""
    usual = torch.get_num_threads()
    found: dict[str, Any] = {"side": SIDE, "rounds": rounds}
    try:
        for threads in sorted({1, usual}):
            torch.set_num_threads(threads)
            found[f"threads_{threads}"] = {
                name: product_peak(multiply, rounds=rounds) for name, multiply in multiplications().items()
            } | {"float32_by_tiles": tiles_peak(threads, rounds=rounds)}
    finally:
        torch.set_num_threads(usual)
    return found


def best_of_float32(peaks: Mapping[str, Mapping[str, float] | None]) -> float:
    """Return the 10⁹ operations a second of float32 that nothing on this machine goes beyond."""
    return max(peak["best"] for name in ("float32", "float32_by_tiles") if (peak := peaks[name]) is not None)


def multiplications() -> dict[str, Callable[[], object]]:
    """Return what multiplies two matrices in each precision."""
    left, right = torch.randn(SIDE, SIDE), torch.randn(SIDE, SIDE)
    half = left.bfloat16(), right.bfloat16()
    whole = (left * 40).clamp(-127, 127).to(torch.int8), (right * 40).clamp(-127, 127).to(torch.int8)
    return {
        "float32": lambda: left @ right,
        "bfloat16": lambda: half[0] @ half[1],
        "int8": lambda: torch._int_mm(*whole),
    }


def tiles_peak(threads: int, *, rounds: int) -> dict[str, float] | None:
    """Return the same of float32 on the matrix unit, each thread with numbers that lie in its first cache."""
    if not matrix_unit_is_usable() or find_spec("numba") is None:
        return None
    from benchmarks.tiles import add_up, operations  # noqa: PLC0415 - an extra

    times = 400_000  # for long enough that the threads run side by side
    add_up(1)
    with ThreadPoolExecutor(threads) as pool:
        found = []
        for _ in range(rounds):
            start = time.perf_counter()
            list(pool.map(add_up, [times] * threads))
            found.append(threads * operations(times) / (time.perf_counter() - start) / 1e9)
    return {"median": round(spread_of(found).median, 1), "best": round(max(found), 1)}


def product_peak(multiply: Callable[[], object], *, rounds: int) -> dict[str, float] | None:
    """Return the median and the best of some rounds in 10⁹ operations a second; None where it cannot be computed."""
    try:
        for _ in range(2):
            multiply()
    except RuntimeError:
        return None
    found = []
    for _ in range(rounds):
        start = time.perf_counter()
        multiply()
        found.append(2 * SIDE**3 / (time.perf_counter() - start) / 1e9)
    return {"median": round(spread_of(found).median, 1), "best": round(max(found), 1)}


def decode_peak(video: Path, *, rounds: int) -> dict[str, Any]:
    """Return the frames a second of bare decoding with one thread, by ffmpeg where there is one, else by PyAV."""
    ffmpeg = shutil.which("ffmpeg")
    frames = count_frames(video)
    taken, used = [], []
    for _ in range(rounds):
        before, start = cpu_s(), time.perf_counter()
        if ffmpeg:
            command = [ffmpeg, "-v", "error", "-threads", "1", "-i", str(video), "-f", "null", "-"]
            subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
        else:
            count_frames(video)
        taken.append(time.perf_counter() - start)
        used.append(cpu_s() - before)
    return {
        "by": "ffmpeg -threads 1 -f null" if ffmpeg else "PyAV, one thread",
        "video": described(video),
        "frames_per_s": round(frames / spread_of(taken).median, 1),
        "cpu_ms_per_frame": round(1000 * spread_of(used).median / frames, 3),
        "rounds": rounds,
    }


def count_frames(video: Path) -> int:
    """Decode a video with one thread, and nothing else."""
    with av.open(str(video)) as container:
        container.streams.video[0].codec_context.thread_count = 1
        return sum(1 for _ in container.decode(video=0))


def decode_sampled(video: Path, *, every_s: float) -> None:
    """Decode a frame so often and what it is made of, with one thread.

    That is the least that a file costs whose frames come in the order in which they are shown: what lies between the
    last that is wanted and the next key frame is passed over.
    """
    waiting: list[av.Packet[VideoStream]] = []
    due_s = 0.0
    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        for packet in container.demux(stream):
            if packet.pts is None or packet.time_base is None:
                continue
            if packet.is_keyframe:
                waiting.clear()
            waiting.append(packet)
            if float(packet.pts * packet.time_base) + 0.001 >= due_s:
                due_s += every_s
                for each in waiting:
                    each.decode()
                waiting.clear()


def cpu_s_of(work: Callable[[], object]) -> float:
    """Return the processor seconds that it uses in this process."""
    start = time.process_time()
    work()
    return time.process_time() - start


def cpu_s() -> float:
    """Return the processor seconds of this process and of the children that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def processor() -> str:
    """Return the name of the processor, as far as the system says it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def sentence(facts: Mapping[str, Any]) -> str:
    """Return the machine and its peaks in a line or two."""
    products_ = facts["peaks"]["matrix_product"]
    threads = max((key for key in products_ if key.startswith("threads_")), key=lambda key: int(key[8:]))
    peaks = ", ".join(
        f"{name} {value['median']:.0f}" for name, value in products_[threads].items() if value is not None
    )
    decode, load = facts["peaks"]["decode"], facts.get("load_average")
    text = (
        f"{facts['cores_for_us']} cores of {facts['processor']} ({facts['instructions']}); products in 10⁹ operations "
        f"a second: {peaks}; decoding of 1080p: {decode['frames_per_s']:.0f} frames a second by {decode['by']}"
    )
    return text if load is None else f"{text}; load average {load['start'][0]:.1f} before, {load['end'][0]:.1f} after"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.machine", description=__doc__)
    parser.add_argument("--quick", action="store_true")
    print(json.dumps(describe(quick=parser.parse_args().quick), indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
