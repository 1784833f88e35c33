"""Files with the names, layout and company that the authors' own training wrote."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.model.reference import config_values, differing, make_pair, random_inputs, randomise
from xclip_stream.errors import CheckpointError
from xclip_stream.model import XCLIPConfig, XCLIPModel, XCLIPTextModel, XCLIPVisionModel

NAMES = {
    "vision_model.embeddings.patch_embedding.": "visual.conv1.",
    "vision_model.embeddings.class_embedding": "visual.class_embedding",
    "vision_model.embeddings.position_embedding.weight": "visual.positional_embedding",
    "vision_model.pre_layernorm.": "visual.ln_pre.",
    "vision_model.post_layernorm.": "visual.ln_post.",
    "vision_model.encoder.layers.": "visual.transformer.resblocks.",
    "visual_projection.weight": "visual.proj",
    "text_model.encoder.layers.": "transformer.resblocks.",
    "text_model.embeddings.token_embedding.": "token_embedding.",
    "text_model.embeddings.position_embedding.weight": "positional_embedding",
    "text_model.final_layer_norm.": "ln_final.",
    "text_projection.weight": "text_projection",
    "mit.position_embedding": "mit.positional_embedding",
    "mit.encoder.layers.": "mit.resblocks.",
    "prompts_visual_layernorm.": "prompts_visual_ln.",
    "prompts_visual_projection": "prompts_visual_proj",
    "prompts_generator.layernorm.": "prompts_generator.norm.",
}
BLOCKS = {
    ".layer_norm1.": ".ln_1.",
    ".layer_norm2.": ".ln_2.",
    ".mlp.fc1.": ".mlp.c_fc.",
    ".mlp.fc2.": ".mlp.c_proj.",
    ".self_attn.": ".attn.",
}


def original_weights(model: XCLIPModel) -> dict[str, Tensor]:
    """Weights as the authors name and pack them."""
    weights: dict[str, Tensor] = {}
    packed: dict[str, dict[str, Tensor]] = {}
    for name, tensor in model.state_dict().items():
        start = next((known for known in NAMES if name.startswith(known)), "")
        old = NAMES[start] + name.removeprefix(start) if start else name
        for ours, theirs in BLOCKS.items() if ".resblocks." in old else ():
            old = old.replace(ours, theirs)
        part = next(
            (part for part in ("q_proj", "k_proj", "v_proj") if f".{part}." in old and "cross" not in old), None
        )
        if part is not None:
            packed.setdefault(old.replace(f".{part}.", ".in_proj_"), {})[part] = tensor
        else:
            weights[old] = tensor.T.contiguous() if old in ("visual.proj", "text_projection") else tensor
    joined = {
        name: torch.cat([parts[part] for part in ("q_proj", "k_proj", "v_proj")]) for name, parts in packed.items()
    }
    return weights | joined


@pytest.fixture
def yacs(monkeypatch: pytest.MonkeyPatch) -> type[dict[str, Any]]:
    """A class that pickles under the name of the authors' configuration class."""
    module = ModuleType("yacs.config")
    module.CfgNode = type("CfgNode", (dict,), {"__module__": "yacs.config"})
    monkeypatch.setitem(sys.modules, "yacs", ModuleType("yacs"))
    monkeypatch.setitem(sys.modules, "yacs.config", module)
    return module.CfgNode


def save_as_the_authors(model: XCLIPModel, path: Path, cfg_node: type[dict[str, Any]]) -> None:
    settings = cfg_node(MODEL=cfg_node(ARCH="ViT-B/32"), DATA=cfg_node(NUM_FRAMES=4))
    settings.__dict__["__immutable__"] = True
    optimiser = torch.optim.AdamW(model.parameters())
    state = {
        "model": original_weights(model),
        "optimizer": optimiser.state_dict(),
        "lr_scheduler": {"base_values": [8e-6]},
        "max_accuracy": np.float64(80.4),
        "epoch": 29,
        "config": settings,
    }
    torch.save(state, path)


@torch.no_grad()
def test_an_original_file_beside_its_configuration_equals_the_reference(tmp_path, yacs, monkeypatch):
    pair = make_pair("deep integration")
    pair.config.save_pretrained(tmp_path)
    save_as_the_authors(pair.ours, tmp_path / "k400.pth", yacs)
    monkeypatch.delitem(sys.modules, "yacs.config")
    monkeypatch.delitem(sys.modules, "yacs")

    models = [XCLIPModel.from_pretrained(tmp_path), XCLIPModel.from_pretrained(tmp_path / "k400.pth")]

    inputs = random_inputs(pair.config)
    for model in models:
        assert differing(model(**inputs), pair.reference(**inputs)) == {}


@torch.no_grad()
def test_without_a_configuration_all_of_it_is_derived_with_one_head_for_each_64_channels(tmp_path, yacs):
    values = config_values()
    values["text_config"] |= {"hidden_size": 128, "num_attention_heads": 2}
    values["vision_config"] |= {"hidden_size": 192, "num_attention_heads": 3, "num_frames": 6, "patch_size": 16}
    values["vision_config"] |= {"mit_hidden_size": 256, "mit_num_attention_heads": 4}
    values |= {"projection_dim": 256, "prompt_num_attention_heads": 4}
    model = XCLIPModel(XCLIPConfig.from_dict(values)).eval()
    randomise(model)
    save_as_the_authors(model, tmp_path / "xclip.pth", yacs)

    read = XCLIPModel.from_pretrained(tmp_path / "xclip.pth")

    assert read.config == model.config
    inputs = random_inputs(model.config)
    assert torch.equal(read(**inputs).logits_per_video, model(**inputs).logits_per_video)


def test_towers_are_read_from_an_original_file(tmp_path):
    pair = make_pair()
    torch.save({"model": original_weights(pair.ours)}, tmp_path / "xclip.pth")

    text = XCLIPTextModel.from_pretrained(tmp_path / "xclip.pth")
    vision = XCLIPVisionModel.from_pretrained(tmp_path / "xclip.pth")

    for tower, own in ((text, pair.ours.text_model), (vision, pair.ours.vision_model)):
        expected = own.state_dict()
        assert all(torch.equal(weight, expected[name]) for name, weight in tower.state_dict().items())


def test_a_bare_dictionary_from_parallel_training_is_read_too(tmp_path):
    pair = make_pair()
    pair.config.save_pretrained(tmp_path)
    weights = {f"module.{name}": tensor for name, tensor in original_weights(pair.ours).items()}
    torch.save(weights | {"module.context_length": torch.tensor(77)}, tmp_path / "xclip.pth")

    assert XCLIPModel.from_pretrained(tmp_path).config == pair.config


def test_a_converted_model_is_saved_as_any_other(tmp_path):
    pair = make_pair()
    pair.config.save_pretrained(tmp_path)
    torch.save({"model": original_weights(pair.ours)}, tmp_path / "xclip.pth")

    XCLIPModel.from_pretrained(tmp_path / "xclip.pth").save_pretrained(tmp_path / "converted")

    expected = pair.ours.state_dict()
    read = XCLIPModel.from_pretrained(tmp_path / "converted").state_dict()
    assert all(torch.equal(read[name], expected[name]) for name in expected)


def test_an_original_file_with_missing_weights_is_refused_with_their_names(tmp_path):
    pair = make_pair()
    pair.config.save_pretrained(tmp_path / "described")
    weights = original_weights(pair.ours)
    del weights["mit.positional_embedding"]
    torch.save({"model": weights}, tmp_path / "described" / "xclip.pth")
    torch.save({"model": weights}, tmp_path / "xclip.pth")

    with pytest.raises(CheckpointError, match=r"1 weights are missing: mit\.position_embedding"):
        XCLIPModel.from_pretrained(tmp_path / "described")
    with pytest.raises(CheckpointError, match=r"xclip\.pth: the weights do not tell mit_hidden_size: some are missing"):
        XCLIPModel.from_pretrained(tmp_path / "xclip.pth")


def test_other_weights_without_a_configuration_are_refused(tmp_path):
    torch.save(make_pair().ours.state_dict(), tmp_path / "pytorch_model.bin")

    with pytest.raises(CheckpointError, match=r"holds no config\.json"):
        XCLIPModel.from_pretrained(tmp_path)
