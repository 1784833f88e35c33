import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.model.reference import make_pair
from tests.model.test_stages import rules_of
from xclip_stream.errors import CheckpointError
from xclip_stream.model import XCLIPModel
from xclip_stream.model.openvino_backend import OpenVinoBackend, exported_stages, the_core
from xclip_stream.model.stage_files import ExportedStages
from xclip_stream.model.torch_backend import TorchBackend

CONFIG = "deep integration"
SHA256 = "ab" * 32


@pytest.fixture(scope="module")
def model() -> XCLIPModel:
    return make_pair(CONFIG).ours


@pytest.fixture(scope="module")
def exported(model: XCLIPModel, tmp_path_factory: pytest.TempPathFactory) -> ExportedStages:
    return exported_stages(model, rules_of(model), sha256=SHA256, cache=tmp_path_factory.mktemp("cache"))


def backend(stages: ExportedStages, **options) -> OpenVinoBackend:
    return OpenVinoBackend(stages, **options)


def clips(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 4, 32, 32, 3), dtype=np.uint8)


def features(model: XCLIPModel, *, clips: int, prompts: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Videos (B, E), patches (B, P, E) and text features (K, E)."""
    rng = torch.Generator().manual_seed(4)
    width, patches = model.config.projection_dim, model.config.vision_config.grid_size**2
    shapes = (clips, width), (clips, patches, width), (prompts, width)
    videos, seen, text = (torch.randn(shape, generator=rng) for shape in shapes)
    return videos, seen, text


def test_single_precision_differs_from_torch_by_rounding_alone(model, exported):
    videos, patches = backend(exported).encode(clips(3))

    expected_videos, expected_patches = TorchBackend(model, rules_of(model)).encode(clips(3))
    torch.testing.assert_close(videos, expected_videos, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(patches, expected_patches, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_no_bit_depends_on_the_clips_beside_or_on_what_was_seen_before(exported, precision):
    together = backend(exported, precision=precision).encode(clips(4))
    one_by_one = backend(exported, precision=precision)
    with_memory = backend(exported, precision=precision)
    with_memory.encode(clips(2))

    for row, clip in enumerate(clips(4)):
        for whole, alone in zip(together, one_by_one.encode(clip[None]), strict=True):
            assert torch.equal(whole[row], alone[0])
    for whole, again in zip(together, with_memory.encode(clips(4)), strict=True):
        assert torch.equal(whole, again)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_logits_are_those_of_torch_and_in_single_precision_whatever_the_rest_is_in(model, exported, precision):
    videos, patches, prompts = features(model, clips=3, prompts=5)

    found = backend(exported, precision=precision).match(videos, patches, prompts)

    expected = TorchBackend(model, rules_of(model)).match(videos, patches, prompts)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_no_bit_of_a_logit_depends_on_the_clips_and_prompts_beside(model, exported):
    videos, patches, prompts = features(model, clips=4, prompts=33)
    one = backend(exported)
    together = one.match(videos, patches, prompts)

    for row in range(len(videos)):
        assert torch.equal(one.match(videos[row : row + 1], patches[row : row + 1], prompts)[0], together[row])
    for start, end in ((0, 1), (3, 5), (8, 24)):
        assert torch.equal(one.match(videos, patches, prompts[start:end]), together[:, start:end])


def test_windows_that_share_frames_share_what_was_computed_of_them(exported):
    one = backend(exported)
    first = clips(1)
    second = np.concatenate([first[:, 1:], clips(1, seed=1)[:, :1]], axis=1)

    one.encode(first)
    frame_bytes = one.cache.num_bytes / first.shape[1]
    one.encode(second)

    assert one.cache.num_bytes == frame_bytes * (first.shape[1] + 1)


def test_results_stay_what_they_were_when_others_are_computed(exported):
    one = backend(exported)
    videos, _ = one.encode(clips(1))
    before = videos.clone()

    one.encode(clips(1, seed=2))

    assert torch.equal(videos, before)


def test_a_model_is_exported_once(model, exported, monkeypatch):
    monkeypatch.setattr("xclip_stream.model.openvino_backend.export_stages", pytest.fail)

    again = exported_stages(model, rules_of(model), sha256=SHA256, cache=exported.folder.parent)

    assert again == exported
    assert not list(exported.folder.parent.glob(".export-*"))


def test_an_exported_model_computes_no_sizes_that_were_known_when_it_was_exported(exported):
    frames = the_core().read_model(exported.frames)

    assert not {"Floor", "Divide"} & {operation.get_type_name() for operation in frames.get_ops()}


def test_other_weights_have_another_name(model, tmp_path):
    names = {exported_stages(model, rules_of(model), sha256=each * 32, cache=tmp_path).folder for each in ("ab", "cd")}

    assert len(names) == 2


def test_other_heads_and_other_pixels_with_the_same_weights_are_not_taken_for_what_was_exported(exported):
    config = make_pair(CONFIG).config
    heads = XCLIPModel(replace(config, vision_config=replace(config.vision_config, mit_num_attention_heads=1)))
    heads.load_state_dict(make_pair(CONFIG).ours.state_dict())
    pixels = replace(rules_of(heads), mean=(0.1, 0.2, 0.3))

    for rules in (rules_of(heads), pixels):
        stages = exported_stages(heads, rules, sha256=SHA256, cache=exported.folder.parent)
        videos, _ = backend(stages).encode(clips(1))
        torch.testing.assert_close(videos, TorchBackend(heads, rules).encode(clips(1))[0], atol=1e-4, rtol=1e-4)


def test_what_another_version_has_exported_goes_and_other_models_stay(model, tmp_path):
    other = exported_stages(model, rules_of(model), sha256="cd" * 32, cache=tmp_path)
    made = exported_stages(model, rules_of(model), sha256=SHA256, cache=tmp_path)
    made.folder.rename(made.folder.with_name(f"{made.folder.name}.1"))

    again = exported_stages(model, rules_of(model), sha256=SHA256, cache=tmp_path)

    assert sorted(tmp_path.iterdir()) == sorted([again.folder, other.folder])


def test_damaged_files_are_named(tmp_path, exported):
    broken = ExportedStages(tmp_path)
    for path in exported.folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    with pytest.raises(CheckpointError, match=rf"{tmp_path}: OpenVINO cannot read .*remove the folder"):
        OpenVinoBackend(broken)


def test_a_folder_that_cannot_be_written_is_named(model, tmp_path):
    (tmp_path / "file").touch()

    with pytest.raises(CheckpointError, match="set XDG_CACHE_HOME"):
        exported_stages(model, rules_of(model), sha256=SHA256, cache=tmp_path / "file")


def test_nothing_is_told_to_anybody():
    from openvino.tools.ovc import telemetry_utils

    assert telemetry_utils.tm.__name__ == "openvino.tools.ovc.telemetry_stub"


def test_backends_that_come_and_go_leave_the_process_fit_for_signals(exported):
    """Each core of OpenVINO takes over the stack on which signals are handled, where the processor has AMX."""
    code = f"""
import signal
from pathlib import Path
from xclip_stream.model.openvino_backend import OpenVinoBackend
from xclip_stream.model.stage_files import ExportedStages
stages = ExportedStages(Path({str(exported.folder)!r}))
signal.signal(signal.SIGUSR1, lambda *_: print("heard"))
first = OpenVinoBackend(stages)
second = OpenVinoBackend(stages)
del first
del second
signal.raise_signal(signal.SIGUSR1)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (0, "heard\n"), done.stderr
