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

SHADES = (1.0, 0.6, 0.3)
SHOWN = 0.05
"""Parts of a bar below this share of the tallest one are not named."""


def plot_classes(counts: Mapping[str, Mapping[str, Counter[str]]]) -> bytes:
    """Plot boxes by class: a panel a split, bars stacked by where the pictures come from.

    Args:
        counts: split -> origin (up to three) -> boxes by class.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.6 * len(counts), 3.4), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(counts), squeeze=False)[0]
    names = [label.replace("_", "\n") for label in LABELS]
    tints = [tuple(np.array(colour) / 255) for colour in CLASS_COLOURS]
    for panel, (split, origins) in zip(panels, counts.items(), strict=True):
        tallest = max(sum(boxes[label] for boxes in origins.values()) for label in LABELS)
        below = np.zeros(len(LABELS))
        for (origin, boxes), shade in zip(origins.items(), SHADES, strict=False):
            values = np.array([boxes[label] for label in LABELS])
            panel.bar(names, values, bottom=below, color=[(*tint, shade) for tint in tints], edgecolor="white")
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
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=120, metadata={"Software": None})
    return data.getvalue()
