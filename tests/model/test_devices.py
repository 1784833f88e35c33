"""Which device and type are taken. The GPUs are stand-ins: what torch.cuda would say of them."""

from types import SimpleNamespace

import pytest
import torch
from structlog.testing import capture_logs

from xclip_stream.errors import ConfigError
from xclip_stream.model.devices import choose_device, choose_dtype, is_built_for

OF_A_WHEEL = ["sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120", "compute_120"]


@pytest.fixture
def gpu(monkeypatch):
    """One GPU of a compute capability, found by a torch that was built for `OF_A_WHEEL`."""

    def found(capability: tuple[int, int], *, cuda: str | None = "13.0") -> None:
        monkeypatch.setattr("torch.version.cuda", cuda)
        monkeypatch.setattr("torch.cuda.is_available", lambda: True)
        monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
        monkeypatch.setattr("torch.cuda.get_arch_list", lambda: OF_A_WHEEL)
        monkeypatch.setattr("torch.cuda.get_device_name", lambda device: "Tesla P4")
        monkeypatch.setattr("torch.cuda.get_device_capability", lambda device: capability)

    return found


@pytest.mark.parametrize(
    ("capability", "built_for", "runs"),
    [
        ((7, 5), OF_A_WHEEL, True),
        ((8, 9), OF_A_WHEEL, True),  # by the code for 8.6
        ((6, 1), OF_A_WHEEL, False),
        ((7, 0), OF_A_WHEEL, False),
        ((12, 1), OF_A_WHEEL, True),
        ((13, 0), OF_A_WHEEL, True),  # the driver compiles it
        ((13, 0), ["sm_90a", "sm_120f"], False),
        ((9, 0), ["sm_90a"], True),
        ((6, 1), [], True),  # nobody knows
    ],
)
def test_a_gpu_runs_code_of_its_generation_that_is_no_newer_and_older_code_that_its_driver_compiles(
    capability, built_for, runs
):
    assert is_built_for(capability, built_for) == runs


def test_auto_takes_a_gpu(gpu):
    gpu((8, 9))

    assert choose_device("auto") == torch.device("cuda")
    assert choose_device("cuda:0") == torch.device("cuda:0")


def test_auto_takes_the_cpu_where_torch_has_nothing_for_the_gpu_and_says_so_once(gpu):
    gpu((6, 1))

    with capture_logs() as logs:
        device = choose_device("auto")

    (line,) = logs
    assert device == torch.device("cpu")
    assert (line["event"], line["log_level"]) == ("gpu_not_used", "warning")
    assert line["error"].startswith("Tesla P4 has compute capability 6.1, and torch ")


def test_a_gpu_of_which_torch_has_no_list_is_taken(gpu):
    gpu((9, 0), cuda=None)  # ROCm, whose list has names like gfx90a

    assert choose_device("auto") == torch.device("cuda")


def test_a_gpu_that_was_asked_for_and_cannot_be_used_is_a_mistake_of_the_configuration(gpu):
    gpu((6, 1))

    with pytest.raises(ConfigError, match=r"^device 'cuda' cannot be used: Tesla P4 has .*; set model\.device to auto"):
        choose_device("cuda")


@pytest.mark.parametrize(
    ("device", "message"),
    [
        ("gpu", "is none that torch knows"),
        ("cuda:64", r"is not there: torch [\d.]+\S* finds \d+ GPUs; set model\.device to auto or cpu"),
        pytest.param(
            "mps", "is not there", marks=pytest.mark.skipif(torch.backends.mps.is_available(), reason="it is there")
        ),
    ],
)
def test_a_device_that_is_not_there_is_a_mistake_of_the_configuration(device, message):
    with pytest.raises(ConfigError, match=message):
        choose_device(device)


@pytest.mark.parametrize(
    ("hip", "architecture", "dtype"),
    [
        (None, "", torch.float16),
        ("6.4", "gfx942:sramecc+:xnack-", torch.float16),
        ("6.4", "gfx90a:sramecc+:xnack-", torch.bfloat16),  # an MI250: its products of float16 lose small numbers
    ],
)
def test_auto_is_half_precision_on_a_gpu_in_a_type_that_keeps_small_numbers(monkeypatch, hip, architecture, dtype):
    monkeypatch.setattr("torch.version.hip", hip)
    monkeypatch.setattr(
        "torch.cuda.get_device_properties", lambda device: SimpleNamespace(gcnArchName=architecture), raising=False
    )

    assert choose_dtype("auto", torch.device("cuda:0")) == dtype
    assert choose_dtype("float16", torch.device("cuda:0")) == torch.float16
    assert choose_dtype("auto", torch.device("cpu")) == torch.float32
