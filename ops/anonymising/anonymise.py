"""Digital masks drawn over every face of a picture, or no picture at all.

What comes out has no pixel of the input within the outline of any face; where that can't be had, the whole picture is
refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ops.anonymising.outline import hull81, oval
from ops.anonymising.rendering import STYLES, Window, draw_mesh
from ops.anonymising.shape import ShapeError
from ops.faces import NO_FACE
from ops.records import Refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ops.anonymising.shape import FaceShape, PosedMesh
    from ops.anonymising.sight import Sight
    from ops.records import Face, Floats, Picture

CUTS = ("hull", "oval", "mesh")

FINE = 4
"""Samples a pixel, each way, along an outline."""

SUBPIXEL = 4
"""Bits after the point in the corners of an outline."""


class AnonymisingError(Refusal):
    """A picture that can't be anonymised: nothing of it may be written."""


@dataclass(frozen=True)
class Look:
    """How digital masks look.

    Attributes:
        style: one of :data:`ops.anonymising.rendering.STYLES`.
        cut: what is drawn beyond the hull of the face's 81 points, which is covered always: nothing (``hull``), what
            else is within the border of its mesh (``oval``), or of the shape (``mesh``).

    Raises:
        ValueError: another style or cut.
    """

    style: str = "grey"
    cut: str = "hull"

    def __post_init__(self) -> None:
        for what, value, allowed in (("style", self.style, STYLES), ("cut", self.cut, CUTS)):
            if value not in allowed:
                raise ValueError(f"{what} {value!r} is unknown; allowed: {', '.join(allowed)}")


@dataclass(frozen=True, slots=True, eq=False)
class Anonymised:
    """A picture whose faces are covered.

    Attributes:
        overlay: the picture with digital masks on.
        mask: the digital masks alone, ``(h, w, 4)`` RGBA; 0 in all four where there is none.
        region: ``(h, w)``, the pixels within outlines of faces: each differs from the input.
        shapes: the surface over each face, by its index.
    """

    overlay: Picture
    mask: NDArray[np.uint8]
    region: NDArray[np.bool_]
    shapes: dict[int, PosedMesh]

    @property
    def on_black(self) -> Picture:
        """The digital masks alone, on black."""
        shown = self.mask[..., :3].astype(np.uint16) * self.mask[..., 3:] + 127
        return np.asarray(shown // 255, np.uint8)


class _Layer(NamedTuple):
    """A digital mask in its window: colours, and how much of each pixel it is, 0 to 255."""

    window: Window
    colours: Picture
    alpha: NDArray[np.uint8]


def anonymise(pixels: Picture, seen: Sight, shape: FaceShape, how: Look | None = None) -> Anonymised:
    """Cover every face of a picture, those further away first.

    Args:
        pixels: the picture, left as it is.
        seen: its faces.
        shape: what fits a surface to a face.
        how: the digital masks look.

    Raises:
        AnonymisingError: no face, one without a mesh or a shape, or one that lies outside of the picture.
        ValueError: the style can't be drawn of this shape.
    """
    how = how or Look()
    if seen.bare:
        count = len(seen.bare)
        raise AnonymisingError(f"no mesh for {count} of {count + len(seen.faces)} faces found")
    if not seen.faces:
        raise AnonymisingError(NO_FACE)
    shapes: dict[int, PosedMesh] = {}
    layers = []
    for face in sorted(seen.faces, key=lambda face: face.box.area):
        try:
            shapes[face.index] = shape.fit(face, pixels)
        except ShapeError as error:
            raise AnonymisingError(f"face {face.index} has no shape: {error.reason}") from error
        layers.append(_layer(face, shapes[face.index], how, pixels.shape[:2]))
    region = np.zeros(pixels.shape[:2], bool)
    for face in seen.faces:
        region |= covered_region(hull81(face), pixels.shape[:2])
    overlay, mask = _composed(pixels, layers)
    overlay[_same(pixels, overlay, region), 0] ^= 1  # a pixel that had the mask's own colour
    return Anonymised(overlay, mask, region, shapes)


def covered_region(outline: Floats, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return the pixels of a picture within a convex outline ``(k, 2)`` or on it, ``(h, w)``."""
    import cv2

    canvas = np.zeros(shape[:2], np.uint8)
    cv2.fillConvexPoly(canvas, _fixed(outline), (1,), shift=SUBPIXEL)
    return canvas > 0


def same_inside(before: Picture, after: Picture, region: NDArray[np.bool_]) -> int:
    """Return how many pixels of a region are as they were; anything but 0 is a fault."""
    return int(_same(before, after, region).sum())


def _same(before: Picture, after: Picture, region: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return where in a region pixels are as they were, ``(h, w)``."""
    same = region.copy()
    for channel in range(3):  # some ten times as fast as all() over the last axis
        same &= before[..., channel] == after[..., channel]
    return same


def _layer(face: Face, mesh: PosedMesh, how: Look, shape: tuple[int, ...]) -> _Layer:
    """Draw the digital mask of one face.

    Raises:
        AnonymisingError: outline and surface don't meet in the picture.
    """
    outlines = [hull81(face), *([oval(face)] if how.cut == "oval" else [])]
    reach = np.concatenate([*outlines, *([mesh.vertices[:, :2]] if how.cut == "mesh" else [])])
    left, top = np.maximum(np.floor(reach.min(axis=0)).astype(int) - 1, 0)
    right, bottom = np.minimum(np.ceil(reach.max(axis=0)).astype(int) + 2, shape[1::-1])
    if right <= left or bottom <= top:
        raise AnonymisingError(f"face {face.index} lies outside of the picture")
    window = Window(int(left), int(top), int(right - left), int(bottom - top))
    drawn = draw_mesh(mesh, how.style, window)
    if drawn is None:
        raise AnonymisingError(f"the shape of face {face.index} lies beside it")
    within = [_softly(outline, window) for outline in outlines]
    if how.cut == "mesh":
        within.append(np.rint(drawn.covered * 255).astype(np.uint8))
    alpha = np.maximum.reduce(within)
    inside = covered_region(outlines[0] - np.array((window.left, window.top), np.float32), alpha.shape)
    alpha[inside] = 255
    return _Layer(window, drawn.colours, alpha)


def _softly(outline: Floats, window: Window) -> NDArray[np.uint8]:
    """Return how much of each pixel of a window lies within an outline, 0 to 255."""
    import cv2

    canvas = np.zeros((window.height * FINE, window.width * FINE), np.uint8)
    placed = (outline - np.array((window.left - 0.5, window.top - 0.5), np.float32)) * FINE - np.float32(0.5)
    cv2.fillPoly(canvas, [_fixed(placed)], (255,), shift=SUBPIXEL)
    return np.asarray(cv2.resize(canvas, (window.width, window.height), interpolation=cv2.INTER_AREA), np.uint8)


def _composed(pixels: Picture, layers: Sequence[_Layer]) -> tuple[Picture, NDArray[np.uint8]]:
    """Return the picture with all layers over it, and the layers alone."""
    overlay, mask = pixels.copy(), np.zeros((*pixels.shape[:2], 4), np.uint8)
    for window, colours, alpha in layers:
        rows, columns = slice(window.top, window.top + window.height), slice(window.left, window.left + window.width)
        part, alone = overlay[rows, columns], mask[rows, columns]
        over, under = alpha.astype(np.uint16)[..., None], 255 - alpha.astype(np.uint16)[..., None]
        part[:] = (colours * over + part * under + 127) // 255
        fresh = (alpha > 0) & (alpha >= alone[..., 3])  # along an edge the colour of what covers more of the pixel
        alone[fresh, :3] = colours[fresh]
        alone[fresh, 3] = alpha[fresh]
    return overlay, mask


def _fixed(points: Floats) -> NDArray[np.int32]:
    return np.rint(points.astype(np.float64) * (1 << SUBPIXEL)).astype(np.int32)
