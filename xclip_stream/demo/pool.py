"""The training footage: many short continuous scenes, sampled as windows sample them and kept in memory-mapped files.

A scene is sampled every `SPACING_S`, so any run of eight consecutive samples is a window as the pipeline cuts it.
"""

import io
import multiprocessing
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image
from rich.progress import track

from xclip_stream.demo.figures import Picture
from xclip_stream.demo.places import HEIGHT, WIDTH
from xclip_stream.demo.scenes import TRAINING, Frame, Plan, build_scene
from xclip_stream.demo.script import ACTIVITIES, USUAL, World
from xclip_stream.demo.video import through_h264

SIZE_PX = 96
PATCHES = 6
FRAMES = 8
SPACING_S = 0.5
SAMPLES = 80
_MASK = 4 * PATCHES


@dataclass(frozen=True, slots=True)
class Pool:
    """Footage of S scenes with F samples each: pictures (S, F, 96, 96, 3), activity labels (S, F), the share of each
    patch that the main actors cover in 255ths (S, F, 36), the main person's joints (S, F, 13, 2) in 0..1, NaN if none.
    """

    pictures: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int8]
    cover: npt.NDArray[np.uint8]
    joints: npt.NDArray[np.float16]


_ARRAYS: tuple[tuple[str, type[np.generic], tuple[int, ...]], ...] = (
    ("pictures", np.uint8, (SIZE_PX, SIZE_PX, 3)),
    ("labels", np.int8, ()),
    ("cover", np.uint8, (PATCHES * PATCHES,)),
    ("joints", np.float16, (13, 2)),
)


def shrink(picture: Picture) -> Picture:
    """Stretch a frame to the model's square exactly as the pipeline does: Pillow's antialiased bilinear filter."""
    resized = Image.fromarray(picture).resize((SIZE_PX, SIZE_PX), Image.Resampling.BILINEAR)
    return np.asarray(resized, np.uint8)


def cover_of(frame: Frame) -> npt.NDArray[np.uint8]:
    """How much of each patch the actors of the frame's activity cover, (36,) in 255ths."""
    mask = np.zeros((_MASK, _MASK), np.uint8)
    for seen in frame.seen:
        if seen.activity == frame.activity:
            outline = seen.outline * (_MASK / WIDTH, _MASK / HEIGHT)
            cv2.fillConvexPoly(mask, cv2.convexHull(np.round(outline).astype(np.int32)), 255)
    cover: npt.NDArray[np.uint8] = mask.reshape(PATCHES, 4, PATCHES, 4).mean(axis=(1, 3)).astype(np.uint8).ravel()
    return cover


def joints_of(frame: Frame) -> npt.NDArray[np.float16]:
    """The joints (13, 2) of the first person of the activity, in shares of the picture; NaN if there is none."""
    for seen in frame.seen:
        if seen.activity == frame.activity and seen.joints is not None:
            return (seen.joints / (WIDTH, HEIGHT)).clip(-0.2, 1.2).astype(np.float16)
    return np.full((13, 2), np.nan, np.float16)


@dataclass(frozen=True, slots=True)
class _Job:
    folder: Path
    row: int
    seed: int
    plan: Plan
    world: World


def _render(job: _Job) -> None:
    rng = np.random.default_rng((job.seed, 77))
    scene = build_scene(job.seed, SAMPLES * SPACING_S, plan=job.plan, world=job.world)
    offset = float(rng.integers(5)) / 10
    frames = [scene.frame(offset + index * SPACING_S) for index in range(SAMPLES)]
    pictures = _compressed([frame.picture for frame in frames], rng)
    pool = open_pool(job.folder, mode="r+")
    pool.pictures[job.row] = [shrink(picture) for picture in pictures]
    pool.labels[job.row] = [ACTIVITIES.index(frame.activity) for frame in frames]
    pool.cover[job.row] = [cover_of(frame) for frame in frames]
    pool.joints[job.row] = [joints_of(frame) for frame in frames]


def _compressed(pictures: list[Picture], rng: np.random.Generator) -> list[Picture]:
    """The pictures as they come out of a camera: through H.264 for four scenes in ten, through JPEG for the others."""
    if rng.random() < 0.4:
        return through_h264(pictures, crf=int(rng.integers(18, 29)))
    quality = int(rng.integers(45, 95))
    return [_through_jpeg(picture, quality) for picture in pictures]


def _through_jpeg(picture: Picture, quality: int) -> Picture:
    packed = io.BytesIO()
    Image.fromarray(picture).save(packed, "JPEG", quality=quality)
    return np.asarray(Image.open(packed), np.uint8)


def render_pool(
    folder: Path,
    seeds: Sequence[int],
    *,
    plan: Plan = TRAINING,
    worlds: Sequence[World] = (USUAL,),
    processes: int = 2,
) -> Pool:
    """Render one scene for each seed into `folder`, its world taken in turn from `worlds`; ready ones are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "ready").exists():
        for name, kind, shape in _ARRAYS:
            np.lib.format.open_memmap(
                folder / f"{name}.npy", mode="w+", dtype=kind, shape=(len(seeds), SAMPLES, *shape)
            )
        jobs = [_Job(folder, row, seed, plan, worlds[row % len(worlds)]) for row, seed in enumerate(seeds)]
        with multiprocessing.get_context("forkserver").Pool(processes) as workers:
            for _ in track(workers.imap_unordered(_render, jobs, chunksize=4), "rendering", total=len(jobs)):
                pass
        (folder / "ready").touch()
    return open_pool(folder, mode="r")


def open_pool(folder: Path, *, mode: Literal["r", "r+"]) -> Pool:
    """Map a rendered pool; `mode` is numpy's ("r" to read)."""
    pictures, labels, cover, joints = (np.load(folder / f"{name}.npy", mmap_mode=mode) for name, _, _ in _ARRAYS)
    return Pool(pictures, labels, cover, joints)


def window_targets(labels: npt.NDArray[np.int8]) -> npt.NDArray[np.float32]:
    """The share of each activity in every window: labels (S, F) to (S, F - 7, activities)."""
    hot = np.eye(len(ACTIVITIES), dtype=np.float32)[labels]
    sums = np.concatenate([np.zeros_like(hot[:, :1]), hot.cumsum(axis=1)], axis=1)
    shares: npt.NDArray[np.float32] = (sums[:, FRAMES:] - sums[:, :-FRAMES]) / FRAMES
    return shares
