"""Re-identification: ranks and figures computed by hand, who is asked about, and what a failure counts as."""

import csv
import io
from pathlib import Path

import numpy as np
import pytest

from ops.detection.likeness import look_at
from ops.records import Box
from ops.reidentification import scenarios
from ops.reidentification.ranks import FIGURES, cmc, measured, outscored, ranked, similarities
from ops.reidentification.report_files import plot_anonymisers, plot_cmc, tables
from ops.reidentification.scenarios import FACE, OVERLAY, SCENARIOS, Floor, Scenario, metrics_of, outcome, outcomes
from ops.reidentification.trials import (
    CROSS,
    DATABASE,
    QUERY,
    SAME,
    Pair,
    Shot,
    Trial,
    one_photograph,
    shot_of,
    trial_of,
    without_copies,
)
from ops.sample import portraits
from ops.stages.reidentification_report import SEVERAL, plan

BY_HAND = np.array([[0.9, 0.1, 0.2], [0.8, 0.5, 0.3], [0.4, 0.6, 0.5]])
DIAGONAL = np.arange(3)


def test_ranks_by_hand():
    told = ranked(BY_HAND, DIAGONAL)
    assert told.mean.tolist() == [1, 2, 2]
    assert told.within(1).tolist() == [1, 0, 0]
    assert told.within(2).tolist() == [1, 1, 1]
    np.testing.assert_allclose(cmc(told, 3), [1 / 3, 1, 1])


def test_ties_are_what_chance_makes_of_them():
    """Where nothing tells people apart, every order is as likely, so rank-1 is one in as many as there are."""
    told = ranked(np.full((4, 4), 0.7), np.arange(4))
    assert told.mean.tolist() == [2.5] * 4
    np.testing.assert_allclose(cmc(told, 4), [0.25, 0.5, 0.75, 1])
    assert np.nanmean(outscored(np.full((4, 4), 0.7), np.arange(4))) == 0.5


def test_verification_is_the_share_of_strangers_outscored():
    """Right pairs .9, .5, .5; strangers .1 .2 .8 .3 .4 .6: 6, 4 and 4 of 6 are outscored."""
    assert outscored(BY_HAND, DIAGONAL).mean() == pytest.approx((6 + 4 + 4) / 18)


@pytest.mark.parametrize("seed", range(3))
def test_verification_is_the_rank_statistic_of_all_pairs(seed):
    similarity = np.random.default_rng(seed).integers(0, 20, (9, 12)) / 20
    own = np.random.default_rng(seed + 10).permutation(12)[:9]
    right = similarity[np.arange(9), own]
    others = [similarity[at, column] for at in range(9) for column in range(12) if column != own[at]]
    by_pairs = np.mean([(one > other) + (one == other) / 2 for one in right for other in others])
    assert outscored(similarity, own).mean() == pytest.approx(by_pairs)


def test_a_gallery_of_one_has_no_strangers():
    told = measured(ranked(np.array([[0.3]]), np.array([0])), outscored(np.array([[0.3]]), np.array([0])))
    assert told.mean[:3].tolist() == [1, 1, 1]
    assert np.isnan(told.mean[3])


def test_intervals_hold_the_figure_and_narrow_with_people():
    rng = np.random.default_rng(0)
    widths = []
    for people in (20, 200):
        similarity = rng.normal(0, 1, (people, people)) + 2 * np.eye(people)
        told = measured(ranked(similarity, np.arange(people)), outscored(similarity, np.arange(people)))
        assert (told.low <= told.mean).all() and (told.mean <= told.high).all()
        assert (told.low < told.high).all()
        widths.append(told.high - told.low)
    assert (widths[1][[0, 3]] < widths[0][[0, 3]]).all()


def test_failed_pairs_taken_for_recognised_are_rank_one_beyond_doubt():
    """Ranks 1, 2, 2 and one more recognised: 2 of 4 at rank 1, mean 6 / 4; AUC (14 / 18 * 3 + 1) / 4."""
    ranks, shares = ranked(BY_HAND, DIAGONAL), outscored(BY_HAND, DIAGONAL)
    worst = dict(zip(FIGURES, measured(ranks, shares, 1).mean, strict=True))
    assert worst == pytest.approx({"rank_1": 0.5, "rank_5": 1, "mean_rank": 1.5, "auc": (14 / 18 * 3 + 1) / 4})


def test_cosines_that_differ_by_rounding_are_ties():
    one, nearly = np.array([1, 0], np.float32), np.array([1, 1e-4], np.float32)
    nearly /= np.linalg.norm(nearly)
    assert similarities([one], [one, nearly]).tolist() == [[1, 1]]
    assert similarities([], [one]).shape == (0, 1)


def unit(*values: float) -> np.ndarray:
    return np.asarray(values, np.float32) / np.float32(np.linalg.norm(values))


TRIAL = Trial(CROSS, (Pair("ann", "a1", "a2"), Pair("bob", "b1", "b2"), Pair("eve", "e1", "e2")), ("x1",))
VECTORS = {
    ("a1", FACE): unit(1, 0),
    ("b1", FACE): unit(0, 1),
    ("e1", FACE): unit(-1, 0),
    ("x1", FACE): unit(1, 1),
    ("a2", OVERLAY): unit(5, 1),
    ("b2", OVERLAY): unit(4, 5),
}


def test_an_outcome_by_hand():
    """Ann is named first; the stranger is nearer to Bob's query than Bob; Eve's query failed, and she is in the way."""
    told = outcome(TRIAL, Scenario(OVERLAY, FACE), VECTORS)
    assert [pair.person for pair in told.pairs] == ["ann", "bob"]
    assert [pair.person for pair in told.failed] == ["eve"]
    assert told.gallery == 4
    assert told.ranks.mean.tolist() == [1, 2]
    assert told.similarity.tolist() == pytest.approx([5 / 26**0.5, 5 / 41**0.5], abs=1e-5)
    assert told.excluded.mean[0] == 1 / 2
    assert told.worst.mean[0] == 2 / 3


def test_a_database_picture_that_failed_fails_its_pair_alone():
    vectors = {key: vector for key, vector in VECTORS.items() if key != ("b1", FACE)}
    told = outcome(TRIAL, Scenario(OVERLAY, FACE), vectors)
    assert ([pair.person for pair in told.pairs], told.gallery) == (["ann"], 3)


def test_where_all_failed_there_are_no_figures_and_all_are_recognised_at_worst():
    told = outcome(TRIAL, Scenario("gaussian_blur", "gaussian_blur"), VECTORS)
    assert (told.pairs, len(told.failed), told.gallery) == ((), 3, 0)
    assert np.isnan(told.excluded.mean).all()
    assert told.worst.mean[0] == 1


def shots(*names: str, **same: str) -> list[Shot]:
    """Shots by names such as ``ann:video1:3``, the capture in the middle."""
    return [Shot(name, name.split(":")[0], name.split(":")[1], **same) for name in names]


def test_settings_take_their_pairs_from_one_video_or_from_two():
    given = shots("ann:1:a", "ann:1:b", "ann:2:c", "bob:1:d", "bob:1:e", "eve:1:f")
    same, cross = (trial_of(given, setting) for setting in (SAME, CROSS))
    assert [pair.person for pair in same.pairs] == ["ann", "bob"]
    assert all(pair.database.split(":")[1] == pair.query.split(":")[1] for pair in same.pairs)
    assert same.others == ("eve:1:f",)
    assert [pair.person for pair in cross.pairs] == ["ann"]
    assert {key.split(":")[1] for key in (cross.pairs[0].database, cross.pairs[0].query)} == {"1", "2"}
    assert len(cross.others) == 2


def test_no_picture_is_asked_about_and_in_the_gallery():
    """The same content under two names is one picture; whoever has no other is not asked about."""
    twice = [Shot("k", "ann", "one.jpg"), Shot("k", "ann", "two.jpg"), *shots("bob:1:a", "bob:2:b")]
    trial = trial_of(twice, CROSS)
    assert [pair.person for pair in trial.pairs] == ["bob"]
    assert trial.others == ("k",)


def test_a_choice_is_one_of_the_seed_and_not_of_the_order():
    given = shots(*(f"p{person}:{video}:{at}" for person in range(9) for video in "ab" for at in range(4)))
    trial = trial_of(given, SAME)
    assert trial == trial_of(given[::-1], SAME)
    assert trial != trial_of(given, SAME, seed=1)


def test_roles_of_folders_are_kept():
    given = [Shot("q", "ann", "v", QUERY), Shot("d", "ann", "v", DATABASE), Shot("z", "bob", "w", QUERY)]
    trial = trial_of(given, SAME)
    assert trial.pairs == (Pair("ann", "d", "q"),)
    assert trial.others == (), "a query alone is in no gallery"
    assert not trial_of(given, CROSS).pairs


@pytest.mark.parametrize(
    ("source", "time", "capture", "role"),
    [
        ("database/ann/v/1.png", None, "s/ann/v", DATABASE),
        ("query/ann/v.mp4", 2.0, "s/ann/v.mp4", QUERY),
        ("database/ann.jpg", None, "s/database/ann.jpg", DATABASE),
        ("ann/v/1.png", None, "s/ann/v", None),
        ("ann/1.png", None, "s/ann/1.png", None),
        ("clip.mp4", 0.5, "s/clip.mp4", None),
    ],
)
def test_where_a_picture_comes_from(source, time, capture, role):
    told = shot_of({"frame": "f", "identity": "ann", "source": source, "folder": "s", "time": time})
    assert told == Shot("f", "ann", capture, role)


def test_a_photograph_is_no_second_photograph_of_a_person():
    """Recoded, mirrored and smaller copies are found; another person's portrait is not one."""
    from ops import images

    one, other = portraits()[:2]

    def look(pixels: np.ndarray) -> list:
        whole, parts = look_at(pixels, [Box(0, 0, pixels.shape[1], pixels.shape[0]).grown(0.6)])
        return [whole, *(part for part in parts if part is not None)]

    small = images.resized(one, (one.shape[1] * 2 // 3, one.shape[0] * 2 // 3))
    copies = (images.decode(images.encode_jpeg(one, 40)), np.ascontiguousarray(one[:, ::-1]), small)
    for copy in copies:
        assert one_photograph(look(one), look(copy))
    assert not one_photograph(look(one), look(other))
    looks = {"a": look(one), "b": look(copies[0]), "c": look(one), "d": look(other)}
    trial = Trial(CROSS, (Pair("ann", "a", "b"), Pair("bob", "c", "d"), Pair("eve", "e", "a")), ())
    kept, left_out = without_copies(trial, looks)
    assert [pair.person for pair in kept.pairs] == ["bob", "eve"], "what is unknown stays"
    assert (left_out, kept.others) == ((trial.pairs[0],), ("a",))
    still = without_copies(trial._replace(setting=SAME), {**looks, "d": looks["c"]})[0]
    assert [pair.person for pair in still.pairs] == ["ann", "eve"], "frames of a video are left out where nothing moved"


def seen(name: str, face: int = 0) -> dict:
    """A row of face geometry for a picture such as ``ann/1.png``."""
    about = {"folder": "s", "frame": f"frame {name}", "picture": f"raw/s/{name}", "source": name, "time": None}
    return {**about, "identity": name.split("/", maxsplit=1)[0], "fingerprint": name, "face": face}


def test_refused_pictures_take_part_and_pictures_that_were_left_out_do_not():
    def masked(name: str, status: str) -> dict:
        place = {"folder": "s", "frame": f"frame {name}", "status": status, "reason": "why"}
        return {**place, "output": f"{name}_o", "on_black": f"{name}_b", "square": None}

    names = ["ann/1.png", "ann/2.png", "ann/3.png", "bob/1.png", "bob/2.png"]
    faces = [*map(seen, names), seen("bob/2.png", 1)]
    status = ("done", "rejected", "skipped", "done", "done")
    masks = [masked(name, one) for name, one in zip(names, status, strict=True)]
    worn = {"folder": "s", "frame": "frame ann/1.png", "truth": "raw/s/ann/1.png"}
    completed = [{**worn, "variant": at, "output": f"completed_{at}"} for at in (1, 0)]
    chosen = plan(faces, masks, completed, Path("data"), seed=0, judge="")
    cross = next(trial for trial in chosen.trials if trial.setting == CROSS)
    assert [{pair.database, pair.query} for pair in cross.pairs] == [{"frame ann/1.png", "frame ann/2.png"}]
    assert cross.others == ("frame bob/1.png",)
    hidden = {item.payload["shot"].key: item.payload["hidden"] for item in chosen.items}
    assert hidden["frame ann/1.png"].files == {
        FACE: "raw/s/ann/1.png",
        OVERLAY: "digital_masks/s/ann/1.png_o",
        scenarios.MASK_ONLY: "digital_masks/s/ann/1.png_b",
        scenarios.COMPLETED: "unmasked_faces/s/completed_0",
    }
    assert (hidden["frame ann/2.png"].files, hidden["frame ann/2.png"].reason) == ({FACE: "raw/s/ann/2.png"}, "why")
    assert [(known["picture"], known["reason"]) for known in chosen.told] == [("raw/s/bob/2.png", SEVERAL)]


def population(people: int, noise: float, seed: int = 0) -> tuple[Trial, dict]:
    """People with random vectors, seen twice, in all guises: overlays lose all but a little of them."""
    rng = np.random.default_rng(seed)
    vectors = {}
    for person in range(people):
        face, grey = rng.normal(0, 1, 32), np.ones(32)
        for which in "dq":
            for guise in scenarios.GUISES:
                seen = face if guise == FACE else 0.1 * face + grey
                vectors[f"{which}{person}", guise] = unit(*(seen + rng.normal(0, noise, 32)))
    pairs = tuple(Pair(str(person), f"d{person}", f"q{person}") for person in range(people))
    return Trial(CROSS, pairs, ()), vectors


@pytest.mark.parametrize(
    ("people", "noise", "why"),
    [(30, 0.3, None), (5, 0.3, "5 people"), (30, 20.0, "of bare faces are recognised"), (0, 0, "nobody is known")],
)
def test_a_report_says_when_it_means_nothing(people, noise, why):
    trial, vectors = population(people, noise)
    told = metrics_of(list(outcomes([trial], vectors)), Floor(), {})
    assert told["meaningful"] == (why is None)
    assert (why or "") in (told["why_not"] or "")


def test_what_leaks_is_named():
    trial, vectors = population(30, 0.05)
    found = list(outcomes([trial], vectors))
    assert "cross overlay_to_overlay" in metrics_of(found, Floor(), {})["leaks"]
    assert not metrics_of(found, Floor(most=1.0), {})["leaks"]
    lost = {key: vector for key, vector in vectors.items() if key[1] not in {OVERLAY, scenarios.MASK_ONLY}}
    told = metrics_of(list(outcomes([trial], lost)), Floor(), {})
    assert not told["meaningful"], "without digital masks nothing is said of them"


def test_the_tables_hold_the_numbers():
    trial, vectors = population(30, 0.3)
    found = list(outcomes([trial], vectors))
    made = tables(found, [trial], {key: f"raw/{key}.jpg" for key in trial.keys})
    figures = list(csv.DictReader(io.StringIO(made["figures.csv"].decode())))
    assert len(figures) == 2 * len(SCENARIOS)
    assert float(figures[0]["rank_1"]) == pytest.approx(found[0].excluded.mean[0], abs=1e-4)
    curve = list(csv.DictReader(io.StringIO(made["cmc_cross.csv"].decode())))
    assert float(curve[0][OVERLAY]) == pytest.approx(found[1].excluded.mean[0], abs=1e-4)
    assert float(curve[-1][OVERLAY]) == 1
    assert made["cmc_same.csv"].decode().count("\n") == 1, "no curve without a trial"
    assert made["trials.csv"].decode().splitlines()[1] == "cross,0,raw/d0.jpg,raw/q0.jpg"


@pytest.mark.slow
@pytest.mark.parametrize("plot", [plot_cmc, plot_anonymisers])
def test_plots_are_the_same_for_the_same_numbers(plot):
    trial, vectors = population(30, 0.3)
    found = list(outcomes([trial], vectors))
    assert plot(found) == plot(found) != plot([])
