"""Training of segmenter and completer: goes on after a kill, and every loss reaches what it is to change."""

from contextlib import nullcontext

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from model_assets.networks.completer import Completer, Discriminator
from model_assets.networks.segmenter import Segmenter
from ops import images
from ops.training import completer, segmenter
from ops.training.completer import Adversary, Weights, close_look
from ops.training.faces import moved, recoloured
from ops.training.loop import Schedule
from ops.unmasking.composition import RIM

SIZE = 32


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    """Networks this small lose more to threads than they gain."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def squares(tmp_path_factory):
    """Skin with a bar of cloth somewhere in the lower half, and without."""
    folder = tmp_path_factory.mktemp("squares")
    rng = np.random.default_rng(0)
    rows = []
    for index in range(12):
        bare = np.clip(np.array([190, 150, 125]) + rng.normal(0, 12, (SIZE, SIZE, 3)), 0, 255).astype(np.uint8)
        top, left = rng.integers(12, 20), rng.integers(4, 10)
        alpha = np.zeros((SIZE, SIZE), np.uint8)
        alpha[top : top + 9, left : left + 18] = 255
        masked = np.where(alpha[..., None] > 0, rng.integers(0, 255, 3), bare).astype(np.uint8)
        for wearing, picture in (("bare", bare), ("masked", masked)):
            known = {"wearing": wearing, "output": f"{index}_{wearing}.png", "alpha": f"{index}_{wearing}_region.png"}
            (folder / known["output"]).write_bytes(images.encode_png(picture))
            (folder / known["alpha"]).write_bytes(images.encode_png(alpha))
            rows.append(known)
    return folder, rows


def test_similarity_is_the_published_one():
    rng = np.random.default_rng(0)
    one, other = rng.random((2, 24, 30, 3))
    _, expected = structural_similarity(
        one, other, channel_axis=2, full=True, data_range=1, use_sample_covariance=False, win_size=7
    )
    given = (torch.from_numpy(each.transpose(2, 0, 1)[None]) for each in (one, other))
    told = completer.similarity(*given)[0].numpy().transpose(1, 2, 0)
    assert told[3:-3, 3:-3] == pytest.approx(expected[3:-3, 3:-3], abs=1e-9)


def train_segmenter(squares, work, epochs, told=None):
    folder, rows = squares
    torch.manual_seed(0)
    return segmenter.train(
        Segmenter((8, 12, 16)),
        folder,
        rows,
        work,
        Schedule(epochs, 6, lr=5e-3, average=0.9),
        size=SIZE,
        device="cpu",
        autocast=nullcontext,
        on_epoch=lambda epoch, losses, _: (told if told is not None else []).append((epoch, losses["loss"])),
    )


def test_a_segmenter_learns_where_cloth_is_and_that_bare_faces_have_none(squares, tmp_path):
    folder, rows = squares
    untrained = train_segmenter(squares, tmp_path / "none", 0)
    trained = train_segmenter(squares, tmp_path / "some", 24)

    def run(network):
        return lambda given: network(torch.from_numpy(given)).sigmoid().detach().numpy()

    before, after = (segmenter.measure(run(each), folder, rows, SIZE) for each in (untrained, trained))
    assert after.dice > 0.9 > before.dice
    assert after.iou < after.dice


class Killed(Exception):
    pass


def test_a_training_that_was_killed_ends_as_if_it_had_not_been(squares, tmp_path):
    whole, parts = [], []
    undisturbed = train_segmenter(squares, tmp_path / "whole", 4, whole)

    class Dying(list):
        def append(self, known):
            super().append(known)
            if known[0] == 2:
                raise Killed

    with pytest.raises(Killed):
        train_segmenter(squares, tmp_path / "parts", 4, Dying())
    resumed = train_segmenter(squares, tmp_path / "parts", 4, parts)
    assert parts == whole and [epoch for epoch, _ in parts] == [1, 2, 3, 4]
    for one, other in zip(undisturbed.state_dict().values(), resumed.state_dict().values(), strict=True):
        assert torch.equal(one, other)


def test_overlap_counts_pixels():
    found, truth = np.zeros((4, 4), bool), np.zeros((4, 4), bool)
    assert segmenter.overlap(found, truth) == (1.0, 1.0)
    found[0], truth[:, 0] = True, True
    assert segmenter.overlap(found, truth) == pytest.approx((2 / 8, 1 / 7))


@pytest.mark.parametrize("view", ["whole", "close"])
def test_what_a_discriminator_says_reaches_the_generator_and_not_itself(view):
    torch.manual_seed(0)
    generator, adversary = Completer((8, 12, 16)), Adversary(Discriminator(8, 2), 1e-3)
    pictures, regions = torch.rand(2, 3, SIZE, SIZE), torch.zeros(2, 1, SIZE, SIZE)
    regions[:, :, 14:26, 8:24] = 1
    made = generator(pictures, regions)
    given = (made, regions) if view == "whole" else tuple(close_look(each, regions) for each in (made, regions))
    adversary.against(*given).backward()
    reached = [float(each.grad.abs().sum()) for each in generator.parameters() if each.grad is not None]
    assert len(reached) == len(list(generator.parameters())) and sum(reached) > 0
    assert all(each.grad is None for each in adversary.network.parameters())
    adversary.learn(*(close_look(each, regions) for each in (pictures, made, regions)))
    assert all(each.grad is not None for each in adversary.network.parameters())


def test_a_close_look_shows_the_region_and_little_else():
    pictures, regions = torch.zeros(2, 3, 64, 64), torch.zeros(2, 1, 64, 64)
    pictures[0, :, 30:50, 10:30] = regions[0, :, 30:50, 10:30] = 1
    looked = close_look(pictures, regions)
    assert looked.shape == (2, 3, 32, 32)
    assert 0.7 < float(looked[0].mean()) < 0.85, "15% of room around it"
    assert float(looked[1].max()) == 0


def test_a_completer_keeps_every_known_pixel_and_looks_at_none_that_is_missing():
    generator = Completer((8, 12, 16)).eval()
    pictures, regions = torch.rand(1, 3, SIZE, SIZE), torch.zeros(1, 1, SIZE, SIZE)
    regions[..., 10:20, 10:20] = 1
    with torch.no_grad():
        made = generator(pictures, regions)
        other = generator(torch.where(regions > 0, torch.rand(1, 3, SIZE, SIZE), pictures), regions)
    known = regions.expand(-1, 3, -1, -1) == 0
    assert torch.equal(made[known], pictures[known]) and torch.equal(made, other)

    regions[..., 8:10, 8:22] = RIM
    with torch.no_grad():
        made = generator(pictures, regions)
        other = generator(torch.where(regions == RIM, torch.rand(1, 3, SIZE, SIZE), pictures), regions)
    missing = regions.expand(-1, 3, -1, -1) == 1
    assert not torch.equal(made[missing], other[missing]), "the rim is looked at"
    rim = regions.expand(-1, 3, -1, -1) == RIM
    assert not torch.isclose(made[rim], pictures[rim]).any(), "and made anew"


def test_a_completer_learns_to_fill_what_is_missing(squares, tmp_path):
    folder, rows = squares
    torch.manual_seed(0)
    told = []
    completer.train(
        Completer((8, 12, 16)),
        (Discriminator(8, 2), Discriminator(8, 2)),
        None,
        folder,
        [(rows[index], rows[index + 1]) for index in range(0, len(rows), 2)],
        tmp_path,
        Schedule(20, 6, lr=3e-3, average=0.9),
        Weights(),
        size=SIZE,
        device="cpu",
        autocast=nullcontext,
        on_epoch=lambda epoch, losses, _: told.append(losses),
    )
    assert told[-1]["pixels"] < 0.5 * told[0]["pixels"]
    assert "whole_learns" not in told[0] and "whole" not in told[3]
    assert {"whole", "close", "whole_learns", "close_learns"} <= told[-1].keys()


def test_squares_and_alphas_move_alike_and_by_seed():
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[20:40, 10:50] = 255
    for seed in range(10):
        one, alpha = moved(np.random.default_rng(seed), pixels, pixels[..., 0])
        assert (one[..., 0] == alpha).all() and (one != pixels).any()
        changed = recoloured(one, np.random.default_rng(seed))
        assert (changed == recoloured(one, np.random.default_rng(seed))).all() and changed.shape == one.shape
