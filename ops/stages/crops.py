"""Aligned crops: every wanted style of every face, bare and masked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ops import alignment, images
from ops.files import write_atomic
from ops.stages import refusal
from ops.stages.faces import ORIGIN, Stored
from ops.store import REJECTED, Column, Item, fingerprint, grouped, row

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from ops.records import Face, Picture
    from ops.store import Row

VERSION = 1
WEARING = ("bare", "masked")
NEEDED = ("fingerprint", "frame", "face", "variant", "output")
"""Columns of masked faces that a plan needs."""

COLUMNS = (
    *ORIGIN,
    Column("wearing", "string", "bare or masked"),
    Column("variant", "int32", "which masked variant; null for a bare face"),
    Column("style", "string", "crop style"),
    Column("size", "int32", "side of the crop in pixels"),
    Column("matrix", "list<double>", "2x3 matrix from picture to crop pixels, row by row"),
    Column("residual_px", "float64", "root mean square distance of mapped points from the template, crop pixels"),
)


def plan(
    faces: pd.DataFrame,
    masked: pd.DataFrame,
    data: Path,
    *,
    source: str,
    wearing: Sequence[str],
    styles: Sequence[str],
    size: int,
    quality: int,
) -> list[Item]:
    """List the pictures to crop.

    Args:
        faces: of face geometry, :func:`ops.stages.faces.described`.
        masked: done rows of masked faces, of the same source.
        data: the data folder.
        source: the source's name.
        wearing: ``bare``, ``masked`` or both.
        styles: crop styles, resolved.
        size: side of a crop in pixels.
        quality: of the JPEG files.
    """
    unknown = set(wearing) - set(WEARING)
    if unknown:
        raise ValueError(f"wearing {sorted(unknown)} is unknown; allowed: {', '.join(WEARING)}")
    settings = {"styles": list(styles), "size": size, "quality": quality, "version": VERSION}
    items: list[Item] = []
    found = grouped(faces, "frame")
    if "bare" in wearing:
        items = [
            _item(rows, rows[0]["fingerprint"], data / rows[0]["picture"], None, settings) for rows in found.values()
        ]
    if "masked" not in wearing:
        return items
    for worn in grouped(masked[[*NEEDED]], "output").values():
        first, wearers = worn[0], {known["face"] for known in worn}
        rows = [known for known in found[first["frame"]] if known["face"] in wearers]
        path = data / "masked_faces" / source / first["output"]
        items.append(_item(rows, first["fingerprint"], path, int(first["variant"]), settings))
    return items


def _item(rows: list[Row], parent: str, path: Path, variant: int | None, settings: dict[str, Any]) -> Item:
    first = rows[0]
    return Item(
        fingerprint(parent if variant is None else f"{parent}:{variant}", settings),
        {
            "path": str(path),
            "variant": variant,
            "faces": Stored.of(rows),
            **{name: first[name] for name in ("source", "frame", "time", "identity")},
        },
        parent,
    )


class Align:
    """Cut all faces out of one picture."""

    def __init__(self, folder: Path, *, styles: Sequence[str], size: int, quality: int, max_pixels: int) -> None:
        self.folder = folder
        self.styles = tuple(styles)
        self.size = size
        self.quality = quality
        self.max_pixels = max_pixels

    def __call__(self, item: Item) -> list[Row]:
        """Return a row a crop, or with the reason why there is none."""
        known = item.payload
        masked = known["variant"] is not None
        same = {name: known[name] for name in ("frame", "time", "identity", "variant")}
        same |= {"wearing": "masked" if masked else "bare"}
        try:
            pixels = images.read(Path(known["path"]), max_pixels=self.max_pixels)
        except images.BadImage as error:
            return [refusal(item, error, size=self.size, **same)]
        rows = []
        for face in known["faces"].load():
            stem = f"{item.fingerprint}_face{face.index}"
            cuts = cut_out(pixels, face, self.styles, self.size, self.folder, stem, quality=self.quality)
            rows += [row(item, known["source"], **same, **cut) for cut in cuts]
        return rows


def cut_out(
    pixels: Picture,
    face: Face,
    styles: Sequence[str],
    size: int,
    folder: Path,
    stem: str,
    *,
    ending: str = "",
    quality: int,
) -> list[dict[str, Any]]:
    """Align one face in every style and write the crops.

    Args:
        pixels: the picture.
        face: whose points decide.
        styles: crop styles, resolved.
        size: side of a crop in pixels.
        folder: where the crops go.
        stem: how a crop's file name begins; the style follows.
        ending: what comes after the style.
        quality: of the JPEG files; colours are kept at full resolution.

    Returns:
        The manifest's columns of each crop, with a reason where a face can't be aligned.
    """
    results: list[dict[str, Any]] = []
    for style in styles:
        same = {"face": face.index, "style": style, "size": size}
        try:
            (crop,) = alignment.crop_face(pixels, face, [style], size)
        except alignment.AlignmentError as error:
            results.append({**same, "status": REJECTED, "reason": error.reason})
            continue
        output = f"{stem}_{style}{ending}.jpg"
        write_atomic(folder / output, images.encode_jpeg(crop.pixels, quality, subsampling="444"))
        fit = {"matrix": np.ravel(crop.matrix), "residual_px": crop.residual_px}
        results.append({**same, "output": output, **fit})
    return results
