"""The model registry, against real servers on this machine, real packages and the real weights."""

import hashlib
import http.server
import re
import socket
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from model_assets.registry import ChecksumMismatch, ModelUnavailable, Registry
from model_assets.sources import Pypi, parse_source

ROOT = Path(__file__).resolve().parents[2]
DATA = bytes(range(256)) * 4096  # 1 MiB
HALF = len(DATA) // 2
EMBEDDED = ["blazeface_short", "blazeface_back", "blazeface_full", "face_mesh", "dlib_68", "dlib_resnet"]


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MASKLINE_MIRROR", "MASKLINE_MODELS", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("model_assets.sources.WAITS_S", ())


@dataclass
class Site:
    """What the test's web server serves, and what it was asked."""

    url: str = ""
    data: bytes = DATA
    ranges: bool = True
    announces: bool = True
    drop_at: int | None = None
    busy: list[int] = field(default_factory=list)
    """Statuses that it answers before it has time."""

    asked: list[str | None] = field(default_factory=list)


@pytest.fixture
def site() -> Iterator[Site]:
    state = Site()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.asked.append(self.headers["Range"])
            if state.busy:
                self.send_error(state.busy.pop(0))
                return
            if not self.path.endswith("/model.bin"):
                self.send_error(404)
                return
            start = 0
            if state.ranges and (wanted := re.match(r"bytes=(\d+)-", self.headers["Range"] or "")):
                start = int(wanted[1])
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{len(state.data) - 1}/{len(state.data)}")
            else:
                self.send_response(200)
            if state.announces:
                self.send_header("Content-Length", str(len(state.data) - start))
            self.end_headers()
            self.wfile.write(state.data[start : state.drop_at])

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_port}/model.bin"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield state
    server.shutdown()
    thread.join()
    server.server_close()


def write_registry(folder: Path, *sources: object, **more: dict) -> Path:
    """A registry file with the model `m`, whose content is DATA, and further ones."""
    entry = {"task": "t", "file": "model.bin", "sha256": sha(DATA), "bytes": len(DATA), "licence": "MIT", "home": "h"}
    path = folder / "registry.yaml"
    path.write_text(yaml.safe_dump({"m": {**entry, "sources": list(sources)}} | more))
    return path


def load(folder: Path, *sources: object, mirror: str | Path | None = None, **more: dict) -> Registry:
    return Registry.load(write_registry(folder, *sources, **more), cache=folder / "cache", mirror=mirror)


def cached(registry: Registry) -> set[str]:
    """The files in the cache, but for the lock."""
    return {file.name for file in registry.cache.iterdir()} - {".lock"}


# The registry file


@pytest.mark.parametrize("name", Registry.load().models)
def test_entries_are_well_formed(name: str) -> None:
    model = Registry.load().models[name]
    assert re.fullmatch(r"[0-9a-f]{64}", model.sha256)
    assert model.bytes > 0
    assert model.licence
    assert model.task
    assert model.file == Path(model.file).name
    assert model.home.startswith("https://")
    assert model.sources


def test_files_are_named_once() -> None:
    models = Registry.load().models.values()
    assert len({model.file for model in models}) == len({model.sha256 for model in models}) == len(models)


@pytest.mark.parametrize("name", EMBEDDED)
def test_embedded_defaults_come_from_the_package_index(name: str) -> None:
    assert any(isinstance(source, Pypi) for source in Registry.load().models[name].sources)


def test_real_weights_have_the_sha256_of_the_registry(mirror: Path, tmp_path: Path) -> None:
    registry = Registry.load(cache=tmp_path, mirror=mirror)
    present = [name for name, model in registry.models.items() if (mirror / model.file).exists()]
    assert {"face_landmarker", "yunet", "rfb_320", "landmarks_98", "res10"} <= set(present)
    for name in present:
        path = registry.fetch(name)
        assert path.parent == tmp_path
        assert path.stat().st_size == registry.models[name].bytes


@pytest.mark.parametrize("entry", ["mirrors", {"url": "ftp://a/b"}, {"git": "x"}])
def test_unknown_sources_are_refused(entry: object) -> None:
    with pytest.raises(ValueError, match="is none of: mirror, pypi"):
        parse_source(entry)


def test_import_is_light() -> None:
    heavy = "{'numpy', 'cv2', 'torch', 'onnxruntime', 'mediapipe', 'dlib', 'pandas'}"
    code = f"import sys, model_assets.registry; assert not {heavy} & set(sys.modules), {heavy} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


# Downloads


def test_downloads_with_progress_then_serves_from_the_cache(site: Site, tmp_path: Path) -> None:
    registry, seen = load(tmp_path, {"url": site.url}), []
    assert registry.verify("m") == "absent"
    assert registry.path("m") is None
    path = registry.fetch("m", lambda done, total: seen.append((done, total)))
    assert path.read_bytes() == DATA
    assert seen[0] == (0, len(DATA))
    assert seen[-1] == (len(DATA), len(DATA))
    assert seen == sorted(seen)
    assert registry.verify("m") == "verified"
    assert registry.fetch("m") == path == registry.path("m")
    assert site.asked == [None]
    assert cached(registry) == {"model.bin"}


def test_a_dropped_connection_leaves_no_file_and_the_next_try_goes_on(site: Site, tmp_path: Path) -> None:
    registry = load(tmp_path, {"url": site.url})
    site.drop_at = HALF
    with pytest.raises(ModelUnavailable, match=f"the connection ended after {HALF} of {len(DATA)} bytes"):
        registry.fetch("m")
    assert cached(registry) == {"model.bin.part"}
    site.drop_at = None
    assert registry.fetch("m").read_bytes() == DATA
    assert site.asked == [None, f"bytes={HALF}-"]
    assert cached(registry) == {"model.bin"}


def test_what_may_pass_is_tried_again_and_goes_on_where_it_broke(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr("model_assets.sources.WAITS_S", (1, 3, 9))

    def wait(seconds: float) -> None:
        waited.append(seconds)
        site.drop_at = HALF if len(waited) == 1 else None

    monkeypatch.setattr("time.sleep", wait)
    site.busy = [503]
    assert load(tmp_path, {"url": site.url}).fetch("m").read_bytes() == DATA
    assert site.asked == [None, None, f"bytes={HALF}-"]
    assert waited == [1, 3]


def test_what_cannot_pass_is_tried_once(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("model_assets.sources.WAITS_S", (1, 3, 9))
    monkeypatch.setattr("time.sleep", lambda _: pytest.fail("it waited"))
    with socket.create_server(("127.0.0.1", 0)) as free:
        nobody = f"http://127.0.0.1:{free.getsockname()[1]}/model.bin"
    site.busy = [404]
    with pytest.raises(ModelUnavailable, match=r"HTTP 404.*no network or no answer"):
        load(tmp_path, {"url": site.url}, {"url": nobody}).fetch("m")
    assert site.asked == [None]


@pytest.mark.parametrize("part", [DATA[:1000], DATA, DATA + b"more", b"rubbish" * 9, b"x" * len(DATA)])
@pytest.mark.parametrize("ranges", [True, False])
def test_any_earlier_part_ends_in_the_right_file(site: Site, tmp_path: Path, part: bytes, ranges: bool) -> None:
    site.ranges = ranges
    registry = load(tmp_path, {"url": site.url})
    registry.cache.mkdir()
    (registry.cache / "model.bin.part").write_bytes(part)
    assert registry.fetch("m").read_bytes() == DATA
    assert cached(registry) == {"model.bin"}


def test_kill_in_mid_download_leaves_no_file_and_no_lock(site: Site, tmp_path: Path) -> None:
    registry = load(tmp_path, {"url": site.url})
    code = (
        "import os, signal, sys; from pathlib import Path; from model_assets.registry import Registry\n"
        "die = lambda done, total: done > total // 2 and os.kill(os.getpid(), signal.SIGKILL)\n"
        "Registry.load(Path(sys.argv[1]), cache=Path(sys.argv[2])).fetch('m', die)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "registry.yaml", registry.cache], check=False, cwd=ROOT
    )
    assert run.returncode == -9
    assert cached(registry) == {"model.bin.part"}
    assert registry.path("m") is None
    assert registry.fetch("m").read_bytes() == DATA


@pytest.mark.parametrize(
    ("data", "announces", "said"),
    [
        (DATA[:-1] + b"?", True, f"its model.bin has sha256 .*, not {sha(DATA)}"),
        (b"<html>log in</html>", True, f"its file has 19 bytes, not {len(DATA)}"),
        (b"<html>log in</html>" * 60000, False, f"its model.bin has sha256 .*, not {sha(DATA)}"),
    ],
)
def test_a_wrong_download_is_removed_and_told(
    site: Site, tmp_path: Path, data: bytes, announces: bool, said: str
) -> None:
    site.data, site.announces = data, announces
    registry = load(tmp_path, {"url": site.url})
    with pytest.raises(ChecksumMismatch, match=f"url {site.url}: {said}"):
        registry.fetch("m")
    assert cached(registry) == set()


def test_a_wrong_file_in_the_cache_is_replaced(site: Site, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    registry = load(tmp_path, {"url": site.url})
    registry.cache.mkdir()
    (registry.cache / "model.bin").write_bytes(b"bad")
    assert registry.verify("m") == "wrong"
    assert registry.path("m") is None
    assert registry.fetch("m").read_bytes() == DATA
    assert registry.verify("m") == "verified"
    assert f"{registry.cache}/model.bin: its model.bin has sha256 {sha(b'bad')}, not {sha(DATA)}" in caplog.text


def test_a_wrong_file_in_the_cache_is_never_used(tmp_path: Path) -> None:
    registry = load(tmp_path, "mirror")
    registry.cache.mkdir()
    (registry.cache / "model.bin").write_bytes(b"bad")
    with pytest.raises(ChecksumMismatch, match=sha(b"bad")):
        registry.fetch("m")


def test_a_file_that_changes_under_a_running_process_is_seen(site: Site, tmp_path: Path) -> None:
    registry = load(tmp_path, {"url": site.url})
    registry.fetch("m").write_bytes(b"changed")
    assert registry.verify("m") == "wrong"


def test_two_processes_at_once(site: Site, tmp_path: Path) -> None:
    registry = load(tmp_path, {"url": site.url})
    code = (
        "import sys; from pathlib import Path; from model_assets.registry import Registry\n"
        "print(Registry.load(Path(sys.argv[1]), cache=Path(sys.argv[2])).fetch('m'))"
    )
    command = [sys.executable, "-c", code, tmp_path / "registry.yaml", registry.cache]
    runs = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = [run.communicate()[0].strip() for run in runs]
    assert outputs == [str(registry.cache / "model.bin")] * 2
    assert registry.fetch("m").read_bytes() == DATA
    assert site.asked == [None]


def test_many_threads_download_once(site: Site, tmp_path: Path) -> None:
    registry = load(tmp_path, {"url": site.url})
    found: list[Path] = []
    threads = [threading.Thread(target=lambda: found.append(registry.fetch("m"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [registry.cache / "model.bin"] * 8
    assert site.asked == [None]


# Mirrors


def test_mirror_folder_is_copied_from(tmp_path: Path) -> None:
    folder = tmp_path / "a mirror #1 ü"
    folder.mkdir()
    (folder / "model.bin").write_bytes(DATA)
    path = load(tmp_path, "mirror", mirror=folder).fetch("m")
    (folder / "model.bin").unlink()
    assert path.read_bytes() == DATA


@pytest.mark.parametrize("form", ["folder", "file URL", "http URL"])
def test_mirror_from_the_environment(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    (tmp_path / "model.bin").write_bytes(DATA)
    places = {"folder": str(tmp_path), "file URL": tmp_path.as_uri(), "http URL": site.url.removesuffix("model.bin")}
    monkeypatch.setenv("MASKLINE_MIRROR", places[form])
    monkeypatch.setenv("MASKLINE_MODELS", str(tmp_path / "models"))
    path = Registry.load(write_registry(tmp_path, "mirror")).fetch("m")
    assert path == tmp_path / "models" / "model.bin"
    assert path.read_bytes() == DATA


def test_a_wrong_mirror_gives_way_to_the_next_source(
    site: Site, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "model.bin").write_bytes(b"old release")
    assert load(tmp_path, "mirror", {"url": site.url}, mirror=tmp_path).fetch("m").read_bytes() == DATA
    assert f"mirror {tmp_path}: its file has 11 bytes, not {len(DATA)}" in caplog.text


# What is said when nothing helps


def test_no_source_helps(site: Site, tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound, never listening: connections are refused
        dead = f"http://127.0.0.1:{closed.getsockname()[1]}/model.bin"
        missing = site.url.replace("model.bin", "none.bin")
        registry = load(tmp_path, "mirror", {"url": missing}, {"url": dead})
        with pytest.raises(ModelUnavailable) as caught:
            registry.fetch("m")
    assert not isinstance(caught.value, ChecksumMismatch)
    assert str(caught.value) == (
        f"Model 'm' could not be had: mirror MASKLINE_MIRROR: not set; url {missing}: HTTP 404 Not Found; "
        f"url {dead}: no network or no answer (Connection refused). Put model.bin in {registry.cache}, "
        "or set MASKLINE_MIRROR to a folder or URL that holds it."
    )
    assert cached(registry) == set()


@pytest.mark.parametrize(
    ("mirror", "said"), [("/nowhere", "mirror /nowhere: No such file"), ("ftp://a", "mirror ftp://a: the scheme")]
)
def test_a_useless_mirror_is_named(tmp_path: Path, mirror: str, said: str) -> None:
    with pytest.raises(ModelUnavailable, match=said):
        load(tmp_path, "mirror", mirror=mirror).fetch("m")


def test_unknown_model(tmp_path: Path) -> None:
    for call in (load(tmp_path, "mirror").fetch, load(tmp_path, "mirror").path, load(tmp_path, "mirror").verify):
        with pytest.raises(ModelUnavailable, match="No model is named 'x'; the models are m"):
            call("x")


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file, not a folder")
    with pytest.raises(ModelUnavailable, match=r"cache can't be written \(.*\); set MASKLINE_MODELS"):
        load(tmp_path, "mirror").fetch("m")


# Packages


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all pip can see."""
    folder = tmp_path / "index"
    folder.mkdir()
    for name, value in {"PIP_CONFIG_FILE": "/dev/null", "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(folder)}.items():
        monkeypatch.setenv(name, value)
    return folder


def build_wheel(folder: Path, tag: str = "py3-none-any", **members: bytes) -> None:
    info = "tinyface-1.0.dist-info"
    with zipfile.ZipFile(folder / f"tinyface-1.0-{tag}.whl", "w") as wheel:
        for name, data in members.items():
            wheel.writestr(f"tinyface/{name}.bin", data)
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tinyface\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n")
        wheel.writestr(f"{info}/RECORD", "")


def member(name: str, **more: str) -> dict:
    return {"pypi": {"package": "tinyface", "version": "1.0", "member": name, **more}}


def test_one_wheel_serves_all_its_models(index: Path, tmp_path: Path) -> None:
    build_wheel(index, first=DATA, second=b"two", third=b"not asked for")
    second = {"task": "t", "file": "2.bin", "sha256": sha(b"two"), "bytes": 3, "licence": "MIT", "home": "h"}
    registry = load(
        tmp_path, member("tinyface/first.bin"), second={**second, "sources": [member("tinyface/second.bin")]}
    )
    seen: list[tuple[int, int]] = []
    assert registry.fetch("m", lambda done, total: seen.append((done, total))).read_bytes() == DATA
    assert seen == [(0, len(DATA)), (len(DATA), len(DATA))]
    assert registry.verify("second") == "verified"
    assert cached(registry) == {"model.bin", "2.bin"}


def test_a_wheel_for_another_machine(index: Path, tmp_path: Path) -> None:
    build_wheel(index, "cp38-cp38-win_amd64", first=DATA)
    registry = load(tmp_path, member("tinyface/first.bin", python="3.8", platform="win_amd64"))
    assert registry.fetch("m").read_bytes() == DATA


def test_an_sdist(index: Path, tmp_path: Path) -> None:
    """No setuptools is in reach: the archive brings a build backend of its own, as pip asks sdists for metadata."""
    source = tmp_path / "tinyface-1.0"
    source.mkdir()
    (source / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    )
    (source / "backend.py").write_text(
        "import os\n"
        "def prepare_metadata_for_build_wheel(folder, settings=None):\n"
        "    os.mkdir(folder + '/tinyface-1.0.dist-info')\n"
        "    with open(folder + '/tinyface-1.0.dist-info/METADATA', 'w') as out:\n"
        "        out.write('Metadata-Version: 2.1\\nName: tinyface\\nVersion: 1.0\\n')\n"
        "    return 'tinyface-1.0.dist-info'\n"
        "def build_wheel(*args, **kwargs): raise SystemExit('not needed')\n"
    )
    (source / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: tinyface\nVersion: 1.0\n")
    (source / "first.bin").write_bytes(DATA)
    with tarfile.open(index / "tinyface-1.0.tar.gz", "w:gz") as archive:
        archive.add(source, source.name)
    assert load(tmp_path, member("tinyface-1.0/first.bin")).fetch("m").read_bytes() == DATA


def test_a_package_without_the_member_or_with_another_content(index: Path, tmp_path: Path) -> None:
    build_wheel(index, first=b"another")
    with pytest.raises(ModelUnavailable, match=r"pypi tinyface==1\.0: it has no member tinyface/none\.bin"):
        load(tmp_path, member("tinyface/none.bin")).fetch("m")
    registry = load(tmp_path, member("tinyface/first.bin"))
    with pytest.raises(ChecksumMismatch, match=f"pypi tinyface==1.0: its model.bin has sha256 {sha(b'another')}"):
        registry.fetch("m")
    assert cached(registry) == set()


@pytest.mark.usefixtures("index")
def test_a_package_that_pip_cannot_find(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match=r"pypi tinyface==1\.0: No matching distribution found for tinyface"):
        load(tmp_path, member("tinyface/first.bin")).fetch("m")
