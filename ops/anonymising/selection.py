"""Which pictures are anonymised, with a reason for each that is not, and the square that is cut out of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ops import images
from ops.anonymising.sight import Sight
from ops.geometry import mesh_box
from ops.store import fingerprint

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ops.records import Face, Picture

SEVERAL = ("cover", "refuse")

GROWN = 2.5
"""Side of the square that is cut out, in longer sides of the face's box."""


@dataclass(frozen=True)
class Selection:
    """What a picture has to be like.

    Attributes:
        min_score: the least score of its surest face.
        several: ``cover`` all faces of a picture, or ``refuse`` it.
        max_yaw: faces turned further are refused, degrees either way.
        max_pitch: the same for looking up or down.
        per_video: pictures drawn of each video; 0: all.
        seed: another seed, other draws.

    Raises:
        ValueError: another ``several``.
    """

    min_score: float = 0.5
    several: str = "cover"
    max_yaw: float = 60
    max_pitch: float = 60
    per_video: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.several not in SEVERAL:
            raise ValueError(f"several {self.several!r} is unknown; allowed: {', '.join(SEVERAL)}")


class Square(NamedTuple):
    """A part of a picture, which it may reach beyond: left, top and side in pixels."""

    left: int
    top: int
    side: int


def reason_against(faces: Sequence[Face], wanted: Selection) -> str | None:
    """Say why a picture with these faces, the surest first, is left out; None where it is not."""
    if faces[0].score < wanted.min_score:
        return f"the surest face has a score of {faces[0].score:.2f}, less than {wanted.min_score:g}"
    if wanted.several == "refuse" and len(faces) > 1:
        return f"{len(faces)} faces, and a second one is refused"
    for face in faces:
        for name, angle, most in (("yaw", face.pose.yaw, wanted.max_yaw), ("pitch", face.pose.pitch, wanted.max_pitch)):
            if abs(angle) > most:
                return f"face {face.index} has a {name} of {angle:.0f} degrees, beyond {most:g}"
    return None


def drawn(videos: Mapping[str, Sequence[str]], wanted: Selection) -> set[str]:
    """Return the pictures that are drawn of each video; all where there are no more than wanted.

    Args:
        videos: names of the pictures of each.
        wanted: how many, and the seed: with a video's name it decides.
    """
    chosen: set[str] = set()
    for video, pictures in videos.items():
        known = sorted(pictures)
        if 0 < wanted.per_video < len(known):
            rng = np.random.default_rng(int(fingerprint("drawn", wanted.seed, video), 16))
            known = rng.choice(known, wanted.per_video, replace=False).tolist()
        chosen |= set(known)
    return chosen


def square_around(face: Face) -> Square:
    """Return the square around a face that :func:`cut_out` cuts."""
    box = mesh_box(face.mesh)
    side = max(1, round(GROWN * max(box.width, box.height)))
    x, y = box.center
    return Square(round(x - side / 2), round(y - side / 2), side)


def cut_out(pixels: Picture, square: Square, size: int) -> Picture:
    """Cut a square out of a picture, black beyond its edges, and scale it to ``size`` pixels."""
    height, width = pixels.shape[:2]
    left, top, right, bottom = _seen(square, (height, width))
    canvas = np.zeros((square.side, square.side, 3), np.uint8)
    canvas[top - square.top : bottom - square.top, left - square.left : right - square.left] = pixels[
        top:bottom, left:right
    ]
    return images.resized(canvas, (size, size))


def seen_in(seen: Sight, square: Square, size: int) -> Sight:
    """Return the faces that :func:`cut_out` shows, in its pixels; those without a mesh stay as they are."""
    whole = max(1, square.side // size)
    scale = np.float32(size / (square.side // whole * whole))
    corner, half = np.array((square.left - 0.5, square.top - 0.5), np.float32), np.float32(0.5)
    faces = []
    for face in seen.faces:
        mesh = face.mesh.copy()
        mesh[:, :2] = (mesh[:, :2] - corner) * scale - half
        mesh[:, 2] *= scale
        inner = mesh_box(mesh)
        if inner.clipped(size, size).area > 0:
            points = (face.points5 - corner) * scale - half
            faces.append(replace(face, mesh=mesh, box=inner, points5=points))
    return Sight(tuple(faces), seen.bare)


def _seen(square: Square, shape: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of what a square shows of a picture."""
    left, top = max(0, square.left), max(0, square.top)
    return left, top, min(shape[1], square.left + square.side), min(shape[0], square.top + square.side)
