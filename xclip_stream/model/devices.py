"""Chooses the device that a model is computed on, and the type that torch computes in there."""

import warnings
from collections.abc import Sequence

import structlog
import torch

from xclip_stream.errors import ConfigError
from xclip_stream.model.backends import Dtype

_ELSE = "set model.device to auto or cpu"


def choose_device(name: str) -> torch.device:
    """Return the device of this name; `auto` is the GPU where torch can use it, else the CPU.

    Raises:
        ConfigError: there is no such device, or this build of torch cannot use it.
    """
    if name == "auto":
        return _gpu_or_cpu()
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigError(f"device {name!r} is none that torch knows; use auto, cpu or cuda:0") from None
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ConfigError(
            f"device {name!r} is not there: torch {torch.__version__} finds {torch.cuda.device_count()} GPUs; {_ELSE}"
        )
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise ConfigError(f"device {name!r} is not there; {_ELSE}")
    if device.type == "cuda" and (obstacle := _obstacle(device)):
        raise ConfigError(f"device {name!r} cannot be used: {obstacle}; {_ELSE}")
    return device


def choose_dtype(name: Dtype, device: torch.device) -> torch.dtype:
    """Return the type of this name; `auto` is half precision on a GPU and single on all else."""
    if name != "auto":
        return {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}[name]
    if device.type != "cuda":
        return torch.float32
    return torch.bfloat16 if _loses_small_numbers(device) else torch.float16


def is_built_for(capability: tuple[int, int], built_for: Sequence[str]) -> bool:
    """Tell whether a GPU of this compute capability runs what was compiled for these, as `torch.cuda.get_arch_list`.

    `sm_86` is machine code, for 8.6 and later of 8; `compute_86` is what a driver compiles for any that came later.
    """
    for architecture in built_for:
        kind, _, version = architecture.partition("_")
        oldest = divmod(int(version.rstrip("af")), 10)
        if oldest <= capability and (kind == "compute" or oldest[0] == capability[0]):
            return True
    return not built_for


def _gpu_or_cpu() -> torch.device:
    gpu, cpu = torch.device("cuda"), torch.device("cpu")
    if not torch.cuda.is_available():
        return cpu
    if obstacle := _obstacle(gpu):
        structlog.get_logger().warning("gpu_not_used", error=obstacle)
        return cpu
    return gpu


def _obstacle(gpu: torch.device) -> str:
    """Return why torch has nothing that runs on a GPU of NVIDIA; empty where it has."""
    if torch.version.cuda is None:
        return ""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the same, in many lines
        major, minor = torch.cuda.get_device_capability(gpu)
    built_for = torch.cuda.get_arch_list()
    if is_built_for((major, minor), built_for):
        return ""
    return (
        f"{torch.cuda.get_device_name(gpu)} has compute capability {major}.{minor}, and torch {torch.__version__} is "
        f"built for {', '.join(built_for)}: install a build of torch for another version of CUDA"
    )


def _loses_small_numbers(gpu: torch.device) -> bool:
    """Tell whether products of float16 lose what is below 2^-14, as of all GPUs those of the MI200 series do.

    https://pytorch.org/docs/stable/notes/numerical_accuracy.html
    """
    return torch.version.hip is not None and "gfx90a" in torch.cuda.get_device_properties(gpu).gcnArchName
