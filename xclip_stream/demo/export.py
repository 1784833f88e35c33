"""Writing the trained model as a checkpoint folder of the hub's layout, in half precision."""

from pathlib import Path

from tokenizers import Tokenizer

from xclip_stream.demo.network import MEAN, STD
from xclip_stream.demo.pool import SIZE_PX
from xclip_stream.demo.tokenizer import CONTEXT
from xclip_stream.model.checkpoint_files import FrameRules
from xclip_stream.model.network import XCLIPModel
from xclip_stream.model.processor import XCLIPProcessor
from xclip_stream.model.tokenizer import PromptTokenizer

CHECKPOINT = Path(__file__).with_name("checkpoint")


def export_checkpoint(model: XCLIPModel, tokenizer: Tokenizer, folder: Path) -> None:
    """Write the files of the model, which is in half precision from then on, and those of its processor."""
    model.half().save_pretrained(folder)
    rules = FrameRules(image_px=SIZE_PX, fit="stretch", mean=MEAN, std=STD)
    XCLIPProcessor(PromptTokenizer(tokenizer, max_tokens=CONTEXT), rules).save_pretrained(folder)
