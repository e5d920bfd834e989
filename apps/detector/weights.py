"""Which detectors there are to choose from."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from resources.mask_detectors import shipped

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from resources.tracking import RunInfo, Tracking

FILE = "detector.onnx"
RANKED_BY = "ap50_95"


class Choice(NamedTuple):
    """A detector: what it is called, what to know of it, and its file."""

    title: str
    note: str
    path: Path


def choices(tracking: Tracking) -> list[Choice]:
    """Return the detectors that can be used, the one to begin with first.

    That is the champion, or else the project's own; a run that is merely the best or the last may not be good.
    """
    runs, champion = tracking.runs(), tracking.champion()
    crowned = [run for run in runs if champion and run.run_id == champion.run_id]
    ranked = sorted((run for run in runs if RANKED_BY in run.metrics), key=lambda run: -run.metrics[RANKED_BY])
    own = Choice("Shipped with Maskline", "The project's own weights.", shipped())
    return [
        *_first(tracking, "Champion", crowned),
        own,
        *_first(tracking, "Best run", ranked),
        *_first(tracking, "Last run", runs),
    ]


def _first(tracking: Tracking, title: str, runs: Sequence[RunInfo]) -> list[Choice]:
    """Return the first of the runs that has a detector, if any has."""
    for run in runs:
        with suppress(FileNotFoundError):
            return [Choice(title, _told(run), tracking.artifact(run.run_id, FILE))]
    return []


def _told(run: RunInfo) -> str:
    score = f", AP50-95 {run.metrics[RANKED_BY]:.3f} on validation pictures" if RANKED_BY in run.metrics else ""
    return f"{run.name}, {run.started:%Y-%m-%d %H:%M} UTC{score}."
