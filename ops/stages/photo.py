"""One file from start to end, without datasets in between: what the command line does to each input."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ops import frames, images
from ops.faces import NO_FACE, find_faces
from ops.files import write_atomic
from ops.masking import MaskSettings
from ops.stages import crops, digest_of, masks, refusal
from ops.stages.crops import cut_out
from ops.stages.faces import BOX, ORIGIN, POSE, about
from ops.stages.masks import get_ready, wear
from ops.store import REJECTED, SKIPPED, Column, Item, fingerprint, row
from ops.videos import BadVideo

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ops.records import Face, Picture
    from ops.stages.faces import FaceModels
    from ops.store import Row

VERSION = 2


@dataclass(frozen=True)
class Wishes:
    """What to make of every frame.

    Attributes:
        masks: what masks may be drawn; None leaves faces bare.
        variants: masked pictures a frame.
        styles: crop styles to cut; none cuts nothing.
        size: side of a crop in pixels.
        draw: a picture with boxes, meshes and poses drawn in.
        copy: the bare picture itself, as PNG.
        numbered: file names carry ``_aug0``, ``_aug1``, ... also where faces are bare.
        fps: frames a second taken from videos.
        min_score: lowest detector score.
        min_face_px: smaller faces stay bare.
        quality: of JPEG files.
        max_pixels: larger pictures are refused unread.
    """

    masks: MaskSettings | None = None
    variants: int = 1
    styles: tuple[str, ...] = ()
    size: int = 112
    draw: bool = False
    copy: bool = False
    numbered: bool = True
    fps: float = 1.0
    min_score: float = 0.5
    min_face_px: int = 32
    quality: int = 95
    max_pixels: int = images.MAX_PIXELS


def columns(wishes: Wishes) -> tuple[Column, ...]:
    """Return the manifest's columns for these wishes."""
    masked = () if wishes.masks is None else masks.columns()
    cut = crops.COLUMNS if wishes.styles else ()
    return tuple({column.name: column for column in (*ORIGIN, *BOX, *POSE, *masked, *cut)}.values())


def plan(root: Path, only: str | None, wishes: Wishes, models: FaceModels) -> tuple[list[Item], list[Row]]:
    """List a folder's files, or the one file ``only`` in it; refused files come back as rows."""
    masks_wanted = None if wishes.masks is None else [wishes.masks.as_key(), digest_of(*masks.DRAWING)]
    return plan_files(root, only, [asdict(replace(wishes, masks=None)), masks_wanted, models.versions(), VERSION])


def plan_files(root: Path, only: str | None, made_with: list[Any]) -> tuple[list[Item], list[Row]]:
    """List a folder's files, or the one file ``only`` in it, as work whose result depends on ``made_with`` too."""
    items: list[Item] = []
    told: list[Row] = []
    found = list(frames.scan(root)) if only is None else [frames.look(root, only)]
    files = [file for file in found if isinstance(file, frames.RawFile)]
    stems = output_stems([file.path for file in files], root)
    for file in found:
        if isinstance(file, frames.Rejected):
            item = Item(fingerprint("refused", file.path), {})
            told.append(row(item, file.path, status=REJECTED, reason=file.reason))
            continue
        payload = {"source": file.path, "path": str(root / file.path), "kind": file.kind, "content": file.content}
        stem = stems[file.path]
        items.append(Item(fingerprint(file.content, file.path, stem, made_with), {**payload, "stem": stem}))
    return items, told


def output_stems(paths: Sequence[str], root: Path) -> dict[str, str]:
    """Return what each file's outputs are named by: its path without suffix, or with it where that is not its alone.

    What else lies beside the file counts too, so that the name does not depend on what is worked on together.
    """
    every = set(paths)
    for inside in {os.path.dirname(path) for path in paths}:
        every |= {os.path.join(inside, name) for name in os.listdir(root / inside) if frames.kind_of(name)}
    stems = {path: os.path.splitext(path)[0] for path in every}
    while True:
        owners: dict[str, list[str]] = {}
        for path, stem in stems.items():
            owners.setdefault(stem, []).append(path)
        clashing = [path for shared in owners.values() if len(shared) > 1 for path in shared if stems[path] != path]
        if not clashing:
            return stems
        stems |= {path: path for path in clashing}


class Process:
    """Do what is wished to one file; outputs mirror the input's folders."""

    def __init__(self, folder: Path, wishes: Wishes, models: FaceModels) -> None:
        self.folder = folder
        self.wishes = wishes
        self.detector, self.landmarker = models.load()

    def __call__(self, item: Item) -> list[Row]:
        """Return a row an output, or with the reason why there is none."""
        rows: list[Row] = []
        try:
            for time, pixels in self._frames(item):
                rows += [
                    row(item, item.payload["source"], time=time, **made) for made in self._frame(item, time, pixels)
                ]
        except images.BadImage as error:
            rows.append(refusal(item, error))
        except frames.BadVideo as error:
            rows.append(row(item, item.payload["source"], status=REJECTED, reason=error.reason))
        return rows

    def _frames(self, item: Item) -> Iterator[tuple[float | None, Picture]]:
        path, limit = Path(item.payload["path"]), self.wishes.max_pixels
        if item.payload["kind"] == "video":
            for shot in frames.sample_video(path, self.wishes.fps, max_pixels=limit):
                yield shot.time, shot.pixels
        else:
            yield None, images.read(path, max_pixels=limit)

    def _frame(self, item: Item, time: float | None, pixels: Picture) -> Iterator[dict[str, Any]]:
        frame = fingerprint(item.payload["content"], time)
        stem = item.payload["stem"] + ("" if time is None else f"_t{time:09.3f}")
        faces = find_faces(pixels, self.detector, self.landmarker, min_score=self.wishes.min_score)
        known = {face.index: about(face) for face in faces}
        for made in self._outputs(pixels, faces, frame, stem):
            yield {"frame": frame, **known.get(made.get("face", -1), {}), **made}

    def _outputs(self, pixels: Picture, faces: Sequence[Face], frame: str, stem: str) -> Iterator[dict[str, Any]]:
        wishes = self.wishes
        if wishes.copy:
            yield {"output": self._write(f"{stem}_aug0_original.png", images.encode_png(pixels))}
            return
        if not faces:
            yield {"status": SKIPPED, "reason": NO_FACE}
            return
        if wishes.draw:
            from ops.pictures import draw_faces

            drawn = images.encode_jpeg(draw_faces(pixels, faces), wishes.quality)
            output = self._write(f"{stem}_faces.jpg", drawn)
            yield from ({"face": face.index, "output": output} for face in faces)
        if wishes.masks is None:
            yield from self._crops(pixels, faces, f"{stem}_aug0" if wishes.numbered else stem, {"wearing": "bare"})
            return
        ready, bare = get_ready(pixels, faces, wishes.min_face_px)
        yield from bare
        for variant in range(wishes.variants if ready else 0):
            name = f"{stem}_aug{variant}"
            picture, worn, bare = wear(pixels, ready, frame, variant, wishes.masks)
            yield from bare
            if not worn:
                continue
            output = self._write(f"{name}_masked.png", images.encode_png(picture))
            for labels, alpha in worn:
                soft = self._write(f"{name}_alpha_face{labels['face']}.png", images.encode_png(alpha))
                yield {**labels, "output": output, "alpha": soft}
            wearers = [face for face, _ in ready if face.index in {labels["face"] for labels, _ in worn}]
            yield from self._crops(picture, wearers, name, {"wearing": "masked", "variant": variant})

    def _crops(
        self, picture: Picture, faces: Sequence[Face], stem: str, same: dict[str, Any]
    ) -> Iterator[dict[str, Any]]:
        wishes = self.wishes
        for face in faces:
            which = f"_face{face.index}" if len(faces) > 1 else ""
            cuts = cut_out(
                picture, face, wishes.styles, wishes.size, self.folder, stem, ending=which, quality=wishes.quality
            )
            yield from ({**same, **cut} for cut in cuts)

    def _write(self, name: str, data: bytes) -> str:
        write_atomic(self.folder / name, data)
        return name


def each_face(item: Item, made: Iterable[tuple[float | None, list[Row]]]) -> list[Row]:
    """Return a file's rows, one a face and frame: what was made of it, or why nothing was.

    Args:
        item: of :func:`plan_files`.
        made: of a photograph once, of a video frame by frame, the time and the columns of each face; it may end in
            :class:`ops.images.BadImage` or :class:`ops.videos.BadVideo`.
    """
    known = item.payload
    rows: list[Row] = []
    try:
        for time, told in made:
            frame = fingerprint(known["content"], time)
            rows += [row(item, known["source"], frame=frame, time=time, **columns) for columns in told]
    except images.BadImage as error:
        rows.append(refusal(item, error))
    except BadVideo as error:
        rows.append(row(item, known["source"], status=REJECTED, reason=error.reason))
    return rows or [row(item, known["source"], status=SKIPPED, reason=NO_FACE)]
