"""The checks of regions and edits of expressions."""

from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
import numpy as np

from assets_defs.checks.common import spread, verdict
from ops.store import DONE, Dataset, rows_of

if TYPE_CHECKING:
    from resources.embedders import Embedder

HALF = 127

DIFFER = 0.1


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
    photographs = rows_of(spread(rows[rows["alpha"].notna()]))
    for one in photographs:
        mesh = np.asarray(meshes[one["frame"], one["face"]], np.float32).reshape(-1, 3)
        both = (data / one["picture"], dataset.folder / one["output"])
        before, after = (embed(images.read(path, max_pixels=max_pixels), mesh) for path in both)
        alike[one["output"]] = min(float(before @ after), alike[one["output"]])
    other = sorted(name for name, cosine in alike.items() if not cosine >= floor)
    lowest = float(min(alike.values(), default=1.0))
    return verdict("same_person", other, edited=len(rows), looked_at=len(photographs), lowest=lowest, floor=floor)


def regions_whole(dataset: Dataset, data: Path, *, max_pixels: int) -> dg.AssetCheckResult:
    """Pass when every face's measures are numbers, and its regions of its picture's size, apart and on the face."""
    from ops import images
    from ops.expressions.regions import REGIONS

    rows = spread(dataset.read(status=DONE))
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
    return verdict("regions_whole", wrong, looked_at=len(rows))


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
