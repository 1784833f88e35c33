"""X-CLIP: prompts and short videos to one logit for each pair.

The names below are imported when they are first used: whoever reads only configuration files never imports torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xclip_stream.model.checkpoint_files import clip_geometry
    from xclip_stream.model.configuration import XCLIPConfig, XCLIPTextConfig, XCLIPVisionConfig
    from xclip_stream.model.network import XCLIPModel, XCLIPTextModel, XCLIPVisionModel
    from xclip_stream.model.processor import XCLIPProcessor
    from xclip_stream.model.scorer import ClipFeatures, PromptFeatures, Scorer
    from xclip_stream.types import ClipGeometry

__all__ = [
    "ClipFeatures",
    "ClipGeometry",
    "PromptFeatures",
    "Scorer",
    "XCLIPConfig",
    "XCLIPModel",
    "XCLIPProcessor",
    "XCLIPTextConfig",
    "XCLIPTextModel",
    "XCLIPVisionConfig",
    "XCLIPVisionModel",
    "clip_geometry",
]

_HOMES = {
    "ClipFeatures": "scorer",
    "ClipGeometry": "checkpoint_files",
    "PromptFeatures": "scorer",
    "Scorer": "scorer",
    "XCLIPConfig": "configuration",
    "XCLIPModel": "network",
    "XCLIPProcessor": "processor",
    "XCLIPTextConfig": "configuration",
    "XCLIPTextModel": "network",
    "XCLIPVisionConfig": "configuration",
    "XCLIPVisionModel": "network",
    "clip_geometry": "checkpoint_files",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
