"""Expressions edited in pictures and videos: what is written, and what the manifest says of each face."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from ops import images
from ops.expressions.asking import AUTO, DONOR, Ask, Care, Wish, needs
from ops.expressions.donor import Care as DonorCare
from ops.expressions.editing import Result, edit_all
from ops.expressions.moving import Course
from ops.expressions.takes import Lender, take_of
from ops.faces import find_faces
from ops.files import write_atomic
from ops.pictures import contact_sheet
from ops.stages import digest_of
from ops.stages.faces import Stored, about
from ops.store import DONE, SKIPPED, Column, fingerprint
from ops.unmasking.moving import Sight, followed
from ops.unmasking.regions import eight_bit, tinted
from ops.unmasking.unmask import changed_outside
from ops.video_writer import write_video
from ops.videos import BadVideo, sample_video

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ops.expressions.asking import Tools, Watch
    from ops.expressions.donor import Take
    from ops.expressions.state import State
    from ops.faces import FaceDetector, FaceLandmarker
    from ops.records import Face, Picture
    from ops.videos import VideoFrame

VERSION = 1
CODE = ("expressions", "unmasking/composition.py", "unmasking/moving.py")
PANEL = 480
"""Longest side of a panel in pixels."""

REMEMBERED = 64
"""Pictures whose takes are kept, at most."""

NOT_ASKED, NOTHING_MADE = "not asked for", "every face is left alone"
MADE = (
    Column("alpha", "string", "how much of each pixel may differ, 8-bit PNG of the picture's size; 0: not one bit"),
    Column("panels", "string", "before, regions and after side by side; or null"),
    Column("told_by", "string", "mesh or blendshapes: what the state is told from"),
    Column("left_eye", "float32", "how far the eye on the picture's left is open, before"),
    Column("right_eye", "float32", "the same of the eye on the right"),
    Column("smile", "float32", "0 neutral, about 1 wide, before"),
    Column("left_eye_after", "float32", "and after"),
    Column("right_eye_after", "float32", "and after"),
    Column("smile_after", "float32", "and after"),
    Column("eyes_by", "string", "engine that opened eyes; null: they are as they were"),
    Column("smile_by", "string", "engine that made the smile; null: it is as it was"),
    Column("why", "string", "why these engines, and why not others"),
    Column("tries", "int32", "pictures that were made and judged"),
    Column("identity_cosine", "float32", "of the embeddings before and after; null where nothing tells"),
    Column("edited_px", "int64", "pixels of the picture or frame that may differ, those of all its faces"),
    Column("changed_px_outside", "int64", "pixels that changed beside these, before encoding: always 0"),
)


class Kit(Protocol):
    """What there is to find faces and edit them with; picklable, so that every process loads its own."""

    def load(self) -> tuple[FaceDetector, FaceLandmarker, Tools]:
        """Load all of it."""

    def versions(self) -> dict[str, str]:
        """Return names and checksums of everything that decides about the result."""


@dataclass(frozen=True)
class Wishes:
    """What to edit, and what to write.

    Attributes:
        wish: for every face.
        care: what is refused, and the gates.
        lending: which pictures may lend eyes.
        only: the one face to edit, by its index; None: all.
        seed: another seed, other tries.
        regions: alpha and panels are written too.
        kit: names and checksums of what edits.
    """

    wish: Wish = field(default_factory=Wish)
    care: Care = field(default_factory=Care)
    lending: DonorCare = field(default_factory=DonorCare)
    only: int | None = None
    seed: int = 0
    regions: bool = True
    kit: Mapping[str, str] = field(default_factory=dict)

    def key(self) -> list[Any]:
        """Return what stands for them in a fingerprint."""
        return [asdict(self), digest_of(*CODE), VERSION]

    @property
    def lends(self) -> bool:
        """Whether eyes may be lent from other pictures."""
        return bool(self.wish.eyes) and self.wish.engine in {AUTO, DONOR}

    def seed_of(self, made_of: str, face: int) -> int:
        """Return the first seed of a face of a file."""
        return int(fingerprint("express", made_of, face, self.seed)[:7], 16)


class Lent(NamedTuple):
    """A picture in which open eyes may be: its file, and its faces where they are known."""

    path: str
    faces: Stored | None = None


class Maker:
    """Edit pictures and videos, and write what comes of them.

    Args:
        folder: where outputs go.
        kit: what there is to edit with.
        wishes: what to edit.
        max_pixels: larger pictures are refused.
        watch: is told of every try.
    """

    def __init__(self, folder: Path, kit: Kit, wishes: Wishes, *, max_pixels: int, watch: Watch | None = None) -> None:
        self.folder, self.kit, self.wishes, self.max_pixels, self.watch = folder, kit, wishes, max_pixels, watch
        self._takes: dict[str, list[Take]] = {}

    @cached_property
    def loaded(self) -> tuple[FaceDetector, FaceLandmarker, Tools]:
        """Everything, loaded when it is first needed."""
        return self.kit.load()

    def faces(self, pixels: Picture) -> list[Face]:
        """Find the faces of a picture."""
        return find_faces(pixels, *self.loaded[:2])

    def picture(
        self,
        pixels: Picture,
        faces: Sequence[Face],
        stem: str,
        made_of: str,
        lent: Sequence[Lent] = (),
        states: Mapping[int, State] | None = None,
    ) -> list[dict[str, Any]]:
        """Return a picture's manifest columns, a row a face; its files are written, unless every face is left alone."""
        wishes, tools = self.wishes, self.loaded[2]
        if tools.embed and wishes.lends:
            lender = Lender(partial(self._lent, lent), tools.tell, tools.embed, wishes.lending, wishes.care.limits)
            tools = replace(tools, makers={**tools.makers, DONOR: lender})
        asks = {}
        for face in faces:
            if wishes.only in {None, face.index}:
                state = (states or {}).get(face.index)
                need = None if state is None else needs(state, wishes.wish, wishes.care.limits)
                asks[face.index] = Ask(wishes.wish, wishes.seed_of(made_of, face.index), need)
        result = edit_all(pixels, faces, tools, asks, wishes.care, self.watch)
        if not result.alpha.any():
            return _told(pixels, faces, result, {})
        files = {"output": f"{stem}.png"}
        write_atomic(self.folder / files["output"], images.encode_png(result.picture))
        if wishes.regions:
            files |= {"alpha": f"{stem}_alpha.png", "panels": f"{stem}_panels.jpg"}
            write_atomic(self.folder / files["alpha"], images.encode_png(eight_bit(result.alpha)))
            write_atomic(self.folder / files["panels"], images.encode_jpeg(side_by_side(pixels, result), 92))
        return _told(pixels, faces, result, files)

    def video(self, path: Path, stem: str, made_of: str) -> Iterator[tuple[float, list[dict[str, Any]]]]:
        """Yield each frame's time and manifest columns; the video is there after the last, unless nothing was edited.

        Raises:
            BadVideo: no video, or damaged: what comes before the damage is yielded, and written.
        """
        files, damage = {"output": f"{stem}.mp4"}, None
        if self.wishes.regions:
            files["panels"] = f"{stem}_panels.mp4"
        rows: list[tuple[float, list[dict[str, Any]]]] = []
        with suppress(_NothingMade), ExitStack() as stack:
            made = [
                stack.enter_context(write_video(self.folder / name, like=path, max_pixels=self.max_pixels))
                for name in files.values()
            ]
            try:
                for shot, faces, result in self._frames(path, made_of):
                    shown = [result.picture, *([side_by_side(shot.pixels, result)] if self.wishes.regions else [])]
                    for writer, picture in zip(made, shown, strict=True):
                        writer.add(picture, shot.time, shot.duration)
                    rows.append((shot.time, _told(shot.pixels, faces, result, files)))
            except BadVideo as error:
                if not rows:
                    raise
                damage = error
            if all(told["status"] != DONE for _, columns in rows for told in columns):
                raise _NothingMade
        yield from rows
        if damage:
            raise damage

    def _frames(self, path: Path, made_of: str) -> Iterator[tuple[VideoFrame, list[Face], Result]]:
        """Yield each frame with its faces, followed and steadied, and what became of them."""
        tools, wishes = self.loaded[2], self.wishes
        sights: list[Sight] = []
        with suppress(BadVideo):  # told by the last pass
            for shot in self._shots(path):
                sights.append(Sight(shot.time, self.faces(shot.pixels)))
        every = followed(sights)
        courses: dict[int, Course] = {}
        with suppress(BadVideo):
            for shot, faces in zip(self._shots(path), every, strict=False):
                for face in faces:
                    if wishes.only in {None, face.index}:
                        new = partial(Course, tools, wishes.wish, wishes.care, wishes.lending)
                        course = courses.get(face.index) or courses.setdefault(face.index, new())
                        course.see(shot.time, shot.pixels, face)
        care = replace(wishes.care, steady=True)
        for shot, faces in zip(self._shots(path), every, strict=False):
            result = Result(shot.pixels, np.zeros(shot.pixels.shape[:2], np.float32), {})
            for face in sorted(faces, key=lambda face: face.box.area):
                if face.index in courses:
                    ask, own = courses[face.index].ask(shot.time, wishes.seed_of(made_of, face.index))
                    done = edit_all(result.picture, [face], own, {face.index: ask}, care, self.watch)
                    alpha = np.maximum(result.alpha, done.alpha)
                    result = Result(done.picture, alpha, {**result.edits, **done.edits})
            yield shot, faces, result

    def _shots(self, path: Path) -> Iterator[VideoFrame]:
        return sample_video(path, None, max_pixels=self.max_pixels)

    def _lent(self, lent: Sequence[Lent]) -> list[Take]:
        """Return the faces of pictures that may lend eyes; those of a picture that can't be read are left out."""
        tools, takes = self.loaded[2], []
        for path, faces in lent:
            if path not in self._takes:
                if len(self._takes) >= REMEMBERED:
                    del self._takes[next(iter(self._takes))]
                self._takes[path] = []
                with suppress(images.BadImage):
                    pixels = images.read(Path(path), max_pixels=self.max_pixels)
                    for face in faces.load() if faces else self.faces(pixels):
                        if tools.embed:
                            self._takes[path].append(take_of(Path(path).name, pixels, face, tools.tell, tools.embed))
            takes += self._takes[path]
        return takes


class _NothingMade(Exception):
    """Every face of a video is left alone."""


def side_by_side(pixels: Picture, result: Result) -> Picture:
    """Return a picture, its regions, and what became of it, each with its name."""
    panels = {"before": pixels, "regions": tinted(pixels, eight_bit(result.alpha)), "after": result.picture}
    return contact_sheet(list(panels.values()), list(panels), columns=3, cell=min(PANEL, max(pixels.shape[:2])))


def _told(pixels: Picture, faces: Sequence[Face], result: Result, files: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return a row a face: what was made of it, or why it is left alone."""
    same: dict[str, Any] = {
        "status": DONE,
        **files,
        "edited_px": int((result.alpha > 0).sum()),
        "changed_px_outside": changed_outside(pixels, result.picture, result.alpha),
    }
    rows = []
    for face in faces:
        known = about(face)
        done = result.edits.get(face.index)
        if done is None:
            rows.append(known | {"status": SKIPPED, "reason": NOT_ASKED})
            continue
        known |= _states(done.before, done.after)
        known |= {f"{step.part}_by": step.engine for step in done.steps}
        known["why"] = "; ".join(f"{step.part}: {step.why}" for step in done.steps) or None
        known |= {"tries": sum(step.tries for step in done.steps), "identity_cosine": done.cosine}
        rows.append(known | ({"status": SKIPPED, "reason": done.reason} if done.reason else same))
    return rows


def _states(before: State | None, after: State | None) -> dict[str, Any]:
    names = ("left_eye", "right_eye", "smile")
    told: dict[str, Any] = {"told_by": before.by} if before else {}
    for state, ending in ((before, ""), (after, "_after")):
        told |= {f"{name}{ending}": getattr(state, name) for name in names} if state else {}
    return told
