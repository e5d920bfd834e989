"""Pictures a second of an ONNX mask detector against ultralytics' ``YOLO(...).predict``, and how far boxes differ.

``python -m benchmarks.detector_speed PICTURES [ONNX] [--weights PT]``: both on one thread of the CPU, at the same size,
on the same decoded pictures in turn; fitting in and reading out included. Faces that the network finds twice, which
ultralytics leaves in, are taken off after the clock has stopped. Times are CPU time; compare them as ratios.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.common import pictures
from ops import images
from ops.detection.detections import Detections
from resources.mask_detectors import OnnxMaskDetector, shipped

if TYPE_CHECKING:
    from collections.abc import Callable

    from ops.records import Picture

FLOOR = 0.1
MOST_BOXES = 300
MANY = 200
"""Pictures looked at, at most, evenly spread."""


def theirs(weights: Path, size: int) -> Callable[[Picture], Any]:
    """Return ultralytics' prediction with the head that needs no suppression: ``(n, 6)``, as the ONNX gives it."""
    os.environ |= {"YOLO_OFFLINE": "1", "YOLO_AUTOINSTALL": "false"}
    import torch
    from ultralytics import YOLO

    torch.set_num_threads(1)
    model: Any = YOLO(weights, task="detect")
    settings = {"imgsz": size, "conf": FLOOR, "max_det": MOST_BOXES, "nms": False, "rect": True, "device": "cpu"}

    def predict(pixels: Picture) -> Any:
        return model.predict(pixels[..., ::-1], verbose=False, **settings)[0].boxes.data.numpy()

    return predict


def main() -> None:
    """Measure, and print a line a figure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.detector_speed", description=__doc__)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("onnx", type=Path, nargs="?", default=shipped())
    parser.add_argument("--weights", type=Path, help="the same detector's .pt; weights.pt beside the ONNX by default")
    told = parser.parse_args()
    weights = told.weights or told.onnx.with_name("weights.pt")
    if not weights.is_file():
        print(f"no {weights}: ultralytics runs the ONNX itself, so only what is around the network differs")
        weights = told.onnx
    import cv2

    cv2.setNumThreads(1)
    ours = OnnxMaskDetector(told.onnx, threads=1)
    found = pictures(told.pictures)
    chosen = [found[index] for index in np.unique(np.linspace(0, len(found) - 1, MANY).astype(int))]
    seen = [images.read(path) for path in chosen]
    predict = theirs(weights, ours.size)
    for _ in range(3):
        ours(seen[0], floor=FLOOR), predict(seen[0])
    mine, other, apart, unlike = [], [], 0.0, 0
    for pixels in seen:
        start = time.process_time()
        here = ours(pixels, floor=FLOOR)
        middle = time.process_time()
        rows = predict(pixels)
        mine.append(middle - start)
        other.append(time.process_time() - middle)
        there = Detections(rows[:, :4], rows[:, 5].astype(np.int64), rows[:, 4]).suppressed()
        if sorted(there.labels) != sorted(here.labels):
            unlike += 1
        elif len(here.boxes):
            gaps = np.abs(there.boxes[:, None] - here.boxes).max(axis=2)
            apart = max(apart, float(gaps.min(axis=0).max()))
    ratio = median(b / a for a, b in zip(mine, other, strict=True))
    print(f"{len(seen)} pictures at {ours.size} px, one thread, {told.onnx.name} against {weights.name}")
    print(f"ours: {median(mine) * 1e3:.1f} ms a picture; YOLO.predict: {median(other) * 1e3:.1f} ms")
    print(f"pictures a second: {ratio:.2f} times as many (median of the pictures' ratios)")
    print(f"boxes from {FLOOR} on: at most {apart:.5f} px apart; {unlike} pictures with other boxes or classes")


if __name__ == "__main__":
    main()
