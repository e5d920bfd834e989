"""Anonymising one file from start to end, without datasets in between: what the command line does."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ops import images
from ops.anonymising.anonymise import AnonymisingError, anonymise, same_inside
from ops.anonymising.selection import drawn, reason_against
from ops.anonymising.sight import joined, look
from ops.stages import refusal
from ops.stages.digital_masks import MADE, ROLES, Maker, not_drawn, video_folder
from ops.stages.faces import BOX, ORIGIN, POSE, about
from ops.stages.photo import plan_files
from ops.store import DONE, REJECTED, SKIPPED, Column, fingerprint, row
from ops.unmasking import moving
from ops.video_writer import write_video
from ops.videos import BadVideo, sample_video

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ops.anonymising.shape import FaceShape
    from ops.anonymising.sight import Sight
    from ops.records import Picture
    from ops.stages.digital_masks import Embed, Wishes
    from ops.stages.faces import FaceModels
    from ops.store import Item, Row
    from ops.videos import VideoFrame

VOID = "no frame could be covered"
MIRROR, IDENTITY_VIDEO = "mirror", "identity-video"
LAYOUTS = (MIRROR, IDENTITY_VIDEO)
ENDINGS = ("_overlay.png", "_mask.png", "_black.png")
"""Of pictures that this stage writes: where outputs lie beside inputs, they are none."""

FRAME = re.compile(r"_t\d{5}\.\d{3}$")
"""How the names of a video's frames end."""


class Clips(NamedTuple):
    """What is made of videos.

    Attributes:
        frames: pictures of frames, as of photographs, instead of a video.
        fps: of these, a second.
        sound: the video keeps its sound: voices tell who speaks.
    """

    frames: bool = False
    fps: float = 1.0
    sound: bool = False


COLUMNS = (
    *ORIGIN,
    Column("role", "string", "database or query, where folders are laid out so"),
    Column("video", "string", "folder of the video's pictures, where folders are laid out so"),
    *BOX,
    *POSE,
    *MADE,
)


def plan(
    root: Path,
    only: str | None,
    *,
    wishes: Wishes,
    finder: Mapping[str, str],
    layout: str = MIRROR,
    clips: Clips | None = None,
    beside: bool = False,
) -> tuple[list[Item], list[Row]]:
    """List a folder's files, or the one file ``only`` in it; refused files come back as rows.

    Args:
        root: the folder.
        only: a file in it.
        wishes: how to anonymise.
        finder: names and checksums of what finds faces.
        layout: ``mirror`` for any folders; ``identity-video`` for database or query / identity / video / pictures.
        clips: what is made of videos.
        beside: outputs lie beside the inputs, and are none.

    Raises:
        ValueError: another layout.
    """
    if layout not in LAYOUTS:
        raise ValueError(f"layout {layout!r} is unknown; allowed: {', '.join(LAYOUTS)}")
    every, told = plan_files(root, only, ["anonymise", wishes.key(), dict(finder), layout, clips or Clips()])
    items = _without_outputs(every) if beside else every
    if layout == MIRROR:
        return [_with(item, {}) for item in items], told
    laid_out: list[Item] = []
    videos: dict[str, list[str]] = {}
    for item in items:
        source = item.payload["source"]
        video = video_folder(source)
        if video is None or item.payload["kind"] == "video":
            reason = f"not a picture in {' or '.join(ROLES)} / identity / video"
            told.append(row(item, source, status=REJECTED, reason=reason))
            continue
        role, identity, name = PurePath(video).parts
        laid_out.append(_with(item, {"role": role, "identity": identity, "video": name}))
        videos.setdefault(video, []).append(source)
    chosen = drawn(videos, wishes.wanted)
    for item in laid_out:
        if item.payload["source"] not in chosen:
            same = item.payload["same"]
            told.append(row(item, item.payload["source"], status=SKIPPED, reason=not_drawn(wishes.wanted), **same))
    return [item for item in laid_out if item.payload["source"] in chosen], told


def _without_outputs(items: list[Item]) -> list[Item]:
    """Leave out what is named like an output of one of the others."""
    stems = {item.payload["stem"] for item in items}

    def made(source: str) -> bool:
        for ending in ENDINGS:
            if source.endswith(ending):
                base = source.removesuffix(ending)
                return base in stems or FRAME.sub("", base) in stems
        return False

    return [item for item in items if not made(item.payload["source"])]


def _with(item: Item, same: dict[str, str]) -> Item:
    return item._replace(payload=item.payload | {"same": same})


class AnonymiseFile(Maker):
    """Anonymise one photograph or video; outputs mirror the input's folders."""

    def __init__(
        self,
        folder: Path,
        shape: FaceShape,
        models: FaceModels,
        embed: Embed | None,
        wishes: Wishes,
        *,
        clips: Clips,
        max_pixels: int,
    ) -> None:
        super().__init__(folder, shape, models, embed, wishes, max_pixels=max_pixels)
        self.clips = clips

    def __call__(self, item: Item) -> list[Row]:
        """Return a row a face and frame; of a picture of which nothing was written one with the reason."""
        known = item.payload
        rows: list[Row] = []
        try:
            for time, made in self._made(known):
                same = {**known["same"], "frame": fingerprint(known["content"], time), "time": time}
                rows += [row(item, known["source"], **same, **told) for told in made]
        except images.BadImage as error:
            rows.append(refusal(item, error, **known["same"]))
        except BadVideo as error:
            rows.append(row(item, known["source"], status=REJECTED, reason=error.reason))
        return rows

    def _made(self, known: dict[str, Any]) -> Iterator[tuple[float | None, list[dict[str, Any]]]]:
        """Yield the manifest columns of a photograph or of each frame, with its time."""
        if known["kind"] == "video" and not (self.clips.frames or self.wishes.wanted.per_video):
            yield from self.video(Path(known["path"]), known["stem"])
            return
        for time, pixels in self._frames(known):
            stem = known["stem"] + ("" if time is None else f"_t{time:09.3f}")
            yield time, self.picture(pixels, stem)

    def video(self, path: Path, stem: str) -> Iterator[tuple[float, list[dict[str, Any]]]]:
        """Yield each frame's time and manifest columns; frames that can't be covered whole are black.

        The video is there after the last, unless all of it would be black.

        Raises:
            BadVideo: no video, or damaged: what comes before the damage is yielded, and written.
        """
        seen = self._followed(path)
        rows: list[tuple[float, list[dict[str, Any]]]] = []
        output, damage = f"{stem}_overlay.mp4", None
        with suppress(AnonymisingError):
            with write_video(
                self.folder / output, like=path, sound=self.clips.sound, max_pixels=self.max_pixels
            ) as made:
                try:
                    for shot, sight in zip(self._shots(path, None), seen, strict=False):
                        picture, told = self._covered(shot.pixels, sight, output)
                        made.add(picture, shot.time, shot.duration)
                        rows.append((shot.time, told))
                except BadVideo as error:
                    if not rows:
                        raise
                    damage = error
                if all(told["status"] != DONE for _, columns in rows for told in columns):
                    raise AnonymisingError(VOID)
        yield from rows
        if damage:
            raise damage

    def _followed(self, path: Path) -> list[Sight]:
        """Return the faces of each frame of a video, those that were missed for a moment added."""
        seen, times = [], []
        with suppress(BadVideo):  # told by the second pass
            for shot in self._shots(path, None):
                seen.append(look(shot.pixels, *self.finder, self.wishes.least))
                times.append(shot.time)
        sights = [moving.Sight(time, sight.faces) for time, sight in zip(times, seen, strict=True)]
        return [joined(sight, faces) for sight, faces in zip(seen, moving.followed(sights), strict=True)]

    def _covered(self, pixels: Picture, seen: Sight, output: str) -> tuple[Picture, list[dict[str, Any]]]:
        """Return a frame of a video with its faces covered, or black, and its manifest columns."""
        reason = reason_against(seen.faces, self.wishes.wanted) if seen.faces and not seen.bare else None
        try:
            if reason:
                raise AnonymisingError(reason)
            made = anonymise(pixels, seen, self.shape, self.wishes.how)
        except AnonymisingError as error:
            return np.zeros_like(pixels), [{"status": SKIPPED, "reason": f"black: {error.reason}"}]
        same = same_inside(pixels, made.overlay, made.region)
        told = self.told(made) | {"output": output, "same_px_inside": same}
        return made.overlay, [{**about(face), **told, **self.told_of(face, made)} for face in seen.faces]

    def _frames(self, known: dict[str, Any]) -> Iterator[tuple[float | None, Picture]]:
        path = Path(known["path"])
        if known["kind"] == "image":
            yield None, images.read(path, max_pixels=self.max_pixels)
            return
        wanted = self.wishes.wanted
        times = [f"{shot.time:09.3f}" for shot in self._shots(path, self.clips.fps)] if wanted.per_video else []
        chosen = drawn({known["source"]: times}, wanted)
        for shot in self._shots(path, self.clips.fps):
            if not times or f"{shot.time:09.3f}" in chosen:
                yield shot.time, shot.pixels

    def _shots(self, path: Path, fps: float | None) -> Iterator[VideoFrame]:
        return sample_video(path, fps, max_pixels=self.max_pixels)
