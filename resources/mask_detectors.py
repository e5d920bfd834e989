"""Mask detectors: a picture in, boxes with class and score out."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ops.detection.inference import FLOOR, STRIDE, MaskDetector, detect
from ops.masking import LABELS
from resources.onnx_sessions import open_session

if TYPE_CHECKING:
    from ops.detection.detections import Detections
    from ops.records import Floats, Picture

__all__ = ["BadDetector", "MaskDetector", "OnnxMaskDetector", "shipped"]

COLUMNS = 6


class BadDetector(ValueError):
    """A file that is no mask detector of ours, and why."""


class _Card(NamedTuple):
    """What a file's metadata says: classes as it counts them, a threshold for each of `LABELS`, the input's side.

    ``learned`` are the look hashes of the photographs that it learned from; None where that isn't said.
    """

    names: tuple[str, ...]
    thresholds: tuple[float, ...]
    size: int
    learned: tuple[int, ...] | None


@dataclass(frozen=True)
class OnnxMaskDetector:
    """A detector in an ONNX file, run by onnxruntime; picklable, each process opens the file for itself.

    The file says what it is in its metadata: ``names`` and ``thresholds`` (JSON lists, one entry a class), ``size``,
    and ``learned`` where it is known (a JSON list of 64-bit look hashes, hexadecimal).

    Attributes:
        path: the ONNX file: ``images`` float32 ``(n, 3, h, w)`` in, ``(n, k, 6)`` float32 out.
        device: ``auto``, ``cpu`` or ``cuda``.
        threads: that one picture is worked on with; 0: all cores, or one in a pool's process.

    Raises, when it is first used:
        FileNotFoundError: there is no such file.
        BadDetector: it is no ONNX, has other inputs or outputs, or lacks the metadata.
        DeviceUnavailable: ``cuda`` where there is none.
    """

    path: Path
    device: str = "cpu"
    threads: int = 0

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes by name: :data:`ops.masking.LABELS`."""
        return LABELS

    @property
    def thresholds(self) -> tuple[float, ...]:
        """The score from which on a box counts, one for each of ``labels``."""
        return self._card.thresholds

    @property
    def size(self) -> int:
        """Longer side of the network's input in pixels."""
        return self._card.size

    @property
    def learned(self) -> tuple[int, ...] | None:
        """Look hashes of the photographs that it learned from; None where the file doesn't say."""
        return self._card.learned

    def __call__(self, picture: Picture, *, tiles: int = 1, floor: float = FLOOR) -> Detections:
        """Return all boxes with a score of at least ``floor``, in the picture's own pixels, highest score first.

        Where no box counts, the picture is looked at once more at half the size: of faces that fill it, most are found
        only there.

        Args:
            picture: of any size.
            tiles: look at so many times so many overlapping tiles as well.
            floor: lowest score.
        """
        order = np.array([LABELS.index(name) for name in self._card.names])

        def look(size: int) -> Detections:
            found = detect(picture, self._run, size, tiles=tiles, floor=floor)
            return found._replace(labels=order[found.labels])

        found = look(self.size)
        if not len(found.over(self.thresholds).scores):
            closer = look(max(STRIDE, self.size // 2 // STRIDE * STRIDE))
            found = closer if len(closer.over(self.thresholds).scores) else found
        return found

    def __getstate__(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def _run(self, given: Floats) -> Floats:
        (rows,) = self._session.run(None, {self._session.get_inputs()[0].name: given})
        return np.asarray(rows, np.float32)

    @cached_property
    def _session(self) -> Any:
        if not self.path.is_file():
            raise FileNotFoundError(f"no mask detector at {self.path}")
        session = open_session(self.path, self.device, self.threads, wrong=BadDetector)
        given, made = session.get_inputs(), session.get_outputs()
        told = [[(end.name, end.type, end.shape) for end in ends] for ends in (given, made)]
        floats = all(len(ends) == 1 and ends[0].type == "tensor(float)" for ends in (given, made))
        if not floats or len(given[0].shape) != 4 or len(made[0].shape) != 3 or made[0].shape[2] != COLUMNS:
            raise BadDetector(
                f"{self.path} takes {told[0]} and gives {told[1]}; "
                "a mask detector takes floats (n, 3, h, w) and gives floats (n, k, 6)"
            )
        return session

    @cached_property
    def _card(self) -> _Card:
        metadata = self._session.get_modelmeta().custom_metadata_map
        try:
            names, thresholds, size = (json.loads(metadata[name]) for name in ("names", "thresholds", "size"))
            learned = json.loads(metadata.get("learned", "null"))
            hashes = None if learned is None else tuple(int(digits, 16) for digits in learned)
        except (KeyError, ValueError, TypeError):
            known = {name: value[:80] for name, value in metadata.items()}
            raise BadDetector(
                f"{self.path} has the metadata {known}; a mask detector has names, thresholds and size as JSON, "
                "and learned, if any, as a list of hexadecimal numbers"
            ) from None
        if sorted(names) != sorted(LABELS) or len(thresholds) != len(names) or size % STRIDE or size < STRIDE:
            raise BadDetector(
                f"{self.path} has names {names}, thresholds {thresholds} and size {size}; allowed are "
                f"{', '.join(LABELS)} in any order, a threshold for each, and a multiple of {STRIDE}"
            )
        by_name = dict(zip(names, map(float, thresholds), strict=True))
        return _Card(tuple(names), tuple(by_name[label] for label in LABELS), int(size), hashes)


def shipped() -> Path:
    """Return where the project's own detector lies."""
    return Path(__file__).resolve().parents[1] / "model_assets" / "weights" / "mask_detector.onnx"
