"""Models written by either side and read by the other, whole, in shards, as pickles; and files to refuse."""

import json
import logging
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import XCLIPModel as ReferenceModel
from transformers import XCLIPTextModel as ReferenceTextModel
from transformers import XCLIPVisionModel as ReferenceVisionModel

from tests.model.reference import Pair, differing, make_pair, random_inputs
from xclip_stream.errors import CheckpointError
from xclip_stream.model import XCLIPConfig, XCLIPModel, XCLIPTextModel, XCLIPVisionModel


@pytest.fixture
def pair() -> Pair:
    return make_pair("deep integration")


def same_weights(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    mine, theirs = one.state_dict(), other.state_dict()
    return mine.keys() == theirs.keys() and all(torch.equal(mine[name], theirs[name]) for name in mine)


def write(folder: Path, config: XCLIPConfig, weights: dict[str, Tensor]) -> Path:
    config.save_pretrained(folder)
    save_file({name: tensor.contiguous() for name, tensor in weights.items()}, folder / "model.safetensors")
    return folder


@torch.no_grad()
@pytest.mark.parametrize("shard", ["1GB", "30KB"])
def test_what_the_reference_saves_is_read_whole_or_in_shards(tmp_path, pair, shard):
    pair.reference.save_pretrained(tmp_path, max_shard_size=shard)
    assert (tmp_path / "model.safetensors").exists() == (shard == "1GB")

    ours = XCLIPModel.from_pretrained(tmp_path)

    assert not ours.training
    assert ours.config == pair.config
    inputs = random_inputs(pair.config)
    assert differing(ours(**inputs), pair.reference(**inputs)) == {}


def test_what_is_saved_here_is_read_by_the_reference(tmp_path, pair):
    pair.ours.save_pretrained(tmp_path)

    reference, report = ReferenceModel.from_pretrained(tmp_path, output_loading_info=True)

    assert same_weights(reference, pair.reference)
    assert not any(report[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert {path.name for path in tmp_path.iterdir()} == {"config.json", "model.safetensors"}


@pytest.mark.parametrize("zipped", [True, False])
def test_pickled_weights_are_read_whole_or_in_shards(tmp_path, pair, zipped):
    weights = pair.ours.state_dict()
    pair.config.save_pretrained(tmp_path)
    torch.save(weights, tmp_path / "pytorch_model.bin", _use_new_zipfile_serialization=zipped)
    assert same_weights(XCLIPModel.from_pretrained(tmp_path), pair.ours)

    (tmp_path / "pytorch_model.bin").unlink()
    names = list(weights)
    places = {name: f"pytorch_model-{number % 2}.bin" for number, name in enumerate(names)}
    for place in set(places.values()):
        torch.save({name: weights[name] for name in names if places[name] == place}, tmp_path / place)
    (tmp_path / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": places}))
    assert same_weights(XCLIPModel.from_pretrained(tmp_path), pair.ours)


def test_counters_of_older_files_are_no_weights(tmp_path, pair):
    counters = {f"{tower}_model.embeddings.position_ids": torch.arange(9) for tower in ("text", "vision")}
    write(tmp_path, pair.config, pair.ours.state_dict() | counters)

    assert same_weights(XCLIPModel.from_pretrained(tmp_path), pair.ours)


def test_towers_are_read_from_a_whole_model(tmp_path, pair):
    pair.reference.save_pretrained(tmp_path)

    text, vision = XCLIPTextModel.from_pretrained(tmp_path), XCLIPVisionModel.from_pretrained(tmp_path)

    assert same_weights(text, pair.reference.text_model)
    assert same_weights(vision, pair.reference.vision_model)
    assert (text.config, vision.config) == (pair.config.text_config, pair.config.vision_config)


def test_towers_of_either_side_are_read_by_the_other(tmp_path, pair):
    pair.reference.text_model.save_pretrained(tmp_path / "text")
    pair.ours.vision_model.save_pretrained(tmp_path / "vision")

    ours = XCLIPTextModel.from_pretrained(tmp_path / "text")
    theirs = ReferenceVisionModel.from_pretrained(tmp_path / "vision")

    assert same_weights(ours, pair.ours.text_model)
    assert same_weights(theirs, pair.reference.vision_model)
    assert same_weights(XCLIPVisionModel.from_pretrained(tmp_path / "vision"), pair.ours.vision_model)
    assert same_weights(ReferenceTextModel.from_pretrained(tmp_path / "text"), ours)


def test_a_tower_file_of_older_versions_has_a_prefix(tmp_path, pair):
    pair.config.text_config.save_pretrained(tmp_path)
    weights = {f"text_model.{name}": tensor for name, tensor in pair.ours.text_model.state_dict().items()}
    save_file(weights, tmp_path / "model.safetensors")

    assert same_weights(XCLIPTextModel.from_pretrained(tmp_path), pair.ours.text_model)


def test_half_precision_files_load_to_single_unless_asked(tmp_path, pair):
    pair.ours.half().save_pretrained(tmp_path)
    assert load_file(tmp_path / "model.safetensors")["logit_scale"].dtype == torch.float16

    single, half = (XCLIPModel.from_pretrained(tmp_path, dtype=dtype) for dtype in (torch.float32, torch.bfloat16))

    assert {weight.dtype for weight in single.parameters()} == {torch.float32}
    assert {name for name, weight in half.named_parameters() if weight.dtype != torch.bfloat16} == {"logit_scale"}
    assert half.logit_scale.dtype == torch.float32


def test_a_loaded_model_trains_and_can_be_saved_over_its_own_files(tmp_path, pair):
    pair.ours.save_pretrained(tmp_path)
    model = XCLIPModel.from_pretrained(tmp_path).train()
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)

    model(**random_inputs(model.config), return_loss=True).loss.backward()
    optimiser.step()
    model.save_pretrained(tmp_path)

    assert same_weights(XCLIPModel.from_pretrained(tmp_path), model)
    assert not same_weights(model, pair.ours)


@torch.no_grad()
def test_head_counts_may_be_overridden_and_change_the_scores_alone(tmp_path, pair):
    pair.ours.save_pretrained(tmp_path)

    other = XCLIPModel.from_pretrained(tmp_path, mit_num_attention_heads=4, prompt_num_attention_heads=2)

    assert other.config.vision_config.mit_num_attention_heads == 4
    assert other.config.prompt_num_attention_heads == 2
    assert same_weights(other, pair.ours)
    inputs = random_inputs(pair.config)
    assert differing(other(**inputs), pair.reference(**inputs)).keys() >= {
        "logits_per_video",
        "mit_output.pooler_output",
    }


def test_a_head_count_that_does_not_divide_the_width_is_refused(tmp_path, pair):
    pair.ours.save_pretrained(tmp_path)

    with pytest.raises(CheckpointError, match="prompt_num_attention_heads 5 must divide projection_dim 32"):
        XCLIPModel.from_pretrained(tmp_path, prompt_num_attention_heads=5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"vision_config": {"num_frames": 8}}, "says vision_config.num_frames 8, the weights are made for 4"),
        ({"vision_config": {"image_size": 64}}, "says vision_config.image_size 64, the weights are made for 32"),
        ({"vision_config": {"patch_size": 4}}, "says vision_config.patch_size 4, the weights are made for 8"),
        (
            {"text_config": {"num_hidden_layers": 10**9}},
            "says text_config.num_hidden_layers 1000000000, the weights are made for",
        ),
        (
            {"vision_config": {"num_hidden_layers": 5}},
            "says vision_config.num_hidden_layers 5, the weights are made for 4",
        ),
        ({"vision_config": {"mit_num_hidden_layers": 1}}, "says vision_config.mit_num_hidden_layers 1, the weights"),
        ({"text_config": {"vocab_size": 100}}, "says text_config.vocab_size 100, the weights are made for 99"),
        ({"text_config": {"max_position_embeddings": 76}}, "says text_config.max_position_embeddings 76"),
        ({"prompt_layers": 2}, "says prompt_layers 2, the weights are made for 3"),
    ],
)
def test_a_configuration_that_the_weights_contradict_is_refused_with_the_key(tmp_path, pair, change, message):
    pair.ours.save_pretrained(tmp_path)
    values = pair.config.to_dict()
    for key, value in change.items():
        values[key] = values[key] | value if isinstance(value, dict) else value
    (tmp_path / "config.json").write_text(json.dumps(values))

    with pytest.raises(CheckpointError) as caught:
        XCLIPModel.from_pretrained(tmp_path)

    assert message in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_a_weight_that_is_numbered_as_a_layer_makes_no_layers(tmp_path, pair):
    many = replace(pair.config, text_config=replace(pair.config.text_config, num_hidden_layers=10**9))
    weights = pair.ours.state_dict() | {"text_model.encoder.layers.999999999.mlp.fc1.bias": torch.zeros(1)}

    with pytest.raises(CheckpointError, match=r"config\.json says text_config\.num_hidden_layers 10{9}"):
        XCLIPModel.from_pretrained(write(tmp_path, many, weights))


@pytest.mark.parametrize(
    "name",
    [
        "text_projection.weight",
        "text_model.embeddings.token_embedding.weight",
        "text_model.embeddings.position_embedding.weight",
        "text_model.encoder.layers.0.mlp.fc1.weight",
        "vision_model.embeddings.position_embedding.weight",
        "mit.position_embedding",
    ],
)
def test_a_weight_with_another_number_of_axes_is_named(tmp_path, pair, name):
    weights = pair.ours.state_dict()

    with pytest.raises(CheckpointError, match=rf"{name} has the shape \(\), not"):
        XCLIPModel.from_pretrained(write(tmp_path, pair.config, weights | {name: torch.tensor(1.0)}))


def test_missing_and_unexpected_weights_are_named(tmp_path, pair):
    weights = pair.ours.state_dict()
    fewer = {name: tensor for name, tensor in weights.items() if name not in ("logit_scale", "prompts_generator.alpha")}

    with pytest.raises(CheckpointError, match=r"2 weights are missing: logit_scale, prompts_generator\.alpha"):
        XCLIPModel.from_pretrained(write(tmp_path / "fewer", pair.config, fewer))
    with pytest.raises(CheckpointError, match="1 weights are unexpected: head"):
        XCLIPModel.from_pretrained(write(tmp_path / "more", pair.config, weights | {"head": torch.zeros(3)}))
    with pytest.raises(CheckpointError, match=r"prompts_generator\.alpha has the shape \(3,\), not \(32,\)"):
        XCLIPModel.from_pretrained(
            write(tmp_path / "other", pair.config, weights | {"prompts_generator.alpha": torch.zeros(3)})
        )


def test_a_tower_is_no_whole_model(tmp_path, pair):
    pair.ours.vision_model.save_pretrained(tmp_path)

    with pytest.raises(CheckpointError, match="model_type is 'xclip_vision_model', not 'xclip'"):
        XCLIPModel.from_pretrained(tmp_path)


class Evil:
    """Makes a folder when it is unpickled."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.place),)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("name", ["pytorch_model.bin", "xclip.pth"])
def test_a_pickle_with_code_is_refused_and_the_code_does_not_run(tmp_path, pair, name, zipped):
    pair.config.save_pretrained(tmp_path)
    weights = {**pair.ours.state_dict(), "extra": Evil(tmp_path / "made")}
    torch.save({"model": weights}, tmp_path / name, _use_new_zipfile_serialization=zipped)

    with pytest.raises(CheckpointError) as caught:
        XCLIPModel.from_pretrained(tmp_path)

    assert not (tmp_path / "made").exists()
    assert "refused: it would run code" in str(caught.value)
    assert str(tmp_path / name) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin", "xclip.pth"])
@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"not weights at all", b"\x80\x02}q\x00X", bytes(4096)])
def test_a_damaged_file_is_named_in_one_line(tmp_path, pair, name, content):
    pair.config.save_pretrained(tmp_path)
    (tmp_path / name).write_bytes(content)

    with pytest.raises(CheckpointError) as caught:
        XCLIPModel.from_pretrained(tmp_path)

    assert str(tmp_path / name) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_a_file_cut_short_is_named(tmp_path, pair, name):
    pair.ours.save_pretrained(tmp_path)
    torch.save(pair.ours.state_dict(), tmp_path / "pytorch_model.bin")
    whole = (tmp_path / name).read_bytes()
    (tmp_path / "model.safetensors").unlink()
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])

    with pytest.raises(CheckpointError, match=name):
        XCLIPModel.from_pretrained(tmp_path)


@pytest.mark.parametrize("values", [[1, 2], {"epoch": 3}, {"model": {"a": "text"}}, {0: torch.zeros(2)}])
def test_a_pickle_of_other_things_is_refused(tmp_path, pair, values):
    pair.config.save_pretrained(tmp_path)
    torch.save(values, tmp_path / "pytorch_model.bin")

    with pytest.raises(CheckpointError, match="does not hold weights by their names"):
        XCLIPModel.from_pretrained(tmp_path)


def test_reading_logs_nothing(tmp_path, pair, caplog, capfd):
    pair.ours.save_pretrained(tmp_path)

    with caplog.at_level(logging.DEBUG):
        XCLIPModel.from_pretrained(tmp_path)

    assert caplog.records == []
    assert capfd.readouterr() == ("", "")


def test_reading_a_model_does_not_wait_for_the_compiler_of_torch():
    code = "import sys; from xclip_stream.model import Scorer; Scorer.from_checkpoint('demo'); print(*sys.modules)"

    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()

    assert "torch" in loaded
    assert {"torch._dynamo", "sympy"} & set(loaded) == set()
