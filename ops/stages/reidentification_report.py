"""The report on re-identification: whether people are recognised behind each anonymiser, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ops import images
from ops.alignment import AlignmentError
from ops.anonymising.obscuring import OBSCURERS, obscure
from ops.anonymising.selection import Square, seen_in
from ops.anonymising.sight import Sight
from ops.detection.likeness import SIDE, look_at
from ops.pictures import contact_sheet
from ops.reidentification.report_files import name_of, plot_anonymisers, plot_cmc, tables
from ops.reidentification.scenarios import COMPLETED, FACE, GUISES, MASK_ONLY, MASKS, OVERLAY, metrics_of, outcomes
from ops.reidentification.trials import SETTINGS, shot_of, trial_of, without_copies
from ops.stages import digest_of, refusal
from ops.stages.faces import face_of
from ops.store import DONE, REJECTED, SKIPPED, Column, Item, fingerprint, row
from ops.tables import as_json
from ops.unmasking.scores import cosine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from ops.manifests import Finished
    from ops.records import Face, Floats, Picture
    from ops.reidentification.scenarios import Floor, Outcome, Vectors
    from ops.reidentification.trials import Trial
    from ops.store import Row

    Embed = Callable[[Picture, Floats], Floats]

VERSION = 1
CODE = (
    *("alignment.py", "geometry.py", "detection/likeness.py", "stages/reidentification_report.py"),
    *("anonymising/obscuring.py", "anonymising/selection.py"),
)
METRICS, SHEET = "metrics.json", "anonymisers.jpg"
PLOTS = ("cmc.png", "anonymisers.png")
SHOWN, PANEL, QUALITY = 4, 200, 90
"""People on the sheet, the side of a panel in pixels, and its JPEG quality."""

NOTHING = 225
"""Grey of a panel without a picture."""

SEVERAL = "several faces: which one is the person is not known"
COLUMNS = (
    Column("folder", "string", "source: the folder under data/raw that the face comes from"),
    Column("frame", "string", "the frame's identity"),
    Column("person", "string", "who it is"),
    Column("capture", "string", "video, folder of its pictures, or photograph that it comes from"),
    Column("picture", "string", "file that holds the bare face, relative to the data folder"),
    Column("guise", "string", f"how it is shown: {', '.join(GUISES)}"),
    Column("vector", "list<float>", "the embedding, of length 1; it is as private as the photograph"),
    Column("look", "binary", "grey picture and, where it is large enough, grey face, 32 x 32 px each; of bare faces"),
)


class Plan(NamedTuple):
    """Who is asked about, the pictures that take part as items, and rows of those that can't."""

    trials: list[Trial]
    items: list[Item]
    told: list[Row]


class Hidden(NamedTuple):
    """What stages made of a frame.

    Attributes:
        files: by guise, relative to the data folder.
        square: that digital masks are cut out by, or None.
        reason: why there is no digital mask, or None.
    """

    files: dict[str, str]
    square: tuple[int, ...] | None
    reason: str | None


def plan(
    faces: Iterable[Row], masks: Iterable[Row], completed: Iterable[Row], data: Path, *, seed: int, judge: str
) -> Plan:
    """Choose trials among the faces whose person is known, and list their pictures in every guise.

    Pictures that digital masks left out beforehand take no part; those that were refused do, and count as failed.

    Args:
        faces: done rows of face geometry of all sources, with ``folder``.
        masks: all rows of digital masks.
        completed: done rows of unmasked faces.
        data: the data folder.
        seed: another seed, other pictures.
        judge: hash of the embedding network.
    """
    hidden = _hidden(masks, completed)
    of_frame: dict[tuple[str, str], list[Row]] = {}
    for known in faces:
        place = (known["folder"], known["frame"])
        if known["identity"] is not None and place in hidden:
            of_frame.setdefault(place, []).append(known)
    alone = {rows[0]["frame"]: rows[0] for _, rows in sorted(of_frame.items(), reverse=True) if len(rows) == 1}
    shots = [shot_of(known) for known in alone.values()]
    trials = [trial_of(shots, setting, seed) for setting in SETTINGS]
    made_with, items = fingerprint(judge, VERSION, digest_of(*CODE)), []
    for shot in shots:
        if any(shot.key in trial.keys for trial in trials):
            known = alone[shot.key]
            made = hidden[known["folder"], known["frame"]]
            made.files[FACE] = known["picture"]
            payload = {"source": known["source"], "shot": shot, "known": known, "hidden": made, "data": data}
            items.append(Item(fingerprint(known["fingerprint"], shot, made, made_with), payload))
    return Plan(trials, items, [_crowd(rows[0]) for rows in of_frame.values() if len(rows) > 1])


def _hidden(masks: Iterable[Row], completed: Iterable[Row]) -> dict[tuple[str, str], Hidden]:
    """Return what was made of each frame, by source and frame, of those that digital masks did not leave out."""
    hidden: dict[tuple[str, str], Hidden] = {}
    for known in masks:
        place, inside = (known["folder"], known["frame"]), f"digital_masks/{known['folder']}"
        if known["status"] == REJECTED:
            hidden[place] = Hidden({}, None, known["reason"])
        elif known["status"] == DONE:
            square = None if known["square"] is None else tuple(map(int, known["square"]))
            files = {OVERLAY: f"{inside}/{known['output']}", MASK_ONLY: f"{inside}/{known['on_black']}"}
            hidden[place] = Hidden(files, square, None)
    for known in sorted(completed, key=lambda known: (known["variant"] or 0, known["output"])):
        place = (known["folder"], known["frame"])
        if known["truth"] is not None and place in hidden:
            hidden[place].files.setdefault(COMPLETED, f"unmasked_faces/{known['folder']}/{known['output']}")
    return hidden


def _crowd(known: Row) -> Row:
    item = Item(fingerprint("crowd", known["fingerprint"], known["frame"]), {})
    return row(item, known["source"], status=SKIPPED, reason=SEVERAL, **_about(known))


def _about(known: Row) -> Row:
    named = {name: known[name] for name in ("folder", "frame", "picture")}
    return {**named, "person": known["identity"], "face": known["face"]}


class Recognise:
    """Embed one face in every guise.

    Args:
        embed: tells how alike people look; None where nothing does.
        max_pixels: larger pictures are refused unread.
    """

    def __init__(self, embed: Embed | None, *, max_pixels: int) -> None:
        self.embed = embed
        self.max_pixels = max_pixels

    def __call__(self, item: Item) -> list[Row]:
        """Return a row a guise, with the reason where there is nothing to embed; one where a file can't be used."""
        known = item.payload["known"]
        same = {**_about(known), "capture": item.payload["shot"].capture}
        rows = []
        for guise in GUISES:
            told = {**same, "guise": guise}
            try:
                made = shown(guise, item.payload, max_pixels=self.max_pixels)
            except images.BadImage as error:
                return [refusal(item, error, **told)]
            if isinstance(made, str):
                told |= {"status": SKIPPED, "reason": made}
            else:
                told["look"] = _look(*made) if guise == FACE else None
                told |= self._embedded(made)
            rows.append(row(item, known["source"], **told))
        return rows

    def _embedded(self, made: Shown) -> dict[str, Any]:
        if self.embed is None:
            return {"status": SKIPPED, "reason": "nothing tells how alike people look"}
        try:
            return {"vector": self.embed(made.pixels, made.face.mesh)}
        except AlignmentError as error:
            return {"status": SKIPPED, "reason": error.reason}


class Shown(NamedTuple):
    """A picture, and where the face is in it: the bare one's mesh, which whoever looks for it is spared to find."""

    pixels: Picture
    face: Face


def shown(guise: str, payload: Mapping[str, Any], *, max_pixels: int) -> Shown | str:
    """Return a picture of an item's face in a guise, or the reason why there is none.

    Raises:
        BadImage: a file can't be used.
    """
    hidden, face = payload["hidden"], face_of(payload["known"])
    name = FACE if guise in OBSCURERS else guise
    if name not in hidden.files:
        return hidden.reason if guise in MASKS and hidden.reason else f"no {guise.replace('_', ' ')} was made"
    pixels = images.read(payload["data"] / hidden.files[name], max_pixels=max_pixels)
    if guise in OBSCURERS:
        return Shown(obscure(guise, pixels, face), face)
    if guise in MASKS and hidden.square:
        (face,) = seen_in(Sight((face,), ()), Square(*hidden.square), pixels.shape[0]).faces
    return Shown(pixels, face)


def _look(pixels: Picture, face: Face) -> bytes:
    whole, (part,) = look_at(pixels, [face.box])
    return b"".join(thumb.tobytes() for thumb in (whole, part) if thumb is not None)


def _looks(rows: Iterable[Row]) -> dict[str, list[np.ndarray]]:
    """Return the looks that rows hold by frame, each of the picture and, where there is one, of the face."""
    held = {known["frame"]: known["look"] for known in rows if known["look"] is not None}
    return {frame: list(np.frombuffer(look, np.uint8).reshape(-1, SIDE, SIDE)) for frame, look in held.items()}


def files(
    chosen: Plan, floor: Floor, about: Mapping[str, Any], *, max_pixels: int
) -> Callable[[Finished], dict[str, bytes]]:
    """Return what makes the report of the finished table: figures, plots, and a sheet of the anonymisers.

    Args:
        chosen: the plan.
        floor: what is asked for.
        about: further facts.
        max_pixels: of the largest picture.
    """

    def make(made: Finished) -> dict[str, bytes]:
        rows = made.rows()
        seen = [known for known in rows if known["vector"] is not None]
        vectors = {(known["frame"], known["guise"]): np.asarray(known["vector"], np.float32) for known in seen}
        looks = _looks(rows)
        parted = [without_copies(trial, looks) for trial in chosen.trials]
        trials = [trial for trial, _ in parted]
        found = list(outcomes(trials, vectors))
        copies = {trial.setting: len(left_out) for trial, left_out in parted if left_out}
        pictures = {item.payload["shot"].key: item.payload["known"]["picture"] for item in chosen.items}
        return {
            METRICS: as_json(metrics_of(found, floor, {**about, "same_photograph": copies})),
            **tables(found, trials, pictures),
            **dict(zip(PLOTS, (plot_cmc(found), plot_anonymisers(found)), strict=True)),
            **_sheet(chosen, found, vectors, max_pixels),
        }

    return make


def _sheet(chosen: Plan, found: Sequence[Outcome], vectors: Vectors, max_pixels: int) -> dict[str, bytes]:
    """Return a sheet of the first people's queries in every guise but the bare one; none without queries."""
    queries = list(dict.fromkeys(pair.query for each in found for pair in each.pairs))[:SHOWN]
    items = {item.payload["shot"].key: item.payload for item in chosen.items}
    panels, captions = [], []
    for key in queries:
        for guise in GUISES[1:]:
            made = shown(guise, items[key], max_pixels=max_pixels)
            mine, bare = vectors.get((key, guise)), vectors.get((key, FACE))
            near = "" if mine is None or bare is None else f"\ncosine to bare {cosine(mine, bare):.2f}"
            panels.append(np.full((PANEL, PANEL, 3), NOTHING, np.uint8) if isinstance(made, str) else _close(*made))
            captions.append(name_of(guise) + ("\nnone" if isinstance(made, str) else near))
    if not panels:
        return {}
    return {SHEET: images.encode_jpeg(contact_sheet(panels, captions, columns=len(GUISES) - 1, cell=PANEL), QUALITY)}


def _close(pixels: Picture, face: Face) -> Picture:
    """Return the part of a picture around a face."""
    box = face.box.grown(1.8).clipped(pixels.shape[1], pixels.shape[0])
    return pixels[round(box.y1) : round(box.y2), round(box.x1) : round(box.x2)]
