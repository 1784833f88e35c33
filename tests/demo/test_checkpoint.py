"""The shipped checkpoint on seeds that neither training, thresholds nor the reported figures used."""

from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import CLIPTokenizer

from xclip_stream.config.load import load_config
from xclip_stream.demo.evaluate import canonical, judge_windows, rule_of, sample_windows, watch
from xclip_stream.demo.export import CHECKPOINT
from xclip_stream.demo.prompts import CANONICAL
from xclip_stream.demo.render import build_demo
from xclip_stream.demo.script import ACTIONS
from xclip_stream.demo.train import demo_tokenizer
from xclip_stream.model import XCLIPModel, XCLIPProcessor
from xclip_stream.model.scorer import Scorer

CONFIG = Path(__file__).resolve().parents[2] / "configs" / "demo.yaml"
FRESH_SEED = 800_000
EACH = 3


@pytest.fixture(scope="module")
def scorer() -> Scorer:
    torch.set_num_threads(1)
    return Scorer.from_checkpoint(CHECKPOINT, device="cpu")


def test_the_checkpoint_fits_into_eight_megabytes():
    assert sum(file.stat().st_size for file in CHECKPOINT.iterdir()) <= 8_000_000


def test_the_checkpoint_loads_strictly_and_sees_stretched_frames():
    model = XCLIPModel.from_pretrained(CHECKPOINT)
    processor = XCLIPProcessor.from_pretrained(CHECKPOINT)
    picture = np.zeros((180, 320, 3), np.uint8)

    inputs = processor(text=list(CANONICAL.values()), videos=[picture] * 8)

    assert inputs["pixel_values"].shape == (1, 8, 3, 96, 96)
    assert model.config.vision_config.num_frames == 8


def test_the_shipped_tokenizer_is_the_one_that_training_makes_and_clips_own_class_reads_it():
    ours, reference = demo_tokenizer(), CLIPTokenizer.from_pretrained(CHECKPOINT)
    texts = [*CANONICAL.values(), "Someone, quite unknown: 42 Fahrräder!"]

    assert [ours.encode(text).ids for text in texts] == reference(texts)["input_ids"]


def test_fresh_windows_are_named_rightly_at_least_85_times_in_a_hundred(scorer):
    chosen = defaultdict(list)
    for seed in range(FRESH_SEED, FRESH_SEED + 5):
        for activity, pictures in sample_windows(seed)[::2]:
            if len(chosen[activity]) < EACH:
                chosen[activity].append((activity, pictures))

    figures = judge_windows(scorer, [window for some in chosen.values() for window in some], canonical())

    assert set(figures.by_activity) >= set(ACTIONS)
    assert figures.mean >= 0.85, figures.confused


def test_the_rules_of_the_demo_tell_all_actions_of_a_fresh_scene_and_nothing_else(scorer):
    rules = [rule_of(rule) for rule in load_config(CONFIG).rules]

    _, agreement = watch(scorer, rules, build_demo(FRESH_SEED))

    assert len(agreement.truth) == 5
    assert agreement.is_right, agreement
