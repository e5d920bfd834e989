"""What the tests share: where real pictures and model files are, if they are."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


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
