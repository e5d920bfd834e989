"""An independent judge of drawn masks: a public mask detector that has never seen one of ours.

    python -m benchmarks.judge DATA WEIGHTS [--limit 250] [--json FILE]

DATA holds the folders ``unmasked`` and ``portraits`` (bare faces, one a picture) and ``masked`` (real masks); WEIGHTS
holds ``aizoo_face_mask_detection.tflite``, an SSD with the classes mask and no mask (AIZOOTech/FaceMaskDetection).
Bare faces of every picture are judged as they are, with a correctly worn mask of each kind, and with masks worn in each
other state; real masks are judged for scale. Each picture is re-encoded as JPEG before it is judged.

The judge may see no face where we know one. Shares are therefore told twice: *of seen*, of the faces that the judge
sees at all, and *of all*, where a face unseen counts as one without a mask.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.common import Seen, faces, pictures, stored, wilson
from ops.masking import KINDS, MaskingError, MaskSettings, draw_spec, prepare, render
from ops.masking.spec import STATES
from resources.litert import TfLite
from resources.models import FaceModels

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from ops.records import Picture

MODEL = "aizoo_face_mask_detection.tflite"
SIDE = 260
SURE = 0.5
"""Score from which the judge sees a face, its own default."""

SAME = 0.4
"""Overlap (intersection over union) from which a box of the judge's is the face in question."""

GRIDS = (33, 17, 9, 5, 3)
SIZES = ((0.04, 0.056), (0.08, 0.11), (0.16, 0.22), (0.32, 0.45), (0.64, 0.72))
RATIOS = (0.62, 0.42)
VARIANCES = (0.1, 0.1, 0.2, 0.2)


def anchors() -> NDArray[np.float64]:
    """Return the model's anchors, ``(5972, 4)``: centre x and y, width and height as shares of the picture.

    Each cell of each grid has two squares, and the smaller one again in two narrower shapes of its area.
    """
    table = []
    for grid, (small, large) in zip(GRIDS, SIZES, strict=True):
        narrow = [(small * ratio**0.5, small / ratio**0.5) for ratio in RATIOS]
        shapes = [(small, small), (large, large), *narrow]
        middles = (np.arange(grid) + 0.5) / grid
        table += [(x, y, *shape) for y, x, shape in product(middles, middles, shapes)]
    return np.array(table)


class Judge:
    """The mask detector.

    Args:
        weights: folder that holds the model file.
    """

    def __init__(self, weights: Path) -> None:
        self._model = TfLite(weights / MODEL)
        self._anchors = anchors()

    def __call__(self, seen: Seen, pixels: Picture) -> bool | None:
        """Say whether a face wears a mask, or None where the judge sees no face there.

        Args:
            seen: where the face is.
            pixels: the picture, with or without something drawn on the face.
        """
        import cv2

        small = cv2.resize(pixels, (SIDE, SIDE)).astype(np.float32) / np.float32(255)
        moves, scores = self._model(small)
        scaled = moves * np.array(VARIANCES)
        middles = self._anchors[:, :2] + scaled[:, :2] * self._anchors[:, 2:]
        sizes = self._anchors[:, 2:] * np.exp(scaled[:, 2:])
        extent = np.array(pixels.shape[1::-1])
        low, high = (middles - sizes / 2) * extent, (middles + sizes / 2) * extent
        box = np.array(seen.face.box)
        shared = np.clip(np.minimum(high, box[2:]) - np.maximum(low, box[:2]), 0, None).prod(1)
        overlap = shared / ((high - low).prod(1) + seen.face.box.area - shared)
        here = scores[overlap >= SAME]
        if not len(here) or here.max() < SURE:
            return None
        return bool(here[here.max(1).argmax()].argmax() == 0)


def drawn(known: Iterable[Seen], settings: MaskSettings) -> Iterable[tuple[Seen, Picture]]:
    """Yield the faces with a mask drawn on, those that can wear one."""
    for seen in known:
        spec = draw_spec(f"judge/{seen.name}", settings)
        try:
            yield seen, render(seen.pixels, seen.face, spec, prepared=prepare(seen.pixels, seen.face)).picture
        except MaskingError as error:
            print(f"{seen.name} stays bare: {error}")


def told(judge: Judge, title: str, shown: Iterable[tuple[Seen, Picture]]) -> dict[str, Any]:
    """Judge pictures; print and return the counts."""
    said = [(seen.name, judge(seen, stored(pixels))) for seen, pixels in shown]
    masks, none = (sum(answer is kind for _, answer in said) for kind in (True, False))
    shares = []
    for count in (masks + none, len(said)):
        low, high = wilson(masks, count)
        shares.append(f"{masks / max(count, 1):7.1%} ({low:5.1%} to {high:6.1%})")
    print(f"{title:44}{len(said):6}{len(said) - masks - none:8}   {'   '.join(shares)}", flush=True)
    bare = [name for name, answer in said if answer is False]
    return {"what": title, "faces": len(said), "masks": masks, "no_masks": none, "said_bare": bare}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="What an independent mask detector says about drawn masks.")
    parser.add_argument("data", type=Path, help="folder with unmasked, portraits and masked")
    parser.add_argument("weights", type=Path, help=f"folder with {MODEL}")
    parser.add_argument("--limit", type=int, default=250, help="bare faces, drawn by chance but always the same")
    parser.add_argument("--json", type=Path, help="write the counts there")
    given = parser.parse_args()
    start = time.perf_counter()
    models, judge = FaceModels(device="cpu").load(), Judge(given.weights)
    paths = [path for folder in ("unmasked", "portraits") for path in pictures(given.data / folder)]
    bare = list(faces(random.Random(0).sample(paths, min(given.limit, len(paths))), models))
    real = list(faces(pictures(given.data / "masked"), models))
    print(f"{'says mask':44}{'faces':>6}{'unseen':>8}   {'of seen':24}{'of all'}")
    rows = [
        told(judge, "bare faces", ((seen, seen.pixels) for seen in bare)),
        told(judge, "real masks", ((seen, seen.pixels) for seen in real)),
        told(judge, "drawn, default settings, correct", drawn(bare, MaskSettings(states=["correct"]))),
    ]
    for kind in KINDS:
        rows.append(told(judge, f"drawn, {kind}, correct", drawn(bare, MaskSettings(kinds=[kind], states=["correct"]))))
    for state in STATES[1:]:
        rows.append(told(judge, f"drawn, default settings, {state}", drawn(bare, MaskSettings(states=[state]))))
    print(f"{time.perf_counter() - start:.0f} s")
    if given.json:
        given.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
