"""Expression regions: what each face's eyes and mouth do, and where an edit may change them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ops import images
from ops.expressions.regions import REGIONS, region
from ops.expressions.state import LIMITS, Limits, closed_eyes, is_smiling
from ops.files import write_atomic
from ops.stages import digest_of, refusal
from ops.stages.faces import BOX, ORIGIN, POSE, Stored, about
from ops.store import SKIPPED, Column, Item, fingerprint, grouped, row

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pandas as pd

    from ops.expressions.state import State, Way
    from ops.faces import FaceDetector
    from ops.records import Face, Floats, Picture
    from ops.stages.faces import FaceModels
    from ops.store import Row

    Tell = Callable[[Picture, Floats], State]

VERSION = 1
CODE = ("expressions/regions.py", "expressions/state.py", "unmasking/composition.py")
HAAR_SMILE, RES10 = "haar_smile", "res10"
BESIDE = (HAAR_SMILE, RES10)
SAME = 0.3
"""Intersection over union from which on another detector's box is that of the face."""

_WAYS: dict[Way, str] = {
    "mesh": "from the mesh, openness as a share of the width",
    "blendshapes": "from blendshapes, in [0, 1]; null: not asked",
}
_MEASURES = {
    "left_eye": "how far the eye on the picture's left is open",
    "right_eye": "how far the eye on the right is open",
    "smile": "0 neutral, about 1 wide",
    "mouth_open": "how far the mouth is open",
}
COLUMNS = (
    *ORIGIN,
    Column("picture", "string", "file that holds the pixels, relative to the data folder"),
    *BOX,
    *POSE,
    Column("by", "string", "mesh or blendshapes: what the next two columns are told from"),
    Column("closed", "string", "eyes that are closed, with a comma between; empty: none"),
    Column("smiling", "bool", "whether the face smiles"),
    Column("agree", "bool", "whether mesh and blendshapes tell the same of these; null: blendshapes are not asked"),
    *(
        Column(f"{way}_{name}", "float32", f"{meaning}; {how}")
        for way, how in _WAYS.items()
        for name, meaning in _MEASURES.items()
    ),
    *(
        Column(f"{name}_alpha", "string", "8-bit PNG of the picture's size: what an edit may replace")
        for name in REGIONS
    ),
    Column(HAAR_SMILE, "bool", "whether OpenCV's cascade sees a smile, to be compared with; null: not asked"),
    Column(RES10, "bool", "whether OpenCV's res10 detector sees the face, likewise"),
)


@dataclass(frozen=True)
class Senses:
    """What looks at faces; picklable.

    Attributes:
        mesh: tells states from the mesh.
        blendshapes: tells them from blendshapes; None: not asked.
        haar_smile: tells whether there is a smile; None: not asked.
        res10: hands out that detector; None: not asked.
        versions: names and checksums of what decides about the result.
        files: that are opened by their paths, with their checksums.
    """

    mesh: Tell
    blendshapes: Tell | None
    haar_smile: Callable[[Picture, Floats], bool] | None
    res10: FaceModels | None
    versions: Mapping[str, str]
    files: Mapping[Path, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Wishes:
    """Which faces are looked at, and what counts.

    Attributes:
        limits: what counts as closed and as smiling.
        min_face_px: smaller faces are left out, height in pixels.
    """

    limits: Limits = LIMITS
    min_face_px: float = 48


def plan(faces: pd.DataFrame, data: Path, *, senses: Senses, wishes: Wishes) -> list[Item]:
    """List the pictures with faces: ``faces`` holds :func:`ops.stages.faces.described`, ``data`` is the data folder."""
    settings = [asdict(wishes), dict(senses.versions), digest_of(*CODE), VERSION]
    items = []
    for rows in grouped(faces, "frame").values():
        first = rows[0]
        same = {name: first[name] for name in ("frame", "time", "identity", "picture")}
        payload = {"source": first["source"], "path": str(data / first["picture"]), "same": same}
        items.append(
            Item(
                fingerprint(first["fingerprint"], first["frame"], settings),
                payload | {"faces": Stored.of(rows)},
                first["fingerprint"],
            )
        )
    return items


class Sense:
    """Tell states and draw regions of the faces of one picture."""

    def __init__(self, folder: Path, senses: Senses, wishes: Wishes, *, max_pixels: int) -> None:
        self.folder = folder
        self.senses = senses
        self.wishes = wishes
        self.max_pixels = max_pixels
        self.res10: FaceDetector | None = senses.res10.load()[0] if senses.res10 else None

    def __call__(self, item: Item) -> list[Row]:
        """Return a row a face, or with the reason why it was left out."""
        known = item.payload
        try:
            pixels = images.read(Path(known["path"]), max_pixels=self.max_pixels)
        except images.BadImage as error:
            return [refusal(item, error, **known["same"])]
        boxes = [one.box for one in self.res10.detect(pixels)] if self.res10 else None
        rows = []
        for face in known["faces"].load():
            same = {**known["same"], **about(face)}
            if face.box.height < self.wishes.min_face_px:
                reason = f"a face of {face.box.height:.0f} px is smaller than {self.wishes.min_face_px:g} px"
                rows.append(row(item, known["source"], status=SKIPPED, reason=reason, **same))
                continue
            seen = None if boxes is None else any(box.iou(face.box) > SAME for box in boxes)
            told = {**self._states(pixels, face), **self._regions(pixels, face, item.fingerprint), RES10: seen}
            rows.append(row(item, known["source"], **same, **told))
        return rows

    def _states(self, pixels: Picture, face: Face) -> dict[str, Any]:
        """Return a face's states as manifest columns; blendshapes decide where they are asked."""
        senses, limits = self.senses, self.wishes.limits
        states = [tell(pixels, face.mesh) for tell in (senses.mesh, senses.blendshapes) if tell]
        decides = states[-1]
        same = [(closed_eyes(state, limits), is_smiling(state, limits)) for state in states]
        measures = {f"{state.by}_{name}": getattr(state, name) for state in states for name in _MEASURES}
        return {
            "by": decides.by,
            "closed": ",".join(closed_eyes(decides, limits)),
            "smiling": is_smiling(decides, limits),
            "agree": same[0] == same[1] if senses.blendshapes else None,
            **measures,
            HAAR_SMILE: senses.haar_smile(pixels, face.mesh) if senses.haar_smile else None,
        }

    def _regions(self, pixels: Picture, face: Face, stem: str) -> dict[str, str]:
        """Write a face's regions, and return their files as manifest columns."""
        files = {}
        for name in REGIONS:
            alpha = region(face.mesh, name, pixels.shape[:2]).alpha
            files[f"{name}_alpha"] = f"{stem}_face{face.index}_{name}.png"
            write_atomic(self.folder / files[f"{name}_alpha"], images.encode_png(np.rint(alpha * 255).astype(np.uint8)))
        return files
