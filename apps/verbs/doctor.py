"""``maskline doctor``: what this machine has, what it lacks, and how to get it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from apps.checkup.finding import NOTE, OK, WRONG, Finding
from apps.verbs.common import NOTHING_DONE, PORTS, AsJson
from ops.telling import tellable

if TYPE_CHECKING:
    from collections.abc import Iterator

COLOURS = {OK: "green", NOTE: "yellow", WRONG: "red"}


def doctor(
    project: Annotated[Path, typer.Option(help="the checkout", exists=True, file_okay=False)] = Path(),
    data: Annotated[
        Path | None, typer.Option(help="data folder; the checkout's by default", show_default=False)
    ] = None,
    online: Annotated[
        bool, typer.Option("--online", help="ask where absent models come from whether they answer")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Tell what is missing and how to get it; exit 1 when it is something that everybody needs."""
    found = [
        each._replace(found=tellable(each.found), remedy=tellable(each.remedy))
        for each in findings(project, data or project / "data", online)
    ]
    well = all(finding.state != WRONG for finding in found)
    if as_json:
        print(json.dumps({"well": well, "findings": [finding._asdict() for finding in found]}))
    else:
        _show(found)
    if not well:
        raise typer.Exit(NOTHING_DONE)


def findings(project: Path, data: Path, online: bool) -> Iterator[Finding]:
    """Run every probe.

    Args:
        project: a checkout, or any folder.
        data: the data folder.
        online: ask the sources of absent models.
    """
    from apps.checkup.machine import device, folders, ports
    from apps.checkup.models import models, networks
    from apps.checkup.packages import packages
    from apps.checkup.project import dagster_home, is_checkout, project_folder
    from model_assets.registry import Registry

    registry = Registry.load()
    places = {"data": data, "models": registry.cache}
    yield from packages(project)
    yield from device()
    yield from networks()
    yield from models(registry, online)
    yield from folders({**places, "Dagster home": dagster_home(project)} if is_checkout(project) else places)
    yield from project_folder(project, data)
    yield from ports(PORTS)


def _show(found: list[Finding]) -> None:
    """Print a table, an area at a time, and what is to be done below it."""
    table = Table(show_edge=False, pad_edge=False, show_header=False, box=None, padding=(0, 2, 0, 0))
    for place in ("area", "name", "state", "found"):
        table.add_column(place, no_wrap=place != "found", overflow="fold")
    area = ""
    for finding in found:
        words = [finding.area if finding.area != area else "", finding.name]
        state = Text(finding.state, style=COLOURS[finding.state])
        table.add_row(*map(Text, words), state, Text(finding.found))
        area = finding.area
    console = Console()
    console.print(table)
    console.print()
    for kind, title in ((WRONG, "To be mended:"), (NOTE, "If you need it:")):
        todo = [each for each in found if each.state == kind and each.remedy]
        if todo:
            console.print(Text(title, style=COLOURS[kind]))
        for each in todo:
            console.print(Text(f"  {each.name}: {each.remedy}"), soft_wrap=True)
    if all(finding.state != WRONG for finding in found):
        console.print(Text("Everything that is needed is there.", style=COLOURS[OK]))
