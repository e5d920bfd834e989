"""Rules of security that code alone can break: what is loaded, parsed, run and sent, and how."""

import ast
import inspect
import json
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("apps", "assets_defs", "model_assets", "ops", "orchestration", "resources")
OWN_CHECKPOINT = ("ops/training/export.py",)
"""Loads what the training beside it has written, pickled modules and all."""

FORBIDDEN = {"eval", "exec", "pickle.load", "pickle.loads", "joblib.load", "yaml.load", "yaml.unsafe_load"}
FORBIDDEN |= {"yaml.full_load", "os.system", "os.popen", "shutil.unpack_archive", "torch.hub.load", "marshal.loads"}
METHODS = {"extractall", "extract_all"}
PARSERS = {"fromstring", "parse", "XML", "iterparse"}


def calls():
    """Every call in the packages: file, what is called, and the call."""
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call):
                    yield str(path.relative_to(ROOT)), ast.unparse(node.func), node


def told(node, name):
    return next((ast.unparse(each.value) for each in node.keywords if each.arg == name), None)


def test_nothing_that_a_file_says_is_run():
    seen = 0
    for path, name, node in calls():
        seen += 1
        where = f"{path}:{node.lineno} calls {name}"
        assert name not in FORBIDDEN and name.rpartition(".")[2] not in METHODS, where
        assert told(node, "shell") in (None, "False"), where
        assert told(node, "trust_remote_code") in (None, "False"), where
        assert not name.startswith(("ElementTree.", "Xml.")) or name.rpartition(".")[2] not in PARSERS, where
        if name == "torch.load" and path not in OWN_CHECKPOINT:
            assert told(node, "weights_only") == "True", where
        if name in {"np.load", "numpy.load"}:
            assert told(node, "allow_pickle") in (None, "False"), where
    assert seen > 5000


def test_nothing_is_reported_to_makers_of_tools():
    from apps.detector.serve import OPTIONS
    from apps.expression.serve import QUIET

    assert OPTIONS["browser.gatherUsageStats"] == "false"
    assert QUIET["GRADIO_ANALYTICS_ENABLED"] == "False" and QUIET["HF_HUB_DISABLE_TELEMETRY"] == "1"
    assert yaml.safe_load((ROOT / "dagster.yaml").read_text())["telemetry"] == {"enabled": False}
    assert "analytics = false" in (ROOT / ".dvc" / "config").read_text()


def test_apps_listen_to_this_machine_alone_by_default():
    from apps.cli import detector, expression
    from apps.detector.serve import command

    for app in (detector, expression):
        assert inspect.signature(app).parameters["host"].default == "127.0.0.1"
    words = command(Path("data"), "127.0.0.1", 8501)
    assert words[words.index("--server.address") + 1] == "127.0.0.1"
    loose = {"server.enableXsrfProtection", "server.enableCORS", "server.enableStaticServing"}
    assert not loose & {word.removeprefix("--") for word in words}
    assert json.loads(words[words.index("--server.maxUploadSize") + 1]) == 500
