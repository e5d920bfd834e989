"""Tiles cover a picture with weights that sum to 1, and crops and tiles alike change nothing beside the region."""

import numpy as np
import pytest

from ops.expressions.tiles import around, tiled, tiles, weights
from ops.sample import portraits
from ops.unmasking.composition import region_of

SIZES = [(1024, 512, 512, 256), (1000, 700, 512, 256), (513, 512, 512, 256), (300, 200, 512, 256), (97, 61, 32, 10)]


def hole(shape, x1, y1, x2, y2):
    shares = np.zeros(shape, np.float32)
    shares[y1:y2, x1:x2] = 1
    return region_of(shares, erode=0, dilate=0)


@pytest.fixture
def picture():
    return portraits()[0][:260, :300].copy()


@pytest.mark.parametrize(("width", "height", "size", "overlap"), SIZES)
def test_weights_cover_every_pixel_and_sum_to_one(width, height, size, overlap):
    total = np.zeros((max(height, size), max(width, size)))
    placed = tiles(width, height, size, overlap)
    for (x, y), weight in zip(placed, weights(width, height, size, overlap), strict=True):
        assert weight.shape == (size, size) and (weight >= 0).all()
        total[y : y + size, x : x + size] += weight
    assert abs(total[:height, :width] - 1).max() < 1e-6
    assert not total[height:].any() and not total[:, width:].any()
    assert len(set(placed)) == len(placed)


def test_ramps_are_linear_over_half_overlapped_tiles():
    first, second = weights(768, 512)
    assert np.allclose(first[0, 256:], (255.5 - np.arange(256)) / 256, atol=1e-6)
    assert np.allclose(second[0, :256], (np.arange(256) + 0.5) / 256, atol=1e-6)


def test_an_overlap_as_large_as_a_tile_is_refused():
    with pytest.raises(ValueError, match="overlap by 512 px"):
        tiles(1024, 1024, 512, 512)


def test_tiles_that_are_left_alone_give_the_picture_back(picture):
    region = hole(picture.shape[:2], 90, 80, 190, 140)
    assert (tiled(picture, region, lambda square, _: square, size=64, overlap=32) == picture).all()


def test_only_tiles_at_the_region_are_edited(picture):
    region = hole(picture.shape[:2], 8, 8, 30, 30)
    seen = []

    def edit(square, where):
        seen.append((square.shape, where.sum()))
        return 255 - square

    made = tiled(picture, region, edit, size=64, overlap=32)
    assert 1 <= len(seen) <= 4 and all(shape == (64, 64, 3) and count for shape, count in seen)
    assert (made == picture)[~region.inside].all() and (made != picture)[region.alpha == 1].any()


@pytest.mark.parametrize("place", [(90, 80, 190, 140), (0, 0, 40, 30), (280, 200, 300, 260)])
@pytest.mark.parametrize("size", [64, 128, 512])
def test_a_crop_is_edited_at_the_models_size_and_nothing_beside_the_region_changes(picture, place, size):
    region = hole(picture.shape[:2], *place)

    def edit(square, where):
        assert square.shape == (size, size, 3) and where.shape == (size, size)
        assert 0.05 < where.mean() < 0.6
        return np.where(where[..., None], 255 - square, square).astype(np.uint8)

    made = around(picture, region, edit, size=size)
    assert made.shape == picture.shape
    assert (made == picture)[~region.inside].all() and (made != picture)[region.inside].any()


def test_a_tint_of_the_models_is_matched_away_on_the_ring(picture):
    """An editor that darkens all it is given, as decoders do, leaves no spot."""
    light = np.maximum(picture, 30)
    region = hole(light.shape[:2], 90, 80, 190, 140)
    made = around(light, region, lambda square, _: square - np.uint8(30), size=200)  # the crop's side: none is scaled
    assert abs(made.astype(int) - light).max() <= 1
