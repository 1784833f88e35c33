import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.model.reference import config_values, difference, make_pair, randomise
from tests.model.vocabulary import learn_vocabulary
from xclip_stream.errors import CheckpointError, ConfigError, PromptError, ScoringError
from xclip_stream.model import ClipGeometry, Scorer, XCLIPConfig, XCLIPModel, XCLIPProcessor, scorer
from xclip_stream.model.checkpoint_files import FrameRules
from xclip_stream.model.tokenizer import PromptTokenizer, clip_tokenizer
from xclip_stream.model.torch_backend import TorchBackend

PROMPTS = ["a person falls", "two people are fighting in the street", "an empty parking lot", "a dog"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole checkpoint with a tokenizer of its own."""
    path = tmp_path_factory.mktemp("checkpoint") / "tiny"
    tokenizer = PromptTokenizer(clip_tokenizer(*learn_vocabulary()), max_tokens=77)
    values = config_values("deep integration")
    values["text_config"] |= {"vocab_size": tokenizer.tokenizer.get_vocab_size()}
    model = XCLIPModel(XCLIPConfig.from_dict(values))
    randomise(model)
    model.save_pretrained(path)
    rules = FrameRules(image_px=32, fit="stretch", mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
    XCLIPProcessor(tokenizer=tokenizer, rules=rules).save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def loaded(folder: Path) -> Scorer:
    return Scorer.from_checkpoint(folder, device="cpu")


def clips(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 4, 32, 32, 3), dtype=np.uint8)


def test_a_scorer_knows_its_model_by_name_digest_and_geometry(folder, loaded):
    assert loaded.name == "tiny"
    assert loaded.geometry == ClipGeometry(num_frames=4, image_px=32, fit="stretch")
    assert loaded.sha256 == hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


def test_clips_may_be_views_that_run_backwards(loaded):
    turned = clips(1)[..., ::-1]

    assert torch.equal(loaded.encode_clips(turned).videos, loaded.encode_clips(turned.copy()).videos)


@torch.no_grad()
def test_logits_are_those_of_the_whole_model(folder, loaded):
    model, processor = XCLIPModel.from_pretrained(folder), XCLIPProcessor.from_pretrained(folder)
    windows = clips(3)

    logits = loaded.logits(loaded.encode_clips(windows), None, loaded.encode_prompts(PROMPTS))

    expected = model(**processor(text=PROMPTS, videos=windows)).logits_per_video
    assert logits.shape == (3, 4)
    assert logits.dtype == np.float32
    assert difference(torch.from_numpy(logits), expected) < 1e-5


def test_rows_choose_clips_in_any_order(loaded):
    encoded, prompts = loaded.encode_clips(clips(3)), loaded.encode_prompts(PROMPTS)

    everything = loaded.logits(encoded, None, prompts)

    assert len(encoded) == 3
    np.testing.assert_array_equal(loaded.logits(encoded, [2, 0, 2], prompts), everything[[2, 0, 2]])
    assert loaded.logits(encoded, [], prompts).shape == (0, 4)


def test_a_clips_logits_do_not_depend_on_the_clips_beside_it_to_the_last_bit(loaded):
    prompts = loaded.encode_prompts(PROMPTS)

    together = loaded.logits(loaded.encode_clips(clips(5)), None, prompts)
    alone = [loaded.logits(loaded.encode_clips(clip[None]), None, prompts)[0] for clip in clips(5)]

    np.testing.assert_array_equal(together, alone)


def test_chunks_of_prompts_and_clips_change_nothing_but_rounding(loaded, monkeypatch):
    many = [f"{prompt} {number}" for prompt in PROMPTS for number in range(5)]
    whole = loaded.logits(loaded.encode_clips(clips(3)), None, loaded.encode_prompts(many))

    monkeypatch.setattr(scorer, "_PAIRS_AT_ONCE", 7)
    monkeypatch.setattr(scorer, "_PROMPTS_AT_ONCE", 3)
    monkeypatch.setattr(TorchBackend, "clips_at_once", 2)
    chunked = loaded.logits(loaded.encode_clips(clips(3)), None, loaded.encode_prompts(many))

    np.testing.assert_allclose(chunked, whole, rtol=1e-4, atol=1e-5)


def test_prompt_features_are_a_value_of_their_prompts_alone(loaded):
    several, one = loaded.encode_prompts(PROMPTS), loaded.encode_prompts(PROMPTS[1:2])

    assert several.prompts == tuple(PROMPTS)
    assert difference(several.features[1:2], one.features) < 1e-6


def test_clips_may_be_read_only_as_they_come_from_a_queue(loaded):
    windows = np.frombuffer(clips(2).tobytes(), dtype=np.uint8).reshape(2, 4, 32, 32, 3)

    assert len(loaded.encode_clips(windows)) == 2


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((2, 4, 32, 32, 3), dtype=np.float32),
        np.zeros((2, 5, 32, 32, 3), dtype=np.uint8),
        np.zeros((2, 4, 32, 48, 3), dtype=np.uint8),
        np.zeros((4, 32, 32, 3), dtype=np.uint8),
        np.zeros((0, 4, 32, 32, 3), dtype=np.uint8),
    ],
)
def test_clips_of_another_shape_or_type_are_refused(loaded, wrong):
    with pytest.raises(ScoringError, match=r"clips must be \(N, 4, 32, 32, 3\) of uint8, not"):
        loaded.encode_clips(wrong)


def test_prompts_that_cannot_be_encoded_are_named(loaded):
    with pytest.raises(PromptError, match="'person person"):
        loaded.encode_prompts(["short", "person " * 90])
    with pytest.raises(PromptError, match="no prompt"):
        loaded.encode_prompts([])


@torch.no_grad()
def test_values_that_are_not_finite_are_an_error_that_names_the_pair(folder):
    broken = Scorer.from_checkpoint(folder, device="cpu")
    prompts, encoded = broken.encode_prompts(PROMPTS), broken.encode_clips(clips(2))
    encoded = replace(encoded, videos=encoded.videos.clone())
    encoded.videos[1] = float("nan")

    with pytest.raises(ScoringError, match="no finite logit for clip 1 and prompt 'a person falls'"):
        broken.logits(encoded, None, prompts)
    broken.model.text_projection.weight.fill_(float("inf"))
    with pytest.raises(ScoringError, match="no finite features for prompt 'a person falls'"):
        broken.encode_prompts(PROMPTS)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float16", 0.02), ("bfloat16", 0.1)])
def test_half_precision_gives_nearly_the_same_single_precision_logits(folder, loaded, dtype, tolerance):
    half = Scorer.from_checkpoint(folder, device="cpu", dtype=dtype)

    logits = half.logits(half.encode_clips(clips(2)), None, half.encode_prompts(PROMPTS))

    whole = loaded.logits(loaded.encode_clips(clips(2)), None, loaded.encode_prompts(PROMPTS))
    assert logits.dtype == np.float32
    assert difference(torch.from_numpy(logits), torch.from_numpy(whole)) < tolerance


def test_a_device_that_is_not_there_is_a_mistake_of_the_configuration(folder):
    with pytest.raises(ConfigError, match="device 'cuda:64' is not there"):
        Scorer.from_checkpoint(folder, device="cuda:64")


def test_a_checkpoint_without_weights_or_tokenizer_is_refused(folder, tmp_path):
    for name in ("config.json", "preprocessor_config.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())

    with pytest.raises(CheckpointError, match="holds no weights"):
        Scorer.from_checkpoint(tmp_path)
    (tmp_path / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    with pytest.raises(CheckpointError, match=r"holds no tokenizer\.json or vocab\.json"):
        Scorer.from_checkpoint(tmp_path)


def test_a_vocabulary_that_the_model_has_no_room_for_is_refused(folder, tmp_path):
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    pair = make_pair("deep integration")
    pair.ours.save_pretrained(tmp_path)
    assert len(load_file(tmp_path / "model.safetensors")["text_model.embeddings.token_embedding.weight"]) == 99

    with pytest.raises(CheckpointError, match="the tokenizer has 652 tokens, the model takes 99"):
        Scorer.from_checkpoint(tmp_path)


def test_a_scorer_can_be_made_of_parts(loaded):
    other = replace(loaded, name="other")

    assert (other.name, other.geometry) == ("other", loaded.geometry)
