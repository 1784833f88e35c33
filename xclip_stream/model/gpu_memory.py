"""How much memory of the GPU is in use."""

from collections.abc import Mapping

import torch


def gpu_memory_bytes(device: torch.device) -> Mapping[str, int]:
    """Return the memory of a CUDA device by state, or nothing where it is none, or none that this process uses.

    `allocated` is that of tensors and `reserved` that of torch's allocator, both of this process; `used` is that of
    all processes, of `total`. Any thread may ask.
    """
    # To ask of a device that this process does not use would take some hundred MB of it.
    if device.type != "cuda" or not torch.cuda.is_initialized():  # type: ignore[no-untyped-call]  # torch's
        return {}
    free, total = torch.cuda.mem_get_info(device)
    return {
        "allocated": torch.cuda.memory_allocated(device),
        "reserved": torch.cuda.memory_reserved(device),
        "used": total - free,
        "total": total,
    }
