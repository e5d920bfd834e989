"""The files of a detector's report: figures for people and for DVC, and plots. The same numbers give the same bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ops.detection.mistakes import MISTAKES, NOTHING, confusion, mistakes_by_class
from ops.detection.report_plots import plot_confusion, plot_errors, plot_over_threshold, plot_pr, plot_sizes
from ops.detection.scoring import CONFIDENCES, FIGURES, RECALLS
from ops.masking import LABELS
from ops.tables import as_csv, figure_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ops.detection.evaluation import Evaluation
    from ops.detection.matching import Reals
    from ops.detection.promotion import Decision

CURVES = {"f1": "F1", "p": "precision", "r": "recall"}


def metrics_of(done: Evaluation, decision: Decision, about: Mapping[str, Any]) -> dict[str, Any]:
    """Return what metrics.json holds: whether it means anything comes first.

    Args:
        done: the trained detector on the test pictures.
        decision: about it.
        about: further facts, such as ``pictures`` and ``start``.
    """
    told = done.all.told()
    apart = decision.difference
    compared = {
        "on": decision.compared_on,
        "pictures": decision.pictures,
        "ap50": apart and round(apart.ap50, 4),
        "ap50_95": apart and round(apart.ap50_95, 4),
        "ap50_95_interval": apart and [round(end, 4) for end in apart.ap50_95_ends],
    }
    return {
        "meaningful": decision.meaningful,
        "above_floor": decision.above_floor,
        "promoted": decision.promoted,
        "why": decision.why,
        **about,
        **told,
        "by_size": {size: rated.told() for size, rated in done.sizes.items()},
        "against_champion": compared,
    }


def tables(done: Evaluation) -> dict[str, bytes]:
    """Return the CSV files: curves, confusion (a row a box), sizes and mistakes."""
    curves = {"f1": done.curves.f1, "p": done.curves.precision, "r": done.curves.recall}
    files = {f"{name}.csv": _curve("threshold", CONFIDENCES, values) for name, values in curves.items()}
    files["pr.csv"] = _curve("recall", RECALLS, done.curves.precision_at_recall)
    names = (*LABELS, NOTHING)
    pairs = [
        (names[row], names[column])
        for (row, column), count in np.ndenumerate(confusion(done.judged))
        for _ in range(count)
    ]
    files["confusion.csv"] = as_csv(("annotated", "found"), pairs)
    ends = [f"{figure}_{end}" for figure in FIGURES for end in ("low", "high")]
    rows = []
    for size, rated in done.sizes.items():
        for name, figures, boxes, bounds in rated.rows():
            rows.append((size, name, boxes, *map(figure_text, [*figures.values(), *bounds.T.ravel()])))
    files["sizes.csv"] = as_csv(("size", "class", "boxes", *FIGURES, *ends), rows)
    counts = mistakes_by_class(done.judged).tolist()
    mistakes = [(kind, *row, sum(row)) for kind, row in zip(MISTAKES, counts, strict=True)]
    files["errors.csv"] = as_csv(("mistake", *LABELS, "all"), mistakes)
    return files


def plots(done: Evaluation) -> dict[str, bytes]:
    """Return the plots as PNG files."""
    curves = {"f1": done.curves.f1, "p": done.curves.precision, "r": done.curves.recall}
    matrix = confusion(done.judged)
    return {
        "pr.png": plot_pr(done.curves, done.all.scores),
        **{f"{key}.png": plot_over_threshold(curves[key], done.thresholds, name) for key, name in CURVES.items()},
        "confusion.png": plot_confusion(matrix, normalised=False),
        "confusion_normalised.png": plot_confusion(matrix, normalised=True),
        "sizes.png": plot_sizes(done.sizes),
        "errors.png": plot_errors(mistakes_by_class(done.judged)),
    }


def as_table(told: Mapping[str, Any]) -> str:
    """Return the figures of metrics.json as a Markdown table, intervals in brackets."""

    def cell(row: Mapping[str, Any], name: str) -> str:
        if row[name] is None:
            return "-"
        low, high = row["intervals"][name]
        return f"{row[name]:.3f} [{low:.3f}, {high:.3f}]"

    rows = {**told["per_class"], "mean": told}
    head = f"| class | boxes | {' | '.join(FIGURES)} |\n|---|---|{'---|' * len(FIGURES)}\n"
    return head + "".join(
        f"| {name} | {row['boxes']} | {' | '.join(cell(row, figure) for figure in FIGURES)} |\n"
        for name, row in rows.items()
    )


def _curve(axis: str, x: Reals, values: Reals) -> bytes:
    rows = [(f"{at:.2f}", *map(figure_text, row)) for at, row in zip(x, values, strict=True)]
    return as_csv((axis, *LABELS), rows)
