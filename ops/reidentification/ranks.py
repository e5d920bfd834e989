"""How well a gallery of known people names the people of queries: ranks, CMC, verification, and their intervals.

Ties are what chance makes of them: of three people equally alike, the right one comes first in a third of all cases. So
an anonymiser that leaves nothing to tell people apart by is at chance, and not at its best or worst by the order of a
sort.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ops.detection.scoring import draw_counts, intervals
from ops.unmasking.scores import DRAWS, SEED, Estimate, estimate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Reals = NDArray[np.float64]
    Ints = NDArray[np.int64]

FIGURES = ("rank_1", "rank_5", "mean_rank", "auc")
DIGITS = 6
"""Of cosines; beyond these two faces are equally alike, whatever the order of a sum."""


class Ranks(NamedTuple):
    """Where the right person stands among those of a gallery.

    Attributes:
        above: ``(n,)`` people more alike to a query than the right one.
        ties: ``(n,)`` others just as alike.
    """

    above: Ints
    ties: Ints

    @property
    def mean(self) -> Reals:
        """Rank of the right person of each query, counted from 1, the mean over the orders of its ties."""
        return 1 + self.above + self.ties / 2

    def within(self, first: int) -> Reals:
        """Return for each query how likely the right person is among the ``first`` ones."""
        return np.clip((first - self.above) / (self.ties + 1), 0.0, 1.0)


def similarities(queries: Sequence[NDArray[np.float32]], gallery: Sequence[NDArray[np.float32]]) -> Reals:
    """Return cosines of vectors of length 1, ``(n, m)``, to :data:`DIGITS` digits; both may be empty."""
    if not queries or not gallery:
        return np.zeros((len(queries), len(gallery)))
    one, other = (np.stack(vectors).astype(np.float64) for vectors in (queries, gallery))
    return np.asarray(np.round(one @ other.T, DIGITS))


def ranked(similarity: Reals, own: Ints) -> Ranks:
    """Rank the people of a gallery, each of whom is there once, for every query.

    Args:
        similarity: ``(n, m)``, higher is more alike.
        own: ``(n,)`` column of the right person.

    >>> told = ranked(np.array([[0.9, 0.2, 0.3], [0.5, 0.5, 0.7]]), np.array([0, 1]))
    >>> told.mean.tolist(), told.within(2).tolist()
    ([1.0, 2.5], [1.0, 0.5])
    """
    right = similarity[np.arange(len(own)), own][:, None]
    return Ranks((similarity > right).sum(axis=1), (similarity == right).sum(axis=1) - 1)


def outscored(similarity: Reals, own: Ints) -> Reals:
    """Return which share of strangers a right pair outscores, ``(n, n)``: its mean is the verification's AUC.

    Row ``i`` is the pair of query ``i`` and its own person, column ``j`` the strangers of query ``j``: all others of
    the gallery. A tie counts half (Mann and Whitney, 1947).
    """
    queries, people = similarity.shape
    right = similarity[np.arange(queries), own]
    shares = np.full((queries, queries), np.nan)
    for column in range(queries if people > 1 else 0):
        strangers = np.sort(np.delete(similarity[column], own[column]))
        below, up_to = (np.searchsorted(strangers, right, side) for side in ("left", "right"))
        shares[:, column] = (below + up_to) / (2 * len(strangers))
    return shares


def measured(ranks: Ranks, shares: Reals, recognised: int = 0) -> Estimate:
    """Return :data:`FIGURES` with 95% intervals by a bootstrap over the people of the queries; the gallery stays.

    Args:
        ranks: of the queries, one a person.
        shares: from :func:`outscored`.
        recognised: so many more queries are taken for recognised beyond doubt.
    """
    queries = len(ranks.above)
    places = np.stack([ranks.within(1), ranks.within(5), ranks.mean], axis=1)
    places = np.concatenate([places, np.ones((recognised, 3))])
    first = estimate(places, [str(at) for at in range(len(places))])
    shares = np.concatenate([shares, np.ones((recognised, queries))])
    ones, draws = np.ones((1, len(places))), draw_counts(len(places), DRAWS, SEED).astype(np.float64)
    low, high = intervals(_auc(shares, draws))
    auc = Estimate(_auc(shares, ones)[0], low, high)
    return Estimate(*(np.append(one, other) for one, other in zip(first, auc, strict=True)))


def cmc(ranks: Ranks, gallery: int) -> Reals:
    """Return the cumulative match characteristic, ``(gallery,)``: the share of queries named within so many ranks."""
    if not len(ranks.above):
        return np.full(gallery, np.nan)
    return np.array([ranks.within(first).mean() for first in range(1, gallery + 1)])


def _auc(shares: Reals, draws: Reals) -> Reals:
    """Return the AUC of each draw of queries, ``(draws,)``; NaN where a draw has no right pair or no stranger."""
    own = draws[:, : shares.shape[1]]
    pairs = draws.sum(axis=1) * own.sum(axis=1)
    return np.where(pairs > 0, ((draws @ shares) * own).sum(axis=1) / np.maximum(pairs, 1), np.nan)
