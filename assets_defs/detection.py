"""The detection group: annotated boxes of all sources in, splits and detectors out."""

from dataclasses import replace
from functools import partial
from typing import Any

import dagster as dg
import pandas as pd

from assets_defs import checks, sheets
from assets_defs.config import AnnotatedScenesConfig, YoloSplitsConfig
from assets_defs.faces import CONTENT_CHANGED, described, frames, masked_faces
from assets_defs.resources import Compute, Workspace
from assets_defs.results import progress, recorded
from ops.detection.annotations import class_map
from ops.detection.shots import read_shots
from ops.stages import scenes as scene_stage
from ops.stages import splits as split_stage
from ops.store import DONE
from resources.compute import Local

NIGHTLY = "0 4 * * *"
"""When annotation files are looked at again that no other asset sees; after the sources' own night run."""

ON_ALL_SOURCES = (
    dg.AutomationCondition.eager()
    .without(~dg.AutomationCondition.any_deps_missing())
    .replace("any_deps_updated", CONTENT_CHANGED)
)
"""As for one source; but a source that can't be made does not keep the others waiting."""


def of_all_sources(name: str, *kinds: str, blocking: str, warning: str | None = None) -> dict[str, Any]:
    """Return what every asset of this group that has no partitions shares, with its checks."""
    shared = described(name, "detection", set(kinds), blocking, warning)
    return {**shared, "automation_condition": ON_ALL_SOURCES}


@dg.asset(
    deps=[frames, masked_faces],
    **of_all_sources("annotated_scenes", blocking="boxes_inside", warning="class_counts")
    | {"automation_condition": ON_ALL_SOURCES | dg.AutomationCondition.cron_tick_passed(NIGHTLY)},
)
def annotated_scenes(
    context: dg.AssetExecutionContext, config: AnnotatedScenesConfig, workspace: Workspace
) -> dg.MaterializeResult:
    """Every annotated box of every source: Pascal VOC, YOLO and COCO files, and the labels of masked faces.

    One row a box, cut off at the picture's edge; what can't be used is a row with a reason. A picture without a box
    keeps a row.
    """
    dataset = workspace.dataset("annotated_scenes", columns=scene_stage.COLUMNS)
    table = class_map(config.classes)
    wanted = scene_stage.plan(workspace.folder, workspace.sources(), table, first_pixel=config.voc_first_pixel)
    work = partial(scene_stage.Judge, workspace.folder, table)
    # one process: to judge a box takes less than to hand it over
    report = dataset.build(wanted.items, work, Local(1), refused=wanted.told, progress=progress("annotated_scenes"))
    report = replace(report, notes=(*report.notes, *wanted.notes))
    found = [checks.boxes_inside(dataset), checks.class_counts(dataset)]
    return recorded(
        context, config, workspace, dataset, report, checks=found, sheet=sheets.of_scenes(dataset, workspace.folder)
    )


def frames_of(workspace: Workspace) -> pd.DataFrame:
    """Return the done rows of all sources' frames, with the source as ``folder``."""
    made = {source: workspace.dataset("frames", source) for source in workspace.sources()}
    tables = [
        made[source].read(status=DONE).assign(folder=source) for source in made if made[source].manifest.is_file()
    ]
    return pd.concat(tables, ignore_index=True)


@dg.asset(
    deps=[frames, masked_faces, annotated_scenes],
    **of_all_sources("yolo_splits", "yolo", "opencv", blocking="no_leak", warning="class_balance"),
)
def yolo_splits(
    context: dg.AssetExecutionContext, config: YoloSplitsConfig, workspace: Workspace, compute: Compute
) -> dg.MaterializeResult:
    """Training, validation and test pictures without leaks, as YOLO's trainers read them.

    Split by person, video, near-duplicate picture and face before anything is made up; pictures with pasted faces and
    with drawn masks are for training alone.
    """
    dataset = workspace.dataset("yolo_splits", columns=split_stage.COLUMNS)
    scenes = workspace.dataset("annotated_scenes").read(status=DONE)
    shots = read_shots(scenes, frames_of(workspace))
    limit = int(max(scenes["width"] * scenes["height"], default=0))
    look = partial(split_stage.Look, workspace.folder, max_pixels=limit)
    settings = config.model_dump()
    split = split_stage.deal(shots, look, compute.mapper(), ratios=settings.pop("ratios"), seed=config.seed)
    items = split_stage.plan(shots, split, **settings)
    work = partial(
        split_stage.Make, dataset.folder, workspace.folder, split.held, quality=config.quality, max_pixels=limit
    )
    files = split_stage.extras(dataset.folder, max_pixels=limit)
    told = [*shots.told, *split.told]
    report = dataset.build(items, work, compute.mapper(), refused=told, also=files, progress=progress("yolo_splits"))
    found = [checks.no_leak(dataset, max_pixels=limit), checks.class_balance(dataset)]
    sheet = sheets.of_splits(dataset, max_pixels=limit)
    return recorded(context, config, workspace, dataset, report, checks=found, sheet=sheet)
