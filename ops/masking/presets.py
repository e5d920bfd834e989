"""Named distributions of masks, and how a user's wishes change them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ops.masking.spec import MaskSettings, check_names
from ops.masking.wardrobe import load_garments

if TYPE_CHECKING:
    from collections.abc import Mapping

_STREET = MaskSettings()
PRESETS: Mapping[str, MaskSettings] = {
    "street": _STREET,
    "careless": replace(
        _STREET,
        states={
            "correct": 0.4,
            "nose_out": 0.2,
            "under_chin": 0.13,
            "nose_and_mouth_out": 0.12,
            "chin_out": 0.1,
            "hanging": 0.05,
        },
    ),
    "clinic": replace(
        _STREET,
        kinds={"surgical": 0.6, "n95": 0.2, "kn95": 0.1, "duckbill": 0.08, "respirator": 0.02},
        fit=(0.98, 1.04),
    ),
    "seed_000": MaskSettings(
        kinds=("surgical", "n95", "cloth"),
        colours="classic",
        patterns={"plain": 0.5, "checks": 0.125, "stripes": 0.125, "dots": 0.125, "floral": 0.125},
        patterned={"surgical": 1.0, "n95": 1.0, "cloth": 1.0},
        valves={},
        y_offset=(-0.05, 0.1),
        rotation=(-5.0, 5.0),
        fit=(1.0, 1.0),
    ),
}
"""What is worn in the street; the same worn carelessly; in a clinic; and what the tool that this project replaces drew:
three kinds, thirteen colours or a print at even odds, shifted by -10 to 20 px of a face about 200 px high."""


def chosen(preset: str, *, seed: int = 0, garments: Path | None = None, **wishes: Any) -> MaskSettings:
    """Return a preset's settings with a user's wishes in place of its own.

    Args:
        preset: one of `PRESETS`.
        seed: of all draws.
        garments: folder of the user's own garments.
        wishes: fields of `MaskSettings`; empty ones leave the preset's.

    Raises:
        ValueError: the preset is unknown, or a wish or garment is wrong.
    """
    check_names("preset", (preset,), tuple(PRESETS))
    if garments and not garments.is_dir():
        raise ValueError(f"garments: {garments} is no folder")
    own = load_garments(garments) if garments else ()
    return replace(PRESETS[preset], seed=seed, garments=own, **{name: wish for name, wish in wishes.items() if wish})
