"""Expression edits: closed eyes opened and smiles added in a source's photographs and videos, or left alone and why."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ops import images
from ops.expressions.asking import needs
from ops.expressions.state import State
from ops.faces import NO_FACE
from ops.stages import refusal
from ops.stages.expressing import MADE, Lent, Maker
from ops.stages.faces import BOX, ORIGIN, POSE, Stored
from ops.store import REJECTED, SKIPPED, Column, Item, fingerprint, grouped, row, rows_of
from ops.videos import BadVideo

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from ops.stages.expressing import Wishes
    from ops.store import Row

LENDERS = 40
"""Pictures in which open eyes are looked for, at most."""

COLUMNS = (
    *ORIGIN,
    Column("picture", "string", "file that holds the pixels, relative to the data folder; of a video the video"),
    *BOX,
    *POSE,
    *MADE,
)


def plan(
    frames: pd.DataFrame, faces: pd.DataFrame, states: pd.DataFrame, data: Path, source: str, *, wishes: Wishes
) -> list[Item]:
    """List photographs with their faces, and videos.

    Args:
        frames: done rows of the source's frames.
        faces: of its face geometry, :func:`ops.stages.faces.described`.
        states: those of its expression regions.
        data: the data folder.
        source: the source's name.
        wishes: what to edit.
    """
    kinds = {known["frame"]: known for known in rows_of(frames)}
    told = {(known["frame"], known["face"]): state_of(known) for known in rows_of(states)}
    found = grouped(faces, "frame")
    items = []
    for frame, rows in found.items():
        if kinds[frame]["kind"] != "image":
            continue
        payload = {name: rows[0][name] for name in ("source", "frame", "time", "identity", "picture")}
        payload |= {"kind": "image", "path": str(data / rows[0]["picture"]), "faces": Stored.of(rows)}
        payload["states"] = {one["face"]: told[frame, one["face"]] for one in rows if (frame, one["face"]) in told}
        lent = _lenders(frame, rows, found, told, wishes)
        payload["lent"] = [Lent(str(data / some[0]["picture"]), Stored.of(some)) for some in lent]
        made = [rows[0]["fingerprint"], [some[0]["fingerprint"] for some in lent], wishes.key()]
        made.append([asdict(state) for state in payload["states"].values()])
        items.append(Item(fingerprint(*made), payload, rows[0]["fingerprint"]))
    for name, known in sorted({one["source"]: one for one in kinds.values() if one["kind"] == "video"}.items()):
        same = {"source": name, "picture": f"raw/{source}/{name}", "identity": known["identity"], "kind": "video"}
        same |= {"path": str(data / "raw" / source / name), "content": known["content"]}
        items.append(Item(fingerprint(known["content"], name, wishes.key()), same, known["fingerprint"]))
    return items


def state_of(known: dict[str, Any]) -> State:
    """Return the state that a row of ``expression_regions`` holds."""
    way = known["by"]
    names = ("left_eye", "right_eye", "smile", "mouth_open")
    return State(**{name: float(known[f"{way}_{name}"]) for name in names}, by=way)


def _lenders(
    frame: str,
    rows: list[Row],
    found: Mapping[str, list[Row]],
    told: Mapping[tuple[str, int], State],
    wishes: Wishes,
) -> list[list[Row]]:
    """Return the faces of the pictures that may lend eyes to a picture that needs some, the likeliest first."""
    limits, poor = wishes.care.limits, []
    for one in rows:
        state = told.get((frame, one["face"]))
        if state and needs(state, wishes.wish, limits).eyes:
            poor.append(one)
    if not poor or not wishes.lends:
        return []
    people, yaw = {one["identity"] for one in poor}, poor[0]["yaw"]

    def rank(some: list[Row]) -> tuple[bool, float, str]:
        return (some[0]["identity"] not in people, min(abs(one["yaw"] - yaw) for one in some), some[0]["frame"])

    return sorted((some for other, some in found.items() if other != frame), key=rank)[:LENDERS]


class Express(Maker):
    """Edit one picture or video of a source."""

    def __call__(self, item: Item) -> list[Row]:
        """Return a row a face and frame, with the reason where it is left alone."""
        return self._video(item) if item.payload["kind"] == "video" else self._photograph(item)

    def _photograph(self, item: Item) -> list[Row]:
        known = item.payload
        same: dict[str, Any] = {name: known[name] for name in ("frame", "time", "identity", "picture")}
        try:
            pixels = images.read(Path(known["path"]), max_pixels=self.max_pixels)
        except images.BadImage as error:
            return [refusal(item, error, **same)]
        made = self.picture(
            pixels, known["faces"].load(), item.fingerprint, known["frame"], known["lent"], known["states"]
        )
        return [row(item, known["source"], **same, **told) for told in made]

    def _video(self, item: Item) -> list[Row]:
        known = item.payload
        rows: list[Row] = []
        same = {name: known[name] for name in ("identity", "picture")}
        try:
            for time, made in self.video(Path(known["path"]), item.fingerprint, known["content"]):
                frame = fingerprint(known["content"], time)
                rows += [row(item, known["source"], **same, frame=frame, time=time, **told) for told in made]
        except BadVideo as error:
            rows.append(row(item, known["source"], **same, status=REJECTED, reason=error.reason))
        return rows or [row(item, known["source"], **same, status=SKIPPED, reason=NO_FACE)]
