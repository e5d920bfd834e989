import dataclasses

import cv2
import numpy as np
import pytest

from ops.geometry import canonical_mesh
from ops.masking import KINDS, LABELS, MaskSettings, Visible, draw_spec, polygons, prepare, render, visible_fractions
from ops.masking.chart import control_net, grid_triangles, head_frame
from ops.masking.garments import GRID, lay
from tests.posed import posed, turned

SKIN = np.full((420, 420, 3), (190, 150, 125), np.uint8)
CENTRE, WIDTH = (209.5, 170.0), 200.0


def z_buffer(vertices, triangles, side, scale):
    """Depth of a mesh by barycentric coordinates, one triangle after the other; pixel centres at whole numbers."""
    depth = np.full((side * scale, side * scale), np.inf)
    points = np.column_stack([(vertices[:, :2] + 0.5) * scale - 0.5, vertices[:, 2]]).astype(float)
    for a, b, c in points[triangles]:
        low = np.maximum(np.ceil(np.minimum(np.minimum(a, b), c)[:2]).astype(int), 0)
        high = np.minimum(np.floor(np.maximum(np.maximum(a, b), c)[:2]).astype(int) + 1, side * scale)
        edges = np.array([b[:2] - a[:2], c[:2] - a[:2]]).T
        if (high <= low).any() or abs(np.linalg.det(edges)) < 1e-12:
            continue
        x, y = np.meshgrid(np.arange(low[0], high[0]), np.arange(low[1], high[1]))
        v, w = np.linalg.solve(edges, np.stack([x.ravel() - a[0], y.ravel() - a[1]]))
        inside = (v >= 0) & (w >= 0) & (v + w <= 1)
        z = a[2] + v * (b[2] - a[2]) + w * (c[2] - a[2])
        part = depth[low[1] : high[1], low[0] : high[0]]
        part[:] = np.minimum(part, np.where(inside, z, np.inf).reshape(x.shape))
    return depth


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("yaw", [-60, -35, 0, 20, 60])
def test_the_region_is_the_projection_of_the_garment(kind, yaw):
    """Laid on the head that looks ahead, then turned with it: not as the renderer lays, cuts and samples."""
    spec = dataclasses.replace(draw_spec("a", MaskSettings(kinds=(kind,))), straps="none", valves=0, kind=kind)
    ahead, face = posed(CENTRE, WIDTH), posed(CENTRE, WIDTH, yaw=yaw)
    frame = head_frame(ahead.mesh)
    garment = turned(lay(control_net(ahead.mesh, frame), ahead.mesh, frame, spec).vertices.reshape(-1, 3), CENTRE, yaw)
    scale, side = 2, len(SKIN)
    cloth = z_buffer(garment, grid_triangles(*GRID), side, scale)
    head = z_buffer(face.mesh, canonical_mesh().triangles, side, scale)
    seen = (cloth < head + 0.035 * WIDTH).reshape(side, scale, side, scale).mean((1, 3)) >= 0.5
    if kind == "respirator":  # its filters are no part of the cloth
        region = render(SKIN, face, dataclasses.replace(spec, kind=kind)).full_region()
        assert (seen & ~region).sum() < 0.02 * seen.sum()
        return
    region = render(SKIN, face, spec).full_region()
    assert (seen & region).sum() / (seen | region).sum() > 0.97


@pytest.mark.parametrize("kind", KINDS)
def test_on_the_far_side_the_straps_are_behind_the_cheek(kind):
    face = posed(CENTRE, WIDTH, yaw=55)
    spec = dataclasses.replace(draw_spec("a", MaskSettings(kinds=(kind,))), straps="loops", valves=0)
    with_straps, without = (
        render(SKIN, face, dataclasses.replace(spec, straps=straps)).full_region() for straps in ("loops", "none")
    )
    straps = with_straps & ~without
    middle = int(face.mesh[4, 0])
    assert straps[:, :middle].sum() > 8 * straps[:, middle:].sum()
    assert straps.any()


@pytest.mark.parametrize("ear", ["left", "right"])
def test_a_hanging_mask_hangs_below_the_ear_it_is_on(ear):
    face = posed(CENTRE, WIDTH)
    spec = dataclasses.replace(draw_spec("a", MaskSettings(kinds=("surgical",), states=("hanging",))), ear=ear)
    masked = render(SKIN, face, spec)
    rows, columns = np.nonzero(masked.full_region())
    ear_at = face.mesh[234 if ear == "left" else 454]
    assert abs(np.median(columns) - ear_at[0]) < 0.25 * WIDTH
    assert np.median(rows) > ear_at[1] + 0.3 * WIDTH
    assert visible_fractions(face, masked.full_region()).state == "off"


@pytest.mark.parametrize("valves", [1, 2])
def test_valves_stand_on_the_cloth(valves):
    face = posed(CENTRE, WIDTH)
    plain = dataclasses.replace(draw_spec("a", MaskSettings(kinds=("kn95",))), valves=0)
    bare, valved = (render(SKIN, face, spec) for spec in (plain, dataclasses.replace(plain, valves=valves)))
    changed = (np.abs(valved.picture.astype(int) - bare.picture).max(-1) > 12).astype(np.uint8)
    count, _, found, _ = cv2.connectedComponentsWithStats(cv2.morphologyEx(changed, cv2.MORPH_CLOSE, np.ones((9, 9))))
    assert sum(found[1:, cv2.CC_STAT_AREA] > 200) == valves, found
    assert count > valves
    assert np.array_equal(bare.full_region(), valved.full_region())


@pytest.mark.parametrize(
    ("visible", "state", "label"),
    [
        ((0.0, 0.1, 0.3), "correct", 0),
        ((0.9, 0.1, 0.3), "nose_out", 2),
        ((0.0, 0.0, 0.9), "chin_out", 2),
        ((0.0, 0.7, 0.9), "chin_out", 2),
        ((1.0, 0.8, 0.1), "nose_and_mouth_out", 2),
        ((1.0, 1.0, 1.0), "off", 2),
    ],
)
def test_the_state_is_what_can_be_seen(visible, state, label):
    assert Visible(*visible).state == state
    assert Visible(*visible).label == LABELS[label]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_drawn_is_measured(kind):
    face = posed(CENTRE, WIDTH)
    wanted = {"under_chin": "off", "hanging": "off"}
    for state in ("correct", "nose_out", "chin_out", "nose_and_mouth_out", "under_chin", "hanging"):
        masked = render(SKIN, face, draw_spec("a", MaskSettings(kinds=(kind,), states=(state,))))
        assert visible_fractions(face, masked.full_region()).state == wanted.get(state, state)


def test_polygons_outline_the_region():
    masked = render(SKIN, posed(CENTRE, WIDTH, yaw=25), draw_spec("a", MaskSettings(kinds=("surgical",))))
    region = masked.full_region()
    filled = np.zeros(region.shape, np.uint8)
    for ring in polygons(region):
        points = np.array(ring).reshape(-1, 2) - 0.5
        cv2.fillPoly(filled, [np.round(points).astype(np.int32)], 1)
    holes = cv2.morphologyEx(region.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((3, 3)))
    assert (filled.astype(bool) & region).sum() / region.sum() > 0.995
    assert filled.sum() < 1.25 * holes.sum(), "only what straps enclose is filled besides"


def test_what_stands_in_front_stays_and_is_not_counted():
    face = posed(CENTRE, WIDTH)
    spec = draw_spec("a", MaskSettings(kinds=("surgical",)))
    prepared = prepare(SKIN, face)
    x1, y1, x2, y2 = prepared.roi
    front = np.zeros((y2 - y1, x2 - x1), np.float32)
    mouth = face.mesh[13, :2].astype(int)
    front[mouth[1] - 30 - y1 : mouth[1] + 30 - y1, mouth[0] - 60 - x1 : mouth[0] + 60 - x1] = 1
    hand = np.zeros(SKIN.shape[:2], bool)
    hand[y1:y2, x1:x2] = front > 0
    before = dataclasses.replace(prepared, front=front)
    masked = render(SKIN, face, spec, prepared=before)
    assert np.array_equal(masked.picture[hand], SKIN[hand])
    assert not masked.full_region()[hand].any()
    assert (masked.full_alpha()[hand] == 0).all()
    assert visible_fractions(face, masked.full_region(), before.front_part).state == "correct"
    assert visible_fractions(face, masked.full_region()).mouth > 0.9
