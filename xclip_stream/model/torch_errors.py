"""What torch's errors mean for whoever scores."""

import torch

from xclip_stream.errors import ScorerBroken, ScorerOutOfMemory, ScoringError

# A CPU that is out of memory raises a plain RuntimeError: https://github.com/pytorch/pytorch/pull/20618. The second is
# what drivers say where the allocator was not asked, and the next ones what cuBLAS and cuDNN say when the memory is
# taken up before they have their workspace. The last one stands in the assertion that fails where CUDA's allocator
# wants to say who has the memory, and NVML does not tell: https://github.com/pytorch/pytorch/issues/112377.
_TOO_BIG = (
    "can't allocate memory",
    "out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "NVML_SUCCESS ==",
)
# After one of these every further call on the device fails too, in this process only.
_LOST = ("CUDA error", "CUDA driver error", "HIP error", "cuDNN error", "device-side assert")


def translated(error: RuntimeError | MemoryError) -> ScoringError | ScorerBroken:
    """Return what a loop can act on in place of torch's own error."""
    text = first_line(error)
    if _is_too_big(error):
        return ScorerOutOfMemory(text)
    if any(mark in text for mark in _LOST):
        return ScorerBroken(f"the device failed: {text}")
    return ScoringError(f"the model failed: {text}")


def is_out_of_memory(error: BaseException | None) -> bool:
    """Tell whether memory was short, at the error or at one that it came of.

    The end of a recording that failed raises an error of its own over the first.
    """
    while error is not None:
        if _is_too_big(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def first_line(error: BaseException) -> str:
    """Return what the error says, without the advice that libraries put below it."""
    return " ".join(str(error).strip().split("\n", 1)[0].split())


def _is_too_big(error: BaseException) -> bool:
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(
        mark in first_line(error) for mark in _TOO_BIG
    )
