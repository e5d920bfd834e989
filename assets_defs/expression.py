"""The expression group: what eyes and mouths of a source's faces do, and where they may be edited."""

from functools import partial
from pathlib import Path

import dagster as dg

from assets_defs import sheets
from assets_defs.checks import common as common_checks
from assets_defs.checks import described_as
from assets_defs.checks import expression as checks
from assets_defs.config import section
from assets_defs.faces import SOURCES, described, face_geometry, frames, largest
from assets_defs.resources import Compute, Models, Workspace
from assets_defs.results import made_with, progress, recorded
from assets_defs.settings.expression import ExpressionEditsConfig, ExpressionRegionsConfig
from ops.expressions.asking import Care, Wish
from ops.expressions.state import Limits
from ops.pinned import files_of
from ops.stages import expression_edits as edit_stage
from ops.stages import expression_regions as region_stage
from ops.stages.expressing import Wishes
from ops.stages.expression_regions import BESIDE, HAAR_SMILE, RES10, Senses
from ops.stages.faces import described as described_faces
from ops.store import DONE
from resources.blendshapes import blendshapes
from resources.expressions import Editors, diffusion_of, editors
from resources.haar_smile import HaarSmile
from resources.states import mesh_states

BLOCKING = {name: described_as(name) for name in ("outside_untouched", "same_person")}
"""Checks of edits, and what they say."""


@dg.asset(
    deps=[frames, face_geometry],
    partitions_def=SOURCES,
    **described("expression_regions", "expression", {"litert"}, "regions_whole", "ways_agree"),
)
def expression_regions(
    context: dg.AssetExecutionContext,
    config: ExpressionRegionsConfig,
    workspace: Workspace,
    models: Models,
    compute: Compute,
) -> dg.MaterializeResult:
    """Every face's open and closed eyes and its smile, by mesh and blendshapes, and the regions of eyes and mouth."""
    source, settings = context.partition_key, config.model_dump()
    senses = _senses(settings.pop("blendshapes"), settings.pop("beside"), models)
    dataset = workspace.dataset("expression_regions", source, region_stage.COLUMNS, made_with(config, senses.versions))
    limits = Limits(settings.pop("closed"), settings.pop("smiling"))
    wishes = region_stage.Wishes(limits, **settings)
    faces = described_faces(workspace.dataset("face_geometry", source))
    limit = largest(workspace.dataset("frames", source))
    items = region_stage.plan(faces, workspace.folder, senses=senses, wishes=wishes)
    work = partial(region_stage.Sense, dataset.folder, senses, wishes, max_pixels=limit)
    report = dataset.build(
        items, work, compute.mapper(), models=senses.files, progress=progress(f"expression_regions {source}")
    )
    found = [checks.regions_whole(dataset, workspace.folder, max_pixels=limit), checks.ways_agree(dataset)]
    sheet = sheets.of_expressions(dataset, workspace.folder, max_pixels=limit)
    return recorded(context, config, workspace, dataset, report, checks=found, sheet=sheet)


@dg.asset(
    deps=[frames, face_geometry, expression_regions],
    partitions_def=SOURCES,
    **described("expression_edits", "expression", {"onnx"}, "outside_untouched", None)
    | {
        "check_specs": [
            dg.AssetCheckSpec(name, asset="expression_edits", blocking=True, description=told)
            for name, told in BLOCKING.items()
        ]
    },
)
def expression_edits(
    context: dg.AssetExecutionContext,
    config: ExpressionEditsConfig,
    workspace: Workspace,
    models: Models,
    compute: Compute,
) -> dg.MaterializeResult:
    """Closed eyes opened and smiles added in a source's pictures and videos, the person kept; before, regions, after.

    A face that needs nothing, or of which nothing good comes, is left alone, and the manifest says why.
    """
    source = context.partition_key
    kit, wishes = _editing(config, models)
    dataset = workspace.dataset("expression_edits", source, edit_stage.COLUMNS, made_with(config, kit.versions()))
    tables = [workspace.dataset(name, source) for name in ("frames", "face_geometry", "expression_regions")]
    limit = largest(tables[0])
    shots, states = (table.read(status=DONE) for table in (tables[0], tables[2]))
    faces = described_faces(tables[1])
    items = edit_stage.plan(shots, faces, states, workspace.folder, source, wishes=wishes)
    work = partial(edit_stage.Express, dataset.folder, kit, wishes, max_pixels=limit)
    report = dataset.build(
        items, work, compute.mapper(), models=kit.files(), progress=progress(f"expression_edits {source}")
    )
    found = [
        common_checks.outside_untouched(dataset, workspace.folder, max_pixels=limit),
        checks.same_person(dataset, tables[1], workspace.folder, kit.judge, wishes.care.floor, max_pixels=limit),
    ]
    sheet = sheets.of_edits(dataset, workspace.folder, max_pixels=limit)
    return recorded(context, config, workspace, dataset, report, checks=found, sheet=sheet)


def _editing(config: ExpressionEditsConfig, models: Models) -> tuple[Editors, Wishes]:
    """Return what edits, and what is to be edited."""
    model = diffusion_of(
        config.diffusion,
        models.device,
        steps=config.steps,
        guidance=config.guidance,
        negative=config.negative_prompt,
        way=config.way,
    )
    kit = editors(
        models.faces(config.detector, config.landmarker),
        Path(config.completer) if config.completer else None,
        told=config.states,
        identity=config.identity,
        diffusion=model,
    )
    known = section("expression_regions")
    care = Care(
        floor=config.floor or kit.floor,
        tries=config.tries,
        min_face_px=config.min_face_px,
        max_yaw=config.max_yaw,
        limits=Limits(known["closed"], known["smiling"]),
    )
    wish = Wish(config.eyes, config.smile, config.engine, config.eyes_prompt, config.smile_prompt)
    return kit, Wishes(wish, care, kit.lending, seed=config.seed, kit=kit.versions())


def _senses(wish: str, beside: list[str], models: Models) -> Senses:
    """Return what looks at faces."""
    if unknown := set(beside) - set(BESIDE):
        raise ValueError(f"beside {sorted(unknown)} is unknown; allowed: {', '.join(BESIDE)}")
    mesh, shapes = mesh_states(), blendshapes(wish)
    res10 = models.faces(RES10, "mesh") if RES10 in beside else None
    versions = {**mesh.versions(), "blendshapes": shapes.sha256 if shapes else "none"}
    versions |= dict.fromkeys(sorted(beside), "asked") | (res10.versions() if res10 else {})
    smile = HaarSmile() if HAAR_SMILE in beside else None
    return Senses(mesh, shapes, smile, res10, versions, files_of(mesh, shapes))
