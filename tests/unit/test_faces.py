"""Faces in real photographs: found, told apart, measured, and not seen where there are none."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from model_assets.registry import ModelUnavailable
from ops.faces import find_faces, sharpness
from ops.images import read
from ops.records import Box, Detection
from resources.models import FaceModels

NO_FACES = (
    "brick", "chelsea", "clock", "coffee", "coins", "grass",
    "gravel", "hubble_deep_field", "immunohistochemistry", "moon", "page", "rocket",
)  # fmt: skip


@pytest.fixture(scope="module")
def models():
    try:
        return FaceModels(device="cpu").load()
    except ModelUnavailable as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def astronaut():
    from skimage.data import astronaut

    return astronaut()


@pytest.fixture(scope="module")
def hopper():
    import matplotlib

    return read(Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg")


class Given:
    """A detector that knows the answer."""

    def __init__(self, *detections: Detection) -> None:
        self.detections = list(detections)

    def detect(self, pixels):
        return self.detections


def only(faces):
    (face,) = faces
    return face


@pytest.mark.parametrize("who", ["astronaut", "hopper"])
def test_a_portrait_has_one_face_with_all_its_measures(who, models, request):
    pixels = request.getfixturevalue(who)
    face = only(find_faces(pixels, *models))
    assert face.index == 0
    assert 0.5 < face.score <= 1
    assert face.mesh.shape == (468, 3)
    assert face.mesh.dtype == face.points5.dtype == np.float32
    flat = face.mesh[:, :2]
    np.testing.assert_allclose(face.box, (*flat.min(axis=0), *flat.max(axis=0)), atol=0.01)
    left, right, nose, left_mouth, right_mouth = face.points5
    assert left[0] < nose[0] < right[0]
    assert left_mouth[0] < right_mouth[0]
    assert left[1] < nose[1] < left_mouth[1]
    assert abs(face.mesh[:, 2].mean()) < 0.3 * face.box.width
    assert max(map(abs, face.pose)) < 35
    assert face.sharpness > 20


@pytest.mark.parametrize("who", ["astronaut", "hopper"])
def test_a_mirrored_portrait_turns_and_leans_the_other_way(who, models, request):
    pixels = request.getfixturevalue(who)
    face = only(find_faces(pixels, *models))
    other = only(find_faces(np.ascontiguousarray(pixels[:, ::-1]), *models))
    np.testing.assert_allclose(other.pose, (-face.pose.yaw, face.pose.pitch, -face.pose.roll), atol=3)


def test_a_leaning_portrait_leans_clockwise(astronaut, models):
    import cv2

    face = only(find_faces(astronaut, *models))
    turn = cv2.getRotationMatrix2D(face.box.center, -25, 1)  # OpenCV counts counter-clockwise
    leaning = only(find_faces(cv2.warpAffine(astronaut, turn, astronaut.shape[1::-1]), *models))
    assert leaning.pose.roll - face.pose.roll == pytest.approx(25, abs=4)
    eye = np.linalg.norm(face.points5[0] - face.points5[1])
    moved = face.points5 @ turn[:, :2].T + turn[:, 2]
    assert np.linalg.norm(moved - leaning.points5, axis=1).mean() < 0.06 * eye


def test_the_same_picture_gives_the_same_face(astronaut, models):
    first, second = (only(find_faces(astronaut.copy(), *models)) for _ in range(2))
    assert first.mesh.tobytes() == second.mesh.tobytes()
    assert (first.box, first.score, first.pose) == (second.box, second.score, second.pose)


def test_a_group_is_numbered_by_falling_score(astronaut, hopper, models):
    import cv2

    small = cv2.resize(hopper, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    height = max(astronaut.shape[0], small.shape[0])
    padded = [np.pad(one, ((0, height - one.shape[0]), (0, 0), (0, 0))) for one in (astronaut, small)]
    group = np.hstack([*padded, padded[0]])
    faces = find_faces(group, *models)
    assert [face.index for face in faces] == [0, 1, 2]
    assert [face.score for face in faces] == sorted((face.score for face in faces), reverse=True)
    thirds = np.cumsum([0, *(one.shape[1] for one in padded)])
    assert sorted(int(np.searchsorted(thirds, face.box.center[0])) for face in faces) == [1, 2, 3]
    best = only(find_faces(group, *models, max_faces=1))
    assert best.box == faces[0].box


def test_finds_of_one_face_become_one_and_weak_or_false_ones_none(astronaut, models):
    detector, landmarker = models
    (found,) = detector.detect(astronaut)
    twice = Given(found, Detection(found.box.grown(1.1), found.score - 0.01))
    assert only(find_faces(astronaut, twice, landmarker)).score == found.score
    assert find_faces(astronaut, Given(found), landmarker, min_score=1.1) == []
    sky = Detection(Box(300, 0, 400, 100), 0.99)
    assert find_faces(astronaut, Given(sky), landmarker) == []
    outside = Detection(Box(-900, -900, -800, -800), 0.99)
    assert find_faces(astronaut, Given(outside), landmarker) == []
    empty = Detection(Box(10, 10, 10, 10), 0.99)
    assert find_faces(astronaut, Given(empty), landmarker) == []


def test_ties_go_from_left_to_right(astronaut, models):
    detector, landmarker = models
    (found,) = detector.detect(astronaut)
    box, points, width = found.box, found.points, astronaut.shape[1]
    beside = Box(box.x1 + width, box.y1, box.x2 + width, box.y2)
    known = Given(Detection(beside, 0.9, points + np.float32([width, 0])), Detection(box, 0.9, points))
    faces = find_faces(np.hstack([astronaut, astronaut]), known, landmarker)
    assert [face.index for face in faces] == [0, 1]
    assert faces[0].box.x1 < width < faces[1].box.x1


@pytest.mark.parametrize("cut", ["tight", "left", "right", "top"])
@pytest.mark.parametrize("who", ["astronaut", "hopper"])
def test_a_face_that_fills_or_leaves_the_picture_is_found(who, cut, models, request):
    pixels = request.getfixturevalue(who)
    face = only(find_faces(pixels, *models))
    x1, y1, x2, y2 = map(int, face.box)
    w, h = x2 - x1, y2 - y1
    window = {
        "tight": np.s_[y1:y2, x1:x2],
        "left": np.s_[:, x1 + w // 5 :],
        "right": np.s_[:, : x2 - w // 5],
        "top": np.s_[y1 + h // 6 :, :],
    }[cut]
    again = only(find_faces(np.ascontiguousarray(pixels[window]), *models))
    corner = np.float32([window[1].start or 0, window[0].start or 0])
    eye = np.linalg.norm(face.points5[0] - face.points5[1])
    assert np.linalg.norm(again.points5 + corner - face.points5, axis=1).mean() < 0.15 * eye


@pytest.mark.parametrize("height", [40, 80])
@pytest.mark.parametrize("who", ["astronaut", "hopper"])
def test_a_face_of_some_pixels_in_a_large_empty_picture_is_found(who, height, models, request):
    import cv2

    pixels = request.getfixturevalue(who)
    box = only(find_faces(pixels, *models)).box.grown(1.5)
    x1, y1, x2, y2 = map(int, box.clipped(*pixels.shape[1::-1]))
    head = cv2.resize(pixels[y1:y2, x1:x2], (height * (x2 - x1) // (y2 - y1), height), interpolation=cv2.INTER_AREA)
    scene = np.full((1000, 1000, 3), 128, np.uint8)
    scene[600 : 600 + height, 300 : 300 + head.shape[1]] = head
    x, y = only(find_faces(scene, *models)).box.center
    assert (x, y) == pytest.approx((300 + head.shape[1] / 2, 600 + height / 2), abs=0.25 * height)


def test_a_small_face_in_a_wide_picture_is_found(hopper, models):
    import cv2

    scene = np.full((900, 1600, 3), 120, np.uint8)
    small = cv2.resize(hopper, (110, 130), interpolation=cv2.INTER_AREA)
    scene[400:530, 1100:1210] = small
    face = only(find_faces(scene, *models))
    assert 1100 < face.box.center[0] < 1210
    assert 400 < face.box.center[1] < 530


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (700, 2), (64, 64)])
def test_pictures_too_small_or_empty_have_no_face(shape, models):
    assert find_faces(np.zeros((*shape, 3), np.uint8), *models) == []


def test_no_faces_where_there_are_none(models):
    import skimage

    def picture(name):
        pixels = getattr(skimage.data, name)()
        return pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)

    seen = {name: len(find_faces(np.ascontiguousarray(picture(name)), *models)) for name in NO_FACES}
    assert sum(seen.values()) <= 2, seen


@pytest.mark.parametrize(("folder", "share"), [("unmasked", 0.99), ("portraits", 1), ("masked", 0.87)])
def test_faces_of_real_photographs_are_found(folder, share, shared_data, models):
    paths = sorted((shared_data / folder).glob("*.jpg"))
    missed = [path.name for path in paths if not find_faces(read(path), *models)]
    assert len(missed) <= (1 - share) * len(paths), missed


@pytest.mark.parametrize("number", [178, 18, 318, 792])  # with a detector's finds inside of each other
def test_no_face_of_a_crowd_is_found_twice(number, shared_data, models):
    faces = find_faces(read(shared_data / "voc" / "images" / f"maksssksksss{number}.jpg"), *models)
    assert faces
    for one, other in itertools.combinations([face.box for face in faces], 2):
        across = min(one.x2, other.x2) - max(one.x1, other.x1)
        down = min(one.y2, other.y2) - max(one.y1, other.y1)
        assert max(0, across) * max(0, down) <= 0.5 * min(one.area, other.area)


def test_groups_are_found_whole(shared_data, models):
    import xml.etree.ElementTree as ET

    scenes = shared_data / "scenes"
    hits = total = 0
    for picture in ET.parse(scenes / "testing.xml").getroot().iter("image"):  # noqa: S314 - dlib's own example
        path = scenes / Path(picture.get("file")).name
        if not path.is_file():
            continue
        faces = find_faces(read(path), *models)
        for box in picture.iter("box"):
            left, top, w, h = (float(box.get(side)) for side in ("left", "top", "width", "height"))
            truth = Box(left, top, left + w, top + h)
            total += 1
            hits += any(face.box.iou(truth) > 0.3 for face in faces)
    assert total > 10
    assert hits >= 0.9 * total


def test_sharpness_falls_with_blur_and_not_with_size(astronaut, models):
    import cv2

    box = only(find_faces(astronaut, *models)).box
    blurred = [sharpness(cv2.GaussianBlur(astronaut, (0, 0), sigma), box) for sigma in (1, 2, 4)]
    assert sharpness(astronaut, box) > blurred[0] > blurred[1] > blurred[2]
    assert blurred[2] < 20
    double = cv2.resize(astronaut, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    grown = Box(*(2 * side for side in box))
    assert sharpness(double, grown) == pytest.approx(sharpness(astronaut, box), rel=0.5)
    assert sharpness(astronaut, Box(600, 600, 700, 700)) == 0
