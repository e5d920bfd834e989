"""Mask detections of one file from start to end, without datasets in between: what the command line does."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ops import images
from ops.files import write_atomic
from ops.stages import refusal
from ops.stages.detections import FOUND, VERSION, annotated, watch
from ops.stages.photo import plan_files
from ops.store import REJECTED, Column, Item, fingerprint, row
from ops.videos import BadVideo, Moments, sample_video

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ops.detection.detections import Detections
    from ops.detection.inference import MaskDetector
    from ops.records import Box, Picture
    from ops.stages.detections import Wishes
    from ops.store import Row
    from ops.videos import VideoFrame

COLUMNS = (*FOUND, Column("crop", "string", "the face cut out, a file in this folder, or null"))
ROOM = 1.2
"""Crops are the box grown by this, as far as the picture goes."""


def plan(root: Path, only: str | None, *, wishes: Wishes, fps: float, crops: bool) -> tuple[list[Item], list[Row]]:
    """List a folder's files, or the one file ``only`` in it; refused files come back as rows."""
    return plan_files(root, only, ["detect", asdict(wishes), fps, crops, VERSION])


class Detect:
    """Find the masks of one photograph or video; outputs mirror the input's folders.

    Args:
        folder: where outputs go.
        detector: what finds them.
        wishes: what to look for.
        fps: frames a second taken from a video that is not annotated; and those that crops are cut of.
        crops: cut out every face.
        max_pixels: larger pictures are refused unread.
    """

    def __init__(
        self,
        folder: Path,
        detector: MaskDetector,
        wishes: Wishes,
        *,
        fps: float,
        crops: bool,
        max_pixels: int = images.MAX_PIXELS,
    ) -> None:
        self.folder = folder
        self.detector = detector
        self.wishes = wishes
        self.fps = fps
        self.crops = crops
        self.max_pixels = max_pixels

    def __call__(self, item: Item) -> list[Row]:
        """Return a row a box, and one with a reason for each frame where there is none."""
        rows: list[Row] = []
        try:
            of = self._video if item.payload["kind"] == "video" else self._photograph
            rows += (row(item, item.payload["source"], **told) for told in of(item.payload))
        except images.BadImage as error:
            rows.append(refusal(item, error))
        except BadVideo as error:
            rows.append(row(item, item.payload["source"], status=REJECTED, reason=error.reason))
        return rows

    def _photograph(self, known: dict[str, Any]) -> Iterator[dict[str, Any]]:
        pixels = images.read(Path(known["path"]), max_pixels=self.max_pixels)
        found = self.wishes.look(self.detector, pixels)
        output = None
        if self.wishes.annotate and len(found.boxes):
            output = f"{known['stem']}_detected.jpg"
            data = images.encode_jpeg(annotated(pixels, found), self.wishes.quality)
            write_atomic(self.folder / output, data)
        frame = fingerprint(known["content"], None)
        for told in self._told(pixels, found, known["stem"], cut=self.crops):
            yield {"frame": frame, "output": output, **told}

    def _video(self, known: dict[str, Any]) -> Iterator[dict[str, Any]]:
        moments, output = Moments(self.fps), f"{known['stem']}_detected.mp4" if self.wishes.annotate else None
        for shot, found in self._shots(Path(known["path"]), output):
            frame, cut = fingerprint(known["content"], shot.time), self.crops and moments.due(shot.time)
            for told in self._told(shot.pixels, found, f"{known['stem']}_t{shot.time:09.3f}", cut=cut):
                yield {"frame": frame, "time": shot.time, "output": output, **told}

    def _shots(self, path: Path, output: str | None) -> Iterator[tuple[VideoFrame, Detections]]:
        if output:
            yield from watch(path, self.detector, self.wishes, self.folder / output, max_pixels=self.max_pixels)
        else:
            for shot in sample_video(path, self.fps, max_pixels=self.max_pixels):
                yield shot, self.wishes.look(self.detector, shot.pixels)

    def _told(self, pixels: Picture, found: Detections, stem: str, *, cut: bool) -> Iterator[dict[str, Any]]:
        boxes = found.corners
        for told in self.wishes.rows(found, pixels.shape):
            if cut and "face" in told:
                told["crop"] = f"{stem}_face{told['face']}_{told['label']}.jpg"
                data = images.encode_jpeg(_cut_out(pixels, boxes[told["face"]]), self.wishes.quality)
                write_atomic(self.folder / told["crop"], data)
            yield told


def _cut_out(pixels: Picture, box: Box) -> Picture:
    x1, y1, x2, y2 = box.grown(ROOM).clipped(pixels.shape[1], pixels.shape[0])
    return pixels[int(y1) : int(-(-y2 // 1)), int(x1) : int(-(-x2 // 1))]
