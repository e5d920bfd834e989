"""Whether a trained detector takes the champion's place: by evidence, on pictures that neither learned from."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ops.detection.evaluation import Difference, difference
from ops.detection.likeness import SAME_PICTURE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ops.detection.detections import Detections
    from ops.detection.matching import Bools
    from ops.detection.scoring import Scores

UNSEEN, ALL = "unseen", "all"


class Floor(NamedTuple):
    """What a detector has to reach, and on how many annotated photographs at least for that to mean anything."""

    ap50: float
    ap50_95: float
    photographs: int

    def reached(self, scores: Scores) -> bool:
        """Tell whether scores are at least the floor's; those that there are not (NaN) never are."""
        return scores.ap50 >= self.ap50 and scores.ap50_95 >= self.ap50_95


class Decision(NamedTuple):
    """What is decided, and why.

    Attributes:
        meaningful: the test pictures tell something about photographs.
        above_floor: the trained detector reaches the floor on them.
        compared_on: ``unseen``: on pictures that the champion did not learn from; ``all``: on all, as nobody knows
            what it learned from; None: not at all.
        pictures: how many those are.
        difference: trained less champion on them.
        promoted: the trained detector becomes champion.
        why: in one sentence.
    """

    meaningful: bool
    above_floor: bool
    compared_on: str | None
    pictures: int
    difference: Difference | None
    promoted: bool
    why: str


def seen_before(hashes: Sequence[int], learned: Sequence[int] | None) -> Bools | None:
    """Tell which pictures, by their 64-bit look hashes, are among those learned from; None where nobody knows these."""
    if learned is None:
        return None
    known = np.array(learned, np.uint64)
    apart = np.bitwise_count(np.array(hashes, np.uint64)[:, None] ^ known[None])
    return np.asarray((apart <= SAME_PICTURE.certain).any(axis=1))


def decide(
    floor: Floor,
    scores: Scores,
    photographs: int,
    truths: Sequence[Detections],
    trained: Sequence[Detections],
    champion: Sequence[Detections],
    seen: Bools | None,
) -> Decision:
    """Decide whether a trained detector becomes champion.

    It has to reach the floor on enough photographs, and to have at least the champion's AP50-95 on those that the
    champion did not learn from. Where too few of them are left, nothing speaks for the champion, and the floor
    decides. Where nobody knows what it learned from, both are compared on all, which can only favour the champion.

    Args:
        floor: what to reach.
        scores: of the trained detector on all test pictures.
        photographs: how many of these are photographs.
        truths: what annotators tell, one a picture.
        trained: what the trained detector found.
        champion: what the present champion found.
        seen: which pictures the champion learned from; None where nobody knows.
    """
    if photographs < floor.photographs:
        why = (
            f"the test split holds {photographs} annotated photographs, and figures mean nothing "
            f"on fewer than {floor.photographs}"
        )
        return Decision(False, False, None, 0, None, False, why)
    use = (np.ones(len(truths), bool) if seen is None else ~seen).nonzero()[0].tolist()
    on = None if len(use) < floor.photographs else ALL if seen is None else UNSEEN
    apart = None
    if on:
        apart = difference(*([boxes[index] for index in use] for boxes in (truths, trained, champion)))
    above = floor.reached(scores)
    promoted = above and (apart is None or apart.ap50_95 >= 0)
    return Decision(True, above, on, len(use) if on else 0, apart, promoted, _why(floor, above, on, apart))


def _why(floor: Floor, above: bool, on: str | None, apart: Difference | None) -> str:
    if not above:
        return f"it is below the floor of AP50 {floor.ap50} and AP50-95 {floor.ap50_95}"
    if apart is None:
        return (
            f"it reaches the floor, and fewer than {floor.photographs} test photographs are left that the champion "
            "did not learn from, so that nothing speaks for the champion"
        )
    low, high = apart.ap50_95_ends
    told = f"its AP50-95 is {apart.ap50_95:+.3f} from the champion's (95%: {low:+.3f} to {high:+.3f})"
    if on == UNSEEN:
        return f"{told} on photographs that neither learned from"
    return f"{told}; the champion may have learned from some of these photographs, which flatters it"
