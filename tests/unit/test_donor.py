"""Open eyes are lent by the right picture, laid where they belong, and leave no seam."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from ops.expressions.donor import Care, Donor, lend, ranked, seam_score, take
from ops.expressions.engines import EngineError
from ops.expressions.regions import LEFT_EYE, MOUTH, RIGHT_EYE, region
from ops.expressions.state import State, closed_eyes
from ops.faces import find_faces
from ops.geometry import mesh_box
from ops.records import Pose
from ops.sample import portraits
from ops.unmasking.composition import Region
from ops.videos import sample_video
from resources.models import FaceModels
from resources.states import mesh_states
from tests.tiny_pairs import FACES

PIXELS, FACE = portraits()[0], FACES[0]
ME, OTHER = np.eye(2, 128, dtype=np.float32)
OPEN, CLOSED = State(0.3, 0.3, 0, 0, "mesh"), State(0.1, 0.1, 0, 0, "mesh")


def eyes(mesh, shape) -> Region:
    left, right = (region(mesh, which, shape) for which in (LEFT_EYE, RIGHT_EYE))
    return Region(left.inside | right.inside, np.maximum(left.alpha, right.alpha))


def larger(factor, brighter=0):
    """The same portrait at another size and in other light."""
    pixels = cv2.resize(PIXELS, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
    mesh = (FACE.mesh + np.float32([0.5, 0.5, 0])) * np.float32(factor) - np.float32([0.5, 0.5, 0])
    lit = np.clip(pixels.astype(int) + brighter, 0, 255).astype(np.uint8)
    return lit, replace(FACE, mesh=mesh, box=mesh_box(mesh))


def lent(name, state=OPEN, vector=ME, pose=FACE.pose, brighter=0, factor=1.0):
    pixels, face = larger(factor, brighter)
    return take(name, pixels, replace(face, pose=pose), vector, state)


@pytest.fixture
def eyeless():
    """The portrait with skin where its eyes were."""
    wide = cv2.dilate(eyes(FACE.mesh, PIXELS.shape[:2]).inside.astype(np.uint8), np.ones((3, 3)))
    return np.where(wide[..., None] > 0, cv2.GaussianBlur(PIXELS, (0, 0), 12), PIXELS).astype(np.uint8)


@pytest.mark.parametrize(("factor", "brighter"), [(1, 0), (1.5, 0), (0.8, 25)])
def test_lent_eyes_lie_where_the_eyes_were(eyeless, factor, brighter):
    both = eyes(FACE.mesh, PIXELS.shape[:2])
    made = lend(eyeless, FACE.mesh, both, lent("a", factor=factor, brighter=brighter))
    assert (made == eyeless)[~both.inside].all()
    whole = both.alpha == 1
    errors = [abs(one.astype(int) - PIXELS)[whole].mean() for one in (eyeless, made)]
    assert errors[1] < 0.35 * errors[0]


def test_a_blend_leaves_no_seam_and_a_patch_does():
    both = eyes(FACE.mesh, PIXELS.shape[:2])
    made = lend(PIXELS, FACE.mesh, both, lent("a", factor=1.2, brighter=25))
    patched = np.where(both.inside[..., None], np.maximum(PIXELS, 25) - np.uint8(25), PIXELS).astype(np.uint8)
    assert seam_score(made, both, FACE.mesh) <= 1 < seam_score(patched, both, FACE.mesh)


def test_the_likeliest_take_comes_first():
    face = lent("blink", CLOSED)
    yaw, pitch, roll = FACE.pose
    takes = [
        lent("turned", pose=Pose(yaw + 5, pitch, roll)),
        lent("dark", brighter=-45),
        lent("alike"),
        lent("staring", State(0.5, 0.5, 0, 0, "mesh")),
        replace(lent("blurred"), sharpness=FACE.sharpness / 20),
    ]
    assert [one.name for one in ranked(face, takes)] == ["alike", "turned", "dark", "blurred", "staring"]


@pytest.mark.parametrize(
    ("takes", "told"),
    [
        ([], "of 0 known, 0 are of this person"),
        ([lent("other", vector=OTHER)], "of 1 known, 0 are of this person"),
        ([lent("closed", CLOSED), lent("wink", State(0.3, 0.1, 0, 0, "mesh"))], "2 are of this person, 0 of them with"),
        ([lent("turned", pose=Pose(40, 0, 0))], "1 of them with open eyes, and none of those turned"),
        ([lent("small", factor=0.4)], "1 of them with open eyes, and none of those turned, lit and sized alike"),
        ([lent("dark", brighter=-120)], "1 of them with open eyes, and none of those turned"),
    ],
)
def test_without_a_take_it_is_told_why(takes, told):
    with pytest.raises(EngineError, match=told):
        ranked(lent("blink", CLOSED), takes)


def test_the_engine_takes_the_best_and_needs_an_eye():
    engine = Donor(lent("blink", CLOSED), [lent("other", vector=OTHER), lent("alike")], FACE.mesh, Care())
    left = region(FACE.mesh, LEFT_EYE, PIXELS.shape[:2])
    dark = (PIXELS * 0.5).astype(np.uint8)
    made = engine.inpaint(dark, left, "", 0)
    assert (made == dark)[~left.inside].all() and (made != dark)[left.inside].any()
    assert (engine.inpaint(dark, left, "anything", 7) == made).all(), "neither words nor seeds count"
    with pytest.raises(EngineError, match="no eye lies in the region"):
        engine.inpaint(dark, region(FACE.mesh, MOUTH, PIXELS.shape[:2]), "", 0)


@pytest.mark.slow
def test_a_blink_of_a_video_is_opened_by_another_frame(shared_data):
    models, tell = FaceModels(device="cpu").load(), mesh_states()
    known = []
    for frame in sample_video(shared_data / "video" / "talk3.mp4", None):
        if frame.index in {0, 5, 12, 20}:
            (face,) = find_faces(frame.pixels, *models, max_faces=1)
            state = tell(frame.pixels, face.mesh)
            known.append((frame.pixels, face, take(str(frame.index), frame.pixels, face, ME, state)))
        if frame.index == 20:
            break
    pixels, face, blink = known[2]
    assert len(closed_eyes(blink.state)) == 2
    both = eyes(face.mesh, pixels.shape[:2])
    made = Donor(blink, [one for _, _, one in known], face.mesh).inpaint(pixels, both, "", 0)
    assert (made == pixels)[~both.inside].all()
    assert not closed_eyes(tell(made, face.mesh)) and seam_score(made, both, face.mesh) <= 1
