"""A link of a chain: something that was made or given, what is known of it, and what it is made of."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ops.store import Row

SAME, UNKNOWN = "as it was", "not known"
CHANGED, AGAIN, GONE = "changed since", "made again since", "gone"
BROKEN = (CHANGED, AGAIN, GONE)
"""States in which what is there now is not what the link above was made of."""


@dataclass(frozen=True)
class Link:
    """One link.

    Attributes:
        what: an asset with its source, a verb of the command line, ``raw file``, ``raw files``, ``annotation``, or
            ``model`` and its name.
        file: where it lies; None for several files, and for a model that is not here.
        state: whether it is what the link above was made of.
        note: why it is in that state, or how many there are.
        rows: the manifest's, as they are now; none for what has no manifest, or is looked at as a whole.
        made_with: settings, and names and checksums of models.
        run: of MLflow, where it was trained: ``experiment``, ``run_id``, ``version``.
        of: what it is made of.
    """

    what: str
    file: str | None
    state: str = SAME
    note: str = ""
    rows: tuple[Row, ...] = ()
    made_with: dict[str, Any] = field(default_factory=dict)
    run: dict[str, Any] | None = None
    of: tuple[Link, ...] = ()

    def every(self) -> Iterator[Link]:
        """Yield the link and all below it."""
        yield self
        for link in self.of:
            yield from link.every()

    @property
    def broken(self) -> list[Link]:
        """Links of the chain that are not what was used."""
        return [link for link in self.every() if link.state in BROKEN]

    def as_dict(self) -> dict[str, Any]:
        """Return the chain as plain values."""
        named = {name: getattr(self, name) for name in ("what", "file", "state", "note", "made_with", "run")}
        return {**named, "rows": [dict(row) for row in self.rows], "of": [link.as_dict() for link in self.of]}


def made_with_of(row: Row) -> dict[str, Any]:
    """Return what a manifest's row was made with; nothing where that is not told."""
    told: dict[str, Any] = json.loads(row.get("made_with") or "{}")
    return told
