"""Pictures to split: what annotated scenes and frames tell of each, put together."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from ops.records import Box
from ops.store import SKIPPED, Item, fingerprint, row, rows_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from ops.store import Row


@dataclass(frozen=True)
class Shot:
    """A picture with its boxes, as annotated scenes and frames tell of it.

    Attributes:
        key: hash of the file's content, or what stands for a frame of a video.
        source: raw file, relative to its source.
        picture: file, relative to the data folder.
        boxes: ``(x1, y1, x2, y2)`` of each face.
        labels: class of each face.
    """

    key: str
    source: str
    folder: str
    picture: str
    frame: str
    identity: str | None
    video: str | None
    width: int
    height: int
    boxes: tuple[tuple[float, float, float, float], ...] = ()
    labels: tuple[str, ...] = ()

    def about(self) -> dict[str, Any]:
        """Return what a manifest's row tells of it."""
        same = ("folder", "picture", "frame", "identity", "video", "width", "height")
        return {"content": self.key, **{name: getattr(self, name) for name in same}}

    @property
    def ties(self) -> tuple[str, ...]:
        """What keeps it together with others."""
        named = {"identity": self.identity, "video": self.video, "frame": self.frame}
        return tuple(f"{name} {value}" for name, value in named.items() if value is not None)


class Shots(NamedTuple):
    """Annotated photographs; pictures with drawn masks; the bare frames of those, by frame; rows of repetitions."""

    real: list[Shot]
    synthetic: list[Shot]
    bare: dict[str, Shot]
    told: list[Row]


def read_shots(scenes: pd.DataFrame, frames: pd.DataFrame) -> Shots:
    """Gather pictures from the done rows of annotated scenes, and of the frames of all sources.

    Args:
        scenes: a row a box.
        frames: a row a frame, with ``folder``: only those that masks were drawn on are used.
    """
    shots: dict[bool, list[Shot]] = {False: [], True: []}
    for _, group in scenes.groupby("picture", sort=True):
        rows = rows_of(group)
        boxes = [known for known in rows if known["label"] is not None]
        corners = tuple(tuple(float(known[side]) for side in Box._fields) for known in boxes)
        shot = _shot(rows[0], boxes=corners, labels=tuple(known["label"] for known in boxes))
        shots[bool(rows[0]["synthetic"])].append(shot)
    real, told = _once(shots[False])
    synthetic, repeated = _once(shots[True])
    drawn = {shot.frame for shot in synthetic}
    rows = rows_of(frames[frames["frame"].isin(drawn)])
    videos = {known["frame"]: f"raw/{known['folder']}/{known['source']}" for known in rows if known["kind"] == "video"}
    bare = {known["frame"]: _shot({**known, "video": videos.get(known["frame"])}) for known in rows}
    bare = {frame: replace(shot, key=frame) if shot.video else shot for frame, shot in bare.items()}
    gone = [_gone(shot) for shot in synthetic if shot.frame not in bare]
    return Shots(real, [shot for shot in synthetic if shot.frame in bare], bare, [*told, *repeated, *gone])


def _shot(known: Row, **of: Any) -> Shot:
    told = {name: known[name] for name in ("source", "folder", "picture", "frame", "identity", "video")}
    return Shot(key=known["content"], width=int(known["width"]), height=int(known["height"]), **told, **of)


def _gone(shot: Shot) -> Row:
    item = Item(fingerprint("gone", shot.picture, shot.key), {})
    reason = "the frame it was made from is not there any more"
    return row(item, shot.source, status=SKIPPED, reason=reason, **shot.about())


def _once(shots: Sequence[Shot]) -> tuple[list[Shot], list[Row]]:
    """Return the first picture of each content, and rows that tell of the others."""
    first: dict[str, Shot] = {}
    told: list[Row] = []
    for shot in sorted(shots, key=lambda shot: shot.picture):
        if first.setdefault(shot.key, shot) is not shot:
            item = Item(fingerprint("repeated", shot.picture, shot.key), {})
            reason = f"same content as {first[shot.key].picture}"
            told.append(row(item, shot.source, status=SKIPPED, reason=reason, **shot.about()))
    return list(first.values()), told
