"""The catalogue of masks: complete, the same every time, safe to open; and its page in the docs."""

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from skimage.data import astronaut
from typer.testing import CliRunner

from ops import images
from ops.catalogue import DRAWS, LARGEST, YAWS, make_catalogue
from ops.geometry import pose_from_mesh
from ops.mannequin import GREY, mannequin
from ops.masking import KINDS, PRESETS, STATES, load_garments
from ops.masking.spec import NATURAL, PATTERNS, STRAPS, UNHUNG
from tests.posed import posed

ROOT = Path(__file__).resolve().parents[2]
DOC = ROOT / "docs" / "masks.md"
SUBJECTS = ("overview", "kinds", "patterns", "details", "states", "yaws", "presets", "own")
HOSTILE = '<img src=x onerror="alert(1)">&amp;'


class Page(HTMLParser):
    """Sections, their headings and the lines below each picture; links; what the page loads."""

    def __init__(self, text):
        super().__init__()
        self.sections, self.links, self.sources, self.tags, self.alts = {}, [], [], set(), []
        self.open = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        told = dict(attributes)
        self.tags.add(tag)
        self.links += [told["href"]] if "href" in told else []
        self.sources += [told["src"]] if "src" in told else []
        self.alts += [told["alt"]] if tag == "img" else []
        assert not any(name.startswith("on") for name in told)
        if tag == "section":
            self.rows = self.sections[told["id"]] = {}
        elif tag == "figure":
            self.lines.append([])
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, text):
        if self.open[-1:] == ["h3"]:
            self.lines = self.rows[text] = []
        elif self.open[-2:] == ["figcaption", "div"]:
            self.lines[-1].append(text)


@pytest.fixture(scope="module")
def portraits():
    return [(astronaut(), posed())]


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    folder = tmp_path_factory.mktemp("garments")
    for name, colour in (("sunset", (240, 120, 60)), (HOSTILE, (40, 90, 200))):
        (folder / name).mkdir()
        (folder / name / "texture.png").write_bytes(images.encode_png(np.full((64, 100, 3), colour, np.uint8)))
        (folder / name / "garment.yaml").write_text("cut: kn95\nweight: 0.25\n")
    return load_garments(folder)


@pytest.fixture(scope="module")
def made(tmp_path_factory, portraits, own):
    folder = tmp_path_factory.mktemp("catalogue") / "new" / "folder"
    files = make_catalogue(folder, portraits, own)
    assert files == [folder / f"catalogue_{subject}.jpg" for subject in SUBJECTS] + [folder / "index.html"]
    return folder


@pytest.fixture(scope="module")
def page(made):
    return Page((made / "index.html").read_text())


def test_every_sheet_is_a_picture_of_the_same_width_that_fits_the_docs(made):
    for subject in SUBJECTS:
        path = made / f"catalogue_{subject}.jpg"
        assert path.stat().st_size <= LARGEST
        height, width = images.read(path).shape[:2]
        assert (width, height > 200) == (1016, True)


def test_the_same_catalogue_has_the_same_bytes_and_sweeps_nothing_of_the_users(made, tmp_path, portraits, own):
    (tmp_path / "catalogue_mine.jpg").write_bytes(b"the user's")
    (tmp_path / "holiday.jpg").write_bytes(b"the user's")
    make_catalogue(tmp_path, portraits, own)
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in made.iterdir()} | {
        "holiday.jpg",
        "catalogue_mine.jpg",
    }
    for path in made.iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name


def test_all_kinds_colours_patterns_valves_straps_and_yaws_are_shown(page):
    sections = page.sections
    assert tuple(sections) == SUBJECTS
    assert {kind: {lines[1] for lines in row} for kind, row in sections["kinds"].items()} == {
        kind: set(colours) for kind, colours in NATURAL.items()
    }
    surgical = " ".join(lines[0] for lines in sections["kinds"]["surgical"])
    assert all(colour in surgical for colour in ("white", "blue", "green", "black", "pink"))
    assert all([name for (name,) in sections["patterns"][kind]] == list(PATTERNS[1:]) for kind in ("cloth", "gaiter"))
    assert ["cloth", "valves: 2"] in sections["details"]["valves"]
    assert {lines[1] for lines in sections["details"]["straps"]} == {f"straps: {straps}" for straps in STRAPS}
    assert tuple(sections["yaws"]) == KINDS
    assert all([int(line.rstrip("°")) for (line,) in row] == list(YAWS) for row in sections["yaws"].values())
    assert {preset: len(row) for preset, row in sections["presets"].items()} == dict.fromkeys(PRESETS, DRAWS)


@pytest.mark.parametrize("kind", KINDS)
def test_wear_states_are_shown_as_meant_and_as_measured(page, kind):
    off = {"under_chin": "off", "hanging": "off"}
    assert page.sections["states"][kind] == [
        [state, off.get(state, state), "with_mask" if state == "correct" else "mask_weared_incorrect"]
        for state in STATES
        if state != "hanging" or kind not in UNHUNG
    ]


def test_own_garments_are_shown_by_name_whatever_it_is(page, made):
    assert list(page.sections["own"]) == sorted(["sunset", HOSTILE])
    assert page.sections["own"]["sunset"][0] == ["cut: kn95", "weight: 0.25"]
    assert HOSTILE not in (made / "index.html").read_text()
    assert any(HOSTILE in alt for alt in page.alts)


def test_the_page_loads_nothing_and_its_links_lead_somewhere(page, made):
    assert page.open == []
    assert not page.tags & {"script", "link", "iframe", "object"}
    assert (
        len(page.sources) == len(page.alts) == sum(len(row) for rows in page.sections.values() for row in rows.values())
    )
    assert all(source.startswith("data:image/jpeg;base64,") for source in page.sources)
    assert "url(" not in (made / "index.html").read_text().replace("base64,", "")
    for link in page.links:
        assert link[1:] in page.sections if link[0] == "#" else (made / link).is_file(), link


def test_presets_can_be_chosen_and_a_wrong_one_writes_nothing(tmp_path, portraits):
    make_catalogue(tmp_path / "few", portraits, presets=["careless"])
    page = Page((tmp_path / "few" / "index.html").read_text())
    assert (list(page.sections["presets"]), "own" in page.sections) == (["careless"], False)
    with pytest.raises(ValueError, match="preset: 'beach'; allowed are street"):
        make_catalogue(tmp_path / "none", portraits, presets=["beach"])
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("yaw", [0, 25, 75])
def test_the_mannequin_is_turned_as_told_and_alike_on_both_sides(yaw):
    heads = [mannequin(angle, 200) for angle in (yaw, -yaw)]
    for (pixels, face), angle in zip(heads, (yaw, -yaw), strict=True):
        assert pose_from_mesh(face.mesh) == pytest.approx((angle, 0, 0), abs=0.01)
        assert face.box == face.box.clipped(200, 200)
        height, width = pixels.shape[:2]
        assert (height, width, pixels.dtype) == (200, 200, np.uint8)
    shapes = [(pixels != GREY).any(-1) for pixels, _ in heads]
    assert (shapes[0] & shapes[1][:, ::-1]).sum() / (shapes[0] | shapes[1][:, ::-1]).sum() > 0.98
    assert 0.25 < shapes[0].mean() < 0.55


def test_the_mannequins_face_is_where_its_mesh_says():
    pixels, face = mannequin(0, 400)
    x, y = np.rint(face.mesh[[4, 152, 10, 50, 280], :2]).astype(int).T
    assert (pixels[y - [0, 4, -4, 0, 0], x] != GREY).any(-1).all()


def test_the_verb_makes_a_catalogue_of_the_sample(tmp_path):
    from apps.cli import app
    from model_assets.registry import ModelUnavailable
    from resources.models import FaceModels

    try:
        FaceModels(device="cpu").load()
    except ModelUnavailable as error:
        pytest.skip(str(error))
    options = ["--garments", str(ROOT / "garments"), "--preset", "careless"]
    done = CliRunner().invoke(app, ["garments", str(tmp_path / "out"), *options])
    assert done.exit_code == 0, done.output
    page = Page((tmp_path / "out" / "index.html").read_text())
    assert list(page.sections["own"]) == ["harlequin"]
    assert list(page.sections["presets"]) == ["careless"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--preset", "beach"], "preset: 'beach'; allowed are street"),
        (["--garments", "nowhere"], "does not exist"),
        (["--garments", "."], "empty: texture.png is missing"),
    ],
)
def test_the_verb_tells_what_is_wrong(tmp_path, monkeypatch, options, message):
    from apps.cli import app

    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    done = CliRunner(env={"COLUMNS": "200", "TERM": "dumb"}).invoke(app, ["garments", "out", *options])
    assert done.exit_code == 2
    assert message in done.output
    assert not (tmp_path / "out").exists()


def test_the_docs_show_every_sheet_and_name_every_choice(tmp_path):
    text = DOC.read_text()
    pictures = re.findall(r"!\[[^\]]+\]\((pictures/catalogue_\w+\.jpg)\)", text)
    assert sorted(pictures) == sorted(f"pictures/catalogue_{subject}.jpg" for subject in SUBJECTS)
    for picture in pictures:
        assert (DOC.parent / picture).stat().st_size <= LARGEST
    for name in (*KINDS, *STATES, *PATTERNS, *PRESETS, *STRAPS, "cut", "straps", "strap_colour", "weight"):
        assert f"`{name}`" in text, name
    (sheet,) = re.findall(r"```yaml\n(cut:.*?)```", text, re.DOTALL)
    (tmp_path / "tartan").mkdir()
    (tmp_path / "tartan" / "garment.yaml").write_text(sheet)
    (tmp_path / "tartan" / "texture.png").write_bytes(images.encode_png(np.zeros((90, 115, 3), np.uint8)))
    assert load_garments(tmp_path)[0].name == "tartan"
