"""How much memory of the GPU is in use."""

from collections.abc import Mapping

import torch


def gpu_memory_bytes() -> Mapping[str, int]:
    """Return the memory of the current CUDA device by state, or nothing where this process uses none.

    `allocated` is that of tensors and `reserved` that of torch's allocator, both of this process; `used` is that of
    all processes, of `total`. Any thread may ask.
    """
    # To ask of a device that this process does not use would take some hundred MB of it.
    if not torch.cuda.is_initialized():  # type: ignore[no-untyped-call]  # torch's
        return {}
    free, total = torch.cuda.mem_get_info()
    return {
        "allocated": torch.cuda.memory_allocated(),
        "reserved": torch.cuda.memory_reserved(),
        "used": total - free,
        "total": total,
    }
