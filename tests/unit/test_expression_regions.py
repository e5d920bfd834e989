"""Regions of eyes and mouths on real faces, and what a source's faces are told: rows, files and checks."""

from functools import partial

import numpy as np
import pytest
from PIL import Image

from assets_defs.checks.expression import regions_whole, ways_agree
from ops import images
from ops.content import directory_md5
from ops.expressions.regions import LEFT_EYE, MOUTH, REGIONS, RIGHT_EYE, region
from ops.expressions.state import Limits, State
from ops.faces import find_faces
from ops.geometry import mesh_box
from ops.sample import portraits
from ops.stages import expression_regions, faces, frames
from ops.stages.expression_regions import Sense, Senses, Wishes
from ops.store import Dataset, rows_of
from resources.compute import Local
from resources.haar_smile import HaarSmile
from resources.models import FaceModels
from resources.states import mesh_states

LIMIT = 10**7
MODELS = FaceModels(device="cpu")
SHOWN = {LEFT_EYE: (159, 145, 158, 153), RIGHT_EYE: (386, 374, 385, 380), MOUTH: (0, 17, 13, 14)}
WITHIN = {LEFT_EYE: (33, 133), RIGHT_EYE: (263, 362), MOUTH: (61, 291)}
BESIDE = {LEFT_EYE: (105, 4, 117), RIGHT_EYE: (334, 4, 346), MOUTH: (2, 152, 205, 425)}


@pytest.fixture(scope="module")
def seen():
    finder = MODELS.load()
    return [(pixels, find_faces(pixels, *finder, max_faces=1)[0]) for pixels in portraits()]


@pytest.mark.parametrize("which", REGIONS)
def test_a_region_holds_what_is_edited_and_ends_before_what_is_not(seen, which):
    for pixels, face in seen:
        made = region(face.mesh, which, pixels.shape[:2])
        at = np.rint(face.mesh[:, :2]).astype(int)
        assert made.alpha[at[list(SHOWN[which]), 1], at[list(SHOWN[which]), 0]].min() > 0.9
        assert made.inside[at[list(WITHIN[which]), 1], at[list(WITHIN[which]), 0]].all()
        assert not made.inside[at[list(BESIDE[which]), 1], at[list(BESIDE[which]), 0]].any()
        assert made.inside.dtype == bool and made.alpha.dtype == np.float32
        assert made.alpha.max() == 1 and not made.alpha[~made.inside].any()
        assert np.abs(np.diff(made.alpha, axis=0)).max() < 0.5 > np.abs(np.diff(made.alpha, axis=1)).max()


def test_regions_of_a_face_are_apart(seen):
    for pixels, face in seen:
        assert sum(region(face.mesh, which, pixels.shape[:2]).inside.astype(int) for which in REGIONS).max() == 1


def test_a_region_grows_with_the_face_moves_with_it_and_is_cut_at_the_border(seen):
    pixels, face = seen[0]
    height, width = pixels.shape[:2]
    for which in REGIONS:
        small = region(face.mesh, which, (height, width))
        large = region(face.mesh * 4, which, (4 * height, 4 * width))
        assert large.inside.sum() == pytest.approx(16 * small.inside.sum(), rel=0.08)
        assert (large.alpha == 1).sum() / large.inside.sum() == pytest.approx(
            (small.alpha == 1).sum() / small.inside.sum(), abs=0.1
        )
        moved = region(face.mesh + np.float32([7, 30, 0]), which, (height + 30, width + 7))
        assert (moved.inside[30:, 7:] == small.inside).all() and np.allclose(moved.alpha[30:, 7:], small.alpha)
    cut = region(face.mesh - np.float32([face.mesh[4, 0], 0, 0]), MOUTH, (height, width))
    assert cut.inside[:, 0].any() and cut.alpha[:, 0].max() == 1, "the picture's border is no soft edge"
    assert not region(face.mesh - np.float32([2 * width, 0, 0]), MOUTH, (height, width)).inside.any()


def test_a_region_must_be_known(seen):
    with pytest.raises(ValueError, match=r"'nose'; allowed: left_eye, right_eye, mouth"):
        region(seen[0][1].mesh, "nose", (10, 10))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A source: a smiling portrait, two people beside each other, one of them small, and a tiny one."""
    folder = tmp_path_factory.mktemp("data")
    raw = folder / "raw" / "home"
    raw.mkdir(parents=True)
    smiling, neutral = portraits()
    half = images.resized(neutral, (neutral.shape[1] // 2, neutral.shape[0] // 2))
    both = np.zeros((max(smiling.shape[0], half.shape[0]), smiling.shape[1] + half.shape[1], 3), np.uint8)
    both[: smiling.shape[0], : smiling.shape[1]] = smiling
    both[: half.shape[0], smiling.shape[1] :] = half
    for name, pixels in {"smiling": smiling, "both": both}.items():
        (raw / f"{name}.png").write_bytes(images.encode_png(pixels))
    tiny = images.resized(smiling, (smiling.shape[1] // 4, smiling.shape[0] // 4))
    (raw / "tiny.png").write_bytes(images.encode_png(tiny))
    shots = Dataset(folder / "frames" / "home", frames.COLUMNS)
    items, _ = frames.plan(raw, fps=1, identity="none", max_pixels=LIMIT)
    shots.build(items, partial(frames.Decode, shots.folder, fps=1, max_pixels=LIMIT), Local(1))
    found, limits = Dataset(folder / "face_geometry" / "home", faces.COLUMNS), {"min_score": 0.5, "max_faces": 0}
    items = faces.plan(shots.read(status="done"), folder, MODELS, **limits)
    found.build(items, partial(faces.Look, MODELS, **limits, max_pixels=LIMIT), Local(1))
    return folder


def build(data, folder, *, blendshapes=None, smile=None, limits=None):
    senses = Senses(
        mesh_states(), blendshapes, smile, None, {"blendshapes": str(blendshapes), "smile": str(bool(smile))}
    )
    wishes = Wishes(limits or Limits())
    dataset = Dataset(folder, expression_regions.COLUMNS)
    items = expression_regions.plan(
        faces.described(Dataset(data / "face_geometry" / "home")), data, senses=senses, wishes=wishes
    )
    return dataset, dataset.build(items, partial(Sense, folder, senses, wishes, max_pixels=LIMIT), Local(1))


@pytest.fixture(scope="module")
def made(data):
    return build(data, data / "expression_regions" / "home", smile=HaarSmile())[0]


def test_every_face_of_a_source_has_a_row(made):
    rows = rows_of(made.read())
    told = sorted((known["source"], known["status"], known["smiling"]) for known in rows)
    assert told == [
        ("both.png", "done", False),
        ("both.png", "done", True),
        ("smiling.png", "done", True),
        ("tiny.png", "skipped", None),
    ]
    done = [known for known in rows if known["status"] == "done"]
    assert all(known["closed"] == "" and known["by"] == "mesh" for known in done)
    assert all(known["blendshapes_smile"] is known["agree"] is known["res10"] is None for known in done)
    assert next(known["haar_smile"] for known in done if known["source"] == "smiling.png") is True
    assert "is smaller than 48 px" in next(known["reason"] for known in rows if known["status"] == "skipped")


def test_files_are_the_regions_of_the_faces(made, data):
    geometry = Dataset(data / "face_geometry" / "home").read(status="done")
    for known in rows_of(made.read(status="done")):
        same = (geometry["source"] == known["source"]) & (geometry["face"] == known["face"])
        mesh = np.reshape(geometry[same]["mesh"].iloc[0], (468, 3)).astype(np.float32)
        for which in REGIONS:
            alpha = images.read_grey(made.folder / known[f"{which}_alpha"])
            assert np.abs(alpha / 255 - region(mesh, which, alpha.shape).alpha).max() <= 0.5 / 255 + 1e-6
            rows, columns = np.nonzero(alpha)
            box = mesh_box(mesh)
            assert box.x1 <= columns.mean() <= box.x2 and box.y1 <= rows.mean() <= box.y2


@pytest.mark.slow
def test_a_second_build_makes_nothing_and_the_same_bytes_elsewhere(made, data, tmp_path):
    again, report = build(data, made.folder, smile=HaarSmile())
    assert report.made == 0 and report.kept == 3
    elsewhere, _ = build(data, tmp_path / "other", smile=HaarSmile())
    assert directory_md5(elsewhere.folder) == directory_md5(again.folder)


@pytest.mark.slow
def test_blendshapes_decide_where_they_are_asked_and_a_difference_is_told(data, tmp_path):
    def asleep(pixels, mesh):
        return State(0.1, 0.9, 0.0, 0.0, "blendshapes")

    dataset, _ = build(data, tmp_path / "asleep", blendshapes=asleep)
    rows = rows_of(dataset.read(status="done"))
    assert {(known["by"], known["closed"], known["smiling"], known["agree"]) for known in rows} == {
        ("blendshapes", "left_eye", False, False)
    }
    assert all(known["mesh_left_eye"] > 0.19 and known["blendshapes_left_eye"] < 0.11 for known in rows)
    assert not ways_agree(dataset).passed
    strict, _ = build(data, tmp_path / "strict", limits=Limits(closed={"mesh": 0.9, "blendshapes": 0.5}))
    assert {known["closed"] for known in rows_of(strict.read(status="done"))} == {"left_eye,right_eye"}


@pytest.mark.slow
def test_the_check_passes_what_is_whole_and_no_region_beside_the_face(data, tmp_path):
    dataset, _ = build(data, tmp_path / "home")
    assert regions_whole(dataset, data, max_pixels=LIMIT).passed and ways_agree(dataset).passed
    known = rows_of(dataset.read(status="done"))[0]
    path = dataset.folder / known["mouth_alpha"]
    alpha = images.read_grey(path).copy()
    alpha[0, 0] = 255
    Image.fromarray(alpha).save(path)
    told = regions_whole(dataset, data, max_pixels=LIMIT)
    assert not told.passed and told.metadata["first"].value == known["source"]
    Image.fromarray(alpha[1:]).save(path)
    assert not regions_whole(dataset, data, max_pixels=LIMIT).passed
