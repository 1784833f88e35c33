from dataclasses import replace

import pytest
import torch

from xclip_stream.errors import ConfigError
from xclip_stream.model import Scorer, XCLIPVisionConfig
from xclip_stream.model.backends import choose_backend
from xclip_stream.model.openvino_backend import OpenVinoBackend
from xclip_stream.model.torch_backend import TorchBackend

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)
BASE, TINY = XCLIPVisionConfig(), XCLIPVisionConfig(hidden_size=128, num_hidden_layers=4, num_attention_heads=4)


@pytest.fixture(autouse=True)
def processor_without_matrix_unit(monkeypatch):
    monkeypatch.setattr("xclip_stream.model.backends.matrix_unit_is_usable", lambda: False)


@pytest.fixture
def processor_with_matrix_unit(monkeypatch):
    monkeypatch.setattr("xclip_stream.model.backends.matrix_unit_is_usable", lambda: True)


@pytest.fixture
def without_extras(monkeypatch):
    monkeypatch.setattr("xclip_stream.model.backends.find_spec", lambda name: None)


def test_auto_is_openvino_for_a_published_model_on_a_cpu():
    assert choose_backend("auto", CPU, BASE) == "openvino"


@pytest.mark.usefixtures("processor_with_matrix_unit")
def test_auto_is_the_matrix_unit_where_there_is_one_and_float32_is_wanted():
    assert choose_backend("auto", CPU, BASE) == "amx"
    assert choose_backend("auto", CPU, BASE, dtype="float32") == "amx"
    assert choose_backend("auto", CPU, BASE, dtype="bfloat16") == "openvino"
    assert choose_backend("auto", CPU, BASE, quantised=True) == "openvino"
    assert choose_backend("auto", CPU, replace(BASE, hidden_act="gelu")) == "openvino"


@pytest.mark.usefixtures("processor_with_matrix_unit")
def test_auto_is_torch_for_a_gpu_and_for_a_model_that_is_tiny():
    assert choose_backend("auto", GPU, BASE) == "torch"
    assert choose_backend("auto", CPU, TINY) == "torch"


@pytest.mark.usefixtures("processor_with_matrix_unit", "without_extras")
def test_auto_is_torch_where_no_extra_is_installed():
    assert choose_backend("auto", CPU, BASE) == "torch"


@pytest.mark.usefixtures("processor_with_matrix_unit")
def test_what_is_asked_for_is_taken():
    assert choose_backend("torch", CPU, BASE) == "torch"
    assert choose_backend("openvino", CPU, TINY) == "openvino"
    assert choose_backend("amx", CPU, TINY) == "amx"


@pytest.mark.parametrize("backend", ["openvino", "amx"])
@pytest.mark.usefixtures("processor_with_matrix_unit")
def test_what_computes_on_a_cpu_is_refused_a_gpu(backend):
    with pytest.raises(ConfigError, match=rf"model\.backend {backend} .*set model\.device to cpu"):
        choose_backend(backend, GPU, BASE)


@pytest.mark.parametrize("backend", ["openvino", "amx"])
@pytest.mark.usefixtures("processor_with_matrix_unit", "without_extras")
def test_an_extra_that_is_not_installed_is_named(backend):
    with pytest.raises(ConfigError, match=rf"xclip-stream\[{backend}\]"):
        choose_backend(backend, CPU, BASE)


def test_amx_is_refused_where_the_processor_has_none():
    with pytest.raises(ConfigError, match="needs a processor with AMX"):
        choose_backend("amx", CPU, BASE)


@pytest.mark.usefixtures("processor_with_matrix_unit")
def test_amx_is_refused_other_numbers_and_other_models():
    with pytest.raises(ConfigError, match="float32, not in bfloat16"):
        choose_backend("amx", CPU, BASE, dtype="bfloat16")
    with pytest.raises(ConfigError, match="not for this checkpoint"):
        choose_backend("amx", CPU, replace(BASE, hidden_act="gelu"))
    with pytest.raises(ConfigError, match=r"model\.quantized needs model\.backend openvino or auto, not amx"):
        choose_backend("amx", CPU, BASE, quantised=True)


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
