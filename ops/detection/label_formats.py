"""The files that tell where the faces of pictures are, as YOLO, COCO and Pascal VOC want them."""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ops.masking import LABELS
from ops.records import Box

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from ops.store import Row

TOLD = ("kind", "state", "mask_state")
"""What a COCO annotation tells of a mask beyond its place, by manifest column."""


@dataclass(frozen=True, slots=True)
class LabelledFace:
    """One face of a picture.

    Attributes:
        label: one of :data:`ops.masking.LABELS`; its place there is its id.
        box: the part of the face's box inside the picture, pixels.
        cut: the face's box reaches beyond the picture.
        worn: the manifest row of the mask on it; None where it is bare, or nothing but the box is known.
        score: of a detector, in [0, 1]; None where the label was drawn, or given by people.
    """

    label: str
    box: Box
    cut: bool
    worn: Row | None
    score: float | None = None


@dataclass(frozen=True, slots=True)
class Scene:
    """One picture with all its faces.

    Attributes:
        name: of the picture in an export, flat and unique.
        output: the picture, relative to its dataset's folder.
        width: in pixels.
        height: in pixels.
        source: the raw file it was made from.
        frame: the bare frame's identity.
        time: seconds into the video; None for a photograph.
        variant: which masked version of the frame, from 0.
        identity: the person, where the manifest tells.
        faces: the masked ones first.
    """

    name: str
    output: str
    width: int
    height: int
    source: str
    frame: str
    time: float | None
    variant: int
    identity: str | None
    faces: tuple[LabelledFace, ...]

    @property
    def stem(self) -> str:
        """The name without its suffix."""
        return os.path.splitext(self.name)[0]


class Format(NamedTuple):
    """A layout of files.

    Attributes:
        pictures: folder of the pictures.
        holds: whether a face can be told in it.
        write: makes all other files, name to content, of scenes with faces that it holds.
    """

    pictures: str
    holds: Callable[[LabelledFace], bool]
    write: Callable[[Sequence[Scene]], dict[str, bytes]]


def joined(rings: Sequence[NDArray[np.floating]]) -> NDArray[np.floating]:
    """Join closed outlines ``(n, 2)`` into one, there and back along the shortest line from each to those before it.

    Filled, the joined outline is the insides of the rings and the lines between them, a pixel wide.
    """
    outline, *rest = rings
    while rest:
        gaps = [((outline[:, None] - ring) ** 2).sum(-1) for ring in rest]
        nearest = min(range(len(rest)), key=lambda index: float(gaps[index].min()))
        ring = rest.pop(nearest)
        here, there = np.unravel_index(gaps[nearest].argmin(), gaps[nearest].shape)
        outline = np.concatenate([outline[: here + 1], ring[there:], ring[: there + 1], outline[here:]])
    return outline


def _seen(face: LabelledFace) -> bool:
    """Tell whether a pixel of the face's box, or more, is in the picture."""
    return min(face.box.width, face.box.height) >= 1


def _outlined(face: LabelledFace) -> bool:
    return face.worn is not None and face.worn["polygon"] != "[]"


def _yolo_detect(scenes: Sequence[Scene]) -> dict[str, bytes]:
    def numbers(scene: Scene, face: LabelledFace) -> Iterable[float]:
        (x, y), box = face.box.center, face.box
        return x / scene.width, y / scene.height, box.width / scene.width, box.height / scene.height

    return _yolo(scenes, numbers)


def _yolo_segment(scenes: Sequence[Scene]) -> dict[str, bytes]:
    def numbers(scene: Scene, face: LabelledFace) -> Iterable[float]:
        rings = json.loads(face.worn["polygon"]) if face.worn else []
        outline = joined([np.reshape(ring, (-1, 2)) for ring in rings])
        return np.ravel(outline / (scene.width, scene.height)).tolist()

    return _yolo(scenes, numbers)


def _yolo(scenes: Sequence[Scene], numbers: Callable[[Scene, LabelledFace], Iterable[float]]) -> dict[str, bytes]:
    """Return a text a picture with a line a face, class and ``numbers``, and the description of the whole."""
    files = {}
    for scene in scenes:
        lines = [
            " ".join([str(LABELS.index(face.label)), *(f"{share:.6f}" for share in numbers(scene, face))])
            for face in scene.faces
        ]
        files[f"labels/{scene.stem}.txt"] = "".join(f"{line}\n" for line in lines).encode()
    names = "".join(f"  {number}: {name}\n" for number, name in enumerate(LABELS))
    return {**files, "data.yaml": f"train: images\nval: images\nnames:\n{names}".encode()}


def _coco(scenes: Sequence[Scene]) -> dict[str, bytes]:
    """Return one JSON with a line a picture, annotation and category; ids start at 1, as COCO's readers expect."""
    parts: dict[str, list[str]] = {"images": [], "annotations": [], "categories": []}
    for number, scene in enumerate(scenes, start=1):
        size = {"width": scene.width, "height": scene.height}
        about = {"file_name": scene.name, **size, "source": scene.source, "identity": scene.identity}
        parts["images"].append(json.dumps({"id": number, **about}))
        for face in scene.faces:
            of = {"image_id": number, "category_id": LABELS.index(face.label) + 1}
            made = {"id": len(parts["annotations"]) + 1, **of, **_annotation(scene, face)}
            parts["annotations"].append(json.dumps(made))
    for number, name in enumerate(LABELS, start=1):
        parts["categories"].append(json.dumps({"id": number, "name": name, "supercategory": "face"}))
    text = ",\n".join(f'"{name}": [\n' + ",\n".join(lines) + "\n]" for name, lines in parts.items())
    return {"instances.json": f'{{"info": {{}}, "licenses": [],\n{text}}}\n'.encode()}


def _annotation(scene: Scene, face: LabelledFace) -> dict[str, Any]:
    """Return a mask by its own region and box, a bare face by the face's box and a region of no pixel.

    What a detector found has no region, its box's area, and a score.
    """
    if face.score is not None:
        found = {"bbox": _corner_and_size(face.box), "area": round(face.box.area, 3), "iscrowd": 0}
        return {**found, "score": round(face.score, 4)}
    if face.worn is None:
        region, box = {"size": [scene.height, scene.width], "counts": [scene.height * scene.width]}, face.box
    else:
        region = json.loads(face.worn["region"])
        box = Box(*(face.worn[f"mask_{side}"] for side in Box._fields))
    return {
        "segmentation": region,
        "bbox": _corner_and_size(box),
        "area": sum(region["counts"][1::2]),
        "iscrowd": 0,
        "face_box": _corner_and_size(face.box),
        **{name: face.worn[name] if face.worn else None for name in TOLD},
    }


def _corner_and_size(box: Box) -> list[float]:
    return [round(value, 3) for value in (box.x1, box.y1, box.width, box.height)]


def _voc(scenes: Sequence[Scene]) -> dict[str, bytes]:
    files = {f"Annotations/{scene.stem}.xml": _voc_annotation(scene) for scene in scenes}
    return {**files, "ImageSets/Main/all.txt": "".join(f"{scene.stem}\n" for scene in scenes).encode()}


def _voc_annotation(scene: Scene) -> bytes:
    """Return a picture's XML; pixels count from 1, and a box's last row and column belong to it."""
    from xml.etree import ElementTree as Xml

    def add(parent: Xml.Element, **texts: object) -> None:
        for name, text in texts.items():
            Xml.SubElement(parent, name).text = str(text)

    root = Xml.Element("annotation")
    add(root, folder="JPEGImages", filename=scene.name)
    add(Xml.SubElement(root, "size"), width=scene.width, height=scene.height, depth=3)
    add(root, segmented=0)
    for face in scene.faces:
        known = Xml.SubElement(root, "object")
        add(known, name=face.label, pose="Unspecified", truncated=int(face.cut), occluded=0, difficult=0)
        x1, y1, x2, y2 = (math.floor(side + 0.5) for side in face.box)
        add(Xml.SubElement(known, "bndbox"), xmin=x1 + 1, ymin=y1 + 1, xmax=x2, ymax=y2)
    Xml.indent(root, "    ")
    return Xml.tostring(root, encoding="unicode").encode()


FORMATS = {
    "yolo-detect": Format("images", _seen, _yolo_detect),
    "yolo-segment": Format("images", _outlined, _yolo_segment),
    "coco": Format("images", _seen, _coco),
    "voc": Format("JPEGImages", _seen, _voc),
}
