"""A detector's report: what it and the champion find in held out pictures, counted, drawn, and decided upon."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ops import images
from ops.detection.detections import Detections
from ops.detection.evaluation import Evaluation, evaluate
from ops.detection.mistakes import judge, worst
from ops.detection.promotion import Decision, Floor, decide, seen_before
from ops.detection.report_files import metrics_of, plots, tables
from ops.detection.scoring import average_precision, best_thresholds
from ops.detection.split_files import REAL
from ops.detection.splits import SPLITS
from ops.detection.worst_cases import caption, draw_case, worst_sheet
from ops.masking import LABELS
from ops.stages import digest_of
from ops.store import DONE, Column, Item, fingerprint, row
from ops.tables import as_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from ops.manifests import Finished
    from ops.records import Picture
    from ops.store import Row

    Detector = Callable[[Picture], Detections]

VERSION = 1
TRAINED, CHAMPION = "trained", "champion"
ONNX, ABOUT = "detector.onnx", "detector.json"
"""Files of a trained detector's folder: its network, and what is known of it."""

_, VAL, TEST = SPLITS
WORST = 24
QUALITY = 90
COLUMNS = (
    Column("detector", "string", "trained, or champion: the one that it has to beat"),
    Column("split", "string", "val, of which thresholds are chosen, or test"),
    Column("picture", "string", "file that was looked at, relative to yolo_splits"),
    Column("origin", "string", "real: a photograph; otherwise what was made up in it"),
    Column("folder", "string", "source: the folder under data/raw that the picture comes from"),
    Column("hash", "string", "perceptual hash of the picture, 64 bits as hexadecimal digits"),
    Column("labels", "list<string>", "annotated class of each box"),
    Column("boxes", "list<double>", "x1, y1, x2, y2 of each annotated box, pixels, half-open"),
    Column("found_labels", "list<string>", "class of each found box, whatever its score, best one first"),
    Column("found_boxes", "list<float>", "x1, y1, x2, y2 of each found box, pixels, half-open"),
    Column("found_scores", "list<float>", "in [0, 1]"),
)


class Contender(NamedTuple):
    """The detector in use, which the trained one has to beat.

    Attributes:
        origin: ``trained`` or ``shipped``.
        run_id: of its training; None for the shipped one.
        version: in the registry; None for the shipped one.
        onnx: the file's content.
        thresholds: from which score on its boxes count, one a class.
        learned: look hashes of the photographs that it learned from; None where nobody knows.
    """

    origin: str
    run_id: str | None
    version: int | None
    onnx: bytes
    thresholds: tuple[float, ...]
    learned: tuple[int, ...] | None


def plan(rows: Sequence[Row], detectors: Mapping[str, str]) -> list[Item]:
    """List the held out pictures: the trained detector looks at all of them, the champion at those of the test.

    Args:
        rows: of the splits' manifest.
        detectors: a hash of each detector's file, by :data:`TRAINED` and :data:`CHAMPION`.
    """
    items = []
    for detector, content in detectors.items():
        for known in rows:
            if known["status"] == DONE and known["split"] in ((VAL, TEST) if detector == TRAINED else (TEST,)):
                made_of = (detector, content, known["fingerprint"], known["output"])
                key = fingerprint(*made_of, VERSION, digest_of("detection/inference.py"))
                items.append(Item(key, {"source": known["source"], "detector": detector, "known": known}))
    return items


class Find:
    """Let a detector look at one picture.

    Args:
        folder: of the splits.
        detectors: by :data:`TRAINED` and :data:`CHAMPION`.
        max_pixels: of a picture.
    """

    def __init__(self, folder: Path, detectors: Mapping[str, Detector], *, max_pixels: int) -> None:
        self.folder = folder
        self.detectors = detectors
        self.max_pixels = max_pixels

    def __call__(self, item: Item) -> list[Row]:
        """Return one row."""
        source, detector, known = (item.payload[part] for part in ("source", "detector", "known"))
        found = self.detectors[detector](images.read(self.folder / known["output"], max_pixels=self.max_pixels))
        about: Row = {name: known[name] for name in ("split", "origin", "folder", "hash", "labels", "boxes")}
        about |= {"found_labels": found.names, "found_boxes": found.boxes.ravel(), "found_scores": found.scores}
        return [row(item, source, detector=detector, picture=known["output"], **about)]


class Conclusion(NamedTuple):
    """What comes of a report.

    Attributes:
        done: the trained detector on the test pictures.
        decision: whether it becomes champion.
        champion: figures of the champion of from now on, on the test pictures.
        rows: of the test pictures, in order.
    """

    done: Evaluation
    decision: Decision
    champion: dict[str, float]
    rows: list[Row]


def conclude(rows: Sequence[Row], floor: Floor, learned: Sequence[int] | None) -> Conclusion:
    """Count what was found.

    Args:
        rows: of the report's manifest.
        floor: what the trained detector has to reach.
        learned: look hashes of what the champion learned from; None where nobody knows.
    """
    by: dict[tuple[str, str], list[Row]] = {(TRAINED, VAL): [], (TRAINED, TEST): [], (CHAMPION, TEST): []}
    for known in sorted(rows, key=lambda known: known["picture"]):
        by[known["detector"], known["split"]].append(known)
    test = by[TRAINED, TEST]
    truths, trained, champion = _truths(test), _found(test), _found(by[CHAMPION, TEST])
    thresholds = best_thresholds(_truths(by[TRAINED, VAL]), _found(by[TRAINED, VAL]))
    done = evaluate(truths, trained, thresholds)
    photographs = sum(known["origin"] == REAL for known in test)
    seen = seen_before([int(known["hash"], 16) for known in test], learned)
    decision = decide(floor, done.all.scores, photographs, truths, trained, champion, seen)
    best = done.all.scores if decision.promoted else average_precision(truths, champion)
    return Conclusion(done, decision, {"ap50": round(best.ap50, 4), "ap50_95": round(best.ap50_95, 4)}, test)


def files(
    folder: Path, trained: Path, present: Contender, floor: Floor, *, max_pixels: int
) -> Callable[[Finished], dict[str, bytes]]:
    """Return what makes the report of the finished table: figures, plots, worst cases, and the champion itself.

    Args:
        folder: of the splits.
        trained: folder of the trained detector.
        present: the champion up to now.
        floor: what the trained detector has to reach.
        max_pixels: of a picture.
    """

    def make(made: Finished) -> dict[str, bytes]:
        about = json.loads((trained / ABOUT).read_text())
        end = conclude(made.rows(), floor, present.learned)
        photographs = sum(known["origin"] == REAL for known in end.rows)
        told = {"start": about["start"], "run_id": about["run_id"], "pictures": len(end.rows)}
        told |= {"photographs": photographs, "floor": floor._asdict()}
        metrics = metrics_of(end.done, end.decision, told)
        if end.decision.promoted:
            onnx, thresholds = (trained / ONNX).read_bytes(), end.done.thresholds
            who: Row = {"origin": TRAINED, "run_id": about["run_id"], "version": about["mlflow_version"]}
        else:
            onnx, thresholds = present.onnx, present.thresholds
            who = {"origin": present.origin, "run_id": present.run_id, "version": present.version}
        figures = end.champion if end.decision.meaningful else None
        who |= {"metrics": figures, "thresholds": list(thresholds), "why": end.decision.why}
        chosen = worst(end.done.judged, WORST)
        pictures = [images.read(folder / end.rows[index]["picture"], max_pixels=max_pixels) for index in chosen]
        names = [end.rows[index]["picture"].rpartition("/")[2] for index in chosen]
        sheet = worst_sheet(pictures, [end.done.judged[index] for index in chosen], names)
        return {
            "metrics.json": as_json(metrics),
            "thresholds.json": as_json(dict(zip(LABELS, end.done.thresholds, strict=True))),
            "champion.json": as_json(who),
            "champion.onnx": onnx,
            **tables(end.done),
            **plots(end.done),
            "worst.jpg": images.encode_jpeg(sheet, QUALITY),
        }

    return make


def examples(
    folder: Path, rows: Sequence[Row], thresholds: Sequence[float], most: int, *, max_pixels: int
) -> tuple[list[Picture], list[str]]:
    """Return the worst cases of a report's manifest with what is annotated and what was found, and captions."""
    test = [known for known in rows if (known["detector"], known["split"]) == (TRAINED, TEST)]
    judged = [judge(*both, thresholds) for both in zip(_truths(test), _found(test), strict=True)]
    drawn, captions = [], []
    for index in worst(judged, most):
        pixels = images.read(folder / test[index]["picture"], max_pixels=max_pixels)
        drawn.append(draw_case(pixels, judged[index]))
        captions.append(caption(judged[index], test[index]["picture"].rpartition("/")[2]))
    return drawn, captions


def _truths(rows: Sequence[Row]) -> list[Detections]:
    return [_boxes(known["boxes"], known["labels"]) for known in rows]


def _found(rows: Sequence[Row]) -> list[Detections]:
    return [_boxes(known["found_boxes"], known["found_labels"], known["found_scores"]) for known in rows]


def _boxes(flat: Sequence[float], labels: Sequence[str], scores: Sequence[float] | None = None) -> Detections:
    return Detections.of(np.reshape(flat, (-1, 4)).tolist(), [LABELS.index(label) for label in labels], scores)
