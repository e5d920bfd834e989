"""What the tests share: where real pictures and model files are, if they are."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

CLUSTER = {
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": "0123456789abcdef0123456789abcdef",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # on a single machine a cluster keeps to its loopback
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_raylet_start_wait_time_s": "40",
}
"""Read by Ray when it is first imported, which Ultralytics does wherever it is installed."""

os.environ.update(CLUSTER)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real pictures and weights; tests that need it skip where it is absent."""
    folder = Path(os.environ.get("MASKLINE_SHARED", ROOT.parent / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(f"no real pictures: {folder}/data is absent (set MASKLINE_SHARED)")
    return folder


@pytest.fixture(scope="session")
def shared_data(shared: Path) -> Path:
    return shared / "data"


@pytest.fixture(scope="session")
def mirror(shared: Path) -> Path:
    return shared / "weights"


@pytest.fixture(scope="session")
def tiny_detector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained YOLO26n as ONNX, with its checkpoint weights.pt beside it."""
    from tests.detectors import untrained_detector

    return untrained_detector(tmp_path_factory.mktemp("detector"))
