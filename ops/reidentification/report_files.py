"""The files of a report on re-identification: tables for people and DVC, and plots. Same numbers, same bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ops.detection.plots import new_figure, png
from ops.reidentification.ranks import FIGURES
from ops.reidentification.scenarios import COMPLETED, FACE, GUISES, MASK_ONLY, OVERLAY
from ops.reidentification.trials import SETTINGS
from ops.tables import as_csv, figure_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from matplotlib.axes import Axes

    from ops.reidentification.scenarios import Outcome
    from ops.reidentification.trials import Trial

INK, FAINT = "#2d333d", "#d5d9e0"
COLOURS = dict(zip(GUISES, ("#2d333d", "#2f6fb0", "#5aa9d6", "#3f8f4f", "#d1661c", "#b8860b", "#8a5bb5"), strict=True))
NAMES = {
    FACE: "bare face",
    OVERLAY: "digital mask, overlay",
    MASK_ONLY: "digital mask alone",
    COMPLETED: "mask drawn, completed",
    "gaussian_blur": "Gaussian blur",
    "black_box": "black box",
}
TITLES = {"rank_1": "rank 1", "rank_5": "rank 5", "auc": "verification, AUC"}
PLACES = {SETTINGS[0]: "same video", SETTINGS[1]: "another video or photograph"}
LISTED = 50
"""Ranks that the CMC goes up to."""


def name_of(guise: str) -> str:
    """Return what people call a way of showing a face."""
    return NAMES.get(guise, guise)


def tables(found: Sequence[Outcome], trials: Iterable[Trial], pictures: Mapping[str, str]) -> dict[str, bytes]:
    """Return the CSV files: figures, CMC of queries against bare faces, the rank of each person, and the trials.

    Who stands in a gallery without being asked about has no name and no query there.

    Args:
        found: what came of the trials.
        trials: who was asked about.
        pictures: file of each key, relative to the data folder.
    """
    head = ("setting", "query", "gallery", "failed_pairs", "queries", "people_in_gallery")
    ends = [f"{name}_{end}" for name in FIGURES for end in ("low", "high")]
    lines = []
    for each in found:
        counts = (len(each.pairs), each.gallery)
        for way, told in (("excluded", each.excluded), ("recognised", each.worst)):
            numbers = [*told.mean, *np.stack([told.low, told.high], axis=1).ravel()]
            lines.append((each.setting, *each.scenario, way, *counts, len(each.failed), *map(figure_text, numbers)))
    ranks = [
        (each.setting, *each.scenario, pair.person, figure_text(rank), figure_text(cosine))
        for each in found
        for pair, rank, cosine in zip(each.pairs, each.ranks.mean, each.similarity, strict=True)
    ]
    listed = []
    for trial in trials:
        listed += [(trial.setting, pair.person, pictures[pair.database], pictures[pair.query]) for pair in trial.pairs]
        listed += [(trial.setting, "", pictures[key], "") for key in trial.others]
    return {
        "figures.csv": as_csv((*head, "failed", *FIGURES, *ends), lines),
        "ranks.csv": as_csv(("setting", "query", "gallery", "person", "rank", "cosine"), ranks),
        "trials.csv": as_csv(("setting", "person", "database", "query"), listed),
        **{f"cmc_{setting}.csv": _cmc_table(found, setting) for setting in SETTINGS},
    }


def _cmc_table(found: Sequence[Outcome], setting: str) -> bytes:
    curves = {each.scenario.query: each.cmc for each in found if each.setting == setting and _openly(each)}
    longest = min(LISTED, max(map(len, curves.values()), default=0))
    lines = []
    for at in range(longest):
        shares = [curves[guise][min(at, len(curves[guise]) - 1)] if len(curves[guise]) else np.nan for guise in GUISES]
        lines.append((at + 1, *map(figure_text, shares)))
    return as_csv(("rank", *GUISES), lines)


def plot_cmc(found: Sequence[Outcome]) -> bytes:
    """Plot the CMC of every anonymiser: in the upper row against bare faces, in the lower one against their like."""
    settings = list(dict.fromkeys(each.setting for each in found)) or [SETTINGS[1]]
    figure = new_figure(1.8 + 4.2 * len(settings), 6.4)
    panels = figure.subplots(2, len(settings), squeeze=False, sharey=True)
    for row, openly in enumerate((True, False)):
        for panel, setting in zip(panels[row], settings, strict=True):
            some = [each for each in found if each.setting == setting and each.pairs and _openly(each) == openly]
            for each in some:
                ranks, guise = np.arange(1, min(LISTED, each.gallery) + 1), each.scenario.query
                panel.step(ranks, each.cmc[: len(ranks)], where="post", color=COLOURS[guise], label=name_of(guise))
            whole = max((each.gallery for each in some), default=1)
            ranks = np.arange(1, min(LISTED, whole) + 1)
            panel.plot(ranks, ranks / whole, ":", color=INK, linewidth=1, label="chance")
            panel.set_title(f"{PLACES[setting]}: gallery of {'bare faces' if openly else 'the same kind'}", size=9)
            panel.set_xscale("log")
            panel.set_xticks([1, 2, 5, 10, 20, 50], ["1", "2", "5", "10", "20", "50"])
            panel.set_xlim(0.95, LISTED * 1.05)
            panel.set_ylim(-0.02, 1.03)
            _dressed(panel, known=bool(some), axis="both")
    for panel in panels[1]:
        panel.set_xlabel("rank", size=8, color=INK)
    for panel in panels[:, 0]:
        panel.set_ylabel("share of people named within the rank", size=8, color=INK)
    shown = {name: line for panel in panels.flat for line, name in zip(*panel.get_legend_handles_labels(), strict=True)}
    figure.legend(shown.values(), shown.keys(), loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    return png(figure)


def plot_anonymisers(found: Sequence[Outcome]) -> bytes:
    """Plot rank-1, rank-5 and AUC of every anonymiser with intervals.

    A dot against bare faces, a ring against its like; a cross is the dot where failed pairs are taken for recognised.
    """
    settings = list(dict.fromkeys(each.setting for each in found)) or [SETTINGS[1]]
    figure = new_figure(10, 0.9 + 2.9 * len(settings))
    panels = figure.subplots(len(settings), len(TITLES), squeeze=False, sharey=True)
    for row, setting in enumerate(settings):
        some = [each for each in found if each.setting == setting and each.pairs]
        for panel, (name, title) in zip(panels[row], TITLES.items(), strict=True):
            _anonymisers(panel, some, FIGURES.index(name))
            panel.set_title(f"{title}\n{PLACES[setting]}" if panel is panels[row][0] else title, size=9, color=INK)
            _dressed(panel, known=bool(some), axis="x")
            panel.set_xlim(-0.03, 1.03)
        panels[row][0].set_yticks(range(len(GUISES)), [name_of(guise) for guise in GUISES])
        panels[row][0].set_ylim(len(GUISES) - 0.5, -0.5)
    figure.supxlabel(
        "less is more private. dot: gallery of bare faces; ring: gallery anonymised alike; cross: as the dot, "
        "failed pairs taken for recognised.\nlines: 95% intervals over people; dotted: chance",
        size=8,
        color=INK,
    )
    return png(figure)


def _anonymisers(panel: Axes, some: Sequence[Outcome], figure: int) -> None:
    """Draw one figure of all anonymisers in one setting."""
    chance = 0.5 if FIGURES[figure] == "auc" else (1, 5)[figure] / max((each.gallery for each in some), default=1)
    panel.axvline(min(chance, 1), color=INK, linestyle=":", linewidth=1)
    for each in some:
        at, colour = GUISES.index(each.scenario.query), COLOURS[each.scenario.query]
        mean, low, high = (values[figure] for values in each.excluded)
        place, fill = (at - 0.12, colour) if _openly(each) else (at + 0.18, "white")
        ends = np.maximum([[mean - low], [high - mean]], 0)
        panel.errorbar([mean], [place], xerr=ends, fmt="o", color=colour, markersize=5, markerfacecolor=fill)
        if _openly(each) and each.failed:
            panel.plot([each.worst.mean[figure]], [place], "x", color=colour, markersize=6)


def _openly(each: Outcome) -> bool:
    """Tell whether the gallery holds bare faces."""
    return each.scenario.database == FACE


def _dressed(panel: Axes, *, known: bool, axis: str) -> None:
    if not known:
        panel.text(0.5, 0.5, "none known", transform=panel.transAxes, ha="center", size=8, color=INK)
    panel.grid(axis=axis, color=FAINT, linewidth=0.6)  # type: ignore[arg-type]
    panel.spines[["top", "right"]].set_visible(False)
    panel.tick_params(labelsize=8)
