"""What the verbs share: their common options, the run over INPUT, progress, and how they end."""

from __future__ import annotations

import json
import os
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ops.telling import tellable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ops.store import Column, Dataset, Item, Report, Row


class Teller(Console):
    """A console that shows what names and messages hold, and obeys none of it."""

    def print(self, *objects: Any, **how: Any) -> None:
        """Print as rich does, texts as :func:`ops.telling.tellable` has them."""
        super().print(*(tellable(each) if isinstance(each, str) else each for each in objects), **how)


say = Teller(stderr=True, markup=False, emoji=False)

Input = Annotated[Path, typer.Argument(help="a picture, a video, or a folder of them", show_default=False)]
Output = Annotated[Path, typer.Argument(help="folder to write to; it mirrors INPUT's folders", show_default=False)]
Workers = Annotated[int, typer.Option(help="processes; 0 lets the amount of work decide", min=0)]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda")]
Fps = Annotated[float, typer.Option(help="frames a second taken from videos", min=0.001)]
AsJson = Annotated[bool, typer.Option("--json", help="print one JSON object and nothing else")]
NOTHING_DONE, USAGE = 1, 2
PORTS = {"Dagster's UI": 3000, "detector app": 8501, "expression app": 7860}
"""Ports that are listened on unless another is asked for."""

OUTPUTS = ("output", "crop")
"""Columns of the files that a summary counts."""


def process(
    given: Path,
    output: Path,
    plan: Callable[[Path, str | None], tuple[list[Item], list[Row]]],
    work: Callable[[], Callable[[Item], list[Row]]],
    columns: Sequence[Column],
    *,
    made_with: Mapping[str, Any],
    workers: int,
    as_json: bool,
    models: Mapping[Path, str] | None = None,
    also: Callable[[Any], dict[str, bytes]] | None = None,
    beside: bool = False,
) -> None:
    """Work on INPUT, print what was done, and leave with the right exit code.

    Args:
        given: a file or a folder.
        output: folder to write to.
        plan: lists what to do in a folder, or with one file in it; and what was refused.
        work: makes what does it.
        columns: of the manifest.
        made_with: verb, settings, and names and checksums of models, for the manifest; JSON-able.
        workers: processes; 0 lets the amount of work decide.
        as_json: print one JSON object and nothing else.
        models: files of models that are opened by their paths, with their hashes.
        also: makes further files of the finished table.
        beside: outputs lie beside the inputs, and ``plan`` tells them apart.
    """
    from ops.store import Dataset
    from resources.compute import Local

    if not given.exists():
        usage(f"{given} does not exist")
    given = given.resolve()
    root, only = (given, None) if given.is_dir() else (given.parent, given.name)
    if not beside and only is None and output.resolve().is_relative_to(root.resolve()):
        usage(f"OUTPUT {output} lies inside INPUT {given}, so the next run would take it for input; choose another")
    start = time.perf_counter()
    with usage_on_wrong_value():
        items, told = plan(root, only)
    told_of = {**made_with, "input": os.path.relpath(root, output.resolve())}
    dataset = Dataset(output, columns, exclusive=False, made_with=told_of)
    with progress_bar() as bar:
        task = bar.add_task("files", total=len(items))
        report = dataset.build(
            items,
            work,
            Local(workers),
            refused=told,
            models=models,
            also=also,
            progress=partial(advance, bar, task),
        )
    _tell(dataset, report, {item.payload["source"] for item in items} | {row["source"] for row in told}, start, as_json)


def _tell(dataset: Dataset, report: Report, sources: set[str], start: float, as_json: bool) -> None:
    files = [column.name for column in dataset.columns if column.name in OUTPUTS]
    rows = dataset.read(["source", "frame", *files, "face", "status", "reason"])
    rows = rows[rows["source"].isin(sources)]
    status = rows["status"].value_counts()
    done = rows[rows["status"] == "done"]
    summary = {
        "pictures": len(sources),
        "faces": int(rows.dropna(subset="face")[["source", "frame", "face"]].drop_duplicates().shape[0]),
        "outputs": sum(int(done[name].nunique()) for name in files),
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


@contextmanager
def usage_on_wrong_value() -> Iterator[None]:
    """Leave with a usage error where the values given are not allowed."""
    try:
        yield
    except ValueError as error:
        usage(str(error))


def usage(text: str) -> NoReturn:
    """Tell what is wrong with the command, and leave with the exit code for that."""
    say.print(f"maskline: {text}", style="red", markup=False, soft_wrap=True)
    raise typer.Exit(USAGE)


def progress_bar() -> Progress:
    """Return a progress bar; it is silent where there is no terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=say, disable=not say.is_terminal)


def advance(bar: Progress, task: Any, done: int, total: int) -> None:
    """Move a task's bar to where the work is."""
    bar.update(task, completed=done, total=total)
