"""The checks of boxes, splits, the detector and its report."""

import json
from collections.abc import Mapping
from pathlib import Path

import dagster as dg

from assets_defs.checks.common import verdict
from ops.masking import LABELS
from ops.store import DONE, Dataset

RARE = 0.2


def boxes_inside(dataset: Dataset) -> dg.AssetCheckResult:
    """Pass when every box that is done lies inside its picture, has an area and a class."""
    rows = dataset.read(["picture", "label", "x1", "y1", "x2", "y2", "width", "height"], status=DONE)
    boxes = rows[rows[["label", "x1", "y1", "x2", "y2"]].notna().any(axis=1)]
    across = (boxes["x1"] >= 0) & (boxes["x1"] < boxes["x2"]) & (boxes["x2"] <= boxes["width"])
    down = (boxes["y1"] >= 0) & (boxes["y1"] < boxes["y2"]) & (boxes["y2"] <= boxes["height"])
    wrong = boxes[~(across & down & boxes["label"].isin(LABELS))]
    return verdict("boxes_inside", list(wrong["picture"]), boxes=len(boxes))


def class_counts(dataset: Dataset) -> dg.AssetCheckResult:
    """Warn when a class has no box; tell how many are real, drawn by masking, and cut off at the edge."""
    rows = dataset.read(["label", "synthetic", "clipped"], status=DONE).dropna(subset="label")
    drawn = rows["synthetic"].astype(bool)
    real, synthetic = (rows.loc[which, "label"].value_counts() for which in (~drawn, drawn))
    counts = {label: (int(real.get(label, 0)), int(synthetic.get(label, 0))) for label in LABELS}
    return dg.AssetCheckResult(
        check_name="class_counts",
        passed=all(sum(count) for count in counts.values()),
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            **{label: f"{real} real, {synthetic} synthetic" for label, (real, synthetic) in counts.items()},
            "clipped": int(rows["clipped"].astype(bool).sum()),
        },
    )


def class_balance(dataset: Dataset) -> dg.AssetCheckResult:
    """Warn when a split lacks a class, or training has less than a fifth of the commonest class's boxes of another."""
    from ops.detection.splits import SPLITS

    rows = dataset.read(["split", *(f"n_{label}" for label in LABELS)], status=DONE)
    counts = {split: rows[rows["split"] == split].drop(columns="split").sum().astype(int) for split in SPLITS}
    train = counts[SPLITS[0]]
    return dg.AssetCheckResult(
        check_name="class_balance",
        passed=all((few > 0).all() for few in counts.values()) and bool(train.min() >= RARE * train.max()),
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            split: ", ".join(f"{few[f'n_{label}']} {label}" for label in LABELS) for split, few in counts.items()
        },
    )


def scores_in_range(dataset: Dataset) -> dg.AssetCheckResult:
    """Pass when every box lies inside its frame, has an area and a known class, and a score from its threshold to 1."""
    rows = dataset.read(
        ["source", "x1", "y1", "x2", "y2", "width", "height", "label", "score", "threshold"], status=DONE
    )
    across = (rows["x1"] >= 0) & (rows["x1"] < rows["x2"]) & (rows["x2"] <= rows["width"])
    down = (rows["y1"] >= 0) & (rows["y1"] < rows["y2"]) & (rows["y2"] <= rows["height"])
    sure = (rows["score"] >= rows["threshold"]) & (rows["score"] <= 1)
    wrong = rows[~(across & down & sure & rows["label"].isin(LABELS))]
    return verdict("scores_in_range", list(wrong["source"]), boxes=len(rows))


def rate_drift(rates: Mapping[str, float], before: Mapping[str, float]) -> dg.AssetCheckResult:
    """Warn when boxes a picture or shares of classes are far from those of the source's last materialization."""
    from ops.stages.detections import drifted

    moved = drifted(rates, before)
    return dg.AssetCheckResult(
        check_name="rate_drift",
        passed=not moved,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={name: f"{before[name]:.3f} before, {rates[name]:.3f} now" for name in rates if name in before}
        | {"moved": ", ".join(moved)},
    )


def loads_and_predicts(dataset: Dataset, split: Path, *, max_pixels: int) -> dg.AssetCheckResult:
    """Pass when every ONNX runs and finds boxes that can be, and that of fp32 gives what the weights give."""
    from ops import images
    from ops.detection.inference import given_to
    from ops.stages.detector import COMPARED_ON, ONNX, WEIGHTS, spread
    from ops.training import export
    from ops.training.detector import listed
    from resources.mask_detectors import OnnxMaskDetector

    names = spread(listed(split, "val"), COMPARED_ON)
    pictures = [images.read(split / name, max_pixels=max_pixels) for name in names]
    detectors = {format: OnnxMaskDetector(dataset.folder / file) for format, file in ONNX.items()}
    runs = {format: export.run_of(detector.path.read_bytes()) for format, detector in detectors.items()}
    side = detectors["fp32"].size
    wrong = [
        f"{format}, {name}"
        for format, run in runs.items()
        for name, pixels in zip(names, pictures, strict=True)
        if not export.sound(run(given_to(pixels, side)[0]))
    ]
    boxes = {format: sum(len(see(pixels).boxes) for pixels in pictures) for format, see in detectors.items()}
    apart = export.deviation(export.load_network(dataset.folder / WEIGHTS), runs["fp32"], pictures, side)
    return verdict(
        "loads_and_predicts",
        wrong,
        passed=all(boxes.values()) and apart <= export.SAME,
        pictures=len(pictures),
        **{f"boxes_{format}": count for format, count in boxes.items()},
        onnx_from_weights=apart,
    )


def beats_floor(dataset: Dataset) -> dg.AssetCheckResult:
    """Pass when the trained detector reaches the floor on enough annotated photographs; only then it may be champion.

    Warn where there are too few of them for its figures to mean anything.
    """
    told = json.loads((dataset.folder / "metrics.json").read_text())
    return dg.AssetCheckResult(
        check_name="beats_floor",
        passed=told["above_floor"],
        severity=dg.AssetCheckSeverity.ERROR if told["meaningful"] else dg.AssetCheckSeverity.WARN,
        metadata={
            "ap50": str(told["ap50"]),
            "ap50_95": str(told["ap50_95"]),
            "photographs": told["photographs"],
            "floor": ", ".join(f"{name} {least}" for name, least in told["floor"].items()),
            "meaningful": told["meaningful"],
        },
    )


def beats_champion(dataset: Dataset) -> dg.AssetCheckResult:
    """Warn when the trained detector is not at least as good as the champion, or can't be compared with it."""
    told = json.loads((dataset.folder / "metrics.json").read_text())
    ahead = told["against_champion"]["ap50_95"]
    return dg.AssetCheckResult(
        check_name="beats_champion",
        passed=ahead is not None and ahead >= 0,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"ahead_by_ap50_95": str(ahead), "promoted": told["promoted"], "why": told["why"]},
    )
