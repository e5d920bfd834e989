"""LPIPS: the published figures, from weights that are read and not run."""

import pickle

import cv2
import numpy as np
import pytest

from model_assets.registry import ModelUnavailable
from ops import images
from ops.pickled import PickleRefused
from ops.sample import portraits
from resources.lpips import Lpips, lpips


@pytest.fixture(scope="module")
def network():
    try:
        return lpips()
    except ModelUnavailable as error:
        pytest.skip(str(error))


def test_it_gives_what_its_authors_code_gives(network):
    """Figures of package lpips 0.1.4, ``LPIPS(net="alex", spatial=True)``, with these weights."""
    noise = [np.random.default_rng(seed).integers(0, 256, (96, 96, 3), np.uint8) for seed in (0, 1)]
    told = network(*noise)
    assert told.shape == (96, 96) and told.mean() == pytest.approx(0.163366, abs=1e-5)


def test_the_more_is_lost_the_further_apart(network):
    face = images.resized(portraits()[0], (128, 128))
    apart = [network(face, cv2.GaussianBlur(face, (0, 0), sigma)).mean() for sigma in (0.6, 1, 2, 4)]
    assert network(face, face).max() == 0 and apart == sorted(apart) and apart[0] > 0.05
    half = face.copy()
    half[64:] = cv2.GaussianBlur(face, (0, 0), 4)[64:]
    told = network(face, half)
    assert told[96:].mean() > 10 * told[:32].mean(), "it tells where"


def test_a_file_of_something_else_is_refused_and_not_run(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    path = tmp_path / "weights.ckpt"
    path.write_bytes(pickle.dumps({"AlexNet_0": Bomb()}))
    with pytest.raises(PickleRefused, match="open"):
        Lpips(path, "").load("cpu")
    assert not (tmp_path / "ran").exists()


def test_another_wish_is_refused():
    assert lpips("none") is None
    with pytest.raises(ValueError, match="lpips is 'vgg'; use one of auto, lpips_alex, none"):
        lpips("vgg")
