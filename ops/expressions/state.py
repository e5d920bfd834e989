"""State of a face: how far each eye is open, how much the mouth smiles, from the mesh or from blendshapes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from ops.expressions.regions import LEFT_EYE, RIGHT_EYE
from ops.geometry import rotation_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ops.records import Floats, Pose

Way = Literal["mesh", "blendshapes"]
WAYS: tuple[Way, ...] = ("mesh", "blendshapes")

_LIDS = {
    LEFT_EYE: ((160, 159, 158), (144, 145, 153), (33, 133)),
    RIGHT_EYE: ((385, 386, 387), (380, 374, 373), (362, 263)),
}
"""Upper lid, the lower lid's points under it, corners."""

_EYE_CORNERS, _MOUTH_CORNERS, _LIPS, _INNER, _NOSE = (33, 263), (61, 291), (0, 17), (13, 14), 2
_WIDE, _LIFT, _HIGH, _NEUTRAL = 1.9, 3.6, 3.1, 0.32
"""What of the mouth's width, of its corners' height over the lips and over the nose's base makes a smile.

Least squares to blendshapes over 3,900 photographs, without those of the labelled list; shares of the eyes' distance.
"""


@dataclass(frozen=True, slots=True)
class State:
    """What a face does.

    Attributes:
        left_eye: how far the eye on the picture's left is open; from the mesh the lids' distance as a share of the
            eye's width, from blendshapes 1 without the blink. The two are not the same scale.
        right_eye: the same of the eye on the picture's right.
        smile: 0 neutral, about 1 wide.
        mouth_open: the lips' distance as a share of the mouth's width, or the jaw's blendshape.
        by: what it was told from.
    """

    left_eye: float
    right_eye: float
    smile: float
    mouth_open: float
    by: Way


@dataclass(frozen=True)
class Limits:
    """The thresholds, by the way of telling; ``benchmarks/expression_state.py`` chose them on labelled photographs.

    Attributes:
        closed: an eye open less than this is closed.
        smiling: a smile of more than this is one.
    """

    closed: dict[Way, float] = field(default_factory=lambda: {"mesh": 0.19, "blendshapes": 0.55})
    smiling: dict[Way, float] = field(default_factory=lambda: {"mesh": 0.49, "blendshapes": 0.32})

    def __post_init__(self) -> None:
        for name, given in (("closed", self.closed), ("smiling", self.smiling)):
            if given.keys() != set(WAYS):
                raise ValueError(f"limits {name} are for {', '.join(given)}; give one for each of {', '.join(WAYS)}")


LIMITS = Limits()


def closed_eyes(state: State, limits: Limits = LIMITS) -> tuple[str, ...]:
    """Return which eyes are closed.

    >>> closed_eyes(State(0.1, 0.4, 0.0, 0.0, "mesh"))
    ('left_eye',)
    """
    below = limits.closed[state.by]
    return tuple(which for which in (LEFT_EYE, RIGHT_EYE) if getattr(state, which) < below)


def is_smiling(state: State, limits: Limits = LIMITS) -> bool:
    """Tell whether a face smiles."""
    return state.smile > limits.smiling[state.by]


def mesh_state(mesh: Floats, pose: Pose) -> State:
    """Read the state off a mesh, turned back to the front, so that a turned head's eyes are no wider open.

    The lids of the plain mesh hardly follow a blink: look at them anew first, as :mod:`resources.states` does.

    Args:
        mesh: ``(468, 3)`` pixels.
        pose: of the mesh.
    """
    front = (np.asarray(mesh, np.float64) * (1, -1, -1)) @ rotation_of(pose)
    unit = _apart(front, *_EYE_CORNERS)
    left, right = (_openness(front, *_LIDS[which]) for which in (LEFT_EYE, RIGHT_EYE))
    width = _apart(front, *_MOUTH_CORNERS)
    corners = front[list(_MOUTH_CORNERS), 1].mean()
    lift, high = corners - front[list(_LIPS), 1].mean(), corners - front[_NOSE, 1]
    smile = float(_WIDE * width + _LIFT * lift + _HIGH * high) / unit - _NEUTRAL
    return State(left, right, smile, _apart(front, *_INNER) / width, "mesh")


def _openness(
    front: NDArray[np.float64], upper: tuple[int, ...], lower: tuple[int, ...], ends: tuple[int, int]
) -> float:
    """Return the lids' mean distance as a share of the eye's width (Soukupova and Cech, CVWW 2016, three pairs)."""
    heights = [front[above, 1] - front[below, 1] for above, below in zip(upper, lower, strict=True)]
    return float(np.mean(heights)) / _apart(front, *ends)


def _apart(points: NDArray[np.float64], one: int, other: int) -> float:
    return float(np.linalg.norm(points[one, :2] - points[other, :2]))
