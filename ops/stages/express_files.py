"""Editing of expressions in one file from start to end, without datasets in between: what the command line does."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ops import frames, images
from ops.stages.expressing import MADE, Lent, Maker
from ops.stages.faces import BOX, ORIGIN, POSE
from ops.stages.photo import each_face, plan_files
from ops.store import Item, fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ops.stages.expressing import Wishes
    from ops.store import Row

COLUMNS = (*ORIGIN, *BOX, *POSE, *MADE)
LENDERS = 20
"""Pictures before and after a picture, by name, in which open eyes are looked for."""


def plan(root: Path, only: str | None, *, wishes: Wishes, lenders: Path | None = None) -> tuple[list[Item], list[Row]]:
    """List a folder's files, or the one file ``only`` in it; refused files come back as rows.

    Args:
        root: the folder.
        only: a file in it.
        wishes: what to edit.
        lenders: folder of pictures that may lend open eyes; None: those beside each picture, where a folder is given.
    """
    items, told = plan_files(root, only, ["express", wishes.key()])
    if not wishes.lends:
        return items, told
    if lenders:
        found = [file for file in frames.scan(lenders) if isinstance(file, frames.RawFile) and file.kind == "image"]
        every = [(str(lenders / file.path), file.content) for file in found]
        return [_lent(item, every[: 2 * LENDERS]) for item in items], told
    beside: dict[str, list[tuple[str, str]]] = {}
    for item in items if only is None else ():
        if item.payload["kind"] == "image":
            known = (item.payload["path"], item.payload["content"])
            beside.setdefault(os.path.dirname(item.payload["path"]), []).append(known)
    made = []
    for item in items:
        near = beside.get(os.path.dirname(item.payload["path"]), [])
        at = next((number for number, (path, _) in enumerate(near) if path == item.payload["path"]), 0)
        made.append(_lent(item, near[max(0, at - LENDERS) : at + LENDERS + 1]))
    return made, told


def _lent(item: Item, near: list[tuple[str, str]]) -> Item:
    """Return an item with the pictures that may lend it eyes; its own content is no other picture."""
    others = [(path, content) for path, content in near if content != item.payload["content"]]
    if item.payload["kind"] == "video" or not others:
        return item
    made_of = fingerprint(item.fingerprint, [[Path(path).name, content] for path, content in others])
    return Item(made_of, {**item.payload, "lent": [Lent(path) for path, _ in others]})


class ExpressFile(Maker):
    """Edit one photograph or video; outputs mirror the input's folders."""

    def __call__(self, item: Item) -> list[Row]:
        """Return a row a face and frame, with the reason where it is left alone."""
        return each_face(item, self._made(item.payload))

    def _made(self, known: dict[str, Any]) -> Iterator[tuple[float | None, list[dict[str, Any]]]]:
        path, stem = Path(known["path"]), f"{known['stem']}_expression"
        if known["kind"] == "video":
            yield from self.video(path, stem, known["content"])
        else:
            pixels = images.read(path, max_pixels=self.max_pixels)
            yield None, self.picture(pixels, self.faces(pixels), stem, known["content"], known.get("lent", ()))
