"""Unmasked faces of a source and of files: what is written, that it proves itself, and videos with their sound."""

from functools import partial

import numpy as np
import pytest

from assets_defs.checks.common import outside_untouched
from ops import images
from ops.content import directory_md5
from ops.faces import find_faces
from ops.masking import chosen
from ops.sample import make_sample, portraits
from ops.stages import faces, frames, masks, unmask_files, unmasked
from ops.stages.unmasked import Maker, Unmask, Wishes
from ops.store import Dataset, rows_of
from ops.unmasking.unmask import NO_MASK, Care
from ops.video_writer import write_video
from ops.videos import BadVideo, extract_sound, sample_video, video_info
from resources.compute import Local
from resources.models import FaceModels
from tests.colour_networks import colour_networks, greenness, masked

LIMIT = 10**7
MODELS = FaceModels(device="cpu")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def unmasker(tmp_path_factory):
    return colour_networks(tmp_path_factory.mktemp("networks"), 128)


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Half a second of the sample's clip, bare, and shaking with a mask on; both with sound."""
    folder = tmp_path_factory.mktemp("clips")
    make_sample(folder / "sample")
    source, finder, rng = folder / "sample" / "clip.mp4", MODELS.load(), np.random.default_rng(2)
    with write_video(folder / "worn.mp4", like=source) as worn, write_video(folder / "bare.mp4", like=source) as bare:
        for shot in sample_video(source, None):
            if shot.index == 14:
                break
            (face,) = find_faces(shot.pixels, *finder, max_faces=1)
            shaken = face.mesh + rng.normal(0, 0.7, (1, 3)).astype(np.float32)
            worn.add(masked(shot.pixels, shaken), shot.time, shot.duration)
            bare.add(shot.pixels, shot.time, shot.duration)
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory, clips):
    """A source with a masked and a bare portrait and both clips, as far as its green drawn masks."""
    folder = tmp_path_factory.mktemp("data")
    raw = folder / "raw" / "home"
    raw.mkdir(parents=True)
    (raw / "masked.png").write_bytes(images.encode_png(masked(portraits()[0])))
    (raw / "bare.jpg").write_bytes(images.encode_jpeg(portraits()[1]))
    (raw / "worn.mp4").write_bytes((clips / "worn.mp4").read_bytes())
    (raw / "still.mp4").write_bytes((clips / "bare.mp4").read_bytes())
    made = {name: Dataset(folder / name / "home", columns) for name, columns in COLUMNS.items()}
    items, _ = frames.plan(raw, fps=1, identity="none", max_pixels=LIMIT)
    made["frames"].build(items, partial(frames.Decode, made["frames"].folder, fps=1, max_pixels=LIMIT), Local(1))
    limits = {"min_score": 0.5, "max_faces": 0}
    items = faces.plan(made["frames"].read(status="done"), folder, MODELS, **limits)
    made["face_geometry"].build(items, partial(faces.Look, MODELS, **limits, max_pixels=LIMIT), Local(1))
    settings = chosen("street", kinds=["surgical"], states=["correct"], colours={"#28be3c": 1.0}, patterns={"plain": 1})
    shape = {"variants": 1, "min_face_px": 32, "quality": 95}
    known = faces.described(made["face_geometry"])
    items = masks.plan(known[known["source"] == "bare.jpg"], folder, settings, **shape)
    folder_of = made["masked_faces"].folder
    made["masked_faces"].build(items, partial(masks.Wear, folder_of, settings, **shape, max_pixels=LIMIT), Local(1))
    return folder


COLUMNS = {"frames": frames.COLUMNS, "face_geometry": faces.COLUMNS, "masked_faces": masks.columns()}


def build(data, unmasker, folder, *, care=None, panels=True, pictures=unmasked.KINDS):
    dataset = Dataset(folder, unmasked.COLUMNS)
    wishes = Wishes(unmasker.check(), care or Care(), panels)
    shots, geometry, worn = (Dataset(data / name / "home") for name in COLUMNS)
    tables = (shots.read(status="done"), faces.described(geometry), worn.read(status="done"))
    items = unmasked.plan(*tables, data, "home", pictures=pictures, finder=MODELS.versions(), wishes=wishes)
    report = dataset.build(items, partial(Unmask, folder, unmasker, MODELS, wishes, max_pixels=LIMIT), Local(1))
    return dataset, report


@pytest.fixture(scope="module")
def made(data, unmasker):
    return build(data, unmasker, data / "unmasked_faces" / "home")[0]


def test_every_face_of_a_source_has_a_row_and_masks_are_gone(made, data):
    rows = made.read()
    reasons = rows[rows["alpha"].isna() & ~rows["source"].str.endswith("mp4")]
    assert [(known["source"], known["reason"]) for known in rows_of(reasons)] == [("bare.jpg", NO_MASK)]
    done = rows_of(rows[rows["alpha"].notna()])
    assert {(known["source"], known["truth"]) for known in done} == {
        ("masked.png", None),
        ("bare.jpg", "raw/home/bare.jpg"),
    }
    for known in done:
        before, after = images.read(data / known["picture"]), images.read(made.folder / known["output"])
        alpha = images.read_grey(made.folder / known["alpha"])
        assert (before[alpha == 0] == after[alpha == 0]).all()
        assert (greenness(after) > 60).sum() < 0.02 * (greenness(before) > 60).sum()
        assert known["completed_px"] == (alpha > 0).sum() and known["changed_px_outside"] == 0
        panels = images.read(made.folder / known["panels"])
        assert panels.shape[1] / panels.shape[0] > (3 if known["truth"] else 2.3)


def test_a_masked_video_comes_out_whole_with_its_sound_and_a_bare_one_not_at_all(made, data, clips):
    rows = made.read()
    worn = rows[rows["source"] == "worn.mp4"]
    assert (worn["status"] == "done").sum() >= 13 and worn["output"].nunique() == 1
    assert worn["time"].is_monotonic_increasing and (worn["changed_px_outside"].fillna(0) == 0).all()
    path = made.folder / worn["output"].iloc[0]
    assert video_info(path)[1:] == video_info(clips / "worn.mp4")[1:]
    assert extract_sound(path) == extract_sound(clips / "worn.mp4")
    for before, after in zip(sample_video(clips / "worn.mp4", None), sample_video(path, None), strict=True):
        assert (greenness(after.pixels) > 60).sum() < 0.03 * (greenness(before.pixels) > 60).sum()
    still = rows[rows["source"] == "still.mp4"]
    assert set(still["reason"]) == {NO_MASK} and still["output"].isna().all()
    panels = video_info(made.folder / worn["panels"].iloc[0])
    assert panels.width > 2.3 * panels.height
    assert len(list(made.folder.glob("*.mp4"))) == 2


def test_the_check_reads_it_off_the_files(made, data):
    result = outside_untouched(made, data, max_pixels=LIMIT)
    assert result.passed and result.metadata["looked_at"].value == 2
    known = rows_of(made.read(status="done").dropna(subset="alpha"))[0]
    path = made.folder / known["output"]
    whole = path.read_bytes()
    pixels = images.decode(whole)
    y, x = np.argwhere(images.read_grey(made.folder / known["alpha"]) == 0)[0]
    pixels[y, x, 1] ^= 1
    path.write_bytes(images.encode_png(pixels))
    result = outside_untouched(made, data, max_pixels=LIMIT)
    path.write_bytes(whole)
    assert not result.passed and result.metadata["first"].text == known["output"]


def test_the_same_comes_out_again_and_only_what_settings_change_is_made_anew(made, data, unmasker, tmp_path):
    care = Care(feather=0.01)
    one = build(data, unmasker, tmp_path / "one", pictures=["masked_faces"])[0]
    other = build(data, unmasker, tmp_path / "other", pictures=["masked_faces"])[0]
    assert directory_md5(one.folder) == directory_md5(other.folder)
    assert build(data, unmasker, tmp_path / "one", pictures=["masked_faces"])[1].made == 0
    report = build(data, unmasker, tmp_path / "one", pictures=["masked_faces"], care=care, panels=False)[1]
    assert report.made == 1 and report.removed >= 3 and not list((tmp_path / "one").glob("*panels*"))
    with pytest.raises(ValueError, match=r"'crops'.*frames, masked_faces"):
        build(data, unmasker, tmp_path / "two", pictures=["crops"])


def test_videos_are_steadied(clips, unmasker, tmp_path):
    shown = {}
    for steady in (0.0, 0.8):
        maker = Maker(tmp_path, unmasker, MODELS, Wishes((), Care(steady=steady), panels=False), max_pixels=LIMIT)
        assert len(list(maker.video(clips / "worn.mp4", f"{steady}"))) == 14
        shown[steady] = [shot.pixels.astype(int) for shot in sample_video(tmp_path / f"{steady}.mp4", None)]
    first = next(sample_video(clips / "worn.mp4", None)).pixels
    near = np.zeros(first.shape[:2], bool)
    rows, columns = np.nonzero(greenness(first) > 60)
    near[rows.min() - 6 : rows.max() + 6, columns.min() - 6 : columns.max() + 6] = True
    flicker = {name: np.abs(np.diff([each[near] for each in v], 2, axis=0)).mean() for name, v in shown.items()}
    assert flicker[0.8] < 0.95 * flicker[0.0], flicker


def test_a_damaged_video_is_told_and_what_comes_before_is_there(clips, unmasker, tmp_path):
    whole = (clips / "worn.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) * 2 // 3])
    maker = Maker(tmp_path, unmasker, MODELS, Wishes((), Care()), max_pixels=LIMIT)
    times = []
    with pytest.raises(BadVideo):
        for time, _ in maker.video(tmp_path / "cut.mp4", "made"):
            times.append(time)
    written = [shot.time for shot in sample_video(tmp_path / "made.mp4", None)]
    assert 3 < len(times) < 14 and written == pytest.approx(times, abs=0.01)
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(BadVideo):
        list(maker.video(tmp_path / "text.mp4", "none"))
    assert not (tmp_path / "none.mp4").exists()


def test_files_are_unmasked_in_their_folders_and_bad_ones_told(unmasker, tmp_path):
    given, output = tmp_path / "in", tmp_path / "out"
    (given / "sub").mkdir(parents=True)
    (given / "sub" / "a.png").write_bytes(images.encode_png(masked(portraits()[0])))
    (given / "b.jpg").write_bytes(images.encode_jpeg(portraits()[1]))
    (given / "c.jpg").write_bytes(b"no picture")
    (given / "d.png").write_bytes(images.encode_png(np.full((64, 64, 3), 90, np.uint8)))
    wishes = Wishes(unmasker.check(), Care(), panels=False)
    items, told = unmask_files.plan(given, None, wishes=wishes, finder=MODELS.versions())
    dataset = Dataset(output, unmask_files.COLUMNS, exclusive=False)
    work = partial(unmask_files.UnmaskFile, output, unmasker, MODELS, wishes, max_pixels=LIMIT)
    dataset.build(items, work, Local(1), refused=told)
    rows = {known["source"]: known for known in rows_of(dataset.read())}
    assert {name: known["status"] for name, known in rows.items()} == {
        "sub/a.png": "done",
        "b.jpg": "skipped",
        "c.jpg": "rejected",
        "d.png": "skipped",
    }
    assert [rows[name]["reason"] for name in ("b.jpg", "d.png")] == [NO_MASK, "no face found"]
    assert rows["sub/a.png"]["output"] == "sub/a_unmasked.png" and (output / "sub/a_unmasked_alpha.png").is_file()
