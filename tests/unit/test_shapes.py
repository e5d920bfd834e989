"""Shapes of faces: the mesh and FLAME put where a known head is, and FLAME's files read without running them."""

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csc_matrix
from threadpoolctl import threadpool_limits

from ops.anonymising.flame import FlameShape, contour_row, fit_landmarks, head, points_on, rotation_by, skinned
from ops.anonymising.flame_file import BadShapeFile, Landmarks, read_flame
from ops.anonymising.mesh_shape import MeshShape
from ops.anonymising.obj import obj_text
from ops.anonymising.outline import HAIRLINE, OVAL, hull81, oval, points81
from ops.anonymising.shape import ShapeError
from ops.faces import find_faces
from ops.geometry import canonical_mesh, mesh_box, points5, points68, pose_of, rotation_of
from ops.pickled import PickleRefused, as_array, read_pickle
from ops.records import Face, Pose
from ops.sample import portraits
from resources.models import FaceModels
from resources.shapes import face_shape
from tests.small_flame import SHAPES, embeddings, landmark_files, model_fields, model_file

NO_PICTURE = np.zeros((8, 8, 3), np.uint8)
POSES = [Pose(0, 0, 0), Pose(15, -10, 5), Pose(-25, 12, -20), Pose(35, 5, 3)]


def face_with(mesh):
    return Face(0, mesh_box(mesh), 1.0, points5(mesh), mesh.astype(np.float32), Pose(0, 0, 0), 100.0)


def seen(vertices, pose, scale, shift=(300, 200)):
    """Vertices of a head that looks ahead as they lie in a picture."""
    return (scale * (vertices @ rotation_of(pose).T) * (1, -1, -1) + (*shift, 0)).astype(np.float32)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("flame")
    return model_file(folder / "generic_model.pkl"), landmark_files(folder)


@pytest.fixture(scope="module")
def flame(files):
    return read_flame(*files)


@pytest.mark.parametrize("pose", POSES)
def test_the_mesh_of_a_known_head_is_recovered(pose):
    """Its pose within 2 degrees, its width in cm within 2%."""
    metric = canonical_mesh().vertices
    fitted = MeshShape().fit(face_with(seen(metric, pose, scale=11.5)), NO_PICTURE)
    assert np.abs(np.subtract(fitted.pose, pose)).max() < 0.01
    assert np.ptp(fitted.metric[:, 0]) == pytest.approx(np.ptp(metric[:, 0]), rel=0.001)
    assert fitted.parameters["pixels_per_cm"] == [pytest.approx(11.5, rel=0.001)]
    np.testing.assert_allclose(fitted.metric, metric, atol=0.01)


def test_an_open_mouth_makes_a_head_no_larger():
    mesh = seen(canonical_mesh().vertices, Pose(0, 0, 0), scale=10)
    wide = mesh.copy()
    wide[mesh[:, 1] > mesh[14, 1] - 1, 1] += 40
    shut, yelling = (MeshShape().fit(face_with(one), NO_PICTURE) for one in (mesh, wide))
    assert yelling.parameters["pixels_per_cm"] == pytest.approx(shut.parameters["pixels_per_cm"])
    assert np.ptp(yelling.metric[:, 1]) == pytest.approx(np.ptp(shut.metric[:, 1]) + 4, abs=1e-3)


def test_shapes_lie_over_the_faces_of_photographs(files):
    models = FaceModels(device="cpu").load()
    for pixels in portraits():
        (face,) = find_faces(pixels, *models, max_faces=1)
        mesh, flame = (shape.fit(face, pixels) for shape in (MeshShape(), FlameShape(*files)))
        assert np.abs(np.subtract(mesh.pose, face.pose)).max() < 1e-3
        assert 13 < np.linalg.norm(mesh.metric[454] - mesh.metric[234]) < 17, "cm from ear to ear"
        assert flame.parameters["error"][0] < 0.05
        assert np.abs(np.subtract(flame.pose, face.pose)).max() < 6
        eyes = np.linalg.norm(face.points5[1] - face.points5[0])
        apart = np.linalg.norm((flame.vertices - face.mesh)[:, :2], axis=1)
        assert apart.mean() < 0.1 * eyes and apart.max() < 0.4 * eyes


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0])
def test_a_broken_mesh_is_refused(value, files):
    broken = face_with(np.full((468, 3), value, np.float32))
    for shape in (MeshShape(), FlameShape(*files)):
        with pytest.raises(ShapeError):
            shape.fit(broken, NO_PICTURE)


def test_an_obj_opens_as_it_was_written(tmp_path):
    import trimesh

    pose = Pose(20, 5, 10)
    fitted = MeshShape().fit(face_with(seen(canonical_mesh().vertices, pose, scale=9)), NO_PICTURE)
    path = tmp_path / "face.obj"
    path.write_text(obj_text(fitted))
    opened = trimesh.load(path, process=False)
    np.testing.assert_allclose(opened.vertices, fitted.metric, atol=6e-5)
    assert np.array_equal(opened.faces, fitted.triangles)
    np.testing.assert_allclose(opened.visual.uv, fitted.uv * (1, -1) + (0, 1), atol=6e-6)
    assert opened.vertices[10, 1] > opened.vertices[152, 1], "the forehead is above the chin"
    assert opened.vertex_normals[4] @ (0, 0, 1) > 0.5, "the nose looks out of the head, to the camera"
    assert opened.extents[0] == pytest.approx(np.ptp(canonical_mesh().vertices[:, 0]), rel=0.01)
    bare = obj_text(replace(fitted, uv=None))
    assert "vt" not in bare and "-0.0000" not in bare and len(bare.splitlines()) == 1 + 468 + 898


def test_outlines_follow_the_meshs_border():
    triangles = canonical_mesh().triangles
    edges = {(face[n], face[n - 2]) for face in triangles for n in range(3)}
    border = {a for a, b in edges if (b, a) not in edges}
    face = face_with(seen(canonical_mesh().vertices, Pose(30, 0, 0), scale=20))
    assert set(OVAL) == border and len(HAIRLINE) == 13
    assert np.array_equal(oval(face), face.mesh[list(OVAL), :2])
    points, hull = points81(face), hull81(face)
    assert points.shape == (81, 2) and np.array_equal(points[:68], points68(face.mesh))
    ahead = np.roll(hull, -1, axis=0) - hull
    away = points[:, None] - hull
    turn = ahead[:, 0] * away[..., 1] - ahead[:, 1] * away[..., 0]
    assert (turn > -1e-2).all() or (turn < 1e-2).all(), "all points are on one side of every edge"
    assert {tuple(corner) for corner in hull} <= {tuple(point) for point in points}


def test_the_model_is_read_as_it_was_written_without_chumpy(files, flame):
    with pytest.raises(ModuleNotFoundError, match="chumpy"):
        pickle.loads(files[0].read_bytes(), encoding="latin1")  # noqa: S301
    written = model_fields()
    read = {"v_template": "template", "shapedirs": "directions", "posedirs": "bends", "J_regressor": "regressor"}
    for name, attribute in {**read, "weights": "weights", "f": "triangles"}.items():
        assert np.array_equal(getattr(flame, attribute), written[name]), name
    assert flame.parents == (-1, 0, 1, 1, 1) and flame.shapes == SHAPES
    static, contour = embeddings()
    assert np.array_equal(flame.static.triangles, static["lmk_face_idx"])
    assert np.array_equal(flame.contour.shares, contour["lmk_b_coords"])


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickles_of_every_protocol_and_npz_files_hold_the_same(protocol, tmp_path, flame):
    (static, contour), model = embeddings(), tmp_path / "model.pkl"
    model.write_bytes(pickle.dumps({**model_fields(), "f": np.asfortranarray(model_fields()["f"])}, protocol))
    both = tmp_path / "landmark_embedding.npz"
    names = {"lmk_face_idx": "faces_idx", "lmk_b_coords": "bary_coords"}
    tables = {
        f"{kind}_lmk_{names[n]}": v for kind, t in (("static", static), ("dynamic", contour)) for n, v in t.items()
    }
    np.savez(both, **tables)
    np.savez(tmp_path / "model.npz", **model_fields())
    for path in (model, tmp_path / "model.npz"):
        read = read_flame(path, [both])
        assert np.array_equal(read.triangles, flame.triangles) and np.array_equal(read.directions, flame.directions)
        assert np.array_equal(read.contour.triangles, flame.contour.triangles)


def test_joints_move_what_hangs_on_them():
    """A bone at (0, 0), its child at (1, 0), both turned by 90 degrees: a point at (2, 0) comes to (-1, 1)."""
    joints = np.array([[0.0, 0, 0], [1, 0, 0], [1, 0, 0], [0, 0, 0], [0, 0, 0]])
    turns = np.stack([rotation_by(np.array([0, 0, angle])) for angle in (np.pi / 2, np.pi / 2, 0, 0, 0)])
    points = np.array([[2.0, 0, 0], [2, 0, 0], [2, 0, 0]])
    weights = np.array([[1.0, 0, 0, 0, 0], [0, 1, 0, 0, 0], [0.5, 0.5, 0, 0, 0]])
    moved = skinned(points[..., None], joints[..., None], weights, (-1, 0, 0, 0, 0), turns)[..., 0]
    np.testing.assert_allclose(moved, [(0, 2, 0), (-1, 1, 0), (-0.5, 1.5, 0)], atol=1e-12)


@pytest.mark.parametrize("pose", POSES)
@pytest.mark.parametrize("jaw", [0.0, 0.2])
def test_a_known_head_is_recovered_from_its_landmarks(pose, jaw, files, flame):
    """Its pose within 2 degrees, its width within 2%, and the coefficients that landmarks can tell."""
    coefficients = np.array([0.9, -0.8, 0.3, -0.4, 0.8, 0.5, 1.2, -0.9])
    truth = head(flame, coefficients, np.array([jaw, 0, 0]))
    mesh = seen(truth, pose, scale=2200)
    fitted = FlameShape(*files).fit(face_with(mesh), NO_PICTURE)
    width = np.ptp(truth[:, 0])
    assert np.abs(np.subtract(fitted.pose, pose)).max() < 2
    assert np.ptp(fitted.metric[:, 0]) * fitted.parameters["pixels_per_cm"][0] == pytest.approx(width * 2200, rel=0.02)
    assert np.abs(fitted.vertices - mesh)[:, :2].max() < 0.02 * width * 2200
    assert fitted.metric[4, 2] > fitted.metric[127, 2] and fitted.vertices[4, 2] < fitted.vertices[127, 2]
    found = [*fitted.parameters["shape"], *fitted.parameters["expression"]]
    told = [0, 1, 4, 6, 7] if pose.yaw < 30 else [0, 1, 6, 7]
    np.testing.assert_allclose(np.array(found)[told], coefficients[told], atol=0.2)
    assert fitted.parameters["jaw"][0] == pytest.approx(jaw, abs=0.12)


def test_a_fit_has_the_same_bits_on_one_core_and_on_several(tmp_path):
    """On a model as large as FLAME, where threads do change the order of sums."""
    large, rng = model_fields(), np.random.default_rng(5)
    each = np.arange(5023) % 468
    directions = rng.normal(0, 5e-4, (5023, 3, 400))
    directions[..., :8] = large["shapedirs"][each]
    large.update({name: large[name][each] for name in ("v_template", "posedirs", "weights")})
    large.update(shapedirs=directions, J_regressor=rng.dirichlet(np.ones(5023), 5))
    np.savez(tmp_path / "model.npz", **large)
    shape = FlameShape(tmp_path / "model.npz", landmark_files(tmp_path))
    face = face_with(seen(canonical_mesh().vertices, POSES[1], scale=20))
    fits = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            fits.append(shape.fit(face, NO_PICTURE))
    assert fits[0].parameters == fits[1].parameters
    assert np.array_equal(fits[0].metric, fits[1].metric) and np.array_equal(fits[0].vertices, fits[1].vertices)


def test_what_is_no_head_is_refused(files):
    rng = np.random.default_rng(3)
    for mesh in (rng.normal(0, 100, (468, 3)), np.outer(rng.normal(size=468), (100, 100, 1))):
        with pytest.raises(ShapeError, match="near"):
            FlameShape(*files).fit(face_with(mesh), NO_PICTURE)


def test_contour_rows_follow_the_yaw_whichever_way_a_file_counts(tmp_path):
    model = model_file(tmp_path / "model.pkl")
    one = read_flame(model, landmark_files(tmp_path, turned=1))
    mirrored = [0, *range(40, 79), *range(1, 40)]
    other = replace(one, contour=Landmarks(one.contour.triangles[mirrored], one.contour.shares[mirrored]))
    assert [contour_row(one, yaw) for yaw in (-90, -39, -0.6, 0, 0.4, 12, 90)] == [78, 78, 40, 0, 0, 12, 39]
    assert [contour_row(other, yaw) for yaw in (-90, -12, 0, 39)] == [39, 12, 0, 78]
    for file in (one, other):
        for yaw in (-30, 30):
            outline = points_on(
                file.template,
                file.triangles,
                Landmarks(*(part[contour_row(file, yaw)] for part in (file.contour.triangles, file.contour.shares))),
            )
            left, right = outline[:8, 2].mean(), outline[9:, 2].mean()
            assert (left < right) == (yaw > 0), "it runs nearer to the nose where the head turns to"


def test_a_heads_landmarks_are_found_with_the_row_of_its_pose(tmp_path):
    flame = read_flame(model_file(tmp_path / "model.pkl"), landmark_files(tmp_path, turned=1))
    pose, truth = Pose(-30, 4, 8), head(flame, np.full(8, 0.5), np.zeros(3))
    row = contour_row(flame, pose.yaw)
    rows = [Landmarks(flame.contour.triangles[row], flame.contour.shares[row]), flame.static]
    points = np.concatenate([points_on(truth, flame.triangles, landmarks) for landmarks in rows])
    fit = fit_landmarks(flame, 1800 * points @ rotation_of(pose)[:2].T + (50, 60))
    assert np.abs(np.subtract(pose_of(fit.pose.rotation), pose)).max() < 1 and fit.error < 0.01


class Planted:
    """Asks to be made by a call that would leave a file behind."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        import os

        return os.system, (f"touch {self.path}",)


def deep(levels):
    return b"\x80\x02" + b"]" * levels + b"a" * (levels - 1) + b"."


def hashed(levels):
    """Tuples of tuples as a table's key: 2 ** levels steps to hash."""
    return b"\x80\x02}(" + b")" + b"2\x86" * levels + b"K\x00u."


FLOATS = b"cnumpy\ndtype\n(U\x02f8K\x00K\x01tR(K\x03U\x01<NNNI-1\nI-1\nK\x00tb"
BOMBS = {
    "deep": (deep(1_000_000), "steps"),
    "keys of tuples": (hashed(60), "keys are no texts|DUP"),
    "cut off": (b"\x80\x02}(U\nv_templ", "no sound pickle"),
    "empty": (b"", "no sound pickle"),
    "no pickle": (b"\x89PNG\r\n\x1a\n", "no sound pickle|PERSID"),
    "a list": (pickle.dumps([1, 2]), "no table"),
    "eval": (b"c__builtin__\neval\n(U\x011tR.", "builtins.eval"),
    "getattr on numpy": (b"cnumpy.core.multiarray\nos\n.", "numpy.core.multiarray.os"),
    "an extension code": (b"\x80\x02\x82\x01.", "EXT1"),
    "a persistent id": (b"Pabc\n.", "PERSID"),
    "state on what has none": (b"\x80\x02(K\x01b.", "no sound pickle"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_malicious_pickle_is_refused_by_name(name, tmp_path, files):
    data, reason = BOMBS[name]
    path = tmp_path / "model.pkl"
    path.write_bytes(data)
    with pytest.raises(BadShapeFile, match=reason) as refused:
        read_flame(path, files[1])
    assert str(path) in str(refused.value)


ARRAYS = {
    "shorter than its shape": b"(K\x01(J\xff\xff\xff\x7ftK\x00" + FLOATS + b"U\x00t",
    "a number in place of bytes": b"(K\x01(K\x01tK\x00" + FLOATS + b"J\xff\xff\xff\x7ft",
    "a negative side": b"(K\x01(J\xff\xff\xff\xfftK\x00" + FLOATS + b"U\x08" + bytes(8) + b"t",
    "objects": b"(K\x01(K\x01tK\x00" + FLOATS.replace(b"f8", b"O8") + b"](K\x01et",
    "no state": b"K\x01",
}


@pytest.mark.parametrize("name", ARRAYS)
def test_a_broken_array_is_refused(name):
    sound = pickle.dumps({"v_template": np.ones(1)}, 2)
    assert as_array(read_pickle(sound)["v_template"]) == [1]
    asked = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR"
    held = read_pickle(b"\x80\x02}(U\nv_template" + asked + ARRAYS[name] + b"bu.")
    with pytest.raises(PickleRefused):
        as_array(held["v_template"])


@pytest.mark.parametrize(("shape", "starts"), [((1 << 20, 1 << 20), [0, 1]), ((2, 2), [0, 5, 1]), ((2, 2), [0, 1, 9])])
def test_a_sparse_matrix_that_is_huge_or_broken_is_refused(shape, starts):
    matrix = csc_matrix((2, 2))
    matrix.data, matrix.indices, matrix.indptr = np.ones(1), np.zeros(1, np.int32), np.array(starts, np.int32)
    matrix._shape = shape
    with pytest.raises(PickleRefused, match="sparse"):
        as_array(read_pickle(pickle.dumps(matrix, 2)))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("where", ["model.pkl", "embedding.npy"])
def test_nothing_that_a_pickle_asks_for_is_run(protocol, where, tmp_path, files):
    left = tmp_path / "left_behind"
    harmful = {**model_fields(), "bs_style": Planted(left)}
    path = tmp_path / where
    if where.endswith(".npy"):
        with path.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, {"descr": "|O", "fortran_order": False, "shape": ()})
            file.write(pickle.dumps(np.array(harmful, object), protocol))
    else:
        path.write_bytes(pickle.dumps(harmful, protocol))
    with pytest.raises(BadShapeFile, match="system"):
        read_flame(*((files[0], [path]) if where.endswith(".npy") else (path, files[1])))
    assert not left.exists()
    pickle.loads(pickle.dumps(Planted(left), protocol))  # noqa: S301
    assert left.exists(), "pickle itself would have run it"


WRONG = {
    "v_template": np.zeros((468, 2)),
    "shapedirs": np.zeros((467, 3, 8)),
    "posedirs": np.zeros((468, 3, 35)),
    "J_regressor": np.zeros((4, 468)),
    "weights": np.full((468, 5), np.nan),
    "kintree_table": np.array([[0, 3, 1, 1, 1], [0, 1, 2, 3, 4]]),
    "f": np.full((898, 3), 468),
}


@pytest.mark.parametrize("name", WRONG)
def test_fields_of_a_wrong_shape_or_content_are_refused(name, tmp_path, files):
    for path in (tmp_path / "model.npz", tmp_path / "model.pkl"):
        held = {**model_fields(), name: WRONG[name]}
        if path.suffix == ".pkl":
            path.write_bytes(pickle.dumps(held))
        else:
            np.savez(path, **held)
        with pytest.raises(BadShapeFile, match=name if name != "f" else "numbers from 468"):
            read_flame(path, files[1])


def test_lacking_fields_and_landmarks_are_told(tmp_path, files):
    held = model_fields()
    del held["weights"], held["f"]
    np.savez(tmp_path / "model.npz", **held)
    with pytest.raises(BadShapeFile, match="no weights, f"):
        read_flame(tmp_path / "model.npz", files[1])
    with pytest.raises(BadShapeFile, match=r"dynamic_lmk_faces_idx of the shape \(79, 17\)"):
        read_flame(files[0], files[1][:1])
    np.save(tmp_path / "bare.npy", np.zeros(3))
    with pytest.raises(BadShapeFile, match="bare numbers"):
        read_flame(files[0], [tmp_path / "bare.npy"])
    (tmp_path / "model.npz").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(BadShapeFile, match=r"is no \.npz"):
        read_flame(tmp_path / "model.npz", files[1])


def test_an_archive_that_unpacks_to_more_than_is_allowed_is_refused(tmp_path, files, monkeypatch):
    np.savez_compressed(tmp_path / "model.npz", v_template=np.zeros((200_000, 30)))
    monkeypatch.setattr("ops.anonymising.flame_file.LARGEST", 1 << 20)
    with pytest.raises(BadShapeFile, match="unpacks to"):
        read_flame(tmp_path / "model.npz", files[1])
    with pytest.raises(BadShapeFile, match="bytes"):
        read_flame(files[0].with_name("generic_model.pkl"), [_padded(tmp_path / "large_embedding.pkl", 1 << 21)])


def _padded(path, size):
    path.write_bytes(bytes(size))
    return path


def test_shapes_are_chosen_by_name(files):
    assert face_shape("mesh").versions() == ("mesh",)
    chosen = face_shape("flame", files[0], files[0].parent)
    assert chosen.landmarks == tuple(sorted(files[1])) and len(chosen.versions()) == 4
    again = pickle.loads(pickle.dumps(chosen))  # noqa: S301
    assert again == chosen and "_opened" not in again.__dict__
    with pytest.raises(ValueError, match="'sphere' is unknown; allowed are mesh, flame"):
        face_shape("sphere")
    with pytest.raises(ValueError, match="name both"):
        face_shape("flame", files[0])
    with pytest.raises(FileNotFoundError):
        face_shape("flame", Path("nowhere.pkl"), files[0].parent)
