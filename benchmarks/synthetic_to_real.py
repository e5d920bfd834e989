"""Do drawn masks teach what real masks look like? A classifier learns from drawn ones and is tested on real ones.

    python -m benchmarks.synthetic_to_real DATA [--quick] [--protocols full flat ...] [--json FILE] [--sheet PNG]

DATA holds the folders ``unmasked`` and ``portraits`` (bare faces to learn from), ``masked`` (real masks) and
``portraits_more`` (further bare faces). A small network learns from nothing to tell bare faces from the same faces with
drawn masks. Real masks are seen in the test alone: the threshold is the logit 0, and network, training and
disturbances were chosen on drawn masks. Of the bare faces each seed holds back another fifth (by hash of the file,
copies left out), with all that was drawn on it.

The same protocol runs with parts of the drawing left out (`PROTOCOLS`); faces, drawn parameters, crop geometry, first
weights, order and disturbances are the same in all, so differences are paired by seed. Both classes take the same way:
picture, JPEG, face found, crop. A face is looked for anew in its masked picture, as it is in a picture of a real mask.
Intervals are Student's t over seeds; they tell how far training and held-back faces move the figures, not how far
another collection of real masks would.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import classifier
from benchmarks.common import Seen, faces, pictures, stored
from ops.faces import find_faces
from ops.masking import MaskingError, MaskSettings, MaskSpec, PreparedFace, draw_spec, prepare, render
from ops.masking.spec import parse_colour
from resources.models import FaceModels

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.classifier import Crops, Scores
    from ops.faces import FaceDetector, FaceLandmarker
    from ops.records import Face, Picture

SETTINGS = MaskSettings(states={"correct": 0.9, "nose_out": 0.05, "chin_out": 0.05})
"""What is learned as a mask: the defaults, and a few that slipped but still cover the mouth."""

VARIANTS, FOLDS = 2, 5
SAME_PICTURE = 0.95
"""Correlation of two crops from which they show one photograph; ``unmasked`` has some 20 mirrored or toned copies."""

STUDENT = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776}
"""Quantile .975 of Student's t by number of seeds."""

BARE = (
    "09561724.jpg", "1785fc21.jpg", "1785fc21.jpg#1", "23cff06c.jpg#1",
    "3fc18e22.jpg#1", "4015b2e4.jpg#6", "7f830c50.jpg#1",
)  # fmt: skip
"""Faces in ``masked`` that wear no mask: bystanders, a hand with a tissue. Told by eye before anything was scored."""


def full(seen: Seen, prepared: PreparedFace, spec: MaskSpec) -> Picture:
    """Everything on."""
    return render(seen.pixels, seen.face, spec, prepared=prepared).picture


def flat(seen: Seen, prepared: PreparedFace, spec: MaskSpec) -> Picture:
    """The cloth's region in a single colour: no light, fabric, print, straps, shadow, blur or soft edge."""
    region = render(seen.pixels, seen.face, _strapless(spec), prepared=prepared).full_region()
    picture = seen.pixels.copy()
    picture[region] = np.rint(255 * np.array(parse_colour(spec.colour)))
    return picture


def no_camera(seen: Seen, prepared: PreparedFace, spec: MaskSpec) -> Picture:
    """No match of the camera: a sharp, clean mask in its own colour on whatever picture there is."""
    light = prepared.light._replace(blur=0.0, cast=np.ones(3), saturation=1.0, grain=0.0, quality=0)
    return full(seen, replace(prepared, light=light), spec)


def no_straps(seen: Seen, prepared: PreparedFace, spec: MaskSpec) -> Picture:
    """Nothing holds the mask."""
    return full(seen, prepared, _strapless(spec))


def no_occlusion(seen: Seen, prepared: PreparedFace, spec: MaskSpec) -> Picture:
    """The mask covers hair, hands and glasses too."""
    return full(seen, replace(prepared, front=None), spec)


def _strapless(spec: MaskSpec) -> MaskSpec:
    return replace(spec, straps="none")


PROTOCOLS: dict[str, Callable[[Seen, PreparedFace, MaskSpec], Picture]] = {
    "full": full,
    "flat": flat,
    "no_camera": no_camera,
    "no_straps": no_straps,
    "no_occlusion": no_occlusion,
}


@dataclass(frozen=True, slots=True, eq=False)
class Faces:
    """Crops to learn from.

    Attributes:
        fold: ``(n,)`` which fifth holds the face back.
        bare: ``(n, side, side, 3)``.
        masked: by protocol, ``(n, VARIANTS, side, side, 3)``.
    """

    fold: np.ndarray
    bare: Crops
    masked: dict[str, Crops]


def drawn(paths: Sequence[Path], models: tuple[FaceDetector, FaceLandmarker], protocols: Sequence[str]) -> Faces:
    """Draw masks on the face of each picture and cut them out."""
    fold: list[int] = []
    bare: list[Picture] = []
    looks: list[np.ndarray] = []
    copies = lost = 0
    masked: dict[str, list[list[Picture]]] = {name: [] for name in protocols}
    for seen in faces(paths, models):
        try:
            prepared = prepare(seen.pixels, seen.face)
        except MaskingError as error:
            print(f"left out: {seen.name}: {error}")
            continue
        crop = classifier.cut(stored(seen.pixels), seen.face)
        sides = np.stack([classifier.look(crop), classifier.look(crop[:, ::-1])])
        if looks and (sides @ np.stack(looks, axis=1)).max() > SAME_PICTURE:
            copies += 1
            continue
        looks.append(sides[0])
        fold.append(int(seen.digest, 16) % FOLDS)
        bare.append(crop)
        for crops in masked.values():
            crops.append([])
        for variant in range(VARIANTS):
            spec = draw_spec(f"{seen.name}/{variant}", SETTINGS)
            again = _found_again(full(seen, prepared, spec), seen.face, models)
            lost += again is None
            for name, crops in masked.items():
                picture = stored(PROTOCOLS[name](seen, prepared, spec))
                crops[-1].append(classifier.cut(picture, again or seen.face))
    print(f"{copies} pictures left out as copies of others")
    print(f"drawn on {len(bare)} faces, {VARIANTS} times; {lost} not found again and cut by the bare face's points")
    return Faces(np.array(fold), np.stack(bare), {name: np.array(crops) for name, crops in masked.items()})


def _found_again(picture: Picture, face: Face, models: tuple[FaceDetector, FaceLandmarker]) -> Face | None:
    for again in find_faces(stored(picture), *models):
        if again.box.iou(face.box) > 0.3:
            return again
    return None


def real(folder: Path, models: tuple[FaceDetector, FaceLandmarker], *, every: bool) -> tuple[list[str], Crops]:
    """Cut the faces of a folder out: names and crops."""
    paths = pictures(folder)
    known = [seen for seen in faces(paths, models, every=every) if Path(seen.name).name not in BARE]
    without = len(paths) - len({seen.name.partition("#")[0] for seen in known})
    print(f"{folder.name}: {len(known)} faces; {without} of {len(paths)} pictures have none and are not counted")
    return [seen.name for seen in known], np.stack([classifier.cut(stored(seen.pixels), seen.face) for seen in known])


def figures(masked: Scores, held_back: Scores, more: Scores, synthetic: Scores) -> dict[str, float]:
    """Return one training's figures; all scores are logits."""
    recall, specificity = float((masked > 0).mean()), float((held_back <= 0).mean())
    return {
        "auc": classifier.auc(masked, held_back),
        "balanced": (recall + specificity) / 2,
        "recall": recall,
        "specificity": specificity,
        "auc_more": classifier.auc(masked, more),
        "specificity_more": float((more <= 0).mean()),
        "auc_drawn": classifier.auc(synthetic, held_back),
        "recall_drawn": float((synthetic > 0).mean()),
    }


def interval(values: Sequence[float]) -> str:
    """Return mean and half the 95% interval, which one value has none of."""
    if len(values) == 1:
        return f"{values[0]:.4f}"
    half = STUDENT[len(values)] * np.std(values, ddof=1) / len(values) ** 0.5
    return f"{np.mean(values):.4f} ± {half:.4f}"


def table(results: dict[str, list[dict[str, float]]]) -> str:
    """Return the results as text: a line a protocol, then what the first one gains over each other, paired by seed."""
    first, *others = results
    columns = list(results[first][0])
    lines = [" " * 22 + "".join(f"{column:>19}" for column in columns)]
    for name, rows in results.items():
        lines.append(f"{name:22}" + "".join(f"{interval([row[column] for row in rows]):>19}" for column in columns))
    for name in others:
        pairs = list(zip(results[first], results[name], strict=True))
        gains = [interval([one[column] - other[column] for one, other in pairs]) for column in columns]
        lines.append(f"{first} - {name}".ljust(22) + "".join(f"{gain:>19}" for gain in gains))
    return "\n".join(lines)


def sheet(path: Path, names: Sequence[str], crops: Crops, scores: Scores, count: int = 40) -> None:
    """Write the crops with the lowest scores, eight in a row, the lowest first."""
    import cv2

    from ops import images

    cells = []
    for n in np.argsort(scores)[:count]:
        cell = np.ascontiguousarray(cv2.resize(crops[n], (180, 180), interpolation=cv2.INTER_CUBIC))
        cv2.putText(cell, f"{Path(names[n]).name} {scores[n]:.1f}", (3, 175), 0, 0.38, (255, 255, 0), 1, cv2.LINE_AA)
        cells.append(cell)
    cells += [np.zeros_like(cells[0])] * (-len(cells) % 8)
    path.write_bytes(images.encode_png(np.vstack([np.hstack(cells[n : n + 8]) for n in range(0, len(cells), 8)])))


def run(given: argparse.Namespace) -> dict[str, Any]:
    """Draw, train, test and print; return all figures and each real face's mean score by protocol."""
    models = FaceModels(device="cpu").load()
    names, masked = real(given.data / "masked", models, every=True)
    _, more = real(given.data / "portraits_more", models, every=False)
    learned = [path for folder in ("unmasked", "portraits") for path in pictures(given.data / folder)]
    known = drawn(learned, models, given.protocols)
    results: dict[str, list[dict[str, float]]] = {name: [] for name in given.protocols}
    scores: dict[str, list[Scores]] = {name: [] for name in given.protocols}
    for seed in range(given.seeds):
        test = known.fold == seed % FOLDS
        for name in given.protocols:
            start = time.perf_counter()
            model = classifier.train(known.bare[~test], known.masked[name][~test], seed)
            seen = classifier.score(model, masked)
            held_back, further = classifier.score(model, known.bare[test]), classifier.score(model, more)
            synthetic = classifier.score(model, known.masked[name][test][:, 0])
            result = figures(seen, held_back, further, synthetic)
            results[name].append(result)
            scores[name].append(seen)
            told = "  ".join(f"{key} {value:.4f}" for key, value in result.items())
            print(f"seed {seed} {name:13} {told}  {time.perf_counter() - start:.0f} s", flush=True)
    print(table(results))
    means = {name: np.mean(values, axis=0) for name, values in scores.items()}
    for name, values in means.items():
        worst = [f"{Path(names[n]).name} {values[n]:.1f}" for n in np.argsort(values)[:25]]
        print(f"lowest under {name}: {', '.join(worst)}")
    if given.sheet:
        sheet(given.sheet, names, masked, means[given.protocols[0]])
    return {"figures": results, "scores": {key: dict(zip(names, m.tolist(), strict=True)) for key, m in means.items()}}


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description="Train on drawn masks, test on real ones.")
    parser.add_argument("data", type=Path, help="folder with unmasked, portraits, masked and portraits_more")
    parser.add_argument("--quick", action="store_true", help="one seed, full and flat only")
    parser.add_argument("--seeds", type=int, choices=range(1, 6), default=5)
    parser.add_argument("--protocols", nargs="+", choices=PROTOCOLS, default=list(PROTOCOLS))
    parser.add_argument("--threads", type=int, default=1, help="of the training")
    parser.add_argument("--json", type=Path, help="write all figures and each real face's score there")
    parser.add_argument("--sheet", type=Path, help="write the 40 real masks with the lowest scores there, PNG")
    given = parser.parse_args()
    if given.quick:
        given.seeds, given.protocols = 1, ["full", "flat"]

    import torch

    torch.set_num_threads(given.threads)
    torch.use_deterministic_algorithms(True)
    found = run(given)
    if given.json:
        given.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
