"""The last scores of a camera, kept with the state of its rules: they stand for windows that show the same."""

from base64 import b64decode, b64encode
from dataclasses import dataclass, replace

import numpy as np

from xclip_stream.types import Scores, ScoreStatus


@dataclass(frozen=True, slots=True)
class Basis:
    """The scores of one window of a camera. `logits` is float32, little-endian, in base64: exact, and short as JSON."""

    generation: int
    seq: int
    regions: tuple[str, ...]
    prompts: tuple[str, ...]
    logits: str
    model_name: str
    model_sha256: str


def basis_after(basis: Basis | None, scores: Scores) -> Basis | None:
    """Return what stands for the windows after these scores have had their turn."""
    if scores.live and scores.status is ScoreStatus.SCORED:
        return Basis(
            generation=scores.generation,
            seq=scores.id.seq,
            regions=scores.regions,
            prompts=scores.prompts,
            logits=b64encode(scores.logits.astype("<f4", copy=False).tobytes()).decode(),
            model_name=scores.model_name,
            model_sha256=scores.model_sha256,
        )
    return basis if basis is not None and basis.generation == scores.generation else None


def filled(scores: Scores, basis: Basis | None) -> Scores:
    """Give an UNCHANGED window the scores of the one that it names. All others are returned as they are, and so is one
    that names a window that has no scores: nothing is known of it then.
    """
    if scores.status is not ScoreStatus.UNCHANGED or scores.is_scored or basis is None:
        return scores
    if (basis.generation, basis.seq) != (scores.generation, scores.same_as):
        return scores
    try:
        logits = np.frombuffer(b64decode(basis.logits), "<f4").astype(np.float32, copy=False)
        logits = logits.reshape(len(basis.regions), len(basis.prompts))
    except ValueError:  # somebody else wrote that state
        return scores
    return replace(
        scores,
        regions=basis.regions,
        prompts=basis.prompts,
        logits=logits,
        model_name=basis.model_name,
        model_sha256=basis.model_sha256,
    )
