"""xclip-stream: spot actions in live video from plain-text prompts."""

__version__ = "0.1.0"
