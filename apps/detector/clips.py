"""Uploaded videos: looked at once, frame by frame, and drawn for every setting of the thresholds."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

from ops.detection.found_files import Found
from ops.detection.inference import FLOOR
from ops.masking import LABELS
from ops.records import Refusal
from ops.stages import detections as stage
from ops.videos import BadVideo, video_info

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ops.detection.detections import Detections
    from ops.detection.inference import MaskDetector
    from ops.records import Picture

LONGEST_S = 120
MAX_PIXELS = 9_000_000
"""Of one frame: 4096 x 2160 and a little more."""


@dataclass
class Remembering:
    """A detector that is handed a video's frames in order, and asks another one only for those it has not seen yet.

    Attributes:
        detector: the other one.
        seen: all boxes of each frame so far.
        count: frames it was handed this time.
    """

    detector: MaskDetector
    seen: list[Detections] = field(default_factory=list)
    count: int = 0

    labels = property(lambda self: self.detector.labels)
    thresholds = property(lambda self: self.detector.thresholds)
    size = property(lambda self: self.detector.size)

    def __call__(self, picture: Picture, *, tiles: int = 1, floor: float = FLOOR) -> Detections:
        """Return the boxes of the next frame with a score of at least ``floor``; the others are remembered, too."""
        if self.count == len(self.seen):
            self.seen.append(self.detector(picture, tiles=tiles, floor=FLOOR))
        self.count += 1
        return self.seen[self.count - 1].over((floor,) * len(LABELS))


class Watched(NamedTuple):
    """A video that was looked at.

    Attributes:
        film: as MP4, with the boxes that count, and its sound.
        frames: what counts in each frame, with its time.
        seen: all boxes of each frame, however unsure.
        problem: why it was not looked at to its end, or None.
    """

    film: bytes
    frames: tuple[Found, ...]
    seen: list[Detections]
    problem: str | None


def watch(
    name: str,
    data: bytes,
    detector: MaskDetector,
    tiles: int,
    thresholds: tuple[float, ...],
    progress: Callable[[float], object],
    seen: Sequence[Detections] = (),
) -> Watched:
    """Find the faces in every frame of a video, and draw them in.

    Args:
        name: of the file.
        data: the file.
        detector: what finds them.
        tiles: as the detector takes it.
        thresholds: from which score on a box counts, one a class.
        progress: called with the share of the video that is done.
        seen: what an earlier look at the same video found; no frame is looked at again.

    Raises:
        Refusal: it is no video, damaged from its first frame on, or longer than :data:`LONGEST_S`.
    """
    known, frames, problem = Remembering(detector, list(seen)), [], None
    wishes = stage.Wishes(detector="", thresholds=thresholds, tiles=tiles)
    with TemporaryDirectory(prefix="maskline-") as folder:
        path, film = Path(folder, "given"), Path(folder, "film.mp4")
        path.write_bytes(data)
        duration = video_info(path, max_pixels=MAX_PIXELS).duration or 0.0
        _check(duration)
        try:
            for shot, found in stage.watch(path, known, wishes, film, max_pixels=MAX_PIXELS):
                _check(shot.time)
                height, width = shot.pixels.shape[:2]
                frames.append(Found(name, width, height, found, shot.time))
                progress(min(1.0, shot.time / max(duration, shot.time, 1.0)))
        except BadVideo as error:
            if not frames:
                raise
            problem = error.reason
        return Watched(film.read_bytes(), tuple(frames), known.seen, problem)


def at_once(frames: Sequence[Found]) -> dict[str, int]:
    """Return how many faces of each class are to be seen in one frame at most."""
    counted = [Counter(frame.detections.names) for frame in frames]
    return {label: max(each[label] for each in counted) for label in LABELS}


def _check(seconds: float) -> None:
    if seconds > LONGEST_S:
        raise Refusal(f"it lasts {seconds:.0f} s, and at most {LONGEST_S} s here; `maskline detect` takes any length")
