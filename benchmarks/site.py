"""The configuration that benchmarks run on, and the checkpoints that it names."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml

from benchmarks.free_scorer import WANTED
from xclip_stream.model import XCLIPConfig, XCLIPModel, XCLIPProcessor, XCLIPTextConfig, XCLIPVisionConfig
from xclip_stream.model.checkpoint_files import FrameRules

PROMPTS = (WANTED, "two people fighting", "a person climbing over a fence", "a person stealing a bicycle")
BACKGROUND = (
    "a person walking",
    "an empty street",
    "cars driving past",
    "a person standing still",
    "leaves moving in the wind",
    "a dog walking",
    "rain falling on a street",
    "the shadow of a tree",
)
SPAN_S, STRIDE_S = 4.0, 1.0
ALWAYS = {"enter": 1e-6, "exit": 0.0, "max_duration_s": 86_400}
"""A rule that is true from the first window to the last one, whatever a model of random weights says."""
TURNS = {"enter": 0.6, "exit": 0.4}
"""A rule that begins and ends as the scores turn."""


def full_size(folder: Path) -> Path:
    """Write a B/32 of the published shape, with random weights."""
    return _written(XCLIPConfig(), folder)


def shape_only(folder: Path) -> Path:
    """Write a checkpoint whose windows are those of a B/32, 8 frames of 224 px, and which is next to nothing itself."""
    text = XCLIPTextConfig(hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2)
    vision = XCLIPVisionConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        mit_hidden_size=32,
        mit_intermediate_size=64,
        mit_num_attention_heads=2,
        patch_size=32,
    )
    config = XCLIPConfig(text_config=text, vision_config=vision, projection_dim=32, prompt_num_attention_heads=2)
    return _written(config, folder)


def _written(config: XCLIPConfig, folder: Path) -> Path:
    """Write a checkpoint of random weights. The tokenizer is the demo's: any text will do for them."""
    torch.manual_seed(0)
    XCLIPModel(config).save_pretrained(folder)
    demo = XCLIPProcessor.from_pretrained("demo")
    rules = FrameRules(image_px=224, fit="crop", mean=demo.rules.mean, std=demo.rules.std)
    XCLIPProcessor(demo.tokenizer, rules).save_pretrained(folder)
    return folder


class Site:
    """A configuration file that is written anew when its sources change; the workers follow it."""

    def __init__(
        self, folder: Path, *, checkpoint: Path, rule: Mapping[str, Any], model: Mapping[str, Any] | None = None
    ) -> None:
        self.path = folder / "site.yaml"
        self._document = {
            "version": 1,
            "model": {"checkpoint": str(checkpoint), "device": "cpu", **(model or {})},
            "redis": {"dir": str(folder / "redis")},
            "rules": [{"id": "any", "prompts": list(PROMPTS), "background": list(BACKGROUND), **rule}],
            "sinks": [{"id": "file", "type": "jsonl", "path": str(folder / "events.jsonl")}],
        }

    def write(self, sources: Sequence[Mapping[str, Any]]) -> Path:
        draft = self.path.with_suffix(".draft")
        draft.write_text(yaml.safe_dump({**self._document, "sources": [dict(source) for source in sources]}))
        draft.replace(self.path)
        return self.path


def about_prompts(processor: XCLIPProcessor) -> dict[str, object]:
    """Return how many prompts there are and how long they are."""
    lengths = [len(processor.encode_text([prompt])[0][0]) for prompt in (*PROMPTS, *BACKGROUND)]
    return {
        "prompts": len(lengths),
        "tokens_of_a_prompt": round(sum(lengths) / len(lengths), 1),
        "tokens_of_the_longest": max(lengths),
    }
