"""A warped smile lifts the corners of the mouth, and bends, tears and doubles nothing."""

import cv2
import numpy as np
import pytest

from ops.expressions.engines import EngineError
from ops.expressions.state import mesh_state
from ops.expressions.warp import moves, smile
from ops.faces import find_faces
from ops.geometry import canonical_mesh, rotation_of
from ops.records import Pose
from ops.sample import portraits
from resources.models import FaceModels

COLLINS, HOPPER = portraits()
LEFT_CORNER, RIGHT_CORNER = 61, 291
UPPER, LOWER = (82, 13, 312), (87, 14, 317)


@pytest.fixture(scope="module")
def models():
    return FaceModels(device="cpu").load()


def turned(yaw: float) -> np.ndarray:
    """The canonical face, 300 px wide, turned."""
    vertices = canonical_mesh().vertices @ rotation_of(Pose(yaw, 0, 0)).T * (1, -1, -1)
    return (vertices * 20 + (200, 200, 0)).astype(np.float32)


@pytest.mark.parametrize("pixels", [COLLINS, HOPPER], ids=["Collins", "Hopper"])
def test_it_smiles_more_and_only_the_face_moves(pixels, models):
    (face,) = find_faces(pixels, *models)
    made = smile(pixels, face.mesh, 0.6)
    outline = np.zeros(pixels.shape[:2], np.uint8)
    cv2.fillConvexPoly(outline, cv2.convexHull(np.rint(face.mesh[:, :2]).astype(np.int32)), (1,))
    assert (made.picture == pixels)[~made.inside].all() and (made.picture != pixels)[made.inside].any()
    assert not made.inside[cv2.dilate(outline, np.ones((5, 5))) == 0].any(), "the backdrop stays"
    x, y = np.rint(face.mesh[LEFT_CORNER, :2]).astype(int)
    assert made.inside[y, x]
    (after,) = find_faces(made.picture, *models)
    assert mesh_state(after.mesh, after.pose).smile > mesh_state(face.mesh, face.pose).smile + 0.05


def test_strength_counts_and_none_changes_nothing(models):
    pixels, (face,) = HOPPER, find_faces(HOPPER, *models)
    none = smile(pixels, face.mesh, 0)
    assert (none.picture == pixels).all() and not none.inside.any()
    little, much = (smile(pixels, face.mesh, strength) for strength in (0.3, 0.9))
    assert little.inside.sum() < much.inside.sum()
    assert (smile(pixels, face.mesh, 0.3).picture == little.picture).all()


@pytest.mark.parametrize("yaw", [0, 20, -20])
def test_corners_go_up_and_out(yaw):
    moved = moves(turned(yaw))
    assert (moved[[LEFT_CORNER, RIGHT_CORNER], 1] < -5).all()
    assert moved[LEFT_CORNER, 0] < -5 and moved[RIGHT_CORNER, 0] > 5
    if yaw == 0:
        assert np.allclose(moved[LEFT_CORNER] * (-1, 1), moved[RIGHT_CORNER], atol=0.1)


@pytest.mark.parametrize("yaw", [0, 20, -40])
def test_nothing_is_seen_twice(yaw):
    """What lies left of something lies left of it afterwards, and what lies above it above it."""
    rise = np.linspace(0, 255, 400).astype(np.uint8)
    ramps = np.dstack([*np.meshgrid(rise, rise), np.zeros((400, 400), np.uint8)])
    made = smile(ramps, turned(yaw), 1).picture.astype(int)
    assert (made != ramps).any()
    assert np.diff(made[..., 0], axis=1).min() >= -1 and np.diff(made[..., 1], axis=0).min() >= -1


def test_lips_move_as_one():
    """What lies between them keeps its height: no mouth opens, and no tooth is seen twice."""
    moved = moves(turned(0))
    assert abs(moved[list(UPPER), 1] - moved[list(LOWER), 1]).max() < 2


def test_a_face_at_the_pictures_edge_smiles_too(models):
    (face,) = find_faces(COLLINS, *models)
    cut = int(face.mesh[:, 0].mean())
    part, mesh = COLLINS[:, cut:].copy(), face.mesh - np.float32([cut, 0, 0])
    made = smile(part, mesh, 0.6)
    assert made.inside.any() and (made.picture == part)[~made.inside].all()


def test_what_cannot_be_is_told():
    with pytest.raises(EngineError, match=r"turned by 6\d degrees"):
        smile(COLLINS, turned(65), 0.5)
    with pytest.raises(ValueError, match=r"strength of the smile is 1\.5; from 0 to 1"):
        smile(COLLINS, turned(0), 1.5)
