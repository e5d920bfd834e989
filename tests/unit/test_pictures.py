"""Contact sheets, drawn faces and pictures in metadata."""

import base64

import cv2
import numpy as np
import pytest
from skimage import data

from ops.pictures import CLASS_COLOURS, PAPER, contact_sheet, data_uri, draw_boxes, draw_faces
from ops.records import Box, Face, Pose
from tests.golden import assert_golden


@pytest.fixture(scope="module")
def astronaut() -> np.ndarray:
    return data.astronaut()


@pytest.fixture(scope="module")
def face() -> Face:
    """The astronaut's: the canonical mesh laid over her, with points measured in the picture."""
    from ops.geometry import affine, canonical_mesh

    points5 = np.array([(203.2, 101.5), (246.8, 104), (225, 127), (201, 140), (245, 141)], np.float32)
    vertices = canonical_mesh().vertices
    on_mesh = np.array([vertices[[33, 133]].mean(0), vertices[[263, 362]].mean(0), *vertices[[4, 61, 291]]])[:, :2]
    matrix = affine(on_mesh, points5)
    mesh = np.c_[vertices[:, :2] @ matrix[:, :2].T + matrix[:, 2], vertices[:, 2]].astype(np.float32)
    box = Box(*mesh[:, :2].min(axis=0).tolist(), *mesh[:, :2].max(axis=0).tolist())
    return Face(0, box, 0.98, points5, mesh, Pose(2.0, -3.0, 2.0), 100.0)


@pytest.mark.parametrize(
    ("count", "columns", "width", "height"),
    [(1, 6, 112, 112), (3, 3, 324, 112), (4, 3, 324, 218), (7, 2, 218, 430)],
)
def test_sheet_size(astronaut, count, columns, width, height):
    assert contact_sheet([astronaut] * count, columns=columns, cell=100).shape == (height, width, 3)


def test_aspect_ratio_is_kept():
    wide, tall = np.zeros((50, 200, 3), np.uint8), np.zeros((2000, 500, 3), np.uint8)
    sheet = contact_sheet([wide, tall], cell=100, gap=10)
    dark = (sheet < 10).all(axis=2)
    assert sheet[0, 0].tolist() == list(PAPER)
    for x, (high, broad) in ((10, (25, 100)), (120, (100, 25))):
        ys, xs = np.nonzero(dark[:, x : x + 100])
        assert (np.ptp(ys) + 1, np.ptp(xs) + 1) == (high, broad)
        assert abs(ys.mean() - 59.5) < 1
        assert abs(xs.mean() - 49.5) < 1


def test_captions_are_written_below_and_stay_in_their_cell():
    white = np.full((80, 80, 3), 255, np.uint8)
    bare = contact_sheet([white] * 2, cell=100)
    sheet = contact_sheet([white] * 2, ["short", "a name that is far too long for its cell " * 3], cell=100)
    two = contact_sheet([white] * 2, ["short", "two\nlines"], cell=100)
    assert bare.shape[0] < sheet.shape[0] < two.shape[0]
    ink = (sheet < 128).all(axis=2)
    assert not ink[:106].any()
    assert 5 < np.ptp(np.nonzero(ink[:, 6:106])[1]) < 60
    assert 70 < np.ptp(np.nonzero(ink[:, 112:212])[1]) < 100
    assert not ink[:, 106:112].any()
    assert not ink[:, 212:].any()


def test_captions_beyond_ascii():
    white = np.full((80, 80, 3), 255, np.uint8)
    accents, plain = (contact_sheet([white], [text], cell=160) for text in ("naïve Ωж", "naive Ωж"))
    assert 0 < (accents != plain).any(axis=2).sum() < 30


def test_sheets_that_make_no_sense(astronaut):
    with pytest.raises(ValueError, match="at least one"):
        contact_sheet([])
    with pytest.raises(ValueError, match="1 captions for 2 pictures"):
        contact_sheet([astronaut] * 2, ["one"])


@pytest.mark.parametrize("max_bytes", [60_000, 8_000])
def test_data_uri_fits_even_noise(max_bytes):
    noise = np.random.default_rng(0).integers(0, 256, (2000, 2000, 3), dtype=np.uint8)
    uri = data_uri(noise, max_bytes)
    assert max_bytes / 2 < len(uri) <= max_bytes
    head, body = uri.split(",")
    assert head == "data:image/jpeg;base64"
    height, width = cv2.imdecode(np.frombuffer(base64.b64decode(body), np.uint8), cv2.IMREAD_COLOR).shape[:2]
    assert height == width


def test_data_uri_keeps_all_pixels_where_they_fit(astronaut):
    body = data_uri(astronaut).split(",")[1]
    seen = cv2.imdecode(np.frombuffer(base64.b64decode(body), np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]
    assert np.abs(seen.astype(int) - astronaut).mean() < 4


def test_data_uri_that_can_not_fit():
    with pytest.raises(ValueError, match="64x32 px does not fit into 100 bytes"):
        data_uri(np.zeros((32, 64, 3), np.uint8), 100)


def test_drawing_leaves_the_picture_alone_and_marks_the_face(astronaut, face):
    before = astronaut.copy()
    drawn = draw_faces(astronaut, [face])
    np.testing.assert_array_equal(astronaut, before)
    changed = (drawn != astronaut).any(axis=2)
    ys, xs = np.nonzero(changed)
    assert abs(xs.min() - face.box.x1) < 4
    assert abs(ys.max() - face.box.y2) < 4
    assert ys.min() > face.box.y1 - 25
    assert changed.sum() > 2 * (draw_faces(astronaut, [face], mesh=False) != astronaut).any(axis=2).sum()
    np.testing.assert_array_equal(draw_faces(astronaut, []), astronaut)


@pytest.mark.parametrize(("scale", "move"), [(0.1, 0.0), (1.0, -300.0), (1.0, 420.0), (8.0, -900.0)])
def test_faces_of_any_size_and_place_can_be_drawn(astronaut, face, scale, move):
    box = Box(*(side * scale + move for side in face.box))
    other = Face(6, box, 0.5, face.points5 * scale + move, face.mesh * scale + move, Pose(-80, 30, 170), 1.0)
    assert (draw_faces(astronaut, [face, other]) != draw_faces(astronaut, [face])).any()


@pytest.mark.parametrize(
    ("pose", "blue"),
    [(Pose(60, 0, 0), (1, 0)), (Pose(-60, 0, 0), (-1, 0)), (Pose(0, 60, 0), (0, -1)), (Pose(0, -60, 0), (0, 1))],
)
def test_blue_axis_points_where_the_head_looks(face, pose, blue):
    dark = np.zeros((512, 512, 3), np.uint8)
    turned = Face(0, face.box, 1.0, face.points5, face.mesh, pose, 1.0)
    drawn = draw_faces(dark, [turned], mesh=False).astype(int)
    inside = np.s_[int(face.box.y1) + 8 : int(face.box.y2) - 8, int(face.box.x1) + 8 : int(face.box.x2) - 8]
    ys, xs = np.nonzero((drawn[inside][:, :, 2] > 150) & (drawn[inside][:, :, 0] < 140))
    toward = np.array([xs.mean(), ys.mean()]) + 8 + np.floor(face.box[:2]) - face.points5[2]
    np.testing.assert_allclose(toward / np.hypot(*toward), blue, atol=0.15)


def test_golden(astronaut, face):
    pictures = [astronaut, astronaut[:200, 100:350], draw_faces(astronaut, [face])[40:200, 150:310]]
    sheet = contact_sheet(pictures, ["whole", "wide", "drawn\nmesh and pose"], columns=2, cell=130)
    assert_golden(sheet, "contact_sheet.jpg", mean=3.0)


def test_boxes_are_drawn_on_their_own_pixels_in_the_colour_of_their_class():
    black = np.zeros((60, 80, 3), np.uint8)
    drawn = draw_boxes(black, [Box(10, 20, 31, 41), Box(50, 0, 80, 60)], ["without_mask", "mask_weared_incorrect"])
    assert not black.any()
    for box, left, colour in (
        ((10, 20, 31, 41), 0, CLASS_COLOURS[1]),
        ((50, 0, 80, 60), 45, CLASS_COLOURS[2]),
    ):
        near = np.abs(drawn[:, left : left + 40].astype(int) - colour).max(axis=2) < 60
        ys, xs = np.nonzero(near)
        assert (left + xs.min(), ys.min(), left + xs.max() + 1, ys.max() + 1) == box
    with pytest.raises(KeyError, match="masked"):
        draw_boxes(black, [Box(0, 0, 9, 9)], ["masked"])


def test_class_and_score_stand_above_a_box_or_below_it_and_on_small_faces_the_score_alone():
    black = np.zeros((400, 400, 3), np.uint8)
    boxes = [Box(50, 100, 150, 220), Box(220, 0, 320, 120), Box(300, 300, 312, 315)]
    drawn = draw_boxes(black, boxes, ["with_mask", "without_mask", "with_mask"], [0.9, 0.8, 0.7]).astype(int)
    patches = [np.abs(drawn - CLASS_COLOURS[index]).max(axis=2) < 30 for index in (0, 1)]
    assert patches[0][86:96, 51:53].all(), "above the first"
    assert patches[1][126:134, 221:223].all(), "below the second, which begins at the picture's edge"
    # a line of text is some ten pixels high; "mask 0.70" would be wider than 40
    wide = patches[0][285:299].any(axis=0)
    assert 15 < wide.sum() < 40
    with pytest.raises(ValueError, match="argument 3 is shorter"):
        draw_boxes(black, boxes, ["with_mask"] * 3, [0.5])
