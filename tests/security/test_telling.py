"""What is told to people holds no secret, and nothing that a terminal or a spreadsheet would obey."""

import io
import json
import os
import subprocess
import sys
import threading
import traceback
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from apps.verbs.common import Teller
from ops.manifests import Finished, parquet
from ops.stages.masks import LOG_FIELDS, logs
from ops.telling import redacted, tellable
from resources.tracking import LOGIN, Tracking

ROOT = Path(__file__).resolve().parents[2]
SECRET = "hunter2hunter2"  # noqa: S105


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("no answer from http://ann:s3cret@host:80/a", "no answer from http://***@host:80/a"),
        ("postgresql://ann:p@ss@db/x", "postgresql://***@db/x"),
        ("GET /a?X-Amz-Signature=00ff&page=2", "GET /a?X-Amz-Signature=***&page=2"),
        ("{'api_key': 'abc', 'a': 1}", "{'api_key': '***', 'a': 1}"),
        ("Authorization: Bearer abc.def-ghi", "Authorization: Bearer ***"),
        ("ann@host.org wrote 2 tokens: a, b", "ann@host.org wrote 2 tokens: a, b"),
        ("sqlite:////data/mlflow.db", "sqlite:////data/mlflow.db"),
        (f"it said {SECRET}.", "it said ***."),
    ],
)
def test_secrets_are_left_out(text, shown, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    assert redacted(text) == shown


def test_a_terminal_is_told_nothing_that_it_would_obey():
    out = io.StringIO()
    Teller(file=out, markup=False, emoji=False, highlight=False, force_terminal=True, width=200).print(
        "\x1b]0;title\x07a\x9b2Jb\u202ec.jpg [red]:smile: \udce9\r\n"
    )
    assert out.getvalue().rstrip() == r"\x1b]0;title\x07a\x9b2Jb\u202ec.jpg [red]:smile: \udce9\r"
    assert tellable("Ünïcödé 面具 😷\n") == "Ünïcödé 面具 😷\n"


@pytest.mark.slow
def test_names_from_elsewhere_do_nothing_to_the_terminal(tmp_path):
    photos = tmp_path / "photos\x1b[2J"
    photos.mkdir()
    (photos / "bad\x1b]0;x\x07[red].jpg").write_bytes(b"no picture")
    call = [sys.executable, "-m", "apps.cli", "faces", str(photos), str(tmp_path / "out\x1b[2J")]
    done = subprocess.run(call, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and not done.stdout
    assert r"bad\x1b]0;x\x07[red].jpg" in done.stderr
    assert all(each.isprintable() or each == "\n" for each in done.stderr)


def test_logs_of_masks_hold_no_formula(tmp_path):
    import pandas as pd
    import pyarrow as pa

    unseen = pd.DataFrame({"source": ["=cmd|' /C calc'!A0.jpg"], "status": ["rejected"], "reason": ["@damaged"]})
    wanted = ["source", "face", "variant", "kind", "colour", "y_offset", "rotation", "status", "reason", "output"]
    known = dict.fromkeys(wanted) | {"source": "-1.jpg", "kind": "n95", "y_offset": -0.25, "status": "done"}
    known["output"] = "1.jpg"
    made = tmp_path / "manifest.parquet"
    made.write_bytes(parquet(pa.Table.from_pylist([known])))
    head, first, second = logs(unseen, Finished(made))["logs.csv"].decode().splitlines()
    assert head == ",".join(LOG_FIELDS)
    assert first.startswith("'=cmd|' /C calc'!A0.jpg,") and ",'@damaged," in first
    assert second.startswith("'-1.jpg,n95,,-0.25,")


@pytest.fixture
def server():
    """A tracking server that knows nothing, and the logins that it was told."""
    told = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            told.append(self.headers["Authorization"])
            body = json.dumps({"error_code": "INTERNAL_ERROR", "message": "no"}).encode()
            self.send_response(400)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    here = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=here.serve_forever, args=(0.02,)).start()
    yield here.server_port, told
    here.shutdown()
    here.server_close()


def test_a_tracking_servers_login_reaches_it_and_no_message(server, monkeypatch):
    port, told = server
    for name in (*LOGIN, *(name for name in os.environ if name.lower().endswith("_proxy"))):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    store = Tracking(f"http://ann:s3cr%40t@127.0.0.1:{port}")
    assert store.uri == f"http://127.0.0.1:{port}"
    with pytest.raises(Exception, match="INTERNAL_ERROR") as caught:
        store.runs()
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert told[0] == "Basic YW5uOnMzY3JAdA=="
    shown = "".join(traceback.format_exception(caught.value)) + repr(store)
    assert "s3cr" not in shown and "ann:" not in shown
