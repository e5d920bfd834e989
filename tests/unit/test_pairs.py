"""Unmasking pairs: faces upright in their squares, nothing changed beside the region, people in one split alone."""

import random
from functools import partial

import cv2
import numpy as np
import pandas as pd
import pytest

from assets_defs.checks.common import no_leak
from model_assets.registry import ModelUnavailable
from ops import images
from ops.content import directory_md5
from ops.detection.shots import Shots
from ops.faces import find_faces
from ops.geometry import points5, transformed
from ops.manifests import parquet
from ops.masking import MaskSettings
from ops.sample import portraits
from ops.stages import pairs, splits
from ops.stages.faces import face_columns
from ops.store import Dataset, rows_of
from ops.unmasking.framing import frame_face, framed, shown
from ops.unmasking.regions import REGION_KINDS, draw_region
from resources.compute import Local
from resources.models import FaceModels
from tests.posed import posed

SIZE = 96
SHAPE = {"size": SIZE, "variants": 2, "quality": 95, "min_face_px": 40, "max_yaw": 60}
LIMIT = 10_000_000


@pytest.fixture(scope="module")
def models():
    try:
        return FaceModels(device="cpu").load()
    except ModelUnavailable as error:
        pytest.skip(str(error))


def skin(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    blobs = sum(cv2.resize(rng.normal(0, 1, (n, n, 3)), (320, 260), interpolation=cv2.INTER_CUBIC) for n in (6, 14, 40))
    return np.clip(np.array([170, 130, 110]) + 25 * blobs, 0, 255).astype(np.uint8)


@pytest.mark.parametrize(("yaw", "size"), [(0, 96), (-35, 256), (50, 128)])
def test_a_face_stands_upright_in_the_middle_of_its_square(yaw, size):
    mesh = posed((160, 120), 110, yaw).mesh
    a = np.radians(25)
    mesh[:, :2] = (mesh[:, :2] - 130) @ np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]]) + 130
    placed = transformed(frame_face(mesh, size), mesh[:, :2])
    left, right = transformed(frame_face(mesh, size), points5(mesh)[:2])
    assert left[1] == pytest.approx(right[1], abs=1e-3) and left[0] < right[0]
    assert (placed.min(0) + placed.max(0)) / 2 == pytest.approx([(size - 1) / 2] * 2, abs=1e-3)
    assert np.ptp(placed, axis=0).max() == pytest.approx(size / 1.45, rel=1e-5)


@pytest.mark.parametrize("scale", [1, 6])
def test_large_faces_come_out_as_small_ones_do(scale):
    """What a point shows is where the matrix says, and fine checks become grey instead of moire."""
    face = posed((160, 120), 110)
    large = cv2.resize(skin(1), None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    mesh = (face.mesh + 0.5) * scale - 0.5
    one = framed(skin(1), frame_face(face.mesh, SIZE), SIZE)
    other = framed(large, frame_face(mesh, SIZE), SIZE)
    assert np.abs(one.astype(int) - other).mean() < 1.5
    checks = np.indices((1560, 1920)).sum(0) % 2 * 255
    flat = framed(checks.astype(np.uint8), frame_face((face.mesh + 0.5) * 6 - 0.5, SIZE), SIZE)
    assert flat.std() < 8


@pytest.mark.parametrize(("size", "at"), [(96, 96), (256, 128), (64, 96)])
def test_what_lies_beyond_the_picture_is_known(size, at):
    mesh = posed((70, 60), 110, 20).mesh
    white = np.full((140, 90), 255, np.uint8)
    room = np.pad(white, 300)
    matrix, moved = frame_face(mesh, at), frame_face(mesh + np.array([300, 300, 0], np.float32), at)
    inside = shown(frame_face(mesh, size), size, (90, 140), at=at)
    assert inside.shape == (at, at) and 0.2 < inside.mean() < 0.9
    assert np.abs(inside - framed(room, moved, at) / 255).mean() < 0.01
    assert framed(white, matrix, at).min() == 255, "mirrored"


def test_regions_lie_on_the_face_and_every_kind_is_drawn():
    mesh = transformed(frame_face(posed().mesh, SIZE), posed().mesh[:, :2]).astype(np.float32)
    drawn = [draw_region(mesh, SIZE, np.random.default_rng(seed)) for seed in range(40)]
    assert {kind for kind, _ in drawn} == set(REGION_KINDS)
    eyes, mouth = mesh[[159, 386]].round().astype(int), mesh[13].round().astype(int)
    for kind, region in drawn:
        assert 0.003 < region.mean() < 0.6
        assert kind != "eyes" or all(region[y, x] for x, y in eyes)
        assert kind != "mouth" or region[mouth[1], mouth[0]]


def tables(data, *, people: int = 14) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Two pictures a person, and one with a face too small and one turned away."""
    frames, faces = [], []
    for index in range(2 * people):
        name = f"{index}.png"
        (data / "raw/street").mkdir(parents=True, exist_ok=True)
        (data / "raw/street" / name).write_bytes(images.encode_png(skin(index)))
        same = {"frame": f"f{index}", "folder": "street", "source": name, "identity": f"p{index // 2}"}
        same |= {"picture": f"raw/street/{name}"}
        frames.append({**same, "kind": "image", "content": f"c{index}", "width": 320, "height": 260})
        face = posed((150, 120), 30 if index == 1 else 100, yaw=80 if index == 3 else 10 - index % 20)
        faces.append({**same, "fingerprint": f"fp{index}", "time": None, **face_columns(face)})
    return pd.DataFrame(frames), pd.DataFrame(faces)


def build(data, frames: pd.DataFrame, faces: pd.DataFrame, folder) -> Dataset:
    shots = pairs.face_shots(faces, frames)
    look = partial(pairs.Look, data, pairs.matrices_of(faces), max_pixels=LIMIT)
    split = splits.deal(Shots(shots, [], {}, []), look, Local(1), ratios=(0.6, 0.2, 0.2), seed=0)
    settings = MaskSettings()
    items = pairs.plan(shots, faces, split, data, settings, **SHAPE)
    dataset = Dataset(folder, pairs.columns())
    dataset.build(items, partial(pairs.Pair, folder, settings, **SHAPE, max_pixels=LIMIT), Local(1))
    return dataset


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def made(data) -> Dataset:
    return build(data, *tables(data), data / "unmasking_pairs")


def judged(dataset: Dataset, data):
    return no_leak(pairs.read_bare(dataset.folder, data, rows_of(dataset.read(status="done")), max_pixels=LIMIT))


def test_a_masked_face_differs_from_the_bare_one_in_its_region_alone(made):
    rows = made.read(status="done")
    bare = rows[rows["wearing"] == "bare"].set_index("fingerprint")["output"]
    masked = rows_of(rows[rows["wearing"] == "masked"])
    assert len(masked) > 1.8 * len(bare)
    for known in masked:
        one = images.read(made.folder / bare[known["fingerprint"]]).astype(int)
        other = images.read(made.folder / known["output"]).astype(int)
        region = images.read_grey(made.folder / known["alpha"]) >= 128
        assert region.shape == (SIZE, SIZE) and region.any()
        near = cv2.dilate(region.astype(np.uint8), np.ones((13, 13), np.uint8)) > 0  # where its shadow falls
        assert np.abs(one - other)[~near].max() <= 12, "JPEG's rounding"
        assert np.abs(one - other)[region].mean() > 8


def test_who_shows_too_little_is_left_out_with_a_reason(made):
    left = made.read(status="skipped").set_index("frame")["reason"]
    assert left["f1"].endswith("is smaller than 40 px")
    assert left["f3"] == "turned by 80 degrees, more than 60"


def test_a_person_is_in_one_split_and_all_splits_have_some(made, data):
    rows = made.read(status="done")
    assert set(rows["split"]) == {"train", "val", "test"}
    assert (rows.groupby("identity")["split"].nunique() == 1).all()
    assert judged(made, data).passed


@pytest.mark.parametrize("plant", ["identity", "square"])
def test_a_planted_leak_is_caught(made, data, tmp_path, plant):
    import pyarrow as pa

    table = made.read()
    copy = Dataset(tmp_path, pairs.columns())
    for path in made.folder.rglob("*.*"):
        target = tmp_path / path.relative_to(made.folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    bare = table[table["wearing"] == "bare"]
    one, other = (bare[bare["split"] == split].iloc[0] for split in ("train", "test"))
    if plant == "identity":
        table.loc[table["output"] == other["output"], "identity"] = one["identity"]
        copy.manifest.write_bytes(parquet(pa.Table.from_pandas(table, preserve_index=False)))
    else:
        (tmp_path / other["output"]).write_bytes((tmp_path / one["output"]).read_bytes())
    result = judged(copy, data)
    assert not result.passed and other["output"] in result.metadata["first"].text


def test_turned_zoomed_and_mirrored_copies_of_a_face_stay_together(tmp_path, models):
    """Of two people, one of them twice."""
    collins, hopper = portraits()
    height, width = collins.shape[:2]
    turn = cv2.getRotationMatrix2D((225, 130), 24, 1.35)
    copy = np.ascontiguousarray(cv2.warpAffine(collins, turn, (width, height))[:, ::-1])
    frames, faces = [], []
    for name, pixels in {"collins": collins, "hopper": hopper, "copy": copy}.items():
        (tmp_path / f"{name}.png").write_bytes(images.encode_png(np.ascontiguousarray(pixels)))
        same = {"frame": name, "folder": "x", "source": name, "identity": None, "picture": f"{name}.png"}
        frames.append({**same, "kind": "image", "content": name, "width": pixels.shape[1], "height": pixels.shape[0]})
        (face,) = find_faces(np.ascontiguousarray(pixels), *models)
        faces.append({**same, "fingerprint": name, "time": None, **face_columns(face)})
    faces = pd.DataFrame(faces)
    look = pairs.Look(tmp_path, pairs.matrices_of(faces), max_pixels=LIMIT)
    shots = Shots(pairs.face_shots(faces, pd.DataFrame(frames)), [], {}, [])
    groups = splits.deal(shots, lambda: look, Local(1), ratios=(0.5, 0.25, 0.25), seed=0).groups
    assert groups["collins"] == groups["copy"] != groups["hopper"]


def test_order_counts_for_nothing_and_a_rerun_makes_nothing(made, data, tmp_path):
    frames, faces = tables(data)
    mixed = random.Random(1).sample(range(len(faces)), len(faces))
    again = build(data, frames.iloc[mixed], faces.iloc[mixed], tmp_path / "again")
    assert directory_md5(again.folder) == directory_md5(made.folder)
    before = {path: path.stat().st_mtime_ns for path in made.folder.rglob("*")}
    build(data, frames, faces, made.folder)
    assert {path: path.stat().st_mtime_ns for path in made.folder.rglob("*")} == before
