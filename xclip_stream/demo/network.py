"""The demo's X-CLIP: its size, how its first weights are made, and the heads that only training uses."""

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F  # noqa: N812  # its name everywhere
from torch import Tensor, nn

from xclip_stream.demo.pool import FRAMES, SIZE_PX
from xclip_stream.demo.script import ACTIVITIES
from xclip_stream.demo.tokenizer import CONTEXT
from xclip_stream.model.configuration import XCLIPConfig, XCLIPTextConfig, XCLIPVisionConfig
from xclip_stream.model.network import XCLIPModel, split_heads

PATCH_PX = 16
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_WIDTH = 128


def demo_config(vocabulary: int) -> XCLIPConfig:
    """About two million parameters: four vision layers and two text layers of width 128."""
    text = XCLIPTextConfig(
        vocab_size=vocabulary,
        hidden_size=_WIDTH,
        intermediate_size=4 * _WIDTH,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=CONTEXT,
        hidden_act="gelu",
        bos_token_id=vocabulary - 2,
        eos_token_id=vocabulary - 1,
        pad_token_id=vocabulary - 1,
    )
    vision = XCLIPVisionConfig(
        hidden_size=_WIDTH,
        intermediate_size=4 * _WIDTH,
        num_hidden_layers=4,
        num_attention_heads=4,
        mit_hidden_size=_WIDTH,
        mit_intermediate_size=4 * _WIDTH,
        mit_num_hidden_layers=1,
        mit_num_attention_heads=4,
        image_size=SIZE_PX,
        patch_size=PATCH_PX,
        num_frames=FRAMES,
        hidden_act="gelu",
    )
    return XCLIPConfig(
        text_config=text,
        vision_config=vision,
        projection_dim=_WIDTH,
        prompt_layers=1,
        prompt_num_attention_heads=4,
        prompt_hidden_act="gelu",
    )


def to_inputs(pictures: npt.NDArray[np.uint8]) -> Tensor:
    """Pictures (..., 96, 96, 3) as the model takes them: (..., 3, 96, 96), ImageNet mean and deviation."""
    mean, std = torch.tensor(MEAN) * 255.0, torch.tensor(STD) * 255.0
    return ((torch.from_numpy(pictures).float() - mean) / std).movedim(-1, -3).contiguous()


class Heads(nn.Module):
    """What training asks of the vision tower beside the prompts; thrown away afterwards."""

    def __init__(self) -> None:
        super().__init__()
        self.activity = nn.Linear(_WIDTH, len(ACTIVITIES))
        self.joints = nn.Linear(_WIDTH, 13 * 2)
        self.cover = nn.Linear(_WIDTH, 1)
        self.patch_activity = nn.Linear(_WIDTH, len(ACTIVITIES))
        self.prototypes = nn.Parameter(torch.randn(len(ACTIVITIES), _WIDTH))


@torch.no_grad()
def whiten_patches(model: XCLIPModel, pictures: npt.NDArray[np.uint8]) -> None:
    """Start the patch embedding from the principal components of real patches, each scaled to equal variance."""
    embeddings = model.vision_model.embeddings
    patches = F.unfold(to_inputs(pictures), PATCH_PX, stride=PATCH_PX).movedim(1, 2).flatten(0, 1).double()
    mean = patches.mean(dim=0)
    values, vectors = torch.linalg.eigh((patches - mean).T @ (patches - mean) / len(patches))
    top, basis = values[-_WIDTH:].flip(0), vectors[:, -_WIDTH:].flip(1)
    whitening = 0.5 * (basis / (top + 0.01 * top.mean()).sqrt()).T
    embeddings.patch_embedding.weight.copy_(whitening.reshape(_WIDTH, 3, PATCH_PX, PATCH_PX))
    embeddings.position_embedding.weight.normal_(std=0.25)
    embeddings.position_embedding.weight[1:] -= (whitening @ mean).float()
    embeddings.class_embedding.normal_(std=0.5)


@torch.no_grad()
def spread_matrices(model: XCLIPModel) -> None:
    """Xavier's initial matrices for the vision tower, the integration transformer and the prompt generator."""
    for part in (model.vision_model.encoder, model.mit, model.prompts_generator):
        for module in part.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
    nn.init.normal_(model.mit.position_embedding, std=0.05)


class ClassAttention:
    """Watches what the class token attends to in the vision layers from the second on, in half of the heads."""

    def __init__(self, model: XCLIPModel) -> None:
        self._layers = list(model.vision_model.encoder.layers)[1:]
        self._heads = model.config.vision_config.num_attention_heads
        self._seen: dict[tuple[int, str], Tensor] = {}
        for index, layer in enumerate(self._layers):
            for name in ("q_proj", "k_proj"):
                getattr(layer.self_attn, name).register_forward_hook(self._keep(index, name))

    def _keep(self, index: int, name: str):  # type: ignore[no-untyped-def]  # torch's hook type
        def keep(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            del module, inputs
            self._seen[index, name] = output

        return keep

    def on(self, cover: Tensor) -> Tensor:
        """Minus log of the attention that lands on covered patches (N, 36), averaged over layers and covered frames."""
        weights = cover / cover.sum(dim=1, keepdim=True).clamp(min=1e-3)
        covered = (cover.sum(dim=1) > 0.2).float()
        total = cover.new_zeros(())
        for index in range(len(self._layers)):
            queries, keys = (self._seen[index, name] for name in ("q_proj", "k_proj"))
            query = split_heads(queries[:, :1], self._heads)[:, : self._heads // 2, 0]  # (N, heads/2, d)
            key = split_heads(keys, self._heads)[:, : self._heads // 2]  # (N, heads/2, P+2, d)
            attention = (torch.einsum("nhd,nhpd->nhp", query, key) * query.shape[-1] ** -0.5).log_softmax(dim=-1)
            on_patches = attention[:, :, 1 : 1 + cover.shape[1]]
            total = total - ((on_patches * weights[:, None]).sum(dim=-1).mean(dim=1) * covered).mean()
        return total / len(self._layers)
