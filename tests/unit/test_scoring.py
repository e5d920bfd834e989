"""Our scores against pycocotools' and ultralytics', and against cases small enough to count by hand."""

import contextlib
import io

import numpy as np
import pytest

from ops.detection.annotation_formats import read_voc
from ops.detection.detections import Detections
from ops.detection.evaluation import difference, evaluate
from ops.detection.matching import match, overlaps
from ops.detection.mistakes import (
    BACKGROUND,
    DOUBLE,
    MISSED,
    MISTAKES,
    POORLY_LOCATED,
    RIGHT,
    WRONG_CLASS,
    confusion,
    judge,
    mistakes_by_class,
    shares,
    worst,
)
from ops.detection.scoring import (
    CONFIDENCES,
    FALLBACK,
    average_precision,
    best_thresholds,
    curves_of,
    draw_counts,
    intervals,
    overall,
    resampled,
    scores_of,
)
from ops.masking import LABELS

NOTHING = Detections.of([], [])
FACE, BESIDE, FAR = (0, 0, 20, 20), (0, 0, 20, 15), (100, 100, 130, 130)
LOW = (0.05, 0.05, 0.05)


def perturbed(truth: Detections, rng: np.random.Generator, clutter: int) -> Detections:
    """What a middling detector would find: shifted boxes, doubles, other classes, clutter; many scores tie."""
    n = len(truth.boxes)
    sides = np.repeat(truth.boxes[:, 2:] - truth.boxes[:, :2], 2, axis=0).reshape(n, 4)
    close, loose = (truth.boxes + rng.normal(0, share, (n, 4)) * sides for share in (0.05, 0.2))
    corner = rng.uniform(0, 380, (clutter, 2))
    boxes = np.concatenate([close, loose, np.hstack([corner, corner + rng.uniform(3, 60, (clutter, 2))])])
    boxes = np.hstack([np.minimum(boxes[:, :2], boxes[:, 2:]), np.maximum(boxes[:, :2], boxes[:, 2:])])
    labels = np.concatenate([truth.labels, rng.choice(3, n), rng.choice(3, clutter)])
    scores = np.concatenate([rng.uniform(0.2, 1, n), rng.uniform(0, 0.8, n), rng.uniform(0, 0.6, clutter)])
    keep = rng.random(len(scores)) < 0.85
    return Detections.of(boxes[keep].tolist(), labels[keep].tolist(), scores[keep].round(2).tolist())


@pytest.fixture(scope="module")
def real(shared_data) -> tuple[list[Detections], list[Detections]]:
    """Annotated boxes of 120 photographs, and what could have been found in them."""
    rng = np.random.default_rng(4)
    truths = []
    for path in sorted((shared_data / "voc" / "annotations").glob("*.xml"))[:120]:
        marks = read_voc(path.read_bytes(), path.name).marks
        truths.append(Detections.of([mark.box for mark in marks], [LABELS.index(mark.name) for mark in marks]))
    return truths, [perturbed(truth, rng, clutter=int(rng.integers(0, 40))) for truth in truths]


def planted() -> tuple[list[Detections], list[Detections]]:
    """Pictures without truth, find or either; ties within and between pictures; a class that is never annotated."""
    shifted = (4, 0, 24, 20)
    truths = [
        Detections.of([FACE, (8, 0, 28, 20), FAR], [0, 0, 1]),
        NOTHING,
        Detections.of([FACE], [0]),
        NOTHING,
        Detections.of([FACE, FACE], [1, 1]),
    ]
    found = [
        Detections.of([shifted, FACE, FAR, FAR, FAR], [0, 0, 1, 1, 2], [0.5, 0.5, 0.5, 0.9, 0.8]),
        Detections.of([FAR, FACE], [0, 1], [0.5, 0.95]),
        NOTHING,
        NOTHING,
        Detections.of([FACE] * 120, [1] * 120, [0.3] * 120),
    ]
    return truths, found


def by_coco(truths, found, sides=((0, 1e5),)) -> np.ndarray:
    """Return pycocotools' mean precision, ``(10, 3, sizes)``; -1 for a class without truth."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    def entries(told, *, score: bool) -> list[dict]:
        rows = [(p, *row) for p, one in enumerate(told) for row in zip(*(part.tolist() for part in one), strict=True)]
        return [
            {
                "id": number,
                "image_id": picture,
                "category_id": label,
                "bbox": [x1, y1, x2 - x1, y2 - y1],
                "area": (x2 - x1) * (y2 - y1),
                "iscrowd": 0,
                **({"score": sure} if score else {}),
            }
            for number, (picture, (x1, y1, x2, y2), label, sure) in enumerate(rows, start=1)
        ]

    with contextlib.redirect_stdout(io.StringIO()):
        known = COCO()
        categories = [{"id": number, "name": label} for number, label in enumerate(LABELS)]
        pictures = [{"id": number} for number in range(len(truths))]
        known.dataset = {"images": pictures, "annotations": entries(truths, score=False), "categories": categories}
        known.createIndex()
        scored = COCOeval(known, known.loadRes(entries(found, score=True)), "bbox")
        scored.params.areaRng = [[low**2, high**2] for low, high in sides]
        scored.params.areaRngLbl = [str(low) for low, _ in sides]
        scored.evaluate()
        scored.accumulate()
    return scored.eval["precision"][..., -1].mean(axis=1)


def agrees(ours, theirs: np.ndarray) -> None:
    known = theirs[0] >= 0
    np.testing.assert_allclose([row.ap50 for row in ours.per_class], np.where(known, theirs[0], np.nan), atol=1e-9)
    both = np.where(known, theirs.mean(axis=0), np.nan)
    np.testing.assert_allclose([row.ap50_95 for row in ours.per_class], both, atol=1e-9)
    assert ours.ap50 == pytest.approx(theirs[0, known].mean(), abs=1e-9)
    assert ours.ap50_95 == pytest.approx(theirs[:, known].mean(), abs=1e-9)


def test_real_boxes_score_as_pycocotools_has_it(real):
    agrees(average_precision(*real), by_coco(*real)[..., 0])


def test_faces_by_size_score_as_pycocotools_has_it(real):
    sides = ((0, 16.01), (16.01, 32.01), (32.01, 1e5))  # COCO's limits belong to both sides, ours to one
    theirs = by_coco(*real, sides)
    for number, limits in enumerate(sides):
        agrees(average_precision(*real, sides=limits), theirs[..., number])


def test_planted_cases_score_as_pycocotools_has_it():
    truths, found = planted()
    ours = average_precision(truths, found)
    agrees(ours, by_coco(truths, found)[..., 0])
    assert ours.per_class[2].n == 0
    assert np.isnan(ours.per_class[2].ap50)
    assert ours.ap50 == pytest.approx(np.mean([row.ap50 for row in ours.per_class[:2]]))


def test_real_boxes_score_as_ultralytics_has_it_but_for_its_slanted_steps(real):
    """It joins a curve's points by slanted lines, where COCO has steps: half a box's share at most, and a hundredth."""
    from ultralytics.utils.metrics import ap_per_class

    matches = match(*real)
    hits = np.concatenate([each.hits.T for each in matches])
    sure = np.concatenate([each.scores for each in matches])
    of = np.repeat(range(3), [len(each.scores) for each in matches])
    truth = np.concatenate([told.labels for told in real[0]])
    theirs = ap_per_class(hits, sure, of, truth)[5]
    for row, other in zip(average_precision(*real).per_class, theirs, strict=True):
        assert row.ap50 == pytest.approx(other[0], abs=0.5 / row.n + 0.01)
        assert row.ap50_95 == pytest.approx(other.mean(), abs=0.5 / row.n + 0.01)


def test_overlaps_are_those_of_the_records(real):
    one, other = real[0][0], real[1][0]
    told = [[a.iou(b) for b in other.corners] for a in one.corners]
    np.testing.assert_allclose(overlaps(one.boxes, other.boxes), told, atol=1e-6)
    point = np.zeros((1, 4))
    assert overlaps(point, point) == 0


def test_as_many_pictures_on_both_sides():
    with pytest.raises(ValueError, match="1 pictures with truths and 0 with found boxes"):
        average_precision([NOTHING], [])


@pytest.mark.parametrize("pictures", [0, 3])
def test_where_nothing_is_annotated_there_are_no_figures(pictures):
    found = [Detections.of([FACE], [0], [0.9])] * pictures
    done = evaluate([NOTHING] * pictures, found, LOW, draws=20)
    assert done.all.scores.n == 0
    assert np.isnan(done.all.scores.ap50)
    assert np.isnan(done.all.ends).all()
    assert done.all.told()["ap50"] is None
    assert best_thresholds([NOTHING] * pictures, found) == (FALLBACK,) * 3


def test_thresholds_have_the_best_f1_of_all_scores(real):
    for label, threshold in enumerate(best_thresholds(*real)):
        every = {float(score) for found in real[1] for score in found.scores[found.labels == label]}

        def f1(score: float, label: int = label) -> float:
            each = match(real[0], [found.over((score,) * 3) for found in real[1]])[label]
            return 2 * each.hits[0].sum() / (len(each.scores) + each.truths.sum())

        assert f1(threshold) >= max(f1(score) for score in sorted(every)[::5])


def test_a_class_without_truth_or_hit_has_the_mean_threshold_of_the_others():
    truths = [Detections.of([FACE, FAR], [0, 1])]
    found = [Detections.of([FACE, FAR, FAR], [0, 1, 2], [0.75, 0.25, 0.9])]
    assert best_thresholds(truths, found) == (0.75, 0.25, 0.5)
    missed = [Detections.of([FACE, (0, 50, 9, 59)], [0, 1], [0.75, 0.9])]
    assert best_thresholds(truths, missed) == (0.75, 0.75, 0.75)


def test_precision_and_recall_are_told_at_the_given_thresholds():
    truths = [Detections.of([FACE, FAR], [0, 0])]
    found = [Detections.of([FACE, FACE, FAR], [0, 0, 0], [0.9, 0.8, 0.3])]
    row = average_precision(truths, found, (0.5, 0.5, 0.5)).per_class[0]
    assert (row.precision, row.recall) == (0.5, 0.5)
    silent = average_precision(truths, found, (0.95, 0.5, 0.5)).per_class[0]
    assert (silent.precision, silent.recall) == (0.0, 0.0)


def test_a_draw_of_pictures_scores_as_those_pictures_do(real):
    """Scores are made distinct: ties between copies are the one thing that may differ."""
    truths, found = real[0][:40], real[1][:40]
    step = 1e-5 * np.arange(sum(len(each.scores) for each in found), dtype=np.float32)
    ends = np.cumsum([len(each.scores) for each in found])
    steps = np.split(step, ends[:-1])
    found = [each._replace(scores=each.scores + more) for each, more in zip(found, steps, strict=True)]
    matches, counts = match(truths, found), draw_counts(len(truths), 5, seed=1)
    figures = resampled(matches, LOW, counts)
    assert counts.sum(axis=1).tolist() == [40] * 5
    for count, ours in zip(counts, figures, strict=True):
        drawn = np.repeat(np.arange(len(truths)), count)
        again = average_precision([truths[i] for i in drawn], [found[i] for i in drawn], LOW)
        theirs = [(row.ap50, row.ap50_95, row.precision, row.recall) for row in again.per_class]
        np.testing.assert_allclose(ours, theirs, atol=1e-9)


def test_intervals_hold_the_figure_and_shrink_with_more_pictures(real):
    few, many = (evaluate(real[0][:n], real[1][:n], LOW, draws=200) for n in (30, 120))
    for done in (few, many):
        low, high = done.all.ends[:, 3, 0]
        assert low < done.all.scores.ap50 < high
    assert np.diff(many.all.ends[:, 0, 0]) < np.diff(few.all.ends[:, 0, 0])
    again = evaluate(real[0][:30], real[1][:30], LOW, draws=200)
    np.testing.assert_array_equal(few.all.ends, again.all.ends)


def test_draws_that_miss_a_class_say_nothing_of_the_mean():
    truths = [Detections.of([FACE], [0]), Detections.of([FACE], [1])]
    matches = match(truths, [truths[0], NOTHING])
    figures = resampled(matches, LOW, np.array([[1, 1], [2, 0]]))
    assert overall(figures, matches)[:, 0].tolist()[0] == 0.5
    assert np.isnan(overall(figures, matches)[1]).all()
    assert intervals(figures)[:, 0, 0].tolist() == [1.0, 1.0]


def test_curves_end_where_scores_and_counts_do(real):
    matches = match(*real)
    curves, scores = curves_of(matches), scores_of(matches, (0.5,) * 3)
    at = int(np.flatnonzero(np.isclose(CONFIDENCES, 0.5))[0])
    for number, row in enumerate(scores.per_class):
        assert curves.precision_at_recall[:, number].mean() == pytest.approx(row.ap50)
        assert (np.diff(curves.precision_at_recall[:, number]) <= 0).all()
        assert curves.precision[at, number] == pytest.approx(row.precision)
        assert curves.recall[at, number] == pytest.approx(row.recall)
        both = 2 * row.precision * row.recall / (row.precision + row.recall)
        assert curves.f1[at, number] == pytest.approx(both)


def test_every_kind_of_mistake_is_told_once():
    truth = Detections.of([FACE, FAR, (200, 0, 220, 20), (300, 0, 320, 20)], [0, 1, 0, 2])
    found = Detections.of(
        [FACE, BESIDE, FAR, (210, 0, 230, 20), (400, 0, 420, 20), (0, 90, 9, 99)],
        [0, 0, 2, 0, 1, 1],
        [0.9, 0.8, 0.7, 0.6, 0.5, 0.01],
    )
    one = judge(truth, found, LOW)
    assert one.verdicts == (RIGHT, DOUBLE, WRONG_CLASS, POORLY_LOCATED, BACKGROUND)
    assert one.partners.tolist() == [0, -1, 1, -1, -1]
    assert one.missed.tolist() == [3]
    assert one.mistakes == [MISSED, WRONG_CLASS, POORLY_LOCATED, DOUBLE, BACKGROUND] == list(MISTAKES)
    assert mistakes_by_class([one]).tolist() == [[0, 0, 1], [0, 1, 0], [1, 0, 0], [1, 0, 0], [0, 1, 0]]
    matrix = confusion([one])
    assert matrix.tolist() == [[1, 0, 0, 1], [0, 0, 1, 0], [0, 0, 0, 1], [2, 1, 0, 0]]
    assert shares(matrix)[0].tolist() == [0.5, 0, 0, 0.5]


def test_confusion_counts_every_box_once(real):
    judged = [judge(truth, found, (0.4, 0.4, 0.4)) for truth, found in zip(*real, strict=True)]
    matrix = confusion(judged)
    assert matrix[:3].sum() == sum(len(truth.labels) for truth in real[0])
    assert matrix[:, :3].sum() == sum(len(one.verdicts) for one in judged)
    hits = [int((each.hits[0] & (each.scores >= np.float32(0.4))).sum()) for each in match(*real)]
    assert np.diag(matrix)[:3].tolist() == hits


def test_the_worst_pictures_have_most_mistakes():
    wrong = Detections.of([FACE, FAR], [1, 1], [0.9, 0.9])
    face = Detections.of([FACE], [0])
    judged = [judge(face, found, LOW) for found in (face, NOTHING, wrong)]
    assert worst(judged, 24) == [2, 1]
    assert worst(judged, 1) == [2]


def test_detectors_are_compared_on_the_same_draws(real):
    truths, found = real
    none = difference(truths, found, found, draws=50)
    assert (none.ap50, none.ap50_95, *none.ap50_ends, *none.ap50_95_ends) == (0,) * 6
    better = difference(truths, truths, found, draws=50)
    assert 0 < better.ap50_95_ends[0] < better.ap50_95 < better.ap50_95_ends[1]
    assert better.ap50_95 == pytest.approx(1 - average_precision(truths, found).ap50_95)
