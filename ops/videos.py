"""Videos: the frames of their moments, upright, and their sound.

Decoded by PyAV in one thread, so that the same file gives the same frames everywhere. Damage is told where it begins:
the frames before it are good.
"""

from __future__ import annotations

import io
import wave
from contextlib import contextmanager
from dataclasses import dataclass
from math import floor
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ops.images import MAX_PIXELS, size_problem, turned
from ops.records import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ops.records import Picture

_CONTAINERS = "mov,matroska,avi"
_EXACT_S = 1e-6
_MISSING_S = 0.3  # less than this at the end is rounding of the stated duration
_BLOCK = 64  # codecs fill sides up to whole blocks, of this many pixels at most, and FFmpeg counts those too
_ORIENTATIONS = {
    (1, 0, 0, 1): 1,
    (-1, 0, 0, 1): 2,
    (-1, 0, 0, -1): 3,
    (1, 0, 0, -1): 4,
    (0, 1, 1, 0): 5,
    (0, 1, -1, 0): 6,
    (0, -1, -1, 0): 7,
    (0, -1, 1, 0): 8,
}


class BadVideo(Refusal):
    """A file that is no usable video, or none from some point on."""


@dataclass(frozen=True, slots=True, eq=False)
class VideoFrame:
    """One frame.

    Attributes:
        time: seconds after the first frame.
        index: its number among the decoded frames.
        pixels: upright RGB.
        duration: seconds that it is shown; 0 where the file doesn't say.
    """

    time: float
    index: int
    pixels: Picture
    duration: float = 0.0


class VideoInfo(NamedTuple):
    """A video's container, seconds, frames a second (None: not stated), upright size, and whether it has sound."""

    format: str
    duration: float | None
    fps: float | None
    width: int
    height: int
    has_sound: bool


class Moments:
    """Tells the first frame at or after each of 0, 1/fps, 2/fps, ... seconds; with None for fps, every frame."""

    def __init__(self, fps: float | None) -> None:
        if fps is not None and not fps > 0:
            raise ValueError(f"fps is {fps}, but must be positive")
        self._fps, self._wanted = fps, 0

    def due(self, time: float) -> bool:
        """Tell it of a frame's time, in seconds after the first frame's."""
        if self._fps is None:
            return True
        if time + _EXACT_S < self._wanted / self._fps:
            return False
        self._wanted = floor((time + _EXACT_S) * self._fps) + 1
        return True


def sample_video(path: Path, fps: float | None = 1.0, *, max_pixels: int = MAX_PIXELS) -> Iterator[VideoFrame]:
    """Yield the first frame at or after 0, 1/fps, 2/fps, ... seconds, upright; no frame twice.

    Args:
        path: the video.
        fps: frames wanted a second; None for every frame.
        max_pixels: videos with larger frames are refused unread.

    Raises:
        ValueError: ``fps`` is not positive.
        BadVideo: no video, no frames, too large, or damaged. What comes before the damage is yielded first.
    """
    moments = Moments(fps)
    with opened(path, max_pixels) as container:
        stream = pictures_of(container, max_pixels)
        start = None
        for index, frame in enumerate(_frames(container, stream)):
            time = index / float(stream.average_rate or 25) if frame.time is None else frame.time
            start = time if start is None else start
            if moments.due(time - start):
                shown = float((frame.duration or 0) * frame.time_base)
                yield VideoFrame(time - start, index, _upright(frame), shown)


def video_info(path: Path, *, max_pixels: int = MAX_PIXELS) -> VideoInfo:
    """Describe a video, decoding its first frame only.

    Raises:
        BadVideo: as in :func:`sample_video`.
    """
    with opened(path, max_pixels) as container:
        stream = pictures_of(container, max_pixels)
        height, width = _upright(next(_frames(container, stream))).shape[:2]
        return VideoInfo(
            format=container.format.name.split(",")[0],
            duration=None if container.duration is None else container.duration / 1e6,
            fps=float(stream.average_rate) if stream.average_rate else None,
            width=width,
            height=height,
            has_sound=bool(container.streams.audio),
        )


def extract_sound(path: Path) -> bytes | None:
    """Return the first sound track as a WAV file (16-bit PCM, its own rate and channels), or None without one.

    Of a file that breaks off, what is there; :func:`sample_video` tells that it does.

    Raises:
        BadVideo: no video container, or the sound is damaged.
    """
    import av

    with opened(path) as container:
        if not container.streams.audio:
            return None
        stream = container.streams.audio[0]
        if stream.codec_context is None:
            raise BadVideo("sound in an unknown codec")
        out = io.BytesIO()
        with wave.open(out, "wb") as track:
            track.setnchannels(stream.channels)
            track.setsampwidth(2)
            track.setframerate(stream.rate)
            try:
                for samples in samples_of(container, stream):
                    track.writeframes(samples)
            except av.FFmpegError as error:
                seconds = track.getnframes() / stream.rate
                raise BadVideo(f"sound damaged after {seconds:.2f} s: {error.strerror}") from error
            return out.getvalue() if track.getnframes() else None


@contextmanager
def opened(path: Path, max_pixels: int = MAX_PIXELS) -> Iterator[Any]:
    """Open a video container; what FFmpeg complains about becomes BadVideo.

    Playlists and other formats that name further files or addresses are not let in.
    """
    import av

    options = {"format_whitelist": _CONTAINERS, "protocol_whitelist": "file", "max_pixels": str(max_pixels)}
    try:
        with av.open(str(path.absolute()), options=options, metadata_errors="replace") as container:
            yield container
    except av.FFmpegError as error:
        raise BadVideo(f"damaged or no video: {error.strerror}") from error


def pictures_of(container: Any, max_pixels: int) -> Any:
    """Return the first stream of moving pictures (covers of sound files aren't), decoding in one thread."""
    import av

    cover = av.stream.Disposition.attached_pic
    streams = [stream for stream in container.streams.video if not stream.disposition & cover]
    if not streams:
        raise BadVideo("no video stream")
    context = streams[0].codec_context
    if context is None:
        raise BadVideo("video stream in an unknown codec")
    if not context.width * context.height:  # what FFmpeg makes of more pixels than it is allowed
        raise BadVideo(f"no picture size, or more than {max_pixels} pixels")
    problem = size_problem(context.width, context.height, max_pixels)
    if problem:
        raise BadVideo(problem)
    context.thread_count = 1
    coded = (context.width + _BLOCK) * (context.height + _BLOCK)
    context.options = {"max_pixels": str(max(max_pixels, coded))}
    return streams[0]


def _frames(container: Any, stream: Any) -> Iterator[Any]:
    """Decode all frames, and hold what came against what the header says."""
    import av

    start = (container.start_time or 0) / 1e6
    end, count = 0.0, 0
    try:
        for packet in container.demux():
            if packet.is_corrupt:
                raise BadVideo(f"breaks off after {end:.2f} s")
            if packet.pts is not None:
                end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base) - start)
            for frame in packet.decode() if packet.stream_index == stream.index else ():
                if frame.is_corrupt:
                    raise BadVideo(f"damaged after {end:.2f} s")
                count += 1
                yield frame
    except av.FFmpegError as error:
        raise BadVideo(f"damaged after {end:.2f} s: {error.strerror}") from error
    if not count:
        raise BadVideo("no frames")
    if container.duration and end < container.duration / 1e6 - _MISSING_S:
        raise BadVideo(f"breaks off after {end:.2f} s of {container.duration / 1e6:.2f} s")


def samples_of(container: Any, stream: Any) -> Iterator[bytes]:
    """Decode a sound stream to interleaved 16-bit samples, up to where it breaks off."""
    import av

    resampler = av.AudioResampler(format="s16", layout=stream.layout, rate=stream.rate)
    for packet in container.demux(stream):
        if packet.is_corrupt:
            break
        for frame in packet.decode():
            yield from (part.to_ndarray().tobytes() for part in resampler.resample(frame))
    yield from (part.to_ndarray().tobytes() for part in resampler.resample(None))


def _upright(frame: Any) -> Picture:
    pixels = frame.to_ndarray(format="rgb24")
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return pixels
    signs = np.sign(np.rint(np.frombuffer(matrix, np.int32)[[0, 1, 3, 4]] / 65536)).astype(int)
    return turned(pixels, _ORIENTATIONS.get(tuple(signs.tolist()), 1))
