"""The report on unmasking: figures that count what they say, baselines that do what they are called, a judgement."""

import csv
import json
from functools import partial

import numpy as np
import pytest
from skimage.metrics import structural_similarity

from assets_defs.checks.unmasking import beats_baselines
from ops import images
from ops.content import directory_md5
from ops.records import Pose
from ops.sample import portraits
from ops.stages.unmasking_report import BEYOND, COLUMNS, METRICS, SHEETS, Judge, Looks, files, plan, references
from ops.store import Dataset, rows_of
from ops.training.faces import read_square
from ops.unmasking import baselines
from ops.unmasking.baselines import AHEAD, BASELINES, MASKED, MEAN, NEAREST, TELEA, learn, mesh_of, onto
from ops.unmasking.judgement import COMPLETED, CONTENDERS, FOUND, GIVEN, Floor, as_table, beats, bucket, judged_of
from ops.unmasking.scores import cosine, estimate, nearness
from resources.compute import Local
from resources.embedders import DLIB, BadNetwork, Embedder, embedder
from resources.unmaskers import OnnxUnmasker
from tests.colour_networks import colour_networks
from tests.posed import posed
from tests.tiny_pairs import FACES, make_pairs

SIZE = 64
ABOUT = {"identity_by": "colours"}
FLOOR = Floor(2.0, 0.05, 2)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory) -> Dataset:
    return make_pairs(tmp_path_factory.mktemp("pairs"), size=SIZE, train=4, val=1, test=2)


@pytest.fixture(scope="module")
def rows(pairs) -> list:
    return rows_of(pairs.read(status="done"))


def one(rows, **wanted):
    return next(known for known in rows if all(known[name] == value for name, value in wanted.items()))


# --- scores


def test_a_region_is_compared_and_nothing_else():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 255, (40, 50, 3), np.uint8)
    inside = np.zeros((40, 50), bool)
    inside[12:30, 5:20] = True
    made = truth.copy()
    made[inside] = np.where(truth[inside] > 100, truth[inside] - 10, truth[inside] + 10)
    near = nearness(truth, made, inside)
    assert near.l1 == 10 and near.psnr == pytest.approx(10 * np.log10(255**2 / 100))
    _, whole = structural_similarity(truth, made, channel_axis=2, full=True)
    assert near.ssim == pytest.approx(whole[inside].mean())
    far = made.copy()
    far[:8, 40:] = 255 - truth[:8, 40:]
    assert nearness(truth, far, inside) == near
    assert nearness(truth, truth, inside) == (60, 1, 0)


def test_pictures_of_one_person_are_no_evidence_of_many():
    rng = np.random.default_rng(1)
    people = rng.normal(0, 1, 20)
    values = np.repeat(people, 10)[:, None]
    apart = estimate(values, [f"{square}" for square in range(200)])
    together = estimate(values, [f"{square // 10}" for square in range(200)])
    assert apart.mean[0] == pytest.approx(people.mean()) and together.mean[0] == pytest.approx(people.mean())
    wide, narrow = (told.high[0] - told.low[0] for told in (together, apart))
    assert wide == pytest.approx(2 * 1.96 * people.std() / np.sqrt(20), rel=0.1)
    assert wide > 2.5 * narrow
    nothing = estimate(np.full((2, 1), np.nan), ["a", "b"])
    assert all(np.isnan(part).all() for part in nothing)


# --- baselines


def test_a_face_warped_onto_itself_stays_and_onto_another_its_points_go_there():
    rng = np.random.default_rng(0)
    square = np.kron(rng.integers(60, 200, (16, 16, 3)), np.ones((8, 8, 1))).astype(np.uint8)
    mesh, target = posed((60, 64), 70).mesh[:, :2], posed((66, 60), 60, yaw=25).mesh[:, :2]
    assert np.abs(onto(square, mesh, mesh, AHEAD).astype(int) - square).max() <= 1
    for point in (1, 13, 10, 205):
        x, y = mesh[point].round().astype(int)
        marked = square.copy()
        marked[y - 2 : y + 3, x - 2 : x + 3] = (255, 0, 255)
        moved = onto(marked, mesh, target, Pose(25, 0, 0))
        seen = np.argwhere((np.abs(moved.astype(int) - (255, 0, 255)) < 50).all(axis=2))
        assert len(seen) and np.linalg.norm(seen.mean(axis=0)[::-1] - target[point]) < 2.5, point


def test_what_is_turned_away_is_hidden_by_what_is_nearer():
    """Of a face that looks aside the far cheek, painted red, lies behind the nose and is not seen."""
    mesh = posed((64, 64), 70).mesh[:, :2]
    square = np.full((128, 128, 3), 150, np.uint8)
    square[:, :40] = (255, 0, 0)
    for yaw, share in ((0, 0.1), (55, 0.25), (-55, 0.02)):
        target = posed((64, 64), 70, yaw=yaw).mesh[:, :2]
        x1, x2 = target[:, 0].min(), target[:, 0].max()
        middle = onto(square, mesh, target, Pose(yaw, 0, 0))[50:80, int(x1) : int(x2)]
        red = float((middle[..., 0] > 200).mean())
        assert red > share if share > 0.02 else red < share, (yaw, red)


def test_the_nearest_face_is_the_one_that_looks_alike_where_it_is_seen(pairs, rows):
    learned = learn(pairs.folder, rows, SIZE)
    assert len(learned.rows) == 8 and all(known["split"] == "train" for known in learned.rows)
    for number in (0, 1):
        for photograph in (0, 1):
            known = one(rows, frame=f"test{number}_{photograph}", wearing="masked", variant=0)
            square, alpha = read_square(pairs.folder, known, SIZE)
            near = learned.rows[learned._nearest(square, alpha > 0, mesh_of(known, SIZE))]
            assert near["frame"] == f"train{number}_{photograph}", "it is the same photograph"


def test_baselines_do_what_they_are_called(pairs, rows):
    known = one(rows, frame="test0_0", wearing="masked", variant=1)
    square, alpha = read_square(pairs.folder, known, SIZE)
    truth, _ = read_square(pairs.folder, one(rows, frame="test0_0", wearing="bare"), SIZE)
    learned = learn(pairs.folder, rows, SIZE)
    region = alpha > 0
    made = learned.completed(square, region, mesh_of(known, SIZE), Pose(0, 0, 0))
    assert tuple(made) == BASELINES and made[MASKED] is square
    assert (made[TELEA][~region] == square[~region]).all() and (made[TELEA][region] != square[region]).any()
    near = {name: nearness(truth, each, region).psnr for name, each in made.items()}
    assert near[NEAREST] > 30 > near[MEAN] > near[MASKED]
    faces = [read_square(pairs.folder, each, SIZE)[0] for each in learned.rows]
    spread = np.mean([nearness(face, learned.mean, region).psnr for face in faces])
    assert spread > np.mean([nearness(face, faces[0], region).psnr for face in faces[2:]])


@pytest.mark.parametrize("size", [32, 128])
def test_a_mesh_goes_with_its_square_to_any_size(pairs, rows, size):
    known = one(rows, wearing="bare")
    mesh = mesh_of(known, size)
    assert np.allclose((mesh + 0.5) / size, (mesh_of(known, SIZE) + 0.5) / SIZE, atol=1e-5)


# --- embedders


def test_an_embedder_of_ones_own_knows_people_again(mirror):
    look = embedder(str(mirror / "mobilefacenet.onnx"))
    pixels, (collins, hopper) = portraits(), (face.mesh for face in FACES)
    a, dim, b = look(pixels[0], collins), look((pixels[0] * 0.6).astype(np.uint8), collins), look(pixels[1], hopper)
    assert np.linalg.norm(a) == pytest.approx(1, abs=1e-5)
    assert cosine(a, dim) > 0.8 and cosine(a, b) < 0.3


def test_dlibs_network_knows_people_again():
    look = embedder("auto")
    if look is None:
        pytest.skip("dlib_resnet can't be had")
    pixels, (collins, hopper) = portraits(), (face.mesh for face in FACES)
    a, dim, b = look(pixels[0], collins), look((pixels[0] * 0.6).astype(np.uint8), collins), look(pixels[1], hopper)
    assert look.name == DLIB and len(a) == 128
    assert cosine(a, dim) > 0.95 and cosine(a, b) < 0.9


def test_what_is_no_embedder_is_refused(tmp_path):
    assert embedder("none") is None
    with pytest.raises(ValueError, match="identity is 'arcface'; use one of auto, dlib_resnet, none, or the path"):
        embedder("arcface")
    with pytest.raises(FileNotFoundError):
        embedder(str(tmp_path / "none.onnx"))
    path = colour_networks(tmp_path).segmenter
    with pytest.raises(BadNetwork, match=r"an embedder takes \(n, 3, s, s\) and gives \(n, k\)"):
        Embedder(path.name, path, "")(portraits()[0], FACES[0].mesh)


# --- the report


def colours(pixels, mesh):
    """A vector of a face: the colours around its mouth."""
    x, y = np.asarray(mesh)[13, :2].round().astype(int)
    part = pixels[y - 4 : y + 5, x - 4 : x + 5].reshape(-1).astype(np.float32) - 128
    return part / np.linalg.norm(part)


def build(pairs, folder, unmasker: OnnxUnmasker, *, workers=1, floor=FLOOR, embed=colours, size=SIZE):
    rows = rows_of(pairs.read(status="done"))
    looks = Looks(unmasker, embed, (size, size))
    dataset = Dataset(folder, COLUMNS)
    work = partial(Judge, pairs.folder, references(rows), looks)
    also = files(pairs.folder, rows, looks, floor, ABOUT)
    return dataset, dataset.build(plan(rows, (size, size), {"networks": "x"}), work, Local(workers), also=also)


@pytest.fixture(scope="module")
def unmasker(tmp_path_factory):
    return colour_networks(tmp_path_factory.mktemp("networks"), SIZE)


@pytest.fixture(scope="module")
def made(pairs, unmasker, tmp_path_factory):
    return build(pairs, tmp_path_factory.mktemp("report"), unmasker)[0]


def test_every_masked_square_of_the_test_split_is_judged_and_no_other(made, rows):
    told = rows_of(made.read())
    masked = {known["output"] for known in rows if (known["split"], known["wearing"]) == ("test", "masked")}
    expected = {(name, given, contender) for name in masked for given in GIVEN for contender in CONTENDERS}
    judged = [(known["picture"], known["given"], known["contender"]) for known in told if known["wearing"] == "masked"]
    assert len(judged) == len(set(judged)) and set(judged) == expected
    bare = [known for known in told if known["wearing"] == "bare"]
    assert len(bare) == 4 and all(known["taken"] < 0.05 and known["contender"] is None for known in bare)


def test_what_lies_beyond_the_picture_is_not_judged(pairs, rows, unmasker):
    looks = Looks(unmasker, None, (SIZE, SIZE))

    def judged(share):
        """As if pictures ended at a share of their faces' height."""
        cut = [{**each, "height": round(each["y1"] + share * (each["y2"] - each["y1"]))} for each in rows]
        item = next(item for item in plan(cut, (SIZE, SIZE), {}) if item.payload["masked"])
        return [known for known in Judge(pairs.folder, references(cut), looks)(item) if known["wearing"] == "masked"]

    whole, cut, gone = (judged(share) for share in (1.5, 0.8, 0.2))
    assert {known["status"] for known in whole + cut} == {"done"}
    assert all(a["psnr"] != b["psnr"] for a, b in zip(whole, cut, strict=True) if a["contender"] == "completed")
    assert {(known["status"], known["reason"]) for known in gone} == {("skipped", BEYOND)}


def test_what_the_report_says_is_what_is_there(made):
    told = json.loads((made.folder / METRICS).read_text())
    assert list(told)[:4] == ["meaningful", "beats_baselines", "people", "squares"]
    assert (told["meaningful"], told["people"], told["squares"]) == (True, 2, 8)
    assert told["segmenter"]["dice"] > 0.95 and told["segmenter"]["taken"] < 0.05
    best = told["true"]["nearest_face"]
    assert best["psnr"] > 25 and told["ahead"]["psnr"]["of"] == "nearest_face" and told["ahead"]["psnr"]["by"] < 0
    assert not told["beats_baselines"], "one tone of skin is no face, and somebody has that very photograph"
    assert told["found"]["completed"]["psnr"] > told["found"]["masked"]["psnr"]
    assert told["ahead"]["identity"]["of"] == told["ahead"]["second"]["of"] == "masked"
    assert told["found"]["nearest_face"]["identity"] > told["found"]["masked"]["identity"]
    assert all(told["true"][contender]["identity"] is None for contender in CONTENDERS)
    assert f"| found | telea | {told['found']['telea']['psnr']:.3f} [" in as_table(told)


def test_a_second_photograph_is_another_one_of_the_same_person(rows):
    items = plan(rows, (SIZE, SIZE), {})
    assert len(items) == 4
    for item in items:
        bare, second = item.payload["bare"], item.payload["second"]
        assert second["identity"] == bare["identity"] and second["frame"] != bare["frame"]
    unknown = [{**known, "identity": None} for known in rows]
    same_video = [{**known, "video": "raw/home/clip.mp4"} for known in rows]
    for some in (unknown, same_video):
        assert all(item.payload["second"] is None for item in plan(some, (SIZE, SIZE), {}))


def test_tables_have_a_row_for_each_group(made):
    with (made.folder / "figures.csv").open() as table:
        lines = list(csv.DictReader(table))
    groups = {(line["group"], line["value"]) for line in lines}
    assert groups >= {("all", "all"), ("kind", "surgical"), ("kind", "cloth"), ("mask_state", "correct")}
    assert len(lines) == len(groups) * len(GIVEN) * len(CONTENDERS)
    told = json.loads((made.folder / METRICS).read_text())
    (line,) = (line for line in lines if (line["given"], line["group"], line["contender"]) == (FOUND, "all", COMPLETED))
    assert float(line["ssim"]) == told["found"]["completed"]["ssim"]
    assert float(line["ssim_low"]) <= float(line["ssim"]) <= float(line["ssim_high"])
    with (made.folder / "segmenter.csv").open() as table:
        assert {float(line["dice"]) > 0.9 for line in csv.DictReader(table)} == {True}


def test_sheets_go_from_best_to_worst(made):
    shapes = {images.read(made.folder / name).shape for name in SHEETS}
    assert len(shapes) == 1 and shapes.pop()[1] > 7 * 192
    judged = judged_of(rows_of(made.read(status="done")), FOUND)
    assert np.ptp(judged.values[:, 0, 1]) > 0.01, "there is a best and a worst"


def test_workers_change_nothing_and_a_rerun_makes_nothing(made, pairs, unmasker, tmp_path):
    again, _ = build(pairs, tmp_path / "again", unmasker, workers=2)
    assert directory_md5(again.folder) == directory_md5(made.folder)
    _, report = build(pairs, made.folder, unmasker)
    assert (report.made, report.kept) == (0, 4) and directory_md5(again.folder) == directory_md5(made.folder)


def test_without_test_people_it_is_made_and_says_that_it_means_nothing(unmasker, tmp_path):
    small = make_pairs(tmp_path / "pairs", size=32, train=1)
    dataset, _ = build(small, tmp_path / "report", unmasker, embed=None, floor=Floor())
    told = json.loads((dataset.folder / METRICS).read_text())
    assert (told["meaningful"], told["beats_baselines"], told["squares"]) == (False, False, 0)
    assert told["found"]["completed"]["psnr"] is None
    result = beats_baselines(dataset)
    assert not result.passed and result.severity.value == "WARN"
    assert {path.name for path in dataset.folder.glob("*.png")} == {"contenders.png", "groups.png"}
    assert not list(dataset.folder.glob("*.jpg")) and "| found | completed | - |" in as_table(told)


# --- the judgement


def ahead(psnr, ssim, identity, low=0.1):
    figures = {"psnr": psnr, "ssim": ssim} | ({} if identity is None else {"identity": identity})
    return {name: {"of": "x", "by": by, "interval": [by - low, by + low]} for name, by in figures.items()}


@pytest.mark.parametrize(
    ("against", "expected"),
    [
        (ahead(2.5, 0.2, 0.2), True),
        (ahead(2.5, 0.2, None), True),
        (ahead(1.9, 0.2, 0.2), False),
        (ahead(2.5, 0.04, 0.2, low=0.01), False),
        (ahead(2.5, 0.2, 0.05), False),
        (ahead(2.5, 0.06, 0.2), False),
        ({}, False),
    ],
)
def test_baselines_are_beaten_by_enough_and_beyond_chance(against, expected):
    assert beats(against, FLOOR) is expected


def test_the_check_blocks_only_where_figures_mean_something(made, tmp_path):
    result = beats_baselines(made)
    assert not result.passed and result.severity.value == "ERROR" and result.metadata["people"].value == 2
    for meaningful, passed, severity in ((True, True, "ERROR"), (False, False, "WARN")):
        told = json.loads((made.folder / METRICS).read_text())
        told |= {"meaningful": meaningful, "beats_baselines": passed}
        (tmp_path / METRICS).write_text(json.dumps(told))
        result = beats_baselines(Dataset(tmp_path))
        assert (result.passed, result.severity.value) == (passed, severity)


def test_faces_are_parted_by_how_far_they_are_turned():
    assert [bucket(yaw) for yaw in (0, 14.9, -15, 44, 60)] == [
        *("0 to 15", "0 to 15", "15 to 30", "30 to 45", "45 and more")
    ]
    assert baselines.THUMB < SIZE
