"""Pictures to look at: contact sheets, faces with what was found in them, and pictures small enough for metadata."""

from __future__ import annotations

import base64
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ops.geometry import canonical_mesh, rotation_of
from ops.images import encode_jpeg
from ops.masking import LABELS
from ops.records import Box, Face, Picture

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from PIL import Image
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont

    Colour = tuple[int, int, int]

PAPER: Colour = (244, 245, 247)
INK: Colour = (45, 51, 61)
WHITE: Colour = (255, 255, 255)
FACE_COLOURS: tuple[Colour, ...] = ((64, 196, 255), (255, 178, 62), (126, 217, 87), (255, 120, 150), (190, 150, 255))
CLASS_COLOURS: tuple[Colour, ...] = ((80, 220, 100), (255, 70, 70), (255, 190, 40))
CLASS_TITLES = ("mask", "no mask", "worn wrong")
"""What people read for each of `LABELS`."""

AXIS_COLOURS: tuple[Colour, ...] = ((255, 92, 92), (110, 220, 110), (90, 150, 255))
MESH_OPACITY = 0.45
QUALITIES = (90, 75, 60)
SHRINK = 0.85
SUBPIXEL = 4  # bits after the point in the coordinates that cv2 draws with


def contact_sheet(
    pictures: Sequence[Picture],
    captions: Sequence[str] | None = None,
    *,
    columns: int = 6,
    cell: int = 160,
    gap: int = 6,
) -> Picture:
    """Lay pictures out in rows, each fitted into a square, with text below it.

    Args:
        pictures: one or more, of any size; their aspect ratio is kept.
        captions: one a picture, of one or more lines; a line too long for its cell ends in an ellipsis.
        columns: pictures in a row, or fewer if there are not as many.
        cell: side of a square in pixels.
        gap: space around the squares in pixels.

    Raises:
        ValueError: if there are no pictures, or not as many captions as pictures.
    """
    from PIL import Image, ImageDraw

    if not pictures:
        raise ValueError("a contact sheet needs at least one picture")
    texts = [text.splitlines() for text in captions] if captions is not None else [[] for _ in pictures]
    if len(texts) != len(pictures):
        raise ValueError(f"{len(texts)} captions for {len(pictures)} pictures; as many are needed")
    font = font_of(max(9, round(cell * 0.07)))
    line = round(font.size * 1.4)
    below = line * max(map(len, texts))
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    sheet = Image.new("RGB", (gap + columns * (cell + gap), gap + rows * (cell + below + gap)), PAPER)
    draw = ImageDraw.Draw(sheet)
    for index, (picture, text) in enumerate(zip(pictures, texts, strict=True)):
        x = gap + index % columns * (cell + gap)
        y = gap + index // columns * (cell + below + gap)
        fitted = _fit(picture, cell)
        sheet.paste(fitted, (x + (cell - fitted.width) // 2, y + (cell - fitted.height) // 2))
        for number, words in enumerate(text):
            middle = (x + cell / 2, y + cell + line * (number + 0.5))
            draw.text(middle, _shortened(words, font, cell), INK, font, anchor="mm")
    return np.array(sheet)


def draw_faces(pixels: Picture, faces: Sequence[Face], *, mesh: bool = True) -> Picture:
    """Draw what was found into a copy of the picture: boxes, meshes, the axes of the head, score and pose.

    From the nose tip, red points to the head's side at the viewer's right, green to the chin, blue where it looks.
    """
    canvas = pixels.copy()
    for face in faces:
        if mesh:
            _draw_mesh(canvas, face)
        _draw_frame(canvas, face)
        _draw_axes(canvas, face)
    return _with_labels(canvas, faces)


def draw_boxes(
    pixels: Picture, boxes: Sequence[Box], labels: Sequence[str], scores: Sequence[float] | None = None
) -> Picture:
    """Draw boxes into a copy of the picture in the colours of their classes: green, red, amber as `LABELS` go.

    Args:
        pixels: the picture.
        boxes: in its pixels, half-open.
        labels: of ``ops.masking.LABELS``, one a box.
        scores: in [0, 1], one a box: class and score are written at each; on small faces the score alone.

    Raises:
        ValueError: not as many labels or scores as boxes.
        KeyError: an unknown label.
    """
    import cv2

    canvas, colours = pixels.copy(), dict(zip(LABELS, CLASS_COLOURS, strict=True))
    longer = max(pixels.shape[:2])
    for box, label in zip(boxes, labels, strict=True):
        stroke = max(1, round(longer / 160 if scores is None else min(longer / 320, box.height / 16)))
        x2, y2 = box.x2 - 1, box.y2 - 1
        outline = np.array([(box.x1, box.y1), (x2, box.y1), (x2, y2), (box.x1, y2)])
        cv2.polylines(canvas, [_fixed(outline)], True, colours[label], stroke, cv2.LINE_AA, SUBPIXEL)
    return canvas if scores is None else _with_scores(canvas, boxes, labels, scores)


def data_uri(picture: Picture, max_bytes: int = 60_000) -> str:
    """Return a picture as a JPEG data URI of at most ``max_bytes`` characters: lower quality first, then fewer pixels.

    Raises:
        ValueError: if not even a thumbnail fits.
    """
    from PIL import Image

    height, width = picture.shape[:2]
    smaller, scale = picture, 1.0
    while min(smaller.shape[:2]) >= 8 or scale == 1.0:
        for quality in QUALITIES:
            uri = f"data:image/jpeg;base64,{base64.b64encode(encode_jpeg(smaller, quality)).decode()}"
            if len(uri) <= max_bytes:
                return uri
        scale *= SHRINK
        size = (round(width * scale), round(height * scale))
        if min(size) < 1:
            break
        smaller = np.array(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS))
    raise ValueError(f"a picture of {width}x{height} px does not fit into {max_bytes} bytes")


@cache
def font_of(size: int) -> FreeTypeFont:
    """Return DejaVu Sans, which matplotlib carries: the same letters on every machine, and more than Pillow's own."""
    from PIL import ImageFont

    (package,) = find_spec("matplotlib").submodule_search_locations  # type: ignore[union-attr, misc]
    return ImageFont.truetype(Path(package, "mpl-data/fonts/ttf/DejaVuSans.ttf"), size)


def _fit(picture: Picture, cell: int) -> Image.Image:
    from PIL import Image

    height, width = picture.shape[:2]
    scale = cell / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)


def _shortened(text: str, font: FreeTypeFont, width: float) -> str:
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text.rstrip() + "…"


def _colour(face: Face) -> Colour:
    return FACE_COLOURS[face.index % len(FACE_COLOURS)]


def _stroke(face: Face) -> int:
    return max(1, round(face.box.height / 160))


def _fixed(points: NDArray[np.floating]) -> NDArray[np.int32]:
    return np.round(points * (1 << SUBPIXEL)).astype(np.int32)


@cache
def _mesh_edges() -> NDArray[np.int32]:
    triangles = canonical_mesh().triangles
    edges = np.concatenate([triangles[:, (0, 1)], triangles[:, (1, 2)], triangles[:, (2, 0)]])
    return np.unique(np.sort(edges, axis=1), axis=0)


def _draw_mesh(canvas: Picture, face: Face) -> None:
    """Draw the mesh in light lines, fainter on small faces, so that the face stays visible."""
    import cv2

    height, width = canvas.shape[:2]
    x1, y1, x2, y2 = (round(side) for side in face.box.grown(1.1).clipped(width, height))
    if x2 <= x1 or y2 <= y1:
        return
    below = canvas[y1:y2, x1:x2]
    above = below.copy()
    lines = _fixed(face.mesh[:, :2] - (x1, y1))[_mesh_edges()]
    cv2.polylines(above, list(lines), False, WHITE, max(1, _stroke(face) // 2), cv2.LINE_AA, SUBPIXEL)
    opacity = MESH_OPACITY * min(1.0, max(0.35, face.box.height / 130))
    canvas[y1:y2, x1:x2] = cv2.addWeighted(below, 1 - opacity, above, opacity, 0)


def _draw_frame(canvas: Picture, face: Face) -> None:
    """Draw the box with strong corners."""
    import cv2

    x1, y1, x2, y2 = face.box
    outline = np.array([(x1, y1), (x2, y1), (x2, y2), (x1, y2)])
    arms = 0.12 * min(face.box.width, face.box.height) * np.array([(1, 1), (-1, 1), (-1, -1), (1, -1)])
    corners = [
        _fixed(np.array([(x + right, y), (x, y), (x, y + down)]))
        for (x, y), (right, down) in zip(outline, arms, strict=True)
    ]
    cv2.polylines(canvas, [_fixed(outline)], True, _colour(face), _stroke(face), cv2.LINE_AA, SUBPIXEL)
    cv2.polylines(canvas, corners, False, _colour(face), 2 * _stroke(face), cv2.LINE_AA, SUBPIXEL)


def _draw_axes(canvas: Picture, face: Face) -> None:
    import cv2

    right, up, forward = rotation_of(face.pose).T[:, :2] * (1, -1)
    start = face.points5[2]
    ends = start + 0.25 * face.box.height * np.array([right, -up, forward])
    for end, colour in zip(_fixed(ends), AXIS_COLOURS, strict=True):
        cv2.line(canvas, _fixed(start).tolist(), end.tolist(), colour, 2 * _stroke(face), cv2.LINE_AA, SUBPIXEL)


def _with_labels(canvas: Picture, faces: Sequence[Face]) -> Picture:
    """Write score and pose above each box, or below it where there is no room; on small faces the score alone."""
    from PIL import Image, ImageDraw

    height, width = canvas.shape[:2]
    picture = Image.fromarray(canvas)
    draw = ImageDraw.Draw(picture)
    for face in faces:
        font = font_of(int(np.clip(face.box.height * 0.06, 10, max(10, min(height, width) * 0.05))))
        score = f"{face.score:.2f}"
        text = "   ".join([score, *(f"{name} {value:+.0f}°" for name, value in face.pose._asdict().items())])
        if font.getlength(text) > 2 * face.box.width:
            text = score
        _write_at(draw, face.box, text, font, _colour(face), (width, height))
    return np.array(picture)


def _with_scores(canvas: Picture, boxes: Sequence[Box], labels: Sequence[str], scores: Sequence[float]) -> Picture:
    """Write class and score at each box, the surest last, so that it stays readable where they meet."""
    from PIL import Image, ImageDraw

    height, width = canvas.shape[:2]
    picture = Image.fromarray(canvas)
    draw = ImageDraw.Draw(picture)
    longer = max(height, width)
    looks = dict(zip(LABELS, zip(CLASS_COLOURS, CLASS_TITLES, strict=True), strict=True))
    for box, label, score in sorted(zip(boxes, labels, scores, strict=True), key=lambda known: known[2]):
        colour, title = looks[label]
        font = font_of(int(np.clip(box.height * 0.15, max(10, longer * 0.008), max(11, longer * 0.025))))
        whole, short = f"{title} {score:.2f}", f"{score:.2f}"
        text = whole if font.getlength(whole) <= 1.8 * box.width else short
        _write_at(draw, box, text, font, colour, (width, height))
    return np.array(picture)


def _write_at(draw: ImageDraw, box: Box, text: str, font: FreeTypeFont, colour: Colour, size: tuple[int, int]) -> None:
    """Write on a patch of colour above a box, or below it where there is no room, inside a picture of this size."""
    width, height = size
    pad = font.size * 0.3
    wide, high = font.getlength(text) + 2 * pad, font.size + 2 * pad
    above = box.y1 - high
    x = float(np.clip(box.x1, 0, max(0, width - wide)))
    y = float(np.clip(above if above >= 0 else box.y2, 0, max(0, height - high)))
    draw.rounded_rectangle((x, y, x + wide, y + high), radius=pad, fill=colour)
    draw.text((x + pad, y + high / 2), text, INK, font, anchor="lm")
