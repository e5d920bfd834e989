"""Garments that users bring, and the presets they join."""

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ops import images
from ops.images import encode_jpeg, encode_png
from ops.masking import (
    KINDS,
    PRESETS,
    STATES,
    GarmentError,
    MaskSettings,
    chosen,
    draw_spec,
    garments,
    load_garments,
    prepare,
    render,
    textures,
)
from ops.masking.spec import CLASSIC
from ops.stages import masks
from ops.stages.faces import face_columns
from tests.posed import posed

ROOT = Path(__file__).resolve().parents[2]
SKIN = np.full((400, 400, 3), (196, 152, 128), np.uint8)
NOSE_MOUTH = (4, 2, 0, 17, 200, 199)  # mesh points down the middle of the face


def garment(folder, texture=None, sheet="weight: 0.1\n"):
    """Write a garment; its texture is a picture, or the bytes of a file."""
    texture = np.full((90, 115, 3), 200, np.uint8) if texture is None else texture
    folder.mkdir(parents=True)
    (folder / "texture.png").write_bytes(texture if isinstance(texture, bytes) else encode_png(texture))
    (folder / "garment.yaml").write_bytes(sheet if isinstance(sheet, bytes) else sheet.encode())
    return folder.parent


def quarters():
    """A red left half and a blue upper half, on green: no other colour but where they cross."""
    texture = np.full((180, 230, 3), (0, 90, 0), np.uint8)
    texture[:, :115, 0] = 210
    texture[:90, :, 2] = 210
    return texture


def test_a_garment_is_read_with_its_fields(tmp_path):
    sheet = 'cut: duckbill\nstraps: bands\nstrap_colour: "#123456"\nweight: 2\n'
    (read,) = load_garments(garment(tmp_path / "own" / "Käse & <b>", sheet=sheet))
    assert (read.name, read.kind, read.straps, read.strap_colour, read.weight) == (
        *("Käse & <b>", "duckbill", "bands", "#123456"),
        2.0,
    )


@pytest.mark.parametrize("sheet", ["", "# nothing but a remark\n", "weight: 0.1\n", "straps: loops\ncut: cloth\n"])
def test_fields_left_out_take_their_usual_values(tmp_path, sheet):
    (read,) = load_garments(garment(tmp_path / "own" / "plain", sheet=sheet))
    assert (read.kind, read.straps, read.strap_colour, read.weight) == ("cloth", "loops", "#f1f1ef", 0.1)


def test_garments_come_by_name_and_other_files_are_left_alone(tmp_path):
    for name in ("zebra", "Apple", "moth"):
        garment(tmp_path / name)
    garment(tmp_path / ".drafts")
    (tmp_path / "notes.txt").write_text("to do")
    assert [read.name for read in load_garments(tmp_path)] == ["Apple", "moth", "zebra"]
    assert load_garments(tmp_path / "nowhere") == ()


def test_the_example_loads_and_is_of_the_shape_that_the_docs_tell():
    (example,) = load_garments(ROOT / "garments")
    assert (example.name, example.kind, example.weight) == ("harlequin", "cloth", 0.01)


@pytest.mark.parametrize(
    ("sheet", "message"),
    [
        ("colour: red", "odd/garment.yaml: field: 'colour'; allowed are cut, straps, strap_colour, weight"),
        ("1: 2", "odd/garment.yaml: field: 1; allowed are cut"),
        ("cut: scarf", "odd/garment.yaml: cut: 'scarf'; allowed are surgical, n95"),
        ("cut:", "odd/garment.yaml: cut: expected text or a number, found NoneType"),
        ("cut: [cloth, n95]", "odd/garment.yaml: cut: expected text or a number, found list"),
        ("straps: rope", "odd/garment.yaml: straps: 'rope'; allowed are loops, bands, none"),
        ('strap_colour: "red"', "odd/garment.yaml: colour 'red': expected #rrggbb"),
        ("strap_colour: 112233", "odd/garment.yaml: colour '112233': expected #rrggbb"),
        ('strap_colour: "#12345g"', "odd/garment.yaml: colour '#12345g': expected #rrggbb"),
        ("strap_colour: #123456", "odd/garment.yaml: strap_colour: expected text or a number, found NoneType"),
        ("weight: 0", "odd/garment.yaml: weight: 0; expected a number above 0, up to 1000"),
        ("weight: -0.5", "odd/garment.yaml: weight: -0.5; expected a number above 0"),
        ("weight: yes", "odd/garment.yaml: weight: True; expected a number above 0"),
        ("weight: often", "odd/garment.yaml: weight: 'often'; expected a number above 0"),
        ("weight: .inf", "odd/garment.yaml: weight: inf; expected a number above 0"),
        ("weight: .nan", "odd/garment.yaml: weight: nan; expected a number above 0"),
        ("weight: 1" + "0" * 400, "odd/garment.yaml: weight: 10+; expected a number above 0"),
        ("- cut: cloth", "odd/garment.yaml: expected fields such as cut: cloth, found a list"),
        ("cloth", "odd/garment.yaml: expected fields such as cut: cloth, found a str"),
        ("cut: [cloth", "odd/garment.yaml: no YAML: while parsing a flow sequence"),
        (b"cut: \xff\xfe", "odd/garment.yaml: no YAML: unacceptable character #x00ff"),
        ("[" * 5000, "odd/garment.yaml: YAML with aliases, or nested more than 16 deep"),
        ("weight: !!python/object/apply:os.getcwd []", "odd/garment.yaml: no YAML: could not determine a constructor"),
        ("!!python/name:os.system", "odd/garment.yaml: no YAML: could not determine a constructor"),
    ],
)
def test_a_wrong_sheet_is_told_with_file_field_and_what_is_allowed(tmp_path, sheet, message):
    with pytest.raises(GarmentError, match="^" + message.replace("[", r"\[").replace("(", r"\(")) as caught:
        load_garments(garment(tmp_path / "odd", sheet=sheet))
    assert "\n" not in str(caught.value)


def test_aliases_that_would_grow_without_end_are_refused_at_once(tmp_path):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    for sheet in ("\n".join(lines), "cut: &a [" + "x, " * 9 + "]\nweight: *a"):
        shutil.rmtree(tmp_path / "bomb", ignore_errors=True)
        with pytest.raises(GarmentError) as caught:
            load_garments(garment(tmp_path / "bomb", sheet=sheet))
        assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("texture", "message"),
    [
        (b"", "odd/texture.png: empty file"),
        (b"GIF, or is it?" * 9, "odd/texture.png: not a picture"),
        (encode_png(np.zeros((300, 300, 3), np.uint8))[:-40], "odd/texture.png: damaged"),
        (np.zeros((63, 300, 3), np.uint8), "odd/texture.png: 300 x 63 px; sides may be 64 to 4096 px"),
        (np.zeros((80, 4097, 3), np.uint8), "odd/texture.png: 4097 x 80 px; sides may be 64 to 4096 px"),
        (np.zeros((4100, 4100, 3), np.uint8), "odd/texture.png: too large: 16810000 pixels, at most 16777216"),
    ],
)
def test_a_wrong_texture_is_told_with_the_reason(tmp_path, texture, message):
    with pytest.raises(GarmentError, match="^" + message):
        load_garments(garment(tmp_path / "odd", texture))


@pytest.mark.parametrize("missing", ["texture.png", "garment.yaml"])
def test_a_missing_file_is_named(tmp_path, missing):
    garment(tmp_path / "odd")
    (tmp_path / "odd" / missing).unlink()
    with pytest.raises(GarmentError, match=f"^odd: {missing} is missing"):
        load_garments(tmp_path)


@pytest.mark.parametrize("name", ["cloth", "line\nbreak"])
def test_names_that_would_be_mistaken_are_refused(tmp_path, name):
    with pytest.raises(GarmentError, match="no name for a garment"):
        load_garments(garment(tmp_path / name))


def worn(folder, face, cut, **settings):
    """Render the folder's only garment on plain skin."""
    own = load_garments(folder)
    allowed = MaskSettings(kinds={cut: 1e-9}, garments=own, y_offset=(0, 0), rotation=(0, 0), **settings)
    specs = (draw_spec(str(n), allowed) for n in range(20))
    spec = next(spec for spec in specs if spec.garment)
    return spec, render(SKIN, face, spec, garments=own)


@pytest.mark.parametrize("cut", KINDS)
@pytest.mark.parametrize("yaw", [-45, 0, 45])
def test_a_texture_shows_where_its_axes_say(tmp_path, cut, yaw):
    """Colours match the texture's at the places of the mask's grid, up to light; left is the viewer's left."""
    texture = quarters()
    folder = garment(tmp_path / "quarters", texture, f"cut: {cut}\nstraps: none\nweight: 1000")
    face = posed((200, 170), 170, yaw=yaw)
    spec, masked = worn(folder, face, cut)
    prepared = prepare(SKIN, face)
    surface = garments.lay(prepared.net, prepared.mesh, prepared.frame, spec)
    u, v = garments.uv_grid()
    bare = np.where(cut == "respirator", (np.abs(u) < 0.45) & (v < 0.4), np.abs(u) < 0.7)  # of filters and edges
    facing = (
        bare
        & (surface.normals[..., 2] < -0.5)
        & (np.abs(u) > 0.12)
        & (np.abs(v - 0.5) > 0.1)
        & (np.abs(v - 0.5) < 0.34)
    )
    x, y = np.rint(surface.vertices[facing][:, :2]).astype(int).T
    assert len(x) > 20
    seen = masked.picture[y, x].astype(float)
    rows, columns = (v[facing] * 179.99).astype(int), ((u[facing] + 1) / 2 * 229.99).astype(int)
    wanted = 0.06 * 255 + 0.92 * texture[rows, columns]
    apart = np.abs(seen / seen.sum(1, keepdims=True) - wanted / wanted.sum(1, keepdims=True)).max(1)
    assert np.median(apart) < 0.04
    assert (apart < 0.15).mean() > 0.9


@pytest.mark.parametrize("yaw", [-30, 0, 30])
def test_the_middle_of_a_texture_lies_on_the_line_from_nose_to_mouth(tmp_path, yaw):
    """Without knowing how masks are laid: red ends at the face's middle, blue lies above the rest."""
    folder = garment(tmp_path / "quarters", quarters(), "cut: cloth\nstraps: none\nweight: 1000")
    face = posed((200, 170), 170, yaw=yaw)
    _, masked = worn(folder, face, "cloth")
    red, _, blue = (masked.picture[..., n].astype(int) > 95 for n in range(3))
    y, x = np.nonzero(masked.full_region())
    middle = np.interp(y, *face.mesh[list(NOSE_MOUTH), 1::-1].T)
    down = (y > face.mesh[4, 1]) & (y < face.mesh[199, 1]) & (np.abs(x - middle) > 6)
    assert (red[y, x] == (x < middle))[down].mean() > 0.97
    near = np.abs(x - middle) < 20
    assert y[near & blue[y, x]].max() <= y[near & ~blue[y, x]].min() + 6


@pytest.mark.parametrize("width", [180, 450])
def test_large_faces_show_the_same_colours_as_small_ones(tmp_path, width):
    """Textures are drawn finer on large faces."""
    across = np.linspace(0, 2 * np.pi, 230)
    rainbow = np.stack([np.sin(across + turn) * 120 + 130 for turn in (0, 2.1, 4.2)], -1)
    texture = np.repeat(rainbow[None], 180, 0).astype(np.uint8)
    own = load_garments(garment(tmp_path / "rainbow", texture, "weight: 1000"))
    size = 256 if width < 400 else 512
    spec = next(spec for n in range(9) if (spec := draw_spec(str(n), MaskSettings(garments=own))).garment)
    entries, _ = textures.fabric(spec, size, own[0])
    colours = textures.palette(spec, own[0])[entries[size // 2, :size]]
    wanted = 0.06 + 0.92 * images.resized(texture, (size, size))[size // 2] / 255
    assert np.abs(colours - wanted).max() < 0.06


def test_transparent_and_compressed_textures_are_taken(tmp_path):
    garment(tmp_path / "photo", encode_jpeg(np.full((90, 115, 3), (30, 60, 200), np.uint8)), "weight: 1000")
    _, masked = worn(tmp_path, posed((200, 170), 170), "cloth")
    seen = masked.picture[masked.full_region()].mean(0)
    assert seen[2] > 2 * seen[0]


def test_a_garment_is_drawn_as_often_as_its_weight_says(tmp_path):
    for name, weight in (("rare", 0.1), ("common", 0.9)):
        garment(tmp_path / name, sheet=f"cut: gaiter\nstraps: none\nweight: {weight}")
    own = load_garments(tmp_path)
    for kinds in (("surgical", "n95"), {"surgical": 30, "n95": 10}):
        specs = [draw_spec(str(n), MaskSettings(kinds=kinds, garments=own)) for n in range(2000)]
        drawn = Counter(spec.garment for spec in specs)
        assert abs(drawn["rare"] / 2000 - 0.05) < 0.015
        assert abs(drawn["common"] / 2000 - 0.45) < 0.035
        assert all((spec.kind, spec.straps) == ("gaiter", "none") for spec in specs if spec.garment)
        assert {spec.kind for spec in specs if not spec.garment} == {"surgical", "n95"}
    other_way = MaskSettings(kinds=kinds, garments=own[::-1])
    assert [draw_spec(str(n), other_way) for n in range(200)] == specs[:200]


def test_a_spec_that_names_an_unknown_garment_is_refused(tmp_path):
    spec, _ = worn(garment(tmp_path / "gone", sheet="weight: 1000"), posed((200, 170), 170), "cloth")
    with pytest.raises(KeyError, match="gone"):
        render(SKIN, posed((200, 170), 170), spec)


def planned(settings):
    """The fingerprint of masked faces' plan for one known face."""
    known = {"fingerprint": "f", "source": "a.jpg", "frame": "a.jpg", "time": 0.0, "identity": "a", "picture": "a.jpg"}
    faces = pd.DataFrame([{**known, **face_columns(posed()), "manifest": "m", "row": 0}])
    (item,) = masks.plan(faces, Path("data"), settings, variants=1, min_face_px=32, quality=95)
    return item.fingerprint


def test_where_garments_lie_changes_nothing_and_what_they_are_changes_the_plan(tmp_path):
    here = garment(tmp_path / "here" / "mine", quarters())
    there = shutil.copytree(here, tmp_path / "there")
    first, second = (chosen("street", garments=folder) for folder in (here, there))
    assert first.as_key() == second.as_key()
    assert str(tmp_path) not in repr(first.as_key())
    plans = [planned(first), planned(chosen("street"))]
    assert planned(second) == plans[0]
    for change in ("weight: 0.2\n", "weight: 0.1\ncut: n95\n", 'weight: 0.1\nstrap_colour: "#000000"\n'):
        (there / "mine" / "garment.yaml").write_text(change)
        plans.append(planned(chosen("street", garments=there)))
    (there / "mine" / "garment.yaml").write_text("weight: 0.1\n")
    assert planned(chosen("street", garments=there)) == plans[0]
    (there / "mine" / "texture.png").write_bytes(encode_png(255 - quarters()))
    plans.append(planned(chosen("street", garments=there)))
    (there / "mine").rename(there / "yours")
    plans.append(planned(chosen("street", garments=there)))
    assert len(set(plans)) == len(plans)


def test_a_changed_texture_is_drawn_at_once(tmp_path):
    folder, face = garment(tmp_path / "mine", quarters(), "weight: 1000"), posed((200, 170), 170)
    before = worn(folder, face, "cloth")[1]
    (folder / "mine" / "texture.png").write_bytes(encode_png(np.ascontiguousarray(quarters()[:, ::-1])))
    after = worn(folder, face, "cloth")[1]
    assert (before.picture != after.picture).any(-1)[before.full_region()].mean() > 0.5


def drawn(preset, count=1500, **wishes):
    settings = chosen(preset, **wishes)
    return [draw_spec(f"{preset}{n}", settings) for n in range(count)]


def shares(specs, name):
    return {value: count / len(specs) for value, count in Counter(getattr(spec, name) for spec in specs).items()}


def test_seed_000_draws_its_three_kinds_thirteen_colours_and_prints_at_even_odds():
    specs = drawn("seed_000")
    assert shares(specs, "kind") == pytest.approx(dict.fromkeys(("surgical", "n95", "cloth"), 1 / 3), abs=0.04)
    colours = shares(specs, "colour")
    assert len(CLASSIC) == 13
    assert colours == pytest.approx(dict.fromkeys(CLASSIC, 1 / 13), abs=0.03)
    patterns = {"plain": 0.5, **dict.fromkeys(("checks", "stripes", "dots", "floral"), 0.125)}
    assert shares(specs, "pattern") == pytest.approx(patterns, abs=0.04)
    assert {(spec.state, spec.fit, spec.valves) for spec in specs} == {("correct", 1.0, 0)}
    offsets, turns = ([getattr(spec, name) for spec in specs] for name in ("y_offset", "rotation"))
    assert -0.05 <= min(offsets) < -0.04 and 0.09 < max(offsets) <= 0.1
    assert -5 <= min(turns) < -4.8 and 4.8 < max(turns) <= 5


@pytest.mark.parametrize("preset", PRESETS)
def test_kinds_and_states_come_as_often_as_a_preset_declares(preset):
    specs, settings = drawn(preset), PRESETS[preset]
    for name, field in (("kind", settings.kinds), ("state", settings.states)):
        weights = dict(field) if isinstance(field, dict) else dict.fromkeys(field, 1)
        declared = {value: weight / sum(weights.values()) for value, weight in weights.items()}
        found = {**dict.fromkeys(declared, 0.0), **shares(specs, name)}
        assert found == pytest.approx(declared, abs=0.04)
    assert all(settings.fit[0] <= spec.fit <= settings.fit[1] for spec in specs)


def test_careless_is_the_street_in_all_wear_states_and_the_clinic_keeps_to_its_kinds():
    assert shares(drawn("careless"), "state").keys() == set(STATES)
    assert set(shares(drawn("street"), "state")) == {"correct"}
    assert set(shares(drawn("clinic"), "kind")) == {"surgical", "n95", "kn95", "duckbill", "respirator"}


def test_wishes_take_the_presets_place_and_empty_ones_leave_it(tmp_path):
    settings = chosen("clinic", seed=3, kinds={"gaiter": 1.0}, colours={}, patterns={}, states=[], fit=())
    assert (settings.kinds, settings.fit, settings.seed) == ({"gaiter": 1.0}, PRESETS["clinic"].fit, 3)
    assert settings.states == PRESETS["clinic"].states
    assert chosen("street") == PRESETS["street"]
    assert PRESETS["clinic"].seed == 0, "presets stay as they are"
    assert {spec.state for spec in drawn("street", 40, kinds=["cloth"], states=["hanging"])} == {"hanging"}
    assert {spec.state for spec in drawn("street", 40, kinds=["gaiter"], states=["hanging"])} == {"under_chin"}
    assert chosen("street", garments=garment(tmp_path / "mine")).garments[0].name == "mine"


@pytest.mark.parametrize(
    ("preset", "wishes", "message"),
    [
        ("beach", {}, "preset: 'beach'; allowed are street, careless, clinic, seed_000"),
        ("street", {"kinds": ["shield"]}, "kinds: 'shield'; allowed are surgical"),
        ("street", {"fit": (1.1, 0.9)}, "fit: 1.1 to 0.9 is no range"),
    ],
)
def test_a_wrong_preset_or_wish_names_what_is_allowed(preset, wishes, message):
    with pytest.raises(ValueError, match=message):
        chosen(preset, **wishes)
