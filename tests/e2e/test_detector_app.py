"""The mask detection app in a real browser: served by its command, pictures uploaded, a table downloaded."""

import csv
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from ops import images
from ops.faces import find_faces
from ops.masking import LABELS, draw_spec, render
from ops.records import Box
from ops.sample import portraits
from resources.models import FaceModels

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = Path("/usr/bin/chromium")
FACE = Box(179, 71, 271, 175)
"""Of Eileen Collins, in her portrait."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no browser: {CHROMIUM} is absent"),
]


@pytest.fixture(scope="module")
def address(tmp_path_factory) -> Iterator[str]:
    """Where ``maskline app detector`` serves an empty data folder."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    data = tmp_path_factory.mktemp("data")
    words = [sys.executable, "-m", "apps.cli", "app", "detector", "--port", str(port), "--data", str(data)]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.DEVNULL) as server:
        try:
            _wait(f"http://127.0.0.1:{port}/_stcore/health", server)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()


def _wait(url: str, server: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        assert server.poll() is None, "the server ended"
        try:
            with urlopen(url) as answer:  # noqa: S310 - our own address
                assert answer.status == 200
                return
        except URLError:
            time.sleep(0.1)
    raise TimeoutError(f"{url} does not answer")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> list[Path]:
    """A portrait with a drawn mask, one without, and a file that is no picture."""
    folder = tmp_path_factory.mktemp("pictures")
    collins, hopper = portraits()
    (face, *_) = find_faces(collins, *FaceModels(device="cpu").load())
    masked = render(collins, face, draw_spec("collins/0")).picture
    for name, pixels in {"masked.jpg": masked, "bare.jpg": hopper}.items():
        (folder / name).write_bytes(images.encode_jpeg(pixels))
    (folder / "=broken.jpg").write_bytes(b"no picture")
    return sorted(folder.iterdir())


def test_a_picture_is_uploaded_seen_with_boxes_and_downloaded_as_a_table(address, pictures, tmp_path):
    from playwright.sync_api import expect, sync_playwright

    elsewhere, complaints = [], []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(90_000)
        expect.set_options(timeout=90_000)
        page.on("request", lambda asked: elsewhere.append(asked.url))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(address)
        page.locator("input[type=file]").set_input_files(pictures)
        expect(page.get_by_test_id("stMetric")).to_have_count(3)
        expect(page.get_by_text("not a picture")).to_be_visible()
        expect(page.get_by_test_id("stImage").locator("img")).to_have_count(2)
        with page.expect_download() as download:
            page.get_by_role("button", name="CSV").click()
        download.value.save_as(tmp_path / "detections.csv")
        for name, says in {
            "Experiments": "No training has been tracked yet",
            "Report": "There is no report yet",
        }.items():
            page.get_by_role("link", name=name).click()
            expect(page.get_by_text(says)).to_be_visible()
        assert page.get_by_test_id("stException").count() == 0
        browser.close()
    rows = list(csv.DictReader((tmp_path / "detections.csv").open()))
    assert {row["picture"] for row in rows} == {"masked.jpg", "bare.jpg"}
    assert {row["label"] for row in rows} <= set(LABELS)
    boxes = [Box(*(float(row[side]) for side in Box._fields)) for row in rows if row["picture"] == "masked.jpg"]
    assert max(box.iou(FACE) for box in boxes) > 0.4
    assert not complaints
    assert all(url.startswith((address, "data:", "blob:")) for url in elsewhere), "nothing is asked of other machines"
