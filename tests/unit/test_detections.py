"""Mask detections of a source: rows, pictures and videos, and what makes them made again."""

import json
from fractions import Fraction
from functools import partial

import av
import numpy as np
import pandas as pd
import pytest

from ops import images
from ops.content import directory_md5, file_md5
from ops.masking import LABELS
from ops.stages import detections, frames
from ops.store import Dataset
from ops.videos import BadVideo, sample_video, video_info
from resources.compute import Local
from resources.mask_detectors import OnnxMaskDetector
from tests.bad_files import make_video
from tests.detectors import BLUE, GREEN, RED, patch_detector

GREY = 128
LIMIT = 10**7
SETTINGS = {"tiles": 1, "annotate": True, "quality": 95}


def scene(*faces, side=320):
    """Grey, with squares of 32 px: ((x, y), colour)."""
    pixels = np.full((side, side, 3), GREY, np.uint8)
    for (x, y), colour in faces:
        pixels[y : y + 32, x : x + 32] = colour
    return pixels


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A source with pictures and a video, its frames dataset, and a report's folder with a champion."""
    folder = tmp_path_factory.mktemp("data")
    raw = folder / "raw" / "crowd"
    (raw / "sub").mkdir(parents=True)
    for name, pixels in {
        "two.png": scene(((32, 64), RED), ((160, 96), BLUE)),
        "sub/edge.png": scene(((288, 288), GREEN)),
        "nobody.png": scene(),
    }.items():
        (raw / name).write_bytes(images.encode_png(pixels))
    shots = [scene(((32 * (step // 5), 96), RED)) if step < 40 else scene() for step in range(50)]
    make_video(raw / "clip.mp4", shots)
    make_video(raw / "long.mkv", shots)
    cut = (raw / "long.mkv").read_bytes()
    (raw / "broken.mkv").write_bytes(cut[: len(cut) * 6 // 10])
    (raw / "long.mkv").unlink()
    made = Dataset(folder / "frames" / "crowd", frames.COLUMNS)
    items, told = frames.plan(raw, fps=1, identity="none", max_pixels=LIMIT)
    made.build(items, lambda: frames.Decode(made.folder, fps=1, max_pixels=LIMIT), Local(1), refused=told)
    champion(folder, (0.9, 0.8, 0.7))
    return folder


def champion(folder, thresholds):
    (folder / "detector_report").mkdir(exist_ok=True)
    patch_detector(folder / "detector_report" / detections.ONNX, thresholds=thresholds)
    about = {"origin": "trained", "thresholds": list(thresholds)}
    (folder / "detector_report" / "champion.json").write_text(json.dumps(about))


def build(data, target, workers=1, **changed):
    """Build the dataset; return it with the report."""
    settings = SETTINGS | {"thresholds": {}} | changed
    wishes = detections.wishes_of(data / "detector_report", **settings)
    rows = Dataset(data / "frames" / "crowd").read(status="done")
    dataset = Dataset(target, detections.COLUMNS)
    items = detections.plan(rows, data, "crowd", wishes)
    detector = OnnxMaskDetector(data / "detector_report" / detections.ONNX)
    work = partial(detections.Find, target, detector, wishes, max_pixels=LIMIT)
    return dataset, dataset.build(items, work, Local(workers))


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    return build(data, tmp_path_factory.mktemp("made"))


def of(dataset, source):
    rows = dataset.read()
    return rows[rows["source"] == source].reset_index(drop=True)


def test_a_row_a_box_in_the_pictures_pixels(finished, data):
    rows = of(finished[0], "two.png")
    boxes = {row.label: (row.x1, row.y1, row.x2, row.y2) for row in rows.itertuples()}
    assert boxes == {"with_mask": (32, 64, 64, 96), "mask_weared_incorrect": (160, 96, 192, 128)}
    assert sorted(rows["face"]) == [0, 1] and (rows["score"] == 1).all() and (rows["tiles"] == 1).all()
    assert dict(zip(rows["label"], rows["threshold"], strict=True)) == pytest.approx({LABELS[0]: 0.9, LABELS[2]: 0.7})
    frame = Dataset(data / "frames" / "crowd").read().set_index("source").loc["two.png"]
    assert set(rows["frame"]) == {frame["frame"]} and set(rows["picture"]) == {frame["picture"]}
    assert set(rows["width"]) == set(rows["height"]) == {320} and rows["time"].isna().all()


def test_where_nothing_is_found_a_row_says_so(finished):
    (row,) = of(finished[0], "nobody.png").to_dict("records")
    assert (row["status"], row["reason"]) == ("skipped", detections.NOTHING) and pd.isna(row["output"])


def test_annotated_pictures_show_the_boxes(finished):
    dataset, _ = finished
    (name,) = set(of(dataset, "two.png")["output"])
    drawn = images.read(dataset.folder / name)
    assert drawn.shape == (320, 320, 3)
    assert np.abs(drawn[200:, 200:].astype(int) - GREY).max() < 8, "what is no box stays as it was"
    assert drawn[63:66, 40:60, 1].mean() > 150, "the upper side of a green frame"


def test_of_an_annotated_video_every_frame_is_told_and_shown(finished, data):
    dataset, _ = finished
    rows = of(dataset, "clip.mp4")
    assert rows["frame"].nunique() == 50
    assert rows["status"].value_counts().to_dict() == {"done": 40, "skipped": 10}
    assert rows.loc[:39, "x1"].tolist() == [32 * (step // 5) for step in range(40)]
    assert np.allclose(rows["time"], np.arange(50) / 25, atol=1e-3)
    taken = Dataset(data / "frames" / "crowd").read(status="done")
    taken = taken[taken["source"] == "clip.mp4"].set_index("frame")["picture"]
    known = rows.dropna(subset="picture").set_index("frame")["picture"]
    assert known.to_dict() == taken.to_dict() and len(taken) == 2
    (output,) = set(rows["output"])
    about = video_info(dataset.folder / output)
    assert (about.fps, about.width, about.height) == (25, 320, 320)
    shown = list(sample_video(dataset.folder / output, None))
    assert len(shown) == 50
    edge = [shot.pixels[100:124, 32 * (shot.index // 5) + 16].astype(int) for shot in shown[:40]]
    assert all((column[..., 0] > 180).all() for column in edge), "the square is under its frame all the time"
    assert np.abs(shown[45].pixels.astype(int) - GREY).max() < 12


def test_of_a_broken_video_what_came_before_is_told_and_shown(finished):
    dataset, _ = finished
    rows = of(dataset, "broken.mkv")
    assert rows["status"].value_counts()["rejected"] == 1
    reason = rows.loc[rows["status"] == "rejected", "reason"].item()
    assert reason.startswith("breaks off after")
    looked = rows[rows["status"] != "rejected"]
    (output,) = set(looked["output"])
    with av.open(str(dataset.folder / output)) as made:
        shown = len(list(made.decode(video=0)))
    # the decoder may leave out a frame next to the damage, and the one before it is held
    assert 5 < looked["frame"].nunique() <= shown <= looked["frame"].nunique() + 1


def test_a_video_that_changes_its_size_is_told_and_shown_up_to_there(data, tmp_path):
    path = tmp_path / "sizes.avi"
    with av.open(str(path), "w") as made:
        stream = made.add_stream("mjpeg", rate=25)
        stream.width = stream.height = 320
        stream.pix_fmt = "yuvj420p"
        for index in range(20):
            packet = av.Packet(images.encode_jpeg(scene(side=320 if index < 12 else 160)))
            packet.pts = packet.dts = index
            packet.stream, packet.time_base = stream, Fraction(1, 25)
            made.mux(packet)
    wishes = detections.wishes_of(data / "detector_report", thresholds={}, **SETTINGS)
    detector = OnnxMaskDetector(data / "detector_report" / detections.ONNX)
    seen = detections.watch(path, detector, wishes, tmp_path / "shown.mp4", max_pixels=LIMIT)
    with pytest.raises(BadVideo, match=r"change their size after 0\.48 s"):
        list(seen)
    assert len(list(sample_video(tmp_path / "shown.mp4", None))) == 12


def test_the_same_source_gives_the_same_bytes_in_two_processes(finished, data, tmp_path):
    dataset, _ = build(data, tmp_path / "again", workers=2)
    assert directory_md5(dataset.folder) == directory_md5(finished[0].folder)


def test_only_what_changed_is_made_again(data, tmp_path):
    _, first = build(data, tmp_path, annotate=False)
    assert first.made == 6, "frames, of a video those that were taken out"
    assert build(data, tmp_path, annotate=False)[1].made == 0
    for changed in ({"tiles": 2}, {"thresholds": {"with_mask": 0.5}}, {"quality": 80}):
        assert build(data, tmp_path, annotate=False, **changed)[1].made == 6
    dataset, report = build(data, tmp_path, annotate=True)
    assert report.made == 5 and len(list(dataset.folder.glob("*.mp4"))) == 2
    dataset, report = build(data, tmp_path, annotate=False)
    assert report.made == 6 and {path.suffix for path in dataset.folder.iterdir()} == {".parquet"}


def test_another_champion_makes_all_anew(data, tmp_path):
    rows = Dataset(data / "frames" / "crowd").read(status="done")
    wishes = detections.wishes_of(data / "detector_report", thresholds={}, **SETTINGS)
    patch_detector(tmp_path / detections.ONNX, size=640, thresholds=(0.9, 0.8, 0.7))
    (tmp_path / "champion.json").write_text((data / "detector_report" / "champion.json").read_text())
    other = detections.wishes_of(tmp_path, thresholds={}, **SETTINGS)
    assert other.detector == file_md5(tmp_path / detections.ONNX) != wishes.detector
    one, two = ({item.fingerprint for item in detections.plan(rows, data, "crowd", each)} for each in (wishes, other))
    assert len(one) == len(two) == 5 and not one & two


def test_thresholds_are_the_reports_or_those_wished(data, tmp_path):
    dataset, _ = build(data, tmp_path, annotate=False, thresholds={"with_mask": 1.0, "without_mask": 1.0})
    assert of(dataset, "sub/edge.png")["threshold"].item() == 1
    wrong = [({"masked": 0.5}, "only with_mask, without_mask, mask_weared_incorrect"), ({"with_mask": 1.5}, "0 to 1")]
    for wished, message in wrong:
        with pytest.raises(ValueError, match=message):
            build(data, tmp_path, thresholds=wished)


def test_tiles_reach_every_frame(data, tmp_path):
    dataset, _ = build(data, tmp_path, annotate=False, tiles=2)
    rows = dataset.read(status="done")
    assert set(rows["tiles"]) == {2}
    # nine boxes without tiles; a tile's cells are smaller and find more of each square
    assert len(rows) >= 5 and ((rows["x2"] - rows["x1"]) <= 32).all()


def test_a_picture_that_is_gone_is_tried_again(data, tmp_path):
    rows = Dataset(data / "frames" / "crowd").read(status="done")
    rows = rows[rows["source"] == "two.png"].assign(picture="raw/crowd/gone.png")
    wishes = detections.wishes_of(data / "detector_report", thresholds={}, **SETTINGS)
    (item,) = detections.plan(rows, data, "crowd", wishes)
    detector = OnnxMaskDetector(data / "detector_report" / detections.ONNX)
    (row,) = detections.Find(tmp_path, detector, wishes, max_pixels=LIMIT)(item)
    assert row["status"] == "rejected" and row["fingerprint"] != item.fingerprint


def test_rates_and_their_drift():
    rows = pd.DataFrame(
        {
            "frame": ["a", "a", "b", "c", None],
            "label": ["with_mask", "without_mask", "with_mask", None, None],
            "status": ["done", "done", "done", "skipped", "rejected"],
        }
    )
    now = detections.rates(rows)
    assert now == pytest.approx(
        {"boxes_a_picture": 1, "share_with_mask": 2 / 3, "share_without_mask": 1 / 3, "share_mask_weared_incorrect": 0}
    )
    assert detections.drifted(now, now) == [] == detections.drifted(now, {"made": 3.0})
    assert detections.drifted(now, {**now, "boxes_a_picture": 1.49}) == []
    assert detections.drifted(now, {**now, "boxes_a_picture": 1.51}) == ["boxes_a_picture"]
    assert detections.drifted(now, {**now, "boxes_a_picture": 0.0}) == ["boxes_a_picture"]
    assert detections.drifted(now, {**now, "share_with_mask": 0.4}) == ["share_with_mask"]
    assert detections.rates(rows.iloc[3:])["boxes_a_picture"] == 0
