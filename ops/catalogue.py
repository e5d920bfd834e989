"""A catalogue of masks: sheets and a page that show every kind, colour, pattern, wear state and yaw on a face."""

from __future__ import annotations

import base64
from colorsys import rgb_to_hsv
from dataclasses import replace
from html import escape
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ops import images
from ops.files import write_atomic
from ops.mannequin import mannequin
from ops.masking import KINDS, PRESETS, STATES, MaskSettings, chosen, draw_spec, prepare, render, visible_fractions
from ops.masking.spec import NATURAL, PATTERNS, STRAPS, UNHUNG, check_names, parse_colour
from ops.pictures import INK, PAPER, contact_sheet, font_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ops.masking import Garment, MaskSpec, PreparedFace
    from ops.records import Face, Picture

YAWS = (-75, -50, -25, 0, 25, 50, 75)
DRAWS = 12
"""Masks shown of each preset."""

LARGEST = 250_000
"""Bytes of a sheet."""

_WIDTH, _GAP, _HEADING = 1016, 8, 40  # pixels of a sheet, between its cells, and of a heading
_SHOWN = 1.7  # how much of a portrait: heights of the face,
_BELOW = 0.12  # and how far below the face's middle
_STILL: dict[str, Any] = {"y_offset": (0, 0), "rotation": (0, 0), "fit": (1, 1), "valves": {}, "patterned": {}}
_HUES = {15: "red", 42: "orange", 65: "yellow", 170: "green", 190: "teal", 255: "blue", 300: "purple", 345: "pink"}


class Sitter(NamedTuple):
    """Whoever a mask is tried on, and x, y and side of the square that is shown."""

    pixels: Picture
    face: Face
    prepared: PreparedFace
    shown: tuple[int, int, int]


class Cell(NamedTuple):
    """A picture and the lines below it."""

    picture: Picture
    lines: tuple[str, ...]


class Sheet(NamedTuple):
    """A subject of the catalogue: rows of cells under a heading each."""

    name: str
    title: str
    note: str
    columns: int
    rows: dict[str, list[Cell]]


def make_catalogue(
    folder: Path,
    portraits: Sequence[tuple[Picture, Face]],
    garments: tuple[Garment, ...] = (),
    presets: Sequence[str] = tuple(PRESETS),
    *,
    seed: int = 0,
) -> list[Path]:
    """Write ``catalogue_*.jpg``, a sheet a subject, and ``index.html``, a page that needs no other file.

    Args:
        folder: made where it is missing; an earlier sheet of own garments is removed where there are none now.
        portraits: frontal faces to try masks on, one or more.
        garments: the user's own.
        presets: whose draws to show.
        seed: of these draws.

    Returns:
        The files, the page last.

    Raises:
        ValueError: there is no such preset.
    """
    check_names("preset", presets, tuple(PRESETS))
    sitters = [Sitter(pixels, face, prepare(pixels, face), _shown(pixels, face)) for pixels, face in portraits]
    sheets = [
        _overview(sitters),
        _kinds(sitters),
        _patterns(sitters),
        _details(sitters),
        _states(sitters),
        _yaws(),
        _drawn(sitters, presets, seed),
    ]
    if garments:
        sheets.append(_own(sitters, garments))
    files = {f"catalogue_{sheet.name}.jpg": _jpeg(_laid_out(sheet)) for sheet in sheets}
    files["index.html"] = _page(sheets).encode()
    folder.mkdir(parents=True, exist_ok=True)
    if not garments:
        (folder / "catalogue_own.jpg").unlink(missing_ok=True)
    for name, data in files.items():
        write_atomic(folder / name, data)
    return [folder / name for name in files]


def _overview(sitters: Sequence[Sitter]) -> Sheet:
    looks = [
        _spec("surgical"),
        _spec("kn95", "#232427"),
        _printed("cloth", "checks", 1),
        replace(_spec("n95"), valves=1),
        _printed("gaiter", "plaid", 1),
    ]
    cells = []
    for sitter in sitters:
        x, y, side = sitter.shown
        cells.append(Cell(sitter.pixels[y : y + side, x : x + side], ("as photographed",)))
        cells += [_cell(sitter, look, look.kind) for look in looks]
    return Sheet("overview", "At a glance", "The same portraits, bare and masked.", 1 + len(looks), {"masks": cells})


def _kinds(sitters: Sequence[Sitter]) -> Sheet:
    rows = {}
    for kind, colours in NATURAL.items():
        common = sorted(colours, key=lambda colour: -colours[colour])
        rows[kind] = [
            _cell(sitter, _spec(kind, colour), _named(colour), colour)
            for colour, sitter in zip(common, cycle(sitters), strict=False)
        ]
    return Sheet("kinds", "Kinds and colours", "Every built-in kind in its usual colours, commonest first.", 6, rows)


def _patterns(sitters: Sequence[Sitter]) -> Sheet:
    printed, rows = PATTERNS[1:], {}
    for first, (kind, share) in enumerate(MaskSettings().patterned.items()):
        shown = printed if share == 1 else printed[first % 2 :: 2]
        rows[kind] = [
            _cell(sitter, _printed(kind, pattern, n), pattern)
            for n, (pattern, sitter) in enumerate(zip(shown, cycle(sitters), strict=False))
        ]
    return Sheet("patterns", "Patterns", "Drawn anew for each mask; any kind can have any of them.", 4, rows)


def _printed(kind: str, pattern: str, n: int) -> MaskSpec:
    colours = list(NATURAL[kind])
    colour, other = colours[n % len(colours)], colours[(n + 4) % len(colours)]
    if abs(_light(colour) - _light(other)) < 0.6:
        other = "#f4f4f2" if _light(colour) < 1.8 else "#35597a"
    return replace(_spec(kind, colour), pattern=pattern, accent=other, texture_seed=n)


def _details(sitters: Sequence[Sitter]) -> Sheet:
    side, rows = _dummy(40), {}
    valved = [(kind, valves) for kind in MaskSettings().valves for valves in ((1, 2) if kind == "cloth" else (1,))]
    rows["valves"] = [
        _cell(sitter, replace(_spec(kind, max(NATURAL[kind], key=_light)), valves=valves), kind, f"valves: {valves}")
        for (kind, valves), sitter in zip(valved, cycle(sitters), strict=False)
    ]
    strapped = [(kind, straps) for kind in ("surgical", "n95") for straps in STRAPS]
    rows["straps"] = [
        _cell(side, replace(_spec(kind), straps=straps), kind, f"straps: {straps}") for kind, straps in strapped
    ]
    return Sheet("details", "Valves and straps", "The kinds that may have valves; what holds a mask.", 6, rows)


def _states(sitters: Sequence[Sitter]) -> Sheet:
    rows = {}
    for kind, sitter in zip(KINDS, cycle(sitters), strict=False):
        rows[kind] = [
            _worn(sitter, replace(_spec(kind), state=state))
            for state in STATES
            if state != "hanging" or kind not in UNHUNG
        ]
    note = "Below each: how it was meant to be worn; the mask_state measured on the picture; its label."
    return Sheet("states", "Wear states", note, len(STATES), rows)


def _worn(sitter: Sitter, spec: MaskSpec) -> Cell:
    """Return a cell that tells what the mask leaves to be seen."""
    region = render(sitter.pixels, sitter.face, spec, prepared=sitter.prepared).full_region()
    visible = visible_fractions(sitter.face, region, sitter.prepared.front_part)
    return _cell(sitter, spec, spec.state, visible.state, visible.label)


def _yaws() -> Sheet:
    dummies = [_dummy(yaw) for yaw in YAWS]
    rows = {
        kind: [_cell(dummy, _spec(kind), _degrees(yaw)) for dummy, yaw in zip(dummies, YAWS, strict=True)]
        for kind in KINDS
    }
    return Sheet("yaws", "Turned heads", "Yaw in degrees, positive to the viewer's right.", len(YAWS), rows)


def _drawn(sitters: Sequence[Sitter], presets: Sequence[str], seed: int) -> Sheet:
    rows = {}
    for preset in presets:
        settings = chosen(preset, seed=seed)
        specs = [draw_spec(f"{preset}/{n}", settings) for n in range(DRAWS)]
        rows[preset] = [
            _cell(sitter, spec, spec.kind, spec.state) for spec, sitter in zip(specs, cycle(sitters), strict=False)
        ]
    return Sheet("presets", "Presets", f"The first {DRAWS} draws of each.", 6, rows)


def _own(sitters: Sequence[Sitter], garments: tuple[Garment, ...]) -> Sheet:
    yaws, rows = (-50, 0, 50), {}
    worn = [*((sitter, "") for sitter in sitters[:2]), *((_dummy(yaw), _degrees(yaw)) for yaw in yaws)]
    for garment in garments:
        shop = _spec(garment.kind)
        spec = replace(shop, garment=garment.name, straps=garment.straps, strap_colour=garment.strap_colour)
        texture = Cell(images.read(Path(garment.texture)), (f"cut: {garment.kind}", f"weight: {garment.weight:g}"))
        rows[garment.name] = [texture, *(_cell(sitter, spec, line, garments=garments) for sitter, line in worn)]
    return Sheet("own", "Your own garments", "The texture as it lies flat, and worn.", 6, rows)


def _spec(kind: str, colour: str | None = None) -> MaskSpec:
    """Return a kind as it hangs in the shop: plain, straight, without a valve."""
    colour = colour or next(iter(NATURAL[kind]))
    return draw_spec(f"{kind}/{colour}", MaskSettings(kinds=(kind,), colours=(colour,), **_STILL))


def _cell(sitter: Sitter, spec: MaskSpec, *lines: str, garments: tuple[Garment, ...] = ()) -> Cell:
    worn = render(sitter.pixels, sitter.face, spec, prepared=sitter.prepared, garments=garments)
    x, y, side = sitter.shown
    return Cell(worn.picture[y : y + side, x : x + side], lines)


def _shown(pixels: Picture, face: Face) -> tuple[int, int, int]:
    """Return the square around a face and the neck."""
    height, width = pixels.shape[:2]
    side = min(round(_SHOWN * face.box.height), height, width)
    x, y = face.box.center
    left = min(max(round(x - side / 2), 0), width - side)
    return left, min(max(round(y + _BELOW * face.box.height - side / 2), 0), height - side), side


def _dummy(yaw: float) -> Sitter:
    """Return a mannequin, in sharp white light."""
    pixels, face = mannequin(yaw, 240)
    prepared = prepare(pixels, face)
    light = prepared.light._replace(white=0.95, cast=np.ones(3), saturation=1.0, blur=0.5, grain=0.0, quality=0)
    return Sitter(pixels, face, replace(prepared, light=light), (0, 0, len(pixels)))


def _degrees(yaw: int) -> str:
    return f"{yaw:+d}°" if yaw else "0°"


def _light(colour: str) -> float:
    return sum(parse_colour(colour))


def _named(colour: str) -> str:
    """Return a plain word for a colour."""
    hue, saturation, value = rgb_to_hsv(*parse_colour(colour))
    if value < 0.22:
        return "black"
    if saturation < 0.15:
        return "white" if value > 0.9 else "light grey" if value > 0.8 else "grey"
    word = next((name for end, name in _HUES.items() if 360 * hue < end), "red")
    if word in ("orange", "yellow") and value < 0.6:
        return "brown"
    if word in ("red", "pink") and value > 0.7 and saturation < 0.4:
        return "pink"
    return f"dark {word}" if value < 0.5 else f"light {word}" if saturation < 0.4 and value > 0.7 else word


def _laid_out(sheet: Sheet) -> Picture:
    """Draw a sheet: heading, row, heading, row."""
    from PIL import Image, ImageDraw

    cell = (_WIDTH - _GAP) // sheet.columns - _GAP
    rows = [
        contact_sheet(
            [cell.picture for cell in cells],
            ["\n".join(cell.lines) for cell in cells],
            columns=sheet.columns, cell=cell, gap=_GAP,
        )
        for cells in sheet.rows.values()
    ]  # fmt: skip
    height = sum(row.shape[0] + _HEADING for row in rows)
    paper = Image.new("RGB", (_WIDTH, height), PAPER)
    draw, y = ImageDraw.Draw(paper), 0
    for heading, row in zip(sheet.rows, rows, strict=True):
        draw.text((_GAP + 2, y + _HEADING * 0.6), heading, INK, font_of(20), anchor="lm")
        paper.paste(Image.fromarray(row), (0, y + _HEADING))
        y += _HEADING + row.shape[0]
    return np.array(paper)


def _jpeg(pixels: Picture) -> bytes:
    """Encode as well as `LARGEST` allows."""
    for quality in range(92, 40, -4):
        data = images.encode_jpeg(pixels, quality)
        if len(data) <= LARGEST:
            break
    return data


_STYLE = """
:root { color-scheme: light dark; --paper: #f4f5f7; --ink: #2d333d; --soft: #6b7482; --line: #dfe3e8; }
@media (prefers-color-scheme: dark) { :root { --paper: #16191d; --ink: #e4e7ec; --soft: #98a1ae; --line: #2c323a; } }
body { margin: 0 auto; max-width: 76rem; padding: 2rem 1.25rem 4rem; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.9rem; margin: 0; } h2 { margin: 3rem 0 0; padding-top: 1rem; border-top: 1px solid var(--line); }
h3 { margin: 1.5rem 0 .5rem; font-size: 1rem; } p { margin: .25rem 0; color: var(--soft); } a { color: inherit; }
nav { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; margin-top: 1rem; }
.row { display: grid; grid-template-columns: repeat(auto-fill, minmax(9.5rem, 1fr)); gap: .9rem .75rem; }
figure { margin: 0; } img { display: block; width: 100%; aspect-ratio: 1; object-fit: contain; border-radius: 6px; }
figcaption { margin-top: .3rem; font-size: .8rem; line-height: 1.35; color: var(--soft); overflow-wrap: anywhere; }
figcaption :first-child { color: var(--ink); }
"""


def _page(sheets: Sequence[Sheet]) -> str:
    links = "".join(f'<a href="#{sheet.name}">{escape(sheet.title)}</a>' for sheet in sheets)
    return (
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>Maskline: catalogue of masks</title>\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<style>{_STYLE}</style>\n'
        f"<h1>Masks</h1><nav>{links}</nav>\n{''.join(map(_section, sheets))}</html>\n"
    )


def _section(sheet: Sheet) -> str:
    rows = "".join(
        f'<h3>{escape(heading)}</h3><div class="row">\n{"".join(_figure(heading, cell) for cell in cells)}</div>\n'
        for heading, cells in sheet.rows.items()
    )
    note = f'{escape(sheet.note)} <a href="catalogue_{sheet.name}.jpg">As one picture</a>'
    return f'<section id="{sheet.name}"><h2>{escape(sheet.title)}</h2><p>{note}</p>\n{rows}</section>\n'


def _figure(heading: str, cell: Cell) -> str:
    from PIL import Image

    small = Image.fromarray(cell.picture)
    small.thumbnail((240, 240), Image.Resampling.LANCZOS)
    data = base64.b64encode(images.encode_jpeg(np.array(small), 85)).decode()
    told = "".join(f"<div>{escape(line)}</div>" for line in cell.lines)
    alt = escape(", ".join([heading, *cell.lines]))
    return f'<figure><img alt="{alt}" src="data:image/jpeg;base64,{data}"><figcaption>{told}</figcaption></figure>\n'
