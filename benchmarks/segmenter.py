"""How well the mask segmenter agrees with masks that others labelled: ``python -m benchmarks.segmenter FOLDER [ONNX]``.

FOLDER has ``images/`` and ``labels/`` of the same names; green in a label is mask, red is face, black is neither. The
surest face of each picture is framed as for unmasking, and its label in the same way. Pictures without a face are
told. The interval is the middle 95% over pictures drawn anew.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from tqdm import tqdm

from benchmarks.common import faces, pictures
from ops import images
from ops.training.segmenter import HALF, overlap
from ops.unmasking.framing import frame_face, framed
from ops.unmasking.scores import estimate
from resources.models import FaceModels
from resources.unmaskers import OnnxUnmasker, shipped

SIDE = 256
"""Of the squares, in pixels, as unmasking pairs have them."""

WORST = 5
"""Pictures that are named."""

MIDDLE = 128


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.segmenter", description=__doc__.split("\n", 1)[0])
    parser.add_argument("folder", type=Path, help="of pictures and labels")
    parser.add_argument("onnx", type=Path, nargs="?", default=shipped()[0], help="a segmenter; the shipped one")
    told = parser.parse_args()
    labels = {path.stem: path for path in pictures(told.folder / "labels")}
    shown = [path for path in pictures(told.folder / "images") if path.stem in labels]
    unmasker = OnnxUnmasker(told.onnx, shipped()[1], threads=1)
    found = {}
    for seen in tqdm(faces(shown, FaceModels(device="cpu").load()), total=len(shown), unit="picture", disable=None):
        name = Path(seen.name).stem
        red, green, _ = np.moveaxis(images.read(labels[name]), 2, 0)
        mask = ((green >= MIDDLE) & (red < MIDDLE)).astype(np.uint8) * 255
        matrix = frame_face(seen.face.mesh, SIDE)
        square, truth = framed(seen.pixels, matrix, SIDE), framed(mask, matrix, SIDE) >= MIDDLE
        found[name] = overlap(unmasker.shares(square) >= HALF, truth)
    mean, low, high = estimate(np.array(list(found.values())), list(found))
    print(f"{told.onnx.name}: {len(found)} faces, {len(shown) - len(found)} pictures without one")
    for at, name in enumerate(("Dice", "IoU")):
        print(f"{name} {mean[at]:.3f} [{low[at]:.3f}, {high[at]:.3f}]")
    worst = sorted(found, key=lambda name: found[name].dice)[:WORST]
    print("worst:", ", ".join(f"{name} {found[name].dice:.3f}" for name in worst))


if __name__ == "__main__":
    main()
