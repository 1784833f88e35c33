"""What one writes after the documentation of transformers: a video to its events with X-CLIP, in one straight script.

    python -m benchmarks.naive CHECKPOINT

PyAV decodes, `XCLIPProcessor` prepares the text and the eight frames of each window, `XCLIPModel` scores both, softmax
over the prompts, and an event begins or ends where the sum over the wanted ones crosses a threshold. The windows, the
prompts and the rule are those of the benchmark; nothing is kept from one window to the next. A line on its standard
input names a video to watch, a line of JSON says what it took.

https://huggingface.co/docs/transformers/model_doc/xclip
"""

import argparse
import json
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from transformers import XCLIPModel, XCLIPProcessor

from benchmarks.site import ALWAYS, BACKGROUND, PROMPTS, SPAN_S, STRIDE_S


class Naive:
    """The model and its processor, loaded."""

    def __init__(self, checkpoint: str) -> None:
        self.processor = XCLIPProcessor.from_pretrained(checkpoint)
        self.model = XCLIPModel.from_pretrained(checkpoint).eval()
        self.num_frames = self.model.config.vision_config.num_frames

    def score(self, frames: list[Any]) -> float:
        """Score one window of frames (H, W, 3) as the documentation shows it."""
        texts = [*PROMPTS, *BACKGROUND]
        inputs = self.processor(text=texts, videos=list(frames), return_tensors="pt", padding=True)
        with torch.no_grad():
            outputs = self.model(**inputs)
        probabilities = outputs.logits_per_video.softmax(dim=1)
        return float(probabilities[0, : len(PROMPTS)].sum())

    def watch(self, video: Path) -> dict[str, Any]:
        """Watch a video to its end; return how long it took from its first decoded frame, and what was found."""
        events: list[dict[str, Any]] = []
        frames: deque[Any] = deque(maxlen=self.num_frames)
        spacing_s, slot, windows, is_open, started, cpu = SPAN_S / self.num_frames, 0, 0, False, 0.0, 0.0
        every = round(STRIDE_S / spacing_s)
        with av.open(str(video)) as container:
            for frame in container.decode(video=0):
                started = started or time.perf_counter()
                cpu = cpu or time.process_time()
                if float(frame.time or 0) + 0.001 < slot * spacing_s:
                    continue
                frames.append(frame.to_ndarray(format="rgb24"))
                slot += 1
                if slot < self.num_frames or (slot - self.num_frames) % every:
                    continue
                windows += 1
                score = self.score(list(frames))
                if is_open != (score >= ALWAYS["enter"]):
                    is_open = not is_open
                    events.append({"phase": "started" if is_open else "ended", "at_s": float(frame.time or 0)})
        if is_open:
            events.append({"phase": "ended", "at_s": float(frame.time or 0)})
        return {
            "seconds": time.perf_counter() - started,
            "cpu_s": time.process_time() - cpu,
            "windows": windows,
            "events": len(events),
        }


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.naive")
    parser.add_argument("checkpoint")
    options = parser.parse_args()
    start = time.perf_counter()
    naive = Naive(options.checkpoint)
    size_px = naive.model.config.vision_config.image_size
    naive.score([np.zeros((size_px, size_px, 3), np.uint8)] * naive.num_frames)
    print(json.dumps({"ready_s": time.perf_counter() - start}), flush=True)
    for line in sys.stdin:
        print(json.dumps(naive.watch(Path(line.strip()))), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
