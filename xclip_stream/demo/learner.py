"""The learner: losses, optimisers and moving averages of the demo's three stages of training.

The vision tower first learns single frames with help from joints, patch cover and a guide for the class token's
attention; then the text tower meets shared class prototypes; then the whole X-CLIP learns windows against prompts.
"""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  # its name everywhere
from tokenizers import Tokenizer
from torch import Tensor, nn

from xclip_stream.demo.batches import Footage, FrameBatch, Prompts
from xclip_stream.demo.muon import Muon
from xclip_stream.demo.network import ClassAttention, Heads, demo_config, spread_matrices, whiten_patches
from xclip_stream.demo.plan import STAGES, TrainingPlan
from xclip_stream.demo.pool import FRAMES
from xclip_stream.demo.script import ACTIVITIES
from xclip_stream.demo.team import ALONE, Team
from xclip_stream.model.network import XCLIPModel, normalise

_VISION_SHARE = 0.08  # how fast the vision tower moves in the last stage; four times as much undoes the first stage


class Learner:
    """One training run; `advance` takes the next step of the plan."""

    def __init__(self, plan: TrainingPlan, footage: Footage, tokenizer: Tokenizer, *, team: Team = ALONE) -> None:
        torch.manual_seed(plan.seed)
        self.plan = plan
        self.team = team
        self.step = 0
        self.model = XCLIPModel(demo_config(tokenizer.get_vocab_size()))
        self.heads = Heads()
        spread_matrices(self.model)
        rng = np.random.default_rng((plan.seed, 9))
        self._footage = footage
        self._prompts = Prompts(tokenizer)
        whiten_patches(self.model, footage.sample_pictures(rng, scenes=40))
        self._attention = ClassAttention(self.model)
        self._stage = ""
        self._optimizers: list[torch.optim.Optimizer] = []
        self.average = {name: value.detach().clone() for name, value in self.model.state_dict().items()}

    def advance(self) -> tuple[str, float]:
        """Take one step; returns the stage's name and the loss."""
        stage, within, steps = self.plan.place(self.step)
        if stage != self._stage:
            self._enter(stage)
        rng = np.random.default_rng((self.plan.seed, STAGES.index(stage), within, self.team.rank))
        progress = within / steps
        loss = {"frames": self._frames_loss, "text": self._text_loss, "windows": self._windows_loss}[stage](
            rng, progress
        )
        for optimizer in self._optimizers:
            optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch has not typed it
        self.team.average([p for p in (*self.model.parameters(), *self.heads.parameters()) if p.grad is not None])
        rate = _rate(stage, progress, within)
        for optimizer in self._optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["peak"] * rate
            optimizer.step()
        self.step += 1
        self._follow(0.995 if stage == "frames" else 0.998)
        return stage, float(loss.detach())

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to go on from here."""
        return {
            "step": self.step,
            "model": self.model.state_dict(),
            "heads": self.heads.state_dict(),
            "average": self.average,
            "optimizers": [optimizer.state_dict() for optimizer in self._optimizers],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved state of the same plan."""
        self.model.load_state_dict(state["model"])
        self.heads.load_state_dict(state["heads"])
        self.average = state["average"]
        self.step = state["step"]
        if self.step:
            self._enter(self.plan.place(self.step - 1)[0])
            for optimizer, saved in zip(self._optimizers, state["optimizers"], strict=True):
                optimizer.load_state_dict(saved)

    def start_from(self, state: dict[str, Any]) -> None:
        """Begin with the averaged weights of a finished run, and its heads."""
        self.heads.load_state_dict(state["heads"])
        self.start_from_weights(state["average"])

    def start_from_weights(self, weights: dict[str, Tensor]) -> None:
        """Begin with the weights of a model, in any precision; the heads are new."""
        self.model.load_state_dict(weights)
        self.average = {name: value.detach().clone() for name, value in self.model.state_dict().items()}

    def averaged_model(self) -> XCLIPModel:
        """A copy of the model with the averaged weights."""
        model = XCLIPModel(self.model.config)
        model.load_state_dict(self.average)
        return model.eval()

    def _enter(self, stage: str) -> None:
        self._stage = stage
        self._optimizers = _optimizers(self.model, self.heads, stage)

    @torch.no_grad()
    def _follow(self, keep: float) -> None:
        now = self.model.state_dict()
        torch._foreach_lerp_(list(self.average.values()), [now[name] for name in self.average], 1.0 - keep)

    def _frames_loss(self, rng: np.random.Generator, progress: float) -> Tensor:
        batch = self._footage.frames(rng, self.plan.frames_batch // self.team.size)
        vision = self.model.vision_model
        tokens = vision.encoder(vision.pre_layernorm(vision.embeddings(batch.pixels)), 1)
        classes = vision.post_layernorm(tokens[:, 0])
        guide = 0.3 * max(0.0, 1.0 - progress / 0.6)
        loss = F.cross_entropy(self.heads.activity(classes), batch.activity, label_smoothing=0.02)
        loss = loss + self._seeing_loss(batch, tokens, classes) + 0.5 * self._patch_loss(batch, tokens)
        return loss + guide * self._attention.on(batch.cover) if guide else loss

    def _seeing_loss(self, batch: FrameBatch, tokens: Tensor, classes: Tensor) -> Tensor:
        """Where the joints are, from the class token; what is covered, from each patch."""
        joints = self.heads.joints(classes).reshape(-1, 13, 2)
        error = F.smooth_l1_loss(joints, batch.joints, beta=0.1, reduction="none").mean(dim=(1, 2))
        found = (error * batch.has_joints).sum() / batch.has_joints.sum().clamp(min=1)
        cover = self.heads.cover(tokens[:, 1:]).squeeze(-1)
        return 2.0 * found + F.binary_cross_entropy_with_logits(cover, batch.cover)

    def _patch_loss(self, batch: FrameBatch, tokens: Tensor) -> Tensor:
        """The activity from each covered patch."""
        logits = self.heads.patch_activity(tokens[:, 1:])
        labels = batch.activity[:, None].expand(-1, logits.shape[1])
        each = F.cross_entropy(logits.movedim(-1, 1), labels, reduction="none")
        mean: Tensor = (each * batch.cover).sum() / batch.cover.sum().clamp(min=1.0)
        return mean

    def _text_loss(self, rng: np.random.Generator, progress: float) -> Tensor:
        del progress
        features = normalise(self.model.get_text_features(self._prompts.draw(rng, dropout=0.1)))
        return F.cross_entropy(features @ normalise(self.heads.prototypes).T * 12.0, torch.arange(len(ACTIVITIES)))

    def _windows_loss(self, rng: np.random.Generator, progress: float) -> Tensor:
        batch = self._footage.windows(rng, self.plan.windows_batch // self.team.size)
        ids = [self._prompts.draw(rng, dropout=dropout) for dropout in (0.0, 0.2)]
        vision = self.model.vision_model
        tokens = vision.encoder(vision.pre_layernorm(vision.embeddings(batch.frames.pixels)), FRAMES)
        classes = vision.post_layernorm(tokens[:, 0])
        video, patches = self.model.integrate(classes).pooler_output, self.model.project_patches(tokens)
        loss = tokens.new_zeros(())
        for some in ids:
            pair = self.model.embed_pairs(video, patches, self.model.get_text_features(some))
            loss = loss + 0.5 * F.cross_entropy(self.model.match(*pair), batch.shares)
        prototypes = normalise(video) @ normalise(self.heads.prototypes).T * 12.0
        by_frame = F.cross_entropy(self.heads.activity(classes), batch.frames.activity)
        aid = 0.3 + (0.06 - 0.3) * progress
        seeing = self._seeing_loss(batch.frames, tokens, classes) + by_frame
        total: Tensor = loss + 0.5 * F.cross_entropy(prototypes, batch.shares) + aid * seeing
        return total


def _rate(stage: str, progress: float, within: int) -> float:
    warm = min(1.0, (within + 1) / 50)
    if stage == "frames":
        return warm * min(1.0, (1.0 - progress) / 0.6)
    return 1.0 if stage == "text" else warm * (1.0 - progress)


def _optimizers(model: XCLIPModel, heads: nn.Module, stage: str) -> list[torch.optim.Optimizer]:
    if stage == "text":
        text = [*model.text_model.parameters(), *model.text_projection.parameters(), *heads.parameters()]
        return [torch.optim.AdamW([_group(text, 1e-3)], weight_decay=0.0)]
    matrices = [p for p in model.vision_model.encoder.parameters() if p.ndim == 2]
    known = {id(p) for p in matrices}
    others = [p for p in model.vision_model.parameters() if id(p) not in known]
    if stage == "frames":
        plain = [_group(others, 2e-3), _group(list(heads.parameters()), 2e-3)]
        return [Muon([_group(matrices, 0.02)]), torch.optim.AdamW(plain, weight_decay=0.05)]
    joins = [model.mit, model.prompts_generator, model.visual_projection]
    joint = [p for part in joins for p in part.parameters() if p.ndim == 2]
    known |= {id(p) for p in (*others, *joint)}
    rest = [p for p in model.parameters() if id(p) not in known]
    plain = [_group(rest + list(heads.parameters()), 1e-3), _group(others, 1e-3 * _VISION_SHARE)]
    return [
        Muon([_group(joint, 0.01), _group(matrices, 0.01 * _VISION_SHARE)]),
        torch.optim.AdamW(plain, weight_decay=0.01),
    ]


def _group(parameters: list[nn.Parameter], peak: float) -> dict[str, Any]:
    return {"params": parameters, "lr": peak, "peak": peak}
