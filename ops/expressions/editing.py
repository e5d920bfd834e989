"""Editing of expressions: what a face needs, which engine makes it, and whether what came out may stay.

Each edit passes four gates, or the face is left alone and it is said why: beside the region not one bit changed; the
person is still like the original; nothing is smeared; the state, measured again, has moved the right way.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ops.expressions.asking import ABLE, AUTO, CHOICE, EYES, SMILE, WARP, WHY, Care, Needs, Tools, Watch, Wish, needs
from ops.expressions.engines import EngineError
from ops.expressions.regions import MOUTH, region
from ops.expressions.warp import smile
from ops.records import Box, Face, Floats, Picture
from ops.unmasking.composition import Region
from ops.unmasking.unmask import changed_outside

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ops.expressions.asking import Ask
    from ops.expressions.state import State

ROOM = 2.0
"""Side of what is looked at around a face, in sides of its box."""

WIDER = 1.1
"""Times that an opened eye is more open than before, at least."""

GAIN = 0.04
"""Of the smile, by which one of strength 1 has to be more than before, at least; weaker ones by their share."""

DETAIL = 0.6
"""Share of the detail before that has to be there after, so that nothing is smeared."""

WEAKER = (1.0, 0.75, 0.5, 0.35)
"""Shares of the strength that a smile by warp is tried with, one after the other."""


class Step(NamedTuple):
    """What became of one part of a face.

    Attributes:
        part: ``eyes`` or ``smile``.
        engine: that made it; None: it is left as it was.
        why: why this engine, or why none.
        tries: pictures that were made and judged.
    """

    part: str
    engine: str | None
    why: str
    tries: int


@dataclass(frozen=True, slots=True, eq=False)
class Edited:
    """A picture with one face edited, or left alone.

    Attributes:
        picture: the whole picture, a new array where anything was edited.
        alpha: how much of each pixel may differ, float32, of the part from ``offset`` on; all 0 where nothing was done.
        offset: x, y of that part's top left pixel.
        steps: one for each part that needed something.
        before: state of the face as it was; None: it was not looked at.
        after: state as it is now.
        cosine: of the embeddings before and after; None: nothing was edited, or nothing tells.
        reason: why the face is left alone; None: it was edited.
    """

    picture: Picture
    alpha: Floats
    offset: tuple[int, int]
    steps: tuple[Step, ...] = ()
    before: State | None = None
    after: State | None = None
    cosine: float | None = None
    reason: str | None = None


class _Made(NamedTuple):
    """One try: the picture, what of it may differ, and by the gates its state and likeness."""

    picture: Picture
    alpha: Floats
    state: State
    cosine: float | None


class _Scene(NamedTuple):
    """A face in the part of the picture around it, as it was and as it is, and what it is edited with."""

    original: Picture
    now: Picture
    face: Face
    tools: Tools
    wish: Wish
    need: Needs
    care: Care
    seed: int
    watch: Watch | None


def edit(
    pixels: Picture,
    face: Face,
    tools: Tools,
    wish: Wish | None = None,
    care: Care | None = None,
    seed: int = 0,
    need: Needs | None = None,
    watch: Watch | None = None,
) -> Edited:
    """Edit one face: its eyes first, then its smile.

    Args:
        pixels: the picture, left as it is.
        face: where.
        tools: what there is to edit with.
        wish: what to edit.
        care: what is refused, and the gates.
        seed: the first that engines get; another try gets the next.
        need: what is known to be needed, as of a video's frame; None: what :func:`needs` says.
        watch: told of every try before it is made.
    """
    wish, care = wish or Wish(), care or Care()
    box = face.box.grown(ROOM).clipped(pixels.shape[1], pixels.shape[0])
    x, y, x2, y2 = (round(edge) for edge in box)
    part = np.ascontiguousarray(pixels[y:y2, x:x2])
    alpha = np.zeros(part.shape[:2], np.float32)
    reason = _against(face, part, care)
    if reason:
        return Edited(pixels, alpha, (x, y), reason=reason)
    here = _moved(face, x, y)
    before = tools.tell(part, here.mesh)
    need = need or needs(before, wish, care.limits)
    state, cosine, now, steps = before, None, part, []
    for name, wanted in ((EYES, need.eyes), (SMILE, need.smile)):
        if not wanted:
            continue
        step, made = _step(_Scene(part, now, here, tools, wish, need, care, seed, watch), name, state)
        steps.append(step)
        if made:
            now, state, cosine = made.picture, made.state, made.cosine
            alpha = np.maximum(alpha, made.alpha)
    told = (*steps,)
    if all(step.engine is None for step in steps):
        why = "; ".join(f"{step.part}: {step.why}" for step in steps) or _nothing(wish)
        return Edited(pixels, alpha, (x, y), told, before, before, reason=why)
    picture = pixels.copy()
    picture[y:y2, x:x2] = now
    return Edited(picture, alpha, (x, y), told, before, state, cosine)


class Result(NamedTuple):
    """What became of a picture's faces.

    Attributes:
        picture: with every face edited that needed it and could be.
        alpha: ``(h, w)``, how much of each pixel may differ.
        edits: by the index of the face.
    """

    picture: Picture
    alpha: Floats
    edits: dict[int, Edited]


def edit_all(
    pixels: Picture,
    faces: Sequence[Face],
    tools: Tools,
    asks: Mapping[int, Ask],
    care: Care | None = None,
    watch: Watch | None = None,
) -> Result:
    """Edit several faces, those further away first.

    Args:
        pixels: the picture.
        faces: of it.
        tools: what there is to edit with.
        asks: by the index of the face; the others are left alone.
        care: what is refused, and the gates.
        watch: as for :func:`edit`.
    """
    result = Result(pixels, np.zeros(pixels.shape[:2], np.float32), {})
    for face in sorted(faces, key=lambda face: face.box.area):
        if face.index not in asks:
            continue
        ask = asks[face.index]
        done = edit(result.picture, face, tools, ask.wish, care, ask.seed, ask.need, watch)
        result.edits[face.index] = done
        (x, y), (height, width) = done.offset, done.alpha.shape
        part = result.alpha[y : y + height, x : x + width]
        np.maximum(part, done.alpha, out=part)
        result = result._replace(picture=done.picture)
    return result


def _against(face: Face, part: Picture, care: Care) -> str | None:
    """Return why a face is not even looked at, if so."""
    if face.box.height < care.min_face_px:
        return f"a face of {face.box.height:.0f} px is smaller than {care.min_face_px:g} px"
    if abs(face.pose.yaw) > care.max_yaw:
        return f"turned by {abs(face.pose.yaw):.0f} degrees, more than {care.max_yaw:g}"
    return None if part.size else "outside of the picture"


def _moved(face: Face, x: int, y: int) -> Face:
    """Return a face in pixels of the part of the picture that begins at ``x``, ``y``."""
    box = Box(face.box.x1 - x, face.box.y1 - y, face.box.x2 - x, face.box.y2 - y)
    shift = np.array((x, y, 0), np.float32)
    return replace(face, box=box, points5=face.points5 - shift[:2], mesh=face.mesh - shift)


def _nothing(wish: Wish) -> str:
    told = [text for text, asked in (("eyes are open", wish.eyes), ("it smiles already", wish.smile)) if asked]
    return "needs nothing: " + " and ".join(told or ["nothing was wished"])


def _step(scene: _Scene, part: str, before: State) -> tuple[Step, _Made | None]:
    """Try the engines for one part, one after the other, until what one makes passes the gates."""
    reasons: list[str] = []
    tries = 0
    for name in CHOICE[part] if scene.wish.engine == AUTO else (scene.wish.engine,):
        against = None
        try:
            for picture, alpha in _attempts(scene, part, name):
                tries += 1
                made, against = _judged(scene, picture, alpha, part, before)
                if against is None:
                    why = "; ".join([WHY[name], *(f"not by {reason}" for reason in reasons)])
                    return Step(part, name, why, tries), made
        except EngineError as error:
            against = " and then ".join([*([against] if against else []), error.reason])
        reasons.append(f"{name}: {against}")
    return Step(part, None, "; ".join(reasons), tries), None


def _attempts(scene: _Scene, part: str, name: str) -> Iterator[tuple[Picture, Floats]]:
    """Yield what an engine makes, try by try.

    Raises:
        EngineError: it is not there, not made for this part, or has no further try.
    """
    if name not in ABLE[part]:
        raise EngineError(f"it is not made for {part}")
    mesh, tries = scene.face.mesh, scene.care.tries
    watch = scene.watch or (lambda *_: None)
    if name == WARP:
        for number, share in enumerate(WEAKER[:tries], start=1):
            watch(scene.face.index, part, name, number)
            warped = smile(scene.now, mesh, scene.need.smile * share)
            yield warped.picture, warped.inside.astype(np.float32)
        return
    if name not in scene.tools.makers:
        raise EngineError(scene.tools.missing.get(name, "not at hand"))
    engine = scene.tools.makers[name](scene.now, scene.face)
    where = _union(
        [region(mesh, which, scene.now.shape[:2]) for which in (scene.need.eyes if part == EYES else (MOUTH,))]
    )
    prompt = scene.wish.eyes_prompt if part == EYES else scene.wish.smile_prompt
    for number in range(tries if engine.chance else 1):
        watch(scene.face.index, part, name, number + 1)
        yield engine.inpaint(scene.now, where, prompt, scene.seed + number), where.alpha


def _union(regions: Sequence[Region]) -> Region:
    inside, alpha = regions[0].inside, regions[0].alpha
    for each in regions[1:]:
        inside, alpha = inside | each.inside, np.maximum(alpha, each.alpha)
    return Region(inside, alpha)


def _judged(scene: _Scene, picture: Picture, alpha: Floats, part: str, before: State) -> tuple[_Made, str | None]:
    """Return a try with its state and likeness, and why it can't stay, if so."""
    tools, care, mesh = scene.tools, scene.care, scene.face.mesh
    state, cosine = tools.tell(picture, mesh), None
    if tools.embed:
        cosine = float(tools.embed(scene.original, mesh) @ tools.embed(picture, mesh))
    made = _Made(picture, alpha, state, cosine)
    beside = changed_outside(scene.now, picture, alpha)
    if beside:
        return made, f"{beside} pixels beside the region changed"
    if cosine is not None and cosine < care.floor:
        return made, f"no longer like the person: cosine {cosine:.2f}, at least {care.floor:g} is asked"
    detail = _detail(picture, alpha) / max(_detail(scene.now, alpha), 1e-6)
    if detail < DETAIL:
        return made, f"blurred: {detail:.0%} of the detail before, at least {DETAIL:.0%} is asked"
    if care.steady and part == SMILE:
        return made, None
    return made, _unmoved(scene, part, before, state)


def _detail(picture: Picture, alpha: Floats) -> float:
    """Return the mean size of the grey picture's Laplacian where it was edited."""
    import cv2

    rough = abs(cv2.Laplacian(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), cv2.CV_32F))
    return float(rough[alpha > 0.5].mean()) if (alpha > 0.5).any() else 0.0


def _unmoved(scene: _Scene, part: str, before: State, after: State) -> str | None:
    """Return why a state has not moved the right way, if so."""
    if part == SMILE:
        grown = after.smile >= before.smile + GAIN * scene.need.smile
        return None if grown else f"the smile did not grow: {before.smile:.2f} before, {after.smile:.2f} after"
    limit = scene.care.limits.closed[after.by]
    for which in scene.need.eyes:
        was, now = getattr(before, which), getattr(after, which)
        if now < (limit if scene.care.steady else max(limit, WIDER * was)):
            return f"the {which.replace('_', ' ')} did not open: {was:.2f} before, {now:.2f} after"
    return None
