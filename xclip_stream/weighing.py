"""What a row of logits says about one rule: the softmax over the rule's own prompts and background."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, isfinite

import numpy as np
from numpy.typing import NDArray

from xclip_stream.types import PromptScore

TOP_PROMPTS = 5
_DIGITS = 4


@dataclass(frozen=True, slots=True)
class Weight:
    """The share of a rule's prompts in its softmax, the prompt with the largest one, and the top five of them all."""

    score: float
    prompt: str
    top_prompts: tuple[PromptScore, ...]


def weigh(
    prompts: Sequence[str], background: Sequence[str], columns: Mapping[str, int], row: Sequence[float] | None
) -> Weight | None:
    """Weigh the logits of one region, `row`, in which a prompt stands at `columns[prompt]`.

    None when the region, or a prompt of the rule, was not scored, or a logit is not finite: that is not a zero.
    """
    wanted = (*prompts, *background)
    if row is None or not all(prompt in columns for prompt in wanted):
        return None
    logits = [row[columns[prompt]] for prompt in wanted]
    if not all(isfinite(logit) for logit in logits):
        return None
    shares = _softmax(logits)
    ranked = sorted(zip(shares, wanted, strict=True), key=lambda pair: -pair[0])
    _, best = max(zip(shares, prompts, strict=False), key=lambda pair: pair[0])
    return Weight(
        score=sum(shares[: len(prompts)]),
        prompt=best,
        top_prompts=tuple(PromptScore(prompt, round(share, _DIGITS)) for share, prompt in ranked[:TOP_PROMPTS]),
    )


def _softmax(logits: Sequence[float]) -> list[float]:
    # Only differences of logits matter; without the shift exp() overflows at 710.
    highest = max(logits)
    powers = [exp(logit - highest) for logit in logits]
    total = sum(powers)
    return [power / total for power in powers]


def weigh_windows(
    prompts: Sequence[str], background: Sequence[str], columns: Mapping[str, int], rows: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the score that `weigh` gives for each row of logits, (N, K); NaN where it gives None."""
    wanted = (*prompts, *background)
    if not all(prompt in columns for prompt in wanted):
        return np.full(len(rows), np.nan)
    logits = rows[:, np.array([columns[prompt] for prompt in wanted])]
    finite = np.logical_and.reduce(np.isfinite(logits), axis=1)
    logits = np.where(finite[:, np.newaxis], logits, 0.0)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares = powers[:, : len(prompts)].sum(axis=1) / powers.sum(axis=1)
    return np.where(finite, shares, np.nan)
