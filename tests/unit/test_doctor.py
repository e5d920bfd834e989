"""``maskline doctor``: each probe on a thing that is as it should be, and on one that isn't."""

import http.server
import json
import shutil
import socket
import threading
from functools import partial
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from apps.checkup.finding import NOTE, OK, WRONG
from apps.checkup.machine import device, folders, ports
from apps.checkup.models import models, networks
from apps.checkup.packages import packages
from apps.checkup.project import project_folder
from apps.cli import app
from model_assets.registry import Registry

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MASKLINE_MIRROR", "MASKLINE_MODELS", "DAGSTER_HOME"):
        monkeypatch.delenv(name, raising=False)


def by_name(findings):
    found = {finding.name: finding for finding in findings}
    assert all(finding.remedy for finding in found.values() if finding.state == WRONG)
    return found


def test_this_environment_has_all_packages():
    found = by_name(packages(ROOT))
    assert found["needed"].state == OK
    assert "dagster 1" in found["needed"].found
    assert not [finding for finding in found.values() if finding.state == WRONG]


def test_packages_that_are_absent_or_old_are_wrong(tmp_path):
    (tmp_path / "pyproject.toml").write_text(
        '[project]\ndependencies = ["numpy>=99", "maskline-never-was", "rich", "nothing; sys_platform == \'os/2\'"]\n'
        'optional-dependencies = {ray = ["maskline-never-was"]}\n'
    )
    (tmp_path / "constraints.txt").write_text("rich==0.0.1\nmaskline-never-was==1\n")
    found = by_name(packages(tmp_path))
    assert found["numpy"].state == WRONG and ">=99 is needed" in found["numpy"].found
    assert found["maskline-never-was"].state == WRONG
    assert "nothing" not in found and "rich" not in found
    assert found["extra ray"].state == NOTE and "maskline-never-was" in found["extra ray"].found
    assert found["tested set"].state == NOTE and "(tested: 0.0.1)" in found["tested set"].found


def test_a_gpu_counts_only_where_it_computes():
    from resources.devices import cuda_devices

    found = by_name(device())
    names = {"CPU", "GPU in torch", "GPU in onnxruntime"} if cuda_devices() else {"CPU", "GPU"}
    assert found.keys() == names
    assert "cores" in found["CPU"].found


@pytest.fixture
def served(tmp_path):
    """A mirror that a web server hands out; it holds one model's file."""
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / "face_landmark.tflite").write_bytes(b"as good as any")
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=tmp_path / "mirror")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def test_models_are_here_or_can_be_had_or_not(tmp_path, served):
    entries = yaml.safe_load((ROOT / "model_assets" / "registry.yaml").read_text())
    known = tmp_path / "registry.yaml"
    wanted = ("blazeface_short", "face_mesh", "canonical_face", "rfb_nms")
    known.write_text(yaml.safe_dump({name: {**entries[name], "sources": ["mirror"]} for name in wanted}))
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / "canonical_face_model.obj").write_bytes(b"another file")

    found = by_name(models(Registry.load(known, cache, tmp_path / "mirror"), online=False))
    assert found["face_mesh"].state == WRONG and found["face_mesh"].remedy == "maskline models fetch face_mesh"
    assert found["blazeface_short"].state == WRONG and "put face_detection_short" in found["blazeface_short"].remedy
    assert found["canonical_face"].state == WRONG and "wrong checksum" in found["canonical_face"].found
    assert found["rfb_nms"].state == NOTE

    registry = Registry.load(known, cache, served)
    assert "not asked" in by_name(models(registry, online=False))["rfb_nms"].found
    asked = by_name(models(registry, online=True))
    assert "MASKLINE_MIRROR: answers" in asked["face_mesh"].found
    assert "404" in asked["rfb_nms"].found and "put RFB" in asked["rfb_nms"].remedy


def test_the_shipped_networks_open():
    assert {finding.state for finding in networks()} == {OK}


def test_folders_take_files_or_not(tmp_path):
    found = by_name(folders({"data": tmp_path / "not" / "yet", "models": Path("/proc/self/models")}))
    assert found["data"].state != WRONG and "not there yet" in found["data"].found
    assert found["models"].state == WRONG and "takes no files" in found["models"].found
    assert found["temporary files"].state in (OK, NOTE)
    assert not list(tmp_path.iterdir())


def test_ports_are_free_or_taken():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        (taken,) = ports({"app": port})
    (free,) = ports({"app": port})
    assert taken.state == NOTE and f"{port} is taken" in taken.found
    assert free.state == OK


def test_the_checkout_and_another_folder(tmp_path):
    (alone,) = project_folder(tmp_path, tmp_path / "data")
    assert alone.state == NOTE and "no checkout" in alone.found
    for name in ("dvc.yaml", "params.yaml", "dagster.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "data" / "raw" / "holiday").mkdir(parents=True)
    (tmp_path / ".dagster").mkdir()
    (tmp_path / ".dagster" / "dagster.yaml").symlink_to(tmp_path / "gone.yaml")
    found = by_name(project_folder(tmp_path, tmp_path / "data"))
    assert found["Dagster home"].state == WRONG
    assert "holiday" in found["sources"].found
    assert "no git repository" in found["versions"].found
    (tmp_path / ".dagster" / "dagster.yaml").unlink()
    (tmp_path / ".dagster" / "dagster.yaml").symlink_to(tmp_path / "dagster.yaml")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc" / "config").write_text(
        "[core]\n    remote = store\n['remote \"store\"']\n    url = /mnt/store\n"
    )
    found = by_name(project_folder(tmp_path, tmp_path / "data"))
    assert found["Dagster home"].state == found["DVC remote"].state == OK
    assert found["DVC remote"].found == "store"


@pytest.mark.parametrize("how", [[], ["--json"]])
def test_no_secret_is_told(tmp_path, monkeypatch, how):
    monkeypatch.setenv("STORE_TOKEN", "open-sesame")
    monkeypatch.setenv("MASKLINE_MODELS", str(tmp_path / "open-sesame"))
    data = Path("s3://ann:open-barley@store/data")
    done = CliRunner().invoke(app, ["doctor", "--project", str(tmp_path), "--data", str(data), *how])
    assert "open-sesame" not in done.stdout and "open-barley" not in done.stdout and "***@store" in done.stdout


def test_a_models_home_is_told_without_its_login(tmp_path):
    entries = yaml.safe_load((ROOT / "model_assets" / "registry.yaml").read_text())
    known = tmp_path / "registry.yaml"
    home = {"url": "https://ann:open-sesame@models.example/face.tflite"}
    known.write_text(yaml.safe_dump({"face_mesh": {**entries["face_mesh"], "sources": [home]}}))
    (finding,) = models(Registry.load(known, tmp_path / "cache"), online=False)
    assert "models.example: not asked" in finding.found and "open-sesame" not in finding.found


def test_the_command_exits_by_what_everybody_needs(tmp_path, monkeypatch):
    told = CliRunner().invoke(app, ["doctor", "--project", str(tmp_path), "--json"])
    answer = json.loads(told.stdout)
    assert told.exit_code == (0 if answer["well"] else 1)
    assert {each["area"] for each in answer["findings"]} == {
        "packages",
        "device",
        "models",
        "folders",
        "project",
        "ports",
    }
    monkeypatch.setenv("MASKLINE_MODELS", str(tmp_path / "none"))
    told = CliRunner().invoke(app, ["doctor", "--project", str(tmp_path)])
    assert told.exit_code == 1
    assert "To be mended:" in told.stdout and "maskline models fetch face_mesh" in told.stdout
