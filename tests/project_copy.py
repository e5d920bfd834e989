"""A copy of the project, of which everything may be changed, and commands in it as a person gives them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
PARTS = ("apps", "assets_defs", "garments", "model_assets", "ops", "orchestration", "resources")
FILES = ("dagster.yaml", "dvc.yaml", "params.yaml", "workspace.yaml", ".dvcignore", ".gitignore")


def copy_code(origin: Path, folder: Path) -> None:
    """Copy the packages with what is compiled of them, which Numba takes ten seconds for."""
    unfinished = shutil.ignore_patterns("*.pyc.*", "*.tmp.*")
    for name in PARTS:
        shutil.copytree(origin / name, folder / name, ignore=unfinished, dirs_exist_ok=True)


def copy_project(folder: Path) -> None:
    """Copy what stages run with, and put it under git and DVC."""
    copy_code(ROOT, folder)
    for name in FILES:
        shutil.copy(ROOT / name, folder / name)
    run(folder, "git", "init", "-q")
    run(folder, "dvc", "init", "-q")


def call(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command there, with an instance of Dagster's of its own."""
    known = {name: value for name, value in os.environ.items() if name != "DAGSTER_HOME"}
    who = {f"GIT_{role}_{what}": "nobody@example.org" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    environment = {**known, **who, "PYTHONPATH": str(folder), "PATH": f"{BIN}:{os.environ['PATH']}"}
    environment |= {"DVC_NO_ANALYTICS": "1", "PYTHONWARNINGS": "ignore"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def run(folder: Path, *command: str) -> str:
    """Run a command that ends well, and return what it said."""
    done = call(folder, *command)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
