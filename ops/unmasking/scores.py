"""How good completed faces are: nearness within the region, likeness of the person, and how sure the means are."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ops.detection.scoring import draw_counts, intervals

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ops.records import Floats, Picture

    Reals = NDArray[np.float64]

MOST_DB = 60.0
"""PSNR of pixels that are equal, or nearly."""

REACH = 3
"""Pixels that structural similarity looks at to each side."""

DRAWS, SEED = 2000, 0


class Nearness(NamedTuple):
    """How near completed pixels are to the true ones.

    Attributes:
        psnr: decibels, at most :data:`MOST_DB`.
        ssim: structural similarity, up to 1.
        l1: mean absolute difference in grey levels of 255.
    """

    psnr: float
    ssim: float
    l1: float


class Estimate(NamedTuple):
    """Means, and the ends of their 95% intervals; NaN where there is nothing to take a mean of."""

    mean: Reals
    low: Reals
    high: Reals


def nearness(truth: Picture, made: Picture, inside: NDArray[np.bool_]) -> Nearness:
    """Compare two pictures within a region.

    Similarity is that of Wang et al. (IEEE TIP 2004): a map over the picture, of which the region's mean counts.

    Args:
        truth: ``(h, w, 3)``.
        made: of the same shape.
        inside: ``(h, w)``, some of it True.
    """
    from skimage.metrics import structural_similarity

    rows, columns = (np.flatnonzero(inside.any(axis)) for axis in (1, 0))
    part = tuple(slice(max(0, at[0] - REACH), at[-1] + REACH + 1) for at in (rows, columns))
    true, other, within = truth[part], made[part], inside[part]
    _, similar = structural_similarity(true, other, channel_axis=2, full=True)
    apart = true[within].astype(np.float64) - other[within]
    least = 255**2 / 10 ** (MOST_DB / 10)
    psnr = 10 * np.log10(255**2 / max(float((apart**2).mean()), least))
    return Nearness(float(psnr), float(np.asarray(similar)[within].mean()), float(np.abs(apart).mean()))


def cosine(one: Floats, other: Floats) -> float:
    """Return the cosine between two vectors of length 1."""
    return float(np.clip(one @ other, -1, 1))


def estimate(values: Reals, people: Sequence[str]) -> Estimate:
    """Return means over squares with intervals by a bootstrap over people: pictures of one person go together.

    Args:
        values: ``(n, k)``, a row a square; NaN is left out.
        people: who is on each.

    >>> estimate(np.array([[1.0], [3.0], [np.nan]]), ["a", "b", "b"]).mean.tolist()
    [2.0]
    """
    names, of = np.unique(np.asarray(people, str), return_inverse=True)
    sums, counts = (np.zeros((len(names), values.shape[1])) for _ in range(2))
    known = ~np.isnan(values)
    np.add.at(sums, of, np.where(known, values, 0.0))
    np.add.at(counts, of, known)
    draws = draw_counts(len(names), DRAWS, SEED)
    drawn, total = draws @ counts, counts.sum(axis=0)
    means = np.where(drawn > 0, (draws @ sums) / np.maximum(drawn, 1), np.nan)
    low, high = intervals(means)
    return Estimate(np.where(total > 0, sums.sum(axis=0) / np.maximum(total, 1), np.nan), low, high)
