"""``maskline trace``: what a file was made of, back to raw files, settings and models."""

from __future__ import annotations

import json
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from apps.verbs.common import NOTHING_DONE, AsJson, usage_on_wrong_value
from ops.telling import tellable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ops.store import Row
    from ops.tracing import Link

COLOURS = {"as it was": "green", "not known": "yellow"}
ABOUT = ("frame", "time", "face", "variant", "style", "wearing", "split", "origin", "label", "identity", "guise")
"""Columns that tell which row it is; ``--json`` has all of them."""

DRAWN = ("kind", "colour", "pattern", "state", "score", "yaw")
"""Columns of what was drawn or found, of a single row."""

SHOWN = 4
"""Values of a column that are shown, at most."""


EMPTY: tuple[Any, ...] = ("", [], {}, None)
"""Settings that are not shown."""

PIPED = 1000
"""Columns where there is no terminal: a path is in one line."""

LONGEST = 60
"""Characters of a setting that are shown, at most."""


def trace(
    file: Annotated[Path, typer.Argument(help="that Maskline wrote, or a folder with a manifest", show_default=False)],
    face: Annotated[int | None, typer.Option(help="only the row of this face", min=0, show_default=False)] = None,
    time: Annotated[
        float | None, typer.Option(help="only this moment of a video, in seconds", min=0, show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what a file was made of: each row on the way, raw files, settings, models, MLflow runs.

    What can be compared is compared with what is there now. Exit 1 where anything is gone or not as it was.
    """
    from ops.tracing import place_of
    from ops.tracing import trace as follow

    with usage_on_wrong_value():
        chain = follow(file, face=face, time=time, find=_where)
    pages = _pages(chain, place_of(file.absolute()).data or Path("data"))
    if as_json:
        print(json.dumps(chain.as_dict() | {"broken": len(chain.broken), "pages": pages}, default=str))
    else:
        width = None if sys.stdout.isatty() else PIPED
        Console(emoji=False, highlight=False, width=width).print(_tree(chain, pages))
    if chain.broken:
        raise typer.Exit(NOTHING_DONE)


@cache
def _where(checksum: str) -> str | None:
    """Return where a model lies that ships with Maskline or is in the cache."""
    from model_assets.registry import Registry
    from ops.content import file_md5
    from resources.mask_detectors import shipped
    from resources.unmaskers import shipped as networks

    for path in (shipped(), *networks()):
        if path.is_file() and file_md5(path) == checksum:
            return str(path)
    registry = Registry.load()
    name = next((model.name for model in registry.models.values() if model.sha256 == checksum), None)
    path_of = name and registry.path(name)
    return str(path_of) if path_of else None


def _pages(chain: Link, data: Path) -> dict[str, str]:
    """Return the address of each MLflow run of a chain that is in the store."""
    from resources.tracking import Tracking, local_uri

    runs = {link.run["run_id"]: link.run["experiment"] for link in chain.every() if link.run and link.run["run_id"]}
    found = {run_id: Tracking(local_uri(data), name).page(run_id) for run_id, name in runs.items()}
    return {run_id: page for run_id, page in found.items() if page}


def _tree(link: Link, pages: Mapping[str, str], above: Tree | None = None) -> Tree:
    """Return a chain as a tree, what was made above what it is made of."""
    said = Text.assemble((link.what, "bold"), "  ", (link.state, COLOURS.get(link.state, "red")))
    for text in _lines(link, pages):
        said.append(f"\n{tellable(text)}", style="dim")
    tree = Tree(said) if above is None else above.add(said)
    for each in link.of:
        _tree(each, pages, tree)
    return tree


def _lines(link: Link, pages: Mapping[str, str]) -> list[str]:
    """Return what is said of a link below its name."""
    settings = {name: value for name, value in link.made_with.get("settings", {}).items() if value not in EMPTY}
    models = link.made_with.get("models", {}) if link.what.startswith("model ") else {}
    run = link.run or {}
    found = [
        link.file or "",
        link.note,
        _told(link.rows),
        "settings: " * bool(settings) + ", ".join(f"{name} {_brief(value)}" for name, value in settings.items()),
        ", ".join(models.values()),
        f"MLflow run {run['run_id']} ({run['experiment']})" if run.get("run_id") else "",
        pages.get(run.get("run_id", ""), ""),
    ]
    return [text for text in found if text]


def _told(rows: Sequence[Row]) -> str:
    """Return what tells rows from others."""
    said = [f"{len(rows)} rows"] if len(rows) > 1 else []
    for name in (*ABOUT, *(DRAWN if len(rows) == 1 else ())):
        values = list(dict.fromkeys(row[name] for row in rows if row.get(name) is not None))
        if name == "frame" and len(values) > 1:
            continue
        shown = ", ".join(_brief(value) for value in values[:SHOWN])
        said += [f"{name} {shown}{', ...' if len(values) > SHOWN else ''}"] if values else []
    reasons = sorted({row["reason"] for row in rows if row["reason"]})
    return ", ".join([*said, *reasons])


def _brief(value: Any) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
