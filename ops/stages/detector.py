"""The mask detector: trained on a split, exported, scored on its validation pictures, and tracked."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from ops import images
from ops.content import directory_md5, file_md5
from ops.detection.detections import Detections
from ops.detection.likeness import dct_hash, look_at
from ops.detection.scoring import Scores, average_precision, best_thresholds
from ops.detection.split_files import label_file, read_labels
from ops.files import write_atomic
from ops.masking import LABELS
from ops.store import JOURNAL, Column, Item, fingerprint, row
from ops.training import export
from ops.training.detector import PICTURES, Recipe, epochs_of, lines_of, listed, must_name_our_classes, train
from ops.training.onnx_files import to_float16
from ops.training.plots import plot_curves
from ops.training.records import forget, token_of, written

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from ops.records import Picture
    from ops.store import Dataset, Mapper, Report, Row
    from ops.training.records import Track

    Figures = dict[str, float | None]

VERSION = 1
WEIGHTS, CARD, EPOCHS, CURVES = "weights.pt", "detector.json", "epochs.csv", "curves.png"
ONNX = {"fp32": "detector.onnx", "fp16": "detector_fp16.onnx", "int8": "detector_int8.onnx"}
FILES = {WEIGHTS: "weights", **dict.fromkeys(ONNX.values(), "onnx"), CURVES: "plot", EPOCHS: "table", CARD: "card"}
SPLIT = "yolo_splits"
"""What the rows of every training have as source, so that in a user's folder one takes the place of another."""

CALIBRATED_ON = 48
"""Training pictures, evenly spread, that the ranges for 8 bits are measured on."""

COMPARED_ON = 8
"""Validation pictures on which ONNX and network are held against each other."""

COLUMNS = (
    Column("kind", "string", "weights, onnx, plot, table or card"),
    Column("format", "string", "fp32, fp16 or int8; null for what is no ONNX"),
    Column("bytes", "int64", "of the file"),
    Column("ap50", "double", "on the validation split"),
    Column("ap50_95", "double", "on the validation split"),
    Column("lost_ap50", "double", "against fp32"),
    Column("lost_ap50_95", "double", "against fp32"),
)


class Weights(Protocol):
    """Weights to start from."""

    @property
    def name(self) -> str:
        """What they are called; ``none`` for none."""

    @property
    def path(self) -> Path | None:
        """The file."""

    @property
    def sha256(self) -> str:
        """Of the file."""


class Variant(NamedTuple):
    """One ONNX file and what it finds on the validation pictures."""

    content: bytes
    scores: Scores
    thresholds: tuple[float, ...]

    def told(self, whole: Variant) -> Figures:
        """Return its figures, and what it loses against the whole one; None where nothing is annotated."""
        pairs = {name: (getattr(self.scores, name), getattr(whole.scores, name)) for name in ("ap50", "ap50_95")}
        mine = {name: _known(value) for name, (value, _) in pairs.items()}
        lost = {f"lost_{name}": _known(best - value) for name, (value, best) in pairs.items()}
        return {**mine, **lost, "bytes": len(self.content)}


def split_hash(split: Path) -> str:
    """Return what stands for a split's pictures and labels, whatever else lies beside them."""
    parts = [
        (name, picture, file_md5(split / picture), file_md5(split / label_file(picture)))
        for name in (*PICTURES, "val", "test")
        for picture in sorted(lines_of(split, name))
    ]
    return fingerprint(parts)


def plan(split: Path, recipe: Recipe, start: Weights) -> list[Item]:
    """Return the one item that a training is.

    Raises:
        ValueError: the split has no pictures to train or to validate on, or other classes.
    """
    must_name_our_classes(split)
    for name in (recipe.pictures, "val"):
        listed(split, name)
    content = split_hash(split)
    key = fingerprint(content, asdict(recipe), start.name, start.sha256, VERSION)
    return [Item(key, {"source": SPLIT, "split_hash": content})]


def make(
    dataset: Dataset,
    split: Path,
    scratch: Path,
    recipe: Recipe,
    start: Weights,
    *,
    device: str,
    track: Track,
    mapper: Mapper,
    max_pixels: int = images.MAX_PIXELS,
    fresh: bool = False,
) -> Report:
    """Train and export a detector, unless that is done; go on with it where it was killed.

    Args:
        dataset: to write to.
        split: folder of a split as ``yolo_splits`` lays it out.
        scratch: folder that holds the working folder of each training; it is removed when that succeeds.
        recipe: how.
        start: weights to start from.
        device: ``cpu`` or ``cuda``.
        track: opens the training's record.
        mapper: runs it; in this process, since a record does not travel.
        max_pixels: of a picture.
        fresh: forget a training that was begun.
    """
    items = plan(split, recipe, start)
    (item,) = items

    def work() -> Train:
        if fresh:
            forget(scratch, item.fingerprint)
        return Train(dataset, split, scratch, recipe, start, device=device, track=track, max_pixels=max_pixels)

    report = dataset.build(items, work, mapper)
    forget(scratch, item.fingerprint)
    if start.path is None:
        return replace(report, notes=(*report.notes, "training starts from drawn weights: there are no others"))
    return report


class Train:
    """Train, export, score, track and write one detector."""

    def __init__(
        self,
        dataset: Dataset,
        split: Path,
        scratch: Path,
        recipe: Recipe,
        start: Weights,
        *,
        device: str,
        track: Track,
        max_pixels: int,
    ) -> None:
        self.dataset = dataset
        self.split = split
        self.scratch = scratch
        self.recipe = recipe
        self.start = start
        self.device = device
        self.track = track
        self.max_pixels = max_pixels

    def __call__(self, item: Item) -> list[Row]:
        """Return a row for each file of the detector."""
        work = self.scratch / item.fingerprint
        told = {
            "split_hash": item.payload["split_hash"],
            "start": self.start.name,
            "precision": self.recipe.computed_in(self.device),
        }
        tags = {**told, "start_sha256": self.start.sha256, "data_version": directory_md5(self.split)}
        name = f"yolo26{self.recipe.size} {self.recipe.image_size} px, from {self.start.name}"
        with self.track(token_of(work), name, asdict(self.recipe), tags) as run:
            begin = {"device": self.device, "on_epoch": run.epoch}
            kept = train(self.split, work, self.recipe, self.start.path, **begin)  # type: ignore[arg-type]
            variants, files = self._exported(kept, work)
            made = written(work / "made", files)
            figures = {name: variant.told(variants["fp32"]) for name, variant in variants.items()}
            run.epoch(len(epochs_of(kept / "results.csv")), _flat(figures))
            run.keep(made)
            card = {
                "run_id": run.run_id,
                "mlflow_version": run.register(ONNX["fp32"]),
                "size": self.recipe.image_size,
                "network": f"yolo26{self.recipe.size}",
                "classes": list(LABELS),
                "thresholds": list(variants["fp32"].thresholds),
                **told,
                "epochs": len(epochs_of(kept / "results.csv")),
                "formats": figures,
            }
            files[CARD] = f"{json.dumps(card, indent=2)}\n".encode()
            run.keep(written(work / "made", {CARD: files[CARD]}))
        self._write(files)
        formats = {file: format for format, file in ONNX.items()}
        return [self._row(item, name, len(files[name]), figures, formats.get(name)) for name in FILES]

    def _exported(self, kept: Path, work: Path) -> tuple[dict[str, Variant], dict[str, bytes]]:
        """Return the ONNX variants, and all files but the card.

        Raises:
            RuntimeError: the ONNX does not give what the network gives.
        """
        side, epochs = self.recipe.image_size, epochs_of(kept / "results.csv")
        weights, best = export.clean_weights(kept / "best.pt")
        write_atomic(work / WEIGHTS, weights)
        network = export.load_network(work / WEIGHTS)
        whole = export.to_onnx(network, side)
        export.told(whole, {"learned": self._learned()})
        held = listed(self.split, "val")
        apart = export.deviation(
            network, export.run_of(whole.SerializeToString()), self._read(spread(held, COMPARED_ON)), side
        )
        if apart > export.SAME:
            raise RuntimeError(f"the ONNX is {apart:.2g} from the network it was made of, and {export.SAME} is allowed")
        seen = self._read(spread(listed(self.split, self.recipe.pictures), CALIBRATED_ON))
        models = {
            "fp32": whole,
            "fp16": to_float16(whole),
            "int8": export.to_int8(whole, seen, side, work),
        }
        variants = {name: self._judged(model, held, side) for name, model in models.items()}
        files = {ONNX[name]: variant.content for name, variant in variants.items()}
        table = "\n".join([",".join(epochs[0]), *(",".join(f"{value:g}" for value in row.values()) for row in epochs)])
        return variants, {WEIGHTS: weights, **files, EPOCHS: f"{table}\n".encode(), CURVES: plot_curves(epochs, best)}

    def _judged(self, model: Any, held: Sequence[str], side: int) -> Variant:
        """Return a model with the thresholds that are best on the validation pictures."""
        found = export.find(export.run_of(model.SerializeToString()), self._read(held), side)
        truths = [
            truth_of((self.split / label_file(picture)).read_text(), pixels)
            for picture, pixels in zip(held, self._read(held), strict=True)
        ]
        thresholds = tuple(round(threshold, 4) for threshold in best_thresholds(truths, found))
        export.told(model, {"thresholds": thresholds})
        return Variant(model.SerializeToString(), average_precision(truths, found, thresholds), thresholds)

    def _learned(self) -> list[str]:
        """Return the look hash of every picture that has a part in training: none of them tests it."""
        held = [*listed(self.split, self.recipe.pictures), *listed(self.split, "val")]
        return [f"{dct_hash(look_at(pixels)[0]):016x}" for pixels in self._read(held)]

    def _read(self, pictures: Iterable[str]) -> Iterator[Picture]:
        return (images.read(self.split / picture, max_pixels=self.max_pixels) for picture in pictures)

    def _write(self, files: Mapping[str, bytes]) -> None:
        """Write the files; before, take back what says that those of another training lie there."""
        if self.dataset.exclusive:
            self.dataset.manifest.unlink(missing_ok=True)
            shutil.rmtree(self.dataset.folder / JOURNAL, ignore_errors=True)
        for name, data in files.items():
            write_atomic(self.dataset.folder / name, data)

    def _row(self, item: Item, name: str, size: int, figures: Mapping[str, Figures], format: str | None) -> Row:
        about = figures[format] if format else {"bytes": size}
        return row(item, item.payload["source"], output=name, kind=FILES[name], format=format, **about)


def truth_of(labels: str, pixels: Picture) -> Detections:
    """Return what a picture's label file says, in pixels."""
    height, width = pixels.shape[:2]
    marks = read_labels(labels, width, height)
    return Detections.of([box for _, box in marks], [number for number, _ in marks])


def _flat(figures: Mapping[str, Figures]) -> dict[str, float]:
    """Return figures as metrics: those of fp32 under their own names, the others' with their format."""
    return {
        name if format == "fp32" else f"{format}/{name}": value
        for format, values in figures.items()
        for name, value in values.items()
        if value is not None
    }


def spread(names: Sequence[str], most: int) -> list[str]:
    """Return up to ``most`` of the names, evenly spread."""
    return [names[index * len(names) // most] for index in range(most)] if len(names) > most else list(names)


def _known(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 6) + 0.0
