"""What runs in the UI made goes into DVC, and what DVC checks out is fresh in Dagster: in a copy of the project."""

import json
import shutil
import subprocess
from pathlib import Path

import boto3
import pytest
import yaml
from moto.server import ThreadedMotoServer

from ops.content import directory_md5, file_md5
from ops.sample import make_sample
from tests.project_copy import call, copy_code, copy_project, run

FACES = ["frames", "face_geometry", "masked_faces", "aligned_crops"]
PICTURE = "grace_hopper/grace_hopper.jpg"
KEYS = {"AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none", "AWS_DEFAULT_REGION": "us-east-1"}
pytestmark = pytest.mark.slow

LAUNCH = """
import json, sys
import dagster as dg
from dagster._core.definitions.data_version import CachingStaleStatusResolver
from dagster._core.loader import LoadingContextForTest
from orchestration.definitions import defs
from orchestration.freshness import latest
from orchestration.home import home

home()
names, jobs, ops = (json.loads(text) for text in sys.argv[1:])
quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
with dg.DagsterInstance.get() as instance:
    if "faces" in jobs:
        instance.add_dynamic_partitions("source", ["sample"])
    for name in jobs:
        job, key = defs.resolve_job_def(name), "sample" if name == "faces" else None
        job.execute_in_process(instance=instance, partition_key=key, run_config={"ops": ops, **quiet})
    graph = defs.resolve_asset_graph()
    resolver = CachingStaleStatusResolver(instance, graph, LoadingContextForTest(instance))
    status = {name: resolver.get_status(dg.AssetKey(name), "sample").value for name in names}
    events = {name: latest(instance, name, "sample") for name in names}
    content = {name: event and event.tags["dagster/data_version"] for name, event in events.items()}
    print(json.dumps({"status": status, "content": content}))
"""
"""Launch jobs with settings as the Launchpad does; ask Dagster itself then what is fresh, and what it knows of it."""


def launch(folder: Path, *jobs: str, ops: dict | None = None) -> subprocess.CompletedProcess[str]:
    return call(folder, "python", "-c", LAUNCH, *(json.dumps(told) for told in (FACES, jobs, ops or {})))


def launched(folder: Path, *jobs: str, ops: dict | None = None) -> dict:
    """Tell what Dagster knows after jobs, or as it is."""
    done = launch(folder, *jobs, ops=ops)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def written(home: Path) -> dict[str, str]:
    """Return every file of the instance proper, by hash."""
    files = (path for path in home.rglob("*") if path.is_file() and "experiments" not in path.parts)
    return {str(path): file_md5(path) for path in files}


def content(folder: Path) -> dict[str, str]:
    return {name: directory_md5(folder / "data" / name) for name in ["raw", *FACES]}


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A copy with one picture, whose faces group was made by a run and recorded, and a commit in git."""
    folder = tmp_path_factory.mktemp("project")
    copy_project(folder)
    params = folder / "params.yaml"
    params.write_text(params.read_text().replace("variants: 2 ", "variants: 1 "))
    make_sample(folder / "sample")
    target = folder / "data" / "raw" / "sample" / PICTURE
    target.parent.mkdir(parents=True)
    (folder / "sample" / PICTURE).rename(target)
    shutil.rmtree(folder / "sample")
    run(folder, "dvc", "add", "-q", "data/raw")
    launched(folder, "faces", "record_versions")
    run(folder, "git", "add", ".")
    run(folder, "git", "commit", "-qm", "recorded")
    return folder


def test_what_a_run_made_is_recorded_as_dvc_would_have(project):
    stages = yaml.safe_load((project / "dvc.lock").read_text())["stages"]
    assert {name: stage["outs"][0]["md5"] for name, stage in stages.items()} == {
        name: directory_md5(project / "data" / name) for name in FACES
    }
    assert "up to date" in run(project, "dvc", "status", *FACES, "data/raw.dvc")
    assert "Running stage" not in run(project, "dvc", "repro", "aligned_crops")
    kept = run(project, "git", "ls-files", "data", "dvc.lock").split()
    assert kept == ["data/raw.dvc", "dvc.lock"], "pictures are DVC's, not git's"


def test_a_launchpad_override_is_refused_and_a_checkout_takes_it_back(project):
    before, lock = content(project), (project / "dvc.lock").read_text()
    known = launched(project, "faces", ops={"masked_faces": {"config": {"variants": 2}}})
    refused = launch(project, "record_versions")
    assert refused.returncode != 0
    assert "masked_faces [sample]: it was made with variants 2 and not 1" in refused.stderr
    assert (project / "dvc.lock").read_text() == lock
    run(project, "dvc", "checkout", "--allow-missing", "--force")
    assert content(project) == before
    assert known["content"]["masked_faces"] != directory_md5(project / "data" / "masked_faces" / "sample")
    now = launched(project, "adopt_checkout", "record_versions")
    assert now["status"] == dict.fromkeys(FACES, "FRESH")
    assert now["content"] == {name: directory_md5(project / "data" / name / "sample") for name in FACES}
    assert (project / "dvc.lock").read_text() == lock


def test_what_is_not_as_it_would_be_made_now_is_refused_by_name(project):
    extra, gone = project / "data" / "raw" / "sample" / "more.jpg", project / "data" / "frames" / "gone"
    shutil.copy(project / "data" / "raw" / "sample" / PICTURE, extra)
    gone.mkdir()
    params = project / "params.yaml"
    settings, lock = params.read_text(), (project / "dvc.lock").read_text()
    params.write_text(settings.replace("max_faces: 0 ", "max_faces: 3 "))
    crop = next((project / "data" / "aligned_crops" / "sample").glob("*.jpg"))
    crop.rename(project / "away.jpg")
    done = call(project, "python", "-m", "orchestration.versions", "record")
    (project / "away.jpg").rename(crop)
    params.write_text(settings)
    extra.unlink()
    gone.rmdir()
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "frames [sample]: raw files came, went or changed since it was made",
        "frames [gone]: data/raw has no such source; remove its folder, too",
        "face_geometry [sample]: it was made with max_faces 0 and not 3",
        "aligned_crops [sample]: its folder is not as it was made",
    ]
    assert (project / "dvc.lock").read_text() == lock


def test_a_clone_pulls_everything_and_dagster_takes_it_for_fresh(project, tmp_path):
    run(project, "dvc", "remote", "add", "--local", "shelf", str(tmp_path / "shelf"))
    run(project, "dvc", "push", "-q", "-r", "shelf")
    clone = tmp_path / "clone"
    run(project, "git", "clone", "-q", str(project), str(clone))
    copy_code(project, clone)
    run(clone, "dvc", "remote", "add", "--local", "shelf", str(tmp_path / "shelf"))
    run(clone, "dvc", "pull", "-q", "-r", "shelf", "--allow-missing")
    assert content(clone) == content(project)
    assert launched(clone)["status"] == dict.fromkeys(FACES, "MISSING")
    adopted = run(clone, "python", "-m", "orchestration.versions", "adopt")
    assert adopted.splitlines() == [f"adopted: {', '.join(f'{name} [sample]' for name in FACES)}"]
    assert launched(clone)["status"] == dict.fromkeys(FACES, "FRESH")
    assert run(clone, "python", "-m", "orchestration.versions", "adopt") == "adopted: nothing that was not known\n"
    params = clone / "params.yaml"
    params.write_text(params.read_text().replace("seed: 0", "seed: 7", 1))
    made = run(clone, "python", "-m", "orchestration.materialize", "face_geometry", "masked_faces")
    assert "face_geometry [sample]: fresh" in made
    assert "it was made with seed 0 and not 7" in made
    expected = dict.fromkeys(FACES, "FRESH") | {"aligned_crops": "STALE"}
    assert launched(clone)["status"] == expected, "what comes after an adopted one is seen"
    left = run(clone, "python", "-m", "orchestration.versions", "adopt").splitlines()
    assert left[1:] == [
        "left out, not as in dvc.lock: masked_faces: settings, data/masked_faces (modified)",
        "left out, not as in dvc.lock: aligned_crops: data/masked_faces (modified)",
    ]


def test_a_bucket_gives_back_the_same_tree(project, monkeypatch):
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    try:
        address = "http://{}:{}".format(*server.get_host_and_port())
        client = boto3.client("s3", endpoint_url=address)
        client.create_bucket(Bucket="shelf")
        run(project, "dvc", "remote", "add", "--local", "bucket", "s3://shelf/maskline")
        run(project, "dvc", "remote", "modify", "--local", "bucket", "endpointurl", address)
        before = content(project)
        run(project, "dvc", "push", "-q", "-r", "bucket")
        shutil.rmtree(project / "data")
        shutil.rmtree(project / ".dvc" / "cache")
        run(project, "git", "checkout", "-q", "--", "data/raw.dvc")
        run(project, "dvc", "pull", "-q", "-r", "bucket", "--allow-missing")
        assert content(project) == before
    finally:
        server.stop()


def test_an_experiment_has_a_dagster_home_of_its_own(project):
    before, known = content(project), written(project / ".dagster")
    run(project, "dvc", "exp", "run", "-n", "two", "-S", "masked_faces.variants=2", "masked_faces")
    assert content(project)["masked_faces"] != before["masked_faces"]
    assert written(project / ".dagster") == known, "the instance proper was not written to"
    assert (project / ".dagster" / "experiments" / "two" / "storage").is_dir()
    diff = json.loads(run(project, "dvc", "params", "diff", "--json"))
    assert diff["params.yaml"]["masked_faces.variants"] == {"old": 1, "new": 2, "diff": 1}
    run(project, "git", "checkout", "-q", "--", "params.yaml", "dvc.lock")
    run(project, "dvc", "checkout", "--allow-missing")
    assert content(project) == before
    assert "masked_faces [sample]: fresh" in run(project, "python", "-m", "orchestration.materialize", "masked_faces")
