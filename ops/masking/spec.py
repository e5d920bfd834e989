"""What mask to draw on a face: drawn first, applied later."""

from __future__ import annotations

import hashlib
import struct
from bisect import bisect_right
from collections.abc import Mapping
from colorsys import hsv_to_rgb
from dataclasses import asdict, dataclass, field, fields
from functools import lru_cache
from itertools import accumulate
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ops.masking.wardrobe import Garment

CLASSIC = (
    "#fc1c1a", "#177ABC", "#94B6D2", "#A5AB81", "#DD8047", "#6b425e", "#e26d5a", "#c92c48", "#6a506d", "#ffc900",
    "#ffffff", "#000000", "#49ff00",
)  # fmt: skip
"""The 13 colours of the tool this project replaces."""

NATURAL: Mapping[str, Mapping[str, float]] = {
    "surgical": {"#a9cfe4": 8, "#8cc3dd": 5, "#f4f6f6": 4, "#a8d5c4": 2.5, "#1d1e21": 3, "#efc3cb": 1.2},
    "n95": {"#f3f2ec": 8, "#eceae2": 3, "#26272a": 1, "#8fb2cf": 0.8, "#b3b5b5": 1},
    "kn95": {"#f5f5f2": 8, "#eeeeea": 3, "#232427": 2, "#9fb6c9": 0.7, "#a7a9ab": 1},
    "duckbill": {"#f4f4f1": 6, "#9cc4dc": 2, "#eceae2": 2, "#2a2b2e": 1},
    "cloth": {
        "#1c1c1f": 5, "#2b3550": 3, "#6d6f73": 2, "#7b2734": 1.5, "#d9d4c8": 2, "#b04a43": 1, "#c9a23f": 1,
        "#4f6d52": 1, "#5f86ad": 1.5, "#c98fa0": 1, "#584a73": 1,
    },
    "gaiter": {"#1b1b1e": 5, "#2d3a55": 2, "#5d6166": 2, "#6b2e35": 1, "#3f5a46": 1, "#8a7a60": 1},
    "respirator": {"#3a3c40": 4, "#77797c": 3, "#2c4a6b": 1},
}  # fmt: skip
"""Usual colours of each kind with their weights."""

KINDS = tuple(NATURAL)
PALETTES = ("natural", "classic")
PATTERNS = ("plain", "checks", "plaid", "stripes", "dots", "floral", "camouflage", "motif", "gradient")
STATES = ("correct", "nose_out", "chin_out", "nose_and_mouth_out", "under_chin", "hanging")
STRAPS = ("loops", "bands", "none")
EARS = ("left", "right")

_USUAL = {"surgical": 8, "cloth": 5, "kn95": 3, "n95": 2, "gaiter": 1, "duckbill": 0.7, "respirator": 0.3}
_PRINTED = {"plain": 4, **dict.fromkeys(PATTERNS[1:], 1)}
_PATTERNED = {"cloth": 1.0, "gaiter": 1.0, "surgical": 0.12, "kn95": 0.1}
_DYED = {"cloth": 0.6, "gaiter": 0.5, "surgical": 0.3, "kn95": 0.15, "duckbill": 0.1, "n95": 0.06}
_VALVES = {"n95": 0.35, "kn95": 0.15, "duckbill": 0.15, "cloth": 0.2}
UNHUNG = ("gaiter", "respirator")
"""Kinds without loops to hang by: they are pulled under the chin instead."""

_STRAPS = {"n95": "bands", "duckbill": "bands", "respirator": "bands", "gaiter": "none"}


@dataclass(frozen=True, slots=True)
class MaskSpec:
    """One mask, every parameter of it.

    Attributes:
        kind: one of `KINDS`.
        colour: of the fabric, ``#rrggbb``.
        accent: second colour of the pattern, ``#rrggbb``.
        trim: colour of the binding along the edges, ``#rrggbb``.
        pattern: one of `PATTERNS`.
        garment: name of a user's own garment, whose texture takes the pattern's place; empty for none.
        strap_colour: ``#rrggbb``.
        straps: one of `STRAPS`.
        valves: exhalation valves, 0 to 2.
        state: how it is worn, one of `STATES`.
        ear: one of `EARS`, the viewer's left or right: where a hanging mask hangs, unless that ear is turned away.
        fit: size against the face, 1 is snug.
        creases: how creased it is, 1 is usual.
        y_offset: shift down the face as a share of its height (forehead to chin).
        rotation: turn in the face's plane in degrees, clockwise as the viewer sees it.
        texture_seed: of creases and pattern.
    """

    kind: str
    colour: str
    accent: str
    trim: str = "#f4f6f6"
    pattern: str = "plain"
    garment: str = ""
    strap_colour: str = "#f2f2f2"
    straps: str = "loops"
    valves: int = 0
    state: str = "correct"
    ear: str = "left"
    fit: float = 1.0
    creases: float = 1.0
    y_offset: float = 0.0
    rotation: float = 0.0
    texture_seed: int = 0

    def __post_init__(self) -> None:
        for name, value, allowed in (
            ("kind", self.kind, KINDS),
            ("pattern", self.pattern, PATTERNS),
            ("straps", self.straps, STRAPS),
            ("state", self.state, STATES),
            ("ear", self.ear, EARS),
        ):
            check_names(name, (value,), allowed)
        if self.valves not in (0, 1, 2):
            raise ValueError(f"valves: {self.valves}; allowed are 0, 1 and 2")
        for colour in (self.colour, self.accent, self.trim, self.strap_colour):
            parse_colour(colour)

    def as_row(self) -> dict[str, str | float | int]:
        """Return the parameters as a flat dict of plain values.

        >>> spec = draw_spec("portrait.jpg/0/1")
        >>> MaskSpec.from_row(spec.as_row()) == spec
        True
        """
        return asdict(self)

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> MaskSpec:
        """Return the spec that `as_row` wrote; further columns are ignored."""
        whole: dict[str, Any] = {"valves": int, "texture_seed": int}  # a column with gaps holds floats
        return cls(**{field.name: whole.get(field.name, lambda n: n)(row[field.name]) for field in fields(cls)})


@dataclass(frozen=True, slots=True)
class MaskSettings:
    """What masks may be drawn.

    Names may be given as a sequence, all as likely, or as a mapping from name to weight.

    Attributes:
        kinds: of `KINDS`.
        garments: the user's own; each takes its weight beside the kinds' joint weight of 1.
        colours: "natural" (usual ones for the kind), "classic" (`CLASSIC`), or ``#rrggbb``.
        dyed: share of each kind in any other colour, where colours are "natural".
        patterns: of `PATTERNS`.
        patterned: share of each kind whose pattern is drawn; the rest is plain.
        valves: share of each kind that has a valve or two.
        states: of `STATES`.
        y_offset: least and greatest shift down the face, as a share of its height.
        rotation: least and greatest turn in degrees.
        fit: least and greatest size against the face.
        seed: of all draws.
    """

    kinds: Iterable[str] | Mapping[str, float] = field(default_factory=lambda: dict(_USUAL))
    garments: tuple[Garment, ...] = ()
    colours: str | Iterable[str] | Mapping[str, float] = "natural"
    dyed: Mapping[str, float] = field(default_factory=lambda: dict(_DYED))
    patterns: Iterable[str] | Mapping[str, float] = field(default_factory=lambda: dict(_PRINTED))
    patterned: Mapping[str, float] = field(default_factory=lambda: dict(_PATTERNED))
    valves: Mapping[str, float] = field(default_factory=lambda: dict(_VALVES))
    states: Iterable[str] | Mapping[str, float] = ("correct",)
    y_offset: tuple[float, float] = (-0.02, 0.03)
    rotation: tuple[float, float] = (-5.0, 5.0)
    fit: tuple[float, float] = (0.96, 1.06)
    seed: int = 0

    def __post_init__(self) -> None:
        for name, allowed in (("kinds", KINDS), ("patterns", PATTERNS), ("states", STATES)):
            chosen = weights(name, getattr(self, name))
            check_names(name, chosen, allowed)
            object.__setattr__(self, name, chosen)
        for name in ("dyed", "patterned", "valves"):
            shares = {kind: _number(name, share, 0, 1) for kind, share in getattr(self, name).items()}
            check_names(name, shares or KINDS, KINDS)
            object.__setattr__(self, name, shares)
        if isinstance(self.colours, str):
            check_names("colours", (self.colours,), PALETTES)
        else:
            object.__setattr__(self, "colours", weights("colours", self.colours))
            for colour in self.colours:
                parse_colour(colour)
        for name, low, high in (("y_offset", -0.5, 0.5), ("rotation", -45, 45), ("fit", 0.5, 2)):
            ends = tuple(_number(name, end, low, high) for end in getattr(self, name))
            if len(ends) != 2 or not ends[0] <= ends[1]:
                told = " to ".join(map(str, ends))
                raise ValueError(f"{name}: {told} is no range; give two numbers, the first not above the second")
            object.__setattr__(self, name, ends)

    def as_key(self) -> dict[str, Any]:
        """Return what decides the masks, as plain values: of the user's garments what they are, not where they lie."""
        own = [{**asdict(garment), "texture": None} for garment in self.garments]
        return {**{field.name: getattr(self, field.name) for field in fields(self)}, "garments": own}


def draw_spec(key: str, settings: MaskSettings | None = None) -> MaskSpec:
    """Draw a mask for ``key``, which names the picture, the face and the variant.

    The same key and settings give the same mask on every machine, whatever else was drawn before.
    """
    settings = settings or MaskSettings()
    draws = [
        word / 2**32
        for part in ("", "/dye")
        for word in struct.unpack("<16I", hashlib.blake2b(f"{settings.seed}/{key}{part}".encode()).digest())
    ]
    kinds = weights("kinds", settings.kinds)
    own = {garment.name: garment.weight * sum(kinds.values()) for garment in settings.garments}
    name = pick(draws[0], {**kinds, **own})
    garment = next((garment for garment in settings.garments if garment.name == name), None)
    kind = garment.kind if garment else name
    printed = draws[16] < settings.patterned.get(kind, 0.0) and not garment
    pattern = pick(draws[1], weights("patterns", settings.patterns)) if printed else "plain"
    natural = settings.colours == "natural"
    if isinstance(settings.colours, str):
        choices = dict(NATURAL[kind]) if natural else dict.fromkeys(CLASSIC, 1.0)
    else:
        choices = weights("colours", settings.colours)
    colour = pick(draws[2], choices)
    if natural:
        any_colour = draws[17] < settings.dyed.get(kind, 0.0)
        colour = _dye(*draws[18:21]) if any_colour else _shifted(colour, draws[18:21])
    accents = {name: weight for name, weight in choices.items() if _apart(name, colour)}
    accents |= {name: sum(accents.values()) or 1.0 for name in ("#f4f4f2", "#26272a") if _apart(name, colour)}
    accent = pick(draws[3], accents)
    dark = sum(parse_colour(colour)) < 0.9
    same = draws[4] < (0.6 if kind == "cloth" else 0.25)
    bound = {"surgical": 0.0 if dark else 0.4, "cloth": 0.3}.get(kind, 0.0)
    trims = {
        "surgical": _lighter(colour) if draws[11] < 0.5 else "#f6f7f7",
        "cloth": accent if draws[11] < 0.5 else "#1b1b1d",
    }
    state = pick(draws[5], weights("states", settings.states))
    valved = draws[12] < settings.valves.get(kind, 0.0) and not garment
    return MaskSpec(
        kind=kind,
        colour=colour,
        accent=accent,
        trim=trims[kind] if draws[10] < bound and not garment else colour,
        pattern=pattern,
        garment=garment.name if garment else "",
        strap_colour=garment.strap_colour if garment else colour if same else "#1b1b1d" if dark else "#f1f1ef",
        straps=garment.straps if garment else _STRAPS.get(kind, "loops"),
        valves=0 if not valved else 2 if kind == "cloth" and draws[13] < 0.25 else 1,
        state="under_chin" if state == "hanging" and kind in UNHUNG else state,
        ear=EARS[int(draws[14] * 2)],
        fit=round(_between(draws[6], settings.fit), 4),
        creases=round(0.5 + draws[15], 3),
        y_offset=round(_between(draws[7], settings.y_offset), 4),
        rotation=round(_between(draws[8], settings.rotation), 2),
        texture_seed=int(draws[9] * 2**31),
    )


@lru_cache(maxsize=256)
def parse_colour(text: str) -> tuple[float, float, float]:
    """Return ``#rrggbb`` as three floats in [0, 1]; raises ValueError for anything else."""
    try:
        if len(text) != 7 or text[0] != "#" or not (text.isascii() and text[1:].isalnum()):
            raise ValueError
        return int(text[1:3], 16) / 255, int(text[3:5], 16) / 255, int(text[5:7], 16) / 255
    except ValueError:
        raise ValueError(f"colour {text!r}: expected #rrggbb, such as #94B6D2") from None


def _dye(hue: float, depth: float, light: float) -> str:
    """Return any colour that cloth is dyed in, more often strong than pale."""
    value = 0.35 + 0.63 * light**0.6
    rgb = hsv_to_rgb(hue, min(0.15 + 0.8 * depth**0.7, 0.72 / value), value)
    return "#" + "".join(f"{round(255 * part):02x}" for part in rgb)


def _apart(one: str, other: str) -> bool:
    """Tell whether two colours can be told apart on cloth."""
    return max(abs(a - b) for a, b in zip(parse_colour(one), parse_colour(other), strict=True)) > 0.15


def _shifted(colour: str, draws: Iterable[float]) -> str:
    """Return a colour as another maker would dye it."""
    moved = (part + 0.07 * (draw - 0.5) for part, draw in zip(parse_colour(colour), draws, strict=True))
    return "#" + "".join(f"{round(255 * min(max(part, 0.0), 1.0)):02x}" for part in moved)


def _lighter(colour: str) -> str:
    """Return a colour half way to white."""
    return "#" + "".join(f"{round(255 * (0.5 + 0.5 * part)):02x}" for part in parse_colour(colour))


def weights(what: str, choices: Iterable[str] | Mapping[str, float]) -> dict[str, float]:
    """Return names with their weights; a plain sequence weighs all the same.

    Raises:
        ValueError: there is no name, a weight is no number from 0 on, or all are 0.
    """
    named = dict(choices) if isinstance(choices, Mapping) else dict.fromkeys(choices, 1.0)
    if not named:
        raise ValueError(f"{what}: none given")
    named = {name: _number(what, weight, 0, 1e6) for name, weight in named.items()}
    if not any(named.values()):
        raise ValueError(f"{what}: all weights are 0")
    return named


def _number(what: str, value: float, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ValueError(f"{what}: {value!r}; expected a number from {low:g} to {high:g}")
    return float(value)


def pick(draw: float, weights: Mapping[str, float]) -> str:
    """Return the name at ``draw`` in [0, 1); the order in which the names are given does not matter."""
    names = sorted(weights)
    shares = list(accumulate(weights[name] for name in names))
    return names[bisect_right(shares, draw * shares[-1])]


def check_names(what: str, names: Iterable[str], allowed: tuple[str, ...]) -> None:
    """Raise ValueError when a name is not allowed, or when there is none."""
    names = list(names)
    unknown = [name for name in names if name not in allowed]
    if unknown or not names:
        raise ValueError(f"{what}: {', '.join(map(repr, unknown)) or 'none given'}; allowed are {', '.join(allowed)}")


def _between(draw: float, ends: tuple[float, float]) -> float:
    return ends[0] + draw * (ends[1] - ends[0])
