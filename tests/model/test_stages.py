import pytest
import torch

from tests.model.reference import CONFIGS, difference, make_pair
from xclip_stream.model import XCLIPModel
from xclip_stream.model.checkpoint_files import FrameRules
from xclip_stream.model.processor import normalise_frames
from xclip_stream.model.stages import make_stages


def rules_of(model: XCLIPModel) -> FrameRules:
    side = model.config.vision_config.image_size
    return FrameRules(image_px=side, fit="stretch", mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))


def frames_of(model: XCLIPModel, clips: int) -> torch.Tensor:
    vision = model.config.vision_config
    shape = (clips * vision.num_frames, vision.image_size, vision.image_size, 3)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize("name", CONFIGS)
@torch.no_grad()
def test_the_stages_give_what_the_network_gives(name):
    model = make_pair(name).ours
    frames, clips, _ = make_stages(model, rules_of(model))
    pixels = frames_of(model, clips=3)

    videos, patches = clips(frames(pixels))

    vision = model.vision_model(normalise_frames(pixels.permute(0, 3, 1, 2), rules_of(model)))
    assert difference(videos, model.integrate(vision.pooler_output).pooler_output) < 2e-5
    assert difference(patches, model.project_patches(vision.last_hidden_state)) < 2e-5


@pytest.mark.parametrize("name", CONFIGS)
@torch.no_grad()
def test_the_last_stage_gives_the_logits_of_the_network(name):
    model = make_pair(name).ours
    rng = torch.Generator().manual_seed(6)
    width, patches = model.config.projection_dim, model.config.vision_config.grid_size**2
    videos, text = torch.randn(3, width, generator=rng), torch.randn(5, width, generator=rng)
    seen = torch.randn(3, patches, width, generator=rng)

    logits = make_stages(model, rules_of(model)).prompts(videos, seen, text)

    torch.testing.assert_close(logits, model.match(*model.embed_pairs(videos, seen, text)), rtol=0, atol=0)


@torch.no_grad()
def test_making_stages_leaves_the_model_as_it_was():
    model = make_pair("deep integration").ours
    before = {name: weight.clone() for name, weight in model.state_dict().items()}

    make_stages(model, rules_of(model))

    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())


@torch.no_grad()
def test_the_first_stage_sees_a_frame_alone_and_the_second_sees_all_of_a_clip():
    model = make_pair("small").ours
    frames, clips, _ = make_stages(model, rules_of(model))
    pixels = frames_of(model, clips=1)
    changed = pixels.clone()
    changed[-1] = 255 - changed[-1]

    before, after = frames(pixels), frames(changed)

    assert torch.equal(before[:-1], after[:-1])
    assert not torch.allclose(clips(before)[0], clips(torch.cat([before[:-1], after[-1:]]))[0])
