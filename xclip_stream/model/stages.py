"""What is computed for each window, in three stages: of a frame alone, of all frames of a clip, and with the prompts.

The same numbers as the network's, in fewer steps. What can be computed once is folded into the weights: the scale of
the pixels into the patch embedding, the affine part of each norm and the scale of the queries into the products behind
them, the factor of the quick GELU into the products around it, and the three products of an attention into one.

The first block belongs to the frame: its messages are made of the class tokens, which no picture has touched yet, so
they are one constant and carry nothing from frame to frame. From the second block on every token depends on all frames.

Shapes: N frames, B clips, T frames of a clip, P patches of a frame, K prompts; D vision width, E joint width.
"""

from typing import NamedTuple, cast

import torch
import torch.nn.functional as F  # noqa: N812  # its name everywhere
from torch import Tensor, nn

from xclip_stream.model.checkpoint_files import FrameRules
from xclip_stream.model.network import MLP, Attention, CrossFrameBlock, XCLIPModel, join_heads

_QUICK = 1.702


class FoldedLinear(nn.Module):
    """A product with weights (out, in) and bias (out) that are computed from others."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.bias = nn.Parameter(bias, requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight, self.bias)


class FoldedAttention(nn.Module):
    """Self-attention over normed tokens: (n, tokens, D) to (n, `query_tokens`, D), all tokens being attended to."""

    def __init__(self, attention: Attention, norm: nn.LayerNorm) -> None:
        super().__init__()
        self.heads = attention.heads
        scale = (attention.q_proj.out_features // self.heads) ** -0.5
        q = _behind_norm(attention.q_proj, norm, scale)
        k, v = _behind_norm(attention.k_proj, norm), _behind_norm(attention.v_proj, norm)
        self.qkv = FoldedLinear(torch.cat([q[0], k[0], v[0]]), torch.cat([q[1], k[1], v[1]]))
        self.out_proj = attention.out_proj

    def forward(self, normed: Tensor, query_tokens: int | None = None) -> Tensor:
        qkv = self.qkv(normed).reshape(*normed.shape[:2], 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        q, k, v = qkv[0], qkv[1], qkv[2]  # (n, heads, tokens, D/heads) each
        seen = F.scaled_dot_product_attention(q[:, :, :query_tokens], k, v, scale=1.0)
        out: Tensor = self.out_proj(join_heads(seen))
        return out


class FoldedMLP(nn.Module):
    """The MLP over normed tokens. The quick GELU is silu(1.702 x) / 1.702: both factors move into the weights."""

    def __init__(self, mlp: MLP, norm: nn.LayerNorm) -> None:
        super().__init__()
        quick = mlp.act.name == "quick_gelu"
        factor = _QUICK if quick else 1.0
        weight, bias = _behind_norm(mlp.fc1, norm, factor)
        self.fc1 = FoldedLinear(weight, bias)
        self.fc2 = FoldedLinear(mlp.fc2.weight / factor, mlp.fc2.bias.detach().clone())
        self.act: nn.Module = nn.SiLU() if quick else mlp.act

    def forward(self, normed: Tensor) -> Tensor:
        out: Tensor = self.fc2(self.act(self.fc1(normed)))
        return out


class FoldedBlock(nn.Module):
    """A block of the vision tower, given the messages (N, 1, D) that its frames attend to."""

    def __init__(self, block: CrossFrameBlock) -> None:
        super().__init__()
        self.attention = FoldedAttention(block.self_attn, block.layer_norm1)
        self.mlp = FoldedMLP(block.mlp, block.layer_norm2)
        self.norm1, self.norm2 = _bare(block.layer_norm1), _bare(block.layer_norm2)

    def forward(self, x: Tensor, messages: Tensor) -> Tensor:
        seen = torch.cat([x, messages.expand(x.shape[0], -1, -1)], dim=1)  # (N, P+2, D)
        x = x + self.attention(self.norm1(seen), query_tokens=x.shape[1])
        out: Tensor = x + self.mlp(self.norm2(x))
        return out


class Messages(nn.Module):
    """What the frames of each clip tell each other, made from their class tokens: (N, P+1, D) to (N, 1, D)."""

    def __init__(self, block: CrossFrameBlock, num_frames: int) -> None:
        super().__init__()
        self.num_frames = num_frames
        self.fc = block.message_fc
        self.norm = _bare(block.message_ln)
        self.attention = FoldedAttention(block.message_attn, block.message_ln)

    def forward(self, x: Tensor) -> Tensor:
        messages = self.fc(x[:, 0]).reshape(-1, self.num_frames, x.shape[-1])  # (N, D) -> (B, T, D)
        messages = messages + self.attention(self.norm(messages))
        out: Tensor = messages.reshape(-1, 1, x.shape[-1])
        return out


class Patches(nn.Module):
    """Frames (N, S, S, 3) of RGB bytes to patches (N, P, p*p*3) less the mean; a remainder of pixels is left out."""

    def __init__(self, patch: int, mean: Tensor) -> None:
        super().__init__()
        self.patch = patch
        self.mean = nn.Parameter(mean.repeat(patch**2), requires_grad=False)  # of each number of a patch

    def forward(self, frames: Tensor) -> Tensor:
        patch = self.patch
        side = frames.shape[1] // patch
        squares = frames[:, : side * patch, : side * patch].reshape(-1, side, patch, side, patch, 3)
        # Moved as bytes: a quarter of what they are as numbers.
        patches = squares.transpose(2, 3).reshape(-1, side * side, patch * patch * 3)
        return patches.float() - self.mean


class FrameStage(nn.Module):
    """Frames (N, S, S, 3) of RGB bytes to their tokens behind the first block, (N, P+1, D)."""

    def __init__(self, model: XCLIPModel, rules: FrameRules) -> None:
        super().__init__()
        tower = model.vision_model
        embeddings, first = tower.embeddings, vision_blocks(model)[0]
        weight = embeddings.patch_embedding.weight.detach()
        weight = weight.permute(0, 2, 3, 1)  # (D, 3, p, p) -> (D, p, p, 3), as bytes of a frame lie
        deviation = 255 * torch.tensor(rules.std, device=weight.device)
        # The mean stays in single precision whatever the type of the weights: it would be half a step of a pixel off.
        self.patches = Patches(weight.shape[1], 255 * torch.tensor(rules.mean, device=weight.device))
        folded = (_precise(weight) / deviation).to(weight.dtype)
        self.weight = nn.Parameter(folded.flatten(1), requires_grad=False)
        self.class_token = nn.Parameter(
            (embeddings.class_embedding + embeddings.position_embedding.weight[0]).detach(), requires_grad=False
        )
        self.positions = nn.Parameter(embeddings.position_embedding.weight[1:].detach().clone(), requires_grad=False)
        self.norm = tower.pre_layernorm
        self.block = FoldedBlock(first)
        start = self.norm(self.class_token)[None, None]  # (1, 1, D): of any frame
        frames = model.config.vision_config.num_frames
        messages = Messages(first, frames)(start.expand(frames, 1, -1))
        self.message = nn.Parameter(messages[:1].detach(), requires_grad=False)

    def forward(self, frames: Tensor) -> Tensor:
        patches = F.linear(self.patches(frames).to(self.weight.dtype), self.weight) + self.positions  # (N, P, D)
        x = torch.cat([self.class_token.expand(patches.shape[0], 1, -1), patches], dim=1)
        out: Tensor = self.block(self.norm(x), self.message)
        return out


class ClipEnd(nn.Module):
    """The last tokens (B*T, P+1, D) to one vector of each clip (B, E), and the mean of its patches (B, P, E)."""

    def __init__(self, model: XCLIPModel) -> None:
        super().__init__()
        self.num_frames = model.config.vision_config.num_frames
        self.post_layernorm = model.vision_model.post_layernorm
        self.visual_projection = model.visual_projection
        self.mit = model.mit
        self.prompts_visual_layernorm = model.prompts_visual_layernorm
        self.prompts_visual_projection = model.prompts_visual_projection

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        frames = self.visual_projection(self.post_layernorm(x[:, 0]))
        videos = self.mit(frames.reshape(-1, self.num_frames, frames.shape[-1])).pooler_output
        patches = self.prompts_visual_layernorm(x[:, 1:])
        # The mean before the product: a T-th of the work.
        mean = patches.reshape(-1, self.num_frames, *patches.shape[1:]).mean(dim=1)
        return videos, mean @ self.prompts_visual_projection


class ClipStage(nn.Module):
    """The tokens (B*T, P+1, D) of clips to one vector (B, E), and the mean of their patches over time (B, P, E)."""

    def __init__(self, model: XCLIPModel) -> None:
        super().__init__()
        later = vision_blocks(model)[1:]
        self.messages = nn.ModuleList(Messages(block, model.config.vision_config.num_frames) for block in later)
        self.blocks = nn.ModuleList(FoldedBlock(block) for block in later)
        self.end = ClipEnd(model)

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        x = tokens
        for messages, block in zip(self.messages, self.blocks, strict=True):
            x = block(x, messages(x))
        out: tuple[Tensor, Tensor] = self.end(x)
        return out


class PromptStage(nn.Module):
    """Videos (B, E), their patches (B, P, E) and the text features of prompts (K, E) to logits (B, K)."""

    def __init__(self, model: XCLIPModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, videos: Tensor, patches: Tensor, prompts: Tensor) -> Tensor:
        return self.model.match(*self.model.embed_pairs(videos, patches, prompts))


class Stages(NamedTuple):
    """All that is computed for each window, in the order in which it is."""

    frames: FrameStage
    clips: ClipStage
    prompts: PromptStage


@torch.no_grad()
def make_stages(model: XCLIPModel, rules: FrameRules) -> Stages:
    """Return the stages of the model, on its device and in its type.

    They share what is not folded with the model, and leave the model as it was.
    """
    return Stages(FrameStage(model, rules).eval(), ClipStage(model).eval(), PromptStage(model).eval())


def vision_blocks(model: XCLIPModel) -> list[CrossFrameBlock]:
    """Return the blocks of the vision tower, of which the first belongs to a frame alone."""
    return cast(list[CrossFrameBlock], list(model.vision_model.encoder.layers))


def _behind_norm(linear: nn.Linear, norm: nn.LayerNorm, factor: float = 1.0) -> tuple[Tensor, Tensor]:
    """Return weight and bias of the product behind `norm` such that they fit behind the same norm without its own.

    They are computed in single precision at least, and rounded once.
    """
    weight, bias = _precise(linear.weight), _precise(linear.bias)
    folded = weight * _precise(norm.weight), bias + weight @ _precise(norm.bias)
    return (folded[0] * factor).to(linear.weight.dtype), (folded[1] * factor).to(linear.bias.dtype)


def _precise(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _bare(norm: nn.LayerNorm) -> nn.LayerNorm:
    """Return the norm without its weight and bias."""
    return nn.LayerNorm(norm.normalized_shape, eps=norm.eps, elementwise_affine=False)
