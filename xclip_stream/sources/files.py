"""Video files."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from av.error import FFmpegError

from xclip_stream.errors import SourceRejected
from xclip_stream.sources.damage import Damage
from xclip_stream.sources.decoding import AvFrame, OpenVideo, View, open_video
from xclip_stream.sources.lazy_decoding import LazyDecoder, Moment
from xclip_stream.sources.timeline import Timeline
from xclip_stream.types import HwAccel

# Formats that hold their video themselves. Playlists, concatenations, image sequences and session descriptions can make
# FFmpeg open other files and hosts, so a file from elsewhere must not be able to choose them.
_FORMATS = (
    "asf,avi,av1,dv,flv,gif,h261,h263,h264,hevc,ivf,m4v,matroska,webm,mjpeg,mov,mp4,m4a,3gp,3g2,mj2,mpeg,mpegts,"
    "mpegvideo,mxf,nut,obu,ogg,rm,swf,vc1,vvc,wtv,yuv4mpegpipe"
)
_OPTIONS = {"protocol_whitelist": "file", "format_whitelist": _FORMATS}

_SAMPLES = 32
_SAMPLE_BYTES = 128 * 1024
_ENDS_EARLY_S = 1.0


class FileSource:
    """A video file, read as fast as it is asked for. Entered again, it is read from the start.

    A frame is decoded when its pictures are asked for, which can be done until the next frame is taken.

    Args:
        view: what is kept of each frame.
        start_time: event time of the first frame, Unix seconds.
        hwaccel: what decodes it, where that is possible.
    """

    live = False

    def __init__(self, path: Path, *, view: View, start_time: float = 0.0, hwaccel: HwAccel | None = None) -> None:
        self._path = path
        self._view = view
        self._start_time = start_time
        self._hwaccel = hwaccel
        self._video: OpenVideo | None = None
        self._duration_s: float | None = None
        self._damage = Damage()
        self._remarks: list[str] = []

    @property
    def duration_s(self) -> float | None:
        return self._duration_s

    @property
    def video(self) -> OpenVideo:
        """The open container; there is one inside the `with` block only."""
        if self._video is None:
            raise RuntimeError("a source is read inside its `with` block")
        return self._video

    @property
    def damage(self) -> Sequence[str]:
        return [*self._damage.lines(), *self._remarks]

    @property
    def idling(self) -> None:
        return None

    def __enter__(self) -> Self:
        self._damage = Damage()
        self._remarks = []
        _check_readable(self._path)
        try:
            self._video = open_file(self._path, hwaccel=self._hwaccel)
        except FFmpegError as error:
            raise SourceRejected(
                f"{self._path}: not a video file, or one cut off before its index was written ({error.strerror})"
            ) from error
        self._duration_s = self._video.duration_s
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._video is not None:
            self._video.close()
            self._video = None

    def __iter__(self) -> Iterator[AvFrame]:
        video = self.video
        timeline = Timeline(frame_s=video.frame_s)
        index = -1
        for index, moment in enumerate(self._moments(video, timeline)):
            pts_s = timeline.place(moment.pts, moment.dts, moment.time_base or video.time_base)
            if pts_s is None:
                self._damage.note("late frame left out", at_s=timeline.last_s)
            else:
                yield AvFrame(index, pts_s, self._start_time + pts_s, moment.decode, self._view)
        if index < 0:
            raise SourceRejected(f"{self._path}: not one frame of its {video.codec} video could be decoded")
        self._remark(video, timeline)

    def _moments(self, video: OpenVideo, timeline: Timeline) -> Iterator[Moment]:
        def note(what: str) -> None:
            self._damage.note(what, at_s=timeline.last_s)

        decoder = LazyDecoder(video.stream, keeps_times=video.keeps_times, note=note)
        try:
            yield from decoder.moments(video.packets(note=note, is_fatal=lambda _: False))
        except FFmpegError as error:
            self._remarks.append(f"given up at {timeline.last_s:.1f} s: {error.strerror}")

    def _remark(self, video: OpenVideo, timeline: Timeline) -> None:
        """Say what is known only at the end."""
        if timeline.breaks:
            self._remarks.append(f"{timeline.breaks} × time stamps began anew")
        declared_s, end_s = video.stream_duration_s, timeline.last_s + video.frame_s
        if declared_s is not None and declared_s - end_s > _ENDS_EARLY_S:
            self._remarks.append(f"ends at {end_s:.1f} s of {declared_s:.1f} s")


def open_file(path: Path, *, hwaccel: HwAccel | None = None) -> OpenVideo:
    """Open a video file.

    Raises:
        FFmpegError: it cannot be opened.
        SourceRejected: there is no video in it.
    """
    # With "file:" a name such as "concat:a|b" is not taken for a protocol.
    return open_video(f"file:{path.absolute()}", options=_OPTIONS, shown=str(path), hwaccel=hwaccel)


def content_sample(path: Path) -> str:
    """Return a hash that names the content of a file: its size, and parts from all over it.

    Raises:
        SourceRejected: there is no such file, or it cannot be read.
    """
    size_bytes = _check_readable(path)
    digest = hashlib.sha256(str(size_bytes).encode())
    last = max(0, size_bytes - _SAMPLE_BYTES)
    try:
        with path.open("rb") as file:
            for number in range(_SAMPLES):
                file.seek(last * number // (_SAMPLES - 1))
                digest.update(file.read(_SAMPLE_BYTES))
    except OSError as error:
        raise SourceRejected(f"{path}: cannot be read ({error.strerror})") from error
    return digest.hexdigest()


def _check_readable(path: Path) -> int:
    """Return the size of a file in bytes, or say why it is no file to read."""
    try:
        size_bytes = path.stat().st_size
        if path.is_dir():
            raise SourceRejected(f"{path}: is a folder, not a video file")
        if not path.is_file():
            raise SourceRejected(f"{path}: is not a regular file")
        with path.open("rb"):
            pass
    except FileNotFoundError as error:
        raise SourceRejected(f"{path}: there is no such file") from error
    except (OSError, ValueError) as error:
        raise SourceRejected(f"{path}: cannot be read ({error})") from error
    if size_bytes == 0:
        raise SourceRejected(f"{path}: the file is empty")
    return size_bytes
