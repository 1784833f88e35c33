"""Video in: files and cameras, read with PyAV."""

from xclip_stream.sources.files import content_sample
from xclip_stream.sources.open import is_live_url, local_path, open_source

__all__ = ["content_sample", "is_live_url", "local_path", "open_source"]
