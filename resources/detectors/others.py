"""Detectors beside the default one, for comparison and for data that others were made for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from model_assets.registry import fetch
from ops.records import Box, Detection
from resources.devices import resolve_device
from resources.onnx_sessions import open_session

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ops.records import Picture

OVERLAP = 0.3


class DlibHog:
    """dlib's HOG detector, the picture doubled once so that faces from 40 px on are found."""

    def __init__(self, device: str = "auto") -> None:
        import dlib

        resolve_device(device)
        self._model = dlib.get_frontal_face_detector()

    def detect(self, pixels: Picture) -> list[Detection]:
        """Return the faces found; the SVM's margin goes through a logistic function to become a score."""
        boxes, margins, _ = self._model.run(pixels, 1, 0.0)
        return _sorted(
            Detection(Box(box.left(), box.top(), box.right() + 1, box.bottom() + 1), _logistic(margin + 1))
            for box, margin in zip(boxes, margins, strict=True)
        )


class Haar:
    """OpenCV's frontal face cascade (Viola and Jones, 2001)."""

    def __init__(self, device: str = "auto") -> None:
        import cv2

        resolve_device(device)
        folder = Path(cv2.__file__).with_name("data")
        self._model = cv2.CascadeClassifier(str(folder / "haarcascade_frontalface_default.xml"))

    def detect(self, pixels: Picture) -> list[Detection]:
        """Return the faces found; the last stage's weight goes through a logistic function to become a score."""
        import cv2

        grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
        boxes, _, weights = self._model.detectMultiScale3(grey, 1.1, 5, minSize=(24, 24), outputRejectLevels=True)
        return _sorted(
            Detection(Box(float(x), float(y), float(x + w), float(y + h)), _logistic(weight))
            for (x, y, w, h), weight in zip(boxes, np.ravel(weights), strict=True)
        )


class Rfb:
    """Ultra-light RFB detector in ONNX, the picture stretched to the model's input.

    Args:
        name: ``rfb_320`` or ``rfb_640``.
        device: ``auto``, ``cuda`` or ``cpu``.
        threshold: lowest score.
    """

    def __init__(self, name: str, device: str = "auto", threshold: float = 0.5) -> None:
        self._model = open_session(fetch(name), device, threads=1)
        self._size = tuple(self._model.get_inputs()[0].shape[:1:-1])
        self._threshold = threshold

    def detect(self, pixels: Picture) -> list[Detection]:
        """Return the faces found."""
        import cv2

        scores, boxes = (out[0] for out in self._model.run(None, {"input": _normalised(pixels, self._size)}))
        kept = scores[:, 1] >= self._threshold
        boxes, scores = boxes[kept] * np.tile(pixels.shape[1::-1], 2), scores[kept, 1]
        corners = np.column_stack([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]])
        chosen = cv2.dnn.NMSBoxes(corners.tolist(), scores.tolist(), self._threshold, OVERLAP)
        return _sorted(Detection(Box(*map(float, boxes[n])), float(scores[n])) for n in np.ravel(chosen).astype(int))


class RfbNms:
    """An RFB detector whose graph does non-maximum suppression by itself."""

    def __init__(self, device: str = "auto", threshold: float = 0.5) -> None:
        self._model = open_session(fetch("rfb_nms"), device, threads=1)
        self._size = tuple(self._model.get_inputs()[0].shape[:1:-1])
        self._threshold = threshold

    def detect(self, pixels: Picture) -> list[Detection]:
        """Return the faces found."""
        given = {
            "input": _normalised(pixels, self._size),
            "iou_threshold": np.array([OVERLAP], np.float32),
            "score_threshold": np.array([self._threshold], np.float32),
        }
        boxes, _, scores = self._model.run(None, given)
        boxes = boxes * np.tile(pixels.shape[1::-1], 2)
        return _sorted(Detection(Box(*map(float, box)), float(s)) for box, s in zip(boxes, scores, strict=True))


class YuNet:
    """YuNet through OpenCV, whose wheel has no CUDA: boxes and five points."""

    longest = 640

    def __init__(self, device: str = "auto", threshold: float = 0.6) -> None:
        import cv2

        resolve_device(device)
        self._model = cv2.FaceDetectorYN.create(str(fetch("yunet")), "", (320, 320), threshold)

    def detect(self, pixels: Picture) -> list[Detection]:
        """Return the faces found, in a picture shrunk to at most 640 px."""
        import cv2

        height, width = pixels.shape[:2]
        scale = min(1.0, self.longest / max(height, width))
        small = cv2.resize(pixels, (max(1, round(width * scale)), max(1, round(height * scale))))
        self._model.setInputSize(small.shape[1::-1])
        _, rows = self._model.detect(np.ascontiguousarray(small[..., ::-1]))
        found = []
        for row in [] if rows is None else rows:
            x, y, w, h, *points, score = row / np.array([*[scale] * 14, 1])
            box = Box(float(x), float(y), float(x + w), float(y + h))
            found.append(Detection(box, float(score), np.array(points, np.float32).reshape(5, 2)))
        return _sorted(found)


class Res10:
    """OpenCV's res10 SSD, 300 x 300."""

    side = 300

    def __init__(self, device: str = "auto", threshold: float = 0.5) -> None:
        import cv2

        resolve_device(device)
        self._model = cv2.dnn.readNetFromTensorflow(str(fetch("res10")), str(fetch("res10_config")))
        self._threshold = threshold

    def detect(self, pixels: Picture) -> list[Detection]:
        """Return the faces found."""
        import cv2

        bgr = np.ascontiguousarray(pixels[..., ::-1])
        self._model.setInput(cv2.dnn.blobFromImage(bgr, 1.0, (self.side, self.side), (104, 117, 123)))
        rows = self._model.forward()[0, 0]
        scale = np.tile(pixels.shape[1::-1], 2)
        return _sorted(
            Detection(Box(*map(float, row[3:7] * scale)), float(row[2])) for row in rows if row[2] >= self._threshold
        )


def _normalised(pixels: Picture, size: tuple[int, ...]) -> np.ndarray:
    """Return the picture stretched to ``size``, (x - 127) / 128, as ``(1, 3, height, width)``."""
    import cv2

    small = cv2.resize(pixels, size).astype(np.float32)
    return np.ascontiguousarray(((small - 127) / 128).transpose(2, 0, 1)[None])


def _logistic(value: float) -> float:
    return float(1 / (1 + np.exp(-np.clip(value, -60, 60))))


def _sorted(found: Iterable[Detection]) -> list[Detection]:
    return sorted(found, key=lambda detection: -detection.score)
