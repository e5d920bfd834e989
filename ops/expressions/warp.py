"""A smile by moving a picture's own pixels: mouth's corners up and out, cheeks up and lower lids a little.

How far each part of a face moves was measured, not guessed: over 855 official portraits, neutral to beaming, the meshes
were brought to the canonical one by the points that don't move with expression, and each point's place was regressed on
the smile (with how open the mouth is beside it, so that no mouth opens). In between the points below the movement is
spread smoothly over the face, turned as the head is, and fades to nothing before the face's outline, so that
no backdrop bends. The lips' inner edges move as one: what is between them is stretched, and not torn.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ops.expressions.engines import EngineError
from ops.geometry import canonical_mesh, mesh_box, rigid, similarity
from ops.raster import rasterise

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ops.records import Floats, Picture

MAX_YAW = 50.0
"""Degrees from which on half of the mouth can't be seen."""

FADE, SOFT = 0.08, 0.012
"""Width over which the movement fades towards the outline, and blur of the movement, as shares of the face's height."""

WIDE = 1.3
"""The measured movement, so many times, at strength 1: the state measure sees about 60% of what pixels are moved."""

LEAST = 1 / 32
"""Pixels of movement below which a pixel stays: a step of OpenCV's interpolation."""

_MOVES = {
    61: (-0.93, 0.85, -0.84), 57: (-0.76, 0.76, -0.74), 186: (-0.72, 0.62, -0.65), 40: (-0.67, 0.59, -0.56),
    39: (-0.48, 0.42, -0.37), 37: (-0.23, 0.28, -0.29), 0: (0, 0.23, -0.31), 13: (0, 0.32, -0.31),
    14: (0, 0.32, -0.31), 17: (0, 0.40, -0.13), 84: (-0.18, 0.42, -0.19), 181: (-0.36, 0.45, -0.43),
    91: (-0.55, 0.53, -0.62), 43: (-0.60, 0.63, -0.73), 106: (-0.46, 0.46, -0.59), 18: (0, 0.26, 0.02),
    182: (-0.34, 0.33, -0.35), 202: (-0.38, 0.47, -0.63), 210: (-0.20, 0.22, -0.40), 194: (-0.24, 0.21, -0.26),
    214: (-0.38, 0.30, -0.42), 212: (-0.54, 0.58, -0.60), 216: (-0.61, 0.51, -0.44), 92: (-0.57, 0.45, -0.48),
    165: (-0.43, 0.35, -0.27), 98: (-0.12, 0.10, -0.05), 206: (-0.44, 0.33, -0.30), 205: (-0.44, 0.28, -0.13),
    207: (-0.56, 0.33, -0.29), 187: (-0.44, 0.22, -0.22), 147: (-0.22, 0.09, -0.16), 192: (-0.30, 0.13, -0.22),
    50: (-0.35, 0.31, -0.13), 36: (-0.26, 0.22, -0.07), 101: (-0.19, 0.23, -0.06), 118: (-0.09, 0.22, -0.11),
    117: (-0.08, 0.18, -0.10), 145: (0, 0.08, -0.04),
}  # fmt: skip
"""Centimetres, on the canonical mesh's axes, that a smile of 1 moves points of the left half; the right mirrors it.

Near the jaw it is less than was measured: the outline stays, and what is pressed against it would fold.
"""

_STILL = (
    10, 109, 67, 103, 54, 21, 162, 127, 234, 93, 132, 58, 172, 136, 150, 149, 176, 148, 152,
    33, 133, 159, 70, 63, 105, 66, 107, 6, 195, 4, 2, 48,
)  # fmt: skip
"""Points of the left half that stay: outline, eyes' corners and upper lids, brows, nose."""


class Smile(NamedTuple):
    """A picture with a smile.

    Attributes:
        picture: a new picture, equal to the given one in every bit where ``inside`` is False.
        inside: ``(h, w)``, where pixels moved.
    """

    picture: Picture
    inside: NDArray[np.bool_]


def smile(pixels: Picture, mesh: Floats, strength: float) -> Smile:
    """Let a face smile.

    Args:
        pixels: ``(h, w, 3)``, left as it is.
        mesh: ``(468, 3)`` pixels.
        strength: 0 changes nothing, 1 is as wide as most portraits' smiles.

    Raises:
        ValueError: the strength is not in [0, 1].
        EngineError: the face is turned too far.
    """
    import cv2

    if not 0 <= strength <= 1:
        raise ValueError(f"strength of the smile is {strength}; from 0 to 1 is allowed")
    height, width = pixels.shape[:2]
    inside = np.zeros((height, width), bool)
    seen = mesh_box(mesh).grown(1.05).clipped(width, height)
    x1, y1, x2, y2 = (round(edge) for edge in seen)
    moved = strength * moves(mesh)
    if x2 <= x1 or y2 <= y1:
        return Smile(pixels.copy(), inside)
    part = pixels[y1:y2, x1:x2]
    field = _field(mesh - (x1, y1, 0), moved, part.shape[:2])
    rows, columns = np.indices(part.shape[:2], np.float32)
    shown = cv2.remap(
        part, columns - field[..., 0], rows - field[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101
    )
    here = np.hypot(field[..., 0], field[..., 1]) >= LEAST
    picture = pixels.copy()
    picture[y1:y2, x1:x2][here] = shown[here]
    inside[y1:y2, x1:x2] = here
    return Smile(picture, inside)


def moves(mesh: Floats) -> Floats:
    """Return how a smile of strength 1 moves a mesh, ``(468, 2)`` pixels.

    Raises:
        EngineError: the face is turned by more than :data:`MAX_YAW`.
    """
    chosen, _ = rigid()
    vertices = canonical_mesh().vertices.astype(np.float64)
    linear = similarity(vertices[chosen], mesh[chosen] * (1, -1, -1))[:, :3]
    yaw = abs(float(np.degrees(np.arctan2(linear[0, 2], linear[2, 2]))))
    if yaw > MAX_YAW:
        raise EngineError(f"turned by {yaw:.0f} degrees, more than {MAX_YAW:g}: a mouth seen from the side can't smile")
    return np.asarray(WIDE * (_canonical_moves() @ linear.T)[:, :2] * (1, -1), np.float32)


@cache
def _canonical_moves() -> NDArray[np.float64]:
    """Return the movement of every vertex, ``(468, 3)`` centimetres: thin plate splines through the known ones."""
    from scipy.interpolate import RBFInterpolator

    vertices = canonical_mesh().vertices.astype(np.float64)
    numbers = [*_MOVES, *_STILL]
    known = np.array([*_MOVES.values(), *[(0.0, 0.0, 0.0)] * len(_STILL)])
    places, flip = vertices[numbers], np.array((-1, 1, 1))
    beside = abs(places[:, 0]) > 1e-3
    places, known = np.vstack([places, places[beside] * flip]), np.vstack([known, known[beside] * flip])
    return np.asarray(RBFInterpolator(places, known, kernel="thin_plate_spline", smoothing=0.05)(vertices))


def _field(mesh: Floats, moved: Floats, shape: tuple[int, int]) -> Floats:
    """Return how far each pixel of a part came, ``(h, w, 2)``; ``mesh`` is in the part's pixels."""
    import cv2

    there = np.asarray(mesh, np.float32).copy()
    there[:, :2] += moved
    drawn = rasterise(there, canonical_mesh().triangles, moved, shape)
    high = float(np.ptp(mesh[:, 1]))
    # beyond the picture the face goes on: only its own outline is an end
    depth = cv2.distanceTransform(drawn.covered.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    rise = np.clip(depth / (FADE * high), 0, 1)
    smooth = cv2.GaussianBlur(drawn.image, (0, 0), max(SOFT * high, 0.5))
    return np.asarray(smooth * (rise * rise * (3 - 2 * rise))[..., None], np.float32)
