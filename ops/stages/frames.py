"""Frames: what a source's files show, decoded once to know that they can be."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ops import frames, images
from ops.files import write_atomic
from ops.store import DONE, REJECTED, SKIPPED, UNREAD, Column, Item, fingerprint, row, unread

if TYPE_CHECKING:
    from ops.store import Row

VERSION = 1
COLUMNS = (
    Column("frame", "string", "the frame's identity: hash of its file's content and its time"),
    Column("kind", "string", "image or video"),
    Column("time", "float64", "seconds into the video; null for a photograph"),
    Column("picture", "string", "file that holds the pixels, relative to the data folder"),
    Column("width", "int32", "upright width in pixels"),
    Column("height", "int32", "upright height in pixels"),
    Column("format", "string", "file format as decoded"),
    Column("orientation", "int32", "EXIF orientation, 1 to 8, already applied to width and height"),
    Column("bytes", "int64", "size of the raw file"),
    Column("content", "string", "BLAKE2b hash of the raw file's bytes"),
    Column("identity", "string", "the person, where the source's naming tells"),
    Column("sound", "string", "sound track in this folder, or null"),
)


def plan(raw: Path, *, fps: float, identity: str, max_pixels: int) -> tuple[list[Item], list[Row]]:
    """List a source's files.

    Args:
        raw: the source's folder; its name is the source's name.
        fps: frames a second taken from videos.
        identity: where a person's name comes from: ``parent``, ``stem``, ``regex:PATTERN`` or ``none``.
        max_pixels: larger pictures are refused unread.

    Returns:
        The items to work on, and rows for files that need no work: refused ones, and repetitions of another's content.
    """
    settings = {"fps": fps, "max_pixels": max_pixels, "version": VERSION}
    found = list(frames.scan(raw))
    files = [file for file in found if isinstance(file, frames.RawFile)]
    repeated = frames.find_duplicates((file.path, f"{file.kind} {file.content}") for file in files)
    items: list[Item] = []
    told: list[Row] = []
    for file in found:
        if isinstance(file, frames.Rejected):
            item = Item(fingerprint("refused", file.path, file.reason), {})
            told.append(row(item, file.path, status=REJECTED, reason=file.reason))
            continue
        person = frames.identity_of(file.path, identity)
        about = {"kind": file.kind, "bytes": file.size, "content": file.content, "identity": person}
        item = Item(
            fingerprint(file.content, file.path, person, settings),
            {"source": file.path, "path": str(raw / file.path), **about},
        )
        if file.path in repeated:
            reason = f"same content as {repeated[file.path]}"
            told.append(row(item, file.path, status=SKIPPED, reason=reason, **about))
        else:
            items.append(item)
    return items, told


class Decode:
    """Look into one raw file: a photograph's size, a video's frames and sound."""

    def __init__(self, folder: Path, *, fps: float, max_pixels: int, quality: int = 95) -> None:
        self.folder = folder
        self.fps = fps
        self.max_pixels = max_pixels
        self.quality = quality

    def __call__(self, item: Item) -> list[Row]:
        """Return a row a frame, or one with the reason why there is none."""
        kind = item.payload["kind"]
        return self._video(item) if kind == "video" else self._photograph(item)

    def _photograph(self, item: Item) -> list[Row]:
        path = Path(item.payload["path"])
        try:
            data = path.read_bytes()
            pixels = images.decode(data, max_pixels=self.max_pixels)
        except OSError as error:
            return [self._rejected(unread(item), f"{UNREAD}: {error.strerror}")]
        except images.BadImage as error:
            return [self._rejected(item, error.reason)]
        about = images.describe(data)
        source = item.payload["source"]
        return [
            self._row(
                item,
                pixels.shape,
                picture=f"raw/{self.folder.name}/{source}",
                format=about.format,
                orientation=about.orientation,
            )
        ]

    def _video(self, item: Item) -> list[Row]:
        path, rows = Path(item.payload["path"]), []
        try:
            about = frames.video_info(path, max_pixels=self.max_pixels)
            for shot in frames.sample_video(path, self.fps, max_pixels=self.max_pixels):
                output = f"{item.fingerprint}_{shot.index:05d}.jpg"
                write_atomic(self.folder / output, images.encode_jpeg(shot.pixels, self.quality))
                picture = f"frames/{self.folder.name}/{output}"
                shape = shot.pixels.shape
                rows.append(self._row(item, shape, output=output, time=shot.time, picture=picture, format=about.format))
        except frames.BadVideo as error:
            rows.append(self._rejected(item, error.reason))
        try:
            sound = frames.extract_sound(path) if rows[0]["status"] == DONE else None
        except frames.BadVideo as error:
            rows.append(self._rejected(item, error.reason))
        else:
            if sound:
                write_atomic(self.folder / f"{item.fingerprint}.wav", sound)
                for made in rows:
                    made["sound"] = f"{item.fingerprint}.wav"
        return rows

    def _row(self, item: Item, shape: tuple[int, ...], **columns: Any) -> Row:
        frame = fingerprint(item.payload["content"], columns.get("time"))
        return row(
            item, item.payload["source"], frame=frame, height=shape[0], width=shape[1], **_about(item), **columns
        )

    @staticmethod
    def _rejected(item: Item, reason: str) -> Row:
        return row(item, item.payload["source"], status=REJECTED, reason=reason, **_about(item))


def _about(item: Item) -> dict[str, Any]:
    return {name: item.payload[name] for name in ("kind", "bytes", "content", "identity")}
