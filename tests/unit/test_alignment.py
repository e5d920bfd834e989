"""Crops: templates, fits, borders and refusals, and InsightFace's formula beside ours on real portraits."""

import cv2
import numpy as np
import pytest
from skimage import data
from skimage.transform import SimilarityTransform

from ops.alignment import STYLES, AlignmentError, AlignPoints, align, resolve_styles, template, three_points
from ops.geometry import canonical_mesh
from ops.records import Box
from tests.golden import assert_golden

TEMPLATES = {
    "original_cropping": [(40.74, 19.93), (69.32, 19.35), (56.02, 84.07)],
    "scale_shift": [(43.03, 15.82), (67.33, 15.33), (56.02, 70.34)],
    "buffalo": [(46.08, 50.48), (64.66, 50.10), (56.02, 92.16)],
    "buffalo_chin": [(46.85, 47.80), (63.99, 47.45), (56.01, 86.28)],
    "arcface": [(38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041)],
}
TEMPLATES |= {f"{name}_rigid": TEMPLATES[name] for name in ("original_cropping", "scale_shift")}
BLACK = ("original_cropping", "scale_shift", "arcface", "original_cropping_rigid", "scale_shift_rigid")
ASTRONAUT = AlignPoints(  # measured with dlib's 68-point model
    three=np.array([(212, 104), (238, 105), (222, 156)], np.float32),
    five=np.array([(203.2, 101.5), (246.8, 104), (225, 127), (201, 140), (245, 141)], np.float32),
    box=Box(180, 71, 270, 178),
)


def mapped(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    return points @ matrix[:, :2].T + matrix[:, 2]


def given(style: str, source: np.ndarray) -> AlignPoints:
    return AlignPoints(five=source) if style == "arcface" else AlignPoints(three=source)


@pytest.fixture(scope="module")
def astronaut() -> np.ndarray:
    return data.astronaut()


@pytest.fixture(scope="module")
def portraits(shared_data, mirror) -> list[tuple[np.ndarray, np.ndarray]]:
    """Real portraits and the five points that YuNet sees in them, in double precision.

    In single precision scikit-image's own rounding moves one pixel in 10,000 across OpenCV's steps of 1/32 px.
    """
    finder = cv2.FaceDetectorYN.create(str(mirror / "face_detection_yunet_2023mar.onnx"), "", (320, 320))
    found = []
    for path in sorted((shared_data / "portraits").glob("*.jpg"))[:12]:
        bgr = cv2.imread(str(path))
        finder.setInputSize(bgr.shape[1::-1])
        found.append(
            (np.ascontiguousarray(bgr[:, :, ::-1]), finder.detect(bgr)[1][0][4:14].reshape(5, 2).astype(float))
        )
    return found


@pytest.mark.parametrize("size", [112, 128, 224, 256])
def test_arcface_is_insightfaces(portraits, size):
    ratio, shift = (size / 112, 0.0) if size % 112 == 0 else (size / 128, 8.0 * size / 128)
    target = np.array(TEMPLATES["arcface"]) * ratio
    target[:, 0] += shift
    for pixels, five in portraits:
        fit = SimilarityTransform.from_estimate(five, target)
        expected = cv2.warpAffine(pixels, fit.params[:2], (size, size), borderValue=0.0)
        crop = align(pixels, AlignPoints(five=five), "arcface", size)
        assert np.abs(crop.pixels.astype(int) - expected).max() <= 1
        np.testing.assert_allclose(crop.matrix, fit.params[:2], atol=1e-9 * size)
        rms = np.sqrt(np.mean(np.sum((fit(five) - target) ** 2, axis=1)))
        assert crop.residual_px == pytest.approx(rms, abs=1e-9)


@pytest.mark.parametrize("style", TEMPLATES)
@pytest.mark.parametrize("size", [112, 224])
def test_exact_points_land_on_the_template(astronaut, style, size):
    turn = np.radians(17)
    moved = np.array(template(style)) @ [(np.cos(turn), np.sin(turn)), (-np.sin(turn), np.cos(turn))] * 1.7 + (60, 40)
    crop = align(astronaut, given(style, moved), style, size)
    landed = mapped(crop.matrix, moved) * 112 / size
    assert np.abs(landed - TEMPLATES[style]).max() < 0.05
    assert crop.residual_px < 1e-6
    assert crop.style == style
    assert crop.pixels.shape == (size, size, 3)
    assert crop.matrix.dtype == np.float64


@pytest.mark.parametrize("style", TEMPLATES)
def test_similarity_does_not_shear_and_affine_hits_every_point(astronaut, style):
    crop = align(astronaut, ASTRONAUT, style)
    across, down = crop.matrix[:, 0], crop.matrix[:, 1]
    if STYLES[style].transform == "similarity":
        np.testing.assert_allclose(down, (-across[1], across[0]), atol=1e-12)
        assert crop.residual_px > 0.1
    else:
        assert abs(across @ down) > 1e-3
        np.testing.assert_allclose(mapped(crop.matrix, ASTRONAUT.three), TEMPLATES[style], atol=0.05)
        assert crop.residual_px < 1e-6


def test_rigid_fit_is_umeyamas(astronaut):
    for style in ("buffalo", "buffalo_chin", "original_cropping_rigid", "scale_shift_rigid"):
        fit = SimilarityTransform.from_estimate(ASTRONAUT.three.astype(float), np.array(template(style)))
        np.testing.assert_allclose(align(astronaut, ASTRONAUT, style).matrix, fit.params[:2], atol=1e-9)


@pytest.mark.parametrize("style", STYLES)
def test_matrix_is_the_one_that_made_the_crop(astronaut, style):
    crop = align(astronaut, ASTRONAUT, style, 128 if style == "arcface" else 100)
    size = crop.pixels.shape[0]
    border = cv2.BORDER_REFLECT if style.startswith("buffalo") else cv2.BORDER_CONSTANT
    again = cv2.warpAffine(astronaut, crop.matrix, (size, size), borderMode=border)
    np.testing.assert_array_equal(again, crop.pixels)
    back = cv2.warpAffine(crop.pixels, crop.matrix, astronaut.shape[1::-1], flags=cv2.WARP_INVERSE_MAP)
    eye, nose, lip = (
        tuple(np.round(p).astype(int)) for p in (ASTRONAUT.three[0], ASTRONAUT.five[2], ASTRONAUT.three[2])
    )
    for x, y in (eye, nose, lip):
        assert np.abs(back[y, x].astype(int) - astronaut[y, x]).mean() < 25
    assert back.any()


@pytest.mark.parametrize("style", [*BLACK, "buffalo", "buffalo_chin"])
def test_border(style):
    grey = np.full((120, 120, 3), 200, np.uint8)
    crop = align(grey, given(style, np.array(template(style)) - 50), style)
    assert crop.pixels[-1, -1].tolist() == [200] * 3
    assert crop.pixels[0, 0].tolist() == ([0] * 3 if style in BLACK else [200] * 3)


def test_reflection_repeats_the_edge_pixel():
    rows = np.repeat(np.arange(0, 240, 2, np.uint8)[:, None, None], 120, 1).repeat(3, 2)
    crop = align(rows, given("buffalo", np.array(template("buffalo")) - (0, 10)), "buffalo")
    assert crop.pixels[8:12, 50, 0].tolist() == [2, 0, 0, 2]


@pytest.mark.parametrize(
    ("points", "reason"),
    [
        ([(10, 10), (20, 20), (30, 30)], "line"),
        ([(10, 10), (90, 10), (50, 10.2)], "line"),
        ([(10, 10), (10, 10), (10, 10)], "fall together"),
        ([(10, 10), (np.nan, 10), (20, 50)], "not finite"),
        ([(10, 10), (np.inf, 10), (20, 50)], "not finite"),
    ],
)
@pytest.mark.parametrize("style", [name for name in TEMPLATES if name != "arcface"])
def test_degenerate_points_are_refused(astronaut, style, points, reason):
    with pytest.raises(AlignmentError, match=reason) as refused:
        align(astronaut, AlignPoints(three=np.array(points)), style)
    assert refused.value.reason == str(refused.value)


def test_more_refusals(astronaut):
    with pytest.raises(AlignmentError, match="line"):
        align(astronaut, AlignPoints(five=np.arange(10.0).reshape(5, 2)), "arcface")
    with pytest.raises(AlignmentError, match="mirrored"):
        align(astronaut, AlignPoints(three=ASTRONAUT.three[[1, 0, 2]]), "original_cropping")
    with pytest.raises(AlignmentError, match="arcface is aligned by five"):
        align(astronaut, AlignPoints(three=ASTRONAUT.three), "arcface")


@pytest.mark.parametrize("box", [(50, 50, 50, 90), (600, 20, 700, 90), (-90, 20, 0, 90), (0, 0, np.nan, 9)])
def test_empty_box_is_refused(astronaut, box):
    with pytest.raises(AlignmentError, match="box"):
        align(astronaut, AlignPoints(box=Box(*box)), "bbox_scale")


@pytest.mark.parametrize(
    ("box", "seen"),
    [
        ((200, 100, 300, 220), (172, 82, 328, 238)),  # grown by 1.3 about its centre, square
        ((0, 0, 100, 120), (0, 0, 156, 156)),  # moved inside
        ((-40, 400, 100, 560), (0, 366.4, 145.6, 512)),  # what lies outside does not count
        ((10, 20, 510, 500), (0, 0, 512, 512)),  # as much as there is
    ],
)
def test_bbox_scale_stays_inside(astronaut, box, seen):
    crop = align(astronaut, AlignPoints(box=Box(*box)), "bbox_scale", 100)
    inverse = cv2.invertAffineTransform(crop.matrix)
    corners = mapped(inverse, np.array([(-0.5, -0.5), (99.5, 99.5)])) + 0.5
    np.testing.assert_allclose(corners.ravel(), seen, atol=1e-9)
    assert crop.residual_px == 0


def test_bbox_scale_never_cuts_the_box():
    narrow = np.full((300, 100, 3), 200, np.uint8)
    crop = align(narrow, AlignPoints(box=Box(0, 50, 100, 250)), "bbox_scale", 200)
    assert (crop.pixels[:, 51:149] == 200).all()
    assert not crop.pixels[:, :48].any()


def test_bbox_of_its_own_size_is_the_pixels_themselves(astronaut):
    crop = align(astronaut[:200, :200], AlignPoints(box=Box(0, 0, 200, 200)), "bbox_scale", 200)
    np.testing.assert_array_equal(crop.pixels, astronaut[:200, :200])


@pytest.mark.parametrize("style", ["arcface", "buffalo"])
def test_pictures_longer_than_opencv_takes(astronaut, style):
    wide = np.zeros((300, 40_000, 3), np.uint8)
    wide[:, 39_000:39_512] = astronaut[60:360]
    near = AlignPoints(ASTRONAUT.three - (0, 60), ASTRONAUT.five - (0, 60))
    far = AlignPoints(near.three - (-39_000, 0), near.five - (-39_000, 0))
    expected = align(astronaut[60:360], near, style).pixels.astype(int)
    assert np.abs(align(wide, far, style).pixels - expected).max() <= 2


def test_styles_by_name():
    assert resolve_styles("all") == tuple(STYLES)
    assert set(STYLES) == {*TEMPLATES, "bbox_scale"}
    assert resolve_styles("buffalo") == ("buffalo",)
    assert resolve_styles(["scale_shift", "all"])[0] == "scale_shift"
    assert len(resolve_styles(["arcface", "all", "arcface"])) == len(STYLES)
    with pytest.raises(ValueError, match=r"'bufalo' is unknown; there are buffalo, .*all"):
        resolve_styles(["buffalo", "bufalo"])


@pytest.mark.parametrize("size", [100, 120, 0, -112])
def test_sizes_that_arcface_does_not_know(astronaut, size):
    with pytest.raises(ValueError, match=f"size {size} "):
        align(astronaut, ASTRONAUT, "arcface", size)


def test_three_points_of_every_layout():
    numbered = np.stack([np.arange(478)] * 3, axis=1)
    assert three_points(numbered[:68, :2], "68")[:, 0].tolist() == [39, 42, 57]
    assert three_points(numbered[:98, :2], "98")[:, 0].tolist() == [64, 68, 85]
    assert three_points(numbered).shape == (3, 2)
    with pytest.raises(ValueError, match="68 points are not of layout 'mesh', which has 468 or 478"):
        three_points(numbered[:68])
    with pytest.raises(ValueError, match="'5' is unknown; there are 68, 98, mesh"):
        three_points(numbered[:5], "5")


def test_three_points_of_the_canonical_mesh():
    vertices = canonical_mesh().vertices  # centimetres, y up
    left, right, lip = three_points(vertices)
    np.testing.assert_allclose(left, right * (-1, 1), atol=0.01)
    assert abs(lip[0]) < 0.01
    assert vertices[33, 0] < left[0] < vertices[168, 0] < right[0] < vertices[263, 0]
    assert vertices[152, 1] < lip[1] < vertices[14, 1]


@pytest.mark.parametrize("style", ["buffalo", "original_cropping"])
def test_golden(astronaut, style):
    assert_golden(align(astronaut, ASTRONAUT, style).pixels, f"astronaut_{style}.png", mean=0.5)
