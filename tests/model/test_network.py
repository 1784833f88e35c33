"""The network against transformers, on random weights."""

from dataclasses import replace

import pytest
import torch
from transformers import XCLIPModel as ReferenceModel

from tests.model.reference import CONFIGS, Pair, config_values, difference, differing, make_pair, random_inputs
from xclip_stream.errors import PromptError, ScoringError
from xclip_stream.model import XCLIPConfig, XCLIPModel, XCLIPVisionModel


@pytest.fixture(scope="module", params=CONFIGS)
def pair(request: pytest.FixtureRequest) -> Pair:
    return make_pair(request.param)


@torch.no_grad()
def test_every_output_and_the_loss_equal_the_reference(pair):
    inputs = random_inputs(pair.config)

    ours, reference = pair.ours(**inputs, return_loss=True), pair.reference(**inputs, return_loss=True)

    assert differing(ours, reference) == {}


def test_every_gradient_equals_the_reference(pair):
    inputs = random_inputs(pair.config)
    pair.ours.zero_grad()
    pair.reference.zero_grad()
    pair.ours(**inputs, return_loss=True).loss.backward()
    pair.reference(**inputs, return_loss=True).loss.backward()
    expected = {name: weight.grad for name, weight in pair.reference.named_parameters() if weight.grad is not None}
    found = {name: weight.grad for name, weight in pair.ours.named_parameters() if weight.grad is not None}

    assert found.keys() == expected.keys()
    largest = max(gradient.abs().max() for gradient in expected.values())
    for name, gradient in found.items():
        # Some gradients are 0 but for rounding (of key biases, for one), hence the second part.
        tolerance = 1e-5 * expected[name].abs().max() + 1e-6 * largest
        assert (gradient - expected[name]).abs().max() <= tolerance, name


@torch.no_grad()
@pytest.mark.parametrize("holes", [False, True])
def test_a_padding_mask_works_as_in_the_reference(pair, holes):
    inputs = random_inputs(pair.config)
    mask = torch.ones_like(inputs["input_ids"])
    mask[0, 6:] = 0
    if holes:
        mask[1, 2:4] = 0
        mask[2, :2] = 0

    ours = pair.ours(**inputs, attention_mask=mask)
    reference = pair.reference(**inputs, attention_mask=mask)

    assert differing(ours, reference) == {}


@torch.no_grad()
@pytest.mark.parametrize("rows", [1, 3])
def test_other_positions_of_the_tokens_work_as_in_the_reference(pair, rows):
    inputs = random_inputs(pair.config)
    places = torch.randint(0, 12, (rows, inputs["input_ids"].shape[1]), generator=torch.Generator().manual_seed(5))

    ours = pair.ours(**inputs, position_ids=places)
    reference = pair.reference(**inputs, position_ids=places)

    assert differing(ours, reference) == {}


@torch.no_grad()
@pytest.mark.parametrize(("height", "width"), [(48, 48), (32, 64), (50, 34)])
def test_other_sizes_of_frames_interpolate_positions_as_in_the_reference(height, width):
    pair = make_pair("eps told apart")
    pixels = torch.randn(2, 2, 3, height, width)
    ids = random_inputs(pair.config)["input_ids"]

    ours = pair.ours(ids, pixels, interpolate_pos_encoding=True)
    reference = pair.reference(input_ids=ids, pixel_values=pixels, interpolate_pos_encoding=True)

    assert differing(ours, reference) == {}


@torch.no_grad()
def test_features_of_texts_and_videos_equal_the_reference(pair):
    inputs = random_inputs(pair.config)
    ids, pixels = inputs["input_ids"], inputs["pixel_values"]

    texts, videos = pair.ours.get_text_features(ids), pair.ours.get_video_features(pixels)

    assert difference(texts, pair.reference.get_text_features(input_ids=ids).pooler_output) < 1e-5
    assert difference(videos, pair.reference.get_video_features(pixel_values=pixels).pooler_output) < 1e-5


@torch.no_grad()
def test_the_vision_tower_takes_videos_or_their_frames(pair):
    pixels = random_inputs(pair.config)["pixel_values"]
    tower, reference = pair.ours.vision_model, pair.reference.vision_model

    by_video, by_frame, expected = tower(pixels), tower(pixels.flatten(0, 1)), reference(pixels.flatten(0, 1))

    assert torch.equal(by_video.last_hidden_state, by_frame.last_hidden_state)
    assert difference(by_frame.last_hidden_state, expected.last_hidden_state) < 1e-5
    assert difference(by_frame.pooler_output, expected.pooler_output) < 1e-5


def test_messages_are_dropped_while_training_as_in_the_reference():
    pair = make_pair("wide joint space")
    pair.ours.train()
    pair.reference.train()
    inputs = random_inputs(pair.config, videos=6)

    torch.manual_seed(3)
    ours = pair.ours(**inputs)
    torch.manual_seed(3)
    reference = pair.reference(**inputs)

    assert differing(ours, reference) == {}
    with torch.no_grad():
        kept = pair.ours.eval()(**inputs)
    assert difference(ours.video_embeds, kept.video_embeds) > 1e-3


def test_dropout_acts_in_training_only():
    values = config_values()
    values["prompt_projection_dropout"] = 0.5
    values["text_config"]["attention_dropout"] = 0.5
    model = XCLIPModel(XCLIPConfig.from_dict(values))
    inputs = random_inputs(model.config)

    training = [model.train()(**inputs).logits_per_video for _ in range(2)]
    scoring = [model.eval()(**inputs).logits_per_video for _ in range(2)]

    assert not torch.equal(*training)
    assert torch.equal(*scoring)


def test_initial_weights_have_the_spread_of_the_reference_but_for_the_prompt_generator():
    values = config_values()
    torch.manual_seed(0)
    ours = XCLIPModel(XCLIPConfig.from_dict(values))
    reference = dict(ReferenceModel(make_pair().reference.config).named_parameters())

    for name, weight in ours.named_parameters():
        if name.startswith("prompts_generator.decoder") and weight.ndim == 2:
            assert 0.015 < weight.std() < 0.025, name
        elif weight.numel() > 1000:
            assert 0.9 < weight.std() / reference[name].std() < 1.1, name
        elif weight.ndim == 1 and "class" not in name:
            assert torch.equal(weight, reference[name]), name


@torch.no_grad()
def test_the_first_of_several_end_tokens_is_read_whatever_the_configuration_calls_the_end(pair):
    ids = random_inputs(pair.config)["input_ids"]
    end = pair.config.text_config.vocab_size - 1
    padded = torch.nn.functional.pad(ids, (0, 3), value=end)
    zeros = torch.nn.functional.pad(ids, (0, 3), value=0)

    short = pair.ours.get_text_features(ids)

    assert difference(pair.ours.get_text_features(padded), short) < 1e-6
    assert difference(pair.ours.get_text_features(zeros), short) < 1e-6


@torch.no_grad()
def test_the_order_of_frames_matters_only_after_the_vision_tower():
    pair = make_pair()
    pixels = random_inputs(pair.config)["pixel_values"]
    turned = pixels.flip(1)
    ids = random_inputs(pair.config)["input_ids"]

    straight, back = pair.ours(ids, pixels), pair.ours(ids, turned)

    classes = straight.vision_model_output.pooler_output.unflatten(0, (3, 4)).flip(1).flatten(0, 1)
    assert difference(back.vision_model_output.pooler_output, classes) < 1e-5
    assert difference(back.video_embeds, straight.video_embeds) > 1e-3


@torch.no_grad()
def test_a_prompt_is_scored_without_regard_to_the_others():
    pair = make_pair()
    inputs = random_inputs(pair.config)

    together = pair.ours(**inputs).logits_per_video
    alone = pair.ours(inputs["input_ids"][1:2], inputs["pixel_values"]).logits_per_video

    assert difference(alone, together[:, 1:2]) < 1e-6


@pytest.mark.parametrize("frames", [1, 3, 5, 8])
def test_another_number_of_frames_is_refused(frames):
    model = make_pair().ours
    pixels = torch.randn(4, frames, 3, 32, 32)

    with pytest.raises(ScoringError, match=r"\(B, 4, 3, H, W\)"):
        model(torch.zeros(1, 3, dtype=torch.long), pixels)
    with pytest.raises(ScoringError, match=r"\(B, 4, 3, H, W\)"):
        model.get_video_features(pixels)
    with pytest.raises(ScoringError, match=r"\(B, 4, 3, H, W\)"):
        model.vision_model(pixels)


@pytest.mark.parametrize("shape", [(6, 3, 32, 32), (0, 3, 32, 32), (3, 32, 32)])
def test_frames_that_are_no_whole_videos_are_refused(shape):
    with pytest.raises(ScoringError, match="whole videos of 4 frames"):
        make_pair().ours.vision_model(torch.zeros(shape))


def test_another_size_of_frames_is_refused_unless_positions_may_be_interpolated():
    model = make_pair().ours

    with pytest.raises(ScoringError, match="48x32 px, the model takes 32x32"):
        model.get_video_features(torch.zeros(1, 4, 3, 32, 48))


def test_more_tokens_than_positions_are_refused():
    model = make_pair("sixteen frames").ours

    with pytest.raises(PromptError, match="13 tokens is longer than the model's 12"):
        model.get_text_features(torch.zeros(1, 13, dtype=torch.long))


def test_a_loss_without_pairs_is_refused():
    model = make_pair().ours

    with pytest.raises(ScoringError, match="not 2 for 3"):
        model(**random_inputs(model.config, prompts=2, videos=3), return_loss=True)


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_in_half_precision_logits_are_single_and_close(dtype):
    pair = make_pair()
    inputs = random_inputs(pair.config)
    expected = pair.ours(**inputs)
    half = pair.ours.to(dtype)

    found = half(**inputs)

    assert found.logits_per_video.dtype == found.video_embeds.dtype == torch.float32
    assert difference(found.logits_per_video, expected.logits_per_video) < 0.05


@torch.no_grad()
def test_autocast_leaves_the_logits_in_single_precision():
    pair = make_pair()
    inputs = random_inputs(pair.config)

    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = pair.ours(**inputs)

    assert found.logits_per_video.dtype == torch.float32


def test_a_tower_may_see_single_frames_with_the_weights_of_another_number():
    config = make_pair().config.vision_config
    tower = XCLIPVisionModel(replace(config, num_frames=1))
    tower.load_state_dict(make_pair().ours.vision_model.state_dict())

    assert tower(torch.zeros(5, 3, 32, 32)).pooler_output.shape == (5, 48)


def test_what_is_published_makes_the_published_number_of_parameters():
    with torch.device("meta"):
        model = XCLIPModel(XCLIPConfig())

    assert len(model.state_dict()) == 591
    assert sum(weight.numel() for weight in model.parameters()) == 196_585_729
