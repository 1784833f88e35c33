import json
import subprocess
import sys
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import pytest
from transformers import XCLIPConfig as ReferenceConfig

from tests.model.reference import CONFIGS, config_values
from xclip_stream.errors import CheckpointError
from xclip_stream.model import XCLIPConfig, XCLIPTextConfig, XCLIPVisionConfig


def write(folder: Path, values: object) -> Path:
    (folder / "config.json").write_text(json.dumps(values))
    return folder


def test_the_defaults_are_those_of_the_reference():
    expected, found = ReferenceConfig().to_dict(), XCLIPConfig().to_dict()

    for section in ("text_config", "vision_config"):
        own = found.pop(section)
        assert own == {key: expected[section][key] for key in own}
    assert found.pop("architectures") == ["XCLIPModel"]
    assert found == {key: expected[key] for key in found}


@pytest.mark.parametrize("name", CONFIGS)
def test_a_file_of_either_side_is_read_by_the_other(tmp_path, name):
    ours = XCLIPConfig.from_dict(config_values(name))
    ReferenceConfig.from_dict(config_values(name)).save_pretrained(tmp_path / "theirs")
    ours.save_pretrained(tmp_path / "ours")

    assert XCLIPConfig.from_pretrained(tmp_path / "theirs") == ours
    theirs = ReferenceConfig.from_pretrained(tmp_path / "ours").to_dict()
    assert XCLIPConfig.from_dict(theirs) == ours


def test_a_sparse_file_gets_its_gaps_from_the_defaults(tmp_path):
    write(tmp_path, {"model_type": "xclip", "vision_config": {"num_frames": 16}})

    config = XCLIPConfig.from_pretrained(tmp_path)

    assert config == XCLIPConfig(vision_config=XCLIPVisionConfig(num_frames=16))
    assert config.vision_config.patch_size == 32


def test_a_full_dump_of_2022_is_read_and_its_foreign_keys_are_ignored(tmp_path):
    dump = {
        "_commit_hash": "0123",
        "architectures": ["XClipModel"],
        "model_type": "xclip",
        "projection_dim": 512,
        "torch_dtype": "float32",
        "transformers_version": None,
        "text_config": {"_name_or_path": "", "dropout": 0.0, "id2label": {"0": "LABEL_0"}, "eos_token_id": [2, 3]},
        "text_config_dict": None,
        "vision_config": {"image_size": [336, 336], "patch_size": 14, "torchscript": False, "drop_path_rate": 0},
        "vision_config_dict": None,
    }

    config = XCLIPConfig.from_pretrained(write(tmp_path, dump))

    assert config.vision_config == XCLIPVisionConfig(image_size=336, patch_size=14)
    assert isinstance(config.vision_config.drop_path_rate, float)


def test_an_old_second_section_replaces_the_first_as_in_the_reference():
    values = {
        "model_type": "xclip",
        "text_config": {"num_hidden_layers": 3, "hidden_size": 64},
        "text_config_dict": {"num_hidden_layers": 5},
        "vision_config": {"num_frames": 4},
        "vision_config_dict": {"patch_size": 16},
    }

    ours, reference = XCLIPConfig.from_dict(values), ReferenceConfig.from_dict(json.loads(json.dumps(values)))

    assert ours.text_config == XCLIPTextConfig(num_hidden_layers=5)
    assert ours.vision_config == XCLIPVisionConfig(patch_size=16)
    assert (reference.text_config.hidden_size, reference.vision_config.num_frames) == (512, 8)


def test_an_empty_old_section_means_all_defaults():
    assert XCLIPConfig.from_dict({"text_config": {"hidden_size": 64}, "text_config_dict": {}}) == XCLIPConfig()


def test_a_tower_finds_its_part_in_the_file_of_a_whole_model_or_its_own(tmp_path):
    config = XCLIPConfig.from_dict(config_values("eps told apart"))
    config.save_pretrained(tmp_path / "whole")
    config.vision_config.save_pretrained(tmp_path / "vision")

    assert XCLIPTextConfig.from_pretrained(tmp_path / "whole") == config.text_config
    assert XCLIPVisionConfig.from_pretrained(tmp_path / "whole") == config.vision_config
    assert XCLIPVisionConfig.from_pretrained(tmp_path / "vision") == config.vision_config
    with pytest.raises(CheckpointError, match="model_type is 'xclip_vision_model', not 'xclip_text_model'"):
        XCLIPTextConfig.from_pretrained(tmp_path / "vision")


def test_two_towers_make_a_whole():
    text, vision = XCLIPTextConfig(hidden_size=64), XCLIPVisionConfig(mit_hidden_size=64)

    whole = XCLIPConfig.from_text_vision_configs(text, vision, projection_dim=64, prompt_layers=3)

    assert whole == XCLIPConfig(text_config=text, vision_config=vision, projection_dim=64, prompt_layers=3)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"projection_dim": 256}, "mit_hidden_size 512 must equal projection_dim 256"),
        ({"projection_dim": "512"}, "projection_dim must be int, not '512'"),
        ({"prompt_layers": True}, "prompt_layers must be int, not True"),
        ({"prompt_layers": -1}, "prompt_layers must not be negative"),
        ({"prompt_alpha": None}, "prompt_alpha must be float, not None"),
        ({"prompt_num_attention_heads": 7}, "prompt_num_attention_heads 7 must divide projection_dim 512"),
        ({"prompt_hidden_act": "swoosh"}, "prompt_hidden_act 'swoosh' is not one of"),
        ({"prompt_attention_dropout": 1.0}, "prompt_attention_dropout must be at least 0 and less than 1"),
        ({"text_config": []}, "text_config must be an object"),
        ({"text_config": {"num_attention_heads": 0}}, "num_attention_heads 0 must divide hidden_size 512"),
        ({"text_config": {"vocab_size": 0}}, "vocab_size must be greater than 0"),
        ({"vision_config": {"image_size": [224, 336]}}, "image_size must be int"),
        ({"vision_config": {"image_size": [[224, 224]]}}, "image_size must be int"),
        ({"vision_config": {"patch_size": 300}}, "patch_size 300 is larger than image_size 224"),
        ({"vision_config": {"mit_num_attention_heads": 7}}, "mit_num_attention_heads 7 must divide mit_hidden_size"),
        ({"vision_config": {"num_frames": 8.0}}, "num_frames must be int, not 8.0"),
        ({"model_type": "clip"}, "model_type is 'clip', not 'xclip'"),
    ],
)
def test_a_wrong_value_is_refused_with_the_file_and_the_key(tmp_path, values, message):
    write(tmp_path, {"model_type": "xclip", **values})

    with pytest.raises(CheckpointError) as caught:
        XCLIPConfig.from_pretrained(tmp_path)

    assert message in str(caught.value)
    assert str(tmp_path / "config.json") in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", ["", "{", "[1]", "\xff", "[" * 100_000])
def test_a_file_that_is_no_json_object_is_named(tmp_path, content):
    (tmp_path / "config.json").write_bytes(content.encode("latin-1"))

    with pytest.raises(
        CheckpointError, match=r"config\.json: (cannot be read as JSON|must hold a JSON object)"
    ) as caught:
        XCLIPConfig.from_pretrained(tmp_path)

    assert str(caught.value).count("config.json") == 1


def test_a_configuration_cannot_be_changed_only_replaced():
    config = XCLIPVisionConfig()

    with pytest.raises(FrozenInstanceError):
        config.num_frames = 16
    assert replace(config, num_frames=16).num_frames == 16


def test_reading_configurations_and_geometry_imports_no_torch(tmp_path):
    XCLIPConfig().save_pretrained(tmp_path)
    rules = {"size": 224, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(rules))
    program = (
        "import sys, xclip_stream.model as model\n"
        f"print(model.clip_geometry({str(tmp_path)!r}), 'torch' in sys.modules, 'huggingface_hub' in sys.modules)\n"
        "model.XCLIPModel\n"
        "print('torch' in sys.modules, hasattr(model, 'nothing'))\n"
    )

    lines = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout.split(
        "\n"
    )

    assert lines[0] == "ClipGeometry(num_frames=8, image_px=224, fit='crop') False False"
    assert lines[1] == "True False"
