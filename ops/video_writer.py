"""Writing videos: pictures made from a video's frames, with its sound, at a steady frame rate.

H.264 in MP4, which every browser plays; the same pictures give the same bytes.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from ops.files import drafted
from ops.images import MAX_PIXELS
from ops.videos import opened, pictures_of, samples_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ops.records import Picture

CRF = "20"
PRESET = "veryfast"
MOST_FPS = 120
"""Rates above this are a container's clock, not a camera's."""

COPIED = ("aac", "mp3", "opus", "flac", "ac3", "eac3")
"""Sound that MP4 carries and players take as it is; any other is encoded as AAC."""

LAYOUTS = {1: "mono", 2: "stereo"}
"""Of sound whose file doesn't name the places of its channels."""

BT709 = 1
"""Of matrix, primaries and transfer, as ITU-T H.273 numbers them."""

LIMITED = 1


@contextmanager
def write_video(path: Path, *, like: Path, sound: bool = True, max_pixels: int = MAX_PIXELS) -> Iterator[VideoWriter]:
    """Write a video that has another's frame rate and sound; nothing is there unless the block ends well.

    >>> with write_video(out, like=clip) as made:  # doctest: +SKIP
    ...     for shot in sample_video(clip, fps=None):
    ...         made.add(shot.pixels, shot.time, shot.duration)

    Args:
        path: the MP4 file to write; what it held before is replaced.
        like: where frame rate and sound come from.
        sound: False leaves the sound out.
        max_pixels: videos with larger frames are refused.

    Raises:
        BadVideo: ``like`` is no video.
        ValueError: no picture was added.
    """
    import av

    exact = {"fflags": "+bitexact", "movflags": "+faststart"}
    with opened(like, max_pixels) as given:
        try:
            with drafted(path) as draft, av.open(str(draft.absolute()), "w", format="mp4", options=exact) as made:
                writer = VideoWriter(given, made, max_pixels, sound=sound)
                yield writer
                writer.finish()
        except av.FFmpegError as error:
            raise OSError(error.errno, error.strerror, str(path)) from error


class VideoWriter:
    """What :func:`write_video` hands out.

    Attributes:
        rate: frames a second.
        count: frames written so far.
    """

    def __init__(self, given: Any, made: Any, max_pixels: int, *, sound: bool) -> None:
        stream = pictures_of(given, max_pixels)
        rate = stream.guessed_rate or stream.average_rate or 25
        self.rate = Fraction(rate if rate <= MOST_FPS else min(stream.average_rate or MOST_FPS, MOST_FPS))
        begin = Fraction(given.start_time or 0, 1_000_000)
        self._begin = max(0.0, float((stream.start_time or 0) * stream.time_base - begin))
        self._given, self._made, self._start = given, made, begin
        self._with_sound = sound
        self._video: Any = None
        self._sound: Iterator[Any] = iter(())
        self._heard = 0.0
        self._last: Picture | None = None
        self.count = self._until = 0

    def add(self, pixels: Picture, time: float | None = None, duration: float = 0.0) -> None:
        """Show a picture from a moment on; the one before it is held until then.

        Args:
            pixels: upright, all of one size. An odd side is made even by repeating its last row or column.
            time: seconds after the first frame; None for the next moment of the steady rate. Of pictures that fall on
                one moment the first is shown.
            duration: seconds that the picture is shown if no other follows.

        Raises:
            ValueError: it has not the size of the first picture.
        """
        if self._last is None:
            self._open(pixels)
        elif pixels.shape != self._last.shape:
            raise ValueError(f"a picture of shape {pixels.shape} in a video of shape {self._last.shape}")
        moment = self.count if time is None else round((self._begin + time) * self.rate)
        if moment < self.count:
            return
        self._hold(self._last if self._last is not None else pixels, moment)
        self._hold(pixels, moment + 1)
        self._last = pixels
        self._until = self.count if time is None else round((self._begin + time + duration) * self.rate)

    def finish(self) -> None:
        """Hold the last picture for as long as it is to be seen, and write what is left of the sound."""
        if self._last is None:
            raise ValueError("a video needs at least one picture")
        self._hold(self._last, self._until)
        self._made.mux(self._video.encode())
        self._listen(float("inf"))

    def _open(self, pixels: Picture) -> None:
        height, width = pixels.shape[:2]
        # with its macroblock tree x264 doesn't make the same bytes twice
        exact = {"crf": CRF, "preset": PRESET, "threads": "1", "flags": "+bitexact", "x264-params": "mbtree=0"}
        video = self._made.add_stream("libx264", rate=self.rate, options=exact)
        video.width, video.height, video.pix_fmt = width + width % 2, height + height % 2, "yuv420p"
        context = video.codec_context
        context.colorspace = context.color_primaries = context.color_trc = BT709
        context.color_range = LIMITED
        self._video = video
        if self._with_sound:
            self._sound = self._sound_of(self._given)

    def _hold(self, pixels: Picture, until: int) -> None:
        """Encode one picture for every moment before ``until``, and the sound that goes with it."""
        import av
        from av.video.reformatter import Colorspace

        if self.count >= until:
            return
        height, width = pixels.shape[:2]
        even = np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), "edge") if height % 2 or width % 2 else pixels
        shown = av.VideoFrame.from_ndarray(even, format="rgb24")
        frame = shown.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709)
        frame.time_base = 1 / self.rate
        for moment in range(self.count, until):
            frame.pts = moment
            self._made.mux(self._video.encode(frame))
        self.count = until
        self._listen(float(until / self.rate))

    def _listen(self, until: float) -> None:
        """Write the sound up to a moment, so that it lies beside its pictures."""
        while self._heard < until and (packet := next(self._sound, None)) is not None:
            self._heard = float(packet.pts * packet.time_base)
            self._made.mux(packet)

    def _sound_of(self, given: Any) -> Iterator[Any]:
        """Make the sound's stream, and return its packets, as they are or encoded anew."""
        streams = [stream for stream in given.streams.audio if stream.codec_context is not None]
        if not streams:
            return iter(())
        context = streams[0].codec_context
        codec = context.codec.canonical_name
        if codec in COPIED and (context.extradata or codec != "aac"):
            return _copied(given, streams[0], self._made.add_stream_from_template(streams[0]), self._start)
        layout = LAYOUTS.get(streams[0].channels, streams[0].layout.name)
        made = self._made.add_stream("aac", rate=streams[0].rate, layout=layout, options={"flags": "+bitexact"})
        return _encoded(given, streams[0], made, self._start)


def _copied(given: Any, stream: Any, made: Any, start: Fraction) -> Iterator[Any]:
    """Yield a sound's packets up to where it is damaged, in order, the container's own beginning being 0."""
    import av

    shift, last = round(start / stream.time_base), None
    with suppress(av.FFmpegError):
        for packet in given.demux(stream):
            if packet.is_corrupt:
                return
            if packet.dts is None or packet.pts is None or (last is not None and packet.dts <= last):
                continue
            last = packet.dts
            packet.stream, packet.pts, packet.dts = made, packet.pts - shift, packet.dts - shift
            yield packet


def _encoded(given: Any, stream: Any, made: Any, start: Fraction) -> Iterator[Any]:
    """Yield a sound's packets encoded anew, up to where it is damaged."""
    import av

    late = max(Fraction(0), (stream.start_time or 0) * stream.time_base - start)
    moment = round(late * stream.rate)
    with suppress(av.FFmpegError):
        for samples in samples_of(given, stream):
            values = np.frombuffer(samples, np.int16)[None]
            frame = av.AudioFrame.from_ndarray(values, format="s16", layout=made.layout.name)
            frame.rate, frame.pts, frame.time_base = stream.rate, moment, Fraction(1, stream.rate)
            moment += frame.samples
            yield from made.encode(frame)
    yield from made.encode()
