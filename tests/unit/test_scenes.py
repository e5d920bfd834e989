"""Label exports, read back by those who read such files: ultralytics, pycocotools, an XML parser."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from model_assets.registry import ModelUnavailable
from ops import images
from ops.content import directory_md5
from ops.detection.label_formats import FORMATS, joined
from ops.detection.scenes import export, flat_names, read_scenes
from ops.masking import LABELS, MaskSettings, decode_rle
from ops.sample import _resized, portraits
from ops.stages import faces, masks, photo
from ops.store import Dataset, Item
from resources.compute import Local
from resources.models import FaceModels

ROOT = Path(__file__).resolve().parents[2]
SIDES = ["x1", "y1", "x2", "y2"]
SETTINGS = MaskSettings(states=("correct", "nose_out"))
WISHES = photo.Wishes(masks=SETTINGS, variants=2, styles=("buffalo",), min_face_px=80)
TRIO, CUT, FIRST, SECOND = "a b/ünï cöde.png", "cut.png", "a/x.png", "a__x.png"


def process(raw: Path, folder: Path, wishes: photo.Wishes) -> None:
    models = FaceModels(device="cpu")
    items, told = photo.plan(raw, None, wishes, models)
    dataset = Dataset(folder, photo.columns(wishes), exclusive=False)
    dataset.build(items, partial(photo.Process, folder, wishes, models), Local(1), refused=told)


@pytest.fixture(scope="module")
def raw(tmp_path_factory) -> Path:
    """Four pictures: two people and a small third; one cut by the edge; the same one twice, under clashing names."""
    folder = tmp_path_factory.mktemp("raw")
    collins, hopper = portraits()
    beside, small = np.zeros((512, 150, 3), np.uint8), _resized(hopper, 150, 176)
    beside[-176:] = small
    pictures = {TRIO: np.hstack([collins, _resized(hopper, 437, 512), beside]), CUT: collins[:, 195:]}
    pictures[FIRST] = pictures[SECOND] = np.hstack([collins, beside])
    for name, pixels in pictures.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(images.encode_png(np.ascontiguousarray(pixels)))
    return folder


@pytest.fixture(scope="module")
def dataset(raw, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("masked") / "data set"
    try:
        process(raw, folder, WISHES)
    except ModelUnavailable as error:
        pytest.skip(str(error))
    return folder


@pytest.fixture(scope="module")
def manifest(dataset) -> pd.DataFrame:
    return pd.read_parquet(dataset / "manifest.parquet")


@pytest.fixture(scope="module")
def exports(dataset, tmp_path_factory) -> dict[str, Path]:
    before = directory_md5(dataset)
    folders = {name: tmp_path_factory.mktemp("exports") / name for name in FORMATS}
    for name, folder in folders.items():
        export(dataset, folder, name)
    assert directory_md5(dataset) == before
    return folders


def expected(manifest: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """What is in each masked picture, by its file: rows of masks, and of the faces of its frame that stayed bare."""
    faces = manifest[manifest["style"].isna() & manifest["x1"].notna()]
    known = {}
    for output, worn in faces[faces["region"].notna()].groupby("output"):
        (source,) = set(worn["source"])
        bare = faces[(faces["source"] == source) & (faces["status"] == "skipped")]
        known[output] = pd.concat([worn, bare])
    return known


def origins(dataset: Path, pictures: Path) -> dict[str, str]:
    """Which file of the dataset each exported picture is: they are the same file by two names."""
    here = {path.stat().st_ino: path.relative_to(dataset).as_posix() for path in dataset.rglob("*.png")}
    return {path.name: here[path.stat().st_ino] for path in pictures.iterdir()}


def in_order(labels, boxes) -> list[list[float]]:
    """Class and box of every face in an order of their own."""
    return sorted([LABELS.index(label), *map(float, box)] for label, box in zip(labels, boxes, strict=True))


def clipped(rows: pd.DataFrame) -> np.ndarray:
    height, width = json.loads(rows["region"].iloc[0])["size"]
    return rows[SIDES].to_numpy(float).clip(0, [width, height, width, height])


def test_the_pictures_hold_every_class_and_a_cut_face(manifest):
    known = expected(manifest)
    assert len(known) == 8
    by_source = {rows["source"].iloc[0]: rows["status"].value_counts().to_dict() for rows in known.values()}
    both = {"done": 1, "skipped": 1}
    assert by_source == {TRIO: {"done": 2, "skipped": 1}, CUT: {"done": 1}, FIRST: both, SECOND: both}
    assert set(pd.concat(known.values())["label"]) == set(LABELS)
    (cut,) = {rows["x1"].min() for rows in known.values() if rows["source"].iloc[0] == CUT}
    assert cut < 0


READ = """
import json, sys
from ultralytics.data import YOLODataset
from ultralytics.data.utils import check_det_dataset, polygon2mask
from ops.masking import encode_rle
told = {}
for task, folder in (("detect", sys.argv[1]), ("segment", sys.argv[2])):
    data = check_det_dataset(folder + "/data.yaml")
    read = YOLODataset(img_path=data["train"], data=data, task=task, augment=False)
    told[task] = {"names": data["names"], "pictures": len(read), "of": data["train"] == data["val"], "labels": {}}
    for index, known in enumerate(read.labels):
        height, width = known["shape"]
        masks = [polygon2mask((height, width), [(ring * (width, height)).ravel()]) for ring in known["segments"]]
        told[task]["labels"][known["im_file"].rsplit("/", 1)[1]] = {
            "size": [height, width], "cls": known["cls"].ravel().tolist(), "boxes": known["bboxes"].tolist(),
            "masks": [encode_rle(mask == 1) for mask in masks],
            "loaded": list(read[index]["masks"].shape) if masks else [],
        }
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def yolo(exports, tmp_path_factory) -> dict:
    """What ultralytics reads out of both of its formats, in a process of its own, off the network."""
    import matplotlib

    settings = tmp_path_factory.mktemp("settings")
    (settings / "Ultralytics").mkdir()
    shutil.copy(Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf", settings / "Ultralytics" / "Arial.ttf")
    quiet = {"YOLO_OFFLINE": "1", "YOLO_AUTOINSTALL": "false", "YOLO_VERBOSE": "false", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", READ, str(exports["yolo-detect"]), str(exports["yolo-segment"])]
    environment = {**os.environ, **quiet, "YOLO_CONFIG_DIR": str(settings)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_ultralytics_reads_boxes(dataset, manifest, exports, yolo):
    read, known = yolo["detect"], expected(manifest)
    assert read["names"] == {str(number): name for number, name in enumerate(LABELS)}
    assert read["pictures"] == len(known)
    assert read["of"]
    for name, output in origins(dataset, exports["yolo-detect"] / "images").items():
        labels = read["labels"][name]
        height, width = labels["size"]
        x, y, w, h = np.transpose(labels["boxes"])
        found = np.stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2], axis=1)
        there = clipped(known[output]) / [width, height, width, height]
        found = in_order([LABELS[int(number)] for number in labels["cls"]], found)
        np.testing.assert_allclose(found, in_order(known[output]["label"], there), atol=1e-4)


def test_ultralytics_reads_outlines(dataset, manifest, exports, yolo):
    """Bare faces have none. Drawn as ultralytics draws them, outlines are the regions but for steps along the edge."""
    read, known = yolo["segment"], expected(manifest)
    assert read["pictures"] == len(known)
    for name, output in origins(dataset, exports["yolo-segment"] / "images").items():
        labels, worn = read["labels"][name], known[output].dropna(subset="region")
        height, width = labels["size"]
        rings = [np.reshape(np.concatenate(json.loads(text)), (-1, 2)) / (width, height) for text in worn["polygon"]]
        boxes = [[*(ring.min(0) + ring.max(0)) / 2, *np.ptp(ring, 0)] for ring in rings]
        found = in_order([LABELS[int(number)] for number in labels["cls"]], labels["boxes"])
        np.testing.assert_allclose(found, in_order(worn["label"], boxes), atol=1e-4)
        regions = [decode_rle(json.loads(text)) for text in worn["region"]]
        drawn = [decode_rle(rle) for rle in labels["masks"]]
        overlaps = [[(one & other).sum() / (one | other).sum() for other in drawn] for one in regions]
        assert min(map(max, overlaps)) > 0.96, overlaps
        assert labels["loaded"][0] == 1, "drawn as the one map of a picture's instances that training wants"


def test_pycocotools_reads_regions(dataset, manifest, exports, capsys):
    from pycocotools.coco import COCO

    coco, known = COCO(str(exports["coco"] / "instances.json")), expected(manifest)
    assert {number: category["name"] for number, category in coco.cats.items()} == dict(enumerate(LABELS, start=1))
    names = origins(dataset, exports["coco"] / "images")
    assert {picture["file_name"] for picture in coco.imgs.values()} == names.keys()
    for number, picture in coco.imgs.items():
        there = known[names[picture["file_name"]]]
        found = coco.imgToAnns[number]
        regions = [decode_rle(json.loads(text)) for text in there["region"].dropna()]
        bare = [np.zeros((picture["height"], picture["width"]), bool)] * (len(there) - len(regions))
        assert len(found) == len(there)
        for annotation, region, told in zip(found, [*regions, *bare], there.to_dict("records"), strict=True):
            assert np.array_equal(coco.annToMask(annotation).astype(bool), region)
            assert annotation["area"] == region.sum()
            assert annotation["iscrowd"] == 0
            assert coco.cats[annotation["category_id"]]["name"] == told["label"]
            x, y, w, h = annotation["bbox"]
            if region.any():
                rows, columns = np.nonzero(region)
                assert [x, y, x + w, y + h] == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
                assert (annotation["kind"], annotation["state"]) == (told["kind"], told["state"])
                assert annotation["mask_state"] == told["mask_state"]
            else:
                assert [x, y, w, h] == annotation["face_box"]
                assert annotation["kind"] is None
        boxes = np.array([annotation["face_box"] for annotation in found])
        boxes[:, 2:] += boxes[:, :2]
        np.testing.assert_allclose(boxes, clipped(there), atol=2e-3)
        assert picture["source"] == there["source"].iloc[0]
    assert coco.loadRes([{"image_id": 1, "category_id": 1, "bbox": [0, 0, 9, 9], "score": 0.5}]).anns


def test_voc_reads_as_xml(dataset, manifest, exports):
    known, folder = expected(manifest), exports["voc"]
    names = origins(dataset, folder / "JPEGImages")
    listed = (folder / "ImageSets/Main/all.txt").read_text().splitlines()
    assert sorted(listed) == sorted(os.path.splitext(name)[0] for name in names)
    cut = set()
    for stem in listed:
        root = ElementTree.parse(folder / "Annotations" / f"{stem}.xml").getroot()  # noqa: S314 - written just now
        there = known[names[root.findtext("filename")]]
        height, width = images.read(folder / "JPEGImages" / root.findtext("filename")).shape[:2]
        assert [root.findtext(f"size/{side}") for side in ("width", "height", "depth")] == [
            str(width),
            str(height),
            "3",
        ]
        found = root.findall("object")
        boxes = np.array([[int(one.text) for one in known_face.find("bndbox")] for known_face in found])
        assert (boxes[:, :2] >= 1).all()
        assert (boxes[:, 2:] <= (width, height)).all()
        exact = in_order((one.findtext("name") for one in found), boxes - (1, 1, 0, 0))
        np.testing.assert_allclose(exact, in_order(there["label"], clipped(there)), atol=0.501)
        cut |= {there["source"].iloc[0] for one in found if one.findtext("truncated") == "1"}
    assert cut == {CUT}


def test_voc_has_the_elements_of_the_public_set(exports, shared_data):
    def elements(path: Path) -> set[tuple[str, ...]]:
        root = ElementTree.parse(path).getroot()  # noqa: S314 - a known file
        return {(one.tag, *(inside.tag for inside in one)) for one in root.iter() if one.tag != "annotation"}

    theirs = elements(next((shared_data / "voc/annotations").glob("*.xml")))
    assert all(elements(path) == theirs for path in (exports["voc"] / "Annotations").iterdir())


@pytest.mark.parametrize("name", FORMATS)
def test_a_rerun_gives_the_same_bytes_and_drops_what_is_gone(dataset, raw, tmp_path, name):
    folder, copy = tmp_path / "out", tmp_path / "data"
    shutil.copytree(dataset, copy)
    first = export(copy, folder, name)
    known = directory_md5(folder)
    assert export(copy, folder, name) == first
    assert first.removed == 0
    assert directory_md5(folder) == known
    process(raw, copy, replace(WISHES, variants=1))
    fewer = export(copy, folder, name)
    assert (first.pictures, fewer.pictures) == (8, 4)
    assert fewer.removed == (4 if name == "coco" else 8)
    export(copy, tmp_path / "fresh", name)
    assert directory_md5(folder) == directory_md5(tmp_path / "fresh")


def test_an_export_that_was_killed_is_finished_by_the_next(dataset, tmp_path):
    export(dataset, tmp_path / "calm", "voc")
    export(dataset, tmp_path / "out", "voc")
    for path in list((tmp_path / "out" / "JPEGImages").iterdir())[:3]:
        path.rename(path.with_name(f".draft-{path.stat().st_ino:016x}"))
    shutil.rmtree(tmp_path / "out" / "Annotations")
    assert export(dataset, tmp_path / "out", "voc").removed == 0
    assert directory_md5(tmp_path / "out") == directory_md5(tmp_path / "calm")


def test_pictures_are_linked_or_where_that_cannot_be_copied(dataset, exports):
    names = origins(dataset, exports["voc"] / "JPEGImages")
    assert len(names) == 8
    memory = Path("/dev/shm")  # noqa: S108 - another file system, where there is one
    if not memory.is_dir() or memory.stat().st_dev == dataset.stat().st_dev:
        pytest.skip("no second file system at /dev/shm")
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        export(dataset, Path(folder) / "out", "voc")
        assert directory_md5(Path(folder) / "out") == directory_md5(exports["voc"])
        written = {path: path.stat().st_mtime_ns for path in Path(folder).rglob("*.*")}
        export(dataset, Path(folder) / "out", "voc")
        assert {path: path.stat().st_mtime_ns for path in Path(folder).rglob("*.*")} == written


def test_a_face_left_bare_in_one_variant_is_bare_in_that_picture_alone(dataset, manifest, tmp_path):
    shutil.copytree(dataset, tmp_path / "data")
    rows = manifest.copy()
    of = (rows["source"] == TRIO) & (rows["variant"] == 1) & rows["style"].isna() & (rows["face"] == 0)
    assert of.sum() == 1
    rows.loc[of, ["status", "label", "region", "output"]] = ["skipped", "without_mask", None, None]
    rows.to_parquet(tmp_path / "data" / "manifest.parquet")
    told = {
        scene.output: [face.label == "without_mask" for face in scene.faces] for scene in read_scenes(tmp_path / "data")
    }
    stem = os.path.splitext(TRIO)[0]
    assert told[f"{stem}_aug0_masked.png"] == [False, False, True]
    assert told[f"{stem}_aug1_masked.png"] == [False, True, True]


def test_masked_faces_of_a_pipeline_are_exported_too(dataset, raw, tmp_path):
    known = {"source": TRIO, "frame": "one", "time": None, "identity": "both", "picture": TRIO}
    geometry = Dataset(tmp_path / "face_geometry", faces.COLUMNS)
    look = partial(faces.Look, FaceModels(device="cpu"), min_score=0.5, max_faces=0, max_pixels=10**8)
    geometry.build([Item("one", {"path": str(raw / TRIO), **known})], look, Local(1))
    folder, shape = tmp_path / "masked_faces", {"variants": 3, "min_face_px": 80, "quality": 95}
    (item,) = masks.plan(faces.described(geometry), raw, SETTINGS, **shape)
    wear = partial(masks.Wear, folder, SETTINGS, **shape, max_pixels=10**8)
    Dataset(folder, masks.columns()).build([item], wear, Local(1))
    made = export(folder, tmp_path / "out", "coco")
    assert made.pictures == 3
    assert made.faces["without_mask"] == 3
    assert sum(made.faces.values()) == 9
    names = {f"{item.fingerprint}_v{n}.jpg" for n in range(3)}
    assert {path.name for path in (tmp_path / "out/images").iterdir()} == names


def test_folders_of_others_are_refused_and_left_alone(dataset, exports, tmp_path):
    with pytest.raises(ValueError, match="lies inside the dataset"):
        export(dataset, dataset / "labels", "coco")
    with pytest.raises(ValueError, match=r"holds an export as voc, not as coco"):
        export(dataset, exports["voc"], "coco")
    theirs = tmp_path / "mine" / "images" / "holiday.jpg"
    theirs.parent.mkdir(parents=True)
    theirs.write_bytes(b"mine")
    with pytest.raises(ValueError, match=r"'images/holiday.jpg', which no export wrote"):
        export(dataset, tmp_path / "mine", "coco")
    assert [path for path in (tmp_path / "mine").rglob("*") if path.is_file()] == [theirs]
    export(dataset, tmp_path / "own", "coco")
    shutil.copy(theirs, tmp_path / "own" / "images")
    with pytest.raises(ValueError, match=r"holiday\.jpg"):
        export(dataset, tmp_path / "own", "coco")


def test_what_cannot_be_exported_is_told(dataset, raw, tmp_path):
    with pytest.raises(ValueError, match=r"no format 'yolo'; there are yolo-detect, yolo-segment, coco, voc"):
        export(dataset, tmp_path / "out", "yolo")
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*nowhere"):
        export(tmp_path / "nowhere", tmp_path / "out", "coco")
    process(raw, tmp_path / "bare", replace(WISHES, min_face_px=10_000))
    with pytest.raises(ValueError, match="holds no masked picture"):
        export(tmp_path / "bare", tmp_path / "out", "coco")
    process(raw, tmp_path / "crops", replace(WISHES, masks=None))
    with pytest.raises(ValueError, match=r"tells no kind, label, mask_state"):
        export(tmp_path / "crops", tmp_path / "out", "coco")
    shutil.copytree(dataset, tmp_path / "lost")
    (tmp_path / "lost" / "cut_aug0_masked.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"cut_aug0_masked\.png"):
        export(tmp_path / "lost", tmp_path / "started", "coco")
    assert not (tmp_path / "out").exists()


def test_the_verb(dataset, tmp_path):
    from apps.cli import app

    done = CliRunner().invoke(app, ["export", str(dataset), str(tmp_path / "out"), "--format", "voc", "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.output)
    assert told["pictures"] == 8
    assert told["without_mask"] == 6
    assert sum(told[label] for label in LABELS) == 16
    for arguments in ([str(dataset / "in"), "--format", "voc"], [str(tmp_path / "other"), "--format", "vox"]):
        assert CliRunner().invoke(app, ["export", str(dataset), *arguments]).exit_code == 2


def test_flat_names_are_unique_and_fit_everywhere():
    rng = np.random.default_rng(0)
    parts = np.array(["a", "A", "b b", "_", "__", "ü", "\n", "x.y", "ß", "ss", "." * 3, "é" * 90])
    paths = {"/".join(rng.choice(parts, rng.integers(1, 4))) + str(rng.choice([".jpg", ".png"])) for _ in range(3000)}
    names = flat_names(sorted(paths))
    assert names.keys() == paths
    stems = [os.path.splitext(name)[0].casefold() for name in names.values()]
    assert len(set(stems)) == len(paths) > 1000
    assert all(name.isprintable() and "/" not in name and name[0] != "." for name in names.values())
    assert max(len(name.encode()) for name in names.values()) <= 200
    assert flat_names(["é/ж 1.png"]) == {"é/ж 1.png": "é__ж 1.png"}


def test_outlines_joined_enclose_what_they_enclosed_apart():
    def area(ring: np.ndarray) -> float:
        x, y = ring.T
        return float(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2

    turn = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    ring = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    rings = [ring * size + at for size, at in ((9, (20, 20)), (3, (60, 20)), (2, (40, 25)), (1, (20, 70)))]
    outline = joined(rings)
    assert area(outline) == pytest.approx(sum(map(area, rings)))
    assert {tuple(point) for point in outline} == {tuple(point) for ring in rings for point in ring}
    lines = np.linalg.norm(outline - np.roll(outline, -1, 0), axis=1)
    assert lines.sum() < sum(np.linalg.norm(r - np.roll(r, -1, 0), axis=1).sum() for r in rings) + 2 * (13 + 17 + 40)
    assert np.array_equal(joined(rings[:1]), rings[0])
