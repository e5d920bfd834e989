"""Unmasking of one file from start to end, without datasets in between: what the command line does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ops import images
from ops.faces import find_faces
from ops.stages.faces import BOX, ORIGIN, POSE
from ops.stages.photo import each_face, plan_files
from ops.stages.unmasked import MADE, Maker

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ops.stages.unmasked import Wishes
    from ops.store import Item, Row

COLUMNS = (*ORIGIN, *BOX, *POSE, *MADE)


def plan(root: Path, only: str | None, *, wishes: Wishes, finder: Mapping[str, str]) -> tuple[list[Item], list[Row]]:
    """List a folder's files, or the one file ``only`` in it; refused files come back as rows.

    Args:
        root: the folder.
        only: a file in it.
        wishes: how to unmask.
        finder: names and checksums of what finds faces.
    """
    return plan_files(root, only, ["unmask", wishes.key(), dict(finder)])


class UnmaskFile(Maker):
    """Unmask one photograph or video; outputs mirror the input's folders."""

    def __call__(self, item: Item) -> list[Row]:
        """Return a row a face and frame, with the reason where it is left as it is."""
        return each_face(item, self._made(item.payload))

    def _made(self, known: dict[str, Any]) -> Iterator[tuple[float | None, list[dict[str, Any]]]]:
        path, stem = Path(known["path"]), f"{known['stem']}_unmasked"
        if known["kind"] == "video":
            yield from self.video(path, stem)
        else:
            pixels = images.read(path, max_pixels=self.max_pixels)
            yield None, self.picture(pixels, find_faces(pixels, *self.finder), stem)
