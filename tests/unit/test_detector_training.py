"""Training and export of the mask detector: real networks, pictures of two real people, very few of them."""

from pathlib import Path

import numpy as np
import pytest

from ops.stages.detector import plan, split_hash, truth_of
from ops.training import export
from ops.training.detector import BEST, Recipe, lay_out, listed, train
from resources.start_weights import Start, start_weights
from tests.tiny_split import make_split

ROOT = Path(__file__).resolve().parents[2]
SIDE = 96
TINY = Recipe(image_size=SIDE, epochs=1, batch=4, mosaic=0.5, close_mosaic=0, patience=9)
DRAWN = Start("none", None, "")


def quiet(epoch, metrics):
    """Don't watch."""


@pytest.fixture(scope="module")
def split(tmp_path_factory):
    return make_split(tmp_path_factory.mktemp("split") / "split")


# What can be said without training


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"size": "x"}, "size is 'x'; use one of n, s, m"),
        ({"image_size": 100}, "image_size is 100; use a multiple"),
        ({"optimizer": "best"}, "optimizer is 'best'; use one of auto, Adam"),
        ({"lr0": 0.0}, "lr0 is 0.0; use a learning rate above 0"),
    ],
)
def test_a_recipe_says_what_it_allows(wrong, told):
    with pytest.raises(ValueError, match=told):
        Recipe(**wrong)


def test_training_works_on_links_to_pictures_and_copies_of_labels(tmp_path):
    split = make_split(tmp_path / "split")
    odd = split / "images/train/1.jpg"
    odd.write_bytes(odd.read_bytes() + b"tail")
    table = lay_out(split, tmp_path / "work", "train")
    assert f"path: {tmp_path / 'work'}" in table.read_text()
    for picture in (*listed(split, "train"), *listed(split, "val")):
        there, here = split / picture, tmp_path / "work" / picture
        assert here.read_bytes() == there.read_bytes()
        assert here.samefile(there) == (there != odd), "trainers write over a JPEG that ends in anything else"
        labels = Path(picture.replace("images", "labels")).with_suffix(".txt")
        assert (tmp_path / "work" / labels).read_bytes() == (split / labels).read_bytes()
        assert not (tmp_path / "work" / labels).samefile(split / labels)
    assert not (tmp_path / "work/images/test").exists()


def test_a_split_of_other_classes_or_none_is_refused(tmp_path):
    split = make_split(tmp_path / "split")
    (split / "val.txt").write_text("")
    with pytest.raises(ValueError, match=r"val\.txt names no picture"):
        plan(split, TINY, DRAWN)
    (split / "data.yaml").write_text("names: [cat, dog]\n")
    for refused in (lambda: plan(split, TINY, DRAWN), lambda: lay_out(split, tmp_path / "work", "train")):
        with pytest.raises(ValueError, match="names cat, dog; a mask detector knows with_mask"):
            refused()


def test_what_is_trained_on_decides_what_is_trained(tmp_path):
    split = make_split(tmp_path / "split")
    before = plan(split, TINY, DRAWN)[0].fingerprint
    (split / "classes.png").write_bytes(b"beside")
    assert plan(split, TINY, DRAWN)[0].fingerprint == before
    assert plan(split, Recipe(**{**TINY.__dict__, "seed": 1}), DRAWN)[0].fingerprint != before
    assert plan(split, TINY, Start("x.pt", None, "abc"))[0].fingerprint != before
    content = split_hash(split)
    (split / "labels/train/0.txt").write_text("2 0.5 0.5 0.1 0.1\n")
    assert split_hash(split) != content


def test_the_label_file_in_pixels():
    truth = truth_of("2 0.5 0.25 0.2 0.1\n\n".replace("\n\n", "\n"), np.zeros((100, 200, 3), np.uint8))
    assert np.allclose(truth.boxes, [[80, 20, 120, 30]]) and truth.labels.tolist() == [2]


def test_weights_by_name_by_path_and_none(tmp_path):
    (tmp_path / "own.pt").write_bytes(b"weights")
    own = start_weights(str(tmp_path / "own.pt"), "n")
    assert (own.name, own.path, len(own.sha256)) == ("own.pt", tmp_path / "own.pt", 64)
    assert start_weights("none", "s") == DRAWN
    with pytest.raises(FileNotFoundError):
        start_weights(str(tmp_path / "absent.pt"), "n")


@pytest.mark.slow
def test_the_same_training_gives_the_same_bytes_and_bfloat16_others(split, tmp_path):
    made = {}
    for name, precision in (("one", "float32"), ("again", "float32"), ("short", "bfloat16")):
        recipe = Recipe(**{**TINY.__dict__, "image_size": 64, "precision": precision})
        kept = train(split, tmp_path / name, recipe, None, device="cpu", on_epoch=quiet)
        made[name] = export.clean_weights(kept / BEST)[0]
    assert made["one"] == made["again"]
    assert made["one"] != made["short"]
