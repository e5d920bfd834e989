"""The expression app in a real browser: served by its command, a picture edited face by face and downloaded."""

import os
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
from ops.sample import make_sample

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = Path("/usr/bin/chromium")
WAIT_MS = 180_000

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no browser: {CHROMIUM} is absent"),
]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Where ``maskline app expression`` serves."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [sys.executable, "-m", "apps.cli", "app", "expression", "--port", str(port), "--diffusion", "none"]
    quiet = os.environ | {"HF_HUB_OFFLINE": "1", "GRADIO_ANALYTICS_ENABLED": "False"}
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.DEVNULL, env=quiet) as server:
        try:
            _wait(f"http://127.0.0.1:{port}/", server)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.kill()


def _wait(url: str, server: subprocess.Popen[bytes]) -> None:
    for _ in range(1800):
        assert server.poll() is None, "the server ended"
        try:
            with urlopen(url) as answer:  # noqa: S310 - our own address
                assert answer.status == 200
                return
        except URLError:
            time.sleep(0.1)
    raise TimeoutError(f"{url} does not answer")


def test_faces_are_chosen_edited_told_and_downloaded(address, tmp_path):
    from playwright.sync_api import expect, sync_playwright

    make_sample(tmp_path)
    both = tmp_path / "together" / "collins_and_hopper.jpg"
    before, middle = images.read(both), 512
    (tmp_path / "bad.png").write_bytes(b"no picture")
    elsewhere, complaints = [], []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.set_default_timeout(WAIT_MS)
        expect.set_options(timeout=WAIT_MS)
        page.on("request", lambda asked: elsewhere.append(asked.url))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(address)
        upload = page.locator("#given input[type=file]")
        upload.set_input_files(tmp_path / "bad.png")
        expect(page.get_by_text("This can't be used:")).to_be_visible()
        page.locator("#given").get_by_label("Remove Image").click()
        upload.set_input_files(both)
        expect(page.locator("#found img")).to_be_visible()
        expect(page.get_by_text("eyes open, smiling")).to_have_count(1)
        expect(page.get_by_text("eyes open, no smile")).to_have_count(1)
        page.locator("#edit").click()
        expect(page.locator("#told")).to_contain_text("smile by warp")
        expect(page.locator("#told")).to_contain_text("it smiles already")
        expect(page.locator("#slider img")).to_have_count(2)
        with page.expect_download() as download:
            page.locator("#download").click()
        download.value.save_as(tmp_path / "after.png")
        browser.close()
    after = images.read(tmp_path / "after.png")
    changed = (before != after).any(axis=2)
    assert changed[:, middle:].any() and not changed[:, :middle].any(), "who smiles already is left alone"
    assert not complaints
    assert all(url.startswith((address, "data:", "blob:")) for url in elsewhere), "nothing is asked of other machines"
