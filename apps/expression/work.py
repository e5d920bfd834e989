"""What the app does with a picture: find its faces, edit them, and tell what was done and why."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ops import images
from ops.expressions.asking import DONOR, Ask, Care, Wish, needs
from ops.expressions.editing import edit_all
from ops.expressions.state import closed_eyes, is_smiling
from ops.expressions.takes import Lender, take_of
from ops.faces import find_faces
from ops.pictures import FACE_COLOURS, INK, font_of
from ops.unmasking.regions import tinted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ops.expressions.donor import Take
    from ops.expressions.editing import Edited, Result
    from ops.expressions.state import State
    from ops.records import Box, Face, Picture
    from resources.expressions import Editors

MAX_PIXELS = 50_000_000
MAX_FACES = 12
"""Faces that can be edited at once, the surest."""

PREVIEW = 1400
"""Longer side in pixels of what the browser is shown."""

CLOSER, CROP = 1.9, 160
"""Side of a close look in sides of the face's box, and of a face's icon in pixels."""

HEAD = ("Face", "Eyes", "Smile", "Same person", "Edited", "Why")


class Looked(NamedTuple):
    """A picture whose faces are known: its file, the faces, and their states by index."""

    path: Path
    faces: tuple[Face, ...]
    states: Mapping[int, State]


class Shown(NamedTuple):
    """What comes of an edit.

    Attributes:
        png: the whole picture, as a file; None: nothing was edited.
        views: before and after, by what is looked at.
        regions: the picture with what may differ in colour.
        table: a row a face, as :data:`HEAD` says.
    """

    png: bytes | None
    views: dict[str, tuple[Picture, Picture]]
    regions: Picture
    table: list[list[str]]


class Desk:
    """Finds and edits faces with what there is.

    Args:
        kit: what there is.
    """

    def __init__(self, kit: Editors) -> None:
        self.kit = kit
        detector, landmarker, self._tools = kit.load()
        self._finder = (detector, landmarker)

    def look(self, path: Path) -> Looked:
        """Find the faces of a picture.

        Raises:
            Refusal: no picture, or too large.
        """
        pixels = images.read(path, max_pixels=MAX_PIXELS)
        faces = find_faces(pixels, *self._finder, max_faces=MAX_FACES)
        return Looked(path, tuple(faces), {face.index: self._tools.tell(pixels, face.mesh) for face in faces})

    def edit(
        self,
        looked: Looked,
        wishes: Mapping[int, Wish],
        seed: int,
        lent: Sequence[Path] = (),
        watch: Callable[[int, str, str, int], None] | None = None,
    ) -> Shown:
        """Edit faces.

        Args:
            looked: the picture.
            wishes: by the index of the face.
            seed: the first that engines get.
            lent: pictures that may lend open eyes.
            watch: is told of every try.

        Raises:
            Refusal: a picture that should lend eyes is none.
        """
        tools = self._tools
        if tools.embed:
            lender = Lender(partial(self._takes, lent), tools.tell, tools.embed, self.kit.lending)
            tools = replace(tools, makers={**tools.makers, DONOR: lender})
        pixels = images.read(looked.path, max_pixels=MAX_PIXELS)
        asks = {index: Ask(wish, seed, needs(looked.states[index], wish)) for index, wish in wishes.items()}
        result = edit_all(pixels, looked.faces, tools, asks, Care(floor=self.kit.floor), watch)
        return _shown(pixels, looked.faces, result)

    def _takes(self, lent: Sequence[Path]) -> list[Take]:
        takes: list[Take] = []
        for path in lent:
            pixels = images.read(path, max_pixels=MAX_PIXELS)
            for face in find_faces(pixels, *self._finder):
                if self._tools.embed:
                    takes.append(take_of(path.name, pixels, face, self._tools.tell, self._tools.embed))
        return takes


def numbered(looked: Looked) -> Picture:
    """Return the picture, small enough for the browser, with its faces' boxes and numbers."""
    from PIL import Image, ImageDraw

    pixels = images.read(looked.path, max_pixels=MAX_PIXELS)
    small = preview(pixels)
    scale = small.shape[1] / pixels.shape[1]
    canvas = Image.fromarray(small)
    draw = ImageDraw.Draw(canvas)
    for face in looked.faces:
        colour = FACE_COLOURS[face.index % len(FACE_COLOURS)]
        x1, y1, x2, y2 = (scale * side for side in face.box)
        size = float(np.clip((y2 - y1) * 0.22, 14, max(small.shape[:2]) * 0.05))
        draw.rectangle((x1, y1, x2, y2), outline=colour, width=max(2, round(size / 9)))
        draw.rectangle((x1, y1, x1 + 1.3 * size, y1 + 1.3 * size), fill=colour)
        draw.text((x1 + 0.65 * size, y1 + 0.65 * size), str(face.index), INK, font_of(round(size)), anchor="mm")
    return np.array(canvas)


def icons(looked: Looked) -> list[Picture]:
    """Return each face alone, as a small square."""
    pixels = images.read(looked.path, max_pixels=MAX_PIXELS)
    return [images.resized(_square(pixels, face.box, 1.3), (CROP, CROP)) for face in looked.faces]


def in_words(state: State) -> str:
    """Return what a face does.

    >>> from ops.expressions.state import State
    >>> in_words(State(0.05, 0.4, 0.0, 0.0, "mesh"))
    'left eye closed, no smile'
    """
    closed = closed_eyes(state)
    eyes = "eyes open" if not closed else "eyes closed" if len(closed) > 1 else f"{closed[0].replace('_', ' ')} closed"
    return f"{eyes}, {'smiling' if is_smiling(state) else 'no smile'}"


def preview(pixels: Picture) -> Picture:
    """Return a picture small enough for the browser."""
    height, width = pixels.shape[:2]
    scale = PREVIEW / max(height, width)
    return (
        images.resized(pixels, (max(1, round(width * scale)), max(1, round(height * scale)))) if scale < 1 else pixels
    )


def name_of(face: int) -> str:
    """Return what a face is called."""
    return f"Face {face}"


def _shown(pixels: Picture, faces: Sequence[Face], result: Result) -> Shown:
    views = {"Whole picture": (preview(pixels), preview(result.picture))}
    for face in faces:
        if face.index in result.edits and result.edits[face.index].reason is None:
            both = (_square(each, face.box, CLOSER) for each in (pixels, result.picture))
            views[name_of(face.index)] = tuple(map(preview, both))  # type: ignore[assignment]
    alpha = np.ceil(result.alpha * 255).astype(np.uint8)
    table = [_row(index, edited) for index, edited in sorted(result.edits.items())]
    png = images.encode_png(result.picture) if result.alpha.any() else None
    return Shown(png, views, preview(tinted(pixels, alpha)), table)


def _row(index: int, edited: Edited) -> list[str]:
    """Return what became of a face, as :data:`HEAD` says."""
    before, after = edited.before, edited.after
    if before is None or after is None:
        return [str(index), "", "", "", "no", edited.reason or ""]
    eyes = " ".join(f"{_least(state):.2f}" for state in (before,)) + f" → {_least(after):.2f}"
    cosine = "" if edited.cosine is None else f"{edited.cosine:.3f}"
    made = ", ".join(f"{step.part} by {step.engine}" for step in edited.steps if step.engine)
    why = edited.reason or "; ".join(f"{step.part}: {step.why}" for step in edited.steps)
    return [str(index), eyes, f"{before.smile:.2f} → {after.smile:.2f}", cosine, made or "no", why]


def _least(state: State) -> float:
    return min(state.left_eye, state.right_eye)


def _square(pixels: Picture, box: Box, room: float) -> Picture:
    """Return a square of the picture around a box, moved or made smaller to lie within it."""
    height, width = pixels.shape[:2]
    side = int(min(room * max(box.width, box.height), height, width))
    x, y = box.center
    left, top = (int(np.clip(middle - side / 2, 0, end - side)) for middle, end in ((x, width), (y, height)))
    return np.ascontiguousarray(pixels[top : top + side, left : left + side])
