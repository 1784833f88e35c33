import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from xclip_stream.errors import CheckpointError
from xclip_stream.model import ClipGeometry, XCLIPConfig, XCLIPVisionConfig, clip_geometry
from xclip_stream.model.checkpoint_files import WeightFiles, find_weights, read_frame_rules
from xclip_stream.model.locate import Checkpoint, open_checkpoint

PUBLISHED: dict[str, Any] = {
    "feature_extractor_type": "VideoMAEFeatureExtractor",
    "do_center_crop": True,
    "do_normalize": True,
    "do_resize": True,
    "crop_size": {"height": 224, "width": 224},
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
    "resample": 2,
    "size": {"shortest_edge": 224},
}


def checkpoint(folder: Path, rules: dict[str, Any], **vision: Any) -> Path:
    XCLIPConfig(vision_config=XCLIPVisionConfig(**vision)).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(rules))
    return folder


def test_geometry_comes_from_the_published_files(tmp_path):
    folder = checkpoint(tmp_path, PUBLISHED, num_frames=16)

    assert clip_geometry(folder) == ClipGeometry(num_frames=16, image_px=224, fit="crop")


def test_frames_are_cropped_to_the_size_of_the_model_where_the_file_says_none(tmp_path):
    without_crop = {key: value for key, value in PUBLISHED.items() if key != "crop_size"}
    folder = checkpoint(tmp_path, without_crop | {"size": 336}, image_size=336, patch_size=14)

    assert clip_geometry(folder).image_px == 336


def test_a_file_may_ask_to_squeeze_whole_frames(tmp_path):
    folder = checkpoint(tmp_path, PUBLISHED | {"size": {"height": 224, "width": 224}, "do_center_crop": False})

    assert clip_geometry(folder).fit == "stretch"


def test_the_rules_may_stand_inside_the_processors_file_of_later_versions(tmp_path):
    folder = checkpoint(tmp_path, PUBLISHED)
    (folder / "preprocessor_config.json").unlink()
    (folder / "processor_config.json").write_text(json.dumps({"image_processor": PUBLISHED}))

    rules = read_frame_rules(open_checkpoint(folder), image_px=224)

    assert rules.mean == (0.485, 0.456, 0.406)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": 256}, "size 256 does not make frames of the model's image_size 224"),
        ({"size": {"height": 224, "width": 112}}, "size {'height': 224, 'width': 112} does not"),
        ({"do_center_crop": False}, "do_center_crop false"),
        ({"do_normalize": False}, "do_normalize must be true"),
        ({"resample": 3}, r"resample must be 2 (bilinear), not 3"),
        ({"rescale_factor": 1.0}, "rescale_factor must be 1/255"),
        ({"rescale_factor": None}, "rescale_factor must be 1/255, not None"),
        ({"image_processor": None}, "image_processor must be an object, not None"),
        ({"image_mean": 0.5}, "image_mean must be three numbers, not 0.5"),
        ({"image_std": [1, 2]}, "image_std must be three numbers, not [1, 2]"),
        ({"image_std": [0.2, 0.2, 0]}, "image_std must be more than 0, not [0.2, 0.2, 0.0]"),
        ({"image_mean": [0.2, 0.2, float("nan")]}, "image_mean must be three numbers, not [0.2, 0.2, nan]"),
    ],
)
def test_rules_that_the_model_cannot_follow_are_refused_with_the_key(tmp_path, change, message):
    folder = checkpoint(tmp_path, PUBLISHED | change)

    with pytest.raises(CheckpointError) as caught:
        clip_geometry(folder)

    assert message in str(caught.value)
    assert "preprocessor_config.json" in str(caught.value)


@pytest.mark.parametrize("missing", ["config.json", "preprocessor_config.json"])
def test_a_missing_file_is_named(tmp_path, missing):
    folder = checkpoint(tmp_path, PUBLISHED)
    (folder / missing).unlink()

    with pytest.raises(CheckpointError, match=rf"{folder}: holds no {missing}"):
        clip_geometry(folder)


@pytest.mark.parametrize(
    "wrong", ["./nowhere", "/no/such/folder", "nowhere", "a/b/c", "a b/c", "model:latest", "~nobody-here/x"]
)
def test_what_is_neither_folder_nor_hub_id_is_refused_without_asking_the_hub(wrong, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.chdir("/")

    with pytest.raises(CheckpointError, match=r"no such (home )?folder"):
        clip_geometry(wrong)


def test_the_packaged_checkpoint_is_found_by_its_name_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    assert open_checkpoint("demo").name == "demo"
    assert clip_geometry("demo").num_frames > 1


def test_a_url_is_refused_without_showing_its_password():
    with pytest.raises(CheckpointError, match="a URL is no checkpoint") as caught:
        clip_geometry("https://user:s3cret@huggingface.co/microsoft/xclip-base-patch32")
    assert "s3cret" not in str(caught.value)


def test_a_file_in_place_of_a_folder_says_what_to_do(tmp_path):
    (tmp_path / "xclip.pth").touch()

    with pytest.raises(CheckpointError, match="is a file, not a checkpoint folder"):
        clip_geometry(tmp_path / "xclip.pth")


def touch(folder: Path, *names: str) -> Checkpoint:
    for name in names:
        (folder / name).touch()
    return open_checkpoint(folder)


def test_safetensors_come_before_pickles_and_pickles_before_originals(tmp_path):
    opened = touch(tmp_path, "xclip.pth")
    assert find_weights(opened).paths == (tmp_path / "xclip.pth",)
    touch(tmp_path, "pytorch_model.bin")
    assert find_weights(opened).paths == (tmp_path / "pytorch_model.bin",)
    touch(tmp_path, "model.safetensors")
    assert find_weights(opened).paths == (tmp_path / "model.safetensors",)


@pytest.mark.parametrize(("names", "found"), [([], "no weights"), (["a.pth", "b.pth"], r"2 files \*\.pth")])
def test_a_folder_without_weights_or_with_a_choice_of_them_is_refused(tmp_path, names, found):
    with pytest.raises(CheckpointError, match=found):
        find_weights(touch(tmp_path, *names))


def index(folder: Path, weight_map: object) -> Checkpoint:
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    return open_checkpoint(folder)


def test_shards_are_found_through_their_index(tmp_path):
    names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    touch(tmp_path, *names)

    files = find_weights(index(tmp_path, {"a": names[1], "b": names[0], "c": names[1]}))

    assert files.paths == tuple(tmp_path / name for name in names)


@pytest.mark.parametrize("place", ["../secret.safetensors", "/etc/passwd", "sub/x.safetensors"])
def test_an_index_that_leads_elsewhere_is_refused(tmp_path, place):
    with pytest.raises(CheckpointError, match="is not the name of a file beside it"):
        find_weights(index(tmp_path, {"a": place}))


@pytest.mark.parametrize("weight_map", [None, ["a"], {"a": 1}, {}])
def test_an_index_of_another_form_is_refused(tmp_path, weight_map):
    with pytest.raises(CheckpointError, match="weight_map must map"):
        find_weights(index(tmp_path, weight_map))


def test_a_missing_shard_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"holds no model-1\.safetensors"):
        find_weights(index(tmp_path, {"a": "model-1.safetensors"}))


def test_weights_are_identified_by_the_digests_that_sha256sum_prints(tmp_path):
    first, second = tmp_path / "a", tmp_path / "b"
    first.write_bytes(b"first")
    second.write_bytes(b"second")
    digests = [hashlib.sha256(content).hexdigest() for content in (b"first", b"second")]

    assert WeightFiles((first,)).sha256() == digests[0]
    listed = f"{digests[0]}  a\n{digests[1]}  b\n"
    assert WeightFiles((first, second)).sha256() == hashlib.sha256(listed.encode()).hexdigest()
