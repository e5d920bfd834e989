"""The asset checks: each looks at what was written, not at what the code meant to write."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
import numpy as np
import pandas as pd

from ops.masking import LABELS
from ops.store import DONE, REJECTED, Dataset, rows_of

if TYPE_CHECKING:
    from ops.detection.split_files import Written
    from ops.training.tasks import Pairs, Task
    from resources.embedders import Embedder

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
DIFFER = 0.1
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


def no_leak(written: "Sequence[Written]") -> dg.AssetCheckResult:
    """Pass when no two splits share a person, video, frame, picture or face, by the files as they lie there.

    Pictures and faces are looked at again; held out splits hold photographs alone, unless there are none at all.
    """
    from ops.detection.split_files import REAL, SYNTHETIC
    from ops.detection.splits import SAME_LOOK, SPLITS, leaks

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


def scores_in_range(dataset: Dataset) -> dg.AssetCheckResult:
    """Pass when every box lies inside its frame, has an area and a known class, and a score from its threshold to 1."""
    rows = dataset.read(
        ["source", "x1", "y1", "x2", "y2", "width", "height", "label", "score", "threshold"], status=DONE
    )
    across = (rows["x1"] >= 0) & (rows["x1"] < rows["x2"]) & (rows["x2"] <= rows["width"])
    down = (rows["y1"] >= 0) & (rows["y1"] < rows["y2"]) & (rows["y2"] <= rows["height"])
    sure = (rows["score"] >= rows["threshold"]) & (rows["score"] <= 1)
    wrong = rows[~(across & down & sure & rows["label"].isin(LABELS))]
    return dg.AssetCheckResult(
        check_name="scores_in_range",
        passed=wrong.empty,
        metadata={"boxes": len(rows), "wrong": len(wrong), "first": ", ".join(wrong["source"][:3])},
    )


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
    return dg.AssetCheckResult(
        check_name="loads_and_predicts",
        passed=not wrong and all(boxes.values()) and apart <= export.SAME,
        metadata={
            "pictures": len(pictures),
            **{f"boxes_{format}": count for format, count in boxes.items()},
            "onnx_from_weights": apart,
            "wrong": len(wrong),
            "first": "; ".join(wrong[:3]),
        },
    )


def runs_as_trained(dataset: Dataset, task: "Task", pairs: "Pairs") -> dg.AssetCheckResult:
    """Pass when the ONNX takes validation squares, and gives for every pixel what the weights give, from 0 to 1."""
    from ops.stages.networks import SAME, WEIGHTS, deviation, load
    from ops.training.onnx_files import session_of

    model = (dataset.folder / f"{task.name}.onnx").read_bytes()
    session, squares = session_of(model), task.given(pairs, SAMPLE // 10)
    made = [session.run(None, dict(zip(task.inputs, given, strict=True)))[0] for given in squares]
    wrong = sum(not ((each >= 0) & (each <= 1)).all() for each in made)
    apart = deviation(task, load(task, dataset.folder / WEIGHTS), model, pairs)
    return dg.AssetCheckResult(
        check_name="runs_as_trained",
        passed=not wrong and apart <= SAME,
        metadata={"squares": len(made), "wrong": int(wrong), "onnx_from_weights": apart},
    )


def outside_untouched(dataset: Dataset, data: Path, *, max_pixels: int) -> dg.AssetCheckResult:
    """Pass when not one bit changed beside the regions: of pictures by their files, of videos by what was encoded."""
    from ops import images
    from ops.unmasking.unmask import changed_outside

    rows = dataset.read(["picture", "output", "alpha", "changed_px_outside"], status=DONE)
    touched = set(rows.loc[rows["changed_px_outside"] != 0, "output"])
    pictures = _spread(rows[rows["alpha"].notna()].drop_duplicates("output"))
    for known in rows_of(pictures):
        before = images.read(data / known["picture"], max_pixels=max_pixels)
        after = images.read(dataset.folder / known["output"], max_pixels=max_pixels)
        alpha = images.read_grey(dataset.folder / known["alpha"], max_pixels=max_pixels)
        same = before.shape == after.shape and alpha.shape == after.shape[:2]
        if not same or changed_outside(before, after, alpha):
            touched.add(known["output"])
    return dg.AssetCheckResult(
        check_name="outside_untouched",
        passed=not touched,
        metadata={
            "looked_at": len(pictures),
            "touched": len(touched),
            "first": ", ".join(sorted(touched)[:3]),
        },
    )


def same_person(
    dataset: Dataset, faces: Dataset, data: Path, embed: "Embedder | None", floor: float, *, max_pixels: int
) -> dg.AssetCheckResult:
    """Pass when every edited face is as like itself before as was asked: photographs by their files, videos as written.

    Warn where nothing tells how alike faces look.
    """
    from ops import images

    rows = dataset.read(["frame", "face", "picture", "output", "alpha", "identity_cosine"], status=DONE)
    if embed is None:
        return dg.AssetCheckResult(
            check_name="same_person",
            passed=rows.empty,
            severity=dg.AssetCheckSeverity.WARN,
            metadata={"edited": len(rows), "looked_at": 0},
        )
    known = faces.read(["frame", "face", "mesh"], status=DONE)
    meshes = {(frame, face): mesh for frame, face, mesh in known.itertuples(index=False)}
    alike = dict(rows.groupby("output")["identity_cosine"].min())
    photographs = rows_of(_spread(rows[rows["alpha"].notna()]))
    for one in photographs:
        mesh = np.asarray(meshes[one["frame"], one["face"]], np.float32).reshape(-1, 3)
        both = (data / one["picture"], dataset.folder / one["output"])
        before, after = (embed(images.read(path, max_pixels=max_pixels), mesh) for path in both)
        alike[one["output"]] = min(float(before @ after), alike[one["output"]])
    other = sorted(name for name, cosine in alike.items() if not cosine >= floor)
    return dg.AssetCheckResult(
        check_name="same_person",
        passed=not other,
        metadata={
            "edited": len(rows),
            "looked_at": len(photographs),
            "lowest": float(min(alike.values(), default=1.0)),
            "floor": floor,
            "another": len(other),
            "first": ", ".join(other[:3]),
        },
    )


def fail_closed(dataset: Dataset, faces: Dataset, data: Path, *, max_pixels: int) -> dg.AssetCheckResult:
    """Pass when every known face of every picture written is covered: not one pixel within its outline is as it was.

    Looks at every file; beside digital masks alone there is nothing, and a picture that was refused has no file.
    """
    from ops.stages.digital_masks import faults

    rows = dataset.read()
    done = rows[rows["status"] == DONE]
    known = {picture: rows_of(group) for picture, group in faces.read(status=DONE).groupby("picture")}
    wrong = []
    for _, group in done.groupby("output", sort=True):
        made = rows_of(group)
        wrong += faults(dataset.folder, data, made, known.get(made[0]["picture"], []), max_pixels=max_pixels)
    refused = int(rows.loc[rows["status"] != DONE, "picture"].nunique())
    return dg.AssetCheckResult(
        check_name="fail_closed",
        passed=not wrong,
        metadata={
            "pictures": int(done["output"].nunique()),
            "faces": len(done),
            "refused": refused,
            "wrong": len(wrong),
            "first": "; ".join(wrong[:3]),
        },
    )


def regions_whole(dataset: Dataset, data: Path, *, max_pixels: int) -> dg.AssetCheckResult:
    """Pass when every face's measures are numbers, and its regions of its picture's size, apart and on the face."""
    from ops import images
    from ops.expressions.regions import REGIONS

    rows = _spread(dataset.read(status=DONE))
    wrong = []
    for known in rows_of(rows):
        pixels = images.read(data / known["picture"], max_pixels=max_pixels)
        alphas = [
            images.read_grey(dataset.folder / known[f"{name}_alpha"], max_pixels=max_pixels) > HALF for name in REGIONS
        ]
        sizes = {alpha.shape for alpha in alphas}
        measures = [known[f"{known['by']}_{name}"] for name in ("left_eye", "right_eye", "smile", "mouth_open")]
        beside = np.ones(pixels.shape[:2], bool)
        beside[int(max(0, known["y1"])) : int(known["y2"]) + 1, int(max(0, known["x1"])) : int(known["x2"]) + 1] = False
        fits = sizes == {pixels.shape[:2]} and not any((alpha & beside).any() for alpha in alphas)
        if not fits or np.sum(alphas, axis=0).max() > 1 or not np.isfinite(measures).all():
            wrong.append(known["source"])
    return dg.AssetCheckResult(
        check_name="regions_whole",
        passed=not wrong,
        metadata={"looked_at": len(rows), "wrong": len(wrong), "first": ", ".join(wrong[:3])},
    )


def ways_agree(dataset: Dataset) -> dg.AssetCheckResult:
    """Warn when the mesh and blendshapes differ on more than a tenth of the faces about eyes or smile."""
    rows = dataset.read(["agree"], status=DONE)["agree"].dropna().astype(bool)
    differ = int((~rows).sum())
    return dg.AssetCheckResult(
        check_name="ways_agree",
        passed=differ <= DIFFER * len(rows),
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"faces": len(rows), "differ": differ},
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


def beats_baselines(dataset: Dataset) -> dg.AssetCheckResult:
    """Pass when completed faces are far enough ahead of the best baseline, and look more like the person than masked.

    Warn where there are too few people in the test split for figures to mean anything.
    """
    told = json.loads((dataset.folder / "metrics.json").read_text())
    ahead = {name: f"{known['by']} of {known['of']}, {known['interval']}" for name, known in told["ahead"].items()}
    return dg.AssetCheckResult(
        check_name="beats_baselines",
        passed=told["beats_baselines"],
        severity=dg.AssetCheckSeverity.ERROR if told["meaningful"] else dg.AssetCheckSeverity.WARN,
        metadata={
            **{f"ahead_{name}": text for name, text in ahead.items()},
            "people": told["people"],
            "squares": told["squares"],
            "meaningful": told["meaningful"],
            "floor": ", ".join(f"{name} {least}" for name, least in told["floor"].items()),
        },
    )


def queries_apart(dataset: Dataset, data: Path, *, max_pixels: int) -> dg.AssetCheckResult:
    """Pass when nobody is asked about with a picture of the gallery, nor with the photograph that stands there."""
    from ops import images
    from ops.detection.likeness import look_at
    from ops.reidentification.trials import CROSS, one_photograph
    from ops.store import file_md5

    trials = pd.read_csv(dataset.folder / "trials.csv", dtype=str, keep_default_na=False)
    content = {name: file_md5(data / name) for name in {*trials["database"], *trials["query"]} - {""}}
    asked, wrong = trials[trials["query"] != ""], []
    for setting, some in asked.groupby("setting"):
        gallery = {content[name] for name in trials.loc[trials["setting"] == setting, "database"]}
        wrong += [name for name in some["query"] if content[name] in gallery]
    pairs = rows_of(_spread(asked[asked["setting"] == CROSS]))
    for pair in pairs:
        both = [images.read(data / pair[role], max_pixels=max_pixels) for role in ("database", "query")]
        if one_photograph(*([look_at(pixels)[0]] for pixels in both), stricter=True):
            wrong.append(pair["query"])
    return dg.AssetCheckResult(
        check_name="queries_apart",
        passed=not wrong,
        metadata={"pairs": len(asked), "looked_at": len(pairs), "wrong": len(wrong), "first": ", ".join(wrong[:3])},
    )


def leak_rate(dataset: Dataset) -> dg.AssetCheckResult:
    """Warn when digital masks hide too few people, or too few are known for figures to mean anything.

    Pictures that could not be anonymised are taken for recognised.
    """
    told = json.loads((dataset.folder / "metrics.json").read_text())
    return dg.AssetCheckResult(
        check_name="leak_rate",
        passed=told["meaningful"] and not told["leaks"],
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "leaks": ", ".join(told["leaks"]),
            "most": told["floor"]["most"],
            "meaningful": told["meaningful"],
            "why_not": told["why_not"] or "",
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
