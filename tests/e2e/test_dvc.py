"""DVC and Dagster make the same files: in a copy of the project, with the commands of the README."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from assets_defs.config import LOOKING
from ops.content import directory_md5
from tests.faults.line import SMALL, make_few
from tests.project_copy import ROOT, call, copy_project, run

STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
pytestmark = pytest.mark.slow


def change(params: Path, **wishes: dict) -> str:
    """Change settings by asset, and return the file as it was."""
    before = params.read_text()
    settings = yaml.safe_load(before)
    for asset, wanted in wishes.items():
        settings[asset] |= wanted
    params.write_text(yaml.safe_dump(settings, sort_keys=False))
    return before


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    copy_project(folder)
    change(folder / "params.yaml", **SMALL)
    make_few(folder / "data" / "raw" / "sample")
    return folder


@pytest.fixture(scope="module")
def reproduced(project) -> str:
    """What `dvc repro` says when nothing is there yet."""
    return run(project, "dvc", "repro")


@pytest.fixture(scope="module")
def faces(project) -> tuple[str, ...]:
    """The command that makes the faces group, once it is made; each test leaves it as it was."""
    command = ("python", "-m", "orchestration.materialize", "faces")
    run(project, *command)
    return command


def test_repro_makes_everything_once_and_dvcs_hashes_are_ours(project, reproduced):
    stages = yaml.safe_load((project / "dvc.lock").read_text())["stages"]
    assert reproduced.count("Running stage") == len(stages) == len(STAGES)
    second = run(project, "dvc", "repro")
    assert second.count("didn't change, skipping") == len(STAGES)
    for name, stage in stages.items():
        assert [out["md5"] for out in stage["outs"]] == [directory_md5(project / "data" / name)]


def test_what_is_fresh_is_not_made_again_and_settings_count(project, reproduced):
    fresh = run(project, "python", "-m", "orchestration.materialize", "all")
    assert fresh.count(": fresh") == len(STAGES) - len(LOOKING)
    assert "frames [sample]: made 0" in fresh
    assert "annotated_scenes: made 0" in fresh
    params = project / "params.yaml"
    before = change(params, masked_faces={"variants": 2})
    changed = run(project, "python", "-m", "orchestration.materialize", "faces")
    assert "face_geometry [sample]: fresh" in changed
    assert "masked_faces [sample]: made 6" in changed
    params.write_text(before)


def test_metrics_are_compared_with_a_commit_and_plots_are_drawn(project):
    run(project, "dvc", "repro")
    run(project, "git", "add", ".")
    run(project, "git", "commit", "-qm", "as it is")
    params = project / "params.yaml"
    before = change(params, detector_report={"ap50": 0.75})
    run(project, "dvc", "repro", "detector_report")
    diff = json.loads(run(project, "dvc", "metrics", "diff", "--json"))
    floor = yaml.safe_load(before)["detector_report"]["ap50"]
    assert diff == {
        "data/detector_report/metrics.json": {"floor.ap50": {"old": floor, "new": 0.75, "diff": 0.75 - floor}}
    }
    params.write_text(before)
    run(project, "dvc", "plots", "show", "--out", "plots")
    page = (project / "plots" / "index.html").read_text()
    plots = yaml.safe_load((project / "dvc.yaml").read_text())["plots"]
    named = [next(iter(plot)) if isinstance(plot, dict) else Path(plot).name for plot in plots]
    assert [name for name in named if name not in page] == []


def test_a_folder_changed_by_hand_is_made_whole_again(project, faces):
    folder = project / "data" / "aligned_crops" / "sample"
    whole = directory_md5(folder)
    next(folder.glob("*.jpg")).unlink()
    told = run(project, *faces)
    assert "its folder is not as it was made" in told
    assert directory_md5(folder) == whole


def test_a_bad_source_stops_only_itself(project, faces):
    empty = project / "data" / "raw" / "aaa"
    empty.mkdir()
    done = call(project, *faces, "annotated_scenes", "--force")
    assert done.returncode == 1
    assert "frames [aaa]: FAILED: check decodable did not pass" in done.stderr
    for asset in ("face_geometry", "masked_faces", "aligned_crops"):
        assert f"{asset} [aaa]: left out, its input failed" in done.stderr
        assert f"{asset} [sample]: made 0, kept" in done.stdout
        assert not (project / "data" / asset / "aaa").exists()
    assert "annotated_scenes: without aaa, whose input failed" in done.stderr
    assert "annotated_scenes: made 0, kept" in done.stdout
    empty.rmdir()
    shutil.rmtree(project / "data" / "frames" / "aaa")


def test_what_failed_a_blocking_check_is_never_fresh(project, faces):
    checks = project / "assets_defs" / "checks" / "faces.py"
    before = checks.read_text()
    checks.write_text(before.replace("COVERED = 0.9", "COVERED = 1.1"))
    first, second = call(project, *faces, "--force"), call(project, *faces)
    checks.write_text(before)
    assert "masked_faces [sample]: FAILED: check covers_what_it_claims did not pass" in first.stderr
    assert "face_geometry [sample]: fresh" in second.stdout
    assert second.stderr == first.stderr
    assert "aligned_crops [sample]: left out, its input failed" in second.stderr
    assert (first.returncode, second.returncode) == (1, 1)
    healed = run(project, *faces)
    assert "it did not pass its checks, or could not read a file" in healed
    assert "aligned_crops [sample]: fresh" in healed


def test_a_table_that_code_reads_counts_as_code(project, faces):
    registry = project / "model_assets" / "registry.yaml"
    before = registry.read_text()
    registry.write_text(f"{before}# another line\n")
    told = run(project, *faces)
    registry.write_text(before)
    assert "face_geometry [sample]: made 0" in told
    assert "its code, settings or input changed" in told
    assert "masked_faces [sample]: fresh" in told


def test_a_file_that_was_away_is_looked_at_again(project, faces):
    whole = directory_md5(project / "data" / "face_geometry")
    raw = project / "data" / "raw" / "sample" / "grace_hopper" / "grace_hopper.jpg"
    raw.rename(project / "away.jpg")
    shutil.rmtree(project / "data" / "face_geometry")
    told = run(project, *faces[:-1], "face_geometry")
    assert "rejected 1" in told
    (project / "away.jpg").rename(raw)
    assert "could not read a file" in run(project, *faces[:-1], "face_geometry")
    assert directory_md5(project / "data" / "face_geometry") == whole
