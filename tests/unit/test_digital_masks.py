"""Digital masks of a source and of files: what is written, that it proves itself, and that nothing bare ever is."""

import json
import os
from functools import partial

import numpy as np
import pandas as pd
import pytest

from assets_defs.checks.privacy import fail_closed
from ops import images
from ops.anonymising.anonymise import Look, covered_region
from ops.anonymising.mesh_shape import MeshShape
from ops.anonymising.selection import Selection, Square, cut_out
from ops.content import directory_md5
from ops.faces import find_faces
from ops.sample import make_sample, portraits
from ops.stages import anonymise_files, digital_masks, faces, frames
from ops.stages.anonymise_files import AnonymiseFile, Clips
from ops.stages.digital_masks import DigitalMask, Wishes
from ops.store import Dataset, rows_of
from ops.video_writer import write_video
from ops.videos import extract_sound, sample_video, video_info
from resources.compute import Local
from resources.embedders import Embedder, embedder
from resources.models import FaceModels

LIMIT = 10**7
MODELS = FaceModels(device="cpu")
WARY = FaceModels("wary", device="cpu")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A source with portraits, a picture of two people, one of nobody and a clip, as far as its faces."""
    folder = tmp_path_factory.mktemp("data")
    raw = folder / "raw" / "home"
    make_sample(raw)
    (raw / "nobody.png").write_bytes(images.encode_png(np.full((200, 200, 3), 120, np.uint8)))
    shots = Dataset(folder / "frames" / "home", frames.COLUMNS)
    items, told = frames.plan(raw, fps=2, identity="none", max_pixels=LIMIT)
    shots.build(items, partial(frames.Decode, shots.folder, fps=2, max_pixels=LIMIT), Local(1), refused=told)
    found, limits = Dataset(folder / "face_geometry" / "home", faces.COLUMNS), {"min_score": 0.5, "max_faces": 0}
    items = faces.plan(shots.read(status="done"), folder, MODELS, **limits)
    found.build(items, partial(faces.Look, MODELS, **limits, max_pixels=LIMIT), Local(1))
    return folder


def tables(data):
    shots, geometry = (Dataset(data / name / "home") for name in ("frames", "face_geometry"))
    return [shots.read(status="done"), faces.described(geometry)]


def build(data, folder, wishes=None, embed=None, models=WARY):
    dataset, wishes = Dataset(folder, digital_masks.COLUMNS), wishes or Wishes()
    items, told = digital_masks.plan(*tables(data), data, wishes=wishes, finder=models.versions())
    work = partial(DigitalMask, folder, MeshShape(), models, embed, wishes, max_pixels=LIMIT)
    return dataset, dataset.build(items, work, Local(1), refused=told)


@pytest.fixture(scope="module")
def made(data):
    return build(data, data / "digital_masks" / "home")[0]


def check(dataset, data):
    return fail_closed(dataset, Dataset(data / "face_geometry" / "home"), data, max_pixels=LIMIT)


def test_every_picture_is_covered_or_told_and_the_check_reads_it_off_the_files(made, data):
    rows = made.read()
    shots, known = tables(data)
    assert set(rows["frame"]) == set(shots["frame"])
    assert rows[rows["status"] != "done"]["reason"].tolist() == ["no face found"]
    done = rows[rows["status"] == "done"]
    assert len(done) == len(known) and (done["same_px_inside"] == 0).all() and (done["covered_px"] > 3000).all()
    together = done[done["source"] == "together/collins_and_hopper.jpg"]
    assert together["face"].tolist() == [0, 1] and together["output"].nunique() == 1
    result = check(made, data)
    assert result.passed and result.metadata["pictures"].value == done["output"].nunique()
    assert result.metadata["refused"].value == 1


def test_the_files_are_what_the_manifest_says(made, data):
    known = next(row for row in rows_of(made.read(status="done")) if row["source"] == "grace_hopper/grace_hopper.jpg")
    pixels = images.read(data / known["picture"])
    overlay, black = (images.read(made.folder / known[name]) for name in ("output", "on_black"))
    alone = images.read_rgba(made.folder / known["mask_only"])
    region = covered_region(np.reshape(known["outline"], (-1, 2)), pixels.shape)
    assert region.sum() == known["covered_px"] and (overlay != pixels).any(axis=2)[region].all()
    assert (overlay[alone[..., 3] == 0] == pixels[alone[..., 3] == 0]).all()
    assert (black[alone[..., 3] == 0] == 0).all()
    differ = np.abs(black[region].astype(int) - overlay[region]).max(axis=1)
    assert (differ <= 1).all()
    lines = (made.folder / known["surface"]).read_text().splitlines()
    assert sum(line.startswith("v ") for line in lines) == 468 and sum(line.startswith("f ") for line in lines) == 898
    assert json.loads(known["parameters"])["pixels_per_cm"][0] > 5
    assert (known["drawn_as"], known["cut"], known["shape"]) == ("grey", "hull", "mesh")


@pytest.mark.parametrize("harm", ["a bare pixel", "a bare picture", "something beside", "an open mask", "another size"])
def test_the_check_sees_what_is_wrong(made, data, harm):
    known = next(row for row in rows_of(made.read(status="done")) if row["source"] == "together/collins_and_hopper.jpg")
    pixels = images.read(data / known["picture"])
    y, x = np.argwhere(covered_region(np.reshape(known["outline"], (-1, 2)), pixels.shape))[50]
    name = known["mask_only"] if harm in {"something beside", "an open mask"} else known["output"]
    path = made.folder / name
    whole = path.read_bytes()
    stored = images.read_rgba(path) if name == known["mask_only"] else images.read(path)
    if harm == "a bare pixel":
        stored[y, x] = pixels[y, x]
    elif harm == "a bare picture":
        stored = pixels
    elif harm == "something beside":
        stored[0, 0, :3] = pixels[0, 0]
    elif harm == "an open mask":
        stored[y, x, 3] = 0
    else:
        stored = stored[1:]
    path.write_bytes(images.encode_png(stored))
    result = check(made, data)
    path.write_bytes(whole)
    assert not result.passed and known["output"] in result.metadata["first"].text


def test_the_check_wants_every_known_face_covered(made, data, tmp_path):
    known = Dataset(data / "face_geometry" / "home").read(status="done")
    row = known[known["source"] == "grace_hopper/grace_hopper.jpg"].iloc[:1].copy()
    row["mesh"] = [np.asarray(row["mesh"].iloc[0]) * 0.5]
    two = Dataset(tmp_path, faces.COLUMNS)
    two.folder.mkdir(exist_ok=True)
    pd.concat([known, row]).to_parquet(two.manifest)
    assert not fail_closed(made, two, data, max_pixels=LIMIT).passed


def test_the_same_comes_out_again_and_only_what_settings_change_is_made_anew(made, data, tmp_path):
    other, _ = build(data, tmp_path / "again")
    assert directory_md5(other.folder) == directory_md5(made.folder)
    assert build(data, tmp_path / "again")[1].made == 0
    _, report = build(data, tmp_path / "again", Wishes(how=Look("normals")))
    assert report.made > 5 and report.removed > 20


class Failing:
    """Landmarkers that fail in one picture, by its size; picklable, as workers want it."""

    def __init__(self, shape):
        self.shape = shape

    def load(self):
        detector, landmarker = WARY.load()
        shape = self.shape

        class Landmarker:
            def landmarks(self, pixels, detection):
                return None if pixels.shape == shape else landmarker.landmarks(pixels, detection)

        return detector, Landmarker()

    def versions(self):
        return {"detector": "failing"}


def near(one, other, mesh):
    """Tell whether two pictures show about the same within a face's box."""
    x1, y1 = np.maximum(mesh[:, :2].min(axis=0).astype(int), 0)
    x2, y2 = mesh[:, :2].max(axis=0).astype(int)
    part, like = (picture[y1:y2, x1:x2].astype(int) for picture in (one, other))
    return (np.abs(part - like).mean(axis=2) < 8).mean() > 0.3


def test_a_failure_in_the_middle_leaves_no_bare_face_anywhere(tmp_path, monkeypatch):
    given, output, temporary = (tmp_path / name for name in ("in", "out", "temporary"))
    given.mkdir()
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    collins, hopper = portraits()
    planted = np.ascontiguousarray(hopper[:-6])
    pictures = {"a.png": collins, "b.png": hopper, "c.png": planted, "d.png": hopper, "e.png": collins}
    for name, pixels in pictures.items():
        (given / name).write_bytes(images.encode_png(pixels))
    written = []
    replaced = os.replace

    def watch(draft, path):
        written.append(draft.read_bytes() if hasattr(draft, "read_bytes") else b"")
        replaced(draft, path)

    monkeypatch.setattr(os, "replace", watch)
    models, wishes = Failing(planted.shape), Wishes()
    items, told = anonymise_files.plan(given, None, wishes=wishes, finder=models.versions())
    dataset = Dataset(output, anonymise_files.COLUMNS, exclusive=False)
    work = partial(AnonymiseFile, output, MeshShape(), models, None, wishes, clips=Clips(), max_pixels=LIMIT)
    dataset.build(items, work, Local(1), refused=told)
    rows = {known["source"]: known for known in rows_of(dataset.read())}
    assert {name: known["status"] for name, known in rows.items()} == {
        **dict.fromkeys("a.png b.png d.png e.png".split(), "done"),
        "c.png": "rejected",
    }
    assert rows["c.png"]["reason"] == "no mesh for 1 of 1 faces found" and rows["c.png"]["output"] is None
    assert not list(output.glob("c*")) and not list(temporary.rglob("*"))
    assert not [path for path in output.rglob("*") if path.name.startswith(".")]
    shown = [images.decode(content) for content in written if content.startswith(b"\x89PNG")]
    assert len(shown) == 12
    (face,), (other,) = (find_faces(pixels, *MODELS.load()) for pixels in (collins, hopper))
    assert near(collins, collins, face.mesh)
    for pixels in shown:
        bare, known = (collins, face) if pixels.shape == collins.shape else (hopper, other)
        assert pixels.shape == bare.shape and not near(pixels, bare, known.mesh)


def test_a_face_that_geometry_missed_refuses_the_picture_or_is_covered(data, tmp_path):
    both = "together/collins_and_hopper.jpg"
    shots, known = tables(data)
    few = known[(known["source"] == both) & (known["face"] == 0)]
    shots = shots[shots["source"] == both]
    wishes = Wishes()
    items, _ = digital_masks.plan(shots, few, data, wishes=wishes, finder={})
    for models, expected in ((WARY, 2), (Failing(images.read(data / "raw" / "home" / both).shape), 1)):
        folder = tmp_path / str(expected)
        rows = DigitalMask(folder, MeshShape(), models, None, wishes, max_pixels=LIMIT)(items[0])
        assert len(rows) == expected
        if expected == 1:
            assert rows[0]["status"] == "rejected" and rows[0]["reason"] == "no mesh for 1 of 2 faces found"
            assert not folder.exists()


def test_what_is_left_out_is_told_with_its_reason(data, tmp_path):
    strict = Selection(min_score=0.93, several="refuse", per_video=2)
    dataset, _ = build(data, tmp_path / "made", Wishes(wanted=strict))
    rows = dataset.read()
    reasons = dict(zip(rows["source"], rows["reason"], strict=True))
    assert reasons["together/collins_and_hopper.jpg"] == "2 faces, and a second one is refused"
    surest = tables(data)[1].groupby("frame")["score"].max()
    weak = rows["frame"].map(surest) < 0.93
    assert 2 < weak.sum() < len(rows) - 2
    assert rows.loc[weak, "reason"].str.contains("the surest face has a score of").all()
    turned = digital_masks.plan(*tables(data), data, wishes=Wishes(wanted=Selection(max_yaw=1)), finder={})[1]
    assert any("a yaw of" in known["reason"] for known in turned)
    two, _ = build(data, tmp_path / "two", Wishes(wanted=Selection(per_video=2)))
    clip = two.read()
    clip = clip[clip["source"] == "clip.mp4"]
    assert (clip["status"] == "done").sum() == 2
    assert set(clip["reason"].dropna()) == {"not among the 2 pictures drawn of its video"}
    assert check(dataset, data).passed and check(two, data).passed


def test_squares_cut_out_are_covered_too(data, tmp_path):
    dataset, _ = build(data, tmp_path / "made", Wishes(size=224))
    done = dataset.read(status="done")
    assert {images.read(dataset.folder / name).shape for name in done["output"]} == {(224, 224, 3)}
    assert done["square"].map(lambda square: square[2] > 100).all()
    assert check(dataset, data).passed
    known = rows_of(done)[0]
    bare = cut_out(images.read(data / known["picture"]), Square(*map(int, known["square"])), 224)
    (dataset.folder / known["output"]).write_bytes(images.encode_png(bare))
    assert not check(dataset, data).passed


def test_how_alike_before_and_after_are_is_told(data, tmp_path):
    judge = embedder("auto")
    assert isinstance(judge, Embedder)
    shots, known = tables(data)
    shots = shots[shots["source"] == "grace_hopper/grace_hopper.jpg"]
    wishes = Wishes(judge=judge.sha256)
    items, _ = digital_masks.plan(shots, known, data, wishes=wishes, finder={})
    (row,) = DigitalMask(tmp_path, MeshShape(), WARY, judge, wishes, max_pixels=LIMIT)(items[0])
    assert 0.3 < row["identity_cosine"] < 0.98
    pixels = images.read(data / row["picture"])
    mesh = items[0].payload["faces"].load()[0].mesh
    after = images.read(tmp_path / row["output"])
    assert row["identity_cosine"] == pytest.approx(float(judge(pixels, mesh) @ judge(after, mesh)), abs=1e-5)


@pytest.fixture(scope="module")
def clip(data, tmp_path_factory):
    """Half a second of the sample's clip; its last two frames show nobody."""
    path, source = tmp_path_factory.mktemp("clip") / "clip.mp4", data / "raw" / "home" / "clip.mp4"
    with write_video(path, like=source) as made:
        for shot in sample_video(source, None):
            if shot.index == 12:
                break
            nobody = shot.index in {10, 11}
            made.add(np.full_like(shot.pixels, 90) if nobody else shot.pixels, shot.time, shot.duration)
    return path


def covered_clip(clip, folder, models, **options):
    wishes = Wishes()
    clips = Clips(**options)
    items, _ = anonymise_files.plan(clip.parent, clip.name, wishes=wishes, finder={}, clips=clips)
    work = AnonymiseFile(folder, MeshShape(), models, None, wishes, clips=clips, max_pixels=LIMIT)
    return work(items[0])


def test_every_frame_of_a_video_is_covered_or_black(clip, tmp_path):
    rows = covered_clip(clip, tmp_path, WARY)
    assert [known["status"] for known in rows] == ["done"] * 10 + ["skipped"] * 2
    assert {known["reason"] for known in rows[10:]} == {"black: no face found"}
    path = tmp_path / "clip_overlay.mp4"
    assert video_info(path)[2:5] == video_info(clip)[2:5] and not video_info(path).has_sound
    for known, before, after in zip(rows, sample_video(clip, None), sample_video(path, None), strict=True):
        if known["status"] == "done":
            region = covered_region(np.reshape(known["outline"], (-1, 2)), before.pixels.shape)
            grey = np.ptp(after.pixels[region].astype(int), axis=1)
            assert np.median(grey) < 8 < np.median(np.ptp(before.pixels[region].astype(int), axis=1))
        else:
            assert after.pixels.max() < 8
    again = tmp_path / "again"
    covered_clip(clip, again, WARY, sound=True)
    assert extract_sound(again / "clip_overlay.mp4") == extract_sound(clip)
    frames_made = covered_clip(clip, tmp_path / "frames", WARY, frames=True, fps=5.0)
    assert [known["output"] for known in frames_made if "output" in known] == [
        f"clip_t0000{time:.3f}_overlay.png" for time in (0.0, 0.2)
    ]


class Blinking(Failing):
    """Models that see no face in every third picture, or a face without a mesh."""

    def __init__(self, *, detect):
        self.detecting = detect

    def load(self):
        detector, landmarker = WARY.load()
        outer, count = self, iter(range(10**6))

        class Detector:
            def detect(self, pixels):
                outer.blind = next(count) % 3 == 1
                return [] if outer.blind and outer.detecting else detector.detect(pixels)

        class Landmarker:
            def landmarks(self, pixels, detection):
                return None if outer.blind and not outer.detecting else landmarker.landmarks(pixels, detection)

        return Detector(), Landmarker()


def test_a_face_that_is_missed_for_a_moment_is_followed_and_one_never_meshed_leaves_no_video(clip, tmp_path):
    rows = covered_clip(clip, tmp_path / "missed", Blinking(detect=True))
    assert [known["status"] for known in rows[:9]] == ["done"] * 9
    rows = covered_clip(clip, tmp_path / "bare", Blinking(detect=False))
    assert [known["status"] for known in rows[:9]] == ["done"] * 9
    assert len({known["outline"].tobytes() for known in rows[:9]}) == 9
    never = covered_clip(clip, tmp_path / "never", Failing((360, 360, 3)))
    assert {known["reason"] for known in never} == {
        "black: no mesh for 1 of 1 faces found",
        "black: no face found",
    }
    assert not list((tmp_path / "never").rglob("*"))


def laid_out(folder, names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(images.encode_png(portraits()[0][:400]))


def test_folders_of_people_and_videos_are_kept_and_pictures_drawn(tmp_path):
    names = [f"{role}/ann/one/{n}.png" for role in ("database", "query") for n in range(4)]
    laid_out(tmp_path / "in", [*names, "database/ann/loose.png", "gallery/ann/one/1.png"])
    plan = partial(anonymise_files.plan, tmp_path / "in", None, finder={}, layout="identity-video")
    items, told = plan(wishes=Wishes(wanted=Selection(per_video=2)))
    assert len(items) == 4 and {item.payload["same"]["role"] for item in items} == {"database", "query"}
    reasons = {known["source"]: known["reason"] for known in told}
    assert reasons.pop("database/ann/loose.png") == reasons.pop("gallery/ann/one/1.png")
    assert set(reasons.values()) == {"not among the 2 pictures drawn of its video"} and len(reasons) == 4
    assert plan(wishes=Wishes(wanted=Selection(per_video=2)))[0] == items
    assert len(plan(wishes=Wishes())[0]) == 8
    with pytest.raises(ValueError, match=r"'flat'.*mirror, identity-video"):
        plan(wishes=Wishes(), layout="flat")


def test_outputs_beside_inputs_are_no_inputs(tmp_path):
    laid_out(tmp_path, ["a.png", "a_overlay.png", "a_black.png", "clip_t00001.000_mask.png", "b_overlay.png"])
    make_sample(tmp_path / "sample")
    (tmp_path / "clip.mp4").write_bytes((tmp_path / "sample" / "clip.mp4").read_bytes())
    items, _ = anonymise_files.plan(tmp_path, None, wishes=Wishes(), finder={}, beside=True)
    here = {item.payload["source"] for item in items if "/" not in item.payload["source"]}
    assert here == {"a.png", "b_overlay.png", "clip.mp4"}
