"""BlazeFace, and a cascade of its models."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from model_assets.registry import fetch
from ops.images import resized
from ops.records import Box, Detection
from resources.devices import resolve_device
from resources.litert import TfLite

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ops.records import Picture

OVERLAP = 0.3
"""Candidates that overlap more are one face; they are averaged by score."""

SAME_FACE = 0.4
SMALL = 0.2
"""A face narrower than this share of the picture's longer side calls for the finer model."""

ROOM = 0.5
"""Border, as a share of the longer side, around pictures that a face may fill or leave."""

LOWEST = 0.1
"""Score from which on a wary look takes something for a face."""


class Grid(NamedTuple):
    """How a model lays out its candidates: the input's side, and the stride and number of anchors of each layer."""

    side: int
    strides: tuple[int, ...]
    anchors: tuple[int, ...]

    def centers(self) -> NDArray[np.float32]:
        """Return every anchor's centre, ``(n, 2)``, in [0, 1]."""
        layers = []
        for stride, count in zip(self.strides, self.anchors, strict=True):
            cells = self.side // stride
            at = (np.arange(cells, dtype=np.float32) + 0.5) / cells
            y, x = np.meshgrid(at, at, indexing="ij")
            layers.append(np.repeat(np.stack([x, y], axis=-1).reshape(-1, 2), count, axis=0))
        return np.concatenate(layers)


MODELS = {
    "blazeface_short": Grid(128, (8, 16), (2, 6)),
    "blazeface_back": Grid(256, (16, 32), (2, 6)),
    "blazeface_full": Grid(192, (4,), (1,)),
}


class BlazeFace:
    """One BlazeFace model: boxes and six points (eyes, nose, mouth, ear tragions).

    Args:
        name: one of :data:`MODELS`.
        device: ``auto`` or ``cpu``; the model is too small to gain from a GPU.
        threshold: lowest score.
    """

    def __init__(self, name: str, device: str = "auto", threshold: float = 0.5) -> None:
        resolve_device(device)
        self.threshold = threshold
        self._model = TfLite(fetch(name))
        self._side = MODELS[name].side
        self._centers = MODELS[name].centers()

    def detect(self, pixels: Picture, *, room: float = 0.0) -> list[Detection]:
        """Return the faces found; ``room`` adds a black border of that share of the longer side."""
        patch, left, top, scale = self._letterboxed(pixels, room)
        raw, logits = self._model(patch)[:2]
        logits = logits[:, 0]
        kept = np.flatnonzero(logits >= np.log(self.threshold / (1 - self.threshold)))
        if not len(kept):
            return []
        points = raw[kept].reshape(len(kept), -1, 2)
        sizes = points[:, 1].copy()
        points = points + self._centers[kept, None] * self._side
        half = sizes / 2
        boxes = np.column_stack([points[:, 0] - half, points[:, 0] + half])
        scores = 1 / (1 + np.exp(-np.clip(logits[kept], -60, 60)))
        table = np.column_stack([boxes, points[:, 2:].reshape(len(kept), -1)])
        table = (table - np.tile([left, top], table.shape[1] // 2)) / scale
        return [
            Detection(Box(*(float(side) for side in one[:4])), score, one[4:].reshape(-1, 2).astype(np.float32))
            for one, score in _merged(table, scores)
        ]

    def _letterboxed(self, pixels: Picture, room: float) -> tuple[NDArray[np.float32], int, int, float]:
        """Return the model's input, the picture's left and top in it, and its scale."""
        height, width = pixels.shape[:2]
        scale = self._side / (max(height, width) * (1 + 2 * room))
        inner = max(1, round(width * scale)), max(1, round(height * scale))
        small = resized(pixels, inner)
        left, top = (self._side - inner[0]) // 2, (self._side - inner[1]) // 2
        patch = np.full((self._side, self._side, 3), -1, np.float32)
        patch[top : top + inner[1], left : left + inner[0]] = small * np.float32(2 / 255) - np.float32(1)
        return patch, left, top, scale


class Cascade:
    """Short range first; the finer model where nothing was found, or faces are small; with a border for tight crops.

    A picture with a large face costs one small model. What the later steps add is only a proposal: the mesh's own
    judgement of what is a face decides.
    """

    def __init__(self, device: str = "auto") -> None:
        self._short = BlazeFace("blazeface_short", device)
        self._back = BlazeFace("blazeface_back", device)

    def detect(self, pixels: Picture) -> list[Detection]:
        """Return the faces found, highest score first."""
        found = self._short.detect(pixels)
        if not found:
            found = self._short.detect(pixels, room=ROOM)
        longer = max(pixels.shape[:2])
        if not found or min(detection.box.width for detection in found) < SMALL * longer:
            found = _joined(found, self._back.detect(pixels))
        if not found:
            found = self._back.detect(pixels, room=ROOM)
        return sorted(found, key=lambda detection: -detection.score)


class Wary:
    """Both models on every picture, the first with a border too, down to low scores: rather a face too many."""

    def __init__(self, device: str = "auto") -> None:
        self._short = BlazeFace("blazeface_short", device, LOWEST)
        self._back = BlazeFace("blazeface_back", device, LOWEST)

    def detect(self, pixels: Picture) -> list[Detection]:
        """Return the faces found, highest score first."""
        found = _joined(self._short.detect(pixels), self._short.detect(pixels, room=ROOM))
        return sorted(_joined(found, self._back.detect(pixels)), key=lambda detection: -detection.score)


def _merged(table: NDArray[np.floating], scores: NDArray[np.floating]) -> list[tuple[NDArray[np.floating], float]]:
    """Join overlapping candidates: averages weighted by score, and the highest score."""
    order = np.argsort(-scores, kind="stable")
    table, scores = table[order], scores[order]
    out = []
    while len(table):
        low, high = np.maximum(table[0, :2], table[:, :2]), np.minimum(table[0, 2:4], table[:, 2:4])
        shared = np.maximum(high - low, 0).prod(axis=1)
        areas = (table[:, 2:4] - table[:, :2]).prod(axis=1)
        same = shared > OVERLAP * (areas[0] + areas - shared)
        same[0] = True
        weights = scores[same] / scores[same].sum()
        out.append((weights @ table[same], float(scores[0])))
        table, scores = table[~same], scores[~same]
    return out


def _joined(first: list[Detection], further: list[Detection]) -> list[Detection]:
    """Add what does not overlap."""
    return first + [new for new in further if all(new.box.iou(old.box) < SAME_FACE for old in first)]
