"""The checks of frames, faces, masks and crops."""

import json

import dagster as dg
import numpy as np

from assets_defs.checks.common import spread, verdict
from ops.store import DONE, REJECTED, Dataset

MESH_POINTS = 468

FACE_RATE = 0.5

COVERED = 0.9

MEANT = 0.95
"""Share of the masks meant to be worn correctly that must hide `COVERED` of nose, mouth and chin."""

HALF = 127


EYE_TILT = 0.35

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
    faces, broken = 0, []
    for rows in dataset.groups(["source", "mesh", "x1", "y1", "x2", "y2"], status=DONE):
        whole = [len(mesh) == 3 * MESH_POINTS and bool(np.isfinite(mesh).all()) for mesh in rows["mesh"]]
        sound = np.array(whole, bool) & (rows["x2"] > rows["x1"]) & (rows["y2"] > rows["y1"])
        broken += rows.loc[~sound, "source"].tolist()
        faces += len(rows)
    return verdict("meshes_whole", broken, faces=faces)


def covers_what_it_claims(dataset: Dataset, *, max_pixels: int) -> dg.AssetCheckResult:
    """Pass when regions lie within alphas, states are what is hidden, and masks meant to cover nearly always do."""
    from ops import images
    from ops.masking.labels import Visible, decode_rle

    rows = dataset.at(spread(dataset.read(["output"], DONE, numbered=True))["row"].tolist())
    wrong, meant, bare = [], 0, []
    for known in rows:
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
    return verdict("eyes_in_place", misplaced, crops=len(joined), turned=int(turned.sum()))
