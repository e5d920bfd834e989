"""Pasted faces: where they go, what they leave alone, and that the same is always the same."""

from dataclasses import replace

import numpy as np
import pytest

from ops.detection.likeness import SAME_FACE, details, look_at
from ops.detection.paste_plan import plan_pastes
from ops.detection.pasting import LARGEST, Donor, PasteSettings, draw_tweak, find_place, paste
from ops.detection.shots import Shot
from ops.images import resized
from ops.records import Box
from ops.sample import portraits

STILL = PasteSettings(0.0, 0.0, (0.0, 0.0, 0.0, 0.0), 0.0, (1.0, 1.0), 0.0)
FACE = (0.36, 0.2, 0.66, 0.6)
"""About where the face is in both portraits, in widths and heights."""


def face_in(width: int, height: int) -> Box:
    return Box(*(round(share * side) for share, side in zip(FACE, (width, height) * 2, strict=True)))


@pytest.fixture(scope="module")
def people() -> list[np.ndarray]:
    return [resized(pixels, (200, 240)) for pixels in portraits()]


@pytest.fixture(scope="module")
def scene(people) -> tuple[np.ndarray, list[Box]]:
    """Both people side by side."""
    box = face_in(200, 240)
    return np.hstack(people), [box, Box(box.x1 + 200, box.y1, box.x2 + 200, box.y2)]


@pytest.fixture(scope="module")
def donor(people) -> Donor:
    return Donor.cut(np.ascontiguousarray(people[0][:, ::-1]), face_in(200, 240), "without_mask")


def test_tweaks_stay_in_their_ranges_and_belong_to_their_seed():
    settings = PasteSettings()
    drawn = [draw_tweak(f"{number}", settings) for number in range(300)]
    assert drawn == [draw_tweak(f"{number}", settings) for number in range(300)]
    table = np.array(drawn)
    low, high = table.min(0), table.max(0)
    assert (low >= [-15, 0, 0.8, 0.8, 0.8, -0.05, -0.1, -0.1, 0.8, -10]).all()
    assert (high <= [15, 1, 1.2, 1.2, 1.2, 0.05, 0.1, 0.1, 1.2, 10]).all()
    assert (high - low >= 0.9 * np.array([30, 1, 0.4, 0.4, 0.4, 0.1, 0.2, 0.2, 0.4, 20])).all()
    assert table[:, 1].mean() == pytest.approx(0.5, abs=0.1)


def test_a_face_replaces_one_that_may_be_and_leaves_all_else_alone(scene, donor):
    picture, boxes = scene
    tweak = draw_tweak("a", STILL)
    place = find_place(picture, boxes, [True, True], donor, tweak)
    only = find_place(picture, boxes, [False, True], donor, tweak)
    assert only is None or only.replaces == 1
    assert place is not None and place.box.iou(boxes[place.replaces]) > 0.8
    other = boxes[1 - place.replaces]
    pasted = paste(picture, boxes, donor, tweak, place)
    changed = (pasted != picture).any(2)
    assert changed.any() and pasted.shape == picture.shape
    half = slice(200, None) if place.replaces == 0 else slice(0, 200)
    x1, y1, x2, y2 = map(int, other)
    assert not changed[y1:y2, x1:x2].any()
    assert changed[:, half].mean() < 0.02
    assert (paste(picture, boxes, donor, tweak, place) == pasted).all()


def test_what_was_pasted_is_found_again_in_its_box(scene, people):
    picture, boxes = scene
    other = Donor.cut(people[1], face_in(200, 240), "without_mask")
    place = find_place(picture, boxes, [False, True], other, draw_tweak("b", replace(STILL, flip=1.0)))
    assert place is not None
    pasted = paste(picture, boxes, other, draw_tweak("b", replace(STILL, flip=1.0)), place)
    (look,) = look_at(pasted, [place.box])[1]
    (known,) = look_at(people[1], [face_in(200, 240)])[1]
    assert details(look, known) > SAME_FACE.details


def test_there_is_no_place_for_a_face_that_is_too_small_or_would_cover_others(scene, donor, people):
    picture, boxes = scene
    tweak = draw_tweak("a", STILL)
    small = Donor.cut(resized(people[0], (60, 72)), face_in(60, 72), "without_mask")
    assert find_place(picture, boxes, [True, True], small, tweak) is None
    _, y1, x2, y2 = boxes[0]
    crowded = [*boxes, Box(x2 + 2, y1, x2 + 20, y2), Box(x2 + 200, y1, x2 + 215, y2)]
    assert find_place(picture, crowded, [True, True, False, False], donor, tweak) is None
    assert find_place(picture, boxes, [False, False], donor, tweak) is None


def test_the_box_holds_the_turned_face(people):
    donor, boxes = Donor.cut(people[0], face_in(200, 240), "without_mask"), [face_in(200, 240)]
    straight, turned = (
        find_place(people[0], boxes, [True], donor, draw_tweak("c", STILL)._replace(rotation=angle))
        for angle in (0, 14)
    )
    assert straight is not None and straight.box == boxes[0] and straight.differs < 0.1
    assert turned is not None and turned.differs > straight.differs
    assert turned.box.width > straight.box.width and turned.box.height <= straight.box.height


def test_large_faces_are_cut_smaller_and_shapes_are_soft_and_whole(people):
    large = Donor.cut(resized(people[0], (2000, 2400)), face_in(2000, 2400), "without_mask")
    assert max(large.box.width, large.box.height) == pytest.approx(LARGEST, abs=1)
    assert large.alpha.shape == large.pixels.shape[:2]
    x1, y1, x2, y2 = (int(side) for side in large.box)
    inside, (height, width) = large.alpha[y1:y2, x1:x2], large.alpha.shape
    assert inside[inside.shape[0] // 4 : -inside.shape[0] // 4, inside.shape[1] // 4 : -inside.shape[1] // 4].min() == 1
    assert large.alpha[[0, -1]].max() == large.alpha[:, [0, -1]].max() == 0
    assert 0.1 < ((large.alpha > 0.5).sum() / (width * height)) < 0.6
    assert (Donor.cut(resized(people[0], (2000, 2400)), face_in(2000, 2400), "x").alpha == large.alpha).all()


def shot(key: str, *labels: str, height: float = 40) -> Shot:
    boxes = tuple((10 + 50.0 * place, 10, 40 + 50.0 * place, 10 + height) for place in range(len(labels)))
    return Shot(key, key, "street", key, key, None, None, 1000, 100, boxes, labels)


def test_every_rare_face_has_its_turn_before_any_has_a_second_one():
    training = [shot(f"m{number}", "with_mask", "with_mask") for number in range(20)]
    training += [shot(f"b{number}", "without_mask") for number in range(4)] + [shot("i", "mask_weared_incorrect")]
    settings = {"balance": 0.5, "reuse": 3, "min_face_px": 16, "seed": 0}
    plan = plan_pastes(training, **settings)
    turns = [(turn.shot.key, turn.number) for pasting in plan for turn in pasting.turns]
    assert sorted(turns) == [(key, number) for key in ("b0", "b1", "b2", "b3", "i") for number in range(3)]
    assert {pasting.common for pasting in plan} == {"with_mask"}
    assert {base.key[0] for pasting in plan for base in pasting.bases} == {"m"}
    assert plan == plan_pastes(training[::-1], **settings)
    few = plan_pastes(training, **{**settings, "balance": 0.15})
    assert sum(len(pasting.turns) for pasting in few) == 2 + 3
    assert not plan_pastes(training, **{**settings, "balance": 0.0})
    assert not plan_pastes([shot("x", "with_mask", height=400), shot("b", "without_mask")], **settings)
    assert not plan_pastes([], **settings)
