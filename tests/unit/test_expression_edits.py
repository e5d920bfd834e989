"""Edits of expressions: what a face needs, who makes it, which gates it passes, and what is written of it."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from ops import images
from ops.content import directory_md5
from ops.expressions.asking import COMPLETER, DIFFUSION, DONOR, Ask, Care, Needs, Wish, needs
from ops.expressions.editing import edit, edit_all
from ops.expressions.engines import EngineError
from ops.expressions.moving import Course
from ops.expressions.state import State, closed_eyes
from ops.expressions.takes import KEPT, Collection, Lender, take_of
from ops.faces import find_faces
from ops.records import Box
from ops.sample import portraits
from ops.stages import express_files
from ops.stages.expressing import NOT_ASKED, Maker, Wishes
from ops.store import Dataset, rows_of
from ops.video_writer import write_video
from ops.videos import extract_sound, sample_video, video_info
from resources.compute import Local
from resources.expressions import editors
from resources.models import FaceModels
from tests.closed_eyes import shut

LIMIT = 10**7


@pytest.fixture(scope="module")
def kit():
    return editors(FaceModels(device="cpu"), told="mesh", identity="dlib_resnet")


@pytest.fixture(scope="module")
def loaded(kit):
    return kit.load()


@pytest.fixture(scope="module")
def tools(loaded):
    return loaded[2]


@pytest.fixture(scope="module")
def collins(loaded):
    """A woman who smiles: with open eyes, and with her eyes shut; and her face."""
    pixels = portraits()[0]
    face = find_faces(pixels, *loaded[:2])[0]
    return pixels, shut(pixels, face.mesh), face


@pytest.fixture(scope="module")
def hopper(loaded):
    """A woman who does not smile, and her face."""
    pixels = portraits()[1]
    return pixels, find_faces(pixels, *loaded[:2])[0]


@pytest.fixture(scope="module")
def lending(kit, tools, collins):
    """The tools, and a dimmer picture of the same woman that may lend her eyes."""
    dim = np.rint(collins[0] * 0.8).astype(np.uint8)
    takes = [take_of("dim", dim, collins[2], tools.tell, tools.embed)]
    return replace(tools, makers={DONOR: Lender(lambda: takes, tools.tell, tools.embed, kit.lending)})


class Painter:
    """An engine that gives back a picture made before; with chance, another at each seed."""

    def __init__(self, made, chance=False):
        self.made, self.chance, self.seeds = made, chance, []

    def __call__(self, picture, face):
        return self

    def inpaint(self, image, region, prompt, seed):
        self.seeds.append(seed)
        if isinstance(self.made, EngineError):
            raise self.made
        return self.made(image, region, seed)


def by(tools, **engines):
    return replace(tools, makers=engines)


@pytest.mark.parametrize(
    ("state", "wish", "needed"),
    [
        (State(0.1, 0.4, 0.0, 0.0, "mesh"), Wish(smile=0.5), Needs(("left_eye",), 0.5)),
        (State(0.1, 0.1, 1.0, 0.0, "mesh"), Wish(smile=0.5), Needs(("left_eye", "right_eye"), 0.0)),
        (State(0.1, 0.4, 0.0, 0.0, "mesh"), Wish(eyes=0), Needs((), 0.0)),
        (State(-0.1, 0.4, 0.0, 0.0, "mesh"), Wish(eyes=0), Needs((), 0.0)),
        (State(0.25, 0.6, 0.0, 0.0, "mesh"), Wish(eyes=1.5), Needs(("left_eye",), 0.0)),
        (State(0.9, 0.2, 0.2, 0.0, "blendshapes"), Wish(smile=1.0), Needs(("right_eye",), 1.0)),
    ],
)
def test_a_face_needs_what_its_state_lacks(state, wish, needed):
    assert needs(state, wish) == needed


@pytest.mark.parametrize("wrong", [{"engine": "magic"}, {"smile": 1.5}, {"smile": -0.1}])
def test_a_wish_that_cannot_be_is_refused(wrong):
    with pytest.raises(ValueError, match=str(*wrong.values())):
        Wish(**wrong)


def test_a_face_that_needs_nothing_is_left_alone(tools, collins):
    done = edit(collins[0], collins[2], tools, Wish(smile=0.8))
    assert done.picture is collins[0] and not done.alpha.any() and done.steps == ()
    assert done.reason == "needs nothing: eyes are open and it smiles already"


def test_a_smile_is_made_by_warp_and_nothing_else_changes(tools, hopper):
    pixels, face = hopper
    before = pixels.copy()
    done = edit(pixels, face, tools, Wish(smile=0.6), Care(floor=0.95))
    assert done.reason is None and [step[:2] for step in done.steps] == [("smile", "warp")]
    assert done.after.smile > done.before.smile + 0.02 and done.cosine > 0.95
    (x, y), (height, width) = done.offset, done.alpha.shape
    alpha = np.zeros(pixels.shape[:2])
    alpha[y : y + height, x : x + width] = done.alpha
    changed = (done.picture != pixels).any(axis=2)
    assert changed[alpha > 0].mean() > 0.5 and not changed[alpha == 0].any()
    assert (pixels == before).all()
    again = edit(pixels, face, tools, Wish(smile=0.6), Care(floor=0.95))
    assert (again.picture == done.picture).all()


def test_shut_eyes_are_opened_by_the_persons_own(lending, collins):
    _, asleep, face = collins
    done = edit(asleep, face, lending, Wish(), Care(floor=0.8))
    assert done.reason is None and done.steps[0].engine == DONOR and done.steps[0].tries == 1
    assert len(closed_eyes(done.before)) == 2 and not closed_eyes(done.after)
    left = edit(asleep, face, lending, Wish(), Care(floor=0.8), need=Needs(("left_eye",), 0.0))
    middle = int(face.points5[2, 0]) - left.offset[0]
    assert left.alpha[:, : middle - 4].any() and not left.alpha[:, middle + 4 :].any()


def test_auto_takes_the_next_engine_and_says_why(tools, lending, collins):
    awake, asleep, face = collins

    def wakened(image, region, seed):
        made = image.copy()
        made[region.inside] = whole[region.inside]
        return made

    done = edit(asleep, face, by(tools), Wish(), Care(floor=0.8))
    assert done.picture is asleep and "donor: not at hand" in done.reason and "completer: not at hand" in done.reason
    x, y = done.offset
    whole = awake[y : y + done.alpha.shape[0], x : x + done.alpha.shape[1]]
    kept = by(tools, diffusion=Painter(EngineError("out of paint")), completer=Painter(wakened))
    done = edit(asleep, face, kept, Wish(), Care(floor=0.8))
    assert done.steps[0].engine == COMPLETER and "not by diffusion: out of paint" in done.steps[0].why
    named = edit(asleep, face, replace(lending, makers={**lending.makers, **kept.makers}), Wish(engine=COMPLETER))
    assert named.steps[0].engine == COMPLETER and "not by" not in named.steps[0].why
    with_warp = edit(asleep, face, tools, Wish(engine="warp"))
    assert with_warp.reason == "eyes: warp: it is not made for eyes"


def test_what_does_not_open_or_is_not_the_person_or_reaches_further_is_not_kept(tools, collins, hopper):
    _, asleep, face = collins
    same, noise = (lambda image, region, seed: image.copy()), Painter(None, chance=True)
    noise.made = lambda image, region, seed: np.where(
        region.inside[..., None], np.random.default_rng(seed).integers(0, 255, image.shape), image
    ).astype(np.uint8)
    done = edit(asleep, face, by(tools, completer=Painter(same)), Wish(engine=COMPLETER), Care(tries=3))
    assert "did not open" in done.reason and done.steps[0].tries == 1 and done.picture is asleep
    strict = Care(floor=0.999, tries=3)
    done = edit(asleep, face, by(tools, diffusion=noise), Wish(engine=DIFFUSION), strict, seed=7)
    assert "no longer like the person: cosine" in done.reason and noise.seeds == [7, 8, 9]
    beyond = Painter(lambda image, region, seed: image ^ 1)
    done = edit(asleep, face, by(tools, completer=beyond), Wish(engine=COMPLETER))
    assert "pixels beside the region changed" in done.reason
    smeared = Painter(lambda image, region, seed: np.where(region.inside[..., None], 128, image).astype(np.uint8))
    done = edit(asleep, face, by(tools, completer=smeared), Wish(engine=COMPLETER), Care(floor=0))
    assert "blurred" in done.reason
    pixels, other = hopper
    done = edit(pixels, other, by(tools, completer=Painter(same)), Wish(smile=0.5, engine=COMPLETER))
    assert "the smile did not grow" in done.reason


def test_small_turned_and_cut_off_faces_are_told(tools, hopper):
    pixels, face = hopper
    told = [edit(pixels, face, tools, Wish(smile=1), care).reason for care in (Care(min_face_px=900), Care(max_yaw=-1))]
    assert told[0].endswith("smaller than 900 px") and told[1].startswith("turned by")
    gone = replace(face, box=Box(-400, -400, -200, -200))
    assert edit(pixels, gone, tools, Wish(smile=1)).reason == "outside of the picture"


def test_only_faces_that_are_asked_for_are_edited_each_by_its_wish(loaded, tools):
    hopper = portraits()[1]
    both = np.hstack([hopper[:512, :400], hopper[:512, :400]])
    faces = find_faces(both, *loaded[:2])
    assert len(faces) == 2
    seen = []
    asks = {faces[1].index: Ask(Wish(smile=0.5))}
    result = edit_all(both, faces, tools, asks, Care(floor=0.9), lambda *words: seen.append(words))
    assert result.edits.keys() == asks.keys() and seen == [(faces[1].index, "smile", "warp", 1)]
    mine = slice(0, 400) if faces[1].box.x1 < 400 else slice(400, 800)
    assert result.alpha[:, mine].any() and result.alpha.sum() == result.alpha[:, mine].sum()


def test_takes_of_a_long_video_stay_few_and_spread(tools, collins):
    pixels, asleep, face = collins
    some, collection = take_of("", pixels, face, tools.tell, tools.embed), Collection()
    for number in range(500):
        collection.add(replace(some, name=str(number)))
    names = [int(take.name) for take in collection.takes]
    assert KEPT / 2 < len(names) <= KEPT and len(set(np.diff(names))) == 1 and names[-1] > 480
    closed = take_of("", asleep, face, tools.tell, tools.embed)
    count = len(collection.takes)
    collection.add(closed)
    assert len(collection.takes) == count


def test_a_smile_comes_and_goes_softly_through_a_video(kit, tools, hopper):
    pixels, face = hopper
    course = Course(tools, Wish(smile=0.6), Care(floor=0.9), kit.lending)
    for number in range(4):
        course.see(number / 25, pixels, face)
    course._wanted += [(number / 25, 0.0) for number in range(4, 50)]
    strengths = [course.ask(number / 25, 0)[0].need.smile for number in range(50)]
    assert course.against_smile is None and strengths[0] > 0.15
    assert max(np.abs(np.diff(strengths))) < 0.1 and strengths[-1] == 0
    deaf = Course(by(tools), Wish(smile=0.6), Care(floor=1.01), kit.lending)
    deaf.see(0, pixels, face)
    assert "no longer like the person" in deaf.against_smile and deaf.ask(0, 0)[0].need.smile == 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory, collins):
    """A folder: shut eyes with an open-eyed picture beside them, one who does not smile, and what is no picture."""
    given = tmp_path_factory.mktemp("given")
    (given / "sub").mkdir()
    dim = np.rint(collins[0] * 0.85).astype(np.uint8)
    files = {"sub/asleep.png": collins[1], "sub/awake.png": dim, "hopper.png": portraits()[1]}
    for name, pixels in files.items():
        (given / name).write_bytes(images.encode_png(pixels))
    (given / "bad.jpg").write_bytes(b"no picture")
    return given


def express(given, output, kit, **wishes):
    wishes = Wishes(Wish(smile=0.6), Care(floor=0.9), kit.lending, kit=kit.versions(), **wishes)
    items, told = express_files.plan(given, None, wishes=wishes)
    dataset = Dataset(output, express_files.COLUMNS, exclusive=False)
    work = partial(express_files.ExpressFile, output, kit, wishes, max_pixels=LIMIT)
    return dataset, dataset.build(items, work, Local(1), refused=told)


@pytest.mark.slow
def test_files_are_edited_in_their_folders_with_eyes_from_beside(kit, folder, tmp_path):
    dataset, _ = express(folder, tmp_path / "one", kit)
    rows = {known["source"]: known for known in rows_of(dataset.read())}
    assert {name: known["status"] for name, known in rows.items()} == {
        "sub/asleep.png": "done",
        "sub/awake.png": "skipped",
        "hopper.png": "done",
        "bad.jpg": "rejected",
    }
    asleep, hopper = rows["sub/asleep.png"], rows["hopper.png"]
    assert (asleep["eyes_by"], asleep["smile_by"], hopper["eyes_by"], hopper["smile_by"]) == (DONOR, None, None, "warp")
    assert asleep["left_eye_after"] > 1.1 * asleep["left_eye"] and hopper["smile_after"] > hopper["smile"]
    for known in (asleep, hopper):
        before, after = images.read(folder / known["source"]), images.read(dataset.folder / known["output"])
        alpha = images.read_grey(dataset.folder / known["alpha"])
        assert known["changed_px_outside"] == 0 and (before[alpha == 0] == after[alpha == 0]).all()
        assert known["edited_px"] == (alpha > 0).sum() and known["identity_cosine"] > 0.9 and known["why"]
        panels = images.read(dataset.folder / known["panels"])
        assert panels.shape[1] > 2 * panels.shape[0]
    other, _ = express(folder, tmp_path / "other", kit)
    assert directory_md5(other.folder) == directory_md5(dataset.folder)
    assert express(folder, tmp_path / "one", kit)[1].made == 0
    few = express(folder, tmp_path / "few", kit, only=3, regions=False)[0].read(status="skipped")
    assert set(few["reason"]) == {NOT_ASKED} and not list((tmp_path / "few").glob("**/*.png"))


@pytest.mark.slow
def test_a_video_is_edited_steadily_and_keeps_its_sound(kit, collins, tmp_path):
    """A blink of three frames is opened by the frames around it."""
    from ops.sample import make_sample

    make_sample(tmp_path / "sample")
    source, given = tmp_path / "sample" / "clip.mp4", tmp_path / "blink.mp4"
    awake, asleep, face = collins
    x, y = (int(side) for side in face.box.grown(1.6)[:2])
    part = (slice(max(0, y), max(0, y) + 180), slice(max(0, x), max(0, x) + 180))
    with write_video(given, like=source) as made:
        for shot in sample_video(source, None):
            pixels = (asleep if 5 <= shot.index < 8 else awake)[part]
            made.add(
                images.resized(np.kron(pixels, np.ones((2, 2, 1), np.uint8)), (360, 360)), shot.time, shot.duration
            )
            if shot.index == 13:
                break
    wishes = Wishes(Wish(), Care(floor=0.8), kit.lending, regions=True)
    maker = Maker(tmp_path / "out", kit, wishes, max_pixels=LIMIT)
    rows = [(time, told[0]) for time, told in maker.video(given, "made", "content")]
    assert len(rows) == 14
    done = [number for number, (_, told) in enumerate(rows) if told["status"] == "done"]
    assert {5, 6, 7} <= set(done) and min(done) >= 2 and max(done) <= 11
    assert all(told["eyes_by"] == DONOR and told["changed_px_outside"] == 0 for _, told in (rows[n] for n in done))
    output = tmp_path / "out" / "made.mp4"
    assert video_info(output)[1:] == video_info(given)[1:] and extract_sound(output) == extract_sound(given)
    tell, finder = kit.load()[2].tell, kit.load()[:2]
    for shot in sample_video(output, None):
        (seen,) = find_faces(shot.pixels, *finder)
        assert not closed_eyes(tell(shot.pixels, seen.mesh)), shot.index
    assert video_info(tmp_path / "out" / "made_panels.mp4").width > 2 * 360
