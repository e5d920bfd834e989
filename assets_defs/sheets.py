"""The contact sheets that the Dagster UI shows: a few pictures of each dataset, evenly spread over it."""

from pathlib import Path
from typing import Any

import numpy as np

from ops.records import Picture
from ops.store import DONE, Dataset, rows_of

CELLS = 12
Sheet = tuple[list[Picture], list[str]]


def _few(dataset: Dataset, each: str) -> list[dict[str, Any]]:
    """Return up to :data:`CELLS` done rows with different values of ``each``."""
    rows = dataset.read(status=DONE).drop_duplicates(each)
    chosen = np.unique(np.linspace(0, max(len(rows) - 1, 0), min(CELLS, len(rows))).astype(int))
    return rows_of(rows.iloc[chosen])


def of_frames(dataset: Dataset, data: Path) -> Sheet:
    """Frames with their file names."""
    from ops import images

    rows = _few(dataset, "frame")
    return [images.read(data / known["picture"]) for known in rows], [Path(known["source"]).name for known in rows]


def of_faces(dataset: Dataset, data: Path) -> Sheet:
    """Frames with boxes, meshes and pose drawn in."""
    from ops import images
    from ops.pictures import draw_faces
    from ops.stages.faces import face_of

    every = dataset.read(status=DONE)
    drawn, captions = [], []
    for known in _few(dataset, "frame"):
        faces = [face_of(row) for row in rows_of(every[every["frame"] == known["frame"]])]
        drawn.append(draw_faces(images.read(data / known["picture"]), faces))
        captions.append(f"yaw {known['yaw']:.0f}, pitch {known['pitch']:.0f}")
    return drawn, captions


def of_outputs(dataset: Dataset, caption: str) -> Sheet:
    """Output pictures, captioned with a column."""
    from ops import images

    rows = _few(dataset, "output")
    return [images.read(dataset.folder / known["output"]) for known in rows], [str(known[caption]) for known in rows]
