"""Aligned crops: a face brought to where a recogniser expects its eyes and mouth.

Styles on three points take the inner eye corners and the middle of the outer bottom lip to the positions of OpenFace's
template (its 68 mean points, scaled so that they fill the unit square); a style moves and shrinks that template.
``arcface`` takes five points to the template that InsightFace trains its recognisers with. ``bbox_scale`` looks at the
face's box alone.

A masked picture has the geometry of the bare one it was made from: align both with the bare face's points.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from ops.geometry import affine, residual, similarity
from ops.records import Box, Crop, Face, Floats, Picture, Refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

SIDE = 112
"""Side in pixels of the crops that templates are given for."""

BOX_FACTOR = 1.3
"""How much larger than the face's box a ``bbox_scale`` crop is."""

THREE_POINTS = {"68": (39, 42, 57), "98": (64, 68, 85), "mesh": (155, 382, 17)}
"""Left inner eye corner, right inner eye corner, middle of the outer bottom lip, by layout of the landmarks.

The mesh's own corners, 133 and 362, lie deeper in the corner of the eye than points 39 and 42 of dlib's model, which
the templates are made for: by 2.3% of the distance between the outer corners, in the median of 110 portraits. The
next vertices on the lower lid, 155 and 382, come within 1.4%, the lip within 2.3%, and ``original_cropping`` then lies
within 2.1 px of what dlib's points give, instead of 3.5 px.
"""

_OPENFACE = np.array([(0.363785, 0.177947), (0.618963, 0.172778), (0.500204, 0.750584)])
_ARCFACE = np.array(
    [(38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041)]
)
_THINNEST = 0.01  # smallest to largest spread of the points; frontal faces have about 0.4, a full profile 0.05
_CV2_LIMIT = 32_000  # OpenCV warps no picture with a longer side than 32,766


class AlignmentError(Refusal):
    """A face can't be aligned."""


class AlignPoints(NamedTuple):
    """What a face is aligned by; a style needs one of the three.

    Attributes:
        three: left and right inner eye corner and the middle of the outer bottom lip, ``(3, 2)`` pixels.
        five: left eye, right eye, nose tip, left and right mouth corner, ``(5, 2)`` pixels.
        box: around the face, pixels.
    """

    three: Floats | None = None
    five: Floats | None = None
    box: Box | None = None


@dataclass(frozen=True, slots=True, eq=False)
class CropStyle:
    """How a crop is made.

    Attributes:
        template: where the points go in a crop of 112 px, ``(n, 2)`` pixels; empty for a box.
        points: what the style is aligned by, a field of `AlignPoints`.
        transform: ``affine`` follows the points exactly and may shear, ``similarity`` only turns, scales and moves.
        border: what is seen where the crop reaches past the picture.
    """

    template: NDArray[np.float64]
    points: Literal["three", "five", "box"]
    transform: Literal["affine", "similarity"]
    border: Literal["black", "reflect"] = "black"


def _openface(scale: float, down: float) -> NDArray[np.float64]:
    return SIDE * ((_OPENFACE - 0.5) * scale + 0.5 + (0, down))


STYLES = {
    "buffalo": CropStyle(_openface(0.65, 0.16), "three", "similarity", "reflect"),
    "buffalo_chin": CropStyle(_openface(0.60, 0.12), "three", "similarity", "reflect"),
    "original_cropping": CropStyle(_openface(1, 0), "three", "affine"),
    "scale_shift": CropStyle(_openface(0.85, -0.085), "three", "affine"),
    "arcface": CropStyle(_ARCFACE, "five", "similarity"),
    "original_cropping_rigid": CropStyle(_openface(1, 0), "three", "similarity"),
    "scale_shift_rigid": CropStyle(_openface(0.85, -0.085), "three", "similarity"),
    "bbox_scale": CropStyle(np.empty((0, 2)), "box", "similarity"),
}
ALL = "all"


def resolve_styles(styles: str | Sequence[str]) -> tuple[str, ...]:
    """Return the styles asked for, each once, in the order asked.

    >>> resolve_styles(["arcface", "buffalo", "arcface"])
    ('arcface', 'buffalo')

    Args:
        styles: a style, ``all``, or several of these.

    Raises:
        ValueError: of a name that no style has.
    """
    names: dict[str, None] = {}
    for name in [styles] if isinstance(styles, str) else styles:
        if name != ALL and name not in STYLES:
            raise ValueError(f"crop style {name!r} is unknown; there are {', '.join(STYLES)}, and {ALL}")
        names |= dict.fromkeys(STYLES if name == ALL else [name])
    return tuple(names)


def template(style: str, size: int = SIDE) -> NDArray[np.float64]:
    """Return where a style puts its points in a crop of ``size`` pixels, ``(n, 2)``; empty for ``bbox_scale``.

    Raises:
        ValueError: if the style is unknown, or not made at that size.
    """
    (style,) = resolve_styles([style])
    if size < 1:
        raise ValueError(f"crop size {size} is too small; at least 1 is allowed")
    if style != "arcface":
        return STYLES[style].template * (size / SIDE)
    if size % 112 == 0:  # the sizes, and the shift at multiples of 128, as InsightFace's face_align defines them
        return _ARCFACE * (size / 112)
    if size % 128 == 0:
        return (_ARCFACE + np.array((8.0, 0.0))) * (size / 128)
    raise ValueError(f"crop size {size} does not go with arcface; multiples of 112 and of 128 are allowed")


def three_points(points: ArrayLike, layout: Literal["68", "98", "mesh"] = "mesh") -> Floats:
    """Return the left and right inner eye corner and the middle of the outer bottom lip, ``(3, 2)`` pixels.

    Args:
        points: landmarks, ``(68, 2)``, ``(98, 2)``, or a mesh of ``(468 or 478, 2 or 3)``, pixels.
        layout: which of these.

    Raises:
        ValueError: if the layout is unknown or the points are not of that layout.
    """
    if layout not in THREE_POINTS:
        raise ValueError(f"landmark layout {layout!r} is unknown; there are {', '.join(THREE_POINTS)}")
    counts = {"68": (68,), "98": (98,), "mesh": (468, 478)}[layout]
    given = np.asarray(points, np.float32)
    if len(given) not in counts:
        raise ValueError(f"{len(given)} points are not of layout {layout!r}, which has {' or '.join(map(str, counts))}")
    return given[list(THREE_POINTS[layout]), :2]


def align(pixels: Picture, points: AlignPoints, style: str, size: int = SIDE) -> Crop:
    """Cut a face out of a picture in one style.

    Args:
        pixels: the picture.
        points: of the face, in the picture's pixels.
        style: one of `STYLES`.
        size: side of the crop in pixels.

    Raises:
        AlignmentError: if the points the style needs are absent, not finite, fall together, lie on a line or are
            mirrored, or the box is empty within the picture; nothing stands in for an aligned crop.
        ValueError: if the style is unknown, or not made at that size.
    """
    target = template(style, size)
    rule = STYLES[style]
    given = getattr(points, rule.points)
    if given is None:
        raise AlignmentError(f"style {style} is aligned by {rule.points} points, and there are none")
    if rule.points == "box":
        matrix, error = _box_matrix(given, pixels.shape, size), 0.0
    else:
        source = np.asarray(given, np.float64)
        _check(source)
        matrix = (affine if rule.transform == "affine" else similarity)(source, target)
        if rule.transform == "affine" and np.linalg.det(matrix[:, :2]) <= 0:
            raise AlignmentError("the points are mirrored: the left eye lies right of the right one")
        error = residual(matrix, source, target)
    if not (np.isfinite(matrix).all() and np.isfinite(error)):
        raise AlignmentError("the fit is not finite")
    return Crop(style, _warp(pixels, matrix, size, rule.border), matrix, error)


def align_points(face: Face) -> AlignPoints:
    """Return what a face is aligned by."""
    return AlignPoints(three_points(face.mesh), face.points5, face.box)


def crop_face(pixels: Picture, face: Face, styles: str | Sequence[str] = ALL, size: int = SIDE) -> list[Crop]:
    """Cut a face out of a picture in several styles; of a masked picture, with the bare picture's face.

    Raises:
        AlignmentError: of the first style in which the face can't be aligned, see `align`.
        ValueError: if a style is unknown, or not made at that size.
    """
    points = align_points(face)
    return [align(pixels, points, style, size) for style in resolve_styles(styles)]


def _check(points: NDArray[np.float64]) -> None:
    if not np.isfinite(points).all():
        raise AlignmentError("the points are not finite")
    widest, thinnest = np.linalg.svd(points - points.mean(axis=0), compute_uv=False)
    if widest < 1:
        raise AlignmentError(f"the points fall together: they spread over {widest:.2g} px")
    if thinnest < _THINNEST * widest:
        raise AlignmentError("the points lie on a line")


def _box_matrix(box: Box, shape: tuple[int, ...], size: int) -> NDArray[np.float64]:
    """Fit a square around the box, moved inside the picture.

    The square shrinks where the picture has no room for it, but never cuts the box.
    """
    height, width = shape[:2]
    if not np.isfinite(box).all():
        raise AlignmentError("the box is not finite")
    seen = box.clipped(width, height)
    if min(seen.width, seen.height) < 1:
        raise AlignmentError("the box is empty within the picture")
    longest = max(seen.width, seen.height)
    side = max(longest, min(longest * BOX_FACTOR, width, height))
    scale = size / side
    corner = [
        min(max(middle - side / 2, 0.0), extent - side) if side <= extent else (extent - side) / 2
        for middle, extent in zip(seen.center, (width, height), strict=True)
    ]
    return np.array([(scale, 0, (0.5 - corner[0]) * scale - 0.5), (0, scale, (0.5 - corner[1]) * scale - 0.5)])


def _warp(pixels: Picture, matrix: NDArray[np.float64], size: int, border: str) -> Picture:
    import cv2

    if max(pixels.shape) > _CV2_LIMIT:
        pixels, matrix = seen_part(pixels, matrix, size)
    mode = cv2.BORDER_REFLECT if border == "reflect" else cv2.BORDER_CONSTANT
    return cv2.warpAffine(pixels, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=mode).astype(np.uint8)


def seen_part(
    pixels: NDArray[np.uint8], matrix: NDArray[np.float64], size: int
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Cut out of a picture what a square of ``size`` pixels can see through a matrix, reflections included.

    Returns:
        That part, and the matrix for it.
    """
    corners = np.array([(0, 0), (size, 0), (0, size), (size, size)]) - matrix[:, 2]
    seen = np.linalg.solve(matrix[:, :2], corners.T).T
    reach = np.ptp(seen, axis=0)
    height, width = pixels.shape[:2]
    x1, y1 = np.clip(np.floor(seen.min(axis=0) - reach), 0, (width - 1, height - 1)).astype(int)
    x2, y2 = np.clip(np.ceil(seen.max(axis=0) + reach), 1, (width, height)).astype(int)
    moved = matrix.copy()
    moved[:, 2] += matrix[:, :2] @ (x1, y1)
    return pixels[y1:y2, x1:x2], moved
