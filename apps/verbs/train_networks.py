"""``maskline train segmenter`` and ``maskline train completer``: the networks of unmasking."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from apps.verbs.common import AsJson, Device, say, usage, usage_on_wrong_value

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ops.store import Column
    from ops.training.tasks import Task

SCRATCH = ".training"
TOLD = ("run_id", "mlflow_version", "epochs", "kept_epoch", "validated_on")

Pairs = Annotated[Path, typer.Argument(help="pairs as unmasking_pairs makes them", show_default=False)]
Output = Annotated[Path, typer.Argument(help="folder to write to", show_default=False)]
Size = Annotated[int, typer.Option(help="side of a square in pixels, a multiple of 16")]
Widths = Annotated[str, typer.Option(help="channels of each resolution, such as 16,24,40; the network's own if empty")]
Epochs = Annotated[int, typer.Option(help="passes over all squares", min=1)]
Batch = Annotated[int, typer.Option(help="squares a step", min=1)]
Rate = Annotated[float, typer.Option(help="learning rate after warming up")]
Warmup = Annotated[float, typer.Option(help="share of all steps until it is reached", min=0, max=1)]
Clip = Annotated[float, typer.Option(help="greatest norm of a step's gradients")]
Average = Annotated[float, typer.Option(help="share of the averaged weights that stays at each step", min=0, max=1)]
Keep = Annotated[str, typer.Option(help="best of the epochs by validation, or last")]
Every = Annotated[int, typer.Option(help="put the weights of every so many epochs into the run; 0: none", min=0)]
Precision = Annotated[str, typer.Option(help="auto, float32 or bfloat16")]
Seed = Annotated[int, typer.Option(help="of everything drawn")]
Start = Annotated[str, typer.Option(help="weights.pt of a training to go on from; drawn by the seed if empty")]
Even = Annotated[float, typer.Option(help="how far rare mask states are brought up to the most frequent", min=0, max=1)]
Fresh = Annotated[bool, typer.Option("--fresh/--resume", help="forget a training that was killed, or go on")]
Tracked = Annotated[str, typer.Option(help="of an MLflow store; MLFLOW_TRACKING_URI or data/mlflow if empty")]
Loss = Annotated[float, typer.Option(help="what this part of the loss counts", min=0)]
Begins = Annotated[float, typer.Option(help="share of epochs from which on this adversary has a say", min=0, max=1)]


def segmenter(
    pairs: Pairs,
    output: Output,
    size: Size = 128,
    widths: Widths = "",
    epochs: Epochs = 20,
    batch: Batch = 16,
    lr: Rate = 0.002,
    warmup: Warmup = 0.03,
    clip: Clip = 1.0,
    average: Average = 0.99,
    keep: Keep = "best",
    every: Every = 0,
    precision: Precision = "auto",
    seed: Seed = 0,
    start: Start = "",
    even: Even = 0.5,
    fresh: Fresh = False,
    tracking: Tracked = "",
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Train a mask segmenter: weights, ONNX, curves, sample sheets, and a run in MLflow."""
    from ops.stages.segmenter import COLUMNS, Segment
    from ops.training.recipe import SegmenterRecipe
    from resources import networks

    settings = {name: value for name, value in locals().items() if name in SegmenterRecipe.__dataclass_fields__}

    def task() -> Task:
        return Segment(networks.segmenter(), SegmenterRecipe(**settings | {"widths": _numbers(widths)}))

    _train("mask_segmenter", task, COLUMNS, pairs, output, tracking, device, fresh=fresh, as_json=as_json)


def completer(
    pairs: Pairs,
    output: Output,
    size: Size = 128,
    widths: Widths = "",
    epochs: Epochs = 30,
    batch: Batch = 16,
    lr: Rate = 0.001,
    warmup: Warmup = 0.03,
    clip: Clip = 1.0,
    average: Average = 0.998,
    keep: Keep = "last",
    every: Every = 0,
    precision: Precision = "auto",
    seed: Seed = 0,
    start: Start = "",
    perceptual: Annotated[
        str, typer.Option(help="compares looks: lpips_alex, yolo11n_pose, none; auto: what can be had")
    ] = "auto",
    adversary: Annotated[int, typer.Option(help="discriminators' first channels", min=1)] = 32,
    pixels: Loss = 6.0,
    structure: Loss = 1.0,
    features: Loss = 0.3,
    whole: Loss = 0.05,
    close: Loss = 0.05,
    whole_from: Begins = 0.2,
    close_from: Begins = 0.4,
    fresh: Fresh = False,
    tracking: Tracked = "",
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Train a face completer against two adversaries: weights, ONNX, curves, sample sheets, and a run in MLflow."""
    from ops.stages.completer import COLUMNS, Complete
    from ops.training.recipe import CompleterRecipe
    from resources import networks
    from resources.perceptual import perceptual as compares

    settings = {name: value for name, value in locals().items() if name in CompleterRecipe.__dataclass_fields__}

    def task() -> Task:
        recipe = CompleterRecipe(**settings | {"widths": _numbers(widths)})
        return Complete(networks.completer(), networks.adversary(), compares(perceptual), recipe)

    _train("face_completer", task, COLUMNS, pairs, output, tracking, device, fresh=fresh, as_json=as_json)


def _train(
    name: str,
    task_of: Callable[[], Task],
    columns: Sequence[Column],
    pairs: Path,
    output: Path,
    tracking: str,
    device: str,
    *,
    fresh: bool,
    as_json: bool,
) -> None:
    """Train a network, and tell its figures."""
    from ops.stages.networks import make
    from ops.store import Dataset
    from ops.training.tasks import read_pairs
    from resources.compute import Local
    from resources.devices import resolve_device
    from resources.tracking import Tracking, local_uri

    if not Dataset(pairs).manifest.is_file():
        usage(f"{pairs} has no {Dataset(pairs).manifest.name}; it is to be a folder as unmasking_pairs makes it")
    begun = time.perf_counter()
    with usage_on_wrong_value():
        task, known, on = task_of(), read_pairs(Dataset(pairs.resolve())), resolve_device(device)
    say.print(f"{task.name} on {len(known.train)} squares, {on}", markup=False)
    learned = {"verb": f"train {task.name}", "settings": asdict(task.recipe), "models": task.about()}
    learned["input"] = os.path.relpath(pairs.resolve(), output.resolve())
    report = make(
        Dataset(output, columns, exclusive=False, made_with=learned),
        known,
        output / SCRATCH,
        task,
        device=on,
        track=Tracking(tracking or local_uri(Path("data")), name).run,
        mapper=Local(1),
        fresh=fresh,
    )
    card = output / f"{task.name}.json"
    told = json.loads(card.read_text())
    summary: dict[str, Any] = {each: told[each] for each in TOLD} | told["figures"]["all"]
    summary |= {"made": report.made, "kept": report.kept, "seconds": round(time.perf_counter() - begun, 3)}
    if as_json:
        print(json.dumps(summary))
        return
    judged = ", ".join(f"{each} {value:.4f}" for each, value in told["figures"]["all"].items())
    say.print(f"{judged}, validated on {told['validated_on']}", markup=False)
    for note in report.notes:
        say.print(note, markup=False)
    say.print(f"{'trained' if report.made else 'trained before'}; {card}", markup=False)


def _numbers(text: str) -> tuple[int, ...]:
    """Read widths.

    Raises:
        ValueError: these are no whole numbers from 1 on.
    """
    try:
        numbers = tuple(int(part) for part in text.split(",") if text)
    except ValueError:
        numbers = (0,)
    if any(number < 1 for number in numbers):
        raise ValueError(f"widths are {text!r}; use whole numbers such as 16,24,40, or nothing")
    return numbers
