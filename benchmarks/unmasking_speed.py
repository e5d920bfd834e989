"""Time of unmasking a face on one core: the networks alone, and with framing, region, composition around them.

``python -m benchmarks.unmasking_speed [--segmenter ONNX] [--completer ONNX] [--face PX]``: one embedded portrait, its
face scaled to a square of so many pixels and wearing a drawn mask. Times are CPU time of one thread, medians.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from ops import images
from ops.faces import find_faces
from ops.masking import MaskSettings, draw_spec, render
from ops.sample import portraits
from ops.unmasking.framing import ROOM, frame_face, framed
from ops.unmasking.unmask import STEP_BACK, unmask
from resources.models import FaceModels
from resources.unmaskers import OnnxUnmasker, shipped

if TYPE_CHECKING:
    from collections.abc import Callable

TIMES = 30


def spent(do: Callable[[], Any]) -> float:
    """Return the median CPU time of a call in milliseconds, the first three left out."""
    took = []
    for _ in range(TIMES + 3):
        start = time.process_time()
        do()
        took.append(time.process_time() - start)
    return 1e3 * median(took[3:])


def main() -> None:
    """Measure, and print a line a figure."""
    import cv2

    own = shipped()
    parser = argparse.ArgumentParser(prog="python -m benchmarks.unmasking_speed", description=__doc__)
    parser.add_argument("--segmenter", type=Path, default=own[0])
    parser.add_argument("--completer", type=Path, default=own[1])
    parser.add_argument("--face", type=int, default=256, help="side of the face's square in pixels of the picture")
    told = parser.parse_args()
    cv2.setNumThreads(1)
    unmasker = OnnxUnmasker(told.segmenter, told.completer, threads=1)
    finder = FaceModels(device="cpu").load()
    pixels = portraits()[0]
    (face,) = find_faces(pixels, *finder, max_faces=1)
    factor = told.face * STEP_BACK / (ROOM * max(face.box.width, face.box.height))
    pixels = images.resized(pixels, (round(pixels.shape[1] * factor), round(pixels.shape[0] * factor)))
    (face,) = find_faces(pixels, *finder, max_faces=1)
    worn = render(pixels, face, replace(draw_spec("speed", MaskSettings()), state="correct")).picture
    square = framed(worn, frame_face(face.mesh, told.face), told.face)
    shares = unmasker.shares(square)
    segment, complete = spent(lambda: unmasker.shares(square)), spent(lambda: unmasker.complete(square, shares > 0.5))
    whole, find = spent(lambda: unmask(worn, face, unmasker)), spent(lambda: find_faces(worn, *finder))
    print(f"one thread, a face's square of {told.face} px, networks of {unmasker.size} px; medians of {TIMES}")
    print(f"segmenter {segment:.1f} ms, completer {complete:.1f} ms, together {segment + complete:.1f} ms")
    print(f"a face unmasked in its picture: {whole:.1f} ms; to find it: {find:.1f} ms")


if __name__ == "__main__":
    main()
