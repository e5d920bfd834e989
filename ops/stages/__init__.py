"""The stations of the assembly line: how each one plans its items, and how one item is worked on.

A station has three parts: its manifest's columns, a function that lists the items (with fingerprints), and a class
whose constructor loads what it needs and whose call works on one item. The same classes serve assets, CLI and cluster.
"""

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from ops.images import BadImage, UnreadableImage
from ops.store import REJECTED, Item, row, unread


@cache
def digest_of(*names: str) -> str:
    """Return a hash of the operations' modules and packages: what they make is made again when they change."""
    root, digest = Path(__file__).resolve().parents[1], hashlib.blake2b(digest_size=16)
    for name in names:
        path = root / name
        for file in sorted(path.glob("*.py")) if path.is_dir() else [path]:
            digest.update(file.read_bytes())
    return digest.hexdigest()


def refusal(item: Item, error: BadImage, **columns: Any) -> dict[str, Any]:
    """Return the row of an item whose picture can't be used; one that could not be read is tried again next time."""
    stands = unread(item) if isinstance(error, UnreadableImage) else item
    return row(stands, item.payload["source"], status=REJECTED, reason=error.reason, **columns)
