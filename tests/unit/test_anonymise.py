"""Digital masks on single pictures: what is drawn, that nothing of a face is left, and when a picture is refused."""

from dataclasses import replace

import numpy as np
import pytest

from ops import images
from ops.anonymising.anonymise import CUTS, AnonymisingError, Look, anonymise, covered_region, same_inside
from ops.anonymising.mesh_shape import MeshShape
from ops.anonymising.obscuring import OBSCURERS, obscure
from ops.anonymising.outline import hull81, oval
from ops.anonymising.rendering import STYLES, Window, draw_mesh, normals_of
from ops.anonymising.selection import Selection, Square, cut_out, drawn, reason_against, seen_in, square_around
from ops.anonymising.shape import PosedMesh, ShapeError
from ops.anonymising.sight import Sight, look
from ops.faces import NO_FACE
from ops.geometry import canonical_mesh
from ops.mannequin import mannequin
from ops.records import Box, Detection, Pose
from ops.sample import portraits
from resources.models import FaceModels

SHAPE = MeshShape()


@pytest.fixture(scope="module")
def finder():
    return FaceModels("wary", device="cpu").load()


@pytest.fixture(scope="module")
def both(finder):
    """A picture with two people in it, and its faces."""
    collins, hopper = portraits()
    pixels = np.hstack([collins, hopper[: collins.shape[0]]])
    return pixels, look(pixels, *finder, 0.4)


def surface(vertices, triangles, uv=None):
    points = np.asarray(vertices, np.float32)
    corners = np.asarray(triangles, np.int32)
    return PosedMesh(points, corners, points, uv, Pose(0, 0, 0), {})


def square(slope=(0.0, 0.0)):
    """A square from 2 to 18 whose depth rises to the right and downwards; towards the camera when it is level."""
    corners = [(2, 2), (18, 2), (18, 18), (2, 18)]
    vertices = [(x, y, 10 + slope[0] * x + slope[1] * y) for x, y in corners]
    return surface(vertices, [(0, 2, 1), (0, 3, 2)], np.float32([(0, 0), (1, 0), (1, 1), (0, 1)]))


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("cut", CUTS)
def test_no_pixel_of_any_face_is_left_even_after_encoding(both, style, cut):
    pixels, seen = both
    assert len(seen.faces) == 2
    before = pixels.copy()
    made = anonymise(pixels, seen, SHAPE, Look(style, cut))
    stored = images.decode(images.encode_png(made.overlay))
    assert (pixels == before).all() and (stored == made.overlay).all()
    for face in seen.faces:
        region = covered_region(hull81(face), pixels.shape)
        assert region.sum() > 3000 and same_inside(pixels, stored, region) == 0
        assert (made.mask[region, 3] == 255).all()
    clear = made.mask[..., 3] == 0
    assert (stored[clear] == pixels[clear]).all() and clear.mean() > 0.8
    assert not made.mask[clear].any() and not made.on_black[clear].any()
    assert set(made.shapes) == {0, 1}


def test_nothing_drawn_comes_from_the_picture(both):
    pixels, seen = both
    one, other = (anonymise(given, seen, SHAPE) for given in (pixels, 255 - pixels))
    assert (one.mask == other.mask).all()
    inside = one.region
    assert (np.abs(one.overlay[inside].astype(int) - other.overlay[inside]) <= 1).all()


def test_a_pixel_that_has_the_masks_own_colour_changes_too(both):
    _, seen = both
    shown = anonymise(np.zeros((512, 1024, 3), np.uint8), seen, SHAPE)
    alike = shown.on_black
    again = anonymise(alike, seen, SHAPE)
    assert same_inside(alike, again.overlay, again.region) == 0


def test_cuts_only_ever_add_to_the_hull(both):
    pixels, seen = both
    covered = {cut: anonymise(pixels, seen, SHAPE, Look(cut=cut)).mask[..., 3] > 127 for cut in CUTS}
    hull = covered["hull"]
    assert all((hull & ~more).sum() == 0 for more in covered.values())
    border = np.zeros_like(hull)
    for face in seen.faces:
        border |= covered_region(oval(face), pixels.shape)
    assert (covered["oval"] & ~hull).sum() > 50 and (covered["oval"] & ~border & ~hull).sum() < 60


@pytest.mark.parametrize("yaw", [-55, 0, 40])
def test_a_turned_head_is_covered_as_well(yaw):
    pixels, face = mannequin(yaw, 224)
    made = anonymise(pixels, Sight([face], []), SHAPE)
    assert same_inside(pixels, made.overlay, covered_region(hull81(face), pixels.shape)) == 0


def test_a_face_that_leaves_the_picture_is_covered_as_far_as_it_is_seen(both):
    pixels, seen = both
    face = seen.faces[0]
    shift = np.float32((face.box.center[0], 0))
    moved = replace(face, mesh=face.mesh - np.float32((*shift, 0)))
    made = anonymise(pixels, Sight([moved], []), SHAPE)
    assert made.region[:, 0].any() and same_inside(pixels, made.overlay, made.region) == 0
    gone = replace(face, mesh=face.mesh - np.float32((2000, 0, 0)))
    with pytest.raises(AnonymisingError, match="outside of the picture"):
        anonymise(pixels, Sight([face, gone], []), SHAPE)


def test_a_picture_is_refused_unless_every_face_has_a_mesh(both):
    pixels, seen = both
    with pytest.raises(AnonymisingError, match=NO_FACE):
        anonymise(pixels, Sight([], []), SHAPE)
    bare = Detection(Box(10, 10, 60, 60), 0.9)
    with pytest.raises(AnonymisingError, match="no mesh for 1 of 3 faces found"):
        anonymise(pixels, Sight(seen.faces, [bare]), SHAPE)
    broken = replace(seen.faces[1], mesh=np.full((468, 3), np.nan, np.float32))
    with pytest.raises(AnonymisingError, match=r"face 1 has no shape"):
        anonymise(pixels, Sight([seen.faces[0], broken], []), SHAPE)


class Elsewhere(MeshShape):
    """A shape that lies beside the face."""

    def fit(self, face, pixels):
        mesh = super().fit(face, pixels)
        return replace(mesh, vertices=mesh.vertices + np.float32((500, 0, 0)))


class Unfit(MeshShape):
    def fit(self, face, pixels):
        raise ShapeError("no head is like this")


def test_a_shape_that_does_not_fit_refuses_the_picture(both):
    pixels, seen = both
    with pytest.raises(AnonymisingError, match="lies beside it"):
        anonymise(pixels, Sight(seen.faces[:1], []), Elsewhere())
    with pytest.raises(AnonymisingError, match="no head is like this"):
        anonymise(pixels, seen, Unfit())


def test_styles_and_cuts_by_other_names_are_refused_with_those_allowed():
    with pytest.raises(ValueError, match=r"'clay'.*grey, textured"):
        Look("clay")
    with pytest.raises(ValueError, match=r"'round'.*hull, oval, mesh"):
        Look(cut="round")
    with pytest.raises(ValueError, match="texture"):
        draw_mesh(replace(square(), uv=None), "textured", Window(0, 0, 20, 20))


def test_a_surface_towards_the_light_is_brighter_and_normals_are_its_own():
    window = Window(0, 0, 20, 20)
    assert (normals_of(square().vertices, square().triangles) == (0, 0, -1)).all()
    level, turned = (draw_mesh(square(slope), "grey", window).colours[10, 10] for slope in ((0, 0), (1.0, 1.0)))
    assert level[0] == level[1] == level[2]
    towards = (0.66 / np.linalg.norm((-0.45, 0.6, 0.66)), 0.5 / np.linalg.norm((0.85, 0.15, 0.5)))
    strength = towards[0] * 1.0 + towards[1] * 0.45 + 0.86 / np.linalg.norm((0.1, -0.5, 0.86)) * 0.3
    assert level[0] == pytest.approx(0.65 * strength * 255, abs=1)
    assert turned[0] != level[0]
    facing = draw_mesh(square(), "normals", window).colours[10, 10]
    assert facing.tolist() == [128, 128, 255]
    left = draw_mesh(square((-1.0, 0.0)), "normals", window).colours[10, 10]
    assert left[0] < 60 and left[1] == 128  # nearer on the right: it looks to the left


def test_depth_is_brighter_the_nearer_and_edges_are_smooth():
    drawn_square = draw_mesh(square((1.0, 0.0)), "depth", Window(0, 0, 20, 20))
    row = drawn_square.colours[10, 3:18, 0].astype(int)
    assert (np.diff(row) < 0).all()
    off = replace(square(), vertices=square().vertices + np.float32((0.25, 0.25, 0)))
    covered = draw_mesh(off, "grey", Window(0, 0, 20, 20)).covered
    assert covered[10, 10] == 1 and covered[10, 0] == 0 and 0 < covered[10, 2] < 1
    assert draw_mesh(square(), "grey", Window(40, 40, 8, 8)) is None


def test_what_is_nearer_hides_what_is_behind_and_wires_lie_on_edges():
    near, far = square(), square()
    points = np.concatenate([far.vertices, near.vertices * np.float32((0.5, 0.5, 0)) + np.float32((5, 5, 1))])
    stacked = surface(points, np.concatenate([far.triangles, near.triangles + 4]))
    colours = draw_mesh(stacked, "depth", Window(0, 0, 20, 20)).colours[..., 0]
    assert colours[10, 10] > colours[3, 10]
    wired = draw_mesh(square(), "wireframe", Window(0, 0, 20, 20)).colours[..., 1].astype(int)
    assert wired[10, 10] > 150 > wired[6, 14] and wired[2, 10] > 150  # the diagonal, between, the upper edge


def test_the_texture_follows_the_surface():
    canonical = canonical_mesh()
    flat = canonical.vertices * np.float32((8, -8, -8)) + np.float32((100, 100, 0))
    face = surface(flat, canonical.triangles, canonical.uv)
    textured = draw_mesh(face, "textured", Window(20, 20, 160, 160)).colours
    assert len(np.unique(textured[80, 30:130], axis=0)) > 10
    changes = np.abs(np.diff(textured[80, 30:130, 2].astype(int) - textured[80, 30:130, 0])) > 30
    assert 5 < changes.sum() < 60


def test_every_face_is_looked_for_and_one_without_a_mesh_is_told(both, finder):
    pixels, seen = both
    detector, landmarker = finder

    class Failing:
        """A landmarker that fails on the smaller face."""

        def landmarks(self, given, detection):
            return landmarker.landmarks(given, detection) if detection.box.x1 > 512 else None

    assert not seen.bare
    missed = look(pixels, detector, Failing(), 0.4)
    assert len(missed.faces) == 1 and len(missed.bare) == 1 and missed.bare[0].box.x1 < 512
    known = look(pixels, detector, Failing(), 0.4, known=seen.faces)
    assert len(known.faces) == 2 and not known.bare
    again = look(pixels, detector, landmarker, 0.4, known=seen.faces[1:])
    assert [face.index for face in again.faces] == [1, 2] and not again.bare


def test_a_box_too_large_around_a_covered_face_is_explained_and_one_beside_it_is_not(both, finder):
    pixels, seen = both
    face, landmarker = seen.faces[0], finder[1]
    eyes = np.concatenate([face.points5[:2], face.points5[:3] + 300])

    class Fixed:
        def __init__(self, *found):
            self.found = list(found)

        def detect(self, given):
            return self.found

    wide = Detection(face.box.grown(2.2), 0.9, eyes)
    beside = Detection(Box(*(side + 0.8 * face.box.width * (n % 2 == 0) for n, side in enumerate(face.box))), 0.9)
    for one, bare in ((wide, 0), (replace(wide, points=eyes + 150), 1), (replace(wide, points=None), 1), (beside, 1)):
        assert len(look(pixels, Fixed(one), Blind(landmarker), 0.4, known=seen.faces).bare) == bare


class Blind:
    """A landmarker that sees no face, as it does in most boxes that are none."""

    def __init__(self, landmarker):
        self.landmarker = landmarker

    def landmarks(self, pixels, detection):
        return replace(self.landmarker.landmarks(pixels, detection), presence=0.0)


def test_pictures_are_left_out_with_a_reason(both):
    _, seen = both
    face = seen.faces[0]
    assert reason_against(seen.faces, Selection()) is None
    assert "2 faces" in reason_against(seen.faces, Selection(several="refuse"))
    assert "score of" in reason_against([replace(face, score=0.89)], Selection(min_score=0.9))
    turned = replace(face, pose=Pose(-31.0, 0, 0))
    assert reason_against([face, turned], Selection(max_yaw=30)) == "face 0 has a yaw of -31 degrees, beyond 30"
    assert "pitch" in reason_against([replace(face, pose=Pose(0, 45.0, 0))], Selection(max_pitch=20))
    with pytest.raises(ValueError, match=r"'hide'.*cover, refuse"):
        Selection(several="hide")


def test_pictures_of_a_video_are_drawn_by_its_name_and_the_seed():
    videos = {"a": [f"a{n}" for n in range(9)], "b": [f"b{n}" for n in range(9)], "c": ["c0"]}
    two = drawn(videos, Selection(per_video=2))
    assert two == drawn({name: names[::-1] for name, names in reversed(videos.items())}, Selection(per_video=2))
    assert sorted(name[0] for name in two) == ["a", "a", "b", "b", "c"]
    assert {name for name in two if name[0] == "b"} == drawn({"b": videos["b"]}, Selection(per_video=2))
    assert len({frozenset(drawn(videos, Selection(per_video=2, seed=seed))) for seed in range(5)}) > 1
    assert len(drawn(videos, Selection())) == 19


def test_the_square_cut_out_is_black_beyond_the_picture_and_faces_move_with_it(both, finder):
    pixels, seen = both
    face = seen.faces[0]
    around = square_around(face)
    assert around.side == round(2.5 * max(face.box.width, face.box.height))
    small, inside = cut_out(pixels, around, 224), seen_in(seen, around, 224)
    found = look(small, *finder, 0.4).faces[0]
    moved = inside.faces[0]
    assert np.abs(found.mesh[:, :2] - moved.mesh[:, :2]).mean() < 2.5
    made = anonymise(small, inside, SHAPE)
    assert same_inside(small, made.overlay, covered_region(hull81(moved), small.shape)) == 0
    corner = cut_out(pixels, Square(-100, -100, 200), 100)
    assert not corner[:50].any() and not corner[:, :50].any() and corner[52:, 52:].any()


@pytest.mark.parametrize("name", OBSCURERS)
def test_plain_ways_change_a_box_around_the_face_and_nothing_else(both, name):
    pixels, seen = both
    face = seen.faces[0]
    made = obscure(name, pixels, face)
    changed = (made != pixels).any(axis=2)
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    box = face.box.grown(1.12)
    assert box.x1 - 2 <= columns[0] and columns[-1] <= box.x2 + 2
    assert box.y1 - 2 <= rows[0] and rows[-1] <= box.y2 + 2
    assert changed[covered_region(hull81(face), pixels.shape)].mean() > 0.95
    with pytest.raises(ValueError, match=r"'mosaic'.*pixelation, gaussian_blur, black_box"):
        obscure("mosaic", pixels, face)


def test_blur_and_pixels_leave_little_detail(both):
    pixels, seen = both
    face = seen.faces[0]
    x1, y1, x2, y2 = (int(side) for side in face.box)
    detail = {
        name: np.abs(np.diff(obscure(name, pixels, face)[y1:y2, x1:x2].astype(float), axis=1)).mean()
        for name in OBSCURERS
    }
    bare = np.abs(np.diff(pixels[y1:y2, x1:x2].astype(float), axis=1)).mean()
    assert detail["black_box"] == 0 and detail["gaussian_blur"] < 0.5 * bare and detail["pixelation"] < 0.6 * bare
    blocks = obscure("pixelation", pixels, face)[y1:y2, x1:x2]
    assert len(np.unique(blocks.reshape(-1, 3), axis=0)) < 300
