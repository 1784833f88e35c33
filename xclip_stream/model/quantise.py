"""Makes the eight-bit form of exported stages, calibrated on frames that it is shown. Needs the extra `quantize`."""

import logging
import shutil
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import xclip_stream.model.no_telemetry  # noqa: F401 - before both libraries
from xclip_stream.model.openvino_backend import the_core
from xclip_stream.model.stage_files import ExportedStages

import nncf  # isort: skip
import openvino  # isort: skip

# The blocks are nearly all of the work. What stands before and behind them stays exact: the patches, the projections
# and the integration transformer lose more than they gain.
_ALL_BUT_BLOCKS = r"(?!__module\.(block|blocks|messages)\.).*"


def quantise_stages(exact: ExportedStages, clips: Sequence[NDArray[np.uint8]], folder: Path) -> ExportedStages:
    """Write the eight-bit form of the stages into `folder`, and show how far it has come on the terminal.

    Args:
        exact: all in single precision. That of the prompts stays so.
        clips: what to calibrate on, each (T, S, S, 3).
    """
    nncf.set_log_level(logging.ERROR)
    with redirect_stdout(sys.stderr):  # where NNCF shows its progress is no place for it
        return _quantise_both(exact, clips, ExportedStages(folder))


def _quantise_both(exact: ExportedStages, clips: Sequence[NDArray[np.uint8]], quick: ExportedStages) -> ExportedStages:
    core = the_core()
    frames, later = core.read_model(exact.frames), core.read_model(exact.clips)
    _quantise(frames, clips, quick.frames)
    # The second stage is calibrated on what the exact first one gives.
    first = core.compile_model(core.read_model(exact.frames), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    _quantise(later, [first(clip)[0].copy() for clip in clips], quick.clips)
    for path in (exact.prompts, exact.prompts.with_suffix(".bin")):
        shutil.copyfile(path, quick.folder / path.name)
    return quick


def _quantise(model: openvino.Model, examples: Sequence[NDArray[np.generic]], path: Path) -> None:
    made = nncf.quantize(
        model,
        nncf.Dataset(examples),
        subset_size=len(examples),
        model_type=nncf.ModelType.TRANSFORMER,
        fast_bias_correction=True,
        ignored_scope=nncf.IgnoredScope(patterns=[_ALL_BUT_BLOCKS], validate=False),
        # Smoothing moves scale from activations into weights; with it this network agreed less with itself.
        advanced_parameters=nncf.AdvancedQuantizationParameters(
            smooth_quant_alphas=nncf.AdvancedSmoothQuantParameters(matmul=-1)
        ),
    )
    openvino.save_model(made, path, compress_to_fp16=False)
