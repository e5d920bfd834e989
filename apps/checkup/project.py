"""The project's folder: sources, DVC, and where Dagster keeps its runs."""

from __future__ import annotations

import configparser
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from apps.checkup.finding import NOTE, OK, WRONG, Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

AREA = "project"


def dagster_home(project: Path) -> Path:
    """Return where Dagster keeps its runs: DAGSTER_HOME, or ``.dagster`` in the project."""
    return Path(os.environ.get("DAGSTER_HOME") or project / ".dagster")


def is_checkout(project: Path) -> bool:
    """Tell whether a folder is a checkout of the project."""
    return all((project / name).is_file() for name in ("dvc.yaml", "params.yaml", "dagster.yaml"))


def project_folder(project: Path, data: Path) -> Iterator[Finding]:
    """Look at a checkout; elsewhere say that there is none."""
    if not is_checkout(project):
        found = f"{project.resolve()} is no checkout: the verbs work, assets, DVC and Dagster's UI don't"
        yield Finding(AREA, "folder", NOTE, found, "go to the checkout, or name it with --project")
        return
    yield Finding(AREA, "folder", OK, str(project.resolve()))
    yield _sources(data / "raw")
    yield from _versioning(project)
    yield _home(dagster_home(project), project)


def _sources(raw: Path) -> Finding:
    names = sorted(path.name for path in raw.iterdir() if path.is_dir()) if raw.is_dir() else []
    if not names:
        remedy = "put folders of pictures there, or run make sample"
        return Finding(AREA, "sources", NOTE, f"no folder in {raw}", remedy)
    some = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    return Finding(AREA, "sources", OK, f"{len(names)} in {raw}: {some}")


def _versioning(project: Path) -> Iterator[Finding]:
    beside = Path(sys.executable).parent
    for name, remedy in (("git", "install git"), ("dvc", "pip install dvc"), ("dg", "pip install dagster-dg-cli")):
        at = shutil.which(name, path=os.pathsep.join((str(beside), os.environ.get("PATH", os.defpath))))
        yield Finding(AREA, name, OK, at) if at else Finding(AREA, name, WRONG, "no such command", remedy)
    if not (project / ".git").exists():
        found = "the folder is no git repository, and DVC keeps versions in one"
        yield Finding(AREA, "versions", NOTE, found, "git clone the project")
        return
    settings = configparser.ConfigParser()
    settings.read([project / ".dvc" / "config", project / ".dvc" / "config.local"], encoding="utf-8")
    remote = settings.get("core", "remote", fallback="")
    if remote:
        yield Finding(AREA, "DVC remote", OK, remote)
    else:
        found = "none by default: dvc push has nowhere to go, data is on this machine alone"
        yield Finding(AREA, "DVC remote", NOTE, found, "dvc remote add --default NAME FOLDER_OR_URL")


def _home(home: Path, project: Path) -> Finding:
    settings = home / "dagster.yaml"
    if not home.is_dir():
        return Finding(AREA, "Dagster home", OK, f"{home} is made by the first run")
    if not settings.is_file():
        return Finding(
            AREA, "Dagster home", WRONG, f"{settings} is missing or leads nowhere", "python -m orchestration.home"
        )
    shared = settings.samefile(project / "dagster.yaml")
    found = f"{home}, with {'the project' if shared else 'settings of its own, not the project'}'s dagster.yaml"
    return Finding(AREA, "Dagster home", OK if shared else NOTE, found)
