"""The stations of the assembly line: how each one plans its items, and how one item is worked on.

A station has three parts: its manifest's columns, a function that lists the items (with fingerprints), and a class
whose constructor loads what it needs and whose call works on one item. The same classes serve assets, CLI and cluster.
"""

from typing import Any

from ops.images import BadImage, UnreadableImage
from ops.store import REJECTED, Item, row, unread


def refusal(item: Item, error: BadImage, **columns: Any) -> dict[str, Any]:
    """Return the row of an item whose picture can't be used; one that could not be read is tried again next time."""
    stands = unread(item) if isinstance(error, UnreadableImage) else item
    return row(stands, item.payload["source"], status=REJECTED, reason=error.reason, **columns)
