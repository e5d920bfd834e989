"""Which faces of rare classes are pasted, how often, and into which pictures they may go."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ops.detection.pasting import GROWN, SMALLEST
from ops.masking import LABELS
from ops.store import fingerprint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ops.detection.shots import Shot

FACES = 3
"""Faces pasted into one picture, where as many fit."""
CHOICE = 16
"""Pictures among which the best one to paste into is looked for."""
CROWD = 12
"""Pictures with more faces are not pasted into: they would add more of the common class than of the rare ones."""
MARGIN = 2
"""Pixels that a face must keep from its picture's edge to be whole."""
SHRUNK = 0.4
"""A face is not pasted onto one smaller than this share of its height."""


class Turn(NamedTuple):
    """A face's turn to be pasted: the picture it is in, its index there, how often it was pasted before."""

    shot: Shot
    face: int
    number: int


class Pasting(NamedTuple):
    """Faces to paste together, and pictures of which the best one takes them in place of faces of a common class."""

    turns: tuple[Turn, ...]
    bases: tuple[Shot, ...]
    common: str


def plan_pastes(training: Sequence[Shot], *, balance: float, reuse: int, min_face_px: int, seed: int) -> list[Pasting]:
    """Choose which faces are pasted together, and a few pictures, one of which will take them.

    Every face of a rare class has its turn before any has a second one. Faces of like size go together, to pictures
    whose own faces are about as large.

    Args:
        training: real pictures of the training split.
        balance: share of the commonest class's boxes that each other class is brought to, as far as that can be.
        reuse: how often a face is pasted at most.
        min_face_px: smaller faces are not pasted.
        seed: another seed, other choices.
    """
    counts = Counter(label for shot in training for label in shot.labels)
    common = max(LABELS, key=lambda label: counts[label])
    chosen: list[tuple[tuple[int, float, str], Turn]] = []
    for label in LABELS:
        faces = sorted(
            (fingerprint("donor", seed, shot.key, face), shot, face)
            for shot in sorted(training, key=lambda shot: shot.key)
            for face in range(len(shot.boxes))
            if shot.labels[face] == label and _whole(shot, face) and min(_size(shot, face)) >= min_face_px
        )
        wanted = max(0, round(balance * counts[common]) - counts[label]) if label != common else 0
        every = (
            ((number, _size(shot, face)[1], mark), Turn(shot, face, number))
            for number in range(reuse)
            for mark, shot, face in faces
        )
        chosen += islice(every, wanted)
    chosen.sort(key=lambda entry: entry[0])
    bases = sorted((shot for shot in training if len(shot.boxes) <= CROWD), key=lambda shot: shot.key)
    found = (_together(chosen[start : start + FACES], bases, common, seed) for start in range(0, len(chosen), FACES))
    return [pasting for pasting in found if pasting.bases]


def _together(
    chosen: Sequence[tuple[tuple[int, float, str], Turn]], bases: Sequence[Shot], common: str, seed: int
) -> Pasting:
    largest = max(height for (_, height, _), _ in chosen)
    fitting = [shot for shot in bases if _takes(shot, common, largest)]
    rng = np.random.default_rng(int(fingerprint("bases", seed, [key for key, _ in chosen]), 16))
    few = rng.choice(len(fitting), CHOICE, replace=False) if len(fitting) > CHOICE else range(len(fitting))
    return Pasting(tuple(turn for _, turn in chosen), tuple(fitting[index] for index in few), common)


def _size(shot: Shot, face: int) -> tuple[float, float]:
    x1, y1, x2, y2 = shot.boxes[face]
    return x2 - x1, y2 - y1


def _whole(shot: Shot, face: int) -> bool:
    x1, y1, x2, y2 = shot.boxes[face]
    return min(x1, y1, shot.width - x2, shot.height - y2) >= MARGIN


def _takes(shot: Shot, common: str, height: float) -> bool:
    """Tell whether a picture has a face of the common class that is about as high, or somewhat smaller."""
    heights = [_size(shot, face)[1] for face, label in enumerate(shot.labels) if label == common]
    return any(max(SMALLEST, SHRUNK * height) <= own <= GROWN * height for own in heights)
