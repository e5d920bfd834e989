"""Garments that users bring: a folder each, with ``texture.png`` and ``garment.yaml``."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ops import images
from ops.masking.spec import KINDS, STRAPS, check_names, parse_colour
from ops.plain_yaml import LARGEST, read_yaml

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ops.records import Floats

TEXTURE, SHEET = "texture.png", "garment.yaml"
SIDES = (64, 4096)
"""Least and greatest side of a texture in pixels."""

COLOURS = 240
"""Colours that a texture is reduced to."""

HEAVIEST = 1000
"""Greatest weight."""

_USUAL = 256  # side in pixels at which a texture gives its colours

_DEFAULTS: dict[str, Any] = {"cut": "cloth", "straps": "loops", "strap_colour": "#f1f1ef", "weight": 0.1}


class GarmentError(ValueError):
    """A garment's folder that can't be used; the message names file, field and what is allowed."""


@dataclass(frozen=True, slots=True)
class Garment:
    """A user's own garment.

    Attributes:
        name: the folder's.
        kind: the built-in kind that it is cut like.
        straps: one of `STRAPS`.
        strap_colour: ``#rrggbb``.
        weight: how often it is drawn; all built-in kinds together weigh 1.
        digest: of the texture's file.
        texture: where that is.
    """

    name: str
    kind: str
    straps: str
    strap_colour: str
    weight: float
    digest: str
    texture: str


def load_garments(folder: Path) -> tuple[Garment, ...]:
    """Read every garment of a folder, by name; a folder that does not exist holds none.

    Raises:
        GarmentError: a garment lacks a file, or a field of it is wrong.
    """
    if not folder.is_dir():
        return ()
    return tuple(load_garment(path) for path in sorted(folder.iterdir()) if path.is_dir() and path.name[0] != ".")


def load_garment(folder: Path) -> Garment:
    """Read one garment; see `load_garments`."""
    for name in (TEXTURE, SHEET):
        if not (folder / name).is_file():
            raise GarmentError(f"{folder.name}: {name} is missing")
    if folder.name in KINDS or not folder.name.isprintable():
        raise GarmentError(f"{folder.name!r}: no name for a garment; kinds' names and control characters are taken")
    try:
        values = {**_DEFAULTS, **_told(folder / SHEET)}
        check_names("cut", (values["cut"],), KINDS)
        check_names("straps", (values["straps"],), STRAPS)
        parse_colour(str(values["strap_colour"]))
        weight = values["weight"]
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight <= HEAVIEST:
            raise GarmentError(f"weight: {weight!r}; expected a number above 0, up to {HEAVIEST}")
    except ValueError as error:
        raise GarmentError(f"{folder.name}/{SHEET}: {error}") from None
    path = folder / TEXTURE
    try:
        height, width = images.read(path, max_pixels=SIDES[1] ** 2).shape[:2]
    except images.BadImage as error:
        raise GarmentError(f"{folder.name}/{TEXTURE}: {error.reason}") from None
    if min(width, height) < SIDES[0] or max(width, height) > SIDES[1]:
        raise GarmentError(f"{folder.name}/{TEXTURE}: {width} x {height} px; sides may be {SIDES[0]} to {SIDES[1]} px")
    return Garment(
        name=folder.name,
        kind=values["cut"],
        straps=values["straps"],
        strap_colour=values["strap_colour"],
        weight=float(weight),
        digest=hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest(),
        texture=str(path),
    )


def _told(path: Path) -> dict[str, Any]:
    """Return the fields that a sheet gives: plain values alone, nothing that YAML's aliases could blow up.

    Raises:
        GarmentError: it is no mapping of known fields to plain values.
        BadYaml: it is no YAML that is read.
    """
    with path.open("rb") as file:
        told = read_yaml(file.read(LARGEST + 1))
    if told is None:
        return {}
    if not isinstance(told, dict):
        raise GarmentError(f"expected fields such as cut: cloth, found a {type(told).__name__}")
    for name, value in told.items():
        check_names("field", (name,), tuple(_DEFAULTS))
        if not isinstance(value, str | int | float):
            raise GarmentError(f"{name}: expected text or a number, found {type(value).__name__}")
    return told


def reduced(garment: Garment, size: int) -> tuple[NDArray[np.uint8], Floats]:
    """Return a texture as ``(size, size)`` entries of a palette, and that palette, ``(n, 3)`` in [0, 1].

    The palette is the same for every size.
    """
    return _reduced(garment.texture, garment.digest, size)


@lru_cache(maxsize=32)
def _reduced(texture: str, digest: str, size: int) -> tuple[NDArray[np.uint8], Floats]:
    from PIL import Image

    pixels, plain = images.read(Path(texture)), Image.Dither.NONE
    usual, wanted = (Image.fromarray(images.resized(pixels, (side, side))) for side in (_USUAL, size))
    palette = usual.quantize(COLOURS, Image.Quantize.MEDIANCUT, dither=plain)
    colours = np.array(palette.getpalette(), np.float32).reshape(-1, 3) / np.float32(255)
    return np.asarray(wanted.quantize(palette=palette, dither=plain), np.uint8), colours
