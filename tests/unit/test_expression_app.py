"""The browser app of expressions: what is behind its page."""

import numpy as np
import pytest

from apps.expression import work
from ops import images
from ops.expressions.asking import Wish
from ops.expressions.state import State
from ops.faces import find_faces
from ops.records import Refusal
from ops.sample import portraits
from resources.expressions import editors
from resources.models import FaceModels
from tests.closed_eyes import shut


@pytest.fixture(scope="module")
def desk():
    return work.Desk(editors(FaceModels(device="cpu"), told="mesh", identity="dlib_resnet"))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder, collins = tmp_path_factory.mktemp("pictures"), portraits()[0]
    (face,) = find_faces(collins, *FaceModels(device="cpu").load(), max_faces=1)
    dim = np.rint(collins * 0.85).astype(np.uint8)
    for name, pixels in {"asleep.png": shut(collins, face.mesh), "awake.png": dim}.items():
        (folder / name).write_bytes(images.encode_png(pixels))
    (folder / "bad.png").write_bytes(b"no picture")
    return folder


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (State(0.4, 0.4, 1.0, 0, "mesh"), "eyes open, smiling"),
        (State(0.1, 0.1, 0.0, 0, "mesh"), "eyes closed, no smile"),
        (State(0.9, 0.1, 0.0, 0, "blendshapes"), "right eye closed, no smile"),
    ],
)
def test_states_are_told_in_words(state, words):
    assert work.in_words(state) == words


def test_what_is_no_picture_is_refused(desk, files):
    with pytest.raises(Refusal, match="not a picture"):
        desk.look(files / "bad.png")


@pytest.mark.slow
def test_faces_are_found_numbered_and_edited_with_eyes_from_other_pictures(desk, files):
    looked = desk.look(files / "asleep.png")
    assert len(looked.faces) == 1 and work.in_words(looked.states[0]) == "eyes closed, smiling"
    before = images.read(files / "asleep.png")
    numbered = work.numbered(looked)
    assert numbered.shape == before.shape and (numbered != before).any()
    assert [icon.shape for icon in work.icons(looked)] == [(work.CROP, work.CROP, 3)]
    alone = desk.edit(looked, {0: Wish(engine="donor")}, 0)
    assert alone.png is None and list(alone.views) == ["Whole picture"]
    assert alone.table[0][4] == "no" and "no other picture at hand" in alone.table[0][5]
    shown = desk.edit(looked, {0: Wish()}, 0, [files / "awake.png"])
    assert list(shown.views) == ["Whole picture", "Face 0"] and shown.table[0][4] == "eyes by donor"
    after = images.decode(shown.png)
    assert after.shape == before.shape and (after != before).any()
    assert (shown.regions != before).any() and shown.views["Face 0"][0].shape == shown.views["Face 0"][1].shape
    with pytest.raises(Refusal):
        desk.edit(looked, {0: Wish()}, 0, [files / "bad.png"])
