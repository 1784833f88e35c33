"""Video in: files and cameras, read with PyAV."""

from xclip_stream.sources.files import content_sample
from xclip_stream.sources.footage import FileFootage, LiveFootage
from xclip_stream.sources.open import is_live_url, local_path, open_recording, open_source
from xclip_stream.sources.packet_ring import PacketRing, PacketTap
from xclip_stream.sources.painting import Painter

__all__ = [
    "FileFootage",
    "LiveFootage",
    "PacketRing",
    "PacketTap",
    "Painter",
    "content_sample",
    "is_live_url",
    "local_path",
    "open_recording",
    "open_source",
]
