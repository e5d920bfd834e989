"""Annotations in: what other people's Pascal VOC, YOLO and COCO files tell, and what becomes of hostile ones."""

import json
import os
import random
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from ops import images
from ops.content import directory_md5
from ops.detection.annotation_formats import LARGEST, read_coco, read_names, read_voc, read_yolo
from ops.detection.annotations import BadAnnotation, Names, class_map, format_of, places, settle
from ops.masking import LABELS
from ops.records import Refusal
from ops.sample import portraits
from ops.stages import frames, scenes
from ops.store import Dataset
from resources.compute import Local

ROOT = Path(__file__).resolve().parents[2]
SIDES = ["x1", "y1", "x2", "y2"]
TABLE = class_map(yaml.safe_load((ROOT / "params.yaml").read_text())["annotated_scenes"]["classes"])


def thing(name: str = "with_mask", box: tuple = (11, 21, 50, 80), more: str = "") -> str:
    sides = "".join(f"<{s}>{v}</{s}>" for s, v in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True))
    return f"<object><name>{name}</name>{more}<bndbox>{sides}</bndbox></object>"


def voc(name: str, *things: str, size: tuple[int, int] | None = (120, 100)) -> bytes:
    told = f"<size><width>{size[0]}</width><height>{size[1]}</height></size>" if size else ""
    return f"<annotation><filename>{name}</filename>{told}{''.join(things)}</annotation>".encode()


def coco(pictures: list, annotations: list, names: dict | None = None) -> bytes:
    kinds = [{"id": number, "name": name} for number, name in (names or {1: "mask", 2: "no mask"}).items()]
    return json.dumps({"images": pictures, "annotations": annotations, "categories": kinds}).encode()


def write(folder: Path, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


@pytest.fixture(scope="module")
def picture() -> list[bytes]:
    """Six different pictures of 120 x 100 pixels, cut out of a portrait."""
    whole = portraits()[0]
    return [images.encode_jpeg(np.ascontiguousarray(whole[30 * n : 30 * n + 100, 160:280])) for n in range(6)]


def table_of(data: Path, first_pixel: int = 1) -> tuple[pd.DataFrame, scenes.Plan]:
    """Run frames over every source of ``data/raw``, then make the table."""
    folders = sorted(path.name for path in (data / "raw").iterdir())
    for folder in folders:
        settings = {"fps": 1.0, "max_pixels": 10**6}
        items, told = frames.plan(data / "raw" / folder, identity="parent", **settings)
        dataset = Dataset(data / "frames" / folder, frames.COLUMNS)
        dataset.build(items, partial(frames.Decode, dataset.folder, **settings), Local(1), refused=told)
    wanted = scenes.plan(data, folders, TABLE, first_pixel=first_pixel)
    dataset = Dataset(data / "annotated_scenes", scenes.COLUMNS)
    dataset.build(wanted.items, partial(scenes.Judge, data, TABLE), Local(1), refused=wanted.told)
    return dataset.read(), wanted


def boxes(rows: pd.DataFrame) -> list[tuple]:
    done = rows[(rows["status"] == "done") & rows["label"].notna()]
    return [(row["label"], *(round(row[side], 3) for side in SIDES)) for _, row in done.iterrows()]


def refused(rows: pd.DataFrame, source: str) -> list[str]:
    return list(rows.loc[(rows["source"] == source) & (rows["status"] == "rejected"), "reason"])


@pytest.mark.parametrize(("first_pixel", "expected"), [(1, (10.0, 20.0, 50.0, 80.0)), (0, (11.0, 21.0, 50.0, 80.0))])
def test_voc_counts_from_one_unless_told_otherwise(first_pixel, expected):
    flags = "<difficult>1</difficult><truncated>Unspecified</truncated>"
    told = read_voc(voc("a.jpg", thing(more=flags)), "annotations/a.xml", first_pixel=first_pixel)
    (mark,) = told.marks
    assert mark.box == expected
    assert (mark.difficult, mark.truncated, told.size) == (True, None, (120, 100))
    assert told.places[0] == "images/a.jpg"


def test_yolo_shares_and_names(tmp_path):
    names = read_names(b"path: ../elsewhere\ntrain: images\nnames: {0: no mask, 7: mask}\n", "data.yaml")
    assert names.by_id == {"0": "no mask", "7": "mask"}
    assert names.problems == ("path '../elsewhere' leaves the source",)
    told = read_yolo(b"7 0.5 0.5 0.25 0.5\n\n3 .5 .5 .1 .1\n", "labels/train/a.txt", names)
    good, unknown = told.marks
    assert good.name == "mask"
    assert good.box == (0.375, 0.25, 0.625, 0.75)
    assert unknown.problem == "unknown class: data.yaml has no id '3'"
    assert told.places[0] == "images/train/a"
    assert read_names(b"mask\n\nno mask\n", "labels/classes.txt").by_id == {"0": "mask", "2": "no mask"}


def test_coco_tells_a_face_by_its_own_box_where_there_is_one():
    about = {"image_id": 5, "category_id": 1, "bbox": [40, 50, 20, 10]}
    data = coco([{"id": 5, "file_name": "a.jpg"}], [about, {**about, "face_box": [30, 30, 40, 50]}])
    (told,) = read_coco(data, "annotations/instances_train.json")
    assert [mark.box for mark in told.marks] == [(40, 50, 60, 60), (30, 30, 70, 80)]
    assert {"images/a.jpg", "annotations/a.jpg", "images/train/a.jpg", "train/a.jpg"} <= set(told.places)


@pytest.mark.parametrize(
    ("spelt", "label"),
    [
        ("mask_weared_incorrect", 2),
        ("incorrect_mask", 2),
        ("Mask Worn Incorrectly", 2),
        ("mask-worn-incorrectly", 2),
        ("improperly_masked", 2),
        ("With-Mask", 0),
        ("MASK", 0),
        ("no mask", 1),
        ("1", 1),
    ],
)
def test_usual_spellings_are_known(spelt, label):
    from ops.detection.annotations import spelling

    assert TABLE[spelling(spelt)] == LABELS[label]


def test_a_class_map_that_contradicts_itself_is_refused():
    with pytest.raises(ValueError, match="there is no class 'masked'; there are with_mask"):
        class_map({"masked": ["mask"]})
    with pytest.raises(ValueError, match="'No-Mask' stands for with_mask and for without_mask"):
        class_map({"with_mask": ["no mask"], "without_mask": ["No-Mask"]})


def test_only_what_can_be_an_annotation_is_taken_for_one():
    names = ["a/x.XML", "labels/x.txt", "labels/classes.txt", "x/instances_val.json", "_a.coco.json", "data.yaml"]
    assert [format_of(name) for name in names] == ["voc", "yolo", "names", "coco", "coco", "names"]
    assert [format_of(name) for name in ("README.txt", "info.json", "a.jpg", "params.yaml")] == [None] * 4


def test_places_stay_in_the_source():
    assert places("instances.json", "../a.jpg") == ("a.jpg", "a.jpg", "a.jpg")
    assert places("annotations/x.xml", "/etc/passwd") == ()


@pytest.mark.parametrize(
    ("box", "reason"),
    [
        ((5, 5, 5, 20), "no area: 5, 5, 5, 20"),
        ((9, 5, 5, 20), "no area"),
        ((float("nan"), 0, 5, 5), "no area"),
        ((99.5, 10, 130, 20), "less than a pixel of it is inside a picture of 100 x 50"),
        ((-1e300, 0, 1e300, 20), "further beyond a picture of 100 x 50"),
    ],
)
def test_boxes_that_are_none(box, reason):
    with pytest.raises(Refusal, match=reason):
        settle(box, 100, 50)


def test_boxes_past_the_edge_are_cut_and_told():
    assert settle((-3, 10, 120, 40), 100, 50) == ((0, 10, 100, 40), True)
    assert settle((-1e-9, 0, 100 + 1e-3, 50), 100, 50) == ((0, 0, 100, 50), False)


BOMB = '<!DOCTYPE z [<!ENTITY a "{}">{}]><annotation><filename>&j;</filename></annotation>'.format(
    "ha" * 100, "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefghi", "bcdefghij", strict=True))
)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no XML"),
        (voc("a.jpg", thing())[:-20], "no XML"),
        (b"\xff\xfe\x00<", "no XML"),
        (b'<?xml version="1.0" encoding="klingon"?><annotation/>', "no XML"),
        (BOMB.encode(), "document type or entities"),
        (b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotation>&x;</annotation>', "document type"),
        (b'<!DOCTYPE a SYSTEM "http://127.0.0.1/a.dtd"><annotation/>', "document type"),
        (b"<dataset/>", "no Pascal VOC: its root is 'dataset'"),
        (b"<a>" * 100_000, "no XML"),
        (voc("../../x.jpg", thing()), "its picture '../../x.jpg' leaves the folder"),
        (voc("/etc/passwd", thing()), "its picture '/etc/passwd' leaves the folder"),
    ],
)
def test_broken_and_hostile_xml_is_refused(data, reason):
    with pytest.raises(BadAnnotation, match=reason):
        read_voc(data, "annotations/a.xml")


MERGE_BOMB = "a0: &a0 {k: v}\n" + "".join(f"a{n}: &a{n} {{<<: [{f'*a{n - 1}, ' * 9}]}}\n" for n in range(1, 12))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"names: [", "no YAML"),
        (b"names: !!python/object/apply:os.system [id]", "no YAML"),
        (MERGE_BOMB.encode(), "aliases"),
        (b"[" * 30_000, "nested more than 16 deep"),
        (b"nc: 3", "no class names"),
        (b"names: 3", "no class names"),
        (b"names: [[a], b]", "no class names"),
        (b"names: [0x" + b"f" * 20_000 + b"]", "no class names"),
        (b"\xff\xfe", "no YAML|no class names"),
    ],
)
def test_broken_and_hostile_yaml_is_refused(data, reason):
    with pytest.raises(BadAnnotation, match=reason):
        read_names(data, "data.yaml")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("0 .5 .5 .2", "this one has 4 parts"),
        ("0 .1 .1 .2 .2 .3 .3", "this one has 7 parts"),
        ("0 nan .5 .2 .2", "'nan' is no number of pixels"),
        ("0 inf .5 .2 .2", "'inf' is no number"),
        ("0 .5 x .2 .2", "'x' is no number"),
        ("0 160 120 40 40", "from 0 to 1: 160, 120, 40, 40"),
        ("-1 .5 .5 .2 .2", "has no id '-1'"),
        ("\ud800 .5 .5 .2 .2".encode("utf-8", "replace").decode(), "has no id"),
    ],
)
def test_lines_of_yolo_that_are_no_boxes(line, reason):
    names = Names("data.yaml", {"0": "mask"})
    (mark,) = read_yolo(line.encode(), "labels/a.txt", names).marks
    assert reason in mark.problem


def test_yolo_that_is_no_text_is_refused():
    with pytest.raises(BadAnnotation, match="not UTF-8 text"):
        read_yolo(b"\x80\x81", "labels/a.txt", None)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no JSON"),
        (b"[" * 200_000, "no JSON"),
        (b"[1]", "no COCO: it needs a list 'images'"),
        (b'{"images": [], "annotations": {}, "categories": []}', "a list 'annotations'"),
        (b"1" * 5000, "no JSON"),
        (
            b'{"images": [], "annotations": [], "categories": [{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]}',
            "two categories have the id '1': 'a' and 'b'",
        ),
    ],
)
def test_json_that_is_no_coco_is_refused(data, reason):
    with pytest.raises(BadAnnotation, match=reason):
        read_coco(data, "instances.json")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"category_id": 9}, "no category has the id '9'"),
        ({"category_id": [1]}, "no category has the id"),
        ({"bbox": None}, "a box is x, y, width, height, not 'None'"),
        ({"bbox": [1, 2, 3]}, "a box is x, y"),
        ({"bbox": [1, 2, float("nan"), 3]}, "'nan' is no number of pixels"),
        ({"bbox": [1, 2, float("inf"), 3]}, "'inf' is no number of pixels"),
        ({"bbox": [1, 2, 10**400, 3]}, "is no number"),
        ({"bbox": ["\ud800", 2, 3, 3]}, "ud800' is no number"),
        ({"bbox": [True, 2, 3, 3]}, "is no number of pixels"),
        ({"iscrowd": 1}, "a crowd, not one face"),
    ],
)
def test_coco_annotations_that_are_no_boxes(change, reason):
    about = {"image_id": 1, "category_id": 1, "bbox": [10, 10, 20, 20], **change}
    (told,) = read_coco(coco([{"id": 1, "file_name": "a.jpg"}], [about]), "instances.json")
    assert reason in told.marks[0].problem


def test_coco_pictures_that_are_none():
    box = {"category_id": 1, "bbox": [10, 10, 20, 20]}
    pictures = [{"id": 1, "file_name": "../a.jpg"}, {"id": 2}, {"file_name": "b.jpg"}, "x", {"id": 2, "file_name": "c"}]
    told = read_coco(coco(pictures, [{**box, "image_id": 1}, {**box, "image_id": 8}]), "instances.json")
    problems = [each.problem for each in told]
    assert problems == [
        "its picture '../a.jpg' leaves the source's folder",
        "a picture without a file_name",
        "a picture without an id",
        "a picture without an id",
        "another picture has the id '2' too",
        "no picture has the id '8'",
    ]
    assert [len(each.marks) for each in told] == [1, 0, 0, 0, 0, 1]


def test_damaged_bytes_never_crash_a_reader():
    """Thousands of mutations of good files: each is read, or refused with a reason."""
    draw = random.Random(4)
    good = {
        partial(read_voc, path="annotations/a.xml"): voc("a.jpg", thing(), thing("x", (0, "nan", 1e9, 5))),
        partial(read_yolo, path="labels/a.txt", names=None): b"0 0.5 0.5 0.2 0.2\n1 0.1 0.1 0.3 0.3\n" * 3,
        partial(read_names, path="data.yaml"): b"train: images\nnames:\n  0: mask\n  1: no mask\n",
        partial(read_coco, path="instances.json"): coco(
            [{"id": 1, "file_name": "a.jpg", "width": 10, "height": 10}],
            [{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]}],
        ),
    }
    outcomes = set()
    for read, data in good.items():
        for _ in range(700):
            worse = bytearray(data)
            for _ in range(draw.randint(1, 4)):
                worse[draw.randrange(len(worse))] = draw.choice(b"\x00\"'<>&{}[]:,-9eN \xff")
            try:
                read(bytes(worse))
                outcomes.add("read")
            except BadAnnotation as error:
                assert error.reason
                outcomes.add("refused")
    assert outcomes == {"read", "refused"}


def test_three_formats_make_the_same_table(tmp_path, picture):
    """The same box, told three times in three sources, and a picture without any box in each."""
    where = {"images/a.jpg": picture[0], "images/none.jpg": picture[1]}
    write(
        tmp_path / "raw" / "v",
        {**where, "annotations/a.xml": voc("a.jpg", thing()), "annotations/n.xml": voc("none.jpg")},
    )
    yolo = {"labels/a.txt": b"1 0.25 0.5 0.333333333 0.6\n", "labels/none.txt": b"", "classes.txt": b"no mask\nmask\n"}
    write(tmp_path / "raw" / "y", {**where, **yolo})
    about = {"image_id": 7, "category_id": 1, "bbox": [10, 20, 40, 60]}
    pictures = [{"id": 7, "file_name": "a.jpg", "width": 120, "height": 100}, {"id": "n", "file_name": "none.jpg"}]
    write(tmp_path / "raw" / "c", {**where, "annotations/instances.json": coco(pictures, [about])})
    rows, _ = table_of(tmp_path)
    assert (rows["status"] == "done").all()
    assert boxes(rows) == [("with_mask", 10, 20, 50, 80)] * 3
    assert list(rows["folder"]) == ["c", "c", "v", "v", "y", "y"]
    assert list(rows["annotation_format"]) == ["coco"] * 2 + ["voc"] * 2 + ["yolo"] * 2
    empty = rows[rows["label"].isna()]
    assert list(empty["picture"]) == [f"raw/{name}/images/none.jpg" for name in "cvy"]
    assert empty["face"].isna().all() and empty[SIDES].isna().all(axis=None)
    assert list(rows["width"]) == [120] * 6
    assert rows.groupby("source")["content"].nunique().eq(1).all()
    assert rows["identity"].isna().all(), "images/ is no person"
    assert not rows["synthetic"].any()


def test_what_cannot_be_used_is_a_row_with_a_reason(tmp_path, picture):
    raw = tmp_path / "raw" / "bad"
    write(raw, {f"images/{name}.jpg": data for name, data in zip("abcd", picture, strict=False)})
    write(
        raw,
        {
            "images/broken.jpg": picture[5][:400],
            "images/alone.jpg": picture[4],
            "annotations/a.xml": voc(
                "a.jpg",
                thing("mask", (100, 50, 130, 101)),
                thing("helmet"),
                thing(box=(5, 5, 5, 9)),
                thing(box=("inf", 5, 9, 9)),
                thing(box=("", 5, 9, 9)),
                thing(box=(300, 5, 310, 9)),
            ),
            "annotations/b.xml": voc("b.jpg", thing(), size=(240, 200)),
            "annotations/bomb.xml": BOMB.encode(),
            "annotations/broken.xml": voc("broken.jpg", thing()),
            "annotations/c.xml": voc("c.jpg", thing("without_mask")),
            "annotations/d.xml": voc("c.jpg", thing(), thing()),
            "annotations/gone.xml": voc("gone.jpg", thing(), thing()),
            "annotations/large.xml": b" " * (LARGEST["voc"] + 1),
            "annotations/leaving.xml": voc("../../x", thing()),
            "annotations/.hidden.xml": b"<",
        },
    )
    (raw / "annotations" / "link.xml").symlink_to("/etc/hostname")
    os.mkfifo(raw / "annotations" / "pipe.xml")
    Path(os.fsdecode(os.fsencode(raw) + b"/latin_\xe9.xml")).write_bytes(voc("a.jpg", thing()))
    rows, _ = table_of(tmp_path)
    assert boxes(rows) == [("with_mask", 99, 49, 120, 100), ("without_mask", 10, 20, 50, 80)]
    assert list(rows.loc[rows["status"] == "done", "clipped"]) == [True, False]
    assert refused(rows, "images/a.jpg") == [
        "unknown class 'helmet': params.yaml has no such spelling",
        "no area: 5, 5, 5, 9",
        "'inf' is no number of pixels",
        "'' is no number",
        "reaches further beyond a picture of 120 x 100 than that is large: 299, 4, 310, 9",
    ]
    assert refused(rows, "images/b.jpg") == ["annotated at 240 x 200 pixels, the picture has 120 x 100"]
    assert refused(rows, "annotations/gone.xml") == ["no picture images/gone.jpg"] * 2
    assert refused(rows, "annotations/broken.xml")[0].startswith("its picture images/broken.jpg: damaged")
    reasons = {
        "annotations/bomb.xml": "XML with a document type or entities, which are not read",
        "annotations/large.xml": f"too large: more than {LARGEST['voc']} bytes",
        "annotations/leaving.xml": "its picture '../../x' leaves the folder",
        "annotations/link.xml": "symlink leaves the source",
        "annotations/pipe.xml": "not a regular file",
        "latin_\\xe9.xml": "name is not UTF-8",
    }
    assert {source: refused(rows, source) for source in reasons} == {name: [why] for name, why in reasons.items()}
    skipped = rows[rows["status"] == "skipped"]
    assert dict(zip(skipped["source"], skipped["reason"], strict=True)) == {
        "annotations/d.xml": "images/c.jpg has the boxes of annotations/c.xml",
        "images/alone.jpg": "no annotation that can be used tells of it",
        "images/d.jpg": "no annotation that can be used tells of it",
    }
    assert len(skipped) == 4, "two boxes are in annotations/d.xml"
    rejects = pd.read_parquet(tmp_path / "annotated_scenes" / "rejects.parquet")
    assert len(rejects) == (rows["status"] != "done").sum()


def test_names_that_cannot_be_read_stop_only_their_labels(tmp_path, picture):
    good = {"a/images/1.jpg": picture[0], "a/labels/1.txt": b"0 .5 .5 .5 .5", "a/data.yaml": b"names: ["}
    write(tmp_path / "raw" / "y", good)
    write(tmp_path / "raw" / "y", {"b/images/2.png": picture[1], "b/labels/2.txt": b"2 .5 .5 .5 .5\n0 .5 .5 0 .5"})
    rows, _ = table_of(tmp_path)
    assert boxes(rows) == [("mask_weared_incorrect", 30, 25, 90, 75)]
    assert refused(rows, "a/labels/1.txt") == ["the class names in a/data.yaml can't be used"]
    assert refused(rows, "a/data.yaml")[0].startswith("no YAML")
    assert refused(rows, "b/images/2.png") == ["no area: 60, 25, 60, 75"]


def test_the_same_files_give_the_same_bytes_and_a_change_makes_one_picture_anew(tmp_path, picture):
    raw = tmp_path / "raw" / "v"
    write(raw, {f"images/{n}.jpg": data for n, data in enumerate(picture)})
    write(raw, {f"annotations/{n}.xml": voc(f"{n}.jpg", thing(), thing("no mask", (60, 10, 90, 40))) for n in range(6)})
    _, first = table_of(tmp_path)
    before = directory_md5(tmp_path / "annotated_scenes")
    table_of(tmp_path)
    assert directory_md5(tmp_path / "annotated_scenes") == before
    write(raw, {"annotations/3.xml": voc("3.jpg", thing())})
    _, second = table_of(tmp_path)
    assert len({item.fingerprint for item in first.items} & {item.fingerprint for item in second.items}) == 5
    changed = directory_md5(tmp_path / "annotated_scenes")
    (tmp_path / "annotated_scenes" / "manifest.parquet").unlink()
    table_of(tmp_path)
    assert directory_md5(tmp_path / "annotated_scenes") == changed != before


def test_a_source_whose_frames_are_not_made_is_told(tmp_path):
    (tmp_path / "raw" / "new").mkdir(parents=True)
    assert scenes.plan(tmp_path, ["new"], TABLE, first_pixel=1, bare=["old"]).notes == [
        "old is to be bare, and there is no such source",
        "new is left out: its frames are not made",
    ]


def test_the_public_set_is_read_whole(tmp_path, shared_data):
    """553 pictures of streets: the counts are those of its XML, and boxes past the edge are told."""
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "voc").symlink_to(shared_data / "voc")
    rows, _ = table_of(tmp_path)
    assert (rows["status"] == "done").all()
    assert rows["picture"].nunique() == 553
    assert rows["label"].value_counts().to_dict() == {
        "with_mask": 2162,
        "without_mask": 485,
        "mask_weared_incorrect": 82,
    }
    assert rows["clipped"].sum() == 10
    assert (rows["x1"] >= 0).all() and (rows["x2"] <= rows["width"]).all() and (rows["y2"] <= rows["height"]).all()
