"""Faces of a video: followed from frame to frame, their meshes steadied, and unmasked one frame after the other."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ops.geometry import mesh_box, pose_from_mesh

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ops.records import Face, Floats

SAME = 0.3
"""Boxes of one face in frames that follow each other overlap by so much, at least."""

LOST_S = 0.4
"""Seconds for which a face may go unfound and still be the same: a mask hides faces from finders."""

SPAN = 2.0
"""Standard deviation, in frames, of the window that a mesh is averaged over."""


@dataclass(slots=True, eq=False)
class Track:
    """One face through a video.

    Attributes:
        faces: by the number of the frame.
        seen: seconds at which it was found last.
    """

    faces: dict[int, Face] = field(default_factory=dict)
    seen: float = 0.0

    @property
    def last(self) -> Face:
        """The face where it was found last."""
        return next(reversed(self.faces.values()))


class Sight(NamedTuple):
    """The faces found in a frame, and its time in seconds."""

    time: float
    faces: Sequence[Face]


def followed(sights: Iterable[Sight]) -> list[list[Face]]:
    """Return the faces of each frame, those that were missed in between added, their meshes steadied.

    A face's index is that of its track: the same through the video, until it is lost.

    Args:
        sights: of every frame, in order.
    """
    tracks: list[Track] = []
    count = 0
    for count, sight in enumerate(sights, start=1):
        free = [track for track in tracks if sight.time - track.seen <= LOST_S]
        for face in sight.faces:
            nearest = max(free, key=lambda track: track.last.box.iou(face.box), default=None)
            if nearest is None or nearest.last.box.iou(face.box) < SAME:
                nearest = Track()
                tracks.append(nearest)
            else:
                free.remove(nearest)
            nearest.faces[count - 1] = face
            nearest.seen = sight.time
    frames: list[list[Face]] = [[] for _ in range(count)]
    for index, track in enumerate(tracks):
        for number, face in _steadied(track):
            frames[number].append(replace(face, index=index))
    return frames


def _steadied(track: Track) -> list[tuple[int, Face]]:
    """Return a track's faces with no frame left out, each mesh the weighted mean of those around it."""
    found = sorted(track.faces)
    numbers = np.arange(found[0], found[-1] + 1)
    known = np.stack([track.faces[number].mesh for number in found])
    after = np.searchsorted(found, numbers)
    before = np.maximum(after - 1, 0)
    gaps = np.maximum(np.array(found)[after] - np.array(found)[before], 1)
    part = np.clip((numbers - np.array(found)[before]) / gaps, 0, 1)[:, None, None]
    meshes = (known[before] * (1 - part) + known[after] * part).astype(np.float32)
    nearest = np.where(part[:, 0, 0] < 0.5, before, after)
    faces = [track.faces[found[index]] for index in nearest]
    smooth = _smooth(meshes)
    return [
        (int(number), replace(face, mesh=mesh, box=mesh_box(mesh), pose=pose_from_mesh(mesh)))
        for number, face, mesh in zip(numbers, faces, smooth, strict=True)
    ]


def _smooth(meshes: Floats) -> Floats:
    """Return meshes, ``(n, 468, 3)``, averaged over time by a Gaussian window; at the ends by what there is of it."""
    reach = int(3 * SPAN)
    total, weights = np.zeros_like(meshes), np.zeros((len(meshes), 1, 1), np.float32)
    for step in range(-reach, reach + 1):
        weight = np.float32(np.exp(-0.5 * (step / SPAN) ** 2))
        here, there = (slice(max(0, way), len(meshes) + min(0, way)) for way in (-step, step))
        if here.start < here.stop:
            total[here] += weight * meshes[there]
            weights[here] += weight
    return total / weights
