"""A smile by warp on neutral portraits: whether it is seen, and whether the person stays the same.

    python -m benchmarks.expression_warp FOLDER ... [--strength 0.6] [--count 100] [--embedder auto] [--pairs FILE]

Neutral is a face that the state measure takes for none that smiles, with its mouth closed or nearly so. The smile is
then measured again, from the mesh and, where the model can be had, from blendshapes, by a landmarker that sees the
edited picture afresh; identity is aligned as before. ``--embedder`` is ``auto`` (dlib's) or the path of an ONNX file;
``--pairs`` writes a sheet of the first thirty, before and after, as PNG.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.common import faces, pictures, stored, wilson
from ops import images
from ops.expressions.engines import EngineError
from ops.expressions.state import is_smiling
from ops.expressions.warp import smile
from ops.unmasking.framing import frame_face, framed
from resources.blendshapes import blendshapes
from resources.embedders import embedder
from resources.models import FaceModels
from resources.states import mesh_states

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ops.records import Picture

OPEN = 0.1
"""Of the mouth, from which on it speaks."""

SIDE, ACROSS, SHOWN = 220, 5, 30


@dataclass(frozen=True)
class Pair:
    """A portrait before and after: how much more it smiles, by the mesh and by blendshapes, and how alike it is."""

    name: str
    mesh: float
    shapes: float | None
    cosine: float
    shown: Picture


def pairs(folders: Sequence[Path], strength: float, count: int, wish: str) -> list[Pair]:
    """Edit the first neutral portraits of folders."""
    models = FaceModels(device="cpu").load()
    embed, plain, tell = embedder(wish), mesh_states(), blendshapes("auto")
    if embed is None:
        raise SystemExit("no embedder")
    found: list[Pair] = []
    for seen in faces([path for folder in folders for path in pictures(folder)], models):
        mesh = seen.face.mesh
        before = plain(seen.pixels, mesh)
        if is_smiling(before) or before.mouth_open > OPEN:
            continue
        try:
            picture = stored(smile(seen.pixels, mesh, strength).picture)
        except EngineError as error:
            print(f"{seen.name} is left alone: {error}")
            continue
        rise = plain(picture, mesh).smile - before.smile
        shapes = tell and tell(picture, mesh).smile - tell(seen.pixels, mesh).smile
        cosine = float(embed(seen.pixels, mesh) @ embed(picture, mesh))
        matrix = frame_face(mesh, SIDE)
        shown = np.hstack([framed(pixels, matrix, SIDE) for pixels in (seen.pixels, picture)])
        found.append(Pair(seen.name, rise, shapes, cosine, shown))
        if len(found) == count:
            break
    return found


def told(rises: Sequence[float], title: str) -> None:
    hits = sum(rise > 0 for rise in rises)
    low, high = wilson(hits, len(rises))
    print(
        f"smiles more, by {title}: {hits} of {len(rises)} ({low:.1%} to {high:.1%}), "
        f"median {np.median(rises):+.2f}, least {min(rises):+.2f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--strength", type=float, default=0.6)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--embedder", default="auto")
    parser.add_argument("--pairs", type=Path)
    given = parser.parse_args()
    made = pairs(given.folders, given.strength, given.count, given.embedder)
    print(f"{len(made)} neutral portraits, strength {given.strength:g}")
    told([pair.mesh for pair in made], "the mesh")
    shapes = [pair.shapes for pair in made if pair.shapes is not None]
    if shapes:
        told(shapes, "blendshapes")
    least = min(made, key=lambda pair: pair.cosine)
    median = np.median([pair.cosine for pair in made])
    print(f"cosine of identity: median {median:.3f}, least {least.cosine:.3f} ({least.name})")
    if given.pairs:
        sheet = [pair.shown for pair in made[:SHOWN]]
        rows = [np.hstack(sheet[start : start + ACROSS]) for start in range(0, len(sheet) // ACROSS * ACROSS, ACROSS)]
        given.pairs.write_bytes(images.encode_png(np.vstack(rows)))


if __name__ == "__main__":
    main()
