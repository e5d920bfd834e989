"""The faces group: raw pictures and videos in, masked faces and aligned crops out, one partition a source."""

from functools import partial
from typing import Any

import dagster as dg
import pandas as pd

from assets_defs import sheets
from assets_defs.checks import common as common_checks
from assets_defs.checks import described_as
from assets_defs.checks import faces as checks
from assets_defs.conditions import LOOKED_AT, LOOKING_OF_A_SOURCE, WHEN_CONTENT_CHANGED
from assets_defs.config import LOOKING, ROOT, code_version
from assets_defs.resources import Compute, Models, Workspace
from assets_defs.results import made_with, progress, recorded
from assets_defs.settings.faces import AlignedCropsConfig, FaceGeometryConfig, FramesConfig, MaskedFacesConfig
from ops.alignment import resolve_styles
from ops.masking import chosen
from ops.stages import crops as crop_stage
from ops.stages import faces as face_stage
from ops.stages import frames as frame_stage
from ops.stages import masks as mask_stage
from ops.store import DONE, Dataset

SOURCES = dg.DynamicPartitionsDefinition(name="source")
"""One partition a folder under data/raw."""


def largest(frames: Dataset) -> int:
    """Pixels of the largest frame: what ``frames`` let through is read by all others, and nothing larger."""
    sizes = frames.read(["width", "height"], status=DONE)
    return int(max(sizes["width"] * sizes["height"], default=0))


def described(name: str, group: str, kinds: set[str], blocking: str, warning: str | None) -> dict[str, Any]:
    """Return what every asset has, with its checks."""
    specs = [
        dg.AssetCheckSpec(check, asset=name, blocking=check == blocking, description=described_as(check))
        for check in (blocking, warning)
        if check
    ]
    return {
        "name": name,
        "group_name": group,
        "owners": ["team:maskline"],
        "kinds": {"parquet", *kinds},
        "code_version": code_version(name),
        "automation_condition": WHEN_CONTENT_CHANGED,
        "freshness_policy": LOOKED_AT if name in LOOKING else None,
        "check_specs": specs,
        "pool": group,
    }


def per_source(name: str, *kinds: str, blocking: str, warning: str | None = None) -> dict[str, Any]:
    """Return what every asset of this group shares, with its checks."""
    return {**described(name, "faces", set(kinds), blocking, warning), "partitions_def": SOURCES}


@dg.asset(**per_source("frames", "opencv", blocking="decodable", warning="duplicates") | LOOKING_OF_A_SOURCE)
def frames(
    context: dg.AssetExecutionContext, config: FramesConfig, workspace: Workspace, compute: Compute
) -> dg.MaterializeResult:
    """Every picture of a source: photographs where they lie, frames and sound tracks taken out of videos.

    Files that can't be decoded are rows with a reason, repeated content is told, nothing raw is copied.
    """
    source = context.partition_key
    dataset = workspace.dataset("frames", source, frame_stage.COLUMNS, made_with(config))
    items, told = frame_stage.plan(workspace.raw(source), **config.model_dump())
    work = partial(frame_stage.Decode, dataset.folder, fps=config.fps, max_pixels=config.max_pixels)
    report = dataset.build(items, work, compute.mapper(), refused=told, progress=progress(f"frames {source}"))
    found = [checks.decodable(dataset), checks.duplicates(dataset)]
    sheet = sheets.of_frames(dataset, workspace.folder, max_pixels=config.max_pixels)
    return recorded(context, config, workspace, dataset, report, checks=found, sheet=sheet)


@dg.asset(deps=[frames], **per_source("face_geometry", "litert", blocking="meshes_whole", warning="face_rate"))
def face_geometry(
    context: dg.AssetExecutionContext,
    config: FaceGeometryConfig,
    workspace: Workspace,
    models: Models,
    compute: Compute,
) -> dg.MaterializeResult:
    """Every face of every frame: box, score, five points, mesh of 468 points, pose, sharpness, identity."""
    source = context.partition_key
    finder = models.faces(config.detector, config.landmarker)
    dataset = workspace.dataset("face_geometry", source, face_stage.COLUMNS, made_with(config, finder.versions()))
    limits: dict[str, Any] = {"min_score": config.min_score, "max_faces": config.max_faces}
    pictures = workspace.dataset("frames", source)
    limit = largest(pictures)
    items = face_stage.plan(pictures.read(face_stage.NEEDED, DONE), workspace.folder, finder, **limits)
    work = partial(face_stage.Look, finder, **limits, max_pixels=limit)
    report = dataset.build(items, work, compute.mapper(), progress=progress(f"face_geometry {source}"))
    found = [checks.meshes_whole(dataset), checks.face_rate(dataset)]
    sheet = sheets.of_faces(dataset, workspace.folder, max_pixels=limit)
    return recorded(context, config, workspace, dataset, report, checks=found, sheet=sheet)


@dg.asset(
    deps=[frames, face_geometry],
    **per_source("masked_faces", "numpy", blocking="covers_what_it_claims", warning="variety"),
)
def masked_faces(
    context: dg.AssetExecutionContext, config: MaskedFacesConfig, workspace: Workspace, compute: Compute
) -> dg.MaterializeResult:
    """Every frame with its faces wearing drawn masks, n variants each: pictures, alpha, regions and all parameters."""
    source = context.partition_key
    dataset = workspace.dataset("masked_faces", source, mask_stage.columns(), made_with(config))
    wishes = {name: getattr(config, name) for name in ("kinds", "colours", "patterns", "states")}
    own = ROOT / config.garments if config.garments else None
    settings = chosen(config.preset, seed=config.seed, garments=own, fit=tuple(config.fit), **wishes)
    pictures, geometry = (workspace.dataset(name, source) for name in ("frames", "face_geometry"))
    limit = largest(pictures)
    shape: dict[str, Any] = {"variants": config.variants, "min_face_px": config.min_face_px, "quality": config.quality}
    items = mask_stage.plan(face_stage.described(geometry), workspace.folder, settings, **shape)
    work = partial(mask_stage.Wear, dataset.folder, settings, **shape, max_pixels=limit)
    unseen = pd.concat([before.read(["source", "status", "reason"]) for before in (pictures, geometry)])
    report = dataset.build(
        items,
        work,
        compute.mapper(),
        also=partial(mask_stage.logs, unseen),
        progress=progress(f"masked_faces {source}"),
    )
    found = [checks.covers_what_it_claims(dataset, max_pixels=limit), common_checks.variety(dataset)]
    sheet = sheets.of_outputs(dataset, "kind", max_pixels=limit)
    return recorded(context, config, workspace, dataset, report, checks=found, sheet=sheet)


@dg.asset(deps=[frames, face_geometry, masked_faces], **per_source("aligned_crops", "opencv", blocking="eyes_in_place"))
def aligned_crops(
    context: dg.AssetExecutionContext, config: AlignedCropsConfig, workspace: Workspace, compute: Compute
) -> dg.MaterializeResult:
    """Every face cut out and aligned in each wanted crop style, bare and masked, with its 2x3 matrix and residual."""
    source = context.partition_key
    dataset = workspace.dataset("aligned_crops", source, crop_stage.COLUMNS, made_with(config))
    styles = resolve_styles(config.styles)
    shape: dict[str, Any] = {"styles": styles, "size": config.size, "quality": config.quality}
    geometry = workspace.dataset("face_geometry", source)
    limit = largest(workspace.dataset("frames", source))
    masked = workspace.dataset("masked_faces", source).read(crop_stage.NEEDED, DONE)
    items = crop_stage.plan(
        face_stage.described(geometry), masked, workspace.folder, source=source, wearing=config.wearing, **shape
    )
    work = partial(crop_stage.Align, dataset.folder, **shape, max_pixels=limit)
    report = dataset.build(items, work, compute.mapper(), progress=progress(f"aligned_crops {source}"))
    found = [checks.eyes_in_place(dataset, geometry)]
    sheet = sheets.of_outputs(dataset, "style", max_pixels=limit)
    return recorded(context, config, workspace, dataset, report, checks=found, sheet=sheet)
