import pytest
import torch

from xclip_stream.errors import ConfigError
from xclip_stream.model import Scorer, XCLIPVisionConfig
from xclip_stream.model.backends import choose_backend
from xclip_stream.model.openvino_backend import OpenVinoBackend
from xclip_stream.model.torch_backend import TorchBackend

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)
BASE, TINY = XCLIPVisionConfig(), XCLIPVisionConfig(hidden_size=128, num_hidden_layers=4, num_attention_heads=4)


@pytest.fixture
def without_openvino(monkeypatch):
    monkeypatch.setattr("xclip_stream.model.backends.find_spec", lambda name: None)


def test_auto_is_openvino_for_a_published_model_on_a_cpu():
    assert choose_backend("auto", CPU, BASE) == "openvino"


def test_auto_is_torch_for_a_gpu_and_for_a_model_that_is_tiny():
    assert choose_backend("auto", GPU, BASE) == "torch"
    assert choose_backend("auto", CPU, TINY) == "torch"


@pytest.mark.usefixtures("without_openvino")
def test_auto_is_torch_where_openvino_is_not_installed():
    assert choose_backend("auto", CPU, BASE) == "torch"


def test_what_is_asked_for_is_taken():
    assert choose_backend("torch", CPU, BASE) == "torch"
    assert choose_backend("openvino", CPU, TINY) == "openvino"


def test_openvino_has_to_be_there_and_computes_on_the_cpu(monkeypatch):
    with pytest.raises(ConfigError, match=r"set model\.device to cpu"):
        choose_backend("openvino", GPU, BASE)
    monkeypatch.setattr("xclip_stream.model.backends.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"xclip-stream\[openvino\]"):
        choose_backend("openvino", CPU, BASE)


def test_both_backends_give_the_demo_model_the_same_logits(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    by_torch = Scorer.from_checkpoint("demo", device="cpu", backend="torch")
    by_openvino = Scorer.from_checkpoint("demo", device="cpu", backend="openvino")
    assert isinstance(by_torch.backend, TorchBackend)
    assert isinstance(by_openvino.backend, OpenVinoBackend)
    side = by_torch.geometry.image_px
    clips = torch.randint(0, 256, (3, by_torch.geometry.num_frames, side, side, 3), dtype=torch.uint8).numpy()
    prompts = ["a person falls down", "a person walks"]

    one, other = (
        scorer.logits(scorer.encode_clips(clips), None, scorer.encode_prompts(prompts))
        for scorer in (by_torch, by_openvino)
    )

    torch.testing.assert_close(torch.from_numpy(one), torch.from_numpy(other), rtol=1e-4, atol=1e-4)
