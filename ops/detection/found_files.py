"""What a mask detector found in pictures, as files: a table, YOLO labels with their pictures, COCO."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING, NamedTuple

from ops.detection.label_formats import FORMATS, LabelledFace, Scene
from ops.detection.scenes import flat_names
from ops.masking import LABELS
from ops.tables import as_csv

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ops.detection.detections import Detections

COLUMNS = ("picture", "time", "face", "label", "score", "x1", "y1", "x2", "y2")
MADE = (1980, 1, 1, 0, 0, 0)
"""The time of every member of an archive, so that the same files make the same bytes: the first that ZIP can tell."""


class Found(NamedTuple):
    """What was found in one picture, or in a frame of a video.

    Attributes:
        name: of the picture or video; where pictures are written together, no two have the same.
        width: of the picture in pixels.
        height: of the picture in pixels.
        detections: in these pixels.
        time: seconds into the video; None for a picture.
    """

    name: str
    width: int
    height: int
    detections: Detections
    time: float | None = None


def csv_of(found: Sequence[Found]) -> bytes:
    """Return a table with a line a box, :data:`COLUMNS`."""
    rows = []
    for one in found:
        time = "" if one.time is None else f"{one.time:.3f}"
        boxes = zip(one.detections.names, one.detections.scores, one.detections.boxes, strict=True)
        for face, (label, score, box) in enumerate(boxes):
            rows.append([one.name, time, face, label, f"{score:.4f}", *(f"{side:.2f}" for side in box)])
    return as_csv(COLUMNS, rows)


def coco_of(found: Sequence[Found]) -> bytes:
    """Return COCO's JSON: pictures, categories, and an annotation with a score for each box."""
    return FORMATS["coco"].write(_scenes(found))["instances.json"]


def yolo_of(found: Sequence[Found], pictures: Sequence[bytes]) -> dict[str, bytes]:
    """Return a YOLO dataset, name to content: pictures, a label file for each, ``data.yaml`` and ``classes.txt``.

    Args:
        found: in each picture.
        pictures: the files as they were given, one each.
    """
    scenes = _scenes(found)
    shown = {f"images/{scene.name}": data for scene, data in zip(scenes, pictures, strict=True)}
    classes = "".join(f"{label}\n" for label in LABELS).encode()
    return {**shown, **FORMATS["yolo-detect"].write(scenes), "classes.txt": classes}


def zipped(files: Mapping[str, bytes]) -> bytes:
    """Return a ZIP archive of files, name to content; the same files make the same bytes."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, content in sorted(files.items()):
            archive.writestr(zipfile.ZipInfo(name, MADE), content, zipfile.ZIP_DEFLATED)
    return data.getvalue()


def _scenes(found: Sequence[Found]) -> list[Scene]:
    names = flat_names([one.name for one in found])
    return [
        Scene(
            name=names[one.name],
            output=one.name,
            width=one.width,
            height=one.height,
            source=one.name,
            frame=one.name,
            time=None,
            variant=0,
            identity=None,
            faces=tuple(filter(FORMATS["coco"].holds, _faces(one))),
        )
        for one in found
    ]


def _faces(found: Found) -> list[LabelledFace]:
    whole = zip(found.detections.names, found.detections.corners, found.detections.scores, strict=True)
    inside = [(label, box, box.clipped(found.width, found.height), float(score)) for label, box, score in whole]
    return [LabelledFace(label, part, part != box, None, score) for label, box, part, score in inside]
