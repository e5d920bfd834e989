"""The apps in the browser, served by their commands: who can reach them, and what they take."""

import socket
import subprocess
import sys
import time
from http.client import HTTPConnection
from pathlib import Path

import pytest

from apps.detector import uploads
from apps.detector.serve import PICTURE_MB, VIDEO_MB
from ops.records import Refusal

ROOT = Path(__file__).resolve().parents[2]
STARTS_S = 180


def test_pictures_over_the_limit_are_refused_by_the_server_too():
    with pytest.raises(Refusal, match=r"too large: 50\.1 MB, at most 50"):
        uploads.look("a.jpg", bytes((PICTURE_MB << 20) + 100_000), None, 1)


def asked(port, method, path, size=0):
    """The status of an answer; of a body no more is sent than its announced size."""
    there = HTTPConnection("127.0.0.1", port, timeout=STARTS_S)
    try:
        headers = {"Content-Length": str(size), "Content-Type": "multipart/form-data; boundary=b"} if size else {}
        there.request(method, path, headers=headers)
        return there.getresponse().status
    finally:
        there.close()


def uploaded(port, size):
    """The status of an upload of a file of this size to the app of expressions."""
    head = b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n'
    there = HTTPConnection("127.0.0.1", port, timeout=STARTS_S)
    try:
        body = b"".join([head, bytes(size), b"\r\n--b--\r\n"])
        there.request("POST", "/gradio_api/upload", body, {"Content-Type": "multipart/form-data; boundary=b"})
        return there.getresponse().status
    finally:
        there.close()


@pytest.fixture(params=["detector", "expression"])
def app(request, tmp_path):
    """A served app: its name and its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    more = {"detector": ["--data", str(tmp_path)], "expression": ["--diffusion", "none", "--device", "cpu"]}
    words = [sys.executable, "-m", "apps.cli", "app", request.param, "--port", str(port), *more[request.param]]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            for _ in range(10 * STARTS_S):
                assert server.poll() is None, "the server ended"
                with socket.socket() as there:
                    if there.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.1)
            yield request.param, port
        finally:
            server.kill()


def listening(port):
    """The addresses, as the kernel writes them, on which this machine listens to a port."""
    lines = [line.split() for name in ("tcp", "tcp6") for line in Path("/proc/net", name).read_text().splitlines()[1:]]
    return {line[1].split(":")[0] for line in lines if line[3] == "0A" and int(line[1].split(":")[1], 16) == port}


@pytest.mark.slow
def test_apps_are_for_this_machine_and_give_no_files_away(app):
    name, port = app
    assert listening(port) == {"0100007F"}
    for path in ("/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/static/../../../etc/passwd"):
        assert asked(port, "GET", path) in {200, 400, 403, 404}
    if name == "expression":
        assert asked(port, "GET", "/gradio_api/file=/etc/passwd") in {403, 404}
        assert asked(port, "GET", f"/gradio_api/file={ROOT / 'params.yaml'}") in {403, 404}
        assert [uploaded(port, (PICTURE_MB << 20) + more) for more in (0, 1)] == [200, 413]
    else:
        assert asked(port, "PUT", "/_stcore/upload_file/a/b", (VIDEO_MB << 20) + 10) == 403, "without its token"
