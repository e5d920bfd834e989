"""Search for the settings that train the best detector: a few short trainings, each learning from those before.

The study lies in an SQLite file, and what a trial tries is drawn from the seed and the trial's number. So a search that
was killed goes on where it was, its interrupted training included, and ends as it would have.
"""

from __future__ import annotations

import shutil
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from ops.store import fingerprint
from ops.training.detector import Recipe, epochs_of, train

if TYPE_CHECKING:
    from pathlib import Path

    import optuna

    from ops.training.records import Track

VERSION = 1
JUDGE = "val/ap50_95"
"""What a trial is judged by: its best epoch's, as ultralytics measures it."""

OPTIMIZER = "AdamW"
"""Of every trial; ``auto`` would take a learning rate of its own."""


class Best(NamedTuple):
    """What a search found: the settings to put in the place of the recipe's, their value, and the trials there are."""

    settings: dict[str, Any]
    value: float
    trials: int


def search(
    split: Path,
    work: Path,
    recipe: Recipe,
    start: Path | None,
    *,
    trials: int,
    content: str,
    device: str,
    track: Track,
) -> Best:
    """Try settings, or go on with a search that was begun.

    Args:
        split: folder of a split as ``yolo_splits`` lays it out.
        work: working folder of searches; the study stays there, the trials' trainings do not.
        recipe: what is common to all trials, epochs and picture size among it.
        start: weights to start from.
        trials: how many there are to be in the end.
        content: what stands for split and start weights; another one is another search.
        device: ``cpu`` or ``cuda``.
        track: opens the records of search and trials.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    work.mkdir(parents=True, exist_ok=True)
    name = fingerprint(content, asdict(recipe), VERSION)
    study = optuna.create_study(
        storage=f"sqlite:///{work.resolve() / 'study.db'}", study_name=name, direction="maximize", load_if_exists=True
    )
    fixed = {key: str(value) for key, value in asdict(recipe).items()}
    # how many trials there are is no parameter: those are written once, and a search may go on with more trials
    with track(name, "search", {}, fixed) as record:
        for killed in study.get_trials(states=(optuna.trial.TrialState.RUNNING,)):
            study.tell(killed.number, state=optuna.trial.TrialState.FAIL)
            study.enqueue_trial(killed.params)
        while (done := len(_complete(study))) < trials:
            study.sampler = optuna.samplers.TPESampler(seed=recipe.seed + done)
            trial = study.ask()
            tried = replace(recipe, optimizer=OPTIMIZER, **_suggested(trial))
            folder = work / fingerprint(name, trial.params)
            training = fingerprint(name, trial.params)
            with track(training, f"trial {done + 1}", asdict(tried), {}, parent=record.run_id) as run:
                kept = train(split, folder, tried, start, device=device, on_epoch=run.epoch)
            study.tell(trial, max(row[JUDGE] for row in epochs_of(kept / "results.csv")))
            shutil.rmtree(folder)
        best = study.best_trial
        record.epoch(trials, {JUDGE: float(best.value or 0.0)})
    return Best({"optimizer": OPTIMIZER, **best.params}, float(best.value or 0.0), len(_complete(study)))


def _suggested(trial: optuna.trial.Trial) -> dict[str, Any]:
    """Draw what is searched for."""
    return {
        "lr0": trial.suggest_float("lr0", 1e-4, 1e-2, log=True),
        "mosaic": trial.suggest_float("mosaic", 0.0, 1.0),
        "mixup": trial.suggest_float("mixup", 0.0, 0.3),
    }


def _complete(study: optuna.Study) -> list[Any]:
    import optuna

    return study.get_trials(states=(optuna.trial.TrialState.COMPLETE,))
