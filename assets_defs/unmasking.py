"""The unmasking group: pairs of bare and masked faces to learn from."""

from dataclasses import replace
from functools import partial
from itertools import chain
from typing import Any

import dagster as dg

from assets_defs import sheets
from assets_defs.checks import common as common_checks
from assets_defs.checks import unmasking as checks
from assets_defs.conditions import EVEN_WITHOUT_NETWORKS, ON_ALL_SOURCES, TRAINING
from assets_defs.config import ROOT
from assets_defs.faces import SOURCES, described, face_geometry, frames, largest, masked_faces
from assets_defs.lineage import run_page
from assets_defs.resources import Compute, Models, Tracking, Workspace
from assets_defs.results import made_with, progress, recorded
from assets_defs.settings.unmasking import (
    FaceCompleterConfig,
    MaskSegmenterConfig,
    UnmaskedFacesConfig,
    UnmaskingPairsConfig,
    UnmaskingReportConfig,
)
from ops.detection.shots import Shots
from ops.masking import chosen
from ops.pinned import files_of
from ops.stages import completer as completer_stage
from ops.stages import networks as network_stage
from ops.stages import pairs as pair_stage
from ops.stages import segmenter as segmenter_stage
from ops.stages import splits as split_stage
from ops.stages import unmasked as unmasked_stage
from ops.stages import unmasking_report as report_stage
from ops.stages.faces import described as described_faces
from ops.store import DONE, Column, rows_of
from ops.training.recipe import CompleterRecipe, SegmenterRecipe
from ops.training.tasks import Task, read_pairs
from ops.unmasking.judgement import Floor
from ops.unmasking.unmask import Care
from resources import networks
from resources.compute import Local
from resources.devices import resolve_device
from resources.embedders import embedder
from resources.lpips import lpips
from resources.perceptual import perceptual
from resources.report_log import log_report
from resources.unmaskers import networks as networks_of


@dg.asset(
    deps=[frames, face_geometry],
    **described("unmasking_pairs", "unmasking", {"numpy"}, "no_leak", "variety")
    | {"automation_condition": ON_ALL_SOURCES},
)
def unmasking_pairs(
    context: dg.AssetExecutionContext, config: UnmaskingPairsConfig, workspace: Workspace, compute: Compute
) -> dg.MaterializeResult:
    """Every face framed upright in a square, bare and wearing masks drawn anew, with the region to complete.

    Split by person, video, near-duplicate picture and face before a mask is drawn.
    """
    dataset = workspace.dataset("unmasking_pairs", "", pair_stage.columns(), made_with(config))
    pictures, faces = (workspace.everywhere(name) for name in ("frames", "face_geometry"))
    limit = int(max(pictures["width"] * pictures["height"], default=0))
    shots = pair_stage.face_shots(faces, pictures)
    look = partial(pair_stage.Look, workspace.folder, pair_stage.matrices_of(faces), max_pixels=limit)
    split = split_stage.deal(Shots(shots, [], {}, []), look, compute.mapper(), ratios=config.ratios, seed=config.seed)
    own = ROOT / config.garments if config.garments else None
    settings = chosen(config.preset, seed=config.seed, garments=own, states=config.states)
    shape: dict[str, Any] = {
        name: getattr(config, name) for name in ("size", "variants", "quality", "min_face_px", "max_yaw")
    }
    items = pair_stage.plan(shots, faces, split, workspace.folder, settings, **shape)
    work = partial(pair_stage.Pair, dataset.folder, settings, **shape, max_pixels=limit)
    report = dataset.build(items, work, compute.mapper(), refused=split.told, progress=progress("unmasking_pairs"))
    done = rows_of(dataset.read(status=DONE))
    written = pair_stage.read_bare(dataset.folder, workspace.folder, done, max_pixels=limit)
    found = [common_checks.no_leak(written), common_checks.variety(dataset)]
    return recorded(context, config, workspace, dataset, report, checks=found, sheet=sheets.of_pairs(dataset))


@dg.asset(
    deps=[unmasking_pairs],
    **described("mask_segmenter", "unmasking", {"pytorch", "onnx", "mlflow"}, "runs_as_trained", None) | TRAINING,
)
def mask_segmenter(
    context: dg.AssetExecutionContext,
    config: MaskSegmenterConfig,
    workspace: Workspace,
    models: Models,
    tracking: Tracking,
) -> dg.MaterializeResult:
    """A U-Net that tells which pixels a mask covers: weights, ONNX, curves, samples; a run and version in MLflow.

    A training that was killed goes on where it was.
    """
    settings = config.model_dump()
    recipe = SegmenterRecipe(widths=tuple(settings.pop("widths")), **settings)
    task = segmenter_stage.Segment(networks.segmenter(), recipe)
    return _trained(context, config, workspace, models, tracking, task, segmenter_stage.COLUMNS)


@dg.asset(
    deps=[unmasking_pairs],
    **described("face_completer", "unmasking", {"pytorch", "onnx", "mlflow"}, "runs_as_trained", None) | TRAINING,
)
def face_completer(
    context: dg.AssetExecutionContext,
    config: FaceCompleterConfig,
    workspace: Workspace,
    models: Models,
    tracking: Tracking,
) -> dg.MaterializeResult:
    """A generator that completes what a mask hides, trained against two adversaries; files, run and version as above.

    A training that was killed goes on where it was.
    """
    settings = config.model_dump()
    looks = perceptual(settings.pop("perceptual"))
    recipe = CompleterRecipe(widths=tuple(settings.pop("widths")), **settings)
    task = completer_stage.Complete(networks.completer(), networks.adversary(), looks, recipe)
    return _trained(context, config, workspace, models, tracking, task, completer_stage.COLUMNS)


@dg.asset(
    deps=[frames, face_geometry, masked_faces, mask_segmenter, face_completer],
    partitions_def=SOURCES,
    **described("unmasked_faces", "unmasking", {"onnx"}, "outside_untouched", None)
    | {"automation_condition": EVEN_WITHOUT_NETWORKS},
)
def unmasked_faces(
    context: dg.AssetExecutionContext,
    config: UnmaskedFacesConfig,
    workspace: Workspace,
    models: Models,
    compute: Compute,
) -> dg.MaterializeResult:
    """Every masked face of a source, found or drawn, completed where the mask was: pictures, regions, videos, panels.

    By the shipped networks, or by those trained here.
    """
    source, settings = context.partition_key, config.model_dump()
    unmasker = models.unmasker(*networks_of(settings.pop("networks"), workspace.folder))
    finder = models.faces(settings.pop("detector"), settings.pop("landmarker"))
    pictures, panels = settings.pop("pictures"), settings.pop("panels")
    wishes = unmasked_stage.Wishes(unmasker.check(), Care(**settings), panels)
    shots, worn = (workspace.dataset(name, source).read(status=DONE) for name in ("frames", "masked_faces"))
    faces = described_faces(workspace.dataset("face_geometry", source))
    limit = largest(workspace.dataset("frames", source))
    versions = finder.versions()
    told = made_with(config, versions | dict(zip(("segmenter", "completer"), wishes.networks, strict=True)))
    dataset = workspace.dataset("unmasked_faces", source, unmasked_stage.COLUMNS, told)
    items = unmasked_stage.plan(
        shots, faces, worn, workspace.folder, source, pictures=pictures, finder=versions, wishes=wishes
    )
    work = partial(unmasked_stage.Unmask, dataset.folder, unmasker, finder, wishes, max_pixels=limit)
    report = dataset.build(
        items, work, compute.mapper(), models=unmasker.files(), progress=progress(f"unmasked_faces {source}")
    )
    found = [common_checks.outside_untouched(dataset, workspace.folder, max_pixels=limit)]
    sheet = sheets.of_unmasked(dataset, workspace.folder, max_pixels=limit)
    return recorded(context, config, workspace, dataset, report, checks=found, sheet=sheet)


@dg.asset(
    deps=[unmasking_pairs, mask_segmenter, face_completer],
    **described("unmasking_report", "unmasking", {"onnx", "mlflow"}, "beats_baselines", None)
    | {"automation_condition": ON_ALL_SOURCES},
)
def unmasking_report(
    context: dg.AssetExecutionContext,
    config: UnmaskingReportConfig,
    workspace: Workspace,
    models: Models,
    compute: Compute,
    tracking: Tracking,
) -> dg.MaterializeResult:
    """How good networks are on people they have never seen, beside every baseline on the same squares.

    Dice of the segmenter; in-region PSNR, SSIM, L1 and identity of completed faces, by kind, state and yaw; sheets.
    """
    pairs, settings = workspace.dataset("unmasking_pairs"), config.model_dump()
    rows = rows_of(pairs.read(status=DONE))
    which, size, *wishes = (settings.pop(name) for name in ("networks", "size", "identity", "lpips"))
    anybody = any(known["split"] == "test" for known in rows)
    alike, far = wishes if anybody else ("none", "none")
    embed, apart = embedder(alike), lpips(far)
    unmasker = models.unmasker(*networks_of(which, workspace.folder))
    sizes = (size, size) if size else unmasker.sizes
    looks = report_stage.Looks(unmasker, embed, sizes, apart)
    versions = {path.name: digits for path, digits in unmasker.files().items()}
    versions |= {"identity": embed.sha256 if embed else "none", "lpips": apart.sha256 if apart else "none"}
    dataset = workspace.dataset("unmasking_report", "", report_stage.COLUMNS, made_with(config, versions))
    items = report_stage.plan(rows, sizes, versions)
    work = partial(report_stage.Judge, pairs.folder, report_stage.references(rows), looks)
    about = {"networks": which, "identity_by": embed.name if embed else "none"}
    files = report_stage.files(pairs.folder, rows, looks, Floor(**settings), about)
    opened = files_of(unmasker, embed, apart)
    report = dataset.build(
        items, work, compute.mapper(), models=opened, also=files, progress=progress("unmasking_report")
    )
    if which == "trained":
        logs = (
            log_report(tracking.store(workspace, asset), workspace.dataset(asset).folder, dataset.folder)
            for asset in ("mask_segmenter", "face_completer")
        )
        report = replace(report, notes=(*report.notes, *chain.from_iterable(logs)))
    found, figures = [checks.beats_baselines(dataset)], sheets.unmasking_figures_of(dataset)
    return recorded(context, config, workspace, dataset, report, checks=found, sheet=([], []), figures=figures)


def _trained(
    context: dg.AssetExecutionContext,
    config: dg.Config,
    workspace: Workspace,
    models: Models,
    tracking: Tracking,
    task: Task,
    columns: tuple[Column, ...],
) -> dg.MaterializeResult:
    """Train a network on the pairs, and record it."""
    asset = context.asset_key.to_user_string()
    dataset = workspace.dataset(asset, "", columns, made_with(config, task.about()))
    pairs = read_pairs(workspace.dataset("unmasking_pairs"))
    report = network_stage.make(
        dataset,
        pairs,
        workspace.folder / "training",
        task,
        device=resolve_device(models.device),
        track=tracking.store(workspace, asset).run,
        mapper=Local(1),
    )
    found = [checks.runs_as_trained(dataset, task, pairs)]
    figures = sheets.network_of(dataset, task.name)
    figures |= run_page(tracking.store(workspace, asset), figures["run_id"])
    return recorded(
        context, config, workspace, dataset, report, checks=found, sheet=sheets.of_network(dataset), figures=figures
    )
