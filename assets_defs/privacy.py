"""The privacy group: faces covered by digital masks, and whether people are recognised all the same."""

from functools import partial

import dagster as dg

from assets_defs import sheets
from assets_defs.checks import privacy as checks
from assets_defs.conditions import ON_ALL_SOURCES
from assets_defs.faces import SOURCES, described, face_geometry, frames, largest
from assets_defs.resources import Compute, Models, Workspace
from assets_defs.results import made_with, progress, recorded
from assets_defs.settings.privacy import DigitalMasksConfig, ReidentificationReportConfig
from assets_defs.unmasking import unmasked_faces
from ops.anonymising.anonymise import Look
from ops.anonymising.selection import Selection
from ops.pinned import files_of
from ops.reidentification.scenarios import Floor
from ops.stages import digital_masks as mask_stage
from ops.stages import reidentification_report as report_stage
from ops.stages.faces import described as described_faces
from ops.store import DONE, rows_of
from resources.embedders import embedder
from resources.shapes import face_shape


@dg.asset(
    deps=[frames, face_geometry],
    partitions_def=SOURCES,
    **described("digital_masks", "privacy", {"numpy"}, "fail_closed", None),
)
def digital_masks(
    context: dg.AssetExecutionContext,
    config: DigitalMasksConfig,
    workspace: Workspace,
    models: Models,
    compute: Compute,
) -> dg.MaterializeResult:
    """Every picture of a source with a 3D face drawn over each face: overlay, mask alone, shape as .obj, parameters.

    Of a picture in which a face has no mesh nothing is written, and the manifest says why.
    """
    source, settings = context.partition_key, config.model_dump()
    finder = models.faces(settings.pop("detector"), settings.pop("landmarker"))
    shape = face_shape(*(settings.pop(name) for name in ("shape", "flame", "flame_landmarks")))
    judge = embedder(settings.pop("identity"))
    how, least, size = Look(settings.pop("style"), settings.pop("cut")), settings.pop("least"), settings.pop("size")
    told = shape.versions(), judge.sha256 if judge else "none"
    versions = finder.versions() | {"shape": " ".join(told[0]), "identity": told[1]}
    dataset = workspace.dataset("digital_masks", source, mask_stage.COLUMNS, made_with(config, versions))
    wishes = mask_stage.Wishes(how, Selection(**settings), least, size, *told)
    pictures, faces = (workspace.dataset(name, source) for name in ("frames", "face_geometry"))
    limit = largest(pictures)
    items, left_out = mask_stage.plan(
        pictures.read(status=DONE), described_faces(faces), workspace.folder, wishes=wishes, finder=finder.versions()
    )
    work = partial(mask_stage.DigitalMask, dataset.folder, shape, finder, judge, wishes, max_pixels=limit)
    report = dataset.build(
        items,
        work,
        compute.mapper(),
        refused=left_out,
        models=files_of(shape, judge),
        progress=progress(f"digital_masks {source}"),
    )
    found = [checks.fail_closed(dataset, faces, workspace.folder, max_pixels=limit)]
    sheet = sheets.of_digital_masks(dataset, max_pixels=limit)
    return recorded(context, config, workspace, dataset, report, checks=found, sheet=sheet)


@dg.asset(
    deps=[frames, face_geometry, digital_masks, unmasked_faces],
    **described("reidentification_report", "privacy", {"onnx"}, "queries_apart", "leak_rate")
    | {"automation_condition": ON_ALL_SOURCES},
)
def reidentification_report(
    context: dg.AssetExecutionContext, config: ReidentificationReportConfig, workspace: Workspace, compute: Compute
) -> dg.MaterializeResult:
    """Whether people are recognised behind digital masks and, side by side, behind plainer anonymisers.

    Rank-1, rank-5, mean rank and verification with intervals over people; failures both left out and taken for
    recognised; CMC curves.
    """
    settings = config.model_dump()
    embed, seed = embedder(settings.pop("identity")), settings.pop("seed")
    judged = made_with(config, {"identity": embed.sha256 if embed else "none"})
    dataset = workspace.dataset("reidentification_report", "", report_stage.COLUMNS, judged)
    faces, completed, pictures = (workspace.everywhere(name) for name in ("face_geometry", "unmasked_faces", "frames"))
    limit = int(max(pictures["width"] * pictures["height"], default=0))
    masks = rows_of(workspace.everywhere("digital_masks", None))
    chosen = report_stage.plan(
        rows_of(faces), masks, rows_of(completed), workspace.folder, seed=seed, judge=embed.sha256 if embed else ""
    )
    work = partial(report_stage.Recognise, embed, max_pixels=limit)
    files = report_stage.files(
        chosen, Floor(**settings), {"identity_by": embed.name if embed else "none"}, max_pixels=limit
    )
    report = dataset.build(
        chosen.items,
        work,
        compute.mapper(),
        refused=chosen.told,
        models=files_of(embed),
        also=files,
        progress=progress("reidentification_report"),
    )
    found = [checks.queries_apart(dataset, workspace.folder, max_pixels=limit), checks.leak_rate(dataset)]
    figures = sheets.recognition_of(dataset)
    return recorded(context, config, workspace, dataset, report, checks=found, sheet=([], []), figures=figures)
