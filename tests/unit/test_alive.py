"""Networks that were to learn and did not are caught, and what compares looks passes gradients on."""

from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch
from torch import nn

from model_assets.networks.completer import Completer, Discriminator
from model_assets.registry import ModelUnavailable
from ops.training import completer
from ops.training.alive import FrozenNetwork, must_have_moved, must_reach, weights_of
from ops.training.completer import Weights
from ops.training.loop import Schedule
from ops.training.tasks import read_pairs
from resources.perceptual import perceptual
from tests.tiny_pairs import make_pairs

SIZE = 32


@pytest.fixture(scope="module")
def lessons(tmp_path_factory):
    pairs = read_pairs(make_pairs(tmp_path_factory.mktemp("pairs"), size=SIZE, train=2))
    bare = [known for known in pairs.train if known["wearing"] == "bare"]
    return pairs.folder, [(known, known) for known in bare]


def train(lessons, work, generator, adversaries, weights):
    folder, rows = lessons
    how = {"size": SIZE, "device": "cpu", "autocast": nullcontext, "on_epoch": lambda *_: None}
    return completer.train(generator, adversaries, None, folder, rows, work, Schedule(2, 4), weights, **how)


class Blind(nn.Module):
    """An adversary that looks at the region alone, whatever it is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.look = nn.Conv2d(1, 1, 3)

    def forward(self, pictures, regions):
        return self.look(regions)


def networks():
    torch.manual_seed(0)
    return Completer((8, 12)), {"whole": Discriminator(8, 2), "close": Discriminator(8, 2)}


BOTH = Weights(whole_from=0.0, close_from=0.0)


@pytest.mark.parametrize("part", ["head", "middle"])
def test_a_generator_frozen_by_mistake_is_caught(lessons, tmp_path, part):
    generator, adversaries = networks()
    getattr(generator, part).requires_grad_(False)
    with pytest.raises(FrozenNetwork, match=f"weights of Completer are frozen: {part}"):
        train(lessons, tmp_path, generator, tuple(adversaries.values()), BOTH)


@pytest.mark.parametrize("view", ["whole", "close"])
def test_an_adversary_that_does_not_reach_the_generator_is_caught(lessons, tmp_path, view):
    generator, adversaries = networks()
    blind = {**adversaries, view: Blind()}
    with pytest.raises(FrozenNetwork, match=f"nothing of what the adversary of the {view} picture says"):
        train(lessons, tmp_path, generator, tuple(blind.values()), BOTH)


DEAF = Weights(pixels=0, structure=0, whole=0, close=0, whole_from=0.0, close_from=0.0)


@pytest.mark.parametrize("view", ["whole", "close"])
def test_each_adversary_alone_changes_the_generator(lessons, tmp_path, view):
    generator, adversaries = networks()
    before = weights_of(generator)
    train(lessons, tmp_path, generator, tuple(adversaries.values()), replace(DEAF, **{view: 1.0}))
    moved = sum(float((each.detach() - before[name]).abs().sum()) for name, each in generator.named_parameters())
    assert moved > 0.1, "more than by weight decay"


def test_a_generator_that_nobody_tells_anything_is_caught(lessons, tmp_path):
    generator, adversaries = networks()
    with pytest.raises(FrozenNetwork, match="weights of Completer are as they were before the training"):
        train(lessons, tmp_path, generator, tuple(adversaries.values()), DEAF)


def test_weights_that_a_training_left_as_they_were_are_named():
    layer = nn.Linear(2, 2)
    before = weights_of(layer)
    with torch.no_grad():
        layer.weight += 1
    with pytest.raises(FrozenNetwork, match="1 weights of Linear are as they were before the training: bias"):
        must_have_moved(layer, before)
    with torch.no_grad():
        layer.bias += 1
    must_have_moved(layer, before)


def test_a_loss_that_misses_a_weight_is_told():
    layer, given = nn.Linear(2, 2), torch.ones(1, 2)
    must_reach(layer(given).sum(), layer, "the sum")
    with pytest.raises(FrozenNetwork, match="1 what the sum says does not reach weights of Linear: bias"):
        must_reach((given @ layer.weight).sum(), layer, "the sum")
    with pytest.raises(FrozenNetwork, match="nothing of what the sum says reaches Linear"):
        must_reach(layer(given).detach().sum(), layer, "the sum")


@pytest.mark.parametrize("name", ["lpips_alex", "yolo11n_pose"])
def test_looks_are_compared_by_a_frozen_network_through_which_gradients_pass(name):
    try:
        looks = perceptual(name)
    except ModelUnavailable as error:
        pytest.skip(str(error))
    apart = looks.load("cpu")
    picture = torch.rand(1, 3, 64, 64, requires_grad=True)
    other = picture.detach().roll(8, -1)
    assert float(apart(picture, picture.detach())) == 0 < float(apart(picture, other))
    apart(picture, other).backward()
    assert float(picture.grad.abs().sum()) > 0
    assert len(looks.sha256) == 64 and looks.name == name


def test_another_network_to_compare_looks_with_is_refused():
    assert perceptual("none") is None
    with pytest.raises(ValueError, match="perceptual is 'vgg'; use one of auto, lpips_alex, yolo11n_pose, none"):
        perceptual("vgg")
