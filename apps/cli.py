"""The command ``maskline``: VERB INPUT OUTPUT, on a file or a folder, without Dagster."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from apps.verbs.anonymise import anonymise
from apps.verbs.common import (
    NOTHING_DONE,
    PORTS,
    AsJson,
    Device,
    Fps,
    Input,
    Output,
    Workers,
    advance,
    process,
    progress_bar,
    say,
    usage_on_wrong_value,
)
from apps.verbs.detect import detect
from apps.verbs.doctor import doctor
from apps.verbs.express import express
from apps.verbs.trace import trace
from apps.verbs.train import app as train_app
from apps.verbs.unmask import unmask

if TYPE_CHECKING:
    from collections.abc import Callable

    from ops.stages.photo import Wishes
    from resources.models import FaceModels

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
models_app = typer.Typer(no_args_is_help=True, help="Model files: what there is, where it comes from.")
app.add_typer(models_app, name="models")
app.add_typer(train_app, name="train")
browser_app = typer.Typer(no_args_is_help=True, help="Apps in the browser.")
app.add_typer(browser_app, name="app")

Seed = Annotated[int, typer.Option(help="another seed, other masks")]
Detector = Annotated[str, typer.Option(help="face detector by name")]
Landmarker = Annotated[str, typer.Option(help="mesh, or face_landmarker where its weights can be had")]
Style = Annotated[list[str], typer.Option(help="crop style by name, or all; may be repeated")]
Size = Annotated[int, typer.Option(help="side of a crop in pixels", min=16)]


@app.command()
def mask(
    input: Input,
    output: Output,
    n_augmentations: Annotated[int, typer.Option(help="masked variants a picture", min=1)] = 1,
    no_mask: Annotated[bool, typer.Option("--no-mask", help="only crop, faces stay bare")] = False,
    no_crop: Annotated[bool, typer.Option("--no-crop", help="only mask, no aligned crops")] = False,
    crop_style: Style = ["all"],  # noqa: B006 - typer's way to a default
    size: Size = 112,
    preset: Annotated[str, typer.Option(help="what masks: street, careless, clinic or seed_000")] = "street",
    kind: Annotated[list[str] | None, typer.Option(help="only this kind of mask; may be repeated")] = None,
    state: Annotated[list[str] | None, typer.Option(help="only this way of wearing it; may be repeated")] = None,
    garments: Annotated[
        Path | None, typer.Option(help="folder of your own garments", exists=True, file_okay=False)
    ] = None,
    seed: Seed = 0,
    workers: Workers = 0,
    device: Device = "auto",
    detector: Detector = "blazeface",
    landmarker: Landmarker = "mesh",
    fps: Fps = 1.0,
    as_json: AsJson = False,
) -> None:
    """Put masks on every face, and cut the faces out aligned."""
    from ops.masking import chosen
    from ops.stages.photo import Wishes
    from resources.models import FaceModels

    with usage_on_wrong_value():
        settings = chosen(preset, seed=seed, garments=garments, kinds=kind, states=state)
    wishes = Wishes(
        masks=None if no_mask else settings,
        variants=n_augmentations,
        styles=() if no_crop else _styles(crop_style, size),
        size=size,
        copy=no_mask and no_crop,
        fps=fps,
    )
    _process("mask", input, output, wishes, FaceModels(detector, landmarker, device), workers, as_json)


@app.command()
def crop(
    input: Input,
    output: Output,
    crop_style: Style = ["all"],  # noqa: B006
    size: Size = 112,
    workers: Workers = 0,
    device: Device = "auto",
    detector: Detector = "blazeface",
    landmarker: Landmarker = "mesh",
    fps: Fps = 1.0,
    as_json: AsJson = False,
) -> None:
    """Cut every face out, aligned."""
    from ops.stages.photo import Wishes
    from resources.models import FaceModels

    wishes = Wishes(styles=_styles(crop_style, size), size=size, numbered=False, fps=fps)
    _process("crop", input, output, wishes, FaceModels(detector, landmarker, device), workers, as_json)


@app.command()
def faces(
    input: Input,
    output: Output,
    workers: Workers = 0,
    device: Device = "auto",
    detector: Detector = "blazeface",
    landmarker: Landmarker = "mesh",
    fps: Fps = 1.0,
    as_json: AsJson = False,
) -> None:
    """Find every face, and draw its box, mesh and pose."""
    from ops.stages.photo import Wishes
    from resources.models import FaceModels

    models = FaceModels(detector, landmarker, device)
    _process("faces", input, output, Wishes(draw=True, fps=fps), models, workers, as_json)


app.command()(detect)
app.command()(unmask)
app.command()(anonymise)
app.command()(express)
app.command()(doctor)
app.command()(trace)


@app.command()
def export(
    dataset: Annotated[Path, typer.Argument(help="folder of masked pictures with its manifest", show_default=False)],
    output: Annotated[Path, typer.Argument(help="folder to write to: new, or an earlier export", show_default=False)],
    format: Annotated[str, typer.Option(help="yolo-detect, yolo-segment, coco or voc")] = "yolo-detect",
    as_json: AsJson = False,
) -> None:
    """Write masked pictures and their labels as YOLO, COCO or Pascal VOC."""
    from ops.detection import scenes

    with usage_on_wrong_value():
        made = scenes.export(dataset, output, format)
    summary = {"pictures": made.pictures, **made.faces, "removed": made.removed}
    if as_json:
        print(json.dumps(summary))
    else:
        say.print(", ".join(f"{name} {value}" for name, value in summary.items()))


@app.command()
def garments(
    output: Annotated[Path, typer.Argument(help="folder to write index.html and the sheets to", show_default=False)],
    garments: Annotated[Path | None, typer.Option(help="folder of your own", exists=True, file_okay=False)] = None,
    preset: Annotated[list[str] | None, typer.Option(help="only this preset's draws; may be repeated")] = None,
    seed: Seed = 0,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Show every kind of mask, and your own garments, in a catalogue."""
    from ops.catalogue import make_catalogue
    from ops.faces import find_faces
    from ops.masking import PRESETS, load_garments
    from ops.sample import portraits
    from resources.models import FaceModels

    with usage_on_wrong_value():
        own = load_garments(garments) if garments else ()
        models = FaceModels(device=device).load()
        shown = [(pixels, find_faces(pixels, *models)[0]) for pixels in portraits()]
        files = make_catalogue(output, shown, own, preset or tuple(PRESETS), seed=seed)
    if as_json:
        print(json.dumps({"files": [str(path) for path in files], "garments": len(own)}))
    else:
        say.print(f"{files[-1]}: ready", markup=False)


@app.command(add_help_option=False, context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def materialize(context: typer.Context) -> None:
    """Materialize assets: the options of `python -m orchestration.materialize`."""
    raise typer.Exit(subprocess.call([sys.executable, "-m", "orchestration.materialize", *context.args]))  # noqa: S603


@app.command()
def sample(folder: Annotated[Path, typer.Argument(help="where to write it")] = Path("data/raw/sample")) -> None:
    """Make the embedded sample: public-domain portraits and a short video with sound."""
    from ops.sample import make_sample

    make_sample(folder)
    say.print(f"{folder}: ready")


@models_app.command("list")
def list_models(as_json: AsJson = False) -> None:
    """List every model with its licence and where it comes from."""
    registry = _registry()
    rows = [
        {
            "name": model.name,
            "task": model.task,
            "file": model.file,
            "bytes": model.bytes,
            "licence": model.licence,
            "sources": [type(source).__name__.lower() for source in model.sources],
            "here": registry.path(model.name) is not None,
        }
        for model in registry.models.values()
    ]
    if as_json:
        print(json.dumps(rows))
        return
    table = Table("name", "task", "MB", "licence", "sources", "here")
    for known in rows:
        size, sources = f"{known['bytes'] / 1e6:.1f}", ", ".join(known["sources"])
        table.add_row(known["name"], known["task"], size, known["licence"], sources, "yes" if known["here"] else "")
    Console().print(table)


@models_app.command()
def fetch(names: Annotated[list[str], typer.Argument(help="models by name")]) -> None:
    """Fetch models into the cache, verified."""
    registry = _registry()
    with progress_bar() as bar:
        for name in names:
            task = bar.add_task(name, total=None)
            path = registry.fetch(name, progress=partial(advance, bar, task))
            say.print(f"{name}: {path}")


@models_app.command()
def verify(names: Annotated[list[str] | None, typer.Argument(help="models by name; all by default")] = None) -> None:
    """Compare cached files with their checksums; exit 1 when one is wrong."""
    registry = _registry()
    states = {name: registry.verify(name) for name in names or registry.models}
    for name, state in states.items():
        print(f"{name}: {state}")
    if any(state == "wrong" for state in states.values()):
        raise typer.Exit(NOTHING_DONE)


@browser_app.command()
def detector(
    data: Annotated[Path, typer.Option(help="data folder: runs and report are read from it")] = Path("data"),
    port: Annotated[int, typer.Option(help="port to listen on", min=1, max=65535)] = PORTS["detector app"],
    host: Annotated[str, typer.Option(help="address to listen on; by default this machine alone")] = "127.0.0.1",
) -> None:
    """Try mask detectors on pictures, videos and the webcam; compare trainings; read the report."""
    from apps.detector.serve import serve

    say.print(f"http://{host}:{port}   Ctrl+C ends it", markup=False)
    serve(data, host, port)


@browser_app.command()
def expression(
    port: Annotated[int, typer.Option(help="port to listen on", min=1, max=65535)] = PORTS["expression app"],
    host: Annotated[str, typer.Option(help="address to listen on; by default this machine alone")] = "127.0.0.1",
    diffusion: Annotated[
        str, typer.Option(help="inpainting model: an id, a folder, none; auto: the default one if it is here")
    ] = "auto",
    device: Device = "auto",
) -> None:
    """Open closed eyes and add smiles to pictures, face by face."""
    from apps.expression.serve import serve
    from resources.expressions import diffusion_of, editors
    from resources.models import FaceModels

    kit = editors(FaceModels(device=device), diffusion=diffusion_of(diffusion, device))
    say.print(f"http://{host}:{port}   Ctrl+C ends it", markup=False)
    serve(kit, host, port)


def _process(
    verb: str, given: Path, output: Path, wishes: Wishes, models: FaceModels, workers: int, as_json: bool
) -> None:
    """Run the wishes over INPUT, print what was done, and leave with the right exit code."""
    import pandas as pd

    from ops.stages import masks, photo

    unseen = pd.DataFrame({"source": [], "status": [], "reason": []})
    settings = {**asdict(replace(wishes, masks=None)), "masks": wishes.masks and wishes.masks.as_key()}
    with usage_on_wrong_value():
        versions = models.versions()
    process(
        given,
        output,
        partial(photo.plan, wishes=wishes, models=models),
        partial(photo.Process, output, wishes, models),
        photo.columns(wishes),
        made_with={"verb": verb, "settings": settings, "models": versions},
        workers=workers,
        as_json=as_json,
        also=None if wishes.masks is None else partial(masks.logs, unseen),
    )


def _registry() -> Any:
    from model_assets.registry import Registry

    return Registry.load()


def _styles(wanted: list[str], size: int) -> tuple[str, ...]:
    from ops.alignment import resolve_styles, template

    with usage_on_wrong_value():
        styles = resolve_styles(wanted)
        for style in styles:
            template(style, size)
    return styles


def told_errors() -> tuple[type[Exception], ...]:
    """Errors whose message is meant for the user as it stands."""
    from model_assets.registry import ModelUnavailable
    from ops.pinned import ChangedModel
    from ops.store import DatasetBusy
    from resources.compute import WorkerDied
    from resources.devices import DeviceUnavailable
    from resources.mask_detectors import BadDetector
    from resources.onnx_sessions import BadNetwork

    asked = (BadDetector, BadNetwork, DeviceUnavailable, ModelUnavailable)
    return (*asked, ChangedModel, DatasetBusy, OSError, WorkerDied)


def main() -> None:
    """Run the command line; errors that a user can mend are one line."""
    told: Callable[[], tuple[type[Exception], ...]] = told_errors
    try:
        app()
    except told() as error:
        say.print(f"maskline: {error}", style="red", markup=False, soft_wrap=True)
        sys.exit(NOTHING_DONE)


if __name__ == "__main__":
    main()
