"""X-CLIP, read from top to bottom: attention, blocks, the two towers, the joint model.

Parameter names are the keys of the published checkpoints. The paper is "Expanding Language-Image Pretrained Models
for General Video Recognition" (Ni et al., ECCV 2022).

Shapes: B videos, T frames of a video, N = B*T, P patches of a frame, K prompts, L tokens; D vision width,
W text width, E joint width.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import torch
import torch.nn.functional as F  # noqa: N812  # its name everywhere
from torch import Tensor, nn

from xclip_stream.errors import PromptError, ScoringError
from xclip_stream.model.checkpoints import Pretrained, read_checkpoint, with_heads
from xclip_stream.model.configuration import XCLIPConfig, XCLIPTextConfig, XCLIPVisionConfig

TowerConfig = XCLIPTextConfig | XCLIPVisionConfig


@dataclass(frozen=True, slots=True)
class TowerOutput:
    """What a tower or the integration transformer returns: one vector a token, and one for the whole."""

    last_hidden_state: Tensor
    pooler_output: Tensor


@dataclass(frozen=True, slots=True)
class XCLIPOutput:
    """What the joint model returns. Embeddings are normalised; there is one text embedding for each (video, prompt)."""

    loss: Tensor | None
    logits_per_text: Tensor  # (K, B)
    text_embeds: Tensor  # (B, K, E)
    text_model_output: TowerOutput
    vision_model_output: TowerOutput
    logits_per_video: Tensor  # (B, K)
    video_embeds: Tensor  # (B, E)
    mit_output: TowerOutput


# Small blocks.


class Activation(nn.Module):
    """An activation by the name that configurations use."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.function = _ACTIVATIONS[name]

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def quick_gelu(x: Tensor) -> Tensor:
    """CLIP's approximation of GELU, x * sigmoid(1.702 x), by way of SiLU: that is fewer passes through memory."""
    return F.silu(1.702 * x, inplace=True).div_(1.702)


def _gelu_new(x: Tensor) -> Tensor:
    return F.gelu(x, approximate="tanh")


_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "quick_gelu": quick_gelu,
    "gelu": F.gelu,
    "gelu_new": _gelu_new,
    "relu": F.relu,
    "selu": F.selu,
    "silu": F.silu,
    "tanh": torch.tanh,
}


class DropPath(nn.Module):
    """Drops a residual branch for whole rows of the batch while training (Huang et al. 2016)."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0.0:
            return x
        kept = torch.rand(x.shape[0], *[1] * (x.ndim - 1), dtype=x.dtype, device=x.device) >= self.rate
        return x * kept / (1.0 - self.rate)


class Attention(nn.Module):
    """Multi-head self-attention. `query_tokens` limits the result to the first tokens; all are attended to."""

    def __init__(self, config: TowerConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.heads = config.num_attention_heads
        self.dropout = config.attention_dropout
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, width)

    def forward(
        self, x: Tensor, *, mask: Tensor | None = None, causal: bool = False, query_tokens: int | None = None
    ) -> Tensor:
        q = split_heads(self.q_proj(x), self.heads)[:, :, :query_tokens]
        k, v = split_heads(self.k_proj(x), self.heads), split_heads(self.v_proj(x), self.heads)
        dropout = self.dropout if self.training else 0.0
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal, dropout_p=dropout)
        joined: Tensor = self.out_proj(join_heads(out))
        return joined


def split_heads(x: Tensor, heads: int) -> Tensor:
    return x.reshape(*x.shape[:2], heads, -1).transpose(1, 2)  # (n, tokens, C) -> (n, heads, tokens, C/heads)


def join_heads(x: Tensor) -> Tensor:
    return x.transpose(1, 2).flatten(2)  # (n, heads, tokens, C/heads) -> (n, tokens, C)


class MLP(nn.Module):
    def __init__(self, config: TowerConfig) -> None:
        super().__init__()
        self.act = Activation(config.hidden_act)
        self.fc1 = nn.Linear(config.hidden_size, config.intermediate_size)
        self.fc2 = nn.Linear(config.intermediate_size, config.hidden_size)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc2(self.act(self.fc1(x)))
        return out


class Block(nn.Module):
    """The pre-norm transformer block of the text tower and of the integration transformer."""

    def __init__(self, config: TowerConfig) -> None:
        super().__init__()
        self.self_attn = Attention(config)
        self.layer_norm1 = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.mlp = MLP(config)
        self.layer_norm2 = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, x: Tensor, *, mask: Tensor | None = None, causal: bool = False) -> Tensor:
        x = x + self.self_attn(self.layer_norm1(x), mask=mask, causal=causal)
        out: Tensor = x + self.mlp(self.layer_norm2(x))
        return out


class CrossFrameBlock(nn.Module):
    """The vision tower's block: frames of a video exchange one message each, made anew from their class tokens."""

    def __init__(self, config: XCLIPVisionConfig) -> None:
        super().__init__()
        width, eps = config.hidden_size, config.layer_norm_eps
        self.message_fc = nn.Linear(width, width)
        self.message_ln = nn.LayerNorm(width, eps=eps)
        self.message_attn = Attention(config)
        self.drop_path = DropPath(config.drop_path_rate)
        self.self_attn = Attention(config)
        self.layer_norm1 = nn.LayerNorm(width, eps=eps)
        self.mlp = MLP(config)
        self.layer_norm2 = nn.LayerNorm(width, eps=eps)

    def forward(self, x: Tensor, num_frames: int) -> Tensor:
        message = self.message_fc(x[:, 0]).reshape(-1, num_frames, x.shape[-1])  # (N, D) -> (B, T, D)
        message = message + self.drop_path(self.message_attn(self.message_ln(message)))
        message = message.flatten(0, 1).unsqueeze(1)  # (B, T, D) -> (N, 1, D)

        # The frame's tokens attend to the message too; what the message itself would become is never used.
        tokens = x.shape[1]
        seen = torch.cat([x, message], dim=1)  # (N, P+2, D)
        x = x + self.self_attn(self.layer_norm1(seen), query_tokens=tokens)
        out: Tensor = x + self.mlp(self.layer_norm2(x))
        return out


# The text tower.


class TextEmbeddings(nn.Module):
    def __init__(self, config: XCLIPTextConfig) -> None:
        super().__init__()
        self.token_embedding = nn.Embedding(config.vocab_size, config.hidden_size)
        self.position_embedding = nn.Embedding(config.max_position_embeddings, config.hidden_size)

    def forward(self, input_ids: Tensor, position_ids: Tensor | None) -> Tensor:
        length, most = input_ids.shape[-1], self.position_embedding.num_embeddings
        if length > most:
            raise PromptError(f"a prompt of {length} tokens is longer than the model's {most}; shorten it or truncate")
        if position_ids is None:
            position_ids = torch.arange(length, device=input_ids.device)
        x: Tensor = self.token_embedding(input_ids) + self.position_embedding(position_ids)
        return x


class Encoder(nn.Module):
    def __init__(self, config: TowerConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Block(config) for _ in range(config.num_hidden_layers))

    def forward(self, x: Tensor, *, mask: Tensor | None = None, causal: bool = False) -> Tensor:
        for layer in self.layers:
            x = layer(x, mask=mask, causal=causal)
        return x


class XCLIPTextModel(Pretrained):
    """The text tower: ids (K, L) to one vector of width W for each prompt, read at its end token."""

    config_class = XCLIPTextConfig
    prefix = "text_model."
    config: XCLIPTextConfig

    def __init__(self, config: XCLIPTextConfig) -> None:
        super().__init__()
        self.config = config
        self.embeddings = TextEmbeddings(config)
        self.encoder = Encoder(config)
        self.final_layer_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.apply(lambda module: _initialise(module, config.initializer_range, config.initializer_factor))

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, position_ids: Tensor | None = None
    ) -> TowerOutput:
        """Encode ids (K, L); `attention_mask` (K, L) is 1 where a token counts.

        The pooled token is the first with the largest id: CLIP's end token has the largest id of its vocabulary, and
        the `eos_token_id` of the published configurations is wrong. Raises PromptError for more tokens than positions.
        """
        input_ids = input_ids.reshape(-1, input_ids.shape[-1])
        x = self.embeddings(input_ids, position_ids)
        x = self.encoder(x, mask=causal_mask(attention_mask), causal=attention_mask is None)
        x = self.final_layer_norm(x)
        pooled = x[torch.arange(len(x), device=x.device), input_ids.argmax(dim=-1)]  # (K, L, W) -> (K, W)
        return TowerOutput(x, pooled)


def causal_mask(attention_mask: Tensor | None) -> Tensor | None:
    """Join a padding mask (K, L) with the causal one: (K, 1, L, L), True where a token may look."""
    if attention_mask is None:
        return None
    length = attention_mask.shape[-1]
    past = torch.ones(length, length, dtype=torch.bool, device=attention_mask.device).tril()
    return past & attention_mask.bool()[:, None, None, :]


# The vision tower.


class VisionEmbeddings(nn.Module):
    def __init__(self, config: XCLIPVisionConfig) -> None:
        super().__init__()
        width, patch = config.hidden_size, config.patch_size
        self.image_size = config.image_size
        self.grid_size = config.grid_size
        self.class_embedding = nn.Parameter(torch.empty(width))
        self.patch_embedding = nn.Conv2d(config.num_channels, width, kernel_size=patch, stride=patch, bias=False)
        self.position_embedding = nn.Embedding(config.grid_size**2 + 1, width)

    def forward(self, frames: Tensor, interpolate_pos_encoding: bool = False) -> Tensor:
        height, width = frames.shape[-2:]
        if not interpolate_pos_encoding and (height, width) != (self.image_size, self.image_size):
            raise ScoringError(f"frames are {width}x{height} px, the model takes {self.image_size}x{self.image_size}")
        grid = self.patch_embedding(frames.to(self.patch_embedding.weight.dtype))  # (N, D, rows, columns)
        x = grid.flatten(2).transpose(1, 2)  # (N, P, D)
        x = torch.cat([self.class_embedding.expand(len(x), 1, -1), x], dim=1)  # (N, P+1, D)
        return x + self.positions(*grid.shape[-2:])

    def positions(self, rows: int, columns: int) -> Tensor:
        """Position embeddings (P+1, D) for a grid of patches, resized where it is not the trained one."""
        trained = self.position_embedding.weight
        if (rows, columns) == (self.grid_size, self.grid_size):
            return trained
        square = trained[1:].T.reshape(1, -1, self.grid_size, self.grid_size)  # (1, D, side, side)
        resized = F.interpolate(square, size=(rows, columns), mode="bicubic", align_corners=False)
        return torch.cat([trained[:1], resized.squeeze(0).flatten(1).T])


class CrossFrameEncoder(nn.Module):
    def __init__(self, config: XCLIPVisionConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(CrossFrameBlock(config) for _ in range(config.num_hidden_layers))

    def forward(self, x: Tensor, num_frames: int) -> Tensor:
        for layer in self.layers:
            x = layer(x, num_frames)
        return x


class XCLIPVisionModel(Pretrained):
    """The vision tower: frames of videos to tokens (N, P+1, D) and a class vector (N, D) for each frame."""

    config_class = XCLIPVisionConfig
    prefix = "vision_model."
    config: XCLIPVisionConfig

    def __init__(self, config: XCLIPVisionConfig) -> None:
        super().__init__()
        self.config = config
        self.embeddings = VisionEmbeddings(config)
        self.pre_layernorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.encoder = CrossFrameEncoder(config)
        self.post_layernorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.apply(lambda module: _initialise(module, config.initializer_range, config.initializer_factor))

    def forward(self, pixel_values: Tensor, interpolate_pos_encoding: bool = False) -> TowerOutput:
        """Encode videos (B, T, 3, H, W), or their frames (N, 3, H, W) with those of one video together.

        Raises ScoringError for another T than the configuration's `num_frames` (N must be a multiple of it) and, unless
        `interpolate_pos_encoding`, for another size of frame.
        """
        if pixel_values.ndim == 5:
            pixel_values = flatten_videos(pixel_values, self.config)
        elif pixel_values.ndim != 4 or not len(pixel_values) or len(pixel_values) % self.config.num_frames:
            raise ScoringError(
                f"frames of shape {tuple(pixel_values.shape)} are not whole videos of {self.config.num_frames} frames"
            )
        x = self.pre_layernorm(self.embeddings(pixel_values, interpolate_pos_encoding))
        x = self.encoder(x, self.config.num_frames)
        return TowerOutput(x, self.post_layernorm(x[:, 0]))


def flatten_videos(videos: Tensor, config: XCLIPVisionConfig) -> Tensor:
    """Turn videos (B, T, 3, H, W) into frames (B*T, 3, H, W).

    Any other T is refused: the frames of two videos would exchange messages, and nothing later would notice.
    """
    if videos.ndim != 5 or videos.shape[1] != config.num_frames or not len(videos):
        raise ScoringError(
            f"videos must be (B, {config.num_frames}, {config.num_channels}, H, W) for this model, "
            f"not {tuple(videos.shape)}"
        )
    return videos.flatten(0, 1)


# What joins them.


class IntegrationTransformer(nn.Module):
    """The multi-frame integration transformer (MIT): class vectors of the frames (B, T, E) to a video (B, E)."""

    def __init__(self, config: XCLIPVisionConfig) -> None:
        super().__init__()
        own = replace(
            config,
            hidden_size=config.mit_hidden_size,
            intermediate_size=config.mit_intermediate_size,
            num_hidden_layers=config.mit_num_hidden_layers,
            num_attention_heads=config.mit_num_attention_heads,
        )
        self.position_embedding = nn.Parameter(torch.empty(1, config.num_frames, config.mit_hidden_size))
        self.encoder = Encoder(own)

    def forward(self, frames: Tensor) -> TowerOutput:
        x = frames + self.encoder(frames + self.position_embedding)
        return TowerOutput(x, x.mean(dim=1))


class CrossAttention(nn.Module):
    """Prompts (B or 1, K, E) look at the patches (B, P, E) of their video."""

    def __init__(self, config: XCLIPConfig) -> None:
        super().__init__()
        width = config.projection_dim
        self.heads = config.prompt_num_attention_heads
        self.dropout = config.prompt_attention_dropout
        self.q_proj = nn.Linear(width, width, bias=False)
        self.k_proj = nn.Linear(width, width, bias=False)
        self.v_proj = nn.Linear(width, width, bias=False)
        self.proj = nn.Linear(width, width)
        self.proj_drop = nn.Dropout(config.prompt_projection_dropout)

    def forward(self, text: Tensor, visual: Tensor) -> Tensor:
        q = split_heads(self.q_proj(text), self.heads).expand(len(visual), -1, -1, -1)
        k, v = split_heads(self.k_proj(visual), self.heads), split_heads(self.v_proj(visual), self.heads)
        out = F.scaled_dot_product_attention(q, k, v, dropout_p=self.dropout if self.training else 0.0)
        joined: Tensor = self.proj_drop(self.proj(join_heads(out)))
        return joined


class PromptBlock(nn.Module):
    def __init__(self, config: XCLIPConfig) -> None:
        super().__init__()
        width, eps = config.projection_dim, config.text_config.layer_norm_eps
        self.cross_attn = CrossAttention(config)
        self.norm1 = nn.LayerNorm(width, eps=eps)
        self.norm3 = nn.LayerNorm(width, eps=eps)
        self.mlp = nn.Sequential(
            nn.Linear(width, width * 4),
            Activation(config.prompt_hidden_act),
            nn.Dropout(config.prompt_attention_dropout),
            nn.Linear(width * 4, width),
        )

    def forward(self, text: Tensor, visual: Tensor) -> Tensor:
        text = text + self.cross_attn(self.norm1(text), visual)
        out: Tensor = text + self.mlp(self.norm3(text))
        return out


class PromptGenerator(nn.Module):
    """What each video adds to each prompt: text (K, E) and patches (B, P, E) to (B, K, E)."""

    def __init__(self, config: XCLIPConfig) -> None:
        super().__init__()
        width = config.projection_dim
        self.layernorm = nn.LayerNorm(width, eps=config.vision_config.layer_norm_eps)
        self.decoder = nn.ModuleList(PromptBlock(config) for _ in range(config.prompt_layers))
        self.alpha = nn.Parameter(torch.full((width,), config.prompt_alpha))

    def forward(self, text: Tensor, visual: Tensor) -> Tensor:
        visual = self.layernorm(visual)
        text = text.unsqueeze(0)  # (1, K, E): what no video has touched yet is computed once for all of them
        for layer in self.decoder:
            text = layer(text, visual)
        return self.alpha * text.expand(len(visual), -1, -1)


class XCLIPModel(Pretrained):
    """The joint model: prompts and videos to one logit for each pair."""

    config_class = XCLIPConfig
    config: XCLIPConfig

    def __init__(self, config: XCLIPConfig) -> None:
        super().__init__()
        self.config = config
        vision, text, joint = config.vision_config, config.text_config, config.projection_dim
        self.text_model = XCLIPTextModel(text)
        self.vision_model = XCLIPVisionModel(vision)
        self.visual_projection = nn.Linear(vision.hidden_size, joint, bias=False)
        self.text_projection = nn.Linear(text.hidden_size, joint, bias=False)
        self.logit_scale = nn.Parameter(torch.tensor(config.logit_scale_init_value))
        self.prompts_visual_layernorm = nn.LayerNorm(vision.hidden_size, eps=vision.layer_norm_eps)
        self.prompts_visual_projection = nn.Parameter(torch.empty(vision.hidden_size, joint))
        self.mit = IntegrationTransformer(vision)
        self.prompts_generator = PromptGenerator(config)
        self._initialise_own_parts()

    def forward(
        self,
        input_ids: Tensor,
        pixel_values: Tensor,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        return_loss: bool = False,
        interpolate_pos_encoding: bool = False,
    ) -> XCLIPOutput:
        """Score prompts, ids (K, L), against videos (B, T, 3, H, W).

        With `return_loss` the K prompts and B videos are pairs, K == B, and `loss` is the symmetric contrastive one.
        Raises ScoringError for another T or size of frame than the model's, PromptError for too many tokens.
        """
        vision = self.vision_model(flatten_videos(pixel_values, self.config.vision_config), interpolate_pos_encoding)
        mit = self.integrate(vision.pooler_output)
        text = self.text_model(input_ids, attention_mask, position_ids)
        video_embeds, text_embeds = self.embed_pairs(
            mit.pooler_output, self.project_patches(vision.last_hidden_state), self.text_projection(text.pooler_output)
        )
        logits = self.match(video_embeds, text_embeds)
        loss = contrastive_loss(logits) if return_loss else None
        return XCLIPOutput(loss, logits.T, text_embeds, text, vision, logits, video_embeds, mit)

    def get_text_features(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, position_ids: Tensor | None = None
    ) -> Tensor:
        """Encode ids (K, L) to features (K, E), not normalised and not yet prompted by any video."""
        features: Tensor = self.text_projection(self.text_model(input_ids, attention_mask, position_ids).pooler_output)
        return features

    def get_video_features(self, pixel_values: Tensor, interpolate_pos_encoding: bool = False) -> Tensor:
        """Encode videos (B, T, 3, H, W) to features (B, E), not normalised.

        Their cosine with `get_text_features` is not the model's score: the video's part of each prompt is missing.
        """
        frames = flatten_videos(pixel_values, self.config.vision_config)
        return self.integrate(self.vision_model(frames, interpolate_pos_encoding).pooler_output).pooler_output

    @classmethod
    def from_pretrained(
        cls,
        checkpoint: str | Path,
        *,
        revision: str | None = None,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        mit_num_attention_heads: int | None = None,
        prompt_num_attention_heads: int | None = None,
    ) -> Self:
        """Read a whole model from a local folder, a hub id or one file of the authors, in evaluation mode.

        Head counts cannot be read off the weights, and the published configurations of the large models say 8 for two
        parts that the authors trained with 12: give both as 12 for what they trained.
        """
        stored = read_checkpoint(checkpoint, revision=revision)
        config = with_heads(stored.whole_config(), mit=mit_num_attention_heads, prompt=prompt_num_attention_heads)
        return cls.assemble(stored, config, device=device, dtype=dtype)

    def integrate(self, frame_classes: Tensor) -> TowerOutput:
        """Join the class vectors (N, D) of the frames into videos (B, E)."""
        frames = self.visual_projection(frame_classes)
        video: TowerOutput = self.mit(frames.reshape(-1, self.config.vision_config.num_frames, frames.shape[-1]))
        return video

    def project_patches(self, tokens: Tensor) -> Tensor:
        """Project the patch tokens (N, P+1, D) of a video's frames and average them over its frames: (B, P, E)."""
        patches = self.prompts_visual_layernorm(tokens[:, 1:]) @ self.prompts_visual_projection
        patches = patches.reshape(-1, self.config.vision_config.num_frames, *patches.shape[1:])  # (B, T, P, E)
        mean: Tensor = patches.mean(dim=1)
        return mean

    def embed_pairs(self, video: Tensor, patches: Tensor, text: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised embeddings of the videos (B, E) and, for each video, of the prompts (B, K, E)."""
        text = text + self.prompts_generator(text, patches)  # (K, E) -> (B, K, E)
        return normalise(video), normalise(text)

    def match(self, video_embeds: Tensor, text_embeds: Tensor) -> Tensor:
        """Logits (B, K): scaled cosines. A product and a sum, which autocast leaves in full precision."""
        cosines = (video_embeds.unsqueeze(1) * text_embeds).sum(dim=-1)
        return cosines * self.logit_scale.to(cosines.dtype).exp()

    @torch.no_grad()
    def _initialise_own_parts(self) -> None:
        vision, factor = self.config.vision_config, self.config.initializer_factor
        for part in (self.mit, self.prompts_generator, self.prompts_visual_layernorm):
            part.apply(lambda module: _initialise(module, vision.initializer_range, factor))
        nn.init.normal_(self.text_projection.weight, std=self.config.text_config.hidden_size**-0.5 * factor)
        nn.init.normal_(self.visual_projection.weight, std=vision.hidden_size**-0.5 * factor)
        nn.init.normal_(self.prompts_visual_projection, std=vision.hidden_size**-0.5 * factor)


def normalise(x: Tensor) -> Tensor:
    """Scale vectors to length one, in at least single precision: logits of 20 in half would step by hundredths."""
    x = x.to(torch.promote_types(x.dtype, torch.float32))
    length: Tensor = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    return x / length


def contrastive_loss(logits: Tensor) -> Tensor:
    """The symmetric cross entropy of logits (B, B) in which pair i belongs together."""
    if logits.shape[0] != logits.shape[1]:
        raise ScoringError(f"a loss needs one prompt for each video, not {logits.shape[1]} for {logits.shape[0]}")
    pairs = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, pairs) + F.cross_entropy(logits.T, pairs)) / 2


@torch.no_grad()
def _initialise(module: nn.Module, spread: float, factor: float) -> None:
    """The reference's initial weights, module by module (children come before their parents).

    One departure: transformers 5.23 gives the prompt generator's matrices a deviation of 1, the value of an unrelated
    key, which no training survives. Here they get `spread`, as the authors do.
    """
    match module:
        case nn.Linear():
            nn.init.normal_(module.weight, std=spread)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        case TextEmbeddings():
            nn.init.normal_(module.token_embedding.weight, std=0.02 * factor)
            nn.init.normal_(module.position_embedding.weight, std=0.02 * factor)
        case VisionEmbeddings():
            nn.init.normal_(module.class_embedding, std=len(module.class_embedding) ** -0.5 * factor)
            nn.init.normal_(module.patch_embedding.weight, std=spread * factor)
            nn.init.normal_(module.position_embedding.weight, std=spread * factor)
        case IntegrationTransformer():
            nn.init.normal_(module.position_embedding, std=factor)
        case Encoder() | CrossFrameEncoder():
            for layer in module.layers:
                _initialise_layer(layer, depth=len(module.layers), factor=factor)


def _initialise_layer(layer: nn.Module, *, depth: int, factor: float) -> None:
    """Attention and MLP weights, smaller the deeper the tower."""
    for part in layer.children():
        if isinstance(part, Attention):
            width = part.q_proj.in_features
            for projection in (part.q_proj, part.k_proj, part.v_proj):
                nn.init.normal_(projection.weight, std=(2 * depth * width) ** -0.5 * factor)
            nn.init.normal_(part.out_proj.weight, std=width**-0.5 * factor)
        elif isinstance(part, MLP):
            width = part.fc1.in_features
            nn.init.normal_(part.fc1.weight, std=(2 * width) ** -0.5 * factor)
            nn.init.normal_(part.fc2.weight, std=(2 * depth * width) ** -0.5 * factor)
