"""What the quick way to the pictures of large frames moves in the scores of a model."""

from itertools import islice
from pathlib import Path

import av
import numpy as np

from xclip_stream.config import load_config
from xclip_stream.demo.evaluate import prompts_of, rule_of
from xclip_stream.demo.export import CHECKPOINT
from xclip_stream.model.scorer import Scorer
from xclip_stream.sources.pictures import pictures_of, region_pictures, upright
from xclip_stream.types import ClipGeometry, Pixels, Region

CONFIG = Path(__file__).resolve().parents[2] / "configs" / "demo.yaml"
RULES = [rule_of(rule) for rule in load_config(CONFIG).rules]
PROMPTS = prompts_of(RULES)
WHOLE = (Region(""),)
GEOMETRY = ClipGeometry(8, 96, "stretch")


def probabilities(scorer: Scorer, clip: Pixels) -> list[float]:
    """Return what each rule sees in a clip (8, S, S, 3)."""
    logits = scorer.logits(scorer.encode_clips(clip[np.newaxis]), None, scorer.encode_prompts(PROMPTS))[0]
    shares = dict(zip(PROMPTS, np.exp(logits - logits.max()), strict=True))
    return [
        sum(shares[prompt] for prompt in rule.prompts)
        / sum(shares[prompt] for prompt in (*rule.prompts, *rule.background))
        for rule in RULES
    ]


def test_probabilities_of_real_footage_move_by_less_than_a_twentieth(footage: Path) -> None:
    scorer = Scorer.from_checkpoint(CHECKPOINT)
    with av.open(str(footage / "surveillance" / "opencv_vtest.avi")) as container:
        frames = list(islice(container.decode(video=0), 0, 200, 5))

    quick = np.concatenate([pictures_of(frame, WHOLE, GEOMETRY) for frame in frames])
    exact = np.concatenate([region_pictures(upright(frame), WHOLE, GEOMETRY) for frame in frames])

    for start in range(0, len(frames) - 8, 8):
        clips = quick[start : start + 8], exact[start : start + 8]
        np.testing.assert_allclose(*[probabilities(scorer, clip) for clip in clips], atol=0.05)
