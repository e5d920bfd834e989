"""Open eyes lent to the blinks of video clips by other frames: whether they are seen open, and whether a seam is.

    python -m benchmarks.expression_donor CLIPS [--by mesh] [--embedder auto] [--pairs FILE]

A frame is a blink where the state measure (``--by mesh`` or ``face_landmarker``) takes both eyes for closed; all other
frames of its clip may lend. Opened is an eye that the measure, looking at the edited frame afresh, takes for open and
more open than it was. Seams are told beside those of the same line in the unedited frame: 1 is what the face beside it
has. ``--pairs`` writes a sheet of them all, before and after, as PNG.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from benchmarks.common import wilson
from ops import images
from ops.expressions.donor import seam_score
from ops.expressions.engines import EngineError
from ops.expressions.regions import LEFT_EYE, RIGHT_EYE, region
from ops.expressions.state import closed_eyes
from ops.expressions.takes import Lender, take_of
from ops.faces import find_faces
from ops.unmasking.composition import Region
from ops.unmasking.framing import frame_face, framed
from ops.videos import sample_video
from resources.embedders import embedder
from resources.models import FaceModels
from resources.states import states

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ops.expressions.asking import Embed, Tell
    from ops.faces import FaceDetector, FaceLandmarker
    from ops.records import Picture

SIDE, ACROSS = 300, 4
EYES = slice(70, 190)
"""Rows of the square that are shown: brows to nose."""


class Blink(NamedTuple):
    """A blink before and after: whether both eyes were opened, seams after and before, and identity's cosine."""

    name: str
    opened: bool
    seam: float
    plain: float
    cosine: float
    shown: Picture


def blinks(path: Path, models: tuple[FaceDetector, FaceLandmarker], embed: Embed, tell: Tell) -> Iterator[Blink]:
    """Open the blinks of a clip's first face."""
    known = []
    for frame in sample_video(path, None):
        for face in find_faces(frame.pixels, *models, max_faces=1):
            name = f"{path.name} frame {frame.index}"
            known.append((frame.pixels, face, take_of(name, frame.pixels, face, tell, embed)))
    lender = Lender(lambda: [lent for _, _, lent in known], tell, embed)
    for pixels, face, lent in known:
        if len(closed_eyes(lent.state)) < 2:
            continue
        left, right = (region(face.mesh, which, pixels.shape[:2]) for which in (LEFT_EYE, RIGHT_EYE))
        both = Region(left.inside | right.inside, np.maximum(left.alpha, right.alpha))
        try:
            made = lender(pixels, face).inpaint(pixels, both, "", 0)
        except EngineError as error:
            print(f"{lent.name}: {error}")
            made = pixels
        after = tell(made, face.mesh)
        wider = min(after.left_eye - lent.state.left_eye, after.right_eye - lent.state.right_eye) > 0
        matrix = frame_face(face.mesh, SIDE)
        shown = np.hstack([framed(one, matrix, SIDE)[EYES] for one in (pixels, made)])
        seams = (seam_score(one, both, face.mesh) for one in (made, pixels))
        cosine = float(embed(made, face.mesh) @ lent.vector)
        yield Blink(lent.name, wider and not closed_eyes(after), *seams, cosine, shown)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path)
    parser.add_argument("--by", choices=("mesh", "face_landmarker"), default="mesh")
    parser.add_argument("--embedder", default="auto")
    parser.add_argument("--pairs", type=Path)
    given = parser.parse_args()
    models = FaceModels(device="cpu").load()
    tell = states(given.by)
    embed = embedder(given.embedder)
    if embed is None:
        raise SystemExit("no embedder")
    made = [blink for path in sorted(given.clips.glob("*.mp4")) for blink in blinks(path, models, embed, tell)]
    for blink in made:
        print(
            f"{blink.name}: {'opened' if blink.opened else 'still closed'}, seam {blink.seam:.2f} "
            f"(unedited {blink.plain:.2f}), cosine {blink.cosine:.2f}"
        )
    opened, smooth = sum(blink.opened for blink in made), sum(blink.seam <= 1 for blink in made)
    low, high = wilson(opened, len(made))
    print(f"opened {opened} of {len(made)} blinks ({low:.0%} to {high:.0%})")
    print(
        f"seam no worse than the face beside it in {smooth}; median {np.median([blink.seam for blink in made]):.2f}, "
        f"unedited {np.median([blink.plain for blink in made]):.2f}"
    )
    print(f"cosine of identity to the blink: median {np.median([blink.cosine for blink in made]):.3f}")
    if given.pairs:
        sheet = [blink.shown for blink in made]
        sheet += [np.zeros_like(sheet[0])] * (-len(sheet) % ACROSS)
        rows = [np.hstack(sheet[start : start + ACROSS]) for start in range(0, len(sheet), ACROSS)]
        given.pairs.write_bytes(images.encode_png(np.vstack(rows)))


if __name__ == "__main__":
    main()
