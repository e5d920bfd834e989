"""Splits: what belongs together stays together; planted leaks are caught; trainers read what is written."""

import random
from collections import Counter
from functools import partial

import cv2
import numpy as np
import pandas as pd
import pytest

from assets_defs.checks.common import no_leak
from assets_defs.checks.detection import class_balance
from ops import images
from ops.content import directory_md5
from ops.detection.likeness import SAME_FACE, Looks, alike, look_at
from ops.detection.shots import read_shots
from ops.detection.split_files import label_file, linkable, read_written
from ops.detection.splits import SPLITS, Member, dealt, grouped, leaks
from ops.manifests import parquet
from ops.masking import LABELS
from ops.records import Box
from ops.sample import portraits
from ops.stages import splits
from ops.store import Dataset, rows_of
from resources.compute import Local

BOX = Box(60, 50, 120, 130)
LIMIT = 10_000_000
SETTINGS = {
    "synthetic": 0,
    "balance": 0.5,
    "reuse": 2,
    "min_face_px": 16,
    "quality": 95,
    "seed": 0,
    "rotation": 15.0,
    "flip": 0.5,
    "jitter": [0.2, 0.2, 0.2, 0.02],
    "translate": 0.1,
    "scale": [0.8, 1.2],
    "shear": 10.0,
}
COLUMNS = ["frame", "folder", "source", "kind", "picture", "content", "identity", "width", "height"]


def texture(seed: int, width: int = 200, height: int = 180) -> np.ndarray:
    """A picture like no other: blobs of all sizes."""
    rng = np.random.default_rng(seed)
    layers = [rng.normal(0, 1, (side, side, 3)) for side in (6, 14, 40)]
    whole = sum(cv2.resize(layer, (width, height), interpolation=cv2.INTER_CUBIC) for layer in layers)
    return np.clip(128 + 40 * whole, 0, 255).astype(np.uint8)


def cut(pixels: np.ndarray, box: Box = BOX) -> np.ndarray:
    x1, y1, x2, y2 = map(int, box)
    return pixels[y1:y2, x1:x2]


def with_crop(pixels: np.ndarray, crop: np.ndarray) -> np.ndarray:
    pasted = pixels.copy()
    cut(pasted)[:] = cv2.resize(crop, (60, 80))
    return pasted


def again(pixels: np.ndarray) -> np.ndarray:
    smaller = images.resized(pixels, (150, 135))
    return images.decode(images.encode_jpeg(np.clip(smaller * 1.1 + 5, 0, 255).astype(np.uint8), 70))


def member(key: str, pixels: np.ndarray, *ties: str, labels: tuple[str, ...] = ("with_mask",)) -> Member:
    scale = pixels.shape[1] / 200
    look, faces = look_at(pixels, [Box(*(side * scale for side in BOX))])
    return Member(key, labels, ties, look, tuple(face for face in faces if face is not None))


def judged(dataset: Dataset):
    return no_leak(read_written(dataset.folder, rows_of(dataset.read(status="done")), max_pixels=LIMIT))


PLANTED = {
    "the same crop": lambda first, other: with_crop(other, cut(first)),
    "the same crop, mirrored": lambda first, other: with_crop(other, cut(first)[:, ::-1]),
    "a mirrored copy": lambda first, _: np.ascontiguousarray(first[:, ::-1]),
    "a smaller, brighter, recoded copy": lambda first, _: again(first),
    "a smaller, mirrored copy": lambda first, _: np.ascontiguousarray(again(first)[:, ::-1]),
}


@pytest.mark.parametrize("plant", PLANTED.values(), ids=PLANTED)
def test_the_same_picture_or_face_is_one_group_and_a_leak_in_two_splits(plant):
    pixels = [texture(seed) for seed in range(5)]
    pixels.append(plant(pixels[0], texture(9)))
    members = [member(str(index), each) for index, each in enumerate(pixels)]
    assert grouped(members) == ["0", "1", "2", "3", "4", "0"]
    found = leaks(members, ["train"] * 5 + ["val"])
    assert [(i, j) for i, j, _ in found] == [(0, 5)]
    assert not leaks(members, ["train", "val", "test", "val", "test", "train"])


@pytest.mark.parametrize("tie", ["identity ann", "video raw/street/a.mp4", "frame 12"])
def test_ties_join_across_others_and_are_leaks(tie):
    known = [("a", tie), ("b",), ("c", tie)]
    members = [member(key, texture(index), *ties) for index, (key, *ties) in enumerate(known)]
    assert grouped(members) == ["a", "b", "a"]
    assert leaks(members, ["train", "train", "test"]) == [(0, 2, tie)]


def test_faces_of_different_people_are_not_the_same():
    one, other = (look_at(pixels, [Box(0, 0, *pixels.shape[1::-1])])[1][0] for pixels in portraits())
    assert not list(alike(Looks.of([one]), Looks.of([other]), SAME_FACE))
    assert list(alike(Looks.of([one]), Looks.of([one[:, ::-1]]), SAME_FACE)) == [(0, 0)]


def crowd(count: int, seed: int = 0) -> list[Member]:
    """Members with boxes as a real set has them: many of one class, few of another, large crowds among them."""
    rng = np.random.default_rng(seed)
    blank, some = np.zeros((32, 32), np.uint8), []
    for index in range(count):
        few = [*["with_mask"] * int(rng.geometric(0.2)), *["without_mask"] * int(rng.poisson(0.8))]
        few += ["mask_weared_incorrect"] * int(rng.random() < 0.1)
        some.append(Member(f"{index:05d}", tuple(few), (), blank, ()))
    return some


def shares(members: list[Member], split: dict[str, str]) -> dict[str, list[float]]:
    counts = {name: Counter() for name in SPLITS}
    for one in members:
        counts[split[one.key]].update(one.boxes)
    total = sum(counts.values(), Counter())
    return {label: [counts[name][label] / total[label] for name in SPLITS] for label in LABELS}


@pytest.mark.parametrize("seed", range(4))
def test_every_class_is_shared_out_by_the_ratios(seed):
    members = crowd(500, seed)
    for label, parts in shares(members, dealt(members, [m.key for m in members], (0.7, 0.2, 0.1), seed)).items():
        assert parts == pytest.approx([0.7, 0.2, 0.1], abs=0.031), label


def test_the_order_of_files_counts_for_nothing_and_few_move_when_some_are_added():
    members = crowd(500)
    keys = [one.key for one in members]
    split = dealt(members, keys, (0.7, 0.2, 0.1))
    mixed = random.Random(1).sample(members, len(members))
    assert dealt(mixed, [one.key for one in mixed], (0.7, 0.2, 0.1)) == split
    before = dealt(members[:480], keys[:480], (0.7, 0.2, 0.1))
    assert sum(before[key] != split[key] for key in keys[:480]) < 48
    assert dealt(members, keys, (0.7, 0.2, 0.1), seed=1) != split


def test_a_group_is_never_torn_and_the_largest_one_is_for_training():
    members = crowd(100)
    groups = ["00000"] * 60 + [f"{index // 4 * 4:05d}" for index in range(60, 100)]
    split = dealt(members, groups, (0.7, 0.2, 0.1))
    assert split["00000"] == "train" and set(split) == set(groups)
    assert set(split.values()) == set(SPLITS)


@pytest.mark.parametrize("ratios", [(0.7, 0.2), (0.7, 0.2, 0.2), (1.2, -0.1, -0.1)])
def test_ratios_must_be_shares_of_a_whole(ratios):
    with pytest.raises(ValueError, match="sum to 1"):
        dealt(crowd(3), ["a", "b", "c"], ratios)


def scenes_of(data, names: dict[str, tuple[np.ndarray, list[tuple[str, Box]], dict]]) -> pd.DataFrame:
    """Write pictures and return their annotated scenes."""
    rows = []
    for name, (pixels, boxes, about) in names.items():
        path = data / about.get("at", "raw/street") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(images.encode_png(pixels))
        relative = path.relative_to(data).as_posix()
        same = {"source": name, "folder": "street", "picture": relative, "content": f"c {name}", "frame": f"f {name}"}
        same |= {"identity": None, "video": None, "synthetic": False, **about}
        same |= {"width": pixels.shape[1], "height": pixels.shape[0]}
        rows += [{**same, "label": label, **box._asdict()} for label, box in boxes or [(None, Box(0, 0, 0, 0))]]
    return pd.DataFrame(rows)


def street(data, *, annotated: bool = True) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Annotated pictures, and drawn ones of one of them and of a person nobody annotated."""
    names = {}
    for index in range(40 if annotated else 0):
        label = "without_mask" if index % 5 == 0 else "mask_weared_incorrect" if index % 13 == 1 else "with_mask"
        extra = {"identity": "ann"} if index in {3, 4} else {"video": "raw/street/a.mp4"} if index in {6, 7} else {}
        names[f"{index}.png"] = (texture(index) // 2 + 64, [(label, BOX)], extra)
    scenes = [scenes_of(data, names)]
    known = [*names, *(f"bare{index}.png" for index in range(3 if annotated else 9))]
    frames = []
    for index, name in enumerate(known):
        path = data / "raw/street" / name
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(images.encode_png(texture(300 + index)))
        drawn = {"synthetic": True, "at": "masked_faces/street", "frame": f"f {name}"}
        labels = [("mask_weared_incorrect" if index % 2 else "with_mask", BOX)]
        pixels = with_crop(images.read(path), texture(500 + index, 60, 80))
        scenes.append(scenes_of(data, {f"drawn{index}.png": (pixels, labels, drawn)}))
        frames.append([f"f {name}", "street", name, "image", f"raw/street/{name}", f"c {name}", None, 200, 180])
    return pd.concat(scenes, ignore_index=True), pd.DataFrame(frames, columns=COLUMNS)


def build(data, scenes: pd.DataFrame, frames: pd.DataFrame, folder, **settings) -> Dataset:
    shots = read_shots(scenes, frames)
    look = partial(splits.Look, data, max_pixels=LIMIT)
    split = splits.deal(shots, look, Local(1), ratios=(0.7, 0.2, 0.1), seed=0)
    items = splits.plan(shots, split, **{**SETTINGS, **settings})
    dataset = Dataset(folder, splits.COLUMNS)
    work = partial(splits.Make, folder, data, split.held, quality=95, max_pixels=LIMIT)
    extras = splits.extras(folder, max_pixels=LIMIT)
    dataset.build(items, work, Local(1), refused=[*shots.told, *split.told], also=extras)
    return dataset


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def tables(data) -> tuple[pd.DataFrame, pd.DataFrame]:
    return street(data)


@pytest.fixture(scope="module")
def made(data, tables) -> Dataset:
    return build(data, *tables, data / "yolo_splits")


@pytest.fixture
def copy(made, tmp_path) -> Dataset:
    """The split again, to plant leaks in."""
    for path in made.folder.rglob("*"):
        target = tmp_path / "copy" / path.relative_to(made.folder)
        if path.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    return Dataset(tmp_path / "copy", splits.COLUMNS)


def test_held_out_splits_hold_photographs_alone_and_groups_stay_whole(made):
    rows = made.read(status="done")
    assert set(rows["origin"]) == {"real", "pasted", "synthetic"}
    assert set(rows.loc[rows["split"] != "train", "origin"]) == {"real"}
    assert (rows.groupby("group")["split"].nunique() == 1).all()
    assert rows.dropna(subset="identity")["split"].nunique() == rows.dropna(subset="video")["split"].nunique() == 1
    drawn = rows[rows["origin"] == "synthetic"]
    real = rows[rows["origin"] == "real"].set_index("frame")["split"]
    assert set(real.reindex(drawn["frame"]).dropna()) == {"train"}
    assert {"f bare0.png", "f bare1.png", "f bare2.png"} <= set(drawn["frame"]), "frames that nobody annotated"
    assert judged(made).passed


def test_pasted_pictures_take_from_training_and_add_to_rare_classes(made):
    rows = made.read(status="done")
    pasted = rows[rows["origin"] == "pasted"]
    train = set(rows.loc[(rows["origin"] == "real") & (rows["split"] == "train"), "content"])
    assert len(pasted) and {key for keys in pasted["made_from"] for key in keys} | set(pasted["content"]) <= train
    assert pasted[["n_without_mask", "n_mask_weared_incorrect"]].sum().sum() >= len(pasted)
    assert [len(labels) for labels in pasted["labels"]] == [len(boxes) / 4 for boxes in pasted["boxes"]]


def test_the_same_pictures_in_any_order_give_the_same_bytes(data, tables, made, tmp_path):
    scenes, frames = (table.sample(frac=1, random_state=1).reset_index(drop=True) for table in tables)
    assert directory_md5(build(data, scenes, frames, tmp_path / "again").folder) == directory_md5(made.folder)


def test_built_again_nothing_is_made(data, tables, made):
    before = {path: path.stat().st_mtime_ns for path in made.folder.rglob("*")}
    build(data, *tables, made.folder)
    assert {path: path.stat().st_mtime_ns for path in made.folder.rglob("*")} == before


def first(dataset: Dataset, split: str) -> str:
    rows = dataset.read(status="done")
    rows = rows[(rows["split"] == split) & (rows["origin"] == "real") & rows["identity"].isna() & rows["video"].isna()]
    return str(rows["output"].iloc[0])


@pytest.mark.parametrize("plant", PLANTED.values(), ids=PLANTED)
def test_a_leak_planted_in_the_files_is_caught(copy, plant):
    train, val = (copy.folder / first(copy, split) for split in ("train", "val"))
    val.write_bytes(images.encode_png(plant(images.read(train), images.read(val))))
    result = judged(copy)
    assert not result.passed and val.name in result.metadata["first"].text


def test_a_picture_that_no_manifest_names_is_caught(copy):
    name = "images/test/stray.png"
    (copy.folder / name).write_bytes(images.encode_png(texture(77)))
    assert name in judged(copy).metadata["first"].text


@pytest.mark.parametrize(
    ("column", "value"), [("identity", "bob"), ("video", "raw/street/b.mp4"), ("frame", "f"), ("origin", "pasted")]
)
def test_a_leak_planted_in_the_manifest_is_caught(copy, column, value):
    table = copy.read()
    both = [first(copy, "val")] if column == "origin" else [first(copy, split) for split in ("train", "val")]
    table.loc[table["output"].isin(both), column] = value
    import pyarrow as pa

    copy.manifest.write_bytes(parquet(pa.Table.from_pandas(table, preserve_index=False)))
    result = judged(copy)
    assert not result.passed and both[-1] in result.metadata["first"].text


def test_ultralytics_reads_it(made, copy):
    from ultralytics.data.dataset import YOLODataset
    from ultralytics.data.utils import check_det_dataset

    text = (copy.folder / "data.yaml").read_text()
    assert str(copy.folder) not in text
    known = check_det_dataset(str(copy.folder / "data.yaml"), autodownload=False)
    assert list(known["names"].values()) == list(LABELS)
    rows = rows_of(copy.read(status="done"))
    for split in SPLITS:
        inside = {known["output"]: known for known in rows if known["split"] == split}
        for source in (known[split], str(copy.folder / f"{split}.txt")):
            read = YOLODataset(source, data=known, augment=False, imgsz=64)
            assert len(read) == len(inside)
            for label in read.labels:
                row = inside[f"images/{split}/{label['im_file'].rsplit('/', 1)[1]}"]
                assert [LABELS[int(number)] for number in label["cls"].ravel()] == list(row["labels"])
                sizes = np.array([row["width"], row["height"]] * 2)
                boxes = np.reshape(row["boxes"], (-1, 4)) / sizes
                corners = np.hstack([label["bboxes"][:, :2] - label["bboxes"][:, 2:] / 2, label["bboxes"][:, :2]])
                assert corners[:, :2] == pytest.approx(boxes[:, :2], abs=1e-5)
    made_files = {path for path in made.folder.rglob("*") if path.is_file()}
    assert {made.folder / label_file(known["output"]) for known in rows} <= made_files
    listed = (made.folder / "train_real.txt").read_text().splitlines()
    assert listed == sorted(f"./{r['output']}" for r in rows if (r["split"], r["origin"]) == ("train", "real"))


def test_without_an_annotation_drawn_pictures_are_dealt_out_by_frame(tmp_path):
    dataset = build(tmp_path, *street(tmp_path, annotated=False), tmp_path / "yolo_splits")
    rows = dataset.read(status="done")
    assert set(rows["origin"]) == {"synthetic"} and {"train", "val"} <= set(rows["split"])
    assert judged(dataset).passed
    assert not class_balance(dataset).passed, "no bare face"


def test_what_cannot_be_read_and_what_repeats_is_told(tmp_path):
    scenes, frames = street(tmp_path)
    scenes.loc[scenes["source"] == "9.png", "content"] = "c 8.png"
    (tmp_path / "raw/street/11.png").write_bytes(b"no picture")
    frames = frames[frames["frame"] != "f bare2.png"]
    dataset = build(tmp_path, scenes, frames, tmp_path / "yolo_splits", synthetic=4, balance=0.0)
    told = dataset.read().set_index("picture")
    assert told["reason"]["masked_faces/street/drawn42.png"] == "the frame it was made from is not there any more"
    assert told["reason"]["raw/street/9.png"] == "same content as raw/street/8.png"
    assert told["status"]["raw/street/11.png"] == "rejected"
    done = dataset.read(status="done")
    assert Counter(done["origin"])["synthetic"] <= 4 and "pasted" not in set(done["origin"])


def test_a_jpeg_that_trainers_would_write_over_is_not_linked(tmp_path):
    whole, longer = tmp_path / "whole.jpg", tmp_path / "longer.jpg"
    whole.write_bytes(images.encode_jpeg(texture(1)))
    longer.write_bytes(whole.read_bytes() + b"more")
    assert linkable(whole) and not linkable(longer) and not linkable(tmp_path / "a.tif")
    disguised, other = tmp_path / "disguised.png", tmp_path / "other.jpg"
    disguised.write_bytes(longer.read_bytes())
    other.write_bytes(images.encode_png(texture(1)))
    assert not linkable(disguised) and linkable(other), "what it is counts, not what it is called"


def test_real_scenes(shared_data, tmp_path):
    """Street scenes, few of which show the same, and a changed copy of one."""
    from ops.detection.splits import Album, resembling

    paths = sorted((shared_data / "voc" / "images").glob("*.jpg"))[:80]
    looks = [look_at(images.read(path))[0] for path in paths]
    members = [Member(path.name, ("with_mask",), (), look, ()) for path, look in zip(paths, looks, strict=True)]
    sizes = Counter(grouped(members))
    assert max(sizes.values()) <= 4 and len(sizes) > 70
    copy = look_at(again(images.read(paths[5]))[:, ::-1])[0]
    assert resembling(Member("copy", (), (), copy, ()), Album(members)) == 5
