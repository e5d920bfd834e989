"""Masked faces: every face of a frame wears a drawn mask, n variants a frame."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ops import images
from ops.files import write_atomic
from ops.masking import (
    LABELS,
    MaskingError,
    MaskSettings,
    MaskSpec,
    draw_spec,
    encode_rle,
    polygons,
    prepare,
    render,
    visible_fractions,
)
from ops.masking.labels import HALF
from ops.stages import digest_of, refusal
from ops.stages.faces import BOX, ORIGIN, POSE, Stored, about
from ops.store import DONE, SKIPPED, Column, Item, fingerprint, grouped, row, rows_of
from ops.tables import as_csv

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from ops.manifests import Finished
    from ops.masking import Masked, PreparedFace
    from ops.records import Face, Picture
    from ops.store import Row

DRAWING = ("masking", "raster.py")
"""Operations that decide what a mask looks like."""

DRAWN = (
    Column("variant", "int32", "which variant of the frame, from 0"),
    Column("alpha", "string", "soft alpha of mask and contact shadow, 8-bit PNG of the picture's size"),
    Column("region", "string", "pixels that mask and straps cover at least half, COCO run lengths as JSON"),
    Column("polygon", "string", "the region's outer outlines, a JSON list of x1, y1, x2, y2, ... in pixels"),
    Column("label", "string", "class for detectors: with_mask, mask_weared_incorrect or, bare, without_mask"),
    Column("mask_state", "string", "how it is worn, measured by what is hidden; off where nothing is"),
    *BOX,
    *POSE,
    Column("mask_x1", "float32", "left edge of the mask's box, pixels"),
    Column("mask_y1", "float32", "upper edge"),
    Column("mask_x2", "float32", "right edge, exclusive"),
    Column("mask_y2", "float32", "lower edge, exclusive"),
    Column("hidden_nose", "float32", "share of the nostrils' outline that the mask hides"),
    Column("hidden_mouth", "float32", "share of the mouth's outline that the mask hides"),
    Column("hidden_chin", "float32", "share of the chin's outline that the mask hides"),
    *(
        Column(f"light_{name}", "float32", f"estimated light: {told}")
        for name, told in (
            ("x", "brightness towards the viewer's right, against the mean"),
            ("y", "brightness towards below"),
            ("z", "brightness away from the camera"),
            ("white", "brightness of white cloth, 1 is clipped"),
            ("saturation", "0 on a grey photograph"),
            ("blur", "sigma of the picture's blur, pixels"),
            ("grain", "deviation of its noise, grey levels"),
            ("quality", "JPEG quality whose blocks it shows, 0 for none"),
        )
    ),
)
LOG_FIELDS = (
    "image_path", "mask_type", "mask_color", "mask_y_offset", "mask_rotation_angle",
    "error", "mask_success", "output_path", "augmentation", "face",
)  # fmt: skip
_ARROW = {"str": "string", "float": "float64", "int": "int64"}


def columns() -> tuple[Column, ...]:
    """Return the manifest's columns: where the frame is from, the labels, and every drawn parameter."""
    drawn = [Column(field.name, _ARROW[str(field.type)], f"drawn: {field.name}") for field in fields(MaskSpec)]
    return (
        *ORIGIN,
        *DRAWN,
        *drawn,
    )


def plan(
    faces: pd.DataFrame, data: Path, settings: MaskSettings, *, variants: int, min_face_px: int, quality: int
) -> list[Item]:
    """List the frames to mask: ``faces`` holds :func:`ops.stages.faces.described`, ``data`` is the data folder."""
    made_with = [settings.as_key(), variants, min_face_px, quality, digest_of(*DRAWING)]
    return [
        Item(
            fingerprint(rows[0]["fingerprint"], made_with),
            {
                "path": str(data / rows[0]["picture"]),
                "faces": Stored.of(rows),
                **{name: rows[0][name] for name in ("source", "frame", "time", "identity")},
            },
            rows[0]["fingerprint"],
        )
        for rows in grouped(faces, "frame").values()
    ]


class Wear:
    """Put masks on all faces of one frame."""

    def __init__(
        self,
        folder: Path,
        settings: MaskSettings,
        *,
        variants: int,
        min_face_px: int,
        quality: int,
        max_pixels: int,
    ) -> None:
        self.folder = folder
        self.settings = settings
        self.variants = variants
        self.min_face_px = min_face_px
        self.quality = quality
        self.max_pixels = max_pixels

    def __call__(self, item: Item) -> list[Row]:
        """Return a row a face and variant, or with the reason why the face stayed bare."""
        known = item.payload
        same = {name: known[name] for name in ("frame", "time", "identity")}
        try:
            pixels = images.read(Path(known["path"]), max_pixels=self.max_pixels)
        except images.BadImage as error:
            return [refusal(item, error, **same)]
        ready, rows = get_ready(pixels, known["faces"].load(), self.min_face_px)
        rows = [row(item, known["source"], **same, **bare) for bare in rows]
        for variant in range(self.variants if ready else 0):
            picture, worn, bare = wear(pixels, ready, known["frame"], variant, self.settings)
            rows += [row(item, known["source"], **same, **columns) for columns in bare]
            output = f"{item.fingerprint}_v{variant}.jpg"
            if worn:
                write_atomic(self.folder / output, images.encode_jpeg(picture, self.quality))
            for labels, alpha in worn:
                soft = f"{item.fingerprint}_v{variant}_face{labels['face']}_alpha.png"
                write_atomic(self.folder / soft, images.encode_png(alpha))
                rows.append(row(item, known["source"], **same, **labels, output=output, alpha=soft))
        return rows


def get_ready(
    pixels: Picture, faces: Sequence[Face], min_face_px: float
) -> tuple[list[tuple[Face, PreparedFace]], list[dict[str, Any]]]:
    """Prepare the faces that can wear a mask; the others come back as columns with a reason."""
    ready, bare = [], []
    for face in faces:
        try:
            if face.box.height < min_face_px:
                raise MaskingError(f"a face of {face.box.height:.0f} px is smaller than {min_face_px:g} px")
            ready.append((face, prepare(pixels, face)))
        except MaskingError as error:
            bare.append({**about(face), "label": LABELS[1], "status": SKIPPED, "reason": str(error)})
    return ready, bare


def wear(
    pixels: Picture, ready: Sequence[tuple[Face, PreparedFace]], key: str, variant: int, settings: MaskSettings
) -> tuple[Picture, list[tuple[dict[str, Any], Picture]], list[dict[str, Any]]]:
    """Draw one variant of a picture.

    Args:
        pixels: the bare picture.
        ready: its faces, prepared.
        key: the picture's identity; with the face's index and the variant it decides every drawn parameter.
        variant: which variant.
        settings: what may be drawn.

    Returns:
        The picture with its faces masked; for each mask its labels and its alpha as 8-bit grey, full size; and columns
        with a reason for each face that stayed bare.
    """
    picture, bare = pixels, []
    drawn: list[tuple[Face, PreparedFace, Masked]] = []
    for face, prepared in sorted(ready, key=lambda pair: pair[0].box.area):  # who is further away first
        spec = draw_spec(f"{key}/{face.index}/{variant}", settings)
        try:
            masked = render(picture, face, spec, prepared=prepared, garments=settings.garments)
        except MaskingError as error:
            bare.append(_left_bare(face, variant, error.reason))
            continue
        picture = masked.picture
        drawn.append((face, prepared, masked))
    worn = []
    over = np.zeros(pixels.shape[:2], np.float32)
    for face, prepared, masked in reversed(drawn):
        alpha = masked.full_alpha() * (1 - over)
        region = masked.full_region() & (alpha >= HALF)
        rings = polygons(region)
        if rings:
            labels = {**about(face), "variant": variant, **_labels(face, prepared, masked.spec, region, rings)}
            worn.append((labels, np.rint(alpha * 255).astype(np.uint8)))
        else:
            bare.append(_left_bare(face, variant, "the mask is hidden by that of another face"))
        over = np.maximum(over, masked.full_alpha())
    return picture, sorted(worn, key=lambda one: one[0]["face"]), bare


def _left_bare(face: Face, variant: int, reason: str) -> dict[str, Any]:
    return {**about(face), "variant": variant, "label": LABELS[1], "status": SKIPPED, "reason": reason}


def _labels(
    face: Face, prepared: PreparedFace, spec: MaskSpec, region: NDArray[np.bool_], rings: list[list[float]]
) -> dict[str, Any]:
    """Return what a mask's pixels that are to be seen say, and what was drawn."""
    visible = visible_fractions(face, region, prepared.front_part)
    rows, columns = np.flatnonzero(region.any(1)), np.flatnonzero(region.any(0))
    box = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
    return {
        "region": json.dumps(encode_rle(region)),
        "polygon": json.dumps(rings),
        "label": visible.label,
        "mask_state": visible.state,
        **{f"mask_{side}": float(n) for side, n in zip(("x1", "y1", "x2", "y2"), box, strict=True)},
        **{f"hidden_{part}": 1 - share for part, share in visible._asdict().items()},
        **prepared.light.as_row(),
        **spec.as_row(),
    }


def logs(unseen: pd.DataFrame, made: Finished) -> dict[str, bytes]:
    """Return ``logs.csv`` (a line a mask) and ``missed_images.txt`` (a line a picture nothing could be done with).

    Args:
        unseen: source, status and reason of inputs that never came as far as masking.
        made: the finished manifest.
    """
    wanted = ["source", "face", "variant", "kind", "colour", "y_offset", "rotation", "status", "reason", "output"]
    before = rows_of(unseen[unseen["status"] != DONE])
    present = [*wanted, *({"style"} & set(made.names))]
    rows = [known for known in made.rows(present) if known.get("style") is None]
    rows = [known for known in rows if known["kind"] or known["status"] != DONE]
    asked, came = ("source", "kind", "colour", "y_offset", "rotation", "reason"), ("output", "variant", "face")
    told = [
        [*map(known.get, asked), known["status"] == DONE, *map(known.get, came)]  # a line of LOG_FIELDS
        for known in [*before, *rows]
    ]
    masked = {known["source"] for known in rows if known["status"] == DONE}
    missed = sorted({known["source"] for known in [*before, *rows]} - masked)
    lines = "".join(json.dumps(name, ensure_ascii=False)[1:-1] + "\n" for name in missed)
    return {"logs.csv": as_csv(LOG_FIELDS, told), "missed_images.txt": lines.encode()}
