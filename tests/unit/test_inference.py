"""Fitting in and reading out, held against ultralytics; and tiles, where every face stays one box."""

import numpy as np
import pytest

from ops import images
from ops.detection.detections import Detections
from ops.detection.inference import decode, detect, letterbox, merged, tiles_of
from ops.records import Box
from resources.mask_detectors import OnnxMaskDetector
from tests.detectors import BLUE, GREEN, RED, patch_detector

SIZES = [(300, 400), (400, 267), (640, 640), (33, 800), (1000, 21), (427, 640), (111, 97), (1080, 1920), (16, 16)]


def noise(height, width):
    return np.random.default_rng(height * width).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize("side", [320, 640])
@pytest.mark.parametrize("shape", SIZES)
def test_pictures_lie_in_the_input_as_in_ultralytics(shape, side):
    from ultralytics.data.augment import LetterBox
    from ultralytics.utils.ops import scale_boxes

    pixels = noise(*shape)
    fitted, fit = letterbox(pixels, side)
    assert np.array_equal(fitted, LetterBox(side, auto=True, stride=32)(image=pixels))
    height, width = fitted.shape[:2]
    rng = np.random.default_rng(0)
    corners = rng.uniform(-20, 20 + max(width, height), (200, 2, 2)).astype(np.float32)
    boxes = np.sort(corners, axis=1).reshape(-1, 4)
    rows = np.column_stack([boxes, rng.permutation(200) / 200, np.ones(200)]).astype(np.float32)
    found = decode(rows, fit, floor=0.1)
    there = rows[rows[:, 4] >= np.float32(0.1)]
    there = there[np.argsort(-there[:, 4])]
    expected = scale_boxes((height, width), there[:, :4].copy(), shape)
    inside = (expected[:, 2] > expected[:, 0]) & (expected[:, 3] > expected[:, 1])
    assert 0 < inside.sum() < len(expected) < 200
    assert np.allclose(found.boxes, expected[inside], atol=1e-3 * max(1, max(shape) / side))
    assert np.array_equal(found.scores, there[inside, 4])
    assert (np.diff(found.scores) <= 0).all() and set(found.labels) == {1}


def test_boxes_are_those_of_yolo_predict(tmp_path, shared_data):
    """The whole way from pixels to boxes, through the same ONNX, on photographs of several shapes."""
    from ultralytics import YOLO

    path = patch_detector(tmp_path / "patch.onnx")
    model, ours = YOLO(path, task="detect"), OnnxMaskDetector(path, threads=1)
    count = 0
    for photograph in sorted((shared_data / "voc" / "images").iterdir())[:12]:
        pixels = images.read(photograph)
        result = model.predict(pixels[..., ::-1], imgsz=320, conf=0.1, max_det=300, device="cpu", verbose=False)[0]
        theirs = result.boxes.data.numpy()
        found = ours(pixels, floor=0.1)
        assert len(theirs) == len(found.boxes)
        order = np.lexsort(theirs[:, :2].round(2).T), np.lexsort(found.boxes[:, :2].round(2).T)
        assert np.allclose(theirs[order[0], :4], found.boxes[order[1]], atol=1e-3)
        assert np.allclose(theirs[order[0], 4], found.scores[order[1]], atol=1e-5)
        assert np.array_equal(theirs[order[0], 5], found.labels[order[1]])
        count += len(theirs)
    assert count > 100


def test_what_lies_in_the_padding_is_left_out():
    _, fit = letterbox(noise(100, 200), 320)
    rows = np.array([[0, 0, 320, 160, 0.9, 0], [-50, 10, 0, 50, 0.8, 0], [10, 200, 50, 250, 0.7, 0]], np.float32)
    found = decode(rows, fit)
    assert found.boxes.tolist() == [[0, 0, 200, 100]]
    assert decode(rows[:0], fit).boxes.shape == (0, 4)


@pytest.mark.parametrize("tiles", [2, 3, 5])
@pytest.mark.parametrize(("width", "height"), [(1600, 1200), (101, 57), (640, 2000)])
def test_tiles_cover_the_picture_and_overlap(width, height, tiles):
    cut = tiles_of(width, height, tiles)
    assert len(cut) == tiles**2 and len({(tile.width, tile.height) for tile in cut}) == 1
    seen = np.zeros((height, width), int)
    for tile in cut:
        assert tile == tile.clipped(width, height)
        seen[int(tile.y1) : int(tile.y2), int(tile.x1) : int(tile.x2)] += 1
    assert seen.min() == 1 and seen.max() == 4


def test_one_tile_is_none_and_none_is_wrong():
    assert tiles_of(100, 100, 1) == []
    with pytest.raises(ValueError, match="tiles is 0"):
        detect(noise(64, 64), lambda given: given, 320, tiles=0)


def crowd(rng, count=40, width=1600, height=1200):
    """Faces of all sizes that don't overlap by much."""
    faces: list[Box] = []
    while len(faces) < count:
        side = float(np.exp(rng.uniform(np.log(12), np.log(500))))
        x, y = rng.uniform(0, width - side), rng.uniform(0, height - side)
        face = Box(x, y, x + side, y + side)
        if all(face.grown(1.1).iou(other) == 0 for other in faces):
            faces.append(face)
    return faces


def seen_by(rng, view, faces, size=640):
    """What a good detector sees in a view: parts of faces that are cut, nothing too small, none of it exactly."""
    boxes, scores, labels = [], [], []
    for face in faces:
        moved = Box(face.x1 - view.x1, face.y1 - view.y1, face.x2 - view.x1, face.y2 - view.y1)
        part = moved.clipped(view.width, view.height)
        scale = size / max(view.width, view.height)
        if part.area < 0.25 * face.area or part.height * scale < 10 or part.width * scale < 10:
            continue
        moved = part + rng.normal(0, 0.04, 4) * ((part.width, part.height) * 2)
        boxes.append(np.clip(moved, 0, (view.width, view.height) * 2))
        scores.append(rng.uniform(0.4, 0.95))
        labels.append(int(rng.integers(3)))
    return Detections.of(boxes, labels, scores)


@pytest.mark.parametrize("tiles", [2, 3, 4, 6])
def test_every_face_is_one_box_whatever_tiles_cut_it(tiles):
    rng = np.random.default_rng(tiles)
    whole = Box(0, 0, 1600, 1200)
    for _ in range(5):
        faces = crowd(rng)
        views = [whole, *tiles_of(1600, 1200, tiles)]
        seen = [seen_by(rng, view, faces) for view in views]
        found = merged(seen, views, 640)
        overlaps = np.array([[box.iou(face) for face in faces] for box in found.corners])
        told = {index for index, face in enumerate(faces) if face.height * 640 / views[-1].width >= 11}
        assert set((overlaps > 0.6).any(axis=0).nonzero()[0]) >= told
        assert ((overlaps > 0.3).sum(axis=0) <= 1).all(), "a face has two boxes"
        assert (overlaps.max(axis=1) > 0.6).all(), "a box is a piece of a face"
        assert (np.diff(found.scores) <= 0).all()


def test_two_faces_that_one_view_tells_apart_stay_two():
    view = Box(0, 0, 200, 200)
    close = Detections.of([(50, 50, 90, 90), (60, 50, 100, 90)], [0, 1], [0.9, 0.8])
    nothing = Detections.of([], [])
    found = merged([close, nothing], [view, Box(0, 0, 120, 120)], 320)
    assert found.boxes.tolist() == close.boxes.tolist()


def test_pieces_of_a_face_that_no_view_shows_whole_grow_together():
    whole, left, right = Box(0, 0, 400, 100), Box(0, 0, 220, 100), Box(180, 0, 400, 100)
    nothing = Detections.of([], [])
    pieces = [Detections.of([(120, 10, 220, 90)], [2], [0.8]), Detections.of([(0, 12, 110, 92)], [2], [0.7])]
    found = merged([nothing, *pieces], [whole, left, right], 640)
    assert found.boxes.tolist() == [[120, 10, 290, 92]]
    unsure = pieces[1]._replace(scores=np.float32([0.1]))
    found = merged([nothing, pieces[0], unsure], [whole, left, right], 640)
    assert found.boxes.tolist() == [[120, 10, 220, 90]], "what is far less sure does not stretch a box"


def test_tiles_find_what_is_too_small_for_the_whole_picture(tmp_path):
    """Squares that fill a cell of the input only where a tile brings them near."""
    detector = OnnxMaskDetector(patch_detector(tmp_path / "patch.onnx", size=320), threads=1)
    pixels = np.full((576, 576, 3), 128, np.uint8)
    # two tiles a side are 320 px each, at 0 and 256: their cells are 32 px of the picture, those of the whole 57.6
    for (x, y), colour in (((64, 64), RED), ((288, 96), GREEN), ((480, 512), BLUE)):
        pixels[y : y + 32, x : x + 32] = colour
    assert not len(detector(pixels, floor=0.9).boxes)
    found = detector(pixels, tiles=2, floor=0.9)
    order = np.argsort(found.labels)
    expected = [[64, 64, 96, 96], [288, 96, 320, 128], [480, 512, 512, 544]]
    assert found.boxes[order].tolist() == expected
    assert found.labels[order].tolist() == [0, 1, 2]
