"""DVC and Dagster make the same files: in a copy of the project, with the commands of the README."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from ops.sample import make_sample
from ops.store import directory_md5

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
PARTS = ["apps", "assets_defs", "model_assets", "ops", "orchestration", "resources"]
FILES = ["dagster.yaml", "dvc.yaml", "params.yaml", "workspace.yaml", ".dvcignore"]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    for name in PARTS:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy(ROOT / name, folder / name)
    make_sample(folder / "data" / "raw" / "sample")
    run(folder, "dvc", "init", "--no-scm", "-q")
    return folder


def run(folder: Path, *command: str) -> str:
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "DVC_NO_ANALYTICS": "1"}
    environment |= {"PYTHONPATH": str(folder), "DAGSTER_HOME": str(folder / ".dagster")}
    command = (str(BIN / command[0]), *command[1:])
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_repro_makes_everything_once_and_dvcs_hashes_are_ours(project):
    first = run(project, "dvc", "repro")
    assert first.count("Running stage") == 4
    second = run(project, "dvc", "repro")
    assert second.count("didn't change, skipping") == 4
    stages = yaml.safe_load((project / "dvc.lock").read_text())["stages"]
    for name, stage in stages.items():
        assert [out["md5"] for out in stage["outs"]] == [directory_md5(project / "data" / name)]


def test_what_is_fresh_is_not_made_again_and_settings_count(project):
    run(project, "dvc", "repro")
    fresh = run(project, "python", "-m", "orchestration.materialize", "all")
    assert fresh.count(": fresh") == 3
    assert "frames [sample]: made 0" in fresh
    params = project / "params.yaml"
    before = params.read_text()
    params.write_text(before.replace("variants: 2", "variants: 1"))
    changed = run(project, "python", "-m", "orchestration.materialize", "all")
    assert "face_geometry [sample]: fresh" in changed
    assert "masked_faces [sample]: made 11" in changed
    params.write_text(before)


def test_a_folder_changed_by_hand_is_made_whole_again(project):
    run(project, "python", "-m", "orchestration.materialize", "all")
    folder = project / "data" / "aligned_crops" / "sample"
    whole = directory_md5(folder)
    next(folder.glob("*.jpg")).unlink()
    told = run(project, "python", "-m", "orchestration.materialize", "all")
    assert "its folder is not as it was made" in told
    assert directory_md5(folder) == whole
