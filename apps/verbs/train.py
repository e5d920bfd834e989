"""``maskline train``: networks of one's own, without Dagster."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from apps.verbs.common import AsJson, Device, say, usage, usage_on_wrong_value
from apps.verbs.train_networks import SCRATCH, completer, segmenter

app = typer.Typer(no_args_is_help=True, help="Train networks of your own.")


@app.callback()
def train() -> None:
    """Train networks of your own."""


@app.command()
def detector(
    split: Annotated[Path, typer.Argument(help="a split: data.yaml, train.txt, val.txt, images and labels")],
    output: Annotated[Path, typer.Argument(help="folder to write to", show_default=False)],
    size: Annotated[str, typer.Option(help="of YOLO26: n, s or m")] = "n",
    start: Annotated[str, typer.Option(help="weights by name, none, or a .pt file; auto: what can be had")] = "auto",
    image_size: Annotated[int, typer.Option(help="longer side in pixels, a multiple of 32")] = 640,
    batch: Annotated[int, typer.Option(help="pictures at a time", min=1)] = 16,
    epochs: Annotated[int, typer.Option(help="at most", min=1)] = 100,
    patience: Annotated[int, typer.Option(help="epochs without a better one before the end", min=1)] = 30,
    optimizer: Annotated[
        str, typer.Option(help="by ultralytics' name; auto takes a learning rate of its own")
    ] = "auto",
    lr0: Annotated[float, typer.Option(help="learning rate at the start")] = 0.01,
    mosaic: Annotated[float, typer.Option(help="share put together of four pictures", min=0, max=1)] = 1.0,
    mixup: Annotated[float, typer.Option(help="share blended of two pictures", min=0, max=1)] = 0.0,
    close_mosaic: Annotated[int, typer.Option(help="last epochs without mosaics", min=0)] = 10,
    freeze: Annotated[int, typer.Option(help="first layers that stay as they are", min=0)] = 0,
    pictures: Annotated[str, typer.Option(help="train, or train_real for photographs alone")] = "train",
    precision: Annotated[str, typer.Option(help="auto, float32 or bfloat16")] = "auto",
    seed: Annotated[int, typer.Option(help="of everything drawn")] = 0,
    fresh: Annotated[
        bool, typer.Option("--fresh/--resume", help="forget a training that was killed, or go on")
    ] = False,
    tracking: Annotated[str, typer.Option(help="of an MLflow store; MLFLOW_TRACKING_URI or data/mlflow if empty")] = "",
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Fine-tune a mask detector: weights, ONNX in three precisions, curves, and a run in MLflow."""
    from ops.stages import detector as stage
    from ops.store import Dataset
    from ops.training.detector import Recipe
    from resources.compute import Local
    from resources.devices import resolve_device
    from resources.start_weights import start_weights
    from resources.tracking import Tracking, local_uri

    if not (split / "data.yaml").is_file():
        usage(f"{split} has no data.yaml; it is to be a split as yolo_splits lays it out")
    begun = time.perf_counter()
    with usage_on_wrong_value():
        recipe = Recipe(
            size=size,
            image_size=image_size,
            batch=batch,
            epochs=epochs,
            patience=patience,
            optimizer=optimizer,
            lr0=lr0,
            mosaic=mosaic,
            mixup=mixup,
            close_mosaic=close_mosaic,
            freeze=freeze,
            pictures=pictures,
            precision=precision,
            seed=seed,
        )
        weights, on = start_weights(start, size), resolve_device(device)
        stage.plan(split, recipe, weights)
    say.print(f"yolo26{size} from {weights.name} on {on}", markup=False)
    learned = {"verb": "train detector", "settings": asdict(recipe), "models": {weights.name: weights.sha256}}
    learned["input"] = os.path.relpath(split.resolve(), output.resolve())
    report = stage.make(
        Dataset(output, stage.COLUMNS, exclusive=False, made_with=learned),
        split.resolve(),
        output / SCRATCH,
        recipe,
        weights,
        device=on,
        track=Tracking(tracking or local_uri(Path("data"))).run,
        mapper=Local(1),
        fresh=fresh,
    )
    told = json.loads((output / stage.CARD).read_text())
    summary = {name: told[name] for name in ("run_id", "mlflow_version", "start", "epochs", "formats")}
    summary |= {"made": report.made, "kept": report.kept, "seconds": round(time.perf_counter() - begun, 3)}
    if as_json:
        print(json.dumps(summary))
        return
    for format, figures in told["formats"].items():
        judged = ", ".join(f"{name} {figures[name]}" for name in ("ap50", "ap50_95"))
        say.print(f"{format}: {judged} on the validation split, {figures['bytes'] / 1e6:.1f} MB", markup=False)
    say.print(f"{'trained' if report.made else 'trained before'}; {output / stage.CARD}", markup=False)


app.command()(segmenter)
app.command()(completer)
