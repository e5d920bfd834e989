"""The files of a report on unmasking: tables for people and DVC, and plots. The same numbers give the same bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ops.detection.plots import new_figure, png
from ops.tables import as_csv, figure_text
from ops.unmasking.baselines import MASKED, NEAREST
from ops.unmasking.judgement import ALL, CONTENDERS, FIGURES, FOUND, GIVEN, OVERLAPS, TRUE, judged_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from ops.store import Row
    from ops.unmasking.judgement import Judged

INK, FAINT = "#2d333d", "#d5d9e0"
COLOURS = {"completed": "#2f6fb0", MASKED: "#8b93a1", "mean_face": "#3f8f4f", "telea": "#8a5bb5", NEAREST: "#d1661c"}
TITLES = {
    "psnr": "PSNR in the region, dB",
    "ssim": "SSIM in the region",
    "l1": "L1 in the region, grey levels; less is better",
    "lpips": "LPIPS in the region; less is better",
    "identity": "cosine to the true face",
    "second": "cosine to another photograph",
    "dice": "Dice of the segmenter",
}
GROUP_TITLES = {ALL: "", "kind": "kind: ", "mask_state": "worn: ", "yaw": "yaw: "}
SHOWN = ("completed", NEAREST, MASKED)
"""Contenders in the plot by groups."""

ROW = 0.3
"""Inches a row of a plot takes."""


def tables(rows: Sequence[Row]) -> dict[str, bytes]:
    """Return the CSV files: figures by contender and region, and the segmenter's, of all squares and of each group."""
    ends = [f"{name}_{end}" for name in FIGURES for end in ("low", "high")]
    lines = []
    for given in GIVEN:
        judged = judged_of(rows, given)
        for group, value, squares in judged.parts():
            told = judged.figures(squares)
            people = len({judged.people[at] for at in squares})
            for at, contender in enumerate(CONTENDERS):
                bounds = np.stack([told.low[at], told.high[at]], axis=1).ravel()
                figures = map(figure_text, [*told.mean[at], *bounds])
                lines.append((given, group, value, contender, people, len(squares), *figures))
    head = ("given", "group", "value", "contender", "people", "squares", *FIGURES, *ends)
    overlaps, judged = [], judged_of(rows, FOUND)
    for group, value, squares in judged.parts():
        over = judged.overlap(squares)
        bounds = np.stack([over.low, over.high], axis=1).ravel()
        overlaps.append((group, value, len(squares), *map(figure_text, [*over.mean, *bounds])))
    ends = [f"{name}_{end}" for name in OVERLAPS for end in ("low", "high")]
    return {
        "figures.csv": as_csv(head, lines),
        "segmenter.csv": as_csv(("group", "value", "squares", *OVERLAPS, *ends), overlaps),
    }


def plot_contenders(rows: Sequence[Row]) -> bytes:
    """Plot each figure of each contender with its interval: a dot for regions as found, a ring for true ones."""
    figure = new_figure(3.2 * len(FIGURES), 1.1 + ROW * 1.6 * len(CONTENDERS))
    panels = figure.subplots(1, len(FIGURES), sharey=True)
    for given, shift, filled in ((FOUND, -0.12, True), (TRUE, 0.16, False)):
        judged = judged_of(rows, given)
        told = judged.figures(range(len(judged.pictures)))
        for column, panel in enumerate(panels):
            for at, contender in enumerate(CONTENDERS):
                ends = [[told.mean[at, column] - told.low[at, column]], [told.high[at, column] - told.mean[at, column]]]
                _dot(panel, told.mean[at, column], at + shift, ends, COLOURS[contender], filled=filled)
    for name, panel in zip(FIGURES, panels, strict=True):
        _dressed(panel, TITLES[name], known=any(known[name] is not None for known in rows))
    panels[0].set_yticks(range(len(CONTENDERS)), [name.replace("_", " ") for name in CONTENDERS])
    panels[0].invert_yaxis()
    figure.supxlabel(
        "dot: region as the segmenter found it; ring: the true region. Lines: 95% intervals over people.",
        size=8,
        color=INK,
    )
    return png(figure)


def plot_groups(rows: Sequence[Row]) -> bytes:
    """Plot PSNR, SSIM and Dice by kind, state and yaw: completed faces beside masked ones and the nearest face."""
    judged = judged_of(rows, FOUND)
    parts = list(judged.parts())
    figure = new_figure(12, 1.3 + ROW * max(1, len(parts)))
    panels = figure.subplots(1, 3, sharey=True)
    for place, (_, _, squares) in enumerate(parts):
        _group(panels, judged, squares, place)
    for name, panel in zip(("psnr", "ssim", "dice"), panels, strict=True):
        _dressed(panel, TITLES[name], known=bool(parts))
    names = [f"{GROUP_TITLES[group]}{value} ({len(some)})" for group, value, some in parts]
    panels[0].set_yticks(range(len(parts)), [name.replace("_", " ") for name in names])
    panels[0].invert_yaxis()
    handles = [panels[0].plot([], [], "o", color=COLOURS[name], label=name.replace("_", " "))[0] for name in SHOWN]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(SHOWN), fontsize=8, frameon=False)
    return png(figure)


def _group(panels: Sequence[Axes], judged: Judged, squares: Sequence[int], place: int) -> None:
    """Draw one row: a group's figures."""
    told, over = judged.figures(squares), judged.overlap(squares)
    for column, panel in enumerate(panels[:2]):
        for shift, name in zip((-0.2, 0, 0.2), SHOWN, strict=True):
            at = CONTENDERS.index(name)
            mean, low, high = (each[at, column] for each in told)
            _dot(panel, mean, place + shift, [[mean - low], [high - mean]], COLOURS[name], filled=True)
    mean, low, high = (each[0] for each in over)
    _dot(panels[2], mean, place, [[mean - low], [high - mean]], INK, filled=True)


def _dot(panel: Axes, x: float, y: float, ends: Sequence[Sequence[float]], colour: str, *, filled: bool) -> None:
    face = colour if filled else "white"
    look = {"markersize": 5, "markerfacecolor": face, "elinewidth": 1.2}
    panel.errorbar([x], [y], xerr=np.maximum(ends, 0), fmt="o", color=colour, **look)  # type: ignore[arg-type]


def _dressed(panel: Axes, title: str, *, known: bool) -> None:
    if not known:
        panel.text(0.5, 0.5, "none known", transform=panel.transAxes, ha="center", size=8, color=INK)
        panel.set_xticks([])
    panel.set_title(title, size=9, color=INK)
    panel.grid(axis="x", color=FAINT, linewidth=0.6)
    panel.spines[["top", "right", "left"]].set_visible(False)
    panel.tick_params(labelsize=8, left=False)
