import numpy as np
import pytest
import torch

from tests.model.matrix_unit import needs_matrix_unit
from tests.model.reference import randomise
from tests.model.test_stages import rules_of
from tests.tiny_checkpoint import write_tiny_checkpoint
from xclip_stream.model import Scorer, XCLIPConfig, XCLIPModel, XCLIPTextConfig, XCLIPVisionConfig
from xclip_stream.model.amx_backend import AmxBackend
from xclip_stream.model.torch_backend import TorchBackend

pytestmark = needs_matrix_unit

SHAPES = {
    "small": {},
    "a patch of 14 px fills no block": {"patch_size": 14, "image_size": 60},
    "more tokens than a panel": {"patch_size": 8, "image_size": 64, "num_frames": 3},
    "wide": {"hidden_size": 192, "num_attention_heads": 3, "intermediate_size": 384, "num_hidden_layers": 2},
    "one block": {"num_hidden_layers": 1},
}


TEXT = XCLIPTextConfig(vocab_size=514, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2)


def made(shape: str = "small") -> XCLIPModel:
    vision = {
        "hidden_size": 64,
        "intermediate_size": 256,
        "num_attention_heads": 2,
        "num_hidden_layers": 3,
        "image_size": 32,
        "patch_size": 16,
        "num_frames": 4,
        "mit_hidden_size": 32,
        "mit_intermediate_size": 64,
        "mit_num_attention_heads": 2,
    }
    config = XCLIPConfig.from_text_vision_configs(
        TEXT, XCLIPVisionConfig(**(vision | SHAPES[shape])), projection_dim=32, prompt_num_attention_heads=4
    )
    model = XCLIPModel(config).eval()
    randomise(model)
    return model


@pytest.fixture(scope="module")
def model() -> XCLIPModel:
    return made()


def backend(model: XCLIPModel, *, threads: int = 2) -> AmxBackend:
    return AmxBackend(model, rules_of(model), threads=threads)


def clips(model: XCLIPModel, count: int, seed: int = 0) -> np.ndarray:
    vision = model.config.vision_config
    shape = (count, vision.num_frames, vision.image_size, vision.image_size, 3)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize("shape", SHAPES)
def test_it_differs_from_torch_by_rounding_alone(shape):
    model = made(shape)

    found = backend(model).encode(clips(model, 3))

    for ours, expected in zip(found, TorchBackend(model, rules_of(model)).encode(clips(model, 3)), strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-5)


def test_no_bit_depends_on_the_clips_beside_on_what_was_seen_before_or_on_the_threads(model):
    together = backend(model).encode(clips(model, 4))
    one_by_one = backend(model)
    with_memory = backend(model)
    with_memory.encode(clips(model, 2))

    for row, clip in enumerate(clips(model, 4)):
        for whole, alone in zip(together, one_by_one.encode(clip[None]), strict=True):
            assert torch.equal(whole[row], alone[0])
    for other in (with_memory, backend(model, threads=1), backend(model, threads=3), backend(model, threads=40)):
        for whole, again in zip(together, other.encode(clips(model, 4)), strict=True):
            assert torch.equal(whole, again)


def test_more_frames_than_a_thread_has_scratch_for_at_a_time(model):
    many = clips(model, 9)  # 36 frames, of which one thread has to compute all

    found = backend(model, threads=1).encode(many)

    for ours, expected in zip(found, TorchBackend(model, rules_of(model)).encode(many), strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-5)


def test_prompts_are_matched_as_by_torch(model):
    videos, patches = backend(model).encode(clips(model, 3))
    prompts = torch.randn(5, model.config.projection_dim)

    found = backend(model).match(videos, patches, prompts)

    assert torch.equal(found, TorchBackend(model, rules_of(model)).match(videos, patches, prompts))


def test_views_and_steps_backwards_are_taken(model):
    flipped = np.flip(clips(model, 2), axis=3)

    found = backend(model).encode(flipped)

    for ours, expected in zip(found, backend(model).encode(flipped.copy()), strict=True):
        assert torch.equal(ours, expected)


def test_a_checkpoint_gives_the_logits_that_torch_gives(model, tmp_path):
    checkpoint = write_tiny_checkpoint(tmp_path)
    model.save_pretrained(checkpoint)
    prompts = ["a person falls down", "a person walks"]

    found, expected = (
        scorer.logits(scorer.encode_clips(clips(model, 2)), None, scorer.encode_prompts(prompts))
        for scorer in (Scorer.from_checkpoint(checkpoint, device="cpu", backend=name) for name in ("amx", "torch"))
    )

    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_weights_that_are_no_numbers_give_none():
    model = made()
    with torch.no_grad():
        model.vision_model.encoder.layers[1].mlp.fc1.weight[0, 0] = torch.nan

    videos, _ = backend(model).encode(clips(model, 1))

    assert videos.isnan().all()
