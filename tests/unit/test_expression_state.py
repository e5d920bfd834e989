"""States of faces: what moves them and what must not, on real faces; lids, blendshapes and the smile cascade."""

import csv
import os
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import yaml

from benchmarks.expression_state import LIST, best, ratio
from model_assets.registry import ModelUnavailable
from ops.expressions.state import LIMITS, Limits, State, closed_eyes, is_smiling, mesh_state
from ops.faces import find_faces
from ops.geometry import LEFT_EYE, pose_from_mesh, rotation_of
from ops.records import Pose
from ops.sample import portraits
from ops.videos import sample_video
from resources.blendshapes import blendshapes
from resources.haar_smile import HaarSmile
from resources.models import FaceModels
from resources.states import mesh_states, states

ROOT = Path(__file__).resolve().parents[2]
UPPER_LEFT, LOWER_LEFT = (160, 159, 158), (144, 145, 153)
MOUTH_CORNERS = (61, 291)


@pytest.fixture(scope="module")
def finder():
    return FaceModels(device="cpu").load()


@pytest.fixture(scope="module")
def seen(finder):
    """The sample's portraits, each with its face: a woman who smiles, and one who does not."""
    return [(pixels, find_faces(pixels, *finder, max_faces=1)[0]) for pixels in portraits()]


@pytest.fixture(scope="module")
def shapes(request):
    if "MASKLINE_MIRROR" not in os.environ:
        os.environ["MASKLINE_MIRROR"] = str(request.getfixturevalue("mirror"))
        request.addfinalizer(lambda: os.environ.pop("MASKLINE_MIRROR"))
    try:
        return blendshapes("face_landmarker")
    except ModelUnavailable as error:
        pytest.skip(str(error))


def turned(mesh, pose):
    """The same face with the head turned further."""
    middle = mesh.mean(axis=0)
    front = (mesh - middle) * (1, -1, -1)
    return ((front @ rotation_of(pose).T) * (1, -1, -1) + middle).astype(np.float32)


def test_turning_the_head_opens_no_eye_and_widens_no_smile(seen):
    for _, face in seen:
        before = mesh_state(face.mesh, face.pose)
        for pose in (Pose(35, 0, 0), Pose(-35, 10, 0), Pose(0, 0, 40)):
            mesh = turned(face.mesh, pose)
            after = mesh_state(mesh, pose_from_mesh(mesh))
            for name in ("left_eye", "right_eye", "smile", "mouth_open"):
                assert getattr(after, name) == pytest.approx(getattr(before, name), abs=0.02), (name, pose)
        plain = [ratio(turned(face.mesh, Pose(yaw, 0, 0)), LEFT_EYE) for yaw in (-35, 0, 35)]
        assert max(plain) > 1.1 * min(plain), "the plain ratio does change"


def test_a_lid_that_comes_down_closes_its_own_eye(seen):
    mesh, pose = seen[0][1].mesh.copy(), seen[0][1].pose
    assert closed_eyes(mesh_state(mesh, pose)) == ()
    upper, lower = list(UPPER_LEFT), list(LOWER_LEFT)
    mesh[upper] = 0.3 * mesh[upper] + 0.7 * mesh[lower]
    assert closed_eyes(mesh_state(mesh, pose)) == ("left_eye",)


def test_corners_that_go_up_and_out_make_a_smile(seen):
    mesh, pose = seen[1][1].mesh.copy(), seen[1][1].pose
    unit = np.linalg.norm(mesh[33] - mesh[263])
    smiles = [mesh_state(mesh, pose).smile]
    for _ in range(3):
        for corner, way in zip(MOUTH_CORNERS, (-1, 1), strict=True):
            mesh[corner, :2] += np.array([way * 0.03, -0.03], np.float32) * unit
        smiles.append(mesh_state(mesh, pose).smile)
    assert np.all(np.diff(smiles) > 0.15)
    assert not is_smiling(State(1, 1, smiles[0], 0, "mesh"))
    assert is_smiling(State(1, 1, smiles[-1], 0, "mesh"))


def test_what_the_sample_shows_is_told(seen):
    tell = mesh_states()
    smiling, neutral = (tell(pixels, face.mesh) for pixels, face in seen)
    assert is_smiling(smiling) and not is_smiling(neutral)
    assert closed_eyes(smiling) == closed_eyes(neutral) == ()


def test_a_mirrored_picture_has_its_eyes_mirrored(seen, finder):
    tell = mesh_states()
    for pixels, face in seen:
        other = np.ascontiguousarray(pixels[:, ::-1])
        state = tell(pixels, face.mesh)
        mirrored = tell(other, find_faces(other, *finder, max_faces=1)[0].mesh)
        assert mirrored.left_eye == pytest.approx(state.right_eye, abs=0.05)
        assert mirrored.right_eye == pytest.approx(state.left_eye, abs=0.05)


@pytest.mark.parametrize("wish", ["mesh", "face_landmarker"])
def test_a_blink_is_seen_and_the_frames_around_it_are_open(wish, shared_data, finder, shapes):
    clip = islice(sample_video(shared_data / "video" / "talk3.mp4", None), 50)
    frames = {shot.index: shot.pixels for shot in clip}
    tell = states(wish)
    told = {k: tell(frames[k], find_faces(frames[k], *finder, max_faces=1)[0].mesh) for k in (0, 36, 37, 48)}
    assert {k: closed_eyes(state) for k, state in told.items()} == {
        0: (),
        36: ("left_eye", "right_eye"),
        37: ("left_eye", "right_eye"),
        48: (),
    }
    assert {state.by for state in told.values()} == {"mesh" if wish == "mesh" else "blendshapes"}


@pytest.mark.slow
def test_blendshapes_are_those_of_mediapipes_own_graph(seen, shapes):
    import mediapipe as mp
    from mediapipe.tasks.python import BaseOptions, vision

    options = vision.FaceLandmarkerOptions(
        base_options=BaseOptions(model_asset_path=str(shapes.path)), output_face_blendshapes=True
    )
    with vision.FaceLandmarker.create_from_options(options) as graph:
        for pixels, face in seen:
            found = graph.detect(mp.Image(image_format=mp.ImageFormat.SRGB, data=np.ascontiguousarray(pixels)))
            theirs = {one.category_name: one.score for one in found.face_blendshapes[0]}
            ours, state = shapes.shapes(pixels, face.mesh), shapes(pixels, face.mesh)
            assert np.abs(ours - list(theirs.values())).mean() < 0.04
            assert state.left_eye == pytest.approx(1 - theirs["eyeBlinkRight"], abs=0.1)
            assert state.right_eye == pytest.approx(1 - theirs["eyeBlinkLeft"], abs=0.1)
            assert state.smile == pytest.approx((theirs["mouthSmileLeft"] + theirs["mouthSmileRight"]) / 2, abs=0.15)
            assert state.mouth_open == pytest.approx(theirs["jawOpen"], abs=0.1)


def test_the_cascade_sees_a_smile_but_none_in_a_face_without_a_mouth(seen):
    pixels, face = seen[0]
    smooth = pixels.copy()
    smooth[int(face.box.center[1]) :] = 128
    assert HaarSmile()(pixels, face.mesh)
    assert not HaarSmile()(smooth, face.mesh)
    assert not HaarSmile()(pixels, face.mesh + np.float32([0, 5000, 0]))


def test_what_is_wished_for_must_exist():
    with pytest.raises(ValueError, match=r"blendshapes is 'arkit'; use one of auto, face_landmarker, none"):
        blendshapes("arkit")
    with pytest.raises(ValueError, match=r"limits closed are for mesh; give one for each of mesh, blendshapes"):
        Limits(closed={"mesh": 0.2})
    assert blendshapes("none") is None


def test_limits_have_one_home():
    told = yaml.safe_load((ROOT / "params.yaml").read_text())["expression_regions"]
    assert Limits(told["closed"], told["smiling"]) == LIMITS


def test_the_labelled_list_is_of_files_that_are_there_and_parts_nobody(shared_data):
    with LIST.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) >= 120 and all((shared_data / row["file"]).is_file() for row in rows)
    people = {
        half: {Path(row["file"]).parts[-2:] for row in rows if row["half"] == half} for half in ("choose", "tell")
    }
    grey = {half: {parts[0] for parts in names if parts[1].endswith(".jpg")} for half, names in people.items()}
    assert not people["choose"] & people["tell"]
    assert not (grey["choose"] & grey["tell"]) - {"portraits", "unmasked", "scenes"}
    for half in people:
        labels = [row for row in rows if row["half"] == half]
        assert sum(row["left_eye"] == "closed" for row in labels) >= 15
        assert sum(row["smiling"] == "yes" for row in labels) >= 15


def test_the_best_threshold_is_right_most_often_and_near_the_start():
    values, truth = np.array([0.1, 0.2, 0.6, 0.9]), np.array([0.0, 0.0, 1.0, 1.0])
    assert best(values, truth, 0.35) == 0.35
    assert best(values, truth, 0.0) == 0.2
    assert best(values, truth, 0.8) == 0.59
