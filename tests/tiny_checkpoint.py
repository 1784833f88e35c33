"""A real checkpoint with random weights, small enough for any test."""

from pathlib import Path

import torch
from tokenizers import pre_tokenizers

from xclip_stream.model import XCLIPConfig, XCLIPModel, XCLIPProcessor, XCLIPTextConfig, XCLIPVisionConfig
from xclip_stream.model.checkpoint_files import FrameRules
from xclip_stream.model.tokenizer import END, START, PromptTokenizer, clip_tokenizer


def write_tiny_checkpoint(folder: Path, *, num_frames: int = 4, image_px: int = 32, seed: int = 0) -> Path:
    """Write a checkpoint of `num_frames` frames of `image_px` into `folder`; its tokens are single bytes."""
    torch.manual_seed(seed)
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = [*letters, *(letter + "</w>" for letter in letters), START, END]
    tokenizer = clip_tokenizer({token: index for index, token in enumerate(tokens)}, [])
    text = XCLIPTextConfig(
        vocab_size=len(tokens), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2
    )
    vision = XCLIPVisionConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        mit_hidden_size=32,
        mit_intermediate_size=64,
        mit_num_attention_heads=2,
        image_size=image_px,
        patch_size=16,
        num_frames=num_frames,
    )
    config = XCLIPConfig(text_config=text, vision_config=vision, projection_dim=32, prompt_num_attention_heads=2)
    rules = FrameRules(image_px=image_px, fit="crop", mean=(0.5,) * 3, std=(0.25,) * 3)
    XCLIPModel(config).save_pretrained(folder)
    XCLIPProcessor(tokenizer=PromptTokenizer(tokenizer, max_tokens=77), rules=rules).save_pretrained(folder)
    return folder
