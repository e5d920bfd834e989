"""The command ``maskline``: VERB INPUT OUTPUT, on a file or a folder, without Dagster."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ops.stages.photo import Wishes
    from ops.store import Report
    from resources.models import FaceModels

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
models_app = typer.Typer(no_args_is_help=True, help="Model files: what there is, where it comes from.")
app.add_typer(models_app, name="models")
say = Console(stderr=True)

Input = Annotated[Path, typer.Argument(help="a picture, a video, or a folder of them", show_default=False)]
Output = Annotated[Path, typer.Argument(help="folder to write to; it mirrors INPUT's folders", show_default=False)]
Workers = Annotated[int, typer.Option(help="processes; 0 lets the amount of work decide", min=0)]
Seed = Annotated[int, typer.Option(help="another seed, other masks")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda")]
Detector = Annotated[str, typer.Option(help="face detector by name")]
Landmarker = Annotated[str, typer.Option(help="mesh, or face_landmarker where its weights can be had")]
Fps = Annotated[float, typer.Option(help="frames a second taken from videos", min=0.001)]
AsJson = Annotated[bool, typer.Option("--json", help="print one JSON object and nothing else")]
Style = Annotated[list[str], typer.Option(help="crop style by name, or all; may be repeated")]
Size = Annotated[int, typer.Option(help="side of a crop in pixels", min=16)]
NOTHING_DONE, USAGE = 1, 2


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

    with _usage_on_wrong_value():
        settings = chosen(preset, seed=seed, garments=garments, kinds=kind, states=state)
    wishes = Wishes(
        masks=None if no_mask else settings,
        variants=n_augmentations,
        styles=() if no_crop else _styles(crop_style, size),
        size=size,
        copy=no_mask and no_crop,
        fps=fps,
    )
    _process(input, output, wishes, FaceModels(detector, landmarker, device), workers, as_json)


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
    _process(input, output, wishes, FaceModels(detector, landmarker, device), workers, as_json)


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
    _process(input, output, Wishes(draw=True, fps=fps), models, workers, as_json)


@app.command()
def export(
    dataset: Annotated[Path, typer.Argument(help="folder of masked pictures with its manifest", show_default=False)],
    output: Annotated[Path, typer.Argument(help="folder to write to: new, or an earlier export", show_default=False)],
    format: Annotated[str, typer.Option(help="yolo-detect, yolo-segment, coco or voc")] = "yolo-detect",
    as_json: AsJson = False,
) -> None:
    """Write masked pictures and their labels as YOLO, COCO or Pascal VOC."""
    from ops.detection import scenes

    with _usage_on_wrong_value():
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

    with _usage_on_wrong_value():
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
    with _bar() as bar:
        for name in names:
            task = bar.add_task(name, total=None)
            path = registry.fetch(name, progress=partial(_advance, bar, task))
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


def _process(given: Path, output: Path, wishes: Wishes, models: FaceModels, workers: int, as_json: bool) -> None:
    """Run the wishes over INPUT, print what was done, and leave with the right exit code."""
    import pandas as pd

    from ops.stages import masks, photo
    from ops.store import Dataset
    from resources.compute import Local

    if not given.exists():
        _usage(f"{given} does not exist")
    given = given.resolve()
    root, only = (given, None) if given.is_dir() else (given.parent, given.name)
    if only is None and output.resolve().is_relative_to(root.resolve()):
        _usage(f"OUTPUT {output} lies inside INPUT {given}, so the next run would take it for input; choose another")
    start = time.perf_counter()
    with _usage_on_wrong_value():
        items, told = photo.plan(root, only, wishes, models)
    dataset = Dataset(output, photo.columns(wishes), exclusive=False)
    work = partial(photo.Process, output, wishes, models)
    unseen = pd.DataFrame({"source": [], "status": [], "reason": []})
    also = None if wishes.masks is None else partial(masks.logs, unseen)
    with _bar() as bar:
        task = bar.add_task("files", total=len(items))
        report = dataset.build(
            items, work, Local(workers), refused=told, also=also, progress=partial(_advance, bar, task)
        )
    _tell(dataset, report, {item.payload["source"] for item in items} | {row["source"] for row in told}, start, as_json)


def _tell(dataset: Any, report: Report, sources: set[str], start: float, as_json: bool) -> None:
    rows = dataset.read(["source", "frame", "output", "face", "status", "reason"])
    rows = rows[rows["source"].isin(sources)]
    status = rows["status"].value_counts()
    done = rows[rows["status"] == "done"]
    summary = {
        "pictures": len(sources),
        "faces": int(rows.dropna(subset="face")[["source", "frame", "face"]].drop_duplicates().shape[0]),
        "outputs": int(done["output"].nunique()),
        "skipped": int(status.get("skipped", 0)),
        "rejected": int(status.get("rejected", 0)),
        "seconds": round(time.perf_counter() - start, 3),
    }
    if as_json:
        print(json.dumps(summary))
    else:
        say.print(", ".join(f"{name} {value}" for name, value in summary.items()))
        refused = rows[rows["status"] == "rejected"]
        for known in refused.head(10).to_dict("records"):
            say.print(f"  rejected {known['source']!r}: {known['reason']}", markup=False)
        for note in report.notes:
            say.print(f"  {note}", markup=False)
        say.print(f"{report.made} files worked on, {report.kept} were done already; {dataset.manifest}", markup=False)
    if not sources or (done.empty and not summary["skipped"]):
        raise typer.Exit(NOTHING_DONE)


def _registry() -> Any:
    from model_assets.registry import Registry

    return Registry.load()


def _styles(wanted: list[str], size: int) -> tuple[str, ...]:
    from ops.alignment import resolve_styles, template

    with _usage_on_wrong_value():
        styles = resolve_styles(wanted)
        for style in styles:
            template(style, size)
    return styles


@contextmanager
def _usage_on_wrong_value() -> Iterator[None]:
    """Leave with a usage error where the values given are not allowed."""
    try:
        yield
    except ValueError as error:
        _usage(str(error))


def _bar() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=say, disable=not say.is_terminal)


def _advance(bar: Progress, task: Any, done: int, total: int) -> None:
    bar.update(task, completed=done, total=total)


def _usage(text: str) -> NoReturn:
    say.print(f"maskline: {text}", style="red", markup=False, soft_wrap=True)
    raise typer.Exit(USAGE)


def told_errors() -> tuple[type[Exception], ...]:
    """Errors whose message is meant for the user as it stands."""
    from model_assets.registry import ModelUnavailable
    from ops.store import DatasetBusy
    from resources.compute import WorkerDied
    from resources.devices import DeviceUnavailable

    return (DatasetBusy, DeviceUnavailable, ModelUnavailable, OSError, WorkerDied)


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
