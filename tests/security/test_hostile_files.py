"""Files made to fill the memory, to take for ever, or to lead out of their folder: each did, before it was refused."""

import io
import os
import subprocess
import sys
import threading
import zipfile
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image

from model_assets.registry import ModelUnavailable, Registry
from ops import images
from ops.detection.scenes import NEEDED, export
from ops.frames import Rejected, open_inside, scan
from ops.manifests import BadManifest, parquet
from ops.stages.networks import make
from ops.stages.segmenter import COLUMNS
from ops.store import Dataset, arrow_schema
from ops.training.tasks import read_pairs
from resources.compute import Local
from tests.bad_files import encoded, portrait
from tests.security.hostile import jpeg_of_many_scans, tiff_of_one_tile
from tests.tiny_pairs import make_pairs
from tests.unit.test_networks import segment, unrecorded
from tests.unit.test_registry import DATA, build_wheel, index, load, member

__all__ = ["index"]

ROOT = Path(__file__).resolve().parents[2]
MANY_SCANS = jpeg_of_many_scans(encoded(np.zeros((64, 64, 3), np.uint8), "JPEG", progressive=True), 200)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (tiff_of_one_tile(30_000), "too large: a tile of 900000000 pixels"),
        (tiff_of_one_tile(1 << 31), "too large: a tile of"),
        (MANY_SCANS, "a JPEG of 20. scans, at most 100"),
        (MANY_SCANS[:2] + b"\xff\xe1\0\x08Exif\0\0" + MANY_SCANS[2:], "a JPEG of 20. scans, at most 100"),
    ],
)
def test_small_files_that_cost_much_are_refused(data, reason):
    assert len(data) < 50_000
    with pytest.raises(images.BadImage, match=reason):
        images.decode(data)


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "jpeg"])
def test_tiffs_in_usual_tiles_are_read(compression):
    out = io.BytesIO()
    Image.fromarray(portrait()).save(out, "TIFF", compression=compression, tile=(128, 128))
    assert images.decode(out.getvalue()).shape == (256, 240, 3)


def test_progressive_pictures_are_read():
    good = encoded(portrait(), "JPEG", progressive=True, quality=95)
    assert good.count(b"\xff\xda") > 5
    assert images.decode(good).shape == (256, 240, 3)


def dataset(folder, **columns):
    """A dataset of one row."""
    made = Dataset(folder)
    known = {"fingerprint": "1", "source": "a.jpg", "status": "done", **columns}
    folder.mkdir(parents=True)
    made.manifest.write_bytes(parquet(pa.Table.from_pylist([known], schema=arrow_schema(made.columns))))
    return made


@pytest.mark.parametrize("column", ["output", "source"])
@pytest.mark.parametrize("path", ["../precious.txt", "/etc/passwd", "a/../../precious.txt"])
def test_a_manifest_that_leads_out_is_not_believed(tmp_path, column, path):
    with pytest.raises(BadManifest, match=f"a path in '{column}' names no file, or one outside of the data"):
        dataset(tmp_path / "masked", **{column: path}).read()


def test_an_export_takes_no_file_from_elsewhere(tmp_path):
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    made = Dataset(tmp_path / "masked")
    made.folder.mkdir()
    known = dict.fromkeys(NEEDED) | {"source": "a.jpg", "status": "done", "output": "../secret.jpg"}
    known |= {"region": '{"size": [9, 9]}', "frame": "1", "variant": 0}
    made.manifest.write_bytes(parquet(pa.Table.from_pylist([known])))
    with pytest.raises(BadManifest):
        export(made.folder, tmp_path / "export", "coco")
    assert not list(tmp_path.rglob("export/**/*.jpg"))


def test_what_is_linked_from_outside_is_neither_listed_nor_opened(tmp_path):
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    source = tmp_path / "source"
    source.mkdir()
    (source / "a.jpg").symlink_to("../secret.jpg")
    assert list(scan(source)) == [Rejected("a.jpg", "symlink leaves the source")]
    for path in ("../secret.jpg", "a.jpg", str(tmp_path / "secret.jpg")):
        with pytest.raises(PermissionError):
            open_inside(source, path)


def test_a_wheel_whose_model_is_a_bomb_does_not_fill_the_disk(index, tmp_path):
    build_wheel(index)
    with zipfile.ZipFile(next(index.iterdir()), "a", zipfile.ZIP_DEFLATED) as wheel:
        wheel.writestr("tinyface/model.bin", bytes(40 << 20))
    registry = load(tmp_path, member("tinyface/model.bin"))
    limit = len(DATA) + (1 << 20)
    code = (
        f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))\n"
        "from model_assets.registry import Registry\nfrom pathlib import Path\n"
        f"Registry.load(Path({str(tmp_path / 'registry.yaml')!r}), cache=Path({str(registry.cache)!r})).fetch('m')"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert "ChecksumMismatch" in done.stderr and "File too large" not in done.stderr
    assert {file.name for file in registry.cache.iterdir()} == {".lock"}


@pytest.mark.parametrize("name", ["../m.bin", "/m.bin", "a/m.bin", "..", ".lock", ""])
def test_a_registry_cannot_name_a_file_outside_the_cache(tmp_path, name):
    path = load(tmp_path, "mirror") and tmp_path / "registry.yaml"
    path.write_text(path.read_text().replace("model.bin", f"'{name}'"))
    with pytest.raises(ValueError, match="file is"):
        Registry.load(path)


@pytest.mark.parametrize("word", ["--index-url=http://127.0.0.1", "-r/etc/passwd", "a @ http://127.0.0.1/a", "a b", ""])
@pytest.mark.parametrize("field", ["package", "version", "python", "platform"])
def test_a_registry_cannot_give_options_to_pip(tmp_path, field, word):
    source = member("tinyface/model.bin")
    source["pypi"][field] = word
    with pytest.raises(ValueError, match="is none of: mirror, pypi"):
        load(tmp_path, source)


@pytest.fixture
def sites():
    """Two servers that send the model; the first sends on to the second. What each was told by way of a login."""
    told = {"first": [], "second": []}

    class Handler(BaseHTTPRequestHandler):
        def __init__(self, name, *given):
            self.name = name
            super().__init__(*given)

        def do_GET(self):
            told[self.name].append(self.headers["Authorization"])
            self.send_response(302 if self.name == "first" else 200)
            if self.name == "first":
                self.send_header("Location", f"http://127.0.0.1:{servers[1].server_port}{self.path}")
            self.end_headers()
            self.wfile.write(DATA if self.name == "second" else b"")

        def log_message(self, *_):
            pass

    servers = [ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, name)) for name in told]
    for server in servers:
        threading.Thread(target=server.serve_forever, args=(0.02,)).start()
    yield servers[0].server_port, told
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_mirrors_login_goes_to_the_mirror_alone(sites, tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    port, told = sites
    registry = load(tmp_path, "mirror", mirror=f"http://ann:s3cr%40t@127.0.0.1:{port}")
    assert registry.fetch("m").read_bytes() == DATA
    assert told == {"first": ["Basic YW5uOnMzY3JAdA=="], "second": [None]}


def test_a_mirror_that_fails_is_told_without_its_login(tmp_path):
    registry = load(tmp_path, "mirror", {"url": "http://ann:s3cret@127.0.0.1:9/m?token=t0ken"})
    registry = Registry.load(tmp_path / "registry.yaml", registry.cache, mirror="http://ann:s3cret@127.0.0.1:9")
    with pytest.raises(ModelUnavailable) as caught:
        registry.fetch("m")
    assert "mirror http://***@127.0.0.1:9: " in str(caught.value)
    assert "s3cret" not in str(caught.value) and "t0ken" not in str(caught.value)


def test_a_network_starts_from_numbers_alone(tmp_path):
    """A file of weights that wants something run is refused, and nothing is run."""

    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "run"),)

    torch.save({"weight": Evil()}, tmp_path / "evil.pt")
    pairs = make_pairs(tmp_path / "pairs", size=48, train=2, val=1)
    told = {"device": "cpu", "track": unrecorded, "mapper": Local(1)}
    with pytest.raises(ValueError, match=r"evil\.pt can't be started from"):
        make(
            Dataset(tmp_path / "segmenter", COLUMNS),
            read_pairs(pairs),
            tmp_path / "training",
            segment(start=str(tmp_path / "evil.pt")),
            **told,
        )
    assert not (tmp_path / "run").exists()
