"""Readers of what comes from elsewhere: whatever bytes they get, they read it or refuse it, and never leave the folder.

`make fuzz` runs these for ten minutes, with other examples each time.
"""

import csv
import io
import json
import pickle
import posixpath

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from assets_defs.config import section
from assets_defs.settings import settings_of
from model_assets.registry import Registry
from ops import images
from ops.anonymising.flame_file import BadShapeFile, read_flame
from ops.detection.annotation_formats import read_coco, read_names, read_voc, read_yolo
from ops.detection.annotations import BadAnnotation, Names
from ops.manifests import BadManifest, parquet
from ops.masking.spec import KINDS, STRAPS
from ops.masking.wardrobe import GarmentError, load_garment
from ops.pickled import PickleRefused, as_array, read_pickle
from ops.plain_yaml import BadYaml, read_yaml
from ops.store import Dataset, Item, arrow_schema, row
from ops.tables import FORMULA, NUMBER, as_csv
from ops.telling import printable, redacted
from orchestration.materialize import read_wishes
from tests.bad_files import cmyk, encoded, palette_with_alpha, portrait, stored_turned
from tests.security.hostile import damaged, names, numbers, scalars
from tests.small_flame import landmark_files, model_fields, model_file

FACE = portrait()[60:124, 60:128]
PICTURES = (
    *(encoded(FACE, kind) for kind in ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")),
    encoded(FACE, "JPEG", progressive=True),
    encoded(FACE, "TIFF", compression="tiff_lzw"),
    encoded(FACE, "GIF", save_all=True, append_images=[]),
    encoded(FACE[..., 0].astype(np.uint16) * 257, "PNG"),
    stored_turned(FACE, 6),
    cmyk(FACE),
    palette_with_alpha(np.dstack([FACE, FACE[..., :1]])),
)
MOST = 1_000_000


@given(data=st.one_of(damaged(PICTURES), st.binary(max_size=200)))
def test_pictures_are_decoded_or_refused(data):
    try:
        about = images.describe(data, max_pixels=MOST)
        pixels = images.decode(data, max_pixels=MOST)
    except images.BadImage as error:
        assert error.reason
    else:
        assert (pixels.dtype, pixels.ndim, pixels.shape[2]) == (np.uint8, 3, 3)
        assert images.MIN_SIDE <= min(pixels.shape[:2]) and pixels.shape[0] * pixels.shape[1] <= MOST
        assert about.width * about.height <= MOST


def stays(told):
    """Whether all places of an annotated picture are in the source."""
    return all(
        not posixpath.isabs(place) and ".." not in posixpath.normpath(place).split("/")[:1] for place in told.places
    )


@st.composite
def voc(draw):
    """Pascal VOC whose texts are anything that XML can hold."""
    texts = names.map(lambda text: "".join(each for each in text if each == "\n" or each.isprintable()))
    told = [f"<filename><![CDATA[{draw(texts)}]]></filename>"]
    told += [f"<size><width>{draw(numbers)}</width><height>{draw(numbers)}</height></size>"]
    for _ in range(draw(st.integers(0, 3))):
        sides = "".join(f"<{side}>{draw(numbers)}</{side}>" for side in ("xmin", "ymin", "xmax", "ymax"))
        told.append(f"<object><name><![CDATA[{draw(texts)}]]></name><bndbox>{sides}</bndbox></object>")
    return f"<annotation>{''.join(told)}</annotation>".encode("utf-8", "replace")


VOC = b"""<?xml version="1.0"?><annotation><filename>1.jpg</filename><size><width>9</width><height>9</height></size>
<object><name>mask</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>4</xmax><ymax>5</ymax></bndbox></object></annotation>"""


@given(data=st.one_of(voc(), damaged((VOC, b'<!DOCTYPE a [<!ENTITY b "c">]>' + VOC))))
def test_voc_is_read_or_refused(data):
    try:
        told = read_voc(data, "annotations/1.xml")
    except BadAnnotation as error:
        assert error.reason.isprintable()
    else:
        assert stays(told)
        assert all(mark.problem or mark.box[2] > mark.box[0] for mark in told.marks)


@given(lines=st.lists(st.lists(st.one_of(numbers, names), max_size=7), max_size=5), junk=st.binary(max_size=40))
def test_yolo_is_read_or_refused(lines, junk):
    text = "\n".join(" ".join(parts) for parts in lines).encode("utf-8", "replace")
    for data in (text, junk):
        for known in (None, Names("data.yaml", {"0": "mask"})):
            try:
                told = read_yolo(data, "labels/1.txt", known)
            except BadAnnotation as error:
                assert error.reason.isprintable()
            else:
                assert stays(told)
                assert all(mark.problem or np.isfinite(mark.box).all() for mark in told.marks)


@st.composite
def coco(draw):
    """COCO whose values are of any kind."""
    some = st.one_of(scalars, st.lists(scalars, max_size=4), st.dictionaries(names, scalars, max_size=2))
    ids = st.one_of(st.integers(0, 2), some)
    image = st.fixed_dictionaries({}, optional={"id": ids, "file_name": some, "width": some, "height": some})
    known = {"image_id": ids, "category_id": ids, "bbox": some, "face_box": some, "iscrowd": some}
    parts = {
        "images": st.lists(st.one_of(image, some), max_size=3),
        "annotations": st.lists(st.one_of(st.fixed_dictionaries({}, optional=known), some), max_size=3),
        "categories": st.lists(st.fixed_dictionaries({}, optional={"id": ids, "name": some}), max_size=3),
    }
    return json.dumps(draw(st.one_of(st.fixed_dictionaries(parts), some))).encode()


@given(data=coco())
def test_coco_is_read_or_refused(data):
    try:
        told = read_coco(data, "annotations/instances_train.json")
    except BadAnnotation as error:
        assert error.reason.isprintable()
    else:
        assert all(map(stays, told))
        assert all(mark.problem or np.isfinite(mark.box).all() for each in told for mark in each.marks)


TAGS = ("", "!!int ", "!!float ", "!!bool ", "!!null ", "!!timestamp ", "!!binary ", "!!set ", "!!omap ", "!!merge ")
TAGS += ("!!python/object/apply:os.system ", "!!python/name:os.system ", "!x ", "&a ", "*a ")
TEXTS = ("[]", "{}", "[a, b]", "{0: a}", "''", "1:1:1", ":".join("1" * 200) + ".0", '"\\UFFFFFFFF"', "9999-99-99", "<<")


@st.composite
def sheets(draw, fields):
    """YAML with these fields, or others, whose values are tagged as what they are not."""
    told = st.builds(str.__add__, st.sampled_from(TAGS), st.one_of(st.sampled_from(TEXTS), names, numbers))
    lines = st.builds(lambda name, value: f"{name}: {value}", st.one_of(st.sampled_from(fields), names), told)
    return "\n".join(draw(st.lists(lines, min_size=1, max_size=4))).encode("utf-8", "replace")


@given(data=st.one_of(sheets(("names", "path", "train")), st.binary(max_size=60)))
@example(data=b"names: !!int ''")
@example(data=b"names: !!bool x")
@example(data=b"names: !!timestamp x")
@example(data=b"\xed\x9f\xbc: []\nnames: []\n: []")
def test_class_names_are_read_or_refused(data):
    for path in ("data.yaml", "classes.txt"):
        try:
            known = read_names(data, path)
        except BadAnnotation as error:
            assert error.reason.isprintable()
        else:
            assert all(map(str.isprintable, known.by_id.values())) or path == "classes.txt"


@pytest.fixture(scope="module")
def garment(tmp_path_factory):
    folder = tmp_path_factory.mktemp("garments") / "odd"
    folder.mkdir()
    (folder / "texture.png").write_bytes(encoded(portrait()[:128, :128], "PNG"))
    return folder


@given(data=sheets(("cut", "straps", "strap_colour", "weight")))
@example(data=b"weight: !!float ''")
@example(data=b"weight: " + b"1:" * 200 + b"1.0")
def test_garments_are_read_or_refused(garment, data):
    (garment / "garment.yaml").write_bytes(data)
    try:
        known = load_garment(garment)
    except GarmentError as error:
        assert str(error).startswith("odd/garment.yaml: ")
    else:
        assert known.kind in KINDS and known.straps in STRAPS and 0 < known.weight <= 1000


ENTRY = {
    "task": "t",
    "file": "m.bin",
    "sha256": "0" * 64,
    "bytes": 3,
    "licence": "MIT",
    "home": "h",
    "sources": ["mirror"],
}
SOURCE = {"package": "p", "version": "1", "member": "m"}


@given(
    change=st.dictionaries(
        st.sampled_from(tuple(ENTRY)), st.one_of(scalars, st.lists(scalars, max_size=2)), max_size=2
    ),
    source=st.dictionaries(st.sampled_from((*SOURCE, "python", "platform", "x")), scalars, max_size=2),
)
@example(change={"file": "../m.bin"}, source={})
@example(change={}, source={"package": "--index-url=http://127.0.0.1"})
def test_registries_are_read_or_refused(tmp_path_factory, change, source):
    path = tmp_path_factory.getbasetemp() / "registry.yaml"
    path.write_text(yaml.safe_dump({"m": {**ENTRY, "sources": [{"pypi": {**SOURCE, **source}}], **change}}))
    try:
        (model,) = Registry.load(path, cache=tmp_path_factory.getbasetemp()).models.values()
    except ValueError:
        return
    assert model.file == posixpath.basename(model.file) and model.bytes > 0
    words = [word for known in model.sources for word in vars(known).values() if word and word != source.get("member")]
    assert not any(word.startswith("-") for word in words)


@pytest.fixture(scope="module")
def head(tmp_path_factory):
    """FLAME's files, of every kind: name to content."""
    folder = tmp_path_factory.mktemp("flame")
    model_file(folder / "model.pkl")
    np.savez_compressed(folder / "model.npz", **model_fields())
    landmark_files(folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@given(data=st.data())
def test_head_models_are_read_or_refused(head, tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp()
    broken = data.draw(st.sampled_from(sorted(head)))
    for name, content in head.items():
        (folder / name).write_bytes(data.draw(damaged((content,))) if name == broken else content)
    model = broken if broken.startswith("model") else "model.npz"
    try:
        known = read_flame(folder / model, [folder / name for name in head if not name.startswith("model")])
    except BadShapeFile as error:
        assert broken in str(error)
    else:
        assert np.isfinite(known.template).all() and known.triangles.max() < len(known.template)


STEPS = (
    b"(",
    b"0",
    b"2",
    b"N",
    b"}",
    b"]",
    b")",
    b"\x88",
    b"K\x01",
    b"X\x01\0\0\0a",
    b"q\0",
    b"h\0",
    b"a",
    b"e",
    b"s",
    b"u",
)
STEPS += (b"t", b"\x85", b"\x86", b"\x87", b"R", b"b", b"\x81", b"\x93", b"o", b"cos\nsystem\n", b"cnumpy\ndtype\n")
STEPS += (
    b"ibuiltins\neval\n",
    b"cnumpy.core.multiarray\n_reconstruct\n",
    b"\x82\x01",
    b"P0\n",
    b"Q",
    b"\x94",
    b"\x8f",
    b"\x90",
)


@given(steps=st.lists(st.sampled_from(STEPS), max_size=30))
def test_any_steps_of_a_pickle_are_followed_or_refused(steps):
    try:
        as_array(read_pickle(b"\x80\x04" + b"".join(steps) + b"."))
    except PickleRefused:
        return


@given(data=st.one_of(damaged(tuple(pickle.dumps(np.arange(3.0), protocol) for protocol in (1, 2, 4, 5)))))
def test_damaged_arrays_of_a_pickle_are_read_or_refused(data):
    try:
        assert isinstance(as_array(read_pickle(data)), np.ndarray)
    except PickleRefused:
        return


class Here:
    """Works in this process."""

    def map(self, work, items):
        yield from map(work(), items)


def manifest(output):
    schema = arrow_schema(Dataset(None).columns)
    rows = [{"fingerprint": f"{number}", "source": "a.jpg", "output": output, "status": "done"} for number in range(3)]
    return parquet(pa.Table.from_pylist(rows, schema=schema))


@given(data=st.one_of(damaged((manifest("a.txt"), manifest(None))), names.map(manifest)), exclusive=st.booleans())
@example(data=manifest("../precious.txt"), exclusive=False)
def test_a_manifest_is_believed_or_made_anew_and_nothing_outside_is_touched(tmp_path_factory, data, exclusive):
    base = tmp_path_factory.getbasetemp()
    (base / "precious.txt").write_text("precious")
    made = Dataset(base / "dataset", exclusive=exclusive)
    made.folder.mkdir(exist_ok=True)
    made.manifest.write_bytes(data)
    try:
        assert isinstance(made.read(), pd.DataFrame)
    except BadManifest:
        pass

    def work():
        (made.folder / "new.txt").write_text("new")
        return lambda item: [row(item, "a.jpg", output="new.txt")]

    made.build([Item("new", {"source": "a.jpg"})], work, Here())
    assert made.read()["output"].dropna().tolist().count("new.txt") == 1
    assert (base / "precious.txt").read_text() == "precious"


ASSET = "masked_faces"


@given(name=st.one_of(st.sampled_from(tuple(section(ASSET))), names), value=st.one_of(names, numbers, sheets(("a",))))
def test_settings_are_taken_or_refused(name, value):
    text = value.decode() if isinstance(value, bytes) else value
    try:
        wishes = read_wishes([f"{ASSET}.{name}={text}"], [ASSET])
    except ValueError:
        return
    assert set(wishes[ASSET]) <= set(section(ASSET)) and settings_of(ASSET, wishes[ASSET])


@given(data=st.one_of(sheets(("a", "b")), st.binary(max_size=80)))
def test_yaml_is_plain_or_refused(data):
    try:
        value = read_yaml(data)
    except BadYaml as error:
        assert "\n" not in str(error)
    else:
        assert yaml.safe_dump(value)


@given(cells=st.lists(st.one_of(names, numbers, st.integers(), st.none()), min_size=1, max_size=4))
@example(cells=["=1+2.jpg", "-0.5", "\uff1d1"])
def test_no_cell_is_a_formula_and_none_is_lost(cells):
    text = as_csv(["x"] * len(cells), [cells]).decode()
    back = list(csv.reader(io.StringIO(text, newline="")))[1]
    told = ["" if cell is None else str(cell) for cell in cells]
    assert [cell.removeprefix("'") for cell in back] == [cell.removeprefix("'") for cell in told]
    assert not any(cell.startswith(FORMULA) and not NUMBER.fullmatch(cell) for cell in back)


@given(
    text=st.text(),
    secret=st.from_regex(r"[a-z0-9!$:@]{8,20}", fullmatch=True),
    host=st.sampled_from(("h", "h:5", "[::1]:5")),
)
def test_what_is_told_has_no_password_and_no_control(text, secret, host):
    hidden = redacted(f"{text} http://ann:{secret}@{host}/a {text}")
    assert f":{secret}@" not in hidden
    assert all(each.isprintable() or each == "\n" for each in printable(text))
