"""Networks that are exchanged while a command works with them."""

import sys
from pathlib import Path

import pytest

from apps.cli import main
from ops import images
from ops.sample import portraits
from tests.colour_networks import colour_embedder, colour_networks
from tests.detectors import patch_detector

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for number, pixels in enumerate(portraits()):
        (folder / f"{number}.png").write_bytes(images.encode_png(pixels))
    return folder


@pytest.fixture
def networks(tmp_path) -> dict[str, Path]:
    two = colour_networks(tmp_path, 64)
    one, judge = patch_detector(tmp_path / "detector.onnx"), colour_embedder(tmp_path / "identity.onnx")
    return {"detector": one, "segmenter": two.segmenter, "completer": two.completer, "identity": judge}


@pytest.mark.parametrize(
    ("words", "network"),
    [
        (["detect", "--weights", "{detector}"], "detector"),
        (["unmask", "--segmenter", "{segmenter}", "--completer", "{completer}"], "segmenter"),
        (["unmask", "--segmenter", "{segmenter}", "--completer", "{completer}"], "completer"),
        (["anonymise", "--identity", "{identity}"], "identity"),
        (["express", "--states", "mesh", "--identity", "{identity}", "--diffusion", "none"], "identity"),
        (["express", "--states", "mesh", "--identity", "none", "--completer", "{completer}"], "completer"),
    ],
)
def test_a_command_notices_that_its_network_is_exchanged(
    words, network, pictures, networks, tmp_path, monkeypatch, capsys
):
    def exchange(*_):
        networks[network].write_bytes(b"another")

    monkeypatch.setattr("apps.verbs.common.advance", exchange)  # called after each picture
    verb, *options = (word.format(**networks) for word in words)
    call = [verb, str(pictures), str(tmp_path / "out"), *options, "--workers", "1", "--device", "cpu"]
    monkeypatch.setattr(sys, "argv", ["maskline", *call])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 1
    assert f"{network}.onnx was exchanged while the run was under way" in " ".join(capsys.readouterr().err.split())
