"""Leak-free splits: what belongs together stays together, and each class is shared out by the wanted ratios.

Pictures are joined into groups by ties: the same person, video, frame or content, the same picture or face once more.
Groups, never pictures, are dealt out: within each *stratum* (the rarest class that a group holds) in the order of a
keyed hash, cut where the sum of boxes reaches the ratios; then the fewest groups change sides that bring every class
near its ratios. So the result depends on no order of files, and an added picture moves few others.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ops.detection.likeness import SAME_FACE, SAME_PICTURE, Looks, alike

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

SPLITS = ("train", "val", "test")
SAME_LOOK = "the same picture or face"
LARGE = 0.5
"""A group with more than this share of its stratum's boxes is for training: no other split could hold it."""
NEAR = 0.03
"""How far a class's share in a split may be from the ratio before groups change sides."""


class Member(NamedTuple):
    """A picture to deal out.

    Attributes:
        key: hash of its content.
        boxes: labels of its boxes.
        ties: whatever it shares with others that must stay together with it, such as ``identity ann``.
        look: of the picture, from :func:`ops.detection.likeness.look_at`.
        faces: looks of its faces that are large enough.
    """

    key: str
    boxes: tuple[str, ...]
    ties: tuple[str, ...]
    look: NDArray[np.uint8]
    faces: tuple[NDArray[np.uint8], ...]


class Album:
    """The looks of members and of their faces."""

    def __init__(self, members: Sequence[Member]) -> None:
        self.pictures = Looks.of([member.look for member in members])
        self.faces = Looks.of([face for member in members for face in member.faces])
        self.owners = np.repeat(np.arange(len(members)), [len(member.faces) for member in members])


def grouped(members: Sequence[Member]) -> list[str]:
    """Return the group of each member, named by the least key in it."""
    parent = list(range(len(members)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    album = Album(members)
    first: dict[str, int] = {}
    pairs = [(index, first.setdefault(tie, index)) for index, one in enumerate(members) for tie in _ties(one)]
    for i, j in [*pairs, *_alike(album, album)]:
        parent[root(i)] = root(j)
    least: dict[int, str] = {}
    for index, member in enumerate(members):
        least[root(index)] = min(member.key, least.get(root(index), member.key))
    return [least[root(index)] for index in range(len(members))]


def dealt(members: Sequence[Member], groups: Sequence[str], ratios: Sequence[float], seed: int = 0) -> dict[str, str]:
    """Deal groups out to :data:`SPLITS`.

    Args:
        members: pictures.
        groups: of each of them, as from :func:`grouped`.
        ratios: shares of train, val and test; they sum to 1.
        seed: another seed, another split.

    Returns:
        The split of each group.

    Raises:
        ValueError: ratios that are no shares of a whole.
    """
    if len(ratios) != len(SPLITS) or min(ratios) < 0 or abs(sum(ratios) - 1) > 1e-6:
        raise ValueError(f"ratios {list(ratios)}: three shares that sum to 1 are needed")
    counts: dict[str, Counter[str]] = {}
    order: dict[str, str] = {}
    for member, group in zip(members, groups, strict=True):
        counts.setdefault(group, Counter()).update(member.boxes)
        mark = _hash(f"{seed}/{member.key}")
        order[group] = min(mark, order.get(group, mark))
    totals = sum(counts.values(), Counter[str]())
    strata: dict[str, list[str]] = {}
    for group in sorted(counts, key=order.__getitem__):
        rarest = min(counts[group], key=lambda label: (totals[label], label), default="")
        strata.setdefault(rarest, []).append(group)
    split: dict[str, str] = {}
    for label, inside in strata.items():
        split |= _cut(inside, [counts[group][label] if label else 1 for group in inside], ratios)
    return _evened({group: split[group] for group in order}, counts, totals, ratios)


def leaks(members: Sequence[Member], splits: Sequence[str]) -> list[tuple[int, int, str]]:
    """Return pairs of members of different splits that share a tie, a picture or a face, and what they share."""
    found: dict[tuple[int, int], str] = {}
    held: dict[tuple[str, str], int] = {}
    for index, member in enumerate(members):
        for tie in _ties(member):
            held.setdefault((tie, splits[index]), index)
            for other in SPLITS:
                if other != splits[index] and (tie, other) in held:
                    pair = sorted((held[tie, other], index))
                    found.setdefault((pair[0], pair[1]), tie)
    album = Album(members)
    for i, j in _alike(album, album, strict=True):
        if splits[i] != splits[j]:
            found.setdefault((i, j), SAME_LOOK)
    return [(i, j, why) for (i, j), why in sorted(found.items())]


def resembling(made: Member, held: Album) -> int | None:
    """Return the index of the first held member that shows the same picture or face as ``made``, or None."""
    return min((j for _, j in _alike(Album([made]), held)), default=None)


def _ties(member: Member) -> tuple[str, ...]:
    return (*member.ties, f"content {member.key}")


def _alike(one: Album, other: Album, *, strict: bool = False) -> Iterator[tuple[int, int]]:
    """Yield indices of members that show the same picture, or a face of which is the same."""
    pictures, faces = (limits.stricter() if strict else limits for limits in (SAME_PICTURE, SAME_FACE))
    yield from alike(one.pictures, other.pictures, pictures)
    for i, j in alike(one.faces, other.faces, faces):
        yield int(one.owners[i]), int(other.owners[j])


def _cut(groups: Sequence[str], weights: Sequence[int], ratios: Sequence[float]) -> dict[str, str]:
    """Cut a stratum: test first, then val, the rest for training, each group where its middle lies."""
    total, before = sum(weights), 0.0
    split: dict[str, str] = {}
    for group, weight in zip(groups, weights, strict=True):
        middle = (before + weight / 2) / total
        if weight > LARGE * total:
            split[group] = SPLITS[0]
            continue
        before += weight
        split[group] = SPLITS[2] if middle < ratios[2] else SPLITS[1] if middle < ratios[2] + ratios[1] else SPLITS[0]
    return split


def _evened(
    split: dict[str, str], counts: Mapping[str, Counter[str]], totals: Counter[str], ratios: Sequence[float]
) -> dict[str, str]:
    """Move one group after the other, always the one that helps most, until every class is :data:`NEAR` its ratios."""
    names = sorted(split)
    labels = sorted(totals)
    shares = np.array([[counts[group][label] / totals[label] for label in labels] for group in names])
    side = np.array([SPLITS.index(split[group]) for group in names])
    wanted, present = np.array(ratios)[:, None], [index for index, ratio in enumerate(ratios) if ratio > 0]
    for _ in range(len(names)):
        error = np.stack([shares[side == index].sum(0) for index in range(len(SPLITS))]) - wanted
        if not labels or np.abs(error).max() <= NEAR:
            break
        gain = np.zeros((len(names), len(SPLITS)))
        for target in present:
            here = error[side]
            before = here**2 / wanted[side].clip(NEAR) + error[target] ** 2 / wanted[target]
            after = (here - shares) ** 2 / wanted[side].clip(NEAR) + (error[target] + shares) ** 2 / wanted[target]
            gain[:, target] = np.where(side == target, 0, (before - after).sum(1))
        best, there = np.unravel_index(gain.argmax(), gain.shape)
        if gain[best, there] <= 1e-9:
            break
        side[best] = there
    return {group: SPLITS[index] for group, index in zip(names, side, strict=True)}


def _hash(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
