"""Trials: which picture of a person goes into the gallery, and which one is asked about.

A person has one picture in the gallery, the *database*, and one *query*. Within a *same* trial both come from one
video, within a *cross* trial from two videos or photographs. Who has no such pair may still stand in the gallery.
"""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ops.detection.likeness import SAME_FACE, SAME_PICTURE, Looks, alike
from ops.store import fingerprint

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ops.detection.likeness import Thumb
    from ops.store import Row

    Look = Sequence[Thumb]

DATABASE, QUERY = "database", "query"
ROLES = (DATABASE, QUERY)
SAME, CROSS = "same", "cross"
SETTINGS = (SAME, CROSS)


class Shot(NamedTuple):
    """A picture with one face, whose person is known.

    Attributes:
        key: of the content: the same picture under another name has the same.
        person: who it is.
        capture: the video, the folder of its pictures, or the photograph that it comes from.
        role: ``database`` or ``query`` where the source's folders say so, else None: it may be either.
    """

    key: str
    person: str
    capture: str
    role: str | None = None

    def may_be(self, role: str) -> bool:
        """Tell whether it may play a role."""
        return self.role in {None, role}


class Pair(NamedTuple):
    """A person's two pictures, by their keys."""

    person: str
    database: str
    query: str


class Trial(NamedTuple):
    """Who is asked about, and who else stands in the gallery.

    Attributes:
        setting: ``same`` or ``cross``.
        pairs: one a person, by name.
        others: keys of one picture each of people who are not asked about.
    """

    setting: str
    pairs: tuple[Pair, ...]
    others: tuple[str, ...]

    @property
    def keys(self) -> set[str]:
        """Every picture in it."""
        return {*self.others, *(key for pair in self.pairs for key in (pair.database, pair.query))}


def shot_of(known: Row) -> Shot:
    """Return the shot of a row of face geometry.

    A folder between a person's and the picture is a capture, and the first folder may be the role, as in ``database or
    query / identity / video / pictures``.

    >>> row = {"frame": "1", "identity": "ann", "source": "query/ann/b/7.png", "folder": "a", "time": None}
    >>> shot_of(row)
    Shot(key='1', person='ann', capture='a/ann/b', role='query')
    """
    path = PurePath(known["source"])
    role = path.parts[0] if path.parts[0] in ROLES else None
    in_folder = known["time"] is None and known["identity"] in path.parts[:-2]
    capture = path.parent if in_folder else path
    if role and (in_folder or known["time"] is not None):
        capture = capture.relative_to(role)
    return Shot(known["frame"], known["identity"], f"{known['folder']}/{capture}", role)


def trial_of(shots: Sequence[Shot], setting: str, seed: int = 0) -> Trial:
    """Choose a pair for each person who has one in a setting, by a seed of person and picture.

    Args:
        shots: where a key is there twice, under two names, the picture counts once: it is never its own query.
        setting: ``same`` or ``cross``.
        seed: another seed, other pictures.
    """
    people: dict[str, list[Shot]] = {}
    once = {shot.key: shot for shot in sorted(shots, key=lambda shot: shot.capture, reverse=True)}
    for shot in sorted(once.values(), key=lambda shot: fingerprint(seed, shot.person, shot.key)):
        people.setdefault(shot.person, []).append(shot)
    pairs, others = [], []
    for person in sorted(people):
        pair = _pair(_few(people[person]), setting)
        if pair:
            pairs.append(Pair(person, pair[0].key, pair[1].key))
        else:
            others += [shot.key for shot in people[person] if shot.may_be(DATABASE)][:1]
    return Trial(setting, tuple(pairs), tuple(others))


def _few(shots: Sequence[Shot]) -> list[Shot]:
    """Return the first two shots of each capture and role: more never make a pair that these don't."""
    places: dict[tuple[str, str | None], list[Shot]] = {}
    for shot in shots:
        places.setdefault((shot.capture, shot.role), []).append(shot)
    few = {shot.key for some in places.values() for shot in some[:2]}
    return [shot for shot in shots if shot.key in few]


def _pair(shots: Sequence[Shot], setting: str) -> tuple[Shot, Shot] | None:
    for one in shots:
        for other in shots:
            fits = one.may_be(DATABASE) and other.may_be(QUERY) and one.key != other.key
            if fits and (one.capture == other.capture) == (setting == SAME):
                return one, other
    return None


def without_copies(trial: Trial, looks: Mapping[str, Look]) -> tuple[Trial, tuple[Pair, ...]]:
    """Leave out pairs of one and the same photograph: recoded, cropped apart or mirrored, it recognises itself.

    Such a person's picture stays in the gallery. Frames of one video are alike by nature, so only equal ones go.

    Args:
        trial: as it was chosen.
        looks: of each picture and its face, by key; pictures that could not be read are not there.

    Returns:
        The trial, and the pairs that were left out.
    """
    same = equal if trial.setting == SAME else one_photograph
    copies = tuple(pair for pair in trial.pairs if same(looks.get(pair.database, ()), looks.get(pair.query, ())))
    pairs = tuple(pair for pair in trial.pairs if pair not in copies)
    return Trial(trial.setting, pairs, (*trial.others, *(pair.database for pair in copies))), copies


def equal(one: Look, other: Look) -> bool:
    """Tell whether two looks are of equal pictures."""
    return bool(one and other) and np.array_equal(one[0], other[0])


def one_photograph(one: Look, other: Look, *, stricter: bool = False) -> bool:
    """Tell whether two looks are of the same photograph; not where one is unknown.

    Args:
        one: of the picture and of its face, as far as they are known.
        other: the same.
        stricter: take only what is beyond doubt for the same, as a check does.
    """
    return any(
        any(alike(Looks.of([mine]), Looks.of([theirs]), limits.stricter() if stricter else limits))
        for mine, theirs, limits in zip(one, other, (SAME_PICTURE, SAME_FACE), strict=False)
    )
