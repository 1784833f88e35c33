import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from transformers import CLIPTokenizer as ReferenceTokenizer
from transformers import VideoMAEImageProcessorPil as ReferenceFrames
from transformers import XCLIPProcessor as ReferenceProcessor

from tests.model.reference import config_values, make_pair
from tests.model.vocabulary import learn_vocabulary, write_vocabulary
from xclip_stream.errors import PromptError, ScoringError
from xclip_stream.model import XCLIPConfig, XCLIPProcessor
from xclip_stream.model.checkpoint_files import Fit, FrameRules
from xclip_stream.model.processor import ModelInputs, resize_frame
from xclip_stream.model.tokenizer import PromptTokenizer, clip_tokenizer

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
GREY_LEVEL = 1.01 / 255 / min(STD)
TEXTS = ["a person falls", "two people are fighting in the street", "RUN!"]


def rules(image_px: int = 224, fit: Fit = "crop") -> FrameRules:
    return FrameRules(image_px=image_px, fit=fit, mean=MEAN, std=STD)


@pytest.fixture(scope="module")
def tokenizer() -> PromptTokenizer:
    return PromptTokenizer(clip_tokenizer(*learn_vocabulary()), max_tokens=77)


@pytest.fixture
def processor(tokenizer) -> XCLIPProcessor:
    return XCLIPProcessor(tokenizer=tokenizer, rules=rules())


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """A picture with both smooth parts and edges, which show a wrong resize most."""
    noise = np.random.default_rng(seed).integers(0, 256, (1 + height // 9, 1 + width // 9, 3), dtype=np.uint8)
    large = np.asarray(Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)).copy()
    large[height // 3 : height // 2, ::7] = 255
    large[::5, width // 3 : width // 2] = 0
    return large


SIZES = [(224, 224), (225, 224), (1080, 1920), (1920, 1080), (576, 768), (333, 499), (481, 271), (120, 160), (231, 997)]


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_frames_of_any_size_are_within_one_grey_level_of_the_reference(tokenizer, height, width):
    frames = [picture(height, width, seed) for seed in range(2)]
    reference = ReferenceFrames(size={"shortest_edge": 224}, image_mean=MEAN, image_std=STD)

    ours = XCLIPProcessor(tokenizer, rules())(videos=frames).pixel_values
    theirs = torch.as_tensor(np.asarray(reference(frames, return_tensors="np")["pixel_values"]))

    assert ours.shape == theirs.shape == (1, 2, 3, 224, 224)
    assert ours.dtype == torch.float32
    assert (ours - theirs).abs().max() < GREY_LEVEL
    assert (ours - theirs).abs().mean() < 0.01 * GREY_LEVEL


@settings(max_examples=50, deadline=None)
@given(st.tuples(*[st.integers(1, 90)] * 4), st.integers(0, 99))
def test_a_resized_frame_is_within_one_grey_level_of_pillows(sizes, seed):
    height, width, new_height, new_width = sizes
    frame = np.random.default_rng(seed).choice([0, 1, 254, 255], (height, width, 3)).astype(np.uint8)

    ours = resize_frame(torch.from_numpy(frame).permute(2, 0, 1), new_height, new_width).permute(1, 2, 0)

    pillow = Image.fromarray(frame).resize((new_width, new_height), Image.Resampling.BILINEAR)
    assert np.abs(ours.numpy().astype(int) - np.asarray(pillow)).max() <= 1


def test_frames_of_the_models_own_size_are_exact(processor):
    frame = picture(224, 224)

    pixels = processor(videos=[frame]).pixel_values

    expected = (frame / 255 - np.array(MEAN)) / np.array(STD)
    np.testing.assert_allclose(pixels[0, 0].permute(1, 2, 0), expected, atol=1e-6)


def test_frames_may_be_squeezed_whole(tokenizer):
    frame = picture(96, 300)

    pixels = XCLIPProcessor(tokenizer, rules(48, fit="stretch"))(videos=[frame]).pixel_values

    squeezed = np.asarray(Image.fromarray(frame).resize((48, 48), Image.Resampling.BILINEAR))
    expected = (squeezed / 255 - np.array(MEAN)) / np.array(STD)
    assert np.abs(pixels[0, 0].permute(1, 2, 0).numpy() - expected).max() < GREY_LEVEL


def test_videos_may_come_as_arrays_tensors_or_lists_alone_or_several(processor):
    video = np.stack([picture(240, 320, seed) for seed in range(3)])
    expected = processor(videos=list(video)).pixel_values

    for one in (video, torch.from_numpy(video), [torch.from_numpy(frame) for frame in video]):
        assert torch.equal(processor(videos=one).pixel_values, expected)
    for two in ([video, video], [list(video), list(video)], np.stack([video, video])):
        assert torch.equal(processor(videos=two).pixel_values, torch.cat([expected, expected]))


def test_frames_of_one_video_may_differ_in_size_and_be_read_only(processor):
    frames = [picture(240, 320), picture(320, 240)]
    frames[0].flags.writeable = False

    assert processor(videos=frames).pixel_values.shape == (1, 2, 3, 224, 224)


@pytest.mark.parametrize(
    "frame",
    [
        np.zeros((240, 320, 3), dtype=np.float32),
        np.zeros((240, 320), dtype=np.uint8),
        np.zeros((240, 320, 4), dtype=np.uint8),
        np.zeros((240, 320, 1), dtype=np.uint8),
        np.zeros((3, 240, 320), dtype=np.uint8),
        np.zeros((0, 320, 3), dtype=np.uint8),
        torch.zeros(240, 320, 3),
        "frame.jpg",
    ],
)
def test_whatever_is_no_picture_of_bytes_is_refused(processor, frame):
    with pytest.raises(ScoringError, match=r"a frame must be an array \(H, W, 3\) of (bytes|uint8), not"):
        processor(videos=[[frame]])


def test_frames_may_be_turned_from_bgr_by_a_view(processor):
    video = np.stack([picture(240, 320, seed) for seed in range(2)])

    turned, copied = processor(videos=video[..., ::-1]), processor(videos=video[..., ::-1].copy())

    assert torch.equal(turned.pixel_values, copied.pixel_values)


@pytest.mark.parametrize("video", [Image.fromarray(picture(24, 32)), None, 5])
def test_pictures_of_another_library_are_refused(processor, video):
    with pytest.raises(ScoringError, match=r"a video must be frames \(H, W, 3\), each an array of bytes, not"):
        processor(videos=[video])


def test_no_videos_and_videos_of_different_lengths_are_refused(processor):
    frame = picture(240, 320)

    for none in ([], [[]], np.zeros((0, 240, 320, 3), dtype=np.uint8), np.zeros((0, 1, 240, 320, 3), dtype=np.uint8)):
        with pytest.raises(ScoringError, match="at least one"):
            processor(videos=none)
    with pytest.raises(ScoringError, match=r"equally many frames, not \[1, 2\]"):
        processor(videos=[[frame], [frame, frame]])


@pytest.mark.parametrize("padding", [True, "max_length"])
def test_prompts_are_padded_and_masked_as_by_the_reference(processor, padding):
    vocabulary, merges = learn_vocabulary()
    reference = ReferenceTokenizer(vocab=vocabulary, merges=merges, model_max_length=77)

    ours = processor(text=TEXTS, padding=padding)
    theirs = reference(TEXTS, padding=padding, return_tensors="pt")

    assert torch.equal(ours.input_ids, theirs["input_ids"])
    assert torch.equal(ours.attention_mask, theirs["attention_mask"])


def test_one_prompt_may_be_a_plain_string(processor):
    assert torch.equal(processor(text=TEXTS[0]).input_ids, processor(text=[TEXTS[0]]).input_ids)


@pytest.mark.parametrize("text", [[], [3], [["a"]]])
def test_what_is_no_list_of_prompts_is_refused(processor, text):
    with pytest.raises(PromptError, match="list of prompts"):
        processor(text=text)


def test_prompts_of_different_lengths_need_padding(processor):
    assert processor(text=TEXTS[:1], padding=False).input_ids.shape[0] == 1
    with pytest.raises(PromptError, match="need padding"):
        processor(text=TEXTS, padding=False)


def test_a_prompt_that_is_too_long_is_an_error_or_cut_when_asked(processor):
    long = " ".join(["person"] * 90)

    with pytest.raises(PromptError, match="has 92 tokens, the model takes 77"):
        processor(text=["short", long])
    assert processor(text=["short", long], truncation=True).input_ids.shape == (2, 77)


def test_inputs_go_straight_into_the_model(tokenizer):
    model = make_pair().ours
    small = PromptTokenizer(tokenizer.tokenizer, max_tokens=77)
    inputs = XCLIPProcessor(small, rules(32))(text=["a", "b"], videos=[picture(40, 50)] * 4)
    ids = inputs.input_ids.clamp(max=98)

    assert list(inputs) == ["input_ids", "attention_mask", "pixel_values"]
    assert model(**{**inputs, "input_ids": ids}).logits_per_video.shape == (1, 2)


def test_only_what_was_asked_for_is_in_the_inputs(processor):
    inputs = processor(text="a")

    assert isinstance(inputs, ModelInputs)
    assert dict(inputs).keys() == {"input_ids", "attention_mask"}
    assert (len(inputs), inputs.pixel_values, "pixel_values" in inputs) == (2, None, False)
    with pytest.raises(ValueError, match="return_tensors must be 'pt'"):
        processor(text="a", return_tensors="np")


@pytest.mark.parametrize("fit", ["crop", "stretch"])
def test_files_of_either_side_are_read_by_the_other(tmp_path, tokenizer, fit):
    ours = XCLIPProcessor(tokenizer, rules(32, fit=fit))
    for folder in ("ours", "theirs"):
        XCLIPConfig.from_dict(config_values()).save_pretrained(tmp_path / folder)

    ours.save_pretrained(tmp_path / "ours")
    theirs = ReferenceProcessor.from_pretrained(tmp_path / "ours")
    theirs.save_pretrained(tmp_path / "theirs")
    read = XCLIPProcessor.from_pretrained(tmp_path / "theirs")

    assert read.rules == ours.rules
    assert XCLIPProcessor.from_pretrained(tmp_path / "ours").rules == ours.rules
    frames = [picture(50, 40)] * 4
    expected = theirs(text=TEXTS, videos=frames, padding=True, return_tensors="pt")
    for processor in (ours, read):
        found = processor(text=TEXTS, videos=frames)
        assert torch.equal(found.input_ids, expected["input_ids"])
        assert (found.pixel_values - expected["pixel_values"]).abs().max() < GREY_LEVEL


def test_the_model_has_the_last_word_on_the_number_of_tokens(tmp_path):
    values = config_values()
    values["text_config"] |= {"max_position_embeddings": 20}
    XCLIPConfig.from_dict(values).save_pretrained(write_vocabulary(tmp_path))
    published = {"size": 32, "image_mean": list(MEAN), "image_std": list(STD)}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(published))

    assert XCLIPProcessor.from_pretrained(tmp_path).tokenizer.max_tokens == 20
