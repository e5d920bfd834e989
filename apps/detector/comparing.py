"""Trainings beside each other: tables of runs, and what sets some of them apart."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from apps.detector.reading import TITLES
from ops.masking import LABELS
from ops.pictures import CLASS_TITLES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from resources.tracking import RunInfo, Tracking, VersionInfo

AP50, AP, TEST = "ap50", "ap50_95", "test_"
WHILE_TRAINING = "val/"
CURVES = re.compile(r"(train|val)/")
SHOWN_FIRST = ("val/ap50_95", "val/ap50", "train/box_loss", "train/cls_loss")
TAGS = ("start", "precision", "split_hash")
"""Tags of a run that say how it was made, as parameters do."""

PLOTS = {
    "Precision over recall": "pr.png",
    "F1 over threshold": "f1.png",
    "Confusion": "confusion_normalised.png",
    "Size of faces": "sizes.png",
    "Mistakes": "errors.png",
}
"""Plots of a run's report, by what they show."""

Rows = list[dict[str, Any]]


def score(run: RunInfo, name: str) -> float | None:
    """Return a figure on validation pictures; while there is no final one, the last epoch's."""
    return run.metrics.get(name, run.metrics.get(WHILE_TRAINING + name))


def overview(runs: Sequence[RunInfo], versions: Sequence[VersionInfo]) -> Rows:
    """Return a row a run, for a table."""
    aliases = {version.run_id: ", ".join(version.aliases) for version in versions}
    return [
        {
            "Run": run.name,
            "Alias": aliases.get(run.run_id, ""),
            "AP50-95": score(run, AP),
            "AP50": score(run, AP50),
            "Test AP50-95": run.metrics.get(TEST + AP),
            "Start weights": run.tags.get("start", ""),
            "Epochs": _number(run.params.get("epochs")),
            "Image side": _number(run.params.get("image_size")),
            "Started (UTC)": run.started.replace(tzinfo=None),
            "Status": run.status.lower(),
        }
        for run in runs
    ]


def matching(runs: Iterable[RunInfo], words: str) -> list[RunInfo]:
    """Return the runs in whose name, status, id, parameters (``name=value``) or tags all the words occur."""
    return [run for run in runs if all(word in _text(run) for word in words.casefold().split())]


def best(runs: Sequence[RunInfo], count: int) -> list[int]:
    """Return the places of the best runs by AP50-95; those without it come last."""
    order = sorted(range(len(runs)), key=lambda index: -(score(runs[index], AP) or 0.0))
    return sorted(order[:count])


def labels(runs: Sequence[RunInfo]) -> list[str]:
    """Return a name for each run that no other of them has: its own, with a part of its id where need be."""
    names = [run.name for run in runs]
    return [
        name if names.count(name) == 1 else f"{name} ({run.run_id[:6]})" for name, run in zip(names, runs, strict=True)
    ]


def parameters(runs: Sequence[RunInfo]) -> tuple[Rows, Rows]:
    """Return the parameters that differ and those that don't, a row each: its name, and its value by run."""
    known = {run.run_id: {**{tag: run.tags[tag] for tag in TAGS if tag in run.tags}, **run.params} for run in runs}
    apart: Rows = []
    alike: Rows = []
    for name in dict.fromkeys(name for told in known.values() for name in told):
        values = {run_id: told.get(name, "n/a") for run_id, told in known.items()}
        (apart if len(set(values.values())) > 1 else alike).append({"": name, **_by_run(runs, values)})
    return apart, alike


def figures(runs: Sequence[RunInfo]) -> Rows:
    """Return how good the runs are, a row a figure: what it is, and its value by run."""
    titles = {name: f"Validation {TITLES[name]}" for name in (AP, AP50)}
    titles |= {TEST + name: f"Test {title}" for name, title in TITLES.items()}
    titles |= {
        f"{TEST}{name}_{label}": f"Test {TITLES[name]}, {word}"
        for label, word in zip(LABELS, CLASS_TITLES, strict=True)
        for name in (AP, AP50)
    }
    there = {run.run_id: {name: run.metrics.get(name) for name in titles} for run in runs}
    return [
        {"": title, **_by_run(runs, {run_id: values[name] for run_id, values in there.items()})}
        for name, title in titles.items()
        if any(values[name] is not None for values in there.values())
    ]


def curves(tracking: Tracking, runs: Sequence[RunInfo]) -> dict[str, Rows]:
    """Return the metrics of each epoch, by name: rows of epoch, value and run."""
    found: dict[str, Rows] = {}
    for label, run in zip(labels(runs), runs, strict=True):
        for name in sorted(filter(CURVES.match, run.metrics)):
            rows = [{"epoch": step, "value": value, "run": label} for step, value in tracking.history(run.run_id, name)]
            found.setdefault(name, []).extend(rows)
    return found


def plots(tracking: Tracking, runs: Sequence[RunInfo]) -> dict[str, dict[str, Path]]:
    """Return the plots of the runs' reports: by what they show, the files by run."""
    found: dict[str, dict[str, Path]] = {}
    for title, name in PLOTS.items():
        for label, run in zip(labels(runs), runs, strict=True):
            try:
                found.setdefault(title, {})[label] = tracking.artifact(run.run_id, name)
            except FileNotFoundError:
                continue
    return {title: files for title, files in found.items() if files}


def _by_run(runs: Sequence[RunInfo], values: Mapping[str, Any]) -> dict[str, Any]:
    return {label: values[run.run_id] for label, run in zip(labels(runs), runs, strict=True)}


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdigit() else None


def _text(run: RunInfo) -> str:
    told = [*(f"{name}={value}" for name, value in run.params.items()), *run.tags.values()]
    return " ".join([run.name, run.status, run.run_id, *told]).casefold()
