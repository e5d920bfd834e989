"""Plots of how good a detector is, as PNG files: the same numbers give the same bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ops.detection.mistakes import MISTAKES, NOTHING, shares
from ops.detection.plots import NAMES, TINTS, new_figure, png
from ops.detection.scoring import CONFIDENCES, RECALLS, SIZES
from ops.masking import LABELS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes

    from ops.detection.evaluation import Rated
    from ops.detection.matching import Ints, Reals
    from ops.detection.scoring import Curves, Scores

INK = "#2d333d"
FAINT = "#d5d9e0"
SHADE = 0.82
"""What the colours of classes are multiplied with: on white paper they are too light."""

COLOURS = [tuple(SHADE * part for part in tint) for tint in TINTS]
MEAN = "mean of classes"
WORDS = [label.replace("_", " ") for label in LABELS]


def plot_pr(curves: Curves, scores: Scores) -> bytes:
    """Plot precision over recall at IoU .5, a line a class and their mean; AP50 in the legend."""
    aps = [each.ap50 for each in scores.per_class]
    captions = [f"{name}: AP50 {ap:.3f}" for name, ap in zip([*WORDS, MEAN], [*aps, scores.ap50], strict=True)]
    return _lines(RECALLS, curves.precision_at_recall, captions, ("recall", "precision"), "Precision over recall")


def plot_over_threshold(values: Reals, thresholds: Sequence[float], name: str) -> bytes:
    """Plot what :class:`Curves` holds over the score's threshold, with a dot at each class's own.

    Args:
        values: ``(101, 3)``.
        thresholds: one a class.
        name: of the values.
    """
    at = [float(np.interp(threshold, CONFIDENCES, values[:, i])) for i, threshold in enumerate(thresholds)]
    dots = list(zip(thresholds, at, strict=True))
    captions = [f"{word}: {value:.2f} at {threshold:.2f}" for word, (threshold, value) in zip(WORDS, dots, strict=True)]
    return _lines(CONFIDENCES, values, [*captions, MEAN], ("threshold", name), f"{name} over threshold", dots)


def plot_confusion(matrix: Ints, *, normalised: bool) -> bytes:
    """Plot a confusion matrix: annotated faces in rows, what they were taken for in columns, nothing last.

    Args:
        matrix: ``(4, 4)``, from :func:`ops.detection.mistakes.confusion`.
        normalised: each row divided by its sum.
    """
    part = shares(matrix)
    shown = part if normalised else matrix
    figure = new_figure(5.2, 4.6)
    panel = figure.subplots()
    panel.imshow(np.nan_to_num(part), cmap="Blues", vmin=0, vmax=1)
    for (row, column), value in np.ndenumerate(shown):
        never = np.isnan(value) or row == column == len(NAMES)  # nothing taken for nothing can't be counted
        text = "" if never else f"{value:.2f}" if normalised else f"{value}"
        tint = "white" if part[row, column] > 0.5 else INK
        panel.text(column, row, text, ha="center", va="center", size=10, color=tint)
    panel.set_xticks(range(len(NAMES) + 1), [*NAMES, NOTHING])
    panel.set_yticks(range(len(NAMES) + 1), [*NAMES, NOTHING])
    panel.set_xticks(np.arange(len(NAMES)) + 0.5, minor=True)
    panel.set_yticks(np.arange(len(NAMES)) + 0.5, minor=True)
    panel.grid(which="minor", color="white", linewidth=2)
    panel.tick_params(which="both", length=0, labelsize=8)
    panel.spines[:].set_visible(False)
    panel.set_xlabel("found", size=9)
    panel.set_ylabel("annotated", size=9)
    panel.set_title(f"Confusion, {'share of each row' if normalised else 'boxes'}", size=10)
    return png(figure)


def plot_sizes(sizes: Mapping[str, Rated]) -> bytes:
    """Plot average precision by the size of faces: a panel each for AP50 and AP50-95, bars with their intervals.

    Args:
        sizes: of :data:`ops.detection.scoring.SIZES`.
    """
    figure = new_figure(9.0, 3.6)
    panels = figure.subplots(1, 2, sharey=True)
    for panel, number, name in zip(panels, (0, 1), ("AP50", "AP50-95"), strict=True):
        for place, (scores, (low, high)) in enumerate(sizes.values()):
            every = [*(each[number + 1] for each in scores.per_class), scores[number]]
            for which, (value, tint) in enumerate(zip(every, [*COLOURS, INK], strict=True)):
                if np.isnan(value):
                    continue
                x = place + 0.2 * (which - 1.5)
                reach = np.nan_to_num([[value - low[which, number]], [high[which, number] - value]]).clip(0)
                panel.bar(x, value, 0.17, color=tint, label=[*WORDS, MEAN][which], alpha=0.85)
                panel.errorbar(x, value, yerr=reach, color="#777d88", elinewidth=1.2, capsize=2.5, capthick=1.2)
        captions = [f"{size}, {_span(*SIZES[size])}\n{rated.scores.n} boxes" for size, rated in sizes.items()]
        panel.set_xticks(range(len(sizes)), captions)
        panel.set_title(f"{name} by size of face", size=10)
        _bare(panel)
        panel.grid(axis="x", visible=False)
        panel.set_ylim(0, 1)
    handles, captions = panels[0].get_legend_handles_labels()
    known = dict(zip(captions, handles, strict=True))
    figure.legend(known.values(), known.keys(), loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    return png(figure)


def plot_errors(counts: Ints) -> bytes:
    """Plot mistakes by kind, bars stacked by class.

    Args:
        counts: ``(5, 3)``, from :func:`ops.detection.mistakes.mistakes_by_class`.
    """
    figure = new_figure(6.4, 3.3)
    panel = figure.subplots()
    kinds = [kind.replace("_", " ") for kind in MISTAKES]
    left = np.zeros(len(MISTAKES))
    for values, tint, word in zip(counts.T, COLOURS, WORDS, strict=True):
        panel.barh(kinds, values, left=left, color=tint, edgecolor="white", label=word)
        for place, value in enumerate(values):
            if value > 0.04 * counts.sum(axis=1).max():
                panel.text(left[place] + value / 2, place, f"{value}", ha="center", va="center", size=8, color="white")
        left += values
    for place, total in enumerate(left):
        panel.text(total, place, f" {total:.0f}", va="center", size=9, weight="bold", color=INK)
    panel.invert_yaxis()
    panel.margins(x=0.1)
    panel.set_title("Mistakes by kind", size=10)
    _bare(panel)
    panel.grid(axis="y", visible=False)
    figure.legend(loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    return png(figure)


def _span(least: float, most: float) -> str:
    if not least:
        return f"under {most:.0f} px"
    return f"{least:.0f} px and more" if np.isinf(most) else f"{least:.0f} to {most:.0f} px"


def _lines(
    x: Reals,
    values: Reals,
    captions: Sequence[str],
    axes: tuple[str, str],
    title: str,
    dots: Sequence[tuple[float, float]] = (),
) -> bytes:
    """Plot a column a class, and their mean."""
    figure = new_figure(5.6, 4.4)
    panel = figure.subplots()
    there = ~np.isnan(values).all(axis=0)
    for number in np.flatnonzero(there).tolist():
        panel.plot(x, values[:, number], color=COLOURS[number], linewidth=1.6, label=captions[number])
    if there.any():  # where a class has no value, neither has the mean
        panel.plot(x, values[:, there].mean(axis=1), color=INK, linewidth=2.6, label=captions[-1])
    for (at, value), tint in zip(dots, COLOURS, strict=False):
        panel.plot([at], [value], "o", color=tint, markeredgecolor="white", markersize=8, zorder=3, clip_on=False)
    panel.set_xlim(0, 1)
    panel.set_ylim(0, 1.02)
    panel.set_xlabel(axes[0], size=9)
    panel.set_ylabel(axes[1], size=9)
    panel.set_title(title[0].upper() + title[1:], size=10)
    _bare(panel)
    figure.legend(loc="outside lower center", ncols=2, fontsize=8, frameon=False)
    return png(figure)


def _bare(panel: Axes) -> None:
    panel.spines[["top", "right"]].set_visible(False)
    panel.spines[["left", "bottom"]].set_color(FAINT)
    panel.grid(color=FAINT, linewidth=0.6)
    panel.set_axisbelow(True)
    panel.tick_params(labelsize=8, color=FAINT)
