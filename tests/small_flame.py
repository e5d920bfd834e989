"""FLAME's files in small: a head of the canonical mesh's vertices, bent by a few smooth directions."""

import pickle
import struct
import sys
import types
from contextlib import contextmanager

import numpy as np
from scipy.sparse import csc_matrix

from ops.geometry import MESH_68, canonical_mesh

SHAPES, EXPRESSIONS = 6, 2
CHIN, UPPER_LIP = 152, 13


def model_fields():
    """What the model's file holds, as plain arrays; metres."""
    model = canonical_mesh()
    vertices = model.vertices / 100.0
    x, y, _ = (vertices / np.abs(vertices).max(axis=0)).T
    none = np.zeros_like(x)
    low = np.clip((vertices[UPPER_LIP, 1] - vertices[:, 1]) / np.ptp(vertices[:, 1]) * 4, 0, 1)
    nose = np.exp(-((vertices - vertices[4]) ** 2).sum(axis=1) / 0.02**2)
    directions = [
        (x, -y, none),
        (x * y, none, none),
        (np.sign(x) * low * x**2, none, none),
        (none, y**2, none),
        (none, nose, none),
        (none, none, nose),
        (none, x**2 * np.sin(4 * y), none),
        (np.sin(4 * x) * y**2, none, none),
    ]
    jaw = low * 0.9
    regressor = np.zeros((5, len(vertices)))
    for joint, chosen in enumerate([(234, 454), (58, 288), (127, 356), (33, 133), (263, 362)]):
        regressor[joint, list(chosen)] = 0.5
    return {
        "v_template": vertices,
        "shapedirs": np.stack([np.stack(d, axis=1) for d in directions], axis=2) * 0.01,
        "posedirs": np.einsum("n,ap->nap", jaw, np.linspace(-0.001, 0.001, 108).reshape(3, 36)),
        "J_regressor": regressor,
        "weights": np.stack([1 - jaw, none, jaw, none, none], axis=1),
        "kintree_table": np.array([[2**32 - 1, 0, 1, 1, 1], [0, 1, 2, 3, 4]], np.uint32),
        "f": model.triangles.astype(np.uint32),
    }


def embeddings(turned=0):
    """Static and contour landmarks; ``turned`` vertices further along the jaw at the outermost rows."""
    triangles = canonical_mesh().triangles
    static = _at(MESH_68[17:], triangles)
    rows = [_at(_slid(turned, row if row < 40 else 39 - row), triangles) for row in range(79)]
    return (
        {"lmk_face_idx": static[0], "lmk_b_coords": static[1]},
        {"lmk_face_idx": np.stack([r[0] for r in rows]), "lmk_b_coords": np.stack([r[1] for r in rows])},
    )


def _slid(turned, yaw):
    """The jaw's vertices where a head's outline has them that is turned so."""
    nearer = (127, 227, 123, 187, 207, 212, 202, 204, 194, 424, 422, 432, 427, 411, 352, 447, 356)
    share = abs(yaw) / 39 * turned
    moved = [n for n in range(17) if (n > 8) == (yaw > 0) and abs(n - 8) > 8 - 8 * share]
    return [nearer[n] if n in moved else MESH_68[n] for n in range(17)]


def _at(vertices, triangles):
    """Triangles that have these vertices, and the shares that are all theirs."""
    found = [np.argwhere(triangles == vertex)[0] for vertex in vertices]
    shares = np.zeros((len(found), 3))
    for row, (_, corner) in zip(shares, found, strict=True):
        row[corner] = 1
    return np.array([triangle for triangle, _ in found]), shares


class _Python2(pickle._Pickler):
    """Writes as Python 2 did, with arrays' bytes as texts."""

    dispatch = pickle._Pickler.dispatch.copy()

    def _save_text(self, value):
        self.write(b"T" + struct.pack("<i", len(value)) + value)
        self.memoize(value)

    dispatch[bytes] = _save_text


@contextmanager
def chumpy():
    """A module of that name for as long as something is pickled; its objects keep what chumpy's keep."""
    modules = {name: types.ModuleType(name) for name in ("chumpy", "chumpy.ch", "chumpy.reordering")}
    for module, name in (("chumpy.ch", "Ch"), ("chumpy.reordering", "Select")):
        setattr(modules[module], name, type(name, (), {"__module__": module}))
    sys.modules.update(modules)
    try:
        yield modules["chumpy.ch"].Ch, modules["chumpy.reordering"].Select
    finally:
        for name in modules:
            del sys.modules[name]


def model_file(path, **other):
    """Write the model as it is handed out: a pickle of Python 2 with expressions of chumpy."""
    held = {**model_fields(), "bs_type": "lrotmin", "J_regressor": csc_matrix(model_fields()["J_regressor"]), **other}
    with chumpy() as (leaf, select), path.open("wb") as file:
        held["v_template"] = _made(leaf, x=held["v_template"], _dirty_vars=set(), _itr=None)
        shapes = held["shapedirs"]
        chosen = _made(leaf, x=np.concatenate([shapes, shapes], axis=2))
        picked = np.arange(chosen.x.size).reshape(chosen.x.shape)[..., : shapes.shape[2]].ravel()
        held["shapedirs"] = _made(select, a=chosen, idxs=picked, preferred_shape=shapes.shape)
        _Python2(file, 2).dump(held)
    path.write_bytes(path.read_bytes().replace(b"numpy._core.", b"numpy.core."))
    return path


def _made(kind, **state):
    made = kind()
    made.__dict__.update(state)
    return made


def landmark_files(folder, turned=0):
    """Write both embeddings as they are handed out."""
    static, contour = embeddings(turned)
    paths = folder / "flame_static_embedding.pkl", folder / "flame_dynamic_embedding.npy"
    paths[0].write_bytes(pickle.dumps(static, 2))
    np.save(paths[1], np.array(contour, object), allow_pickle=True)
    return paths
