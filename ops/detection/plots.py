"""Plots of datasets, as PNG files: the same numbers give the same bytes."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

from ops.masking import LABELS
from ops.pictures import CLASS_COLOURS

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Mapping

    from matplotlib.figure import Figure

TINTS = [(red / 255, green / 255, blue / 255) for red, green, blue in CLASS_COLOURS]
NAMES = [label.replace("_", "\n") for label in LABELS]
SHADES = (1.0, 0.6, 0.3)
SHOWN = 0.05
"""Parts of a bar below this share of the tallest one are not named."""


def plot_classes(counts: Mapping[str, Mapping[str, Counter[str]]]) -> bytes:
    """Plot boxes by class: a panel a split, bars stacked by where the pictures come from.

    Args:
        counts: split -> origin (up to three) -> boxes by class.
    """
    figure = new_figure(3.6 * len(counts), 3.4)
    panels = figure.subplots(1, len(counts), squeeze=False)[0]
    for panel, (split, origins) in zip(panels, counts.items(), strict=True):
        tallest = max(sum(boxes[label] for boxes in origins.values()) for label in LABELS)
        below = np.zeros(len(LABELS))
        for (origin, boxes), shade in zip(origins.items(), SHADES, strict=False):
            values = np.array([boxes[label] for label in LABELS])
            panel.bar(NAMES, values, bottom=below, color=[(*tint, shade) for tint in TINTS], edgecolor="white")
            for place, value in enumerate(values):
                if value > SHOWN * tallest:
                    panel.text(place, below[place] + value / 2, f"{origin} {value}", ha="center", va="center", size=7)
            below += values
        for place, total in enumerate(below):
            panel.text(place, total, f"{total:.0f}", ha="center", va="bottom", size=8, weight="bold")
        panel.set_title(f"{split}: {below.sum():.0f} boxes", size=10)
        panel.margins(y=0.12)
        panel.spines[["top", "right"]].set_visible(False)
        panel.tick_params(labelsize=7)
    return png(figure)


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure, ``width`` x ``height`` inches, that no window and no other figure knows of."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def png(figure: Figure) -> bytes:
    """Return a figure as a PNG file without anything that tells when and by what it was made."""
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=120, metadata={"Software": None})
    return data.getvalue()
