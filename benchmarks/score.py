"""Windows a second of our X-CLIP against that of transformers, with and without its text features kept.

    python benchmarks/score.py [--seconds 45] [--prompts 20] [--batch 4] [--threads N] [--json]

A B/32 with the published shape and random weights, the same in both; the same windows of bytes; each round runs all
variants one after the other in this process, and a ratio is the median of the rounds' ratios, so that whatever else
the machine does meets all of them alike. Needs transformers.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from tokenizers import pre_tokenizers
from torch import Tensor
from transformers import XCLIPConfig as ReferenceConfig
from transformers import XCLIPModel as ReferenceModel

from xclip_stream.model import Scorer, XCLIPConfig, XCLIPModel, XCLIPProcessor
from xclip_stream.model.checkpoint_files import FrameRules
from xclip_stream.model.processor import normalise_frames
from xclip_stream.model.tokenizer import END, START, PromptTokenizer, clip_tokenizer

Score = Callable[[NDArray[np.uint8]], NDArray[np.float32]]

OURS, KEPT, PLAIN = "ours", "transformers, text kept", "transformers"


@dataclass(frozen=True, slots=True)
class Line:
    """What was measured of one variant."""

    variant: str
    windows_per_s: float
    ours_is_faster_by: float
    largest_difference: float


def make_scorer() -> Scorer:
    """A scorer of the published B/32 shape with random weights, whose tokens are single bytes."""
    torch.manual_seed(0)
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), START, END]
    tokenizer = PromptTokenizer(clip_tokenizer({token: i for i, token in enumerate(tokens)}, []), max_tokens=77)
    rules = FrameRules(image_px=224, fit="crop", mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    processor = XCLIPProcessor(tokenizer=tokenizer, rules=rules)
    return Scorer.of(XCLIPModel(XCLIPConfig()).eval(), processor, name="random B/32")


def make_variants(scorer: Scorer, prompts: list[str]) -> dict[str, Score]:
    """Three ways from windows to logits."""
    reference = ReferenceModel(ReferenceConfig.from_dict(scorer.model.config.to_dict())).eval()
    reference.load_state_dict(scorer.model.state_dict())
    ours, (ids, mask) = scorer.encode_prompts(prompts), scorer.processor.encode_text(prompts)
    with torch.inference_mode():
        text = reference.get_text_features(input_ids=ids, attention_mask=mask).pooler_output

    def pixels(windows: NDArray[np.uint8]) -> Tensor:
        return normalise_frames(torch.from_numpy(windows).permute(0, 1, 4, 2, 3), scorer.processor.rules)

    @torch.inference_mode()
    def plain(windows: NDArray[np.uint8]) -> NDArray[np.float32]:
        out = reference(input_ids=ids, attention_mask=mask, pixel_values=pixels(windows))
        return out.logits_per_video.numpy()  # type: ignore[no-any-return]  # transformers is untyped here

    @torch.inference_mode()
    def kept(windows: NDArray[np.uint8]) -> NDArray[np.float32]:
        return reference_logits(reference, pixels(windows), text).numpy()

    return {OURS: lambda windows: scorer.logits(scorer.encode_clips(windows), None, ours), KEPT: kept, PLAIN: plain}


def reference_logits(model: ReferenceModel, videos: Tensor, text: Tensor) -> Tensor:
    """The reference's forward, from its own parts, around text features (K, E) that were kept."""
    count, frames = videos.shape[:2]
    vision = model.vision_model(pixel_values=videos.flatten(0, 1))
    video = model.mit(model.visual_projection(vision.pooler_output).view(count, frames, -1)).pooler_output
    patches = model.prompts_visual_layernorm(vision.last_hidden_state[:, 1:]) @ model.prompts_visual_projection
    patches = patches.view(count, frames, *patches.shape[1:]).mean(dim=1)
    prompted = text.unsqueeze(0).expand(count, -1, -1)
    prompted = prompted + model.prompts_generator(prompted, patches)
    video = video / video.norm(dim=-1, keepdim=True)
    prompted = prompted / prompted.norm(dim=-1, keepdim=True)
    return torch.einsum("bd,bkd->bk", video, model.logit_scale.exp() * prompted)


def measure(variants: dict[str, Score], windows: NDArray[np.uint8], *, seconds: float) -> list[Line]:
    """Run all variants in turn, at least three rounds, until the time is over; the first round only warms up."""
    expected = {name: score(windows) for name, score in variants.items()}
    rounds: list[dict[str, float]] = []
    end = time.perf_counter() + seconds
    while len(rounds) < 3 or time.perf_counter() < end:
        rounds.append({name: _timed(score, windows) for name, score in variants.items()})
    return [
        Line(
            variant=name,
            windows_per_s=len(windows) / statistics.median(taken[name] for taken in rounds),
            ours_is_faster_by=statistics.median(taken[name] / taken[OURS] for taken in rounds),
            largest_difference=float(np.abs(expected[name] - expected[OURS]).max()),
        )
        for name in variants
    ]


def _timed(score: Score, windows: NDArray[np.uint8]) -> float:
    start = time.perf_counter()
    score(windows)
    return time.perf_counter() - start


def show(lines: list[Line], *, prompts: int, batch: int) -> None:
    table = Table(title=f"X-CLIP B/32, 8 frames of 224 px, {prompts} prompts, batches of {batch}, {_threads()}")
    for heading in ("", "windows/s", "ours is faster by", "largest difference of a logit"):
        table.add_column(heading, justify="left" if not heading else "right")
    for line in lines:
        table.add_row(
            line.variant,
            f"{line.windows_per_s:.2f}",
            f"{line.ours_is_faster_by:.2f}×",
            f"{line.largest_difference:.1e}",
        )
    Console().print(table)


def _threads() -> str:
    return f"{torch.get_num_threads()} threads"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=45.0, help="how long to measure")
    parser.add_argument("--prompts", type=int, default=20)
    parser.add_argument("--batch", type=int, default=4, help="windows scored together")
    parser.add_argument("--threads", type=int, help="threads of torch, instead of its own choice")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    prompts = [f"prompt {number:03}" for number in range(options.prompts)]
    variants = make_variants(make_scorer(), prompts)
    windows = np.random.default_rng(0).integers(0, 256, (options.batch, 8, 224, 224, 3), dtype=np.uint8)
    lines = measure(variants, windows, seconds=options.seconds)
    if options.json:
        print(json.dumps([asdict(line) for line in lines], indent=2))
    else:
        show(lines, prompts=options.prompts, batch=options.batch)


if __name__ == "__main__":
    main()
