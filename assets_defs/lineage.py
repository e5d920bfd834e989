"""What a materialization says of where it comes from: columns of other tables, and the revision of the project."""

import shutil
import subprocess
from collections.abc import Sequence
from typing import Any

import dagster as dg
import yaml

from assets_defs.config import ROOT
from ops.store import Column
from resources.tracking import Tracking

_FACE = "face x1 y1 x2 y2 score yaw pitch roll"
CARRIED: dict[str, dict[str, str]] = {
    "face_geometry": {"frames": "source frame time picture identity"},
    "masked_faces": {"face_geometry": f"source frame time identity {_FACE}"},
    "aligned_crops": {"face_geometry": "source frame time identity face", "masked_faces": "variant"},
    "annotated_scenes": {"frames": "source frame time identity", "masked_faces": "variant label"},
    "yolo_splits": {"annotated_scenes": "source folder picture content frame identity video width height"},
    "detector_report": {"yolo_splits": "source split origin folder hash labels boxes"},
    "mask_detections": {"frames": "source picture"},
    "unmasking_pairs": {"face_geometry": f"source frame picture identity {_FACE}", "frames": "width height"},
    "unmasking_report": {"unmasking_pairs": "source folder group wearing kind mask_state yaw"},
    "unmasked_faces": {"face_geometry": f"source frame time identity {_FACE}", "masked_faces": "variant"},
    "digital_masks": {"frames": "source frame time identity picture"},
    "reidentification_report": {"face_geometry": "source frame picture"},
    "expression_regions": {"face_geometry": f"source frame time identity picture {_FACE}"},
    "expression_edits": {"face_geometry": f"source frame time identity picture {_FACE}"},
}
"""By asset and input, columns that are taken over as they are, under the same name."""

_BOX = "x1 y1 x2 y2"
DERIVED: dict[str, dict[str, dict[str, str]]] = {
    "face_geometry": {"mesh points5 x1 y1 x2 y2 score yaw pitch roll sharpness": {"frames": "picture"}},
    "masked_faces": {
        "region polygon alpha mask_x1 mask_y1 mask_x2 mask_y2": {"face_geometry": "mesh"},
        "label mask_state hidden_nose hidden_mouth hidden_chin": {"face_geometry": "mesh"},
        "output": {"face_geometry": "picture mesh"},
    },
    "aligned_crops": {
        "matrix residual_px": {"face_geometry": "mesh points5"},
        "output": {"face_geometry": "picture", "masked_faces": "output"},
    },
    "annotated_scenes": {"picture": {"frames": "picture", "masked_faces": "output"}, _BOX: {"masked_faces": _BOX}},
    "yolo_splits": {
        "labels": {"annotated_scenes": "label"},
        "boxes": {"annotated_scenes": _BOX},
        "output": {"annotated_scenes": "picture"},
    },
    "detector_report": {"picture": {"yolo_splits": "output"}},
    "mask_detections": {f"label score {_BOX} output": {"frames": "picture"}},
    "unmasking_pairs": {"matrix mesh alpha": {"face_geometry": "mesh"}, "output": {"face_geometry": "picture mesh"}},
    "unmasking_report": {"picture": {"unmasking_pairs": "output"}},
    "unmasked_faces": {
        "picture": {"face_geometry": "picture", "masked_faces": "output"},
        "truth": {"face_geometry": "picture"},
        "output alpha": {"face_geometry": "picture mesh", "masked_faces": "output"},
    },
    "digital_masks": {"output mask_only on_black surface outline": {"frames": "picture", "face_geometry": "mesh"}},
    "reidentification_report": {
        "person": {"face_geometry": "identity"},
        "vector": {"digital_masks": "output on_black", "unmasked_faces": "output", "face_geometry": "picture"},
    },
    "expression_regions": {"left_eye_alpha right_eye_alpha mouth_alpha": {"face_geometry": "mesh"}},
    "expression_edits": {
        "told_by": {"expression_regions": "by"},
        "left_eye": {"expression_regions": "mesh_left_eye blendshapes_left_eye"},
        "right_eye": {"expression_regions": "mesh_right_eye blendshapes_right_eye"},
        "smile": {"expression_regions": "mesh_smile blendshapes_smile"},
        "output": {"face_geometry": "picture mesh"},
    },
}
"""By asset, columns that are computed from columns of inputs."""


def column_lineage(asset: str) -> dg.TableColumnLineage:
    """Return which columns of its inputs each column of an asset comes from; none for those that come from files."""
    deps: dict[str, list[dg.TableColumnDep]] = {}
    for parent, names in CARRIED.get(asset, {}).items():
        for name in names.split():
            deps.setdefault(name, []).append(dg.TableColumnDep(dg.AssetKey(parent), name))
    for columns, parents in DERIVED.get(asset, {}).items():
        found = [dg.TableColumnDep(dg.AssetKey(at), name) for at, names in parents.items() for name in names.split()]
        for column in columns.split():
            deps.setdefault(column, []).extend(found)
    return dg.TableColumnLineage(deps)


def table_schema(asset: str, columns: Sequence[Column]) -> dg.TableSchema:
    """Return columns with what they mean and which columns of inputs they come from: the UI draws no column lineage."""
    known = column_lineage(asset).deps_by_column
    shown = []
    for column in columns:
        found: dict[str, list[str]] = {}
        for dep in known.get(column.name, ()):
            found.setdefault(dep.asset_key.to_user_string(), []).append(dep.column_name)
        origins = "; ".join(f"{parent}: {', '.join(names)}" for parent, names in found.items())
        description = f"{column.description} [from {origins}]" if origins else column.description
        shown.append(dg.TableColumn(column.name, column.type, description=description))
    return dg.TableSchema(shown)


def revision(asset: str) -> dict[str, Any]:
    """Return as metadata the project's commit, and what DVC recorded of an asset in it; nothing where neither is known.

    A commit ends in ``-dirty`` where files differ from it.
    """
    told = {}
    lock = ROOT / "dvc.lock"
    if lock.is_file():
        recorded = yaml.safe_load(lock.read_text())["stages"].get(asset)
        if recorded:
            told["dvc_recorded"] = recorded["outs"][0]["md5"]
    git = shutil.which("git")
    if git and (ROOT / ".git").exists():
        command = [git, "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode == 0:
            told["git_commit"] = done.stdout.strip()
    return told


def run_page(store: Tracking, run_id: str) -> dict[str, Any]:
    """Return as metadata the page of a run in MLflow; nothing where the store has no such run."""
    page = store.page(run_id)
    return {"mlflow_run": dg.MetadataValue.url(page)} if page else {}
