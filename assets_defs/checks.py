"""The asset checks: each looks at what was written, not at what the code meant to write."""

import json

import dagster as dg
import numpy as np
import pandas as pd

from ops.masking import LABELS
from ops.store import DONE, REJECTED, Dataset, rows_of

SAMPLE = 200
"""Rows that a check which opens pictures looks at, evenly spread."""

MESH_POINTS = 468
FACE_RATE = 0.5
COVERED = 0.9
MEANT = 0.95
"""Share of the masks meant to be worn correctly that must hide `COVERED` of nose, mouth and chin."""

HALF = 127
ONE_KIND = 0.9
EYE_TILT = 0.35
RARE = 0.2
TURNED = 30.0
"""Degrees of yaw from which on a level line through the eyes is no longer what an aligned crop shows."""


def decodable(dataset: Dataset) -> dg.AssetCheckResult:
    """Pass when at least one frame could be decoded; every refused file is counted."""
    status = dataset.read(["status"])["status"].value_counts()
    done, rejected = int(status.get(DONE, 0)), int(status.get(REJECTED, 0))
    return dg.AssetCheckResult(
        check_name="decodable", passed=done > 0, metadata={"decoded": done, "rejected": rejected}
    )


def duplicates(dataset: Dataset) -> dg.AssetCheckResult:
    """Warn when files repeat the content of others."""
    reasons = dataset.read(["reason"])["reason"].fillna("")
    repeated = int(reasons.str.startswith("same content as").sum())
    return dg.AssetCheckResult(
        check_name="duplicates",
        passed=repeated == 0,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"repeated": repeated},
    )


def face_rate(dataset: Dataset) -> dg.AssetCheckResult:
    """Warn when fewer than half of the frames show a face."""
    frames = dataset.read(["frame", "status"])
    total = frames["frame"].nunique()
    found = frames.loc[frames["status"] == DONE, "frame"].nunique()
    return dg.AssetCheckResult(
        check_name="face_rate",
        passed=bool(total) and found / total >= FACE_RATE,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"frames": total, "with_a_face": found},
    )


def meshes_whole(dataset: Dataset) -> dg.AssetCheckResult:
    """Pass when every face has 468 finite mesh points and a box with an area."""
    rows = dataset.read(["source", "mesh", "x1", "y1", "x2", "y2"], status=DONE)
    whole = [len(mesh) == 3 * MESH_POINTS and bool(np.isfinite(mesh).all()) for mesh in rows["mesh"]]
    broken = rows[~(np.array(whole, bool) & (rows["x2"] > rows["x1"]) & (rows["y2"] > rows["y1"]))]
    return dg.AssetCheckResult(
        check_name="meshes_whole",
        passed=broken.empty,
        metadata={"faces": len(rows), "broken": len(broken), "first": ", ".join(broken["source"][:3])},
    )


def covers_what_it_claims(dataset: Dataset, *, max_pixels: int) -> dg.AssetCheckResult:
    """Pass when regions lie within alphas, states are what is hidden, and masks meant to cover nearly always do."""
    from ops import images
    from ops.masking.labels import Visible, decode_rle

    rows = _spread(dataset.read(status=DONE))
    wrong, meant, bare = [], 0, []
    for known in rows_of(rows):
        region = decode_rle(json.loads(known["region"]))
        alpha = images.read_grey(dataset.folder / known["alpha"], max_pixels=max_pixels)
        told = region.any() and region.shape == alpha.shape and bool((alpha[region] >= HALF).all())
        hidden = [known[f"hidden_{part}"] for part in Visible._fields]
        if not told or Visible(*(1 - share for share in hidden)).state != known["mask_state"]:
            wrong.append(known["output"])
        meant += known["state"] == "correct"
        if known["state"] == "correct" and min(hidden) < COVERED:
            bare.append(known["output"])
    return dg.AssetCheckResult(
        check_name="covers_what_it_claims",
        passed=not wrong and len(bare) <= (1 - MEANT) * meant,
        metadata={
            "looked_at": len(rows),
            "wrong": len(wrong),
            "meant_to_cover": meant,
            "and_do_not": len(bare),
            "first": ", ".join([*wrong, *bare][:3]),
        },
    )


def variety(dataset: Dataset) -> dg.AssetCheckResult:
    """Warn when one kind makes up nearly all masks."""
    kinds = dataset.read(["kind"], status=DONE)["kind"].value_counts(normalize=True)
    largest = float(kinds.max()) if len(kinds) else 1.0
    return dg.AssetCheckResult(
        check_name="variety",
        passed=largest <= ONE_KIND,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={str(kind): float(share) for kind, share in kinds.items()},
    )


def boxes_inside(dataset: Dataset) -> dg.AssetCheckResult:
    """Pass when every box that is done lies inside its picture, has an area and a class."""
    rows = dataset.read(["picture", "label", "x1", "y1", "x2", "y2", "width", "height"], status=DONE)
    boxes = rows[rows[["label", "x1", "y1", "x2", "y2"]].notna().any(axis=1)]
    across = (boxes["x1"] >= 0) & (boxes["x1"] < boxes["x2"]) & (boxes["x2"] <= boxes["width"])
    down = (boxes["y1"] >= 0) & (boxes["y1"] < boxes["y2"]) & (boxes["y2"] <= boxes["height"])
    wrong = boxes[~(across & down & boxes["label"].isin(LABELS))]
    return dg.AssetCheckResult(
        check_name="boxes_inside",
        passed=wrong.empty,
        metadata={"boxes": len(boxes), "wrong": len(wrong), "first": ", ".join(wrong["picture"][:3])},
    )


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


def no_leak(dataset: Dataset, *, max_pixels: int) -> dg.AssetCheckResult:
    """Pass when no two splits share a person, video, frame, picture or face, by the files as they lie there.

    Pictures and faces are looked at again; held out splits hold photographs alone, unless there are none at all.
    """
    from ops.detection.split_files import REAL, SYNTHETIC, read_written
    from ops.detection.splits import SAME_LOOK, SPLITS, leaks

    written = read_written(dataset.folder, rows_of(dataset.read(status=DONE)), max_pixels=max_pixels)
    pairs = leaks([one.member for one in written], [one.split for one in written])
    photographs = any(one.origin == REAL for one in written)
    made = [one.path for one in written if photographs and one.origin != REAL and one.split != SPLITS[0]]
    unknown = [one.path for one in written if one.origin is None]
    # masks drawn over faces make them alike; that these are others' faces, their bare frames have shown
    drawn = [one.origin == SYNTHETIC for one in written]
    pairs = [(i, j, why) for i, j, why in pairs if why != SAME_LOOK or not (drawn[i] and drawn[j])]
    first = [f"{written[i].path} and {written[j].path}: {why}" for i, j, why in pairs]
    return dg.AssetCheckResult(
        check_name="no_leak",
        passed=not (pairs or made or unknown),
        metadata={
            "looked_at": len(written),
            "leaks": len(pairs),
            "made_up_and_held_out": len(made),
            "unknown": len(unknown),
            "first": "; ".join([*first, *made, *unknown][:3]),
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


def eyes_in_place(dataset: Dataset, faces: Dataset) -> dg.AssetCheckResult:
    """Pass when every crop's matrix puts both eyes inside it, left and right, and level where the face looks ahead."""
    crops = dataset.read(["frame", "face", "style", "size", "matrix", "output"], status=DONE)
    crops = crops[crops["style"] != "bbox_scale"]
    points = faces.read(["frame", "face", "points5", "yaw"], status=DONE)
    joined = crops.merge(points, on=["frame", "face"], how="left")
    turned = joined["yaw"].abs().to_numpy() >= TURNED
    misplaced: list[str] = []
    if len(joined):
        matrix = np.stack(list(joined["matrix"])).reshape(-1, 2, 3)
        eyes = np.stack(list(joined["points5"])).reshape(-1, 5, 2)[:, :2]
        placed = eyes @ matrix[:, :, :2].transpose(0, 2, 1) + matrix[:, None, :, 2]
        inside = ((placed >= 0) & (placed < joined["size"].to_numpy()[:, None, None])).all(axis=(1, 2))
        across, down = (placed[:, 1] - placed[:, 0]).T
        level = turned | (np.abs(down) < EYE_TILT * across)
        misplaced = list(joined["output"][~(inside & (across > 0) & level)])
    return dg.AssetCheckResult(
        check_name="eyes_in_place",
        passed=not misplaced,
        metadata={
            "crops": len(joined),
            "turned": int(turned.sum()),
            "misplaced": len(misplaced),
            "first": ", ".join(misplaced[:3]),
        },
    )


def _spread(rows: pd.DataFrame) -> pd.DataFrame:
    if len(rows) <= SAMPLE:
        return rows
    return rows.iloc[np.linspace(0, len(rows) - 1, SAMPLE).astype(int)]
