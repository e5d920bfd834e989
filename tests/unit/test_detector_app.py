"""The browser app of mask detection: what is behind its pages, and the pages themselves."""

import csv
import io
import json
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from apps.detector import clips, comparing, reading, uploads
from apps.detector.serve import OPTIONS, command, data_folder
from apps.detector.weights import choices
from ops import images
from ops.detection.annotation_formats import read_coco, read_names, read_yolo
from ops.detection.detections import Detections
from ops.detection.evaluation import evaluate
from ops.detection.found_files import COLUMNS, Found, coco_of, csv_of, yolo_of, zipped
from ops.detection.promotion import Floor, decide
from ops.detection.report_files import metrics_of, plots
from ops.masking import LABELS
from ops.pictures import CLASS_COLOURS
from ops.records import Refusal
from ops.sample import make_sample
from ops.tables import as_json
from ops.videos import extract_sound, sample_video
from resources.mask_detectors import OnnxMaskDetector, shipped
from resources.tracking import CHAMPION, Tracking, local_uri
from tests.detectors import BLUE, GREEN, RED, patch_detector
from tests.reported import constant_detector

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "apps/detector/main.py"
LOW = (0.05, 0.05, 0.05)
DIM_RED = (230, 50, 50)
"""Seen with a score of 180 / 255."""


def patches(*colours: tuple[int, int, int], side: int = 320) -> bytes:
    """A grey picture with squares of 32 pixels, which the patch detector takes for faces."""
    pixels = np.full((side, side, 3), 128, np.uint8)
    for number, colour in enumerate(colours):
        left = 64 * number + 32
        pixels[32:64, left : left + 32] = colour
    return images.encode_png(pixels)


@pytest.fixture(scope="module")
def detector(tmp_path_factory) -> OnnxMaskDetector:
    return OnnxMaskDetector(patch_detector(tmp_path_factory.mktemp("patches") / "detector.onnx"))


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> bytes:
    folder = tmp_path_factory.mktemp("sample")
    make_sample(folder)
    return (folder / "clip.mp4").read_bytes()


@pytest.fixture(scope="module")
def data(tmp_path_factory, detector) -> Path:
    """A data folder with the runs of two trainings, the better one of which is champion, and a third that failed."""
    folder = tmp_path_factory.mktemp("data")
    tracking = Tracking(local_uri(folder))
    for name, top, epochs in (("first", 0.4, 2), ("second", 0.6, 3)):
        params = {"epochs": epochs, "image_size": 320, "lr0": 0.01}
        with tracking.run(name, name, params, {"start": "yolo26n"}) as run:
            for epoch in range(1, epochs + 1):
                run.epoch(epoch, {"val/ap50_95": top * epoch / epochs, "train/box_loss": 2.0 / epoch})
            run.epoch(epochs, {"ap50": top + 0.2, "ap50_95": top})
            run.keep([detector.path])
            version = run.register("detector.onnx")
    tracking.alias(version, CHAMPION)
    with pytest.raises(KeyboardInterrupt), tracking.run("third", "third", {"epochs": 9}, {}):
        raise KeyboardInterrupt
    return folder


def found(*names: str) -> list[Found]:
    boxes = Detections.of([(10, 20, 50, 80), (90.5, 10, 120, 70)], [0, 2], [0.9, 0.31])
    return [Found(name, 110, 90, boxes) for name in names]


@pytest.mark.parametrize("name", ["=HYPERLINK(1).jpg", "+1.jpg", "-1.jpg", "@sum.jpg", "\tx.jpg"])
def test_no_cell_of_the_csv_is_a_formula(name):
    rows = list(csv.reader(io.StringIO(csv_of(found(name, "plain, name.jpg")).decode())))
    assert tuple(rows[0]) == COLUMNS
    assert [row[0] for row in rows[1:]] == [f"'{name}"] * 2 + ["plain, name.jpg"] * 2
    assert rows[1][1:] == ["", "0", "with_mask", "0.9000", "10.00", "20.00", "50.00", "80.00"]
    assert not any(cell.startswith(("=", "+", "-", "@", "\t")) for row in rows for cell in row)


def test_coco_says_what_was_found_and_how_sure_it_is():
    told = json.loads(coco_of(found("a.jpg", "b.jpg")))
    first, second = told["annotations"][:2]
    assert [one["file_name"] for one in told["images"]] == ["a.jpg", "b.jpg"]
    assert (first["bbox"], first["area"], first["score"], first["category_id"]) == ([10, 20, 40, 60], 2400, 0.9, 1)
    assert second["bbox"] == [90.5, 10, 19.5, 60], "cut at the picture's edge"
    picture = read_coco(coco_of(found("a.jpg", "b.jpg")), "instances.json")[0]
    assert [mark.name for mark in picture.marks] == ["with_mask", "mask_weared_incorrect"]


def test_yolo_is_a_dataset_that_reads_back():
    files = yolo_of(found("a.jpg", "b.png"), [b"one", b"two"])
    archive = zipfile.ZipFile(io.BytesIO(zipped(files)))
    assert archive.read("images/a.jpg") == b"one"
    assert archive.read("images/b.png") == b"two"
    for names in ("data.yaml", "classes.txt"):
        told = read_names(archive.read(names), names)
        marks = read_yolo(archive.read("labels/b.txt"), "labels/b.txt", told).marks
        assert [mark.name for mark in marks] == ["with_mask", "mask_weared_incorrect"]
        assert np.allclose(np.array(marks[0].box) * (110, 90, 110, 90), (10, 20, 50, 80), atol=1e-3)
    assert zipped(files) == zipped(dict(reversed(files.items())))


def test_a_picture_is_looked_at_once_and_drawn_for_every_threshold(detector):
    seen = uploads.look("a.png", patches(RED, DIM_RED, BLUE), detector, 1)
    assert uploads.counts([seen.over(LOW)]) == dict(zip(LABELS, (2, 0, 1), strict=True))
    assert uploads.counts([seen.over((0.9,) * 3)]) == dict(zip(LABELS, (1, 0, 1), strict=True))
    assert uploads.counts([seen.over((1.01, 0.9, 0.9))]) == dict(zip(LABELS, (0, 0, 1), strict=True))
    drawn = images.decode(uploads.annotated(seen, LOW)).astype(int)
    assert abs(drawn[48, 32] - CLASS_COLOURS[0]).max() < 40
    bare = images.decode(uploads.annotated(seen, (1.01,) * 3)).astype(int)
    assert abs(bare - images.decode(seen.data)).mean() < 1
    order = seen.over(LOW).detections.labels
    for crop, colour in zip(uploads.crops(seen, LOW), [CLASS_COLOURS[i] for i in order], strict=True):
        assert crop.shape == (uploads.CROP_PX, uploads.CROP_PX, 3)
        assert (crop[:4] == colour).all()


def test_previews_are_small_and_their_boxes_scaled(detector):
    pixels = np.full((2000, 4000, 3), 128, np.uint8)
    pixels[800:1200, 800:1200] = RED
    seen = uploads.look("large.png", images.encode_png(pixels), detector, 1)
    assert (seen.found.width, seen.found.height) == (4000, 2000)
    shown = images.decode(uploads.preview(seen, (0.9,) * 3)).astype(int)
    assert shown.shape == (640, uploads.PREVIEW_PX, 3)
    assert abs(shown[320, 256:384:127] - CLASS_COLOURS[0]).max() < 60


@pytest.mark.parametrize(
    ("bytes_", "reason"),
    [
        (b"", "empty file"),
        (b"plain text", "not a picture"),
        (patches(RED)[:400], "damaged"),
        (images.encode_png(np.zeros((8000, 7000), np.uint8)), "too large: 56000000 pixels, at most 50000000"),
    ],
)
def test_what_is_no_picture_is_refused_with_a_reason(detector, bytes_, reason):
    with pytest.raises(Refusal, match=reason):
        uploads.look("x.png", bytes_, detector, 1)


def test_names_are_told_apart_and_shown_as_they_stand():
    assert uploads.apart(["a.jpg", "a (2).jpg", "a.jpg"]) == ["a.jpg", "a (2).jpg", "a (3).jpg"]
    assert uploads.escaped("**a**\n:red[b] $1$") == r"\*\*a\*\* \:red\[b\] \$1\$"


class Deaf:
    """A detector that must not be asked."""

    labels, thresholds, size = LABELS, LOW, 320

    def __call__(self, *_, **__):
        raise AssertionError("the network ran again")


@pytest.mark.slow
def test_a_video_is_looked_at_once_and_keeps_its_sound(clip, tmp_path, monkeypatch):
    sees_one = OnnxMaskDetector(constant_detector(tmp_path / "one.onnx", [(10, 10, 200, 200, 0.8, 1)]))
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    shares: list[float] = []
    first = clips.watch("clip.mp4", clip, sees_one, 1, (0.9,) * 3, shares.append)
    again = clips.watch("clip.mp4", clip, Deaf(), 1, LOW, shares.append, first.seen)
    assert not list(scratch.iterdir()), "temporary files are left"
    assert len(first.frames) == len(again.frames) == 100
    assert [clips.at_once(watched.frames)["without_mask"] for watched in (first, again)] == [0, 1]
    assert first.problem is None
    assert sorted(shares[:100]) == shares[:100] and 0.9 < max(shares) <= 1
    assert list(csv.DictReader(io.StringIO(csv_of(again.frames).decode())))[-1]["time"] == "3.960"
    film = tmp_path / "film.mp4"
    film.write_bytes(again.film)
    shots = [shot.pixels for shot in sample_video(film, None)]
    below = shots[50][144:154, 8:10].astype(int).mean(axis=(0, 1))
    assert abs(below - CLASS_COLOURS[1]).max() < 30, "class and score stand below the box, on its class's colour"
    assert len(shots) == 100
    assert len(extract_sound(film)) > 300_000


def test_a_video_that_breaks_off_is_told(detector, clip):
    with pytest.raises(Refusal, match="no video"):
        clips.watch("clip.mp4", b"plain text", detector, 1, LOW, lambda _: None)
    # the index stands at the end, so that without it nothing can be read
    with pytest.raises(Refusal):
        clips.watch("clip.mp4", clip[: len(clip) // 2], detector, 1, LOW, lambda _: None)


def test_a_video_that_is_too_long_is_refused(detector, clip, monkeypatch):
    monkeypatch.setattr(clips, "LONGEST_S", 2)
    with pytest.raises(Refusal, match="it lasts 4 s, and at most 2 s here"):
        clips.watch("clip.mp4", clip, detector, 1, LOW, lambda _: None)


def test_without_runs_there_are_the_projects_own_weights(tmp_path):
    assert [choice.path for choice in choices(Tracking(local_uri(tmp_path)))] == [shipped()]
    assert not list(tmp_path.iterdir()), "looking makes no store"


def test_champion_best_and_last_can_be_chosen(data):
    every = {choice.title: choice for choice in choices(Tracking(local_uri(data)))}
    assert list(every) == ["Champion", "Shipped with Maskline", "Best run", "Last run"]
    assert every["Champion"].path == every["Best run"].path == every["Last run"].path
    assert every["Best run"].note.startswith("second, ")
    assert every["Best run"].note.endswith("AP50-95 0.600 on validation pictures.")


def test_runs_are_compared(data):
    tracking = Tracking(local_uri(data))
    runs = tracking.runs()
    table = comparing.overview(runs, tracking.versions())
    assert [row["Run"] for row in table] == ["third", "second", "first"]
    assert [row["AP50-95"] for row in table] == [None, 0.6, 0.4]
    assert [row["Alias"] for row in table] == ["", "challenger, champion", ""]
    assert [row["Status"] for row in table] == ["failed", "finished", "finished"]
    assert comparing.best(runs, 2) == [1, 2]
    assert [run.name for run in comparing.matching(runs, "yolo26n EPOCHS=3")] == ["second"]
    apart, alike = comparing.parameters(runs[1:])
    assert apart == [{"": "epochs", "second": "3", "first": "2"}]
    assert [row[""] for row in alike] == ["start", "image_size", "lr0"]
    assert comparing.figures(runs[1:])[0] == {"": "Validation AP50-95", "second": 0.6, "first": 0.4}
    curves = comparing.curves(tracking, runs[1:])
    assert [row["value"] for row in curves["train/box_loss"]] == [2.0, 1.0, 2.0 / 3, 2.0, 1.0]
    assert comparing.labels([runs[0], runs[0]._replace(run_id="abcdefgh")])[1] == "third (abcdef)"


def write_report(folder: Path, photographs: int) -> None:
    truths = [Detections.of([(0, 0, 40, 40), (60, 60, 90, 90)], [0, 1])] * 4
    seen = [Detections.of([(0, 0, 40, 38), (60, 60, 90, 90)], [0, 0], [0.9, 0.6])] * 4
    done = evaluate(truths, seen, (0.5,) * 3, draws=20)
    decision = decide(Floor(0.9, 0.6, 3), done.all.scores, photographs, truths, seen, seen, None)
    about = {"start": "none", "run_id": "a_run", "pictures": 4, "photographs": photographs}
    folder.mkdir()
    for name, content in {"metrics.json": as_json(metrics_of(done, decision, about)), **plots(done)}.items():
        (folder / name).write_bytes(content)


@pytest.fixture
def page(data, monkeypatch):
    """Opens a page over a data folder, as a browser would."""

    def opened(name: str = "detect.py", folder: Path = data) -> AppTest:
        monkeypatch.setattr(sys, "argv", ["main.py", "--data", str(folder)])
        app = AppTest.from_file(SCRIPT, default_timeout=60).run()
        return app if name == "detect.py" else app.switch_page(name).run()

    return opened


def test_pictures_are_uploaded_and_told(page):
    app = page()
    assert not app.exception
    assert app.selectbox[0].value.title == "Champion"
    assert [slider.value for slider in app.slider] == [0.9, 0.9, 0.9]
    given = [("a.png", patches(RED, RED, BLUE)), ("a.png", patches(GREEN)), ("*bad*.jpg", b"nothing")]
    app.file_uploader[0].set_value([(name, content, "image/png") for name, content in given]).run()
    assert not app.exception
    assert [metric.value for metric in app.metric] == ["2", "1", "1"]
    assert "\\*bad\\*\\.jpg" in app.warning[0].value and "not a picture" in app.warning[0].value
    labels = [button.label for button in app.download_button]
    assert labels == ["CSV", "COCO", "YOLO", "Pictures with boxes"]
    app.segmented_control(key="view").set_value("Table").run()
    table = app.dataframe[0].value
    assert table["picture"].tolist() == ["a.png", "a.png", "a.png", "a (2).png"]
    app.segmented_control(key="view").set_value("Faces").run()
    assert not app.exception


def test_a_slider_changes_what_counts_without_looking_again(page, monkeypatch):
    app = page()
    app.file_uploader[0].set_value(("a.png", patches(RED, DIM_RED), "image/png")).run()
    assert [metric.value for metric in app.metric] == ["1", "0", "0"]
    assert [button.label for button in app.download_button][-1] == "Picture with boxes"
    monkeypatch.setattr(OnnxMaskDetector, "__call__", Deaf.__call__)
    app.slider[0].set_value(0.5).run()
    assert not app.exception
    assert [metric.value for metric in app.metric] == ["2", "0", "0"]


def test_many_pictures_are_shown_a_page_at_a_time(page):
    app = page()
    app.file_uploader[0].set_value([(f"{number}.png", patches(RED), "image/png") for number in range(13)]).run()
    assert [metric.value for metric in app.metric] == ["13", "0", "0"]
    assert len(app.image) == 12
    app.pagination[0].set_value(2).run()
    assert not app.exception
    assert len(app.image) == 1


@pytest.mark.slow
def test_a_video_is_uploaded(page, clip):
    app = page()
    app.segmented_control[0].set_value("Video").run()
    app.file_uploader[0].set_value(("clip.mp4", clip, "video/mp4")).run()
    assert not app.exception
    assert [button.label for button in app.download_button] == ["CSV", "Video with boxes"]
    app.file_uploader[0].set_value(("text.mp4", b"plain text", "video/mp4")).run()
    assert not app.exception
    assert "no video" in app.warning[0].value


def test_a_webcam_picture_is_looked_at(page):
    app = page()
    app.segmented_control[0].set_value("Webcam").run()
    app.camera_input[0].upload("shot.jpg", patches(GREEN), "image/jpeg").run()
    assert not app.exception
    assert [metric.value for metric in app.metric] == ["0", "1", "0"]


def test_a_detector_that_cannot_be_used_is_told(page, tmp_path, monkeypatch):
    monkeypatch.setattr("apps.detector.weights.shipped", lambda: tmp_path / "gone.onnx")
    app = page(folder=tmp_path)
    assert not app.exception
    assert "gone" in app.warning[0].value


def test_experiments_are_listed_and_two_of_them_compared(page):
    app = page("experiments.py")
    assert not app.exception
    assert app.dataframe[0].value["Run"].tolist() == ["third", "second", "first"]
    assert [subheader.value for subheader in app.subheader] == ["Figures", "Parameters", "Curves"]
    assert app.multiselect[0].value == ["val/ap50_95", "train/box_loss"]
    app.text_input[0].set_value("epochs=3").run()
    assert app.dataframe[0].value["Run"].tolist() == ["second"]
    app.text_input[0].set_value("nothing like it").run()
    assert app.info[0].value == "No run has all these words."


def test_pages_without_anything_say_how_to_make_it(page, tmp_path):
    assert "maskline train detector" in page("experiments.py", tmp_path).info[0].value
    assert "maskline materialize mask_detector detector_report" in page("report.py", tmp_path).info[0].value
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("photographs", "says"), [(2, "These figures mean nothing"), (4, "did not become champion")])
def test_the_report_says_first_what_it_is_worth(page, tmp_path, photographs, says):
    write_report(tmp_path / "detector_report", photographs)
    app = page("report.py", tmp_path)
    assert not app.exception
    verdict = [*app.warning, *app.info]
    assert says in verdict[0].value
    report = reading.read(tmp_path / "detector_report")
    assert [metric.label for metric in app.metric] == list(reading.TITLES.values())
    assert app.metric[1].value == f"{report.metrics['ap50']:.3f}"
    assert [path.name for paths in report.plots().values() for path in paths] == [
        name for names in reading.PLOTS.values() for name in names
    ]
    row = reading.table(report.metrics)[2]
    assert (row["Class"], row["AP50"]) == ("Worn wrong", "n/a"), "nothing of this class is annotated"


def test_the_server_is_told_everything_on_its_command_line(tmp_path):
    words = command(tmp_path, "127.0.0.1", 8501)
    told = dict(zip(words[5::2], words[6::2], strict=False))
    assert told["--server.address"] == "127.0.0.1"
    assert told["--browser.gatherUsageStats"] == "false"
    assert told["--client.showErrorDetails"] == "none"
    assert {f"--{name}" for name in OPTIONS} <= told.keys()
    assert data_folder(words) == tmp_path
