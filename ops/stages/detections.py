"""Mask detections: who wears a mask, and how, in every frame of a source."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ops import images
from ops.content import file_md5
from ops.files import write_atomic
from ops.masking import LABELS
from ops.pictures import draw_boxes
from ops.stages import refusal
from ops.store import REJECTED, SKIPPED, Column, Item, fingerprint, row, rows_of
from ops.video_writer import write_video
from ops.videos import BadVideo, sample_video

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pandas as pd

    from ops.detection.detections import Detections
    from ops.detection.inference import MaskDetector
    from ops.records import Picture
    from ops.store import Row
    from ops.videos import VideoFrame

VERSION = 1
BOX = (
    Column("x1", "float32", "left edge of the face box, pixels"),
    Column("y1", "float32", "upper edge"),
    Column("x2", "float32", "right edge, exclusive"),
    Column("y2", "float32", "lower edge, exclusive"),
)
FOUND = (
    Column("frame", "string", "the frame's identity: hash of its file's content and its time"),
    Column("time", "float64", "seconds into the video; null for a photograph"),
    Column("width", "int32", "upright width of the frame in pixels"),
    Column("height", "int32", "upright height in pixels"),
    *BOX,
    Column("label", "string", "with_mask, without_mask or mask_weared_incorrect"),
    Column("score", "float32", "the detector's confidence, 0 to 1"),
    Column("threshold", "float32", "lowest score of this class that counts"),
    Column("tiles", "int32", "looked at in so many times so many tiles as well; 1: as a whole alone"),
)
COLUMNS = (*FOUND, Column("picture", "string", "file that holds the pixels, relative to the data folder, or null"))
NOTHING = "nothing found"
ONNX = "champion.onnx"
"""The detector in its report's folder; ``champion.json`` beside it tells its thresholds."""

A_PICTURE = "boxes_a_picture"
MORE = 1.5
"""Boxes a picture that are so many times as many as before are worth a look."""

MOVED = 0.2
"""A class's share of all boxes that moved by more is worth a look."""


@dataclass(frozen=True)
class Wishes:
    """What to look for, and what to make of it.

    Attributes:
        detector: what stands for the detector: a hash of its file.
        thresholds: lowest score that counts, one for each of ``ops.masking.LABELS``.
        tiles: look at so many times so many overlapping tiles as well.
        annotate: pictures and videos with the boxes drawn in; of videos every frame is looked at then.
        quality: of JPEG files.
    """

    detector: str
    thresholds: tuple[float, ...]
    tiles: int = 1
    annotate: bool = True
    quality: int = 95

    def look(self, detector: MaskDetector, pixels: Picture) -> Detections:
        """Return what counts in a picture."""
        return detector(pixels, tiles=self.tiles, floor=min(self.thresholds)).counted(self.thresholds)

    def rows(self, found: Detections, shape: tuple[int, ...]) -> list[dict[str, Any]]:
        """Return the manifest columns of a picture of this shape: a row a box, or one with the reason for none."""
        same = {"height": shape[0], "width": shape[1], "tiles": self.tiles}
        told = [
            {
                "face": index,
                **box._asdict(),
                "label": label,
                "score": float(score),
                "threshold": self.thresholds[LABELS.index(label)],
                **same,
            }
            for index, (box, label, score) in enumerate(zip(found.corners, found.names, found.scores, strict=True))
        ]
        return told or [{"status": SKIPPED, "reason": NOTHING, **same}]


def thresholds_of(told: Sequence[float], wished: Mapping[str, float]) -> tuple[float, ...]:
    """Return a threshold for each class: what is wished where it is, what the detector's report tells elsewhere.

    Raises:
        ValueError: a wish for a class that there is not, or a score outside [0, 1].

    >>> thresholds_of([0.3, 0.3, 0.2], {"with_mask": 0.5})
    (0.5, 0.3, 0.2)
    """
    for label, score in wished.items():
        if label not in LABELS:
            raise ValueError(f"a threshold for {label!r}: there is no such class, only {', '.join(LABELS)}")
        if not 0 <= score <= 1:
            raise ValueError(f"a threshold of {score} for {label}: scores are 0 to 1")
    return tuple(float(wished.get(label, score)) for label, score in zip(LABELS, told, strict=True))


def wishes_of(report: Path, *, thresholds: Mapping[str, float], **further: Any) -> Wishes:
    """Return what to look for with the champion in a report's folder, ``thresholds`` in the place of its own.

    Raises:
        FileNotFoundError: there is no champion.
        ValueError: as in :func:`thresholds_of`.
    """
    told = json.loads((report / "champion.json").read_text())
    return Wishes(file_md5(report / ONNX), thresholds_of(told["thresholds"], thresholds), **further)


def plan(frames: pd.DataFrame, data: Path, source: str, wishes: Wishes) -> list[Item]:
    """List what to look at: a photograph, or a video as a whole where it is to be annotated, or a frame of it.

    Args:
        frames: the done rows of the source's frames dataset.
        data: the data folder.
        source: the source's name.
        wishes: what to look for.
    """
    settings = [asdict(wishes), VERSION]
    carried = ["fingerprint", "frame", "source", "time", "picture", "kind", "content"]
    items: dict[str, Item] = {}
    for known in rows_of(frames[carried]):
        whole = known["kind"] == "video" and wishes.annotate
        key = fingerprint(known["fingerprint"], None if whole else known["frame"], settings)
        if not whole:
            payload = {**known, "kind": "image", "path": str(data / known["picture"])}
            items[key] = Item(key, payload, known["fingerprint"])
        elif key in items:
            items[key].payload["pictures"][known["frame"]] = known["picture"]
        else:
            path = str(data / "raw" / source / known["source"])
            payload = {**known, "path": path, "pictures": {known["frame"]: known["picture"]}}
            items[key] = Item(key, payload, known["fingerprint"])
    return list(items.values())


class Find:
    """Find the masks of one photograph or video."""

    def __init__(self, folder: Path, detector: MaskDetector, wishes: Wishes, *, max_pixels: int) -> None:
        self.folder = folder
        self.detector = detector
        self.wishes = wishes
        self.max_pixels = max_pixels

    def __call__(self, item: Item) -> list[Row]:
        """Return a row a box, and one with a reason for each frame where there is none."""
        return self._video(item) if item.payload["kind"] == "video" else self._photograph(item)

    def _photograph(self, item: Item) -> list[Row]:
        known = item.payload
        same = {name: known[name] for name in ("frame", "time", "picture")}
        try:
            pixels = images.read(Path(known["path"]), max_pixels=self.max_pixels)
        except images.BadImage as error:
            return [refusal(item, error, **same)]
        found = self.wishes.look(self.detector, pixels)
        if self.wishes.annotate and len(found.boxes):
            same["output"] = f"{item.fingerprint}.jpg"
            write_atomic(
                self.folder / same["output"], images.encode_jpeg(annotated(pixels, found), self.wishes.quality)
            )
        return [row(item, known["source"], **same, **told) for told in self.wishes.rows(found, pixels.shape)]

    def _video(self, item: Item) -> list[Row]:
        known, rows = item.payload, []
        output = f"{item.fingerprint}.mp4"
        try:
            for shot, found in watch(
                Path(known["path"]), self.detector, self.wishes, self.folder / output, max_pixels=self.max_pixels
            ):
                frame = fingerprint(known["content"], shot.time)
                same = {"frame": frame, "time": shot.time, "picture": known["pictures"].get(frame), "output": output}
                told = self.wishes.rows(found, shot.pixels.shape)
                rows += [row(item, known["source"], **same, **columns) for columns in told]
        except BadVideo as error:
            rows.append(row(item, known["source"], status=REJECTED, reason=error.reason))
        return rows


def annotated(pixels: Picture, found: Detections) -> Picture:
    """Return a copy of the picture with boxes, classes and scores drawn in."""
    return draw_boxes(pixels, found.corners, found.names, found.scores.tolist())


def watch(
    path: Path, detector: MaskDetector, wishes: Wishes, output: Path, *, max_pixels: int
) -> Iterator[tuple[VideoFrame, Detections]]:
    """Yield every frame of a video with what counts in it; the annotated video is there when the last one was taken.

    Raises:
        BadVideo: no video, damaged, or of pictures that change their size: what comes before is yielded, and annotated.
    """
    damage: BadVideo | None = None
    shape: tuple[int, ...] = ()
    with write_video(output, like=path, max_pixels=max_pixels) as made:
        try:
            for shot in sample_video(path, None, max_pixels=max_pixels):
                shape = shape or shot.pixels.shape
                if shot.pixels.shape != shape:
                    raise BadVideo(f"its pictures change their size after {shot.time:.2f} s")
                found = wishes.look(detector, shot.pixels)
                made.add(annotated(shot.pixels, found), shot.time, shot.duration)
                yield shot, found
        except BadVideo as error:
            if not made.count:
                raise
            damage = error
    if damage:
        raise damage


def rates(rows: pd.DataFrame) -> dict[str, float]:
    """Return boxes a picture, and each class's share of all boxes, of a manifest's rows; 0 where there are none."""
    looked = rows[rows["status"] != REJECTED]
    labels = looked["label"].dropna()
    shares = labels.value_counts(normalize=True)
    a_picture = len(labels) / max(1, looked["frame"].nunique())
    return {A_PICTURE: a_picture, **{f"share_{label}": float(shares.get(label, 0.0)) for label in LABELS}}


def drifted(now: Mapping[str, float], before: Mapping[str, float]) -> list[str]:
    """Return which of :func:`rates` moved far: boxes a picture by half, a class's share by a fifth of all boxes.

    >>> drifted({"boxes_a_picture": 2.0, "share_with_mask": 0.3}, {"boxes_a_picture": 1.9, "share_with_mask": 0.6})
    ['share_with_mask']
    """
    moved = []
    for name in now.keys() & before.keys():
        low, high = sorted((now[name], before[name]))
        far = high > MORE * low if name == A_PICTURE else high - low > MOVED
        moved += [name] if far else []
    return sorted(moved)
