"""Faces are unmasked in the picture's own pixels, who can't be is told why, and other networks are refused."""

import pickle
from dataclasses import replace

import cv2
import numpy as np
import pytest

from ops.geometry import mesh_box
from ops.records import Pose
from ops.sample import portraits
from ops.unmasking.moving import LOST_S, Sight, followed
from ops.unmasking.unmask import NO_MASK, Care, UnmaskingError, changed_outside, unmask, unmask_all
from resources.unmaskers import BadNetwork, OnnxUnmasker, networks, shipped
from tests.colour_networks import CLOTH, SKIN, colour_networks, greenness, masked
from tests.posed import posed
from tests.tiny_pairs import FACES

FACE = FACES[0]


@pytest.fixture(scope="module")
def unmasker(tmp_path_factory) -> OnnxUnmasker:
    return colour_networks(tmp_path_factory.mktemp("networks"))


@pytest.fixture
def worn():
    return masked(portraits()[0])


def scaled(face, factor):
    mesh = (face.mesh + np.float32([0.5, 0.5, 0])) * np.float32(factor) - np.float32([0.5, 0.5, 0])
    return replace(face, mesh=mesh, box=mesh_box(mesh))


@pytest.mark.parametrize("factor", [0.8, 1, 4])
def test_the_mask_is_gone_and_nothing_else_changed(unmasker, worn, factor):
    pixels = cv2.resize(worn, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    face = scaled(FACE, factor)
    result = unmask_all(pixels, [face], unmasker, Care(min_face_px=40))
    assert not result.reasons
    assert changed_outside(pixels, result.picture, result.alpha) == 0
    was, now = (greenness(each) > 60 for each in (pixels, result.picture))
    assert was.sum() > 2000 * factor**2 and now.sum() < 0.002 * was.sum()
    assert 1.05 < (result.alpha > 0).sum() / was.sum() < 1.9
    assert np.median(result.picture[was], axis=0) == pytest.approx(SKIN, abs=60)


def test_a_face_turned_and_at_the_edge_comes_out_too(unmasker, worn):
    pixels = np.ascontiguousarray(np.rot90(worn[:200, 150:310]))
    mesh = FACE.mesh - np.float32([150, 0, 0])
    mesh[:, :2] = np.stack([mesh[:, 1], 159 - mesh[:, 0]], 1)
    face = replace(FACE, mesh=mesh, box=mesh_box(mesh))
    result = unmask_all(pixels, [face], unmasker, Care(min_face_px=40))
    assert not result.reasons and changed_outside(pixels, result.picture, result.alpha) == 0
    assert (greenness(result.picture) > 60).sum() < 0.01 * (greenness(pixels) > 60).sum()


def test_several_faces_come_one_after_another_and_each_has_its_own_reason(unmasker, worn):
    pixels = np.hstack([worn, portraits()[0], worn])
    mesh = [FACE.mesh + np.float32([shift, 0, 0]) for shift in (0, worn.shape[1], 2 * worn.shape[1])]
    faces = [replace(FACE, index=n, mesh=each, box=mesh_box(each)) for n, each in enumerate(mesh)]
    result = unmask_all(pixels, faces, unmasker)
    assert result.reasons == {1: NO_MASK} and result.memories.keys() == {0, 2}
    assert changed_outside(pixels, result.picture, result.alpha) == 0
    assert (greenness(result.picture) > 60).sum() < 30


def painted(where):
    canvas = portraits()[0].copy()
    canvas[where] = CLOTH
    return canvas


@pytest.mark.parametrize(
    ("pixels", "face", "reason"),
    [
        (masked(portraits()[0]), scaled(FACE, 0.4), "a face of 44 px is smaller than 64 px"),
        (masked(portraits()[0]), replace(FACE, pose=Pose(-71, 0, 0)), "turned by 71 degrees, more than 60"),
        (portraits()[0], FACE, NO_MASK),
        (painted(np.s_[95:180, 170:285]), FACE, "what looks like a mask covers both eyes"),
        (painted(np.s_[40:230, 140:310]), FACE, "takes up"),
        (painted(np.s_[45:65, 140:170]), FACE, "what looks like a mask lies beside the face"),
    ],
)
def test_what_cant_be_unmasked_is_refused_with_a_reason(unmasker, pixels, face, reason):
    with pytest.raises(UnmaskingError) as told:
        unmask(pixels, face, unmasker)
    assert reason in told.value.reason


def test_a_frame_remembers_the_one_before(unmasker, worn):
    """What flickers in the networks' output flickers less, and the memory of another place is not laid in."""
    first = unmask(worn, FACE, unmasker)
    same = unmask(worn, FACE, unmasker, before=first.memory)
    assert (same.picture == first.picture).all()
    other = first.memory._replace(completed=(first.memory.completed * 0.5).astype(np.uint8))
    care = Care(steady=0.6)
    half = unmask(worn, FACE, unmasker, care, before=other).memory
    inside = half.filled & other.filled
    expected = 0.6 * other.completed[inside] + 0.4 * first.memory.completed[inside]
    assert half.completed[inside] == pytest.approx(expected, abs=1)
    away = other._replace(filled=np.zeros_like(other.filled))
    assert (unmask(worn, FACE, unmasker, care, before=away).memory.completed == first.memory.completed).all()


def test_faces_are_followed_steadied_and_missed_ones_filled_in():
    rng = np.random.default_rng(1)
    path = [posed((150 + 2 * n, 120), 90) for n in range(30)]
    shaken = [replace(f, mesh=f.mesh + rng.normal(0, 1.5, (1, 1, 3))[0].astype(np.float32)) for f in path]
    other = posed((400, 300), 60)
    missing = {7, 8, 20}
    sights = [
        Sight(n / 25, [other] if n in missing else [replace(other, index=0), replace(face, index=1)])
        for n, face in enumerate(shaken)
    ]
    frames = followed(sights)
    assert [len(faces) for faces in frames] == [2] * 30
    tracks = {index: [face for faces in frames for face in faces if face.index == index] for index in (0, 1)}
    moving = next(track for track in tracks.values() if track[0].box.x1 < 200)
    steady, before = (np.array([f.mesh[4, :2] for f in faces]) for faces in (moving, shaken))
    true = np.array([f.mesh[4, :2] for f in path])
    assert np.abs(steady - true)[4:-4].mean() < 0.6 * np.abs(before - true)[4:-4].mean()
    assert np.abs(np.diff(steady, 2, axis=0)).mean() < 0.2 * np.abs(np.diff(before, 2, axis=0)).mean()


@pytest.mark.parametrize(("gap", "indices"), [(LOST_S - 0.05, {0}), (LOST_S + 0.05, {0, 1})])
def test_a_face_that_is_lost_for_long_or_jumps_is_another(gap, indices):
    face = posed((150, 120), 90)
    sights = [Sight(0, [face]), Sight(0.04, []), Sight(gap, [face])]
    frames = followed(sights)
    assert {found.index for faces in frames for found in faces} == indices
    assert len(frames[1]) == (len(indices) == 1)
    jumped = followed([Sight(0, [face]), Sight(0.04, [posed((400, 120), 90)])])
    assert [faces[0].index for faces in jumped] == [0, 1]


def test_an_unmasker_gives_what_its_networks_give_at_any_size(unmasker, worn):
    assert unmasker.size == 64
    square = worn[50:210, 145:305]
    shares = unmasker.shares(square)
    assert shares.shape == (160, 160) and ((shares > 0.5) == (greenness(square) > 60)).mean() > 0.97
    region = np.zeros((160, 160), bool)
    region[80:140, 40:120] = True
    made = unmasker.complete(square, region)
    assert made.shape == square.shape and made.dtype == np.uint8
    assert np.abs(made[90:130, 50:110].astype(int) - SKIN).max() <= 1
    rim = region.copy()
    rim[85:135, 45:115] = False
    assert (unmasker.complete(square, region, rim)[90:130, 50:110] == made[90:130, 50:110]).all()
    again = pickle.loads(pickle.dumps(unmasker))  # noqa: S301
    assert (again.complete(square, region) == made).all() and len(again.check()) == 2


def test_what_is_no_network_of_its_kind_is_refused(unmasker, tmp_path, tiny_detector):
    (tmp_path / "text.onnx").write_text("no")
    for wrong, error in (
        (tmp_path / "none.onnx", FileNotFoundError),
        (tmp_path / "text.onnx", BadNetwork),
        (tiny_detector, BadNetwork),
        (unmasker.completer, BadNetwork),
    ):
        with pytest.raises(error, match=wrong.name):
            OnnxUnmasker(wrong, unmasker.completer).check()
    with pytest.raises(BadNetwork, match="face completer"):
        OnnxUnmasker(unmasker.segmenter, unmasker.segmenter).check()
    for size in (None, 8, '"large"'):
        with pytest.raises(BadNetwork, match=r"size|squares"):
            colour_networks(tmp_path / f"{size}".strip('"'), size).check()


def test_networks_are_named(tmp_path):
    assert networks("shipped", tmp_path) == shipped()
    assert networks("trained", tmp_path)[0] == tmp_path / "mask_segmenter" / "segmenter.onnx"
    with pytest.raises(ValueError, match=r"'best'.*shipped, trained"):
        networks("best", tmp_path)
