import dataclasses

import cv2
import numpy as np
import pytest
from skimage.data import astronaut

from ops.masking import draw_spec, prepare, render
from ops.masking.camera import grain_of, quality_of, recompress
from ops.masking.light import Light
from tests.posed import posed

PLAIN = Light(np.array([0.0, -0.1, -0.15]), 0.85, np.ones(3), 1.0, 0.7)


def saved(pixels, quality):
    data = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1]


@pytest.mark.parametrize("quality", [12, 35, 50, 62, 75, 82])
def test_the_quality_that_a_picture_was_saved_with_is_found(quality):
    picture = saved(astronaut(), quality)
    for x, y in ((150, 60), (153, 61)):
        assert abs(quality_of(picture[y:220, x:330], (x, y)) - quality) <= 2
    assert quality_of(picture[61:220, 153:330], (0, 0)) == 0, "blocks that lie elsewhere are no blocks"


def test_no_quality_is_found_where_there_are_no_blocks():
    picture = astronaut()
    assert quality_of(picture[60:220, 150:330], (150, 60)) == 0
    assert quality_of(saved(picture, 95)[60:220, 150:330], (150, 60)) == 0
    shrunk = cv2.resize(saved(picture, 50), None, fx=0.7, fy=0.7, interpolation=cv2.INTER_AREA)
    assert quality_of(shrunk[40:160, 100:230], (100, 40)) == 0
    assert quality_of(picture[60:90, 150:170], (150, 60)) == 0, "too few blocks to tell"


@pytest.mark.parametrize("deviation", [1.5, 4.0, 8.0])
def test_grain_is_measured_and_given_to_the_mask(deviation):
    rng = np.random.default_rng(5)
    skin = np.full((300, 300, 3), (190, 150, 125), np.float64)
    picture = np.clip(skin + rng.normal(0, deviation, (300, 300, 1)), 0, 255).round().astype(np.uint8)
    face = posed((149.5, 120), 150)
    assert grain_of(picture, face.mesh) == pytest.approx(deviation, rel=0.15, abs=0.2)
    prepared = prepare(picture, face)
    assert prepared.light.grain == pytest.approx(deviation, rel=0.15, abs=0.2)
    spec = dataclasses.replace(draw_spec("a"), kind="kn95", pattern="plain", straps="none", valves=0)
    clean = dataclasses.replace(prepared, light=prepared.light._replace(grain=0.0))
    grained, smooth = (render(picture, face, spec, prepared=ready) for ready in (prepared, clean))
    inside = cv2.erode(grained.full_region().astype(np.uint8), np.ones((9, 9))).astype(bool)
    second = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float64)
    change = grained.picture[..., 1].astype(float) - smooth.picture[..., 1]
    measured = np.median(np.abs(cv2.filter2D(change, -1, second))[inside]) * 1.4826 / 6
    assert measured == pytest.approx(prepared.light.grain, rel=0.25)


def test_blocks_are_given_to_what_alpha_covers_and_to_nothing_else():
    picture = astronaut()
    alpha = np.zeros((90, 110), np.float32)
    alpha[5:80, 12:100] = 0.7
    coarse = picture.copy()
    recompress(coarse, alpha, (170, 80), 20)
    inside = np.zeros(picture.shape[:2], bool)
    inside[80:170, 170:280] = alpha > 0
    assert np.array_equal(coarse[~inside], picture[~inside])
    assert (coarse != picture)[inside].any(-1).mean() > 0.8
    assert abs(quality_of(coarse[88:152, 184:264], (184, 88)) - 20) <= 2


def test_a_mask_on_a_coarse_picture_has_its_blocks():
    picture, face = saved(astronaut(), 25), posed((225, 160), 160)
    prepared = prepare(picture, face)
    assert abs(prepared.light.quality - 25) <= 2
    masked = render(picture, face, dataclasses.replace(draw_spec("a"), pattern="checks", kind="cloth"))
    x1, y1, x2, y2 = (int(n) for n in masked.box)
    blocks = cv2.erode(masked.full_region()[y1:y2, x1:x2].astype(np.uint8), np.ones((3, 3))).astype(bool)
    assert np.array_equal(masked.picture[masked.full_alpha() == 0], picture[masked.full_alpha() == 0])
    assert blocks.any()
    assert abs(quality_of(masked.picture[y1:y2, x1:x2], (x1, y1)) - 25) <= 2


def test_light_tells_itself_as_columns():
    row = PLAIN._replace(grain=2.0, quality=40).as_row()
    assert row["light_grain"] == 2.0
    assert row["light_quality"] == 40
    assert set(row) == {f"light_{n}" for n in ("x", "y", "z", "white", "saturation", "blur", "grain", "quality")}
