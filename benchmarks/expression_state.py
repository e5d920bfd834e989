"""How often states of faces are told right: labelled photographs and frames, each way beside the older ways.

``python -m benchmarks.expression_state DATA``: the folder with the files of ``benchmarks/data/expressions.csv``. Its
labels are by eye: an eye is closed where neither iris nor white shows; eyes that can't be made out and faint smiles
have none. Thresholds are chosen on one half of the list and told on the other; nobody is in both. The older ways have
their own: the eye's plain aspect ratio below .22, OpenCV's smile cascade.
"""

from __future__ import annotations

import argparse
import csv
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ops import images
from ops.faces import find_faces
from ops.geometry import LEFT_EYE, RIGHT_EYE
from ops.unmasking.scores import estimate
from ops.videos import sample_video
from resources.detectors.others import Res10
from resources.haar_smile import HaarSmile
from resources.models import FaceModels
from resources.states import states

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ops.records import Floats, Picture
    from ops.unmasking.scores import Reals

LIST = Path(__file__).with_name("data") / "expressions.csv"
HALVES = CHOOSE, TELL = "choose", "tell"
LABELS = {"open": 0.0, "closed": 1.0, "no": 0.0, "yes": 1.0, "": np.nan}
STARTS = {"mesh": (-0.2, 0.35), "blendshapes": (-0.5, 0.35)}
"""Eyes and smile before anything is chosen; what is chosen goes into :class:`ops.expressions.state.Limits`."""

OLD_RATIO, OLD_SCORE = 0.22, 0.1
SAME = 0.3
"""Intersection over union from which on a box is that of the face."""


class Seen(NamedTuple):
    """What was told of one labelled face.

    Attributes:
        half: ``choose`` or ``tell``.
        person: the folder of a person's pictures, else the file.
        truth: closed left eye, closed right eye, smile: 1, 0 or NaN.
        told: by each way numbers for these three, the larger the more closed or smiling.
        res10: whether OpenCV's detector sees the face, scored from .1 on.
    """

    half: str
    person: str
    truth: tuple[float, float, float]
    told: dict[str, tuple[float, float, float]]
    res10: bool


def look(data: Path) -> list[Seen]:
    """Tell the state of every face of the list."""
    finder, haar, res10 = FaceModels(device="cpu").load(), HaarSmile(), Res10("cpu", OLD_SCORE)
    ways = {"mesh": states("mesh"), "blendshapes": states("face_landmarker")}
    seen = []
    with LIST.open(newline="") as file:
        for known in csv.DictReader(file):
            path = Path(known["file"])
            pixels = picture(data / path, known["frame"])
            face = find_faces(pixels, *finder, max_faces=1)[0]
            made = {name: way(pixels, face.mesh) for name, way in ways.items()}
            told = {name: (-state.left_eye, -state.right_eye, state.smile) for name, state in made.items()}
            ratios = [-ratio(face.mesh, eye) for eye in (LEFT_EYE, RIGHT_EYE)]
            told["older"] = (ratios[0], ratios[1], float(haar(pixels, face.mesh)))
            person = path.parent if len(path.parts) > 2 else path
            truth = (LABELS[known["left_eye"]], LABELS[known["right_eye"]], LABELS[known["smiling"]])
            found = any(one.box.iou(face.box) > SAME for one in res10.detect(pixels))
            seen.append(Seen(known["half"], str(person), truth, told, found))
    return seen


def picture(path: Path, frame: str) -> Picture:
    """Return a photograph, or a frame of a video by its number."""
    return next(islice(sample_video(path, None), int(frame), None)).pixels if frame else images.read(path)


def ratio(mesh: Floats, eye: Sequence[int]) -> float:
    """Return the eye's aspect ratio as it is in the picture (Soukupova and Cech, CVWW 2016)."""
    outer, up, up2, inner, down2, down = np.asarray(mesh, np.float64)[list(eye), :2]
    heights = np.linalg.norm(up - down) + np.linalg.norm(up2 - down2)
    return float(heights / (2 * np.linalg.norm(outer - inner)))


def best(values: Reals, truth: Reals, start: float) -> float:
    """Return the threshold, in hundredths, that is right most often; of equally good ones that nearest to a start."""
    edges = np.arange(-100, 101) / 100
    right = ((values > edges[:, None]) == truth).mean(axis=1)
    good = edges[right == right.max()]
    return float(good[np.abs(good - start).argmin()])


def rights(seen: Sequence[Seen], way: str, thresholds: tuple[float, float]) -> Reals:
    """Return what was told right, 1, or wrong, 0, of each face's eyes and smile, ``(n, 3)``; NaN without a label."""
    told, truth = (np.array(values) for values in zip(*((one.told[way], one.truth) for one in seen), strict=True))
    right = (told > [thresholds[0], *thresholds]) == truth
    return np.where(np.isnan(truth), np.nan, right)


def chosen(seen: Sequence[Seen], way: str, starts: tuple[float, float]) -> tuple[float, float]:
    """Return the thresholds of eyes and smiles that are best on faces."""
    told, truth = (np.array(values) for values in zip(*((one.told[way], one.truth) for one in seen), strict=True))
    parts = ((told[:, part].ravel(), truth[:, part].ravel()) for part in ([0, 1], [2]))
    first, second = (
        best(values[~np.isnan(labels)], labels[~np.isnan(labels)], start)
        for (values, labels), start in zip(parts, starts, strict=True)
    )
    return first, second


def figures(right: Reals, people: Sequence[str]) -> str:
    """Return shares of eyes, of smiles and of both together that are right, with 95% intervals over people."""
    cells = []
    for part in ([0, 1], [2], [0, 1, 2]):
        values = right[:, part].reshape(-1, 1)
        share = estimate(values, np.repeat(people, len(part)).tolist())
        ends = f"[{share.low[0]:.3f}, {share.high[0]:.3f}]"
        cells.append(f"{share.mean[0]:.3f} {ends} of {np.count_nonzero(~np.isnan(values))}")
    return " | ".join(cells)


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.expression_state", description=__doc__)
    parser.add_argument("data", type=Path)
    seen = look(parser.parse_args().data)
    parts = {half: [one for one in seen if one.half == half] for half in HALVES}
    people = [one.person for one in parts[TELL]]
    print(f"{len(seen)} faces, {len(people)} of them to tell on; res10 sees {np.mean([one.res10 for one in seen]):.3f}")
    print("| way | closed below, smiling above | eyes | smiles | both |\n|---|---|---|---|---|")
    for way, starts in STARTS.items():
        thresholds = chosen(parts[CHOOSE], way, starts)
        limits = f"{-thresholds[0]:.2f}, {thresholds[1]:.2f}"
        print(f"| {way} | {limits} | {figures(rights(parts[TELL], way, thresholds), people)} |")
    print(f"| older | {OLD_RATIO}, cascade | {figures(rights(parts[TELL], 'older', (-OLD_RATIO, 0.5)), people)} |")


if __name__ == "__main__":
    main()
