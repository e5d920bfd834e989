"""A detector's report: what is written, what is decided, and that both are the same again."""

import csv
import io
import json
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from ops import images
from ops.content import directory_md5, file_md5
from ops.detection.detections import Detections
from ops.detection.evaluation import evaluate
from ops.detection.mistakes import judge
from ops.detection.promotion import ALL, UNSEEN, Floor, decide, seen_before
from ops.detection.report_files import as_table, metrics_of, plots, tables
from ops.detection.worst_cases import caption, draw_case
from ops.masking import LABELS
from ops.sample import portraits
from ops.stages.report import CHAMPION, COLUMNS, ONNX, TRAINED, Contender, Find, files, plan
from ops.store import Dataset, rows_of
from ops.tables import as_json
from resources.champions import contenders
from resources.compute import Local
from tests.reported import BLIND, FACE, HAND, SEEN, constant_detector, write_split, write_trained

FLOOR = Floor(0.5, 0.25, 4)
NOTHING = Detections.of([], [])
TRUTH = Detections.of([FACE], [0])
WRITTEN = {
    *("champion.json", "champion.onnx", "metrics.json", "thresholds.json", "manifest.parquet", "rejects.parquet"),
    *("confusion.csv", "errors.csv", "f1.csv", "p.csv", "pr.csv", "r.csv", "sizes.csv", "worst.jpg"),
    *("confusion.png", "confusion_normalised.png", "errors.png", "f1.png", "p.png", "pr.png", "r.png", "sizes.png"),
}


def report(folder: Path, floor: Floor = FLOOR, *, workers: int = 1, learned: tuple[int, ...] | None = None) -> Dataset:
    """Build the report of what lies in a folder: ``splits``, ``trained`` and ``champion.onnx``."""
    splits, trained, best = folder / "splits", folder / "trained", folder / "champion.onnx"
    present = Contender("shipped", None, None, best.read_bytes(), (0.5, 0.5, 0.5), learned)
    detectors = contenders(trained / ONNX, best)
    rows = rows_of(Dataset(splits).read())
    dataset = Dataset(folder / "report", COLUMNS)
    dataset.build(
        plan(rows, {name: file_md5(each.path) for name, each in detectors.items()}),
        partial(Find, splits, detectors, max_pixels=10**6),
        Local(workers),
        also=files(splits, trained, present, floor, max_pixels=10**6),
    )
    return dataset


def told(dataset: Dataset, name: str) -> dict:
    def never(text: str) -> None:
        raise AssertionError(f"{name} holds {text}, which is no JSON")

    loaded: dict = json.loads((dataset.folder / name).read_text(), parse_constant=never)
    return loaded


@pytest.fixture
def place(tmp_path) -> Path:
    write_split(tmp_path / "splits")
    write_trained(tmp_path / "trained", SEEN)
    constant_detector(tmp_path / "champion.onnx", BLIND)
    return tmp_path


def test_a_good_detector_is_scored_on_the_test_split_and_promoted(place):
    dataset = report(place)
    assert {path.name for path in dataset.folder.iterdir()} == WRITTEN
    rows = dataset.read()
    assert rows.groupby(["detector", "split"]).size().to_dict() == {
        (CHAMPION, "test"): 4,
        (TRAINED, "test"): 4,
        (TRAINED, "val"): 2,
    }
    metrics = told(dataset, "metrics.json")
    assert (metrics["meaningful"], metrics["above_floor"], metrics["promoted"]) == (True, True, True)
    assert (metrics["pictures"], metrics["photographs"], metrics["boxes"], metrics["start"]) == (4, 4, 4, "none")
    face = metrics["per_class"]["with_mask"]
    assert (metrics["ap50"], face["ap50"], face["intervals"]["ap50"]) == (1.0, 1.0, [1.0, 1.0])
    assert metrics["per_class"]["without_mask"]["ap50"] is None
    assert metrics["by_size"]["large"]["boxes"] == 4
    assert metrics["by_size"]["small"]["ap50"] is None
    assert metrics["against_champion"]["ap50_95"] == 1.0
    champion = told(dataset, "champion.json")
    assert (champion["origin"], champion["run_id"], champion["version"]) == ("trained", "a", 1)
    assert champion["metrics"] == {"ap50": 1.0, "ap50_95": 1.0}
    assert champion["thresholds"] == pytest.approx([0.9] * 3), "the class with a truth lends its own to the others"
    assert told(dataset, "thresholds.json") == dict(zip(LABELS, champion["thresholds"], strict=True))
    assert (dataset.folder / "champion.onnx").read_bytes() == (place / "trained" / ONNX).read_bytes()


@pytest.mark.slow
def test_the_same_input_gives_the_same_bytes(place):
    folder = report(place).folder
    whole = directory_md5(folder)
    shutil.rmtree(folder)
    assert directory_md5(report(place, workers=2).folder) == whole


def test_a_bad_detector_leaves_the_champion_where_it_is(place):
    write_trained(place / "trained", BLIND)
    constant_detector(place / "champion.onnx", SEEN)
    dataset = report(place)
    metrics, champion = told(dataset, "metrics.json"), told(dataset, "champion.json")
    assert (metrics["meaningful"], metrics["above_floor"], metrics["promoted"]) == (True, False, False)
    assert champion["origin"] == "shipped"
    assert champion["metrics"] == {"ap50": 1.0, "ap50_95": 1.0}
    assert "below the floor" in champion["why"]
    assert (dataset.folder / "champion.onnx").read_bytes() == (place / "champion.onnx").read_bytes()
    with (dataset.folder / "errors.csv").open() as file:
        counts = {row["mistake"]: int(row["all"]) for row in csv.DictReader(file)}
    assert counts == {"missed": 4, "wrong_class": 0, "poorly_located": 0, "double": 0, "background": 8}


def test_without_photographs_the_figures_mean_nothing(place):
    write_split(place / "splits", origin="synthetic")
    dataset = report(place)
    metrics = told(dataset, "metrics.json")
    assert metrics["ap50"] == 1.0
    assert (metrics["meaningful"], metrics["promoted"], metrics["photographs"]) == (False, False, 0)
    assert "holds 0 annotated photographs" in metrics["why"]
    assert "mean nothing" in metrics["why"]
    assert told(dataset, "champion.json")["metrics"] is None
    assert (dataset.folder / "champion.onnx").read_bytes() == (place / "champion.onnx").read_bytes()


def test_only_what_changed_is_looked_at_again(place):
    first = plan(rows_of(Dataset(place / "splits").read()), {TRAINED: "a", CHAMPION: "b"})
    second = plan(rows_of(Dataset(place / "splits").read()), {TRAINED: "c", CHAMPION: "b"})
    same = {item.fingerprint for item in first} & {item.fingerprint for item in second}
    assert same == {item.fingerprint for item in first if item.payload["detector"] == CHAMPION}


def many(found: Detections, count: int = 6) -> list[Detections]:
    return [found] * count


FOUND = Detections.of([FACE], [0], [0.9])
SHIFTED = Detections.of([(175, 55, 295, 225)], [0], [0.9])


@pytest.mark.parametrize(
    ("trained", "champion", "seen", "floor", "promoted", "compared_on"),
    [
        (FOUND, SHIFTED, None, FLOOR, True, ALL),
        (SHIFTED, FOUND, None, FLOOR, False, ALL),
        (FOUND, FOUND, None, FLOOR, True, ALL),
        (FOUND, SHIFTED, [False] * 6, FLOOR, True, UNSEEN),
        (SHIFTED, FOUND, [True] * 2 + [False] * 4, FLOOR, False, UNSEEN),
        (SHIFTED, FOUND, [True] * 3 + [False] * 3, FLOOR, True, None),
        (SHIFTED, FOUND, [True] * 6, Floor(0.5, 0.9, 4), False, None),
        (NOTHING, NOTHING, None, FLOOR, False, ALL),
        (FOUND, NOTHING, None, Floor(0.5, 0.25, 7), False, None),
    ],
)
def test_who_becomes_champion(trained, champion, seen, floor, promoted, compared_on):
    truths, ours, theirs = many(TRUTH), many(trained), many(champion)
    scores = evaluate(truths, ours, (0.5,) * 3, draws=10).all.scores
    seen = None if seen is None else np.array(seen)
    made = decide(floor, scores, len(truths), truths, ours, theirs, seen)
    assert (made.promoted, made.compared_on) == (promoted, compared_on)
    assert made.meaningful == (floor.photographs <= 6)
    if compared_on == ALL and made.above_floor:
        assert "may have learned from some of these photographs" in made.why


def test_only_the_pictures_that_the_champion_learned_from_do_not_count(tmp_path):
    hashes = write_split(tmp_path)
    assert seen_before(hashes, None) is None
    assert seen_before(hashes, []).tolist() == [False] * 4
    assert seen_before(hashes, [hashes[1] ^ 0b11]).tolist()[1]
    assert not seen_before([0], [(1 << 8) - 1]).any()


def test_a_detector_tells_what_it_learned_from(tmp_path):
    from resources.mask_detectors import OnnxMaskDetector

    assert OnnxMaskDetector(constant_detector(tmp_path / "a.onnx", SEEN)).learned is None
    assert OnnxMaskDetector(constant_detector(tmp_path / "b.onnx", SEEN, learned=[7, 1 << 63])).learned == (7, 1 << 63)


@pytest.fixture(scope="module")
def done():
    """Two classes of three, with a mistake of every kind."""
    truth = Detections.of([FACE, HAND, (10, 10, 24, 24)], [0, 1, 0])
    found = Detections.of(
        [FACE, FACE, HAND, (17, 10, 31, 24), (400, 0, 430, 40)], [0, 0, 0, 0, 1], [0.9, 0.8, 0.7, 0.6, 0.5]
    )
    return evaluate([truth, TRUTH], [found, FOUND], (0.5, 0.5, 0.5), draws=50)


def test_plots_are_pictures(done):
    for name, data in plots(done).items():
        pixels = images.decode(data)
        assert min(pixels.shape[:2]) >= 300, name
        assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 20, f"{name} shows something"


def test_tables_have_a_row_for_everything(done):
    read = {name: list(csv.DictReader(io.StringIO(data.decode()))) for name, data in tables(done).items()}
    assert len(read["pr.csv"]) == len(read["f1.csv"]) == 101
    assert read["pr.csv"][0] == {"recall": "0.00", "with_mask": "1.0000", "without_mask": "0.0000", LABELS[2]: ""}
    assert [row["found"] for row in read["confusion.csv"] if row["annotated"] == "without_mask"] == ["with_mask"]
    assert len(read["confusion.csv"]) == 3 + 4, "an annotated box each, and found ones without any"
    small = [row for row in read["sizes.csv"] if (row["size"], row["class"]) == ("small", "with_mask")]
    assert [row["boxes"] for row in small] == ["1"]


def test_figures_for_people_have_intervals(done):
    decision = decide(FLOOR, done.all.scores, 2, [], [], [], None)
    metrics = metrics_of(done, decision, {"pictures": 2})
    table = as_table(json.loads(as_json(metrics)))
    assert "| mask_weared_incorrect | 0 | - | - | - | - |" in table
    assert table.count("[") == 12
    assert next(iter(metrics)) == "meaningful"


def test_a_worst_case_shows_what_is_annotated_and_what_was_found():
    portrait = portraits()[0]
    missed = judge(TRUTH, NOTHING, (0.5,) * 3)
    found = judge(NOTHING, FOUND, (0.5,) * 3)
    dashed, solid = (draw_case(portrait, one) for one in (missed, found))
    green = [(pixels == (80, 220, 100)).all(axis=2).sum() for pixels in (dashed, solid)]
    assert 100 < green[0] < 0.6 * green[1], "dashes leave gaps"
    assert caption(missed, "a_very_long_name_of_a_picture.jpg").splitlines() == [
        "…g_name_of_a_picture.jpg",
        "1 of 1 wrong",
        "1\xa0missed",
    ]
