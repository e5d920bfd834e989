"""Unmasked faces: every masked face of a source's photographs and videos, completed where the mask was."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ops import images
from ops.faces import NO_FACE, find_faces
from ops.files import write_atomic
from ops.pictures import contact_sheet
from ops.stages import digest_of, refusal
from ops.stages.faces import BOX, ORIGIN, POSE, Stored, about
from ops.store import DONE, REJECTED, SKIPPED, Column, Item, fingerprint, grouped, row, rows_of
from ops.unmasking.moving import Sight, followed
from ops.unmasking.regions import eight_bit, tinted
from ops.unmasking.unmask import NO_MASK, Care, Memory, UnmaskingError, changed_outside, unmask_all
from ops.video_writer import write_video
from ops.videos import BadVideo, sample_video

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pandas as pd

    from ops.faces import FaceDetector, FaceLandmarker
    from ops.records import Face, Picture
    from ops.stages.faces import FaceModels
    from ops.store import Row
    from ops.unmasking.unmask import Result, Unmasker
    from ops.videos import VideoFrame

VERSION = 1
CODE = tuple(f"unmasking/{name}.py" for name in ("composition", "framing", "moving", "unmask"))
FRAMES, MASKED = "frames", "masked_faces"
KINDS = (FRAMES, MASKED)
PANEL = 480
"""Longest side of a panel in pixels."""

MADE = (
    Column("alpha", "string", "how much of each pixel was replaced, 8-bit PNG of the picture's size; 0: not one bit"),
    Column(
        "panels", "string", "picture, region, completed picture and, where known, the true one side by side; or null"
    ),
    Column("completed_px", "int64", "pixels of the picture or frame that were completed, those of all its faces"),
    Column("changed_px_outside", "int64", "pixels that changed beside these, before encoding: always 0"),
)
COLUMNS = (
    *ORIGIN,
    Column("picture", "string", "file that holds the pixels, relative to the data folder; of a video the video"),
    Column("truth", "string", "the same picture without the masks that were drawn, relative to the data folder"),
    Column("variant", "int32", "which masked variant; null for a picture as it was found"),
    *BOX,
    *POSE,
    *MADE,
)


@dataclass(frozen=True)
class Wishes:
    """What to unmask, and with what.

    Attributes:
        networks: hashes of the segmenter's and the completer's files.
        care: which faces are refused, and how regions are made.
        panels: pictures side by side, too.
    """

    networks: tuple[str, ...]
    care: Care
    panels: bool = True

    def key(self) -> list[Any]:
        """Return what stands for them in a fingerprint."""
        return [asdict(self), digest_of(*CODE), VERSION]


def plan(
    frames: pd.DataFrame,
    faces: pd.DataFrame,
    masked: pd.DataFrame,
    data: Path,
    source: str,
    *,
    pictures: Sequence[str],
    finder: Mapping[str, str],
    wishes: Wishes,
) -> list[Item]:
    """List photographs with their faces, videos, and pictures with drawn masks.

    Args:
        frames: done rows of the source's frames.
        faces: of its face geometry, :func:`ops.stages.faces.described`.
        masked: those of its masked faces.
        data: the data folder.
        source: the source's name.
        pictures: ``frames``, ``masked_faces`` or both.
        finder: names and checksums of what finds faces in videos.
        wishes: how.

    Raises:
        ValueError: other ``pictures``.
    """
    unknown = sorted(set(pictures) - set(KINDS))
    if unknown:
        raise ValueError(f"pictures {unknown} are unknown; allowed: {', '.join(KINDS)}")
    kinds = {known["frame"]: known for known in rows_of(frames)}
    found = grouped(faces, "frame")
    items: list[Item] = []
    if FRAMES in pictures:
        for frame, rows in found.items():
            if kinds[frame]["kind"] == "image":
                items.append(_item(rows, rows[0]["fingerprint"], rows[0]["picture"], data, wishes))
        videos = {known["source"]: known for known in kinds.values() if known["kind"] == "video"}
        for name, known in sorted(videos.items()):
            same = {"source": name, "picture": f"raw/{source}/{name}", "identity": known["identity"]}
            same |= {"path": str(data / "raw" / source / name), "content": known["content"], "kind": "video"}
            key = fingerprint(known["content"], name, dict(finder), wishes.key())
            items.append(Item(key, same, known["fingerprint"]))
    if MASKED in pictures:
        needed = masked[["fingerprint", "frame", "face", "variant", "output"]]
        for output, worn in grouped(needed, "output").items():
            wearers, first = {known["face"] for known in worn}, worn[0]
            rows = [known for known in found[first["frame"]] if known["face"] in wearers]
            about = {"truth": rows[0]["picture"], "variant": int(first["variant"])}
            picture = f"masked_faces/{source}/{output}"
            items.append(_item(rows, first["fingerprint"], picture, data, wishes, **about))
    return items


def _item(rows: list[Row], parent: str, picture: str, data: Path, wishes: Wishes, **about: Any) -> Item:
    payload = {name: rows[0][name] for name in ("source", "frame", "time", "identity")} | {"picture": picture, **about}
    payload |= {"kind": "image", "path": str(data / picture), "faces": Stored.of(rows)}
    payload["truth_path"] = str(data / about["truth"]) if about else None
    made = f"{parent}:{about['variant']}" if about else parent
    return Item(fingerprint(made, wishes.key()), payload, parent)


class Maker:
    """Unmask pictures and videos, and write what comes of them.

    Args:
        folder: where outputs go.
        unmasker: the networks.
        models: what finds faces.
        wishes: how.
        max_pixels: larger pictures are refused unread.
    """

    def __init__(
        self, folder: Path, unmasker: Unmasker, models: FaceModels, wishes: Wishes, *, max_pixels: int
    ) -> None:
        self.folder = folder
        self.unmasker = unmasker
        self.models = models
        self.wishes = wishes
        self.max_pixels = max_pixels

    @cached_property
    def finder(self) -> tuple[FaceDetector, FaceLandmarker]:
        """What finds faces, loaded when it is first needed."""
        return self.models.load()

    def picture(
        self, pixels: Picture, faces: Sequence[Face], stem: str, truth: Picture | None = None
    ) -> list[dict[str, Any]]:
        """Return a picture's manifest columns, a row a face; its files are written, unless every face is refused."""
        result = unmask_all(pixels, faces, self.unmasker, self.wishes.care)
        if len(result.reasons) == len(faces):
            return _told(pixels, faces, result, {})
        files = {"output": f"{stem}.png", "alpha": f"{stem}_alpha.png"}
        write_atomic(self.folder / files["output"], images.encode_png(result.picture))
        write_atomic(self.folder / files["alpha"], images.encode_png(eight_bit(result.alpha)))
        if self.wishes.panels:
            files["panels"] = f"{stem}_panels.jpg"
            sheet = side_by_side(pixels, result, truth)
            write_atomic(self.folder / files["panels"], images.encode_jpeg(sheet, 92))
        return _told(pixels, faces, result, files)

    def video(self, path: Path, stem: str) -> Iterator[tuple[float, list[dict[str, Any]]]]:
        """Yield each frame's time and manifest columns; the video is there after the last, unless nothing was unmasked.

        Raises:
            BadVideo: no video, or damaged: what comes before the damage is yielded, and written.
        """
        files, damage = {"output": f"{stem}.mp4"}, None
        if self.wishes.panels:
            files["panels"] = f"{stem}_panels.mp4"
        rows: list[tuple[float, list[dict[str, Any]]]] = []
        with suppress(UnmaskingError), ExitStack() as stack:
            made = [
                stack.enter_context(write_video(self.folder / name, like=path, max_pixels=self.max_pixels))
                for name in files.values()
            ]
            try:
                for shot, faces, result in self._frames(path):
                    shown = [result.picture, *([side_by_side(shot.pixels, result)] if self.wishes.panels else [])]
                    for writer, picture in zip(made, shown, strict=True):
                        writer.add(picture, shot.time, shot.duration)
                    rows.append((shot.time, _told(shot.pixels, faces, result, files)))
            except BadVideo as error:
                if not rows:
                    raise
                damage = error
            if all(told["status"] != DONE for _, columns in rows for told in columns):
                raise UnmaskingError(NO_MASK)
        yield from rows
        if damage:
            raise damage

    def _frames(self, path: Path) -> Iterator[tuple[VideoFrame, list[Face], Result]]:
        """Yield each frame with its faces, followed and steadied, and what became of them."""
        sights: list[Sight] = []
        with suppress(BadVideo):  # told by the second pass
            for shot in sample_video(path, None, max_pixels=self.max_pixels):
                sights.append(Sight(shot.time, find_faces(shot.pixels, *self.finder)))
        memories: dict[int, Memory] = {}
        shots = sample_video(path, None, max_pixels=self.max_pixels)
        for shot, faces in zip(shots, followed(sights), strict=False):
            result = unmask_all(shot.pixels, faces, self.unmasker, self.wishes.care, memories)
            memories = result.memories
            yield shot, faces, result


class Unmask(Maker):
    """Unmask one picture or video of a source."""

    def __call__(self, item: Item) -> list[Row]:
        """Return a row a face and frame, with the reason where it is left as it is."""
        return self._video(item) if item.payload["kind"] == "video" else self._photograph(item)

    def _photograph(self, item: Item) -> list[Row]:
        known = item.payload
        same: dict[str, Any] = {
            name: known.get(name) for name in ("frame", "time", "identity", "picture", "truth", "variant")
        }
        try:
            pixels = images.read(Path(known["path"]), max_pixels=self.max_pixels)
            truth = known["truth_path"] and images.read(Path(known["truth_path"]), max_pixels=self.max_pixels)
        except images.BadImage as error:
            return [refusal(item, error, **same)]
        made = self.picture(pixels, known["faces"].load(), item.fingerprint, truth)
        return [row(item, known["source"], **same, **told) for told in made]

    def _video(self, item: Item) -> list[Row]:
        known = item.payload
        rows: list[Row] = []
        same = {name: known[name] for name in ("identity", "picture")}
        try:
            for time, made in self.video(Path(known["path"]), item.fingerprint):
                frame = fingerprint(known["content"], time)
                rows += [row(item, known["source"], **same, frame=frame, time=time, **told) for told in made]
        except BadVideo as error:
            rows.append(row(item, known["source"], **same, status=REJECTED, reason=error.reason))
        return rows or [row(item, known["source"], **same, status=SKIPPED, reason=NO_FACE)]


def side_by_side(pixels: Picture, result: Result, truth: Picture | None = None) -> Picture:
    """Return a picture, its region, the completed picture and, where it is known, the true one, each with its name."""
    panels = {"as it is": pixels, "region": tinted(pixels, eight_bit(result.alpha)), "completed": result.picture}
    if truth is not None:
        panels["true"] = truth
    cell = min(PANEL, max(pixels.shape[:2]))
    return contact_sheet(list(panels.values()), list(panels), columns=len(panels), cell=cell)


def _told(pixels: Picture, faces: Sequence[Face], result: Result, files: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return a row a face: what was made of it, or why it was left as it is."""
    same: dict[str, Any] = {
        "status": DONE,
        **files,
        "completed_px": int((result.alpha > 0).sum()),
        "changed_px_outside": changed_outside(pixels, result.picture, result.alpha),
    }
    rows = []
    for face in faces:
        reason = result.reasons.get(face.index)
        rows.append(about(face) | ({"status": SKIPPED, "reason": reason} if reason else same))
    return rows
