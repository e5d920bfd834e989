"""The contact sheets that the Dagster UI shows: a few pictures of each dataset, evenly spread over it."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from ops.records import Box, Picture
from ops.store import DONE, Dataset, rows_of

CELLS = 12
SIDE = 320
"""Longer side in pixels of what is kept of a picture: twice a cell's side on the sheet."""
Sheet = tuple[list[Picture], list[str]]


def _few(dataset: Dataset, each: str) -> list[dict[str, Any]]:
    """Return up to :data:`CELLS` done rows with different values of ``each``."""
    rows = dataset.read(status=DONE).drop_duplicates(each)
    chosen = np.unique(np.linspace(0, max(len(rows) - 1, 0), min(CELLS, len(rows))).astype(int))
    return rows_of(rows.iloc[chosen])


def _small(pixels: Picture) -> Picture:
    """Shrink a picture at once, so that a sheet never holds two large ones."""
    from ops import images

    height, width = pixels.shape[:2]
    scale = SIDE / max(height, width)
    return (
        images.resized(pixels, (max(1, round(width * scale)), max(1, round(height * scale)))) if scale < 1 else pixels
    )


def of_frames(dataset: Dataset, data: Path, *, max_pixels: int) -> Sheet:
    """Frames with their file names."""
    from ops import images

    rows = _few(dataset, "frame")
    pictures = [_small(images.read(data / known["picture"], max_pixels=max_pixels)) for known in rows]
    return pictures, [Path(known["source"]).name for known in rows]


def of_faces(dataset: Dataset, data: Path, *, max_pixels: int) -> Sheet:
    """Frames with boxes, meshes and pose drawn in."""
    from ops import images
    from ops.pictures import draw_faces
    from ops.stages.faces import face_of

    every = dataset.read(status=DONE)
    drawn, captions = [], []
    for known in _few(dataset, "frame"):
        faces = [face_of(row) for row in rows_of(every[every["frame"] == known["frame"]])]
        pixels = images.read(data / known["picture"], max_pixels=max_pixels)
        drawn.append(_small(draw_faces(pixels, faces)))
        captions.append(f"yaw {known['yaw']:.0f}, pitch {known['pitch']:.0f}")
    return drawn, captions


def of_scenes(dataset: Dataset, data: Path) -> Sheet:
    """Annotated pictures with their boxes drawn in by class, captioned with where the boxes come from."""
    from ops import images
    from ops.pictures import draw_boxes

    every = dataset.read(status=DONE)
    limit = int(max(every["width"] * every["height"], default=0))
    drawn, captions = [], []
    for known in _few(dataset, "picture"):
        boxes = rows_of(every[(every["picture"] == known["picture"]) & every["label"].notna()])
        pixels = images.read(data / known["picture"], max_pixels=limit)
        scale = min(1.0, SIDE / max(pixels.shape[:2]))
        placed = [Box(*(box[side] * scale for side in Box._fields)) for box in boxes]
        drawn.append(draw_boxes(_small(pixels), placed, [box["label"] for box in boxes]))
        counts = Counter(box["label"] for box in boxes)
        told = (f"{count} {label}" for label, count in counts.most_common())
        captions.append("\n".join([f"{known['folder']}, {known['annotation_format']}", *told]))
    return drawn, captions


def of_splits(dataset: Dataset, *, max_pixels: int) -> Sheet:
    """Pictures of each split and origin with their boxes drawn in."""
    from ops.stages.splits import examples

    pictures, captions = examples(dataset.folder, rows_of(dataset.read(status=DONE)), max_pixels=max_pixels)
    return [_small(pixels) for pixels in pictures], captions


def of_outputs(dataset: Dataset, caption: str, *, max_pixels: int) -> Sheet:
    """Output pictures, captioned with a column."""
    from ops import images

    rows = _few(dataset, "output")
    pictures = [_small(images.read(dataset.folder / known["output"], max_pixels=max_pixels)) for known in rows]
    return pictures, [str(known[caption]) for known in rows]
