"""What a probe found."""

from __future__ import annotations

from typing import NamedTuple

OK, NOTE, WRONG = "ok", "note", "wrong"


class Finding(NamedTuple):
    """One thing that was looked at.

    Attributes:
        area: packages, device, models, folders, project or ports.
        name: the thing.
        state: ``ok``; ``note``, something is missing that not everybody needs; ``wrong``, what has to be mended.
        found: what is there.
        remedy: what to do, or empty.
    """

    area: str
    name: str
    state: str
    found: str
    remedy: str = ""


def bytes_told(count: float) -> str:
    """Return a number of bytes as people read it.

    >>> bytes_told(99693937)
    '99.7 MB'
    """
    scale, unit = next(each for each in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")) if count >= each[0] or each[0] == 1e3)
    return f"{count / scale:.1f} {unit}"
