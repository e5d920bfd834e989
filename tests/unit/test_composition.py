"""Regions and composition: what may change, how its edge is, and that nothing beside it does."""

import numpy as np
import pytest

from ops.unmasking.composition import DILATE, SURE, composed, grown, region_of

SIZE = 256


def disc(size, x, y, radius):
    rows, columns = np.indices((size, size))
    return (np.hypot(columns - x, rows - y) <= radius).astype(np.float32)


@pytest.mark.parametrize("size", [128, 256, 512])
def test_a_region_is_what_was_found_and_a_rim_of_the_same_share_at_every_size(size):
    region = region_of(0.9 * disc(size, size / 2, size / 2, size / 4))
    across = region.inside[size // 2].sum() / size
    assert across == pytest.approx(0.5 + 2 * DILATE, abs=0.025)


def test_around_what_may_show_the_mask_is_a_rim_that_shows_the_face():
    found = disc(SIZE, 128, 128, 60)
    region = region_of(found, erode=0)
    assert region.core[found > 0].all() and region.inside[region.core].all()
    wide = [part[128].sum() / SIZE for part in (region.core, region.inside)]
    assert wide == pytest.approx([120 / SIZE + 2 * SURE, 120 / SIZE + 2 * DILATE], abs=0.01)
    assert (region_of(found, erode=0, dilate=0).core == region_of(found, erode=0, dilate=0).inside).all()


def test_the_soft_edge_lies_inside_and_the_middle_is_replaced_whole():
    region = region_of(disc(SIZE, 128, 128, 60))
    assert (region.alpha[region.inside] > 0).all() and not region.alpha[~region.inside].any()
    assert region.alpha[disc(SIZE, 128, 128, 59) > 0].min() > 0.9, "where the mask was, nothing of it is left"
    rim = region.alpha[128, 128:][region.inside[128, 128:]]
    assert (np.diff(rim) <= 0).all() and np.abs(np.diff(rim)).max() < 0.35
    assert len(np.unique(rim)) > 4


def test_islands_go_and_holes_are_filled_but_not_the_cheek_within_a_strap():
    found = disc(SIZE, 128, 150, 55)
    found[150:156, 120:126] = 0
    found[20:26, 20:26] = 1
    ring = disc(SIZE, 60, 120, 34) - disc(SIZE, 60, 120, 28)
    region = region_of(np.maximum(found, ring))
    assert region.inside[150:156, 120:126].all()
    assert not region.inside[10:40, 10:40].any()
    assert region.inside[120, 29] and not region.inside[120, 50]


def test_threshold_erosion_and_dilation_are_what_they_say():
    shares = np.maximum(0.4 * disc(SIZE, 128, 128, 80), disc(SIZE, 128, 128, 40))
    assert region_of(shares, threshold=0.3).inside.sum() > 2 * region_of(shares).inside.sum()
    shares[128:130] = 1
    assert region_of(shares, erode=0).inside[128, 5]
    assert not region_of(shares, erode=0.01).inside[128, 5], "a thread"
    bare = region_of(disc(SIZE, 128, 128, 40), erode=0, dilate=0)
    assert (bare.inside == (disc(SIZE, 128, 128, 40) > 0)).all()


def test_where_nothing_is_found_nothing_changes():
    region = region_of(np.full((64, 64), 0.49, np.float32))
    assert not region.inside.any() and not region.alpha.any() and not grown(region.inside).any()


def test_a_region_stays_within_bounds_and_runs_on_to_the_pictures_edge():
    within = np.zeros((SIZE, SIZE), bool)
    within[:, :140] = True
    region = region_of(disc(SIZE, 128, SIZE, 60), within=within)
    assert not region.inside[:, 140:].any() and region.alpha[250, 139] < 0.2
    assert region.alpha[255, 110] == 1, "the picture's border is no edge of the mask"


@pytest.fixture
def picture():
    rng = np.random.default_rng(3)
    return rng.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)


def test_not_one_bit_changes_outside(picture):
    region = region_of(disc(SIZE, 120, 130, 50))
    done = composed(picture, 255 - picture, region)
    assert (done[~region.inside] == picture[~region.inside]).all()
    assert (done != picture).any(axis=2)[region.inside].mean() > 0.9
    assert (
        composed(picture, 255 - picture, region_of(np.zeros((SIZE, SIZE), np.float32))).tobytes() == picture.tobytes()
    )


@pytest.mark.parametrize("off", [(-20, 0, 0), (12, -9, 25)])
def test_light_is_matched_so_that_no_rim_is_seen(off):
    """The completed part is darker on the left and of another colour; what comes out is the picture again."""
    slope = np.linspace(90, 160, SIZE)[None, :, None] + np.array([20, 0, -20])
    truth = np.broadcast_to(slope, (SIZE, SIZE, 3)).round().astype(np.uint8)
    region = region_of(disc(SIZE, 128, 128, 60))
    ramp = np.linspace(-1, 1, SIZE)[None, :, None] * np.array(off)
    filled = (truth + np.array(off) + ramp).round().astype(np.uint8)
    worn = np.where(region_of(disc(SIZE, 128, 128, 60), dilate=0).inside[..., None], np.uint8(250), truth)
    made = np.where(grown(region.inside)[..., None], filled, worn)
    apart = np.abs(composed(worn, made, region).astype(int) - truth)
    assert np.abs(made.astype(int) - truth)[region.inside].mean() > 5
    assert apart[region.inside].mean() < 3
    rim = region.inside & (region.alpha < 0.9)
    assert apart[rim].mean() < 1.5 and apart[rim].max() < 9


def test_the_backdrop_does_not_colour_the_face():
    """Half of the ring lies on a blue wall, of which the completed picture knows nothing."""
    face = np.zeros((SIZE, SIZE), bool)
    face[:150] = True
    picture = np.where(face[..., None], np.uint8((190, 150, 125)), np.uint8((20, 40, 200)))
    region = region_of(disc(SIZE, 128, 150, 60))
    made = np.where(grown(region.inside)[..., None], np.uint8((180, 140, 115)), picture)
    with_face, without = (composed(picture, made, region, face=known)[110:130, 100:150] for known in (face, None))
    assert np.abs(with_face.astype(int) - (190, 150, 125)).max() <= 3
    assert np.abs(without.astype(int) - (190, 150, 125)).max() > 10
