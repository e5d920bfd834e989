"""How a training went, as a picture: the same epochs give the same bytes."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

from ops.detection.plots import new_figure, png

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, FAINT = "#2d333d", "#d5d9e0"
COLOURS = ("#2f6fb0", "#d1661c", "#3f8f4f", "#8a5bb5")
JUDGED = {"val/ap50": "AP50", "val/ap50_95": "AP50-95", "val/precision": "precision", "val/recall": "recall"}


def plot_curves(epochs: Sequence[Mapping[str, float]], best: int) -> bytes:
    """Plot losses, average precision and learning rate over epochs, with a line at the one whose weights are kept.

    Args:
        epochs: rows of a training's table, from epoch 1 on.
        best: the epoch that is kept.
    """
    figure = new_figure(12, 3.6)
    losses, judged, rate = figure.subplots(1, 3)
    steps = [row["epoch"] for row in epochs]
    dot = "o" if len(epochs) < 25 else ""
    names = [name.removeprefix("train/") for name in epochs[0] if name.startswith("train/")]
    for name, colour in zip(names, COLOURS, strict=False):
        title = name.removesuffix("_loss").replace("cls", "class")
        # each loss has its own scale; what tells is how it falls
        first = epochs[0][f"train/{name}"] or 1.0
        for part, style in (("train", "-"), ("val", ":")):
            values = [row[f"{part}/{name}"] / first for row in epochs]
            losses.plot(steps, values, style, color=colour, marker=dot, markersize=3, label=f"{title}, {part}")
    for (name, title), colour in zip(JUDGED.items(), COLOURS, strict=True):
        judged.plot(steps, [row[name] for row in epochs], color=colour, marker=dot, markersize=3, label=title)
    rate.plot(steps, [row["lr"] for row in epochs], color=INK, marker=dot, markersize=3)
    titles = ("losses, as shares of the first", f"validation split; epoch {best} is kept", "learning rate")
    return _finished(figure, (losses, judged, rate), titles, best)


def plot_epochs(epochs: Sequence[Mapping[str, float]], best: int) -> bytes:
    """Plot losses, and each figure of the validation split, over epochs, with a line at the one whose weights are kept.

    Args:
        epochs: by name ``epoch``, ``train/...`` and ``val/...``, from epoch 1 on; a loss may begin later.
        best: the epoch that is kept.
    """
    trained, judged = (
        [name for name in dict.fromkeys(key for row in epochs for key in row) if name.startswith(part)]
        for part in ("train/", "val/")
    )
    figure = new_figure(4 * (1 + len(judged)), 3.6)
    panels = figure.subplots(1, 1 + len(judged))
    steps = [row["epoch"] for row in epochs]
    dot = "o" if len(epochs) < 25 else ""
    for name, colour in zip(trained, COLOURS * 2, strict=False):
        values = [row.get(name, float("nan")) for row in epochs]
        # each loss has its own scale, and those of adversaries change their sign; what tells is how they go
        scale = max((abs(value) for value in values if isfinite(value)), default=0.0) or 1.0
        style = "-" if trained.index(name) < len(COLOURS) else ":"
        shares = [value / scale for value in values]
        label = name.removeprefix("train/").replace("_", " ")
        panels[0].plot(steps, shares, style, color=colour, marker=dot, markersize=3, label=label)
    for panel, name in zip(panels[1:], judged, strict=True):
        label = name.removeprefix("val/")
        panel.plot(steps, [row[name] for row in epochs], color=COLOURS[0], marker=dot, markersize=3, label=label)
    titles = ("losses, as shares of the largest", *(name.removeprefix("val/") for name in judged))
    return _finished(figure, panels, titles, best, low=None)


def _finished(figure: Figure, panels: Sequence[Axes], titles: Sequence[str], best: int, low: float | None = 0) -> bytes:
    """Title the panels, which are over epochs, mark the epoch that is kept, and return the figure as PNG."""
    for panel, title in zip(panels, titles, strict=True):
        panel.set_title(title, size=10, color=INK)
        panel.set_xlabel("epoch", size=8)
        panel.set_ylim(bottom=low)
        panel.grid(color=FAINT, linewidth=0.6)
        panel.spines[["top", "right"]].set_visible(False)
        panel.tick_params(labelsize=7)
        panel.xaxis.get_major_locator().set_params(integer=True)  # type: ignore[call-arg]
    for panel in [panel for panel in panels if panel.get_legend_handles_labels()[0]]:
        panel.axvline(best, color=INK, linewidth=0.8, linestyle="--")
        panel.legend(fontsize=7, frameon=False)
    return png(figure)
