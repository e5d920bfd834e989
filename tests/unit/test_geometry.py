"""Fits, the canonical mesh and pose, against constructions by other means and against published figures."""

import re
from collections import Counter

import numpy as np
import pytest

from ops.geometry import (
    MESH_68,
    affine,
    canonical_mesh,
    mesh_box,
    points5,
    points68,
    pose_from_mesh,
    residual,
    rotation_of,
    similarity,
    transformed,
)
from ops.records import Box, Pose

NOSE, CHIN, FOREHEAD = 4, 152, 10
LEFT_EYE_CORNER, RIGHT_EYE_CORNER = 33, 263
OVAL = 36


def photographed(yaw=0.0, pitch=0.0, roll=0.0, width=200.0):
    """The canonical face seen by a camera, by Rodrigues' formula about one axis at a time.

    In the canonical axes (x right, y up, z to the viewer) looking to the viewer's right turns z to x, looking up turns
    z to y, and leaning clockwise turns y to x.
    """
    import cv2

    turns = [(0, yaw, 0), (-pitch, 0, 0), (0, 0, -roll)]
    rotation = np.linalg.multi_dot([cv2.Rodrigues(np.radians(np.float64(turn)))[0] for turn in turns])
    return (canonical_mesh().vertices @ rotation.T * [1, -1, -1] * width / 14 + [300, 250, 0]).astype(np.float32)


@pytest.mark.parametrize("count", [2, 5, 68])
def test_similarity_is_scikit_images_and_batches(count):
    from skimage.transform import SimilarityTransform

    draw = np.random.default_rng(count)
    src, dst = draw.normal(50, 20, (4, count, 2)), draw.normal(60, 30, (4, count, 2))
    batch = similarity(src, dst)
    assert batch.shape == (4, 2, 3)
    for one, a, b in zip(batch, src, dst, strict=True):
        expected = SimilarityTransform.from_estimate(a, b).params[:2]
        np.testing.assert_allclose(similarity(a, b), expected, atol=1e-8)
        np.testing.assert_allclose(one, expected, atol=1e-8)


def test_similarity_in_3d_finds_the_motion_and_never_reflects():
    import cv2

    draw = np.random.default_rng(0)
    src = draw.normal(size=(20, 3))
    rotation = cv2.Rodrigues(np.float64([0.3, -1.1, 0.7]))[0]
    matrix = similarity(src, src @ (2.5 * rotation).T + [1, -2, 3])
    np.testing.assert_allclose(matrix, np.column_stack([2.5 * rotation, [1, -2, 3]]), atol=1e-9)
    assert np.linalg.det(similarity(src, src * [-1, 1, 1])[:, :3]) > 0
    flat = src[:, :2]
    assert np.linalg.det(similarity(flat, flat * [-1, 1])[:, :2]) > 0


def test_affine_is_exact_for_three_points_and_best_for_more():
    import cv2

    src, dst = np.float32([[0, 0], [100, 10], [20, 90]]), np.float32([[5, 5], [80, 40], [0, 120]])
    np.testing.assert_allclose(affine(src, dst), cv2.getAffineTransform(src, dst), atol=1e-6)
    assert residual(affine(src, dst), src, dst) < 1e-9

    draw = np.random.default_rng(1)
    src, dst = draw.normal(size=(9, 2)), draw.normal(size=(9, 2))
    best = affine(src, dst)
    for nudge in draw.normal(0, 0.01, (20, 2, 3)):
        assert residual(best, src, dst) < residual(best + nudge, src, dst)


def test_affine_refuses_points_on_a_line():
    with pytest.raises(np.linalg.LinAlgError, match="line"):
        affine([[0, 0], [1, 1], [2, 2]], [[0, 0], [1, 0], [0, 1]])


def test_residual_is_the_root_mean_square_distance():
    identity = np.eye(2, 3)
    assert residual(identity, [[0, 0], [0, 0]], [[3, 4], [0, 0]]) == pytest.approx(np.sqrt(25 / 2))
    np.testing.assert_allclose(transformed(np.float64([[2, 0, 1], [0, 3, -1]]), [[1, 1]]), [[3, 2]])


def test_canonical_mesh_is_one_symmetric_sheet_with_the_faces_outline_as_its_rim():
    vertices, triangles, uv = canonical_mesh()
    assert vertices.shape == (468, 3)
    assert triangles.shape == (898, 3)
    assert uv.shape == (468, 2)
    assert (uv.min(), uv.max()) == (0, 1)
    assert set(triangles.ravel()) == set(range(468))

    directed = Counter((int(t[n]), int(t[(n + 1) % 3])) for t in triangles for n in range(3))
    assert max(directed.values()) == 1, "triangles are wound the same way"
    rim = [edge for edge in directed if edge[::-1] not in directed]
    assert len(rim) == OVAL, "only the outline is open: eyes and mouth are closed"
    assert {NOSE, LEFT_EYE_CORNER, 13} & {vertex for edge in rim for vertex in edge} == set()

    a, b, c = (vertices[triangles[:, n]] for n in range(3))
    assert (np.cross(b - a, c - a)[:, 2] > 0).mean() > 0.95, "seen from the front"

    mirrored = np.linalg.norm(vertices[:, None] * [-1, 1, 1] - vertices[None], axis=2).min(axis=1)
    assert mirrored.max() < 0.01
    assert np.ptp(vertices[[LEFT_EYE_CORNER, RIGHT_EYE_CORNER], 0]) == pytest.approx(8.9, abs=0.2)


def test_canonical_mesh_has_its_axes_as_documented():
    vertices, _, uv = canonical_mesh()
    assert vertices[LEFT_EYE_CORNER, 0] < 0 < vertices[RIGHT_EYE_CORNER, 0], "x to the viewer's right"
    assert vertices[CHIN, 1] < vertices[NOSE, 1] < vertices[FOREHEAD, 1], "y up"
    assert vertices[NOSE, 2] == pytest.approx(vertices[:, 2].max(), abs=0.5), "z towards the viewer"
    assert uv[LEFT_EYE_CORNER, 0] < uv[NOSE, 0] < uv[RIGHT_EYE_CORNER, 0]
    assert uv[FOREHEAD, 1] < uv[NOSE, 1] < uv[CHIN, 1]


def test_canonical_mesh_is_close_to_the_published_one(mirror):
    published = mirror / "canonical_face_model.obj"
    if not published.is_file():
        pytest.skip(f"{published} is absent")
    text = published.read_text()
    theirs = np.array([line.split()[1:] for line in re.findall(r"^v .*", text, re.M)], float)
    faces = {frozenset(map(int, re.findall(r"(\d+)/", line))) for line in re.findall(r"^f .*", text, re.M)}
    ours = canonical_mesh()
    fit = similarity(ours.vertices, theirs)
    off = np.linalg.norm(transformed(fit, ours.vertices) - theirs, axis=1)
    assert off.mean() < 0.04 * np.ptp(theirs[:, 0])
    assert np.cbrt(np.linalg.det(fit[:, :3])) == pytest.approx(1, abs=0.08), "centimetres"
    assert len(faces) == len(ours.triangles)


@pytest.mark.parametrize("roll", [0, -20, 35])
@pytest.mark.parametrize("pitch", [0, 15, -30])
@pytest.mark.parametrize("yaw", [0, 25, -60])
def test_pose_is_read_back(yaw, pitch, roll):
    pose = pose_from_mesh(photographed(yaw, pitch, roll))
    np.testing.assert_allclose(pose, (yaw, pitch, roll), atol=1e-3)


@pytest.mark.parametrize("seed", range(8))
def test_the_rotation_of_a_pose_is_read_back(seed):
    pose = Pose(*np.random.default_rng(seed).uniform(-60, 60, 3).tolist())
    turned = canonical_mesh().vertices @ rotation_of(pose).T * [1, -1, -1]
    np.testing.assert_allclose(pose_from_mesh(turned.astype(np.float32)), pose, atol=1e-3)
    np.testing.assert_allclose(rotation_of(pose) @ rotation_of(pose).T, np.eye(3), atol=1e-12)
    assert np.linalg.det(rotation_of(pose)) == pytest.approx(1)


def test_pose_is_read_back_from_a_noisy_mesh():
    noise = np.random.default_rng(4).normal(0, 3, (468, 3)).astype(np.float32)
    np.testing.assert_allclose(pose_from_mesh(photographed(20, -10, 8) + noise), (20, -10, 8), atol=2)


def test_signs_of_the_pose_are_what_the_viewer_sees():
    ahead = photographed()
    right, up, leaning = photographed(yaw=20), photographed(pitch=20), photographed(roll=20)

    def nose_from_eyes(mesh):
        return mesh[NOSE, :2] - mesh[[LEFT_EYE_CORNER, RIGHT_EYE_CORNER], :2].mean(axis=0)

    assert nose_from_eyes(right)[0] > nose_from_eyes(ahead)[0] + 5, "the nose moves to the viewer's right"
    assert nose_from_eyes(up)[1] < nose_from_eyes(ahead)[1] - 5, "the nose moves up"
    left, other = leaning[[LEFT_EYE_CORNER, RIGHT_EYE_CORNER], 1]
    assert other > left + 5, "leaning clockwise, the right eye is lower"


def test_named_points_of_a_mesh():
    mesh = photographed()
    left, right, nose, left_mouth, right_mouth = points5(mesh)
    assert left[0] < nose[0] < right[0]
    assert left_mouth[0] < nose[0] < right_mouth[0]
    assert left[1] == pytest.approx(right[1], abs=1)
    assert left[1] < nose[1] < left_mouth[1]
    assert points5(mesh).dtype == np.float32
    assert len(set(MESH_68)) == 68
    sixty_eight = points68(mesh)
    assert sixty_eight.shape == (68, 2)
    for k in range(8):  # the jaw runs from the viewer's left to the right, its halves mirror each other
        assert sixty_eight[k, 0] + sixty_eight[16 - k, 0] == pytest.approx(2 * nose[0], abs=8)
    x1, y1, x2, y2 = mesh_box(mesh)
    assert isinstance(mesh_box(mesh), Box)
    assert x2 - x1 == pytest.approx(np.ptp(mesh[:, 0]))
    assert (y1, y2) == (mesh[:, 1].min(), mesh[:, 1].max())
