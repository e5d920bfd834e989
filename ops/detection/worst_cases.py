"""A sheet of the pictures that a detector gets most wrong, with what is annotated and what it found."""

from __future__ import annotations

import textwrap
from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from ops.detection.mistakes import MISSED, RIGHT, WRONG_CLASS
from ops.images import resized
from ops.pictures import CLASS_COLOURS, INK, PAPER, contact_sheet, font_of
from ops.records import Box

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ops.detection.mistakes import Judged
    from ops.records import Picture

CELL = 400
COLUMNS = 4
ROOM = 1.3
"""How much wider than all mistakes together the part of a picture is that is shown."""

LEAST_PX = 96
DASH = 7
LINE = 24
"""Letters in a line of a caption."""

LEGEND = (
    "dashed: annotated, and missed or called something else     thick: found wrongly     thin: found rightly",
    "green: with mask     red: without mask     amber: worn incorrectly",
)


def worst_sheet(pictures: Sequence[Picture], judged: Sequence[Judged], names: Sequence[str]) -> Picture:
    """Lay out pictures, each cut to where its mistakes are, with a caption of what went wrong.

    Args:
        pictures: where there are none, the sheet says so.
        judged: what was found in each.
        names: of each.
    """
    from PIL import Image, ImageDraw

    cells = [draw_case(pixels, one) for pixels, one in zip(pictures, judged, strict=True)]
    captions = [caption(one, name) for one, name in zip(judged, names, strict=True)]
    sheet = (
        contact_sheet(cells, captions, columns=COLUMNS, cell=CELL) if cells else np.full((60, 1, 3), PAPER, np.uint8)
    )
    font = font_of(22)
    width, height = max(sheet.shape[1], round(font.getlength(LEGEND[0])) + 24), sheet.shape[0]
    canvas = Image.new("RGB", (width, height + 80), PAPER)
    canvas.paste(Image.fromarray(sheet), (0, 80))
    for row, words in enumerate(LEGEND if cells else ("no mistake in any picture",)):
        ImageDraw.Draw(canvas).text((12, 24 + 32 * row), words, INK, font, anchor="lm")
    return np.array(canvas)


def caption(one: Judged, name: str) -> str:
    r"""Tell in a few lines what went wrong in a picture.

    >>> from ops.detection.detections import Detections
    >>> from ops.detection.mistakes import judge
    >>> face = Detections.of([(0, 0, 10, 10)], [0])
    >>> caption(judge(face, Detections.of([], []), (0.5, 0.5, 0.5)), "a.jpg").splitlines()
    ['a.jpg', '1 of 1 wrong', '1\xa0missed']
    """
    counts = Counter(one.mistakes)
    told = ", ".join(f"{counts[kind]} {kind}".replace("_", " ").replace(" ", "\xa0") for kind in counts)
    wrong = f"{counts.total()} of {len(one.verdicts) + counts[MISSED]} wrong"
    return "\n".join([name if len(name) <= LINE else f"…{name[1 - LINE :]}", wrong, *textwrap.wrap(told, LINE)])


def draw_case(pixels: Picture, one: Judged) -> Picture:
    """Draw the boxes of one picture and cut it to where its mistakes are, about :data:`CELL` pixels large."""
    unfound = np.union1d(one.missed, one.partners[np.array(one.verdicts) == WRONG_CLASS]).astype(int)
    wrong = [index for index, verdict in enumerate(one.verdicts) if verdict != RIGHT]
    height, width = pixels.shape[:2]
    corners = np.concatenate([one.truth.boxes[unfound], one.found.boxes[wrong], np.empty((0, 4))])
    whole = Box(*corners[:, :2].min(0), *corners[:, 2:].max(0)) if len(corners) else Box(0, 0, width, height)
    part = _room(whole, width, height)
    scale = CELL / max(part.width, part.height)
    shown = pixels[int(part.y1) : int(part.y2), int(part.x1) : int(part.x2)]
    canvas = resized(shown, (max(1, round(part.width * scale)), max(1, round(part.height * scale)))).copy()
    offset = np.array([part.x1, part.y1] * 2)
    found, truth = ((boxes - offset) * scale for boxes in (one.found.boxes, one.truth.boxes))
    for index in np.setdiff1d(np.arange(len(found)), wrong):
        _outline(canvas, found[index], one.found.labels[index], 1)
    for index in wrong:
        _outline(canvas, found[index], one.found.labels[index], 3)
    for index in unfound:
        _outline(canvas, truth[index], one.truth.labels[index], 2, dashed=True)
    return canvas


def _room(box: Box, width: int, height: int) -> Box:
    """Return the box with some room around it, of whole pixels, inside the picture."""
    side = max(LEAST_PX, ROOM * box.width, ROOM * box.height)
    x, y = box.center
    across, down = min(side, width), min(side, height)
    left = min(max(x - across / 2, 0), width - across)
    top = min(max(y - down / 2, 0), height - down)
    return Box(int(left), int(top), int(left + across), int(top + down))


def _outline(canvas: Picture, box: np.ndarray, label: int, stroke: int, *, dashed: bool = False) -> None:
    import cv2

    x1, y1, x2, y2 = (round(float(side)) for side in box)
    colour = CLASS_COLOURS[label]
    corners = [(x1, y1), (x2, y1), (x2, y2), (x1, y2)]
    for start, end in zip(corners, [*corners[1:], corners[0]], strict=True):
        steps = max(1, round(np.hypot(end[0] - start[0], end[1] - start[1]) / DASH)) if dashed else 1
        points = np.linspace(start, end, steps + 1).round().astype(int).tolist()
        for a, b in list(pairwise(points))[::2]:
            cv2.line(canvas, a, b, (0, 0, 0), stroke + 1)
            cv2.line(canvas, a, b, colour, stroke)
