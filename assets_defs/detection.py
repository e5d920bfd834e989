"""The detection group: annotated boxes of all sources in, splits and detectors out."""

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import dagster as dg

from assets_defs import sheets
from assets_defs.checks import common as common_checks
from assets_defs.checks import detection as checks
from assets_defs.conditions import NIGHTLY, ON_ALL_SOURCES, TRAINING
from assets_defs.faces import SOURCES, described, frames, largest, masked_faces
from assets_defs.lineage import run_page
from assets_defs.resources import Compute, Models, Tracking, Workspace
from assets_defs.results import earlier, made_with, progress, recorded
from assets_defs.settings.detection import (
    AnnotatedScenesConfig,
    DetectorReportConfig,
    MaskDetectionsConfig,
    MaskDetectorConfig,
    YoloSplitsConfig,
)
from ops.content import file_md5
from ops.detection.annotations import class_map
from ops.detection.promotion import Floor
from ops.detection.shots import read_shots
from ops.detection.split_files import read_written
from ops.stages import detections as detection_stage
from ops.stages import detector as detector_stage
from ops.stages import report as report_stage
from ops.stages import scenes as scene_stage
from ops.stages import splits as split_stage
from ops.store import DONE, rows_of
from ops.training.detector import Recipe
from resources.champions import contenders, log_report, to_beat
from resources.compute import Local
from resources.devices import resolve_device
from resources.start_weights import start_weights


def of_all_sources(name: str, *kinds: str, blocking: str, warning: str | None = None) -> dict[str, Any]:
    """Return what every asset of this group that has no partitions shares, with its checks."""
    shared = described(name, "detection", set(kinds), blocking, warning)
    return {**shared, "automation_condition": ON_ALL_SOURCES}


def planned_scenes(workspace: Workspace, settings: Mapping[str, Any]) -> scene_stage.Plan:
    """Return what ``annotated_scenes`` has to judge, by the annotation files that lie there now."""
    table, first_pixel = class_map(settings["classes"]), settings["voc_first_pixel"]
    return scene_stage.plan(
        workspace.folder, workspace.sources(), table, first_pixel=first_pixel, bare=settings["bare"]
    )


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
    dataset = workspace.dataset("annotated_scenes", "", scene_stage.COLUMNS, made_with(config))
    wanted = planned_scenes(workspace, config.model_dump())
    work = partial(scene_stage.Judge, workspace.folder, class_map(config.classes))
    # one process: to judge a box takes less than to hand it over
    report = dataset.build(wanted.items, work, Local(1), refused=wanted.told, progress=progress("annotated_scenes"))
    report = replace(report, notes=(*report.notes, *wanted.notes))
    found = [checks.boxes_inside(dataset), checks.class_counts(dataset)]
    return recorded(
        context, config, workspace, dataset, report, checks=found, sheet=sheets.of_scenes(dataset, workspace.folder)
    )


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
    dataset = workspace.dataset("yolo_splits", "", split_stage.COLUMNS, made_with(config))
    scenes = workspace.dataset("annotated_scenes").read(status=DONE)
    shots = read_shots(scenes, workspace.everywhere("frames"))
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
    written = read_written(dataset.folder, rows_of(dataset.read(status=DONE)), max_pixels=limit)
    found = [common_checks.no_leak(written), checks.class_balance(dataset)]
    sheet = sheets.of_splits(dataset, max_pixels=limit)
    return recorded(context, config, workspace, dataset, report, checks=found, sheet=sheet)


@dg.asset(
    deps=[yolo_splits],
    **of_all_sources("mask_detector", "pytorch", "onnx", "mlflow", blocking="loads_and_predicts") | TRAINING,
)
def mask_detector(
    context: dg.AssetExecutionContext,
    config: MaskDetectorConfig,
    workspace: Workspace,
    models: Models,
    tracking: Tracking,
) -> dg.MaterializeResult:
    """A YOLO26 fine-tuned on the splits: its weights, ONNX in three precisions, curves; a run and version in MLflow.

    A training that was killed goes on where it was. A new version is the challenger until its report makes it champion.
    """
    splits = workspace.dataset("yolo_splits")
    known = splits.read(["width", "height"], status=DONE)
    limit = int(max(known["width"] * known["height"], default=0))
    settings = config.model_dump()
    start = start_weights(settings.pop("start"), config.size)
    learned = made_with(config, {start.name: start.sha256})
    dataset = workspace.dataset("mask_detector", "", detector_stage.COLUMNS, learned)
    report = detector_stage.make(
        dataset,
        splits.folder,
        workspace.folder / "training",
        Recipe(**settings),
        start,
        device=resolve_device(models.device),
        track=tracking.store(workspace).run,
        mapper=Local(1),
        max_pixels=limit,
    )
    found = [checks.loads_and_predicts(dataset, splits.folder, max_pixels=limit)]
    sheet = sheets.of_detector(dataset, splits.folder, max_pixels=limit)
    figures = sheets.training_of(dataset)
    figures |= run_page(tracking.store(workspace), figures["run_id"])
    return recorded(context, config, workspace, dataset, report, checks=found, sheet=sheet, figures=figures)


@dg.asset(
    deps=[yolo_splits, mask_detector],
    **of_all_sources("detector_report", "onnx", "mlflow", blocking="beats_floor", warning="beats_champion"),
)
def detector_report(
    context: dg.AssetExecutionContext,
    config: DetectorReportConfig,
    workspace: Workspace,
    compute: Compute,
    tracking: Tracking,
) -> dg.MaterializeResult:
    """How good the trained detector is on pictures that it has never seen, and which detector is the champion.

    Average precision with intervals, curves, confusion, sizes, mistakes and the worst cases; the champion's ONNX.
    """
    splits, trained = (workspace.dataset(asset) for asset in ("yolo_splits", "mask_detector"))
    known = splits.read(status=DONE)
    limit = int(max(known["width"] * known["height"], default=0))
    store = tracking.store(workspace)
    path, present = to_beat(store, trained.folder)
    detectors = contenders(trained.folder / report_stage.ONNX, path)
    versions = {name: file_md5(each.path) for name, each in detectors.items()}
    dataset = workspace.dataset("detector_report", "", report_stage.COLUMNS, made_with(config, versions))
    items = report_stage.plan(rows_of(known), versions)
    work = partial(report_stage.Find, splits.folder, detectors, max_pixels=limit)
    floor = Floor(**config.model_dump())
    files = report_stage.files(splits.folder, trained.folder, present, floor, max_pixels=limit)
    opened = {each.path: versions[name] for name, each in detectors.items()}
    report = dataset.build(
        items, work, compute.mapper(), models=opened, also=files, progress=progress("detector_report")
    )
    report = replace(report, notes=(*report.notes, *log_report(store, dataset.folder, present)))
    found = [checks.beats_floor(dataset), checks.beats_champion(dataset)]
    sheet = sheets.of_report(dataset, splits, max_pixels=limit)
    figures = sheets.figures_of(dataset) | run_page(store, sheets.run_of(trained))
    return recorded(context, config, workspace, dataset, report, checks=found, sheet=sheet, figures=figures)


@dg.asset(
    deps=[frames, detector_report],
    partitions_def=SOURCES,
    **described("mask_detections", "detection", {"onnx"}, blocking="scores_in_range", warning="rate_drift"),
)
def mask_detections(
    context: dg.AssetExecutionContext,
    config: MaskDetectionsConfig,
    workspace: Workspace,
    models: Models,
    compute: Compute,
) -> dg.MaterializeResult:
    """Who wears a mask, and how, in every frame of a source: the champion's boxes, pictures and videos with them."""
    source = context.partition_key
    best = workspace.dataset("detector_report").folder
    wishes = detection_stage.wishes_of(best, **config.model_dump())
    with_it = made_with(config, {detection_stage.ONNX: wishes.detector})
    dataset = workspace.dataset("mask_detections", source, detection_stage.COLUMNS, with_it)
    pictures = workspace.dataset("frames", source)
    limit = largest(pictures)
    items = detection_stage.plan(pictures.read(status=DONE), workspace.folder, source, wishes)
    work = partial(
        detection_stage.Find, dataset.folder, models.masks(best / detection_stage.ONNX), wishes, max_pixels=limit
    )
    known: set[str] = set()
    with suppress(OSError):  # there is no manifest, or a damaged one
        known = set(dataset.read(["fingerprint"])["fingerprint"])
    start = time.perf_counter()
    opened = {best / detection_stage.ONNX: wishes.detector}
    report = dataset.build(items, work, compute.mapper(), models=opened, progress=progress(f"mask_detections {source}"))
    seconds = time.perf_counter() - start
    rows = dataset.read(["fingerprint", "frame", "status", "label"])
    figures = detection_stage.rates(rows)
    found = [checks.scores_in_range(dataset), checks.rate_drift(figures, earlier(context))]
    if made := rows.loc[~rows["fingerprint"].isin(known), "frame"].nunique():
        figures["pictures_a_second"] = made / seconds
    sheet = sheets.of_detections(dataset, workspace.folder, max_pixels=limit)
    return recorded(context, config, workspace, dataset, report, checks=found, sheet=sheet, figures=figures)
