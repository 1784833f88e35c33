"""Writing the trained model as a checkpoint folder of the hub's layout, in half precision."""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer

from xclip_stream.demo.network import MEAN, STD
from xclip_stream.demo.pool import SIZE_PX
from xclip_stream.demo.tokenizer import save_tokenizer
from xclip_stream.model.network import XCLIPModel

CHECKPOINT = Path(__file__).with_name("checkpoint")


def export_checkpoint(model: XCLIPModel, tokenizer: Tokenizer, folder: Path) -> None:
    """Write model.safetensors (float16), config.json, preprocessor_config.json and the tokenizer's files."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: value.detach().to(torch.float16).contiguous() for name, value in model.state_dict().items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    _write_json(folder / "config.json", {**model.config.to_dict(), "torch_dtype": "float16"})
    _write_json(folder / "preprocessor_config.json", _PREPROCESSOR)
    save_tokenizer(tokenizer, folder)


_PREPROCESSOR = {
    "feature_extractor_type": "VideoMAEFeatureExtractor",
    "image_processor_type": "VideoMAEImageProcessor",
    "do_resize": True,
    "size": {"height": SIZE_PX, "width": SIZE_PX},
    "resample": 2,
    "do_center_crop": False,
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": list(MEAN),
    "image_std": list(STD),
}


def _write_json(path: Path, values: dict[str, object]) -> None:
    path.write_text(json.dumps(values, indent=2, sort_keys=True) + "\n", encoding="utf-8")
