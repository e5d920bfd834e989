from dataclasses import replace

import cv2
import numpy as np
import pytest
from skimage.data import astronaut

from ops import images
from ops.geometry import canonical_mesh
from ops.masking import draw_spec, prepare, render
from ops.masking.chart import head_frame
from ops.masking.occlusion import in_front

HAIR = (38, 27, 22)
RIM = (25, 22, 24)


def posed(center, width, yaw=0.0):
    """The canonical face's mesh as wide as wanted, in pixels, the middle of its ears at ``center``."""
    model = canonical_mesh().vertices * [1, -1, -1]
    model = (model - (model[234] + model[454]) / 2) / np.linalg.norm(model[454] - model[234])
    turn = np.radians(yaw)
    about = np.array([[np.cos(turn), 0, -np.sin(turn)], [0, 1, 0], [np.sin(turn), 0, np.cos(turn)]])
    return (model @ about.T * width + [*center, 0]).astype(np.float32)


COLLINS = (astronaut(), posed((225, 128), 92))
LARGE = (cv2.resize(COLLINS[0], None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC), COLLINS[1] * 2 + np.float32(0.5))


def looked_at(pixels, mesh):
    """What is in front, zeros where nothing is, and the part of the picture looked at."""
    frame = head_frame(mesh)
    margin = 0.2 * frame.unit
    (x1, y1), (x2, y2) = mesh[:, :2].min(0) - margin, mesh[:, :2].max(0) + margin
    roi = (int(x1), int(y1), int(x2), int(y2))
    front = in_front(pixels, mesh, frame, roi)
    return (np.zeros((roi[3] - roi[1], roi[2] - roi[0]), np.float32) if front is None else front), roi


def painted(pixels, colour, alpha, grain=6):
    """A picture with something laid over it."""
    noise = np.random.default_rng(5).normal(0, grain, pixels.shape)
    over = np.asarray(colour) + noise
    return np.clip(np.rint(pixels * (1 - alpha[..., None]) + over * alpha[..., None]), 0, 255).astype(np.uint8)


def drawn(pixels, shape):
    """Alpha of what ``shape`` draws on an empty sheet, with soft edges."""
    sheet = np.zeros(pixels.shape[:2], np.uint8)
    shape(sheet)
    return cv2.GaussianBlur(sheet, (0, 0), 0.8).astype(np.float32) / 255


def curtain(pixels, mesh, reach):
    """Hair that falls beside the viewer's right cheek, from above the head to the shoulder."""
    edge = mesh[[251, 389, 356, 454, 323, 361, 288], :2] - [reach, 0]
    far = mesh[[454], 0].max() + 0.35 * np.ptp(mesh[:, 0])
    outline = [[edge[0][0], 0], *edge, [edge[-1][0], mesh[152, 1] + 30], [far, mesh[152, 1] + 30], [far, 0]]
    return drawn(pixels, lambda sheet: cv2.fillPoly(sheet, [np.int32(outline)], 255))


def face_mask(pixels, mesh):
    hull = cv2.convexHull(np.int32(mesh[:, :2]))
    return drawn(pixels, lambda sheet: cv2.fillConvexPoly(sheet, hull, 255)) > 0.5


def iou(one, other):
    return (one & other).sum() / (one | other).sum()


@pytest.mark.parametrize(("portrait", "reach"), [(COLLINS, 11), (LARGE, 24)])
def test_hair_over_a_cheek_is_in_front(portrait, reach):
    pixels, mesh = portrait
    truth = curtain(pixels, mesh, reach)
    front, (x1, y1, x2, y2) = looked_at(painted(pixels, HAIR, truth), mesh)
    inside = face_mask(pixels, mesh)
    inside[: int(mesh[[33, 263], 1].mean())] = False
    inside[int(mesh[[61, 291], 1].mean()) :] = False
    inside[:, : int(mesh[4, 0])] = False
    inside, truth = inside[y1:y2, x1:x2], truth[y1:y2, x1:x2]
    assert iou(front[inside] > 0.5, truth[inside] > 0.5) > 0.8
    assert abs(front[inside] - truth[inside]).mean() < 0.08


def test_the_edge_of_hair_is_as_sharp_as_the_picture():
    pixels, mesh = LARGE
    truth = curtain(pixels, mesh, 24)
    front, (x1, y1, _, _) = looked_at(painted(pixels, HAIR, truth), mesh)
    row, start = int(mesh[323, 1]) - y1, int(mesh[4, 0]) - x1
    across = front[row, start : int(mesh[323, 0]) - x1]
    assert across[0] == 0
    assert across[-1] == 1
    assert 1 <= ((across > 0.1) & (across < 0.9)).sum() <= 5


def test_lower_rims_of_glasses_are_in_front():
    pixels, mesh = LARGE
    size = np.ptp(mesh[:, 0])

    def rims(sheet):
        for n in (159, 386):
            x, y = mesh[n, :2]
            cv2.ellipse(sheet, (int(x), int(y + 0.05 * size)), (int(0.17 * size), int(0.14 * size)), 0, 0, 360, 255, 3)

    truth = drawn(pixels, rims)
    front, (x1, y1, x2, y2) = looked_at(painted(pixels, RIM, truth, 2), mesh)
    lower = np.s_[int(mesh[230, 1] + 0.02 * size) - y1 : int(mesh[50, 1]) - y1]
    seen, truth = front[lower] > 0.5, truth[y1:y2, x1:x2][lower] > 0.5
    assert (seen & truth).sum() > 0.5 * truth.sum()
    assert (seen & truth).sum() > 0.6 * seen.sum()


def beard(pixels, mesh):
    jaw = mesh[[132, 58, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397, 288, 361], :2]
    mouth = mesh[[426, 391, 164, 165, 206], :2]
    alpha = 0.8 * drawn(pixels, lambda sheet: cv2.fillPoly(sheet, [np.int32(np.concatenate([jaw, mouth]))], 255))
    return painted(pixels, (45, 35, 30), alpha)


def side_light(pixels, mesh):
    x = np.arange(pixels.shape[1]) - mesh[4, 0]
    gain = 0.3 + 0.7 / (1 + np.exp(x / (0.1 * np.ptp(mesh[:, 0]))))
    return np.rint(pixels * gain[None, :, None]).astype(np.uint8)


def mole(pixels, mesh):
    place = tuple(int(n) for n in mesh[425, :2])
    return painted(pixels, HAIR, drawn(pixels, lambda sheet: cv2.circle(sheet, place, 5, 255, -1)))


def grey(pixels, mesh):
    return np.repeat(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)[..., None], 3, 2)


@pytest.mark.parametrize("change", [lambda pixels, mesh: pixels, beard, side_light, mole, grey])
@pytest.mark.parametrize("portrait", [COLLINS, LARGE])
def test_a_bare_face_is_left_alone(portrait, change):
    pixels, mesh = portrait
    front, (x1, y1, x2, y2) = looked_at(change(pixels, mesh), mesh)
    inside = cv2.erode(face_mask(pixels, mesh).astype(np.uint8), np.ones((9, 9), np.uint8))[y1:y2, x1:x2] > 0
    inside[: int(mesh[[33, 263], 1].mean()) - y1] = False
    assert front[inside].sum() < 0.003 * inside.sum()


def test_the_same_picture_gives_the_same_bytes():
    pixels, mesh = COLLINS
    changed = painted(pixels, HAIR, curtain(pixels, mesh, 11))
    assert looked_at(changed, mesh)[0].tobytes() == looked_at(changed.copy(), mesh.copy())[0].tobytes()


def test_shape_and_range_follow_the_part_looked_at():
    pixels, mesh = COLLINS
    changed = painted(pixels, HAIR, curtain(pixels, mesh, 11))
    front = in_front(changed, mesh, head_frame(mesh), (170, 70, 290, 200))
    assert front.shape == (130, 120)
    assert front.dtype == np.float32
    assert front.min() == 0
    assert front.max() == 1


def test_a_face_mostly_outside_of_the_picture_has_nothing_in_front():
    pixels, mesh = COLLINS
    away = mesh + np.array([-mesh[4, 0], 0, 0], np.float32)
    assert in_front(pixels, away, head_frame(away), (0, 60, 60, 200)) is None


def test_masks_lie_over_beards_and_under_long_hair(shared_data):
    from ops.faces import find_faces
    from resources.models import FaceModels

    models = FaceModels(device="cpu").load()

    def held_back(name):
        pixels = images.read(shared_data / name)
        face = find_faces(pixels, *models)[0]
        prepared = prepare(pixels, face)
        front = in_front(pixels, face.mesh, prepared.frame, prepared.roi)
        spec = draw_spec("long hair/0")
        over, behind = (render(pixels, face, spec, prepared=replace(prepared, front=f)) for f in (None, front))
        return 1 - behind.alpha.sum() / over.alpha.sum()

    hair = [held_back(f"unmasked/{name}.jpg") for name in ("6a79d39d", "daf835c7", "421b567b", "130e1bfd")]
    bare = [held_back(f"unmasked/{name}.jpg") for name in ("3990ede5", "24ae67da", "c87d1667", "2c7cdfa8")]
    assert min(hair) > 0.01
    assert max(bare) == 0
