"""YOLO splits: annotated pictures dealt out without leaks; pasted and synthetic ones added to training alone."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import astuple, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ops import images
from ops.detection.likeness import dct_hash, look_at
from ops.detection.paste_plan import plan_pastes
from ops.detection.pasting import WORST, Donor, PasteSettings, draw_tweak, find_place, paste
from ops.detection.plots import plot_classes
from ops.detection.scenes import flat_names, place
from ops.detection.split_files import LINKED, ORIGINS, PASTED, REAL, SYNTHETIC, boxes_of, linkable, texts
from ops.detection.splits import SPLITS, Album, Member, dealt, grouped, resembling
from ops.files import write_atomic
from ops.masking import LABELS
from ops.pictures import contact_sheet, draw_boxes
from ops.records import Box
from ops.stages import digest_of, refusal
from ops.store import DONE, SKIPPED, Column, Item, fingerprint, row

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ops.detection.likeness import Thumb
    from ops.detection.paste_plan import Pasting
    from ops.detection.shots import Shot, Shots
    from ops.manifests import Finished
    from ops.records import Picture
    from ops.store import Mapper, Row

VERSION = 1
TRAIN = SPLITS[0]
DRAWING = tuple(f"detection/{name}.py" for name in ("blending", "likeness", "paste_plan", "pasting", "splits"))

COLUMNS = (
    Column("split", "string", "train, val or test"),
    Column("group", "string", "pictures of one group are never in two splits"),
    Column("origin", "string", "real, pasted (faces of others pasted in) or synthetic (masks drawn)"),
    Column("folder", "string", "source: the folder under data/raw that the picture comes from"),
    Column("picture", "string", "file that the pixels come from, relative to the data folder"),
    Column("content", "string", "BLAKE2b hash of that file"),
    Column("frame", "string", "identity of the frame"),
    Column("identity", "string", "the person, where the source's naming tells"),
    Column("video", "string", "video that the frame comes from; null for a photograph"),
    Column("width", "int32", "in pixels"),
    Column("height", "int32", "in pixels"),
    Column("hash", "string", "perceptual hash of the picture, 64 bits as hexadecimal digits"),
    *(Column(f"n_{label}", "int32", f"boxes of {label}") for label in LABELS),
    Column("labels", "list<string>", "class of each box"),
    Column("boxes", "list<double>", "x1, y1, x2, y2 of each box, pixels, half-open"),
    Column("made_from", "list<string>", "content of every photograph whose pixels were pasted in"),
    Column("pasted", "string", "what was pasted, JSON: class, box, replaced class, file and box it comes from"),
)


def extras(folder: Path, *, max_pixels: int) -> Callable[[Finished], dict[str, bytes]]:
    """Return what makes the files beside the pictures, of the finished table: labels, lists, plot and a sheet."""

    def make(made: Finished) -> dict[str, bytes]:
        rows = [known for known in made.rows() if known["status"] == DONE]
        counts = {split: {origin: Counter[str]() for origin in ORIGINS} for split in SPLITS}
        for known in rows:
            counts[known["split"]][known["origin"]].update(known["labels"])
        files = {**texts(rows), "classes.png": plot_classes(counts)}
        if rows:
            pictures, captions = examples(folder, rows, max_pixels=max_pixels)
            files["examples.jpg"] = images.encode_jpeg(contact_sheet(pictures, captions, columns=4, cell=320), 90)
        return files

    return make


def examples(folder: Path, rows: Sequence[Row], *, max_pixels: int, each: int = 4) -> tuple[list[Picture], list[str]]:
    """Return a few pictures of each split and origin with their boxes drawn in, and what they are."""
    kinds = {(split, origin): [] for split in SPLITS for origin in ORIGINS}  # type: dict[tuple[str, str], list[Row]]
    for known in rows:
        kinds[known["split"], known["origin"]].append(known)
    drawn, captions = [], []
    for (split, origin), some in kinds.items():
        some.sort(key=lambda known: fingerprint(known["output"]))
        for known in some[:each]:
            pixels = images.read(folder / known["output"], max_pixels=max_pixels)
            boxes = [Box(*sides) for _, *sides in boxes_of(known)]
            drawn.append(draw_boxes(pixels, boxes, known["labels"]))
            captions.append(f"{split}, {origin}")
    return drawn, captions


class Look:
    """Look at one picture, to find it and its faces again in others."""

    def __init__(self, data: Path, *, max_pixels: int) -> None:
        self.data = data
        self.max_pixels = max_pixels

    def __call__(self, item: Item) -> list[Row]:
        """Return one row: what the picture shows, or why it can't be used."""
        shot: Shot = item.payload["shot"]
        try:
            pixels = images.read(self.data / shot.picture, max_pixels=self.max_pixels)
        except images.BadImage as error:
            return [refusal(item, error, **shot.about())]
        look, faces = self.seen(pixels, shot)
        seen = tuple(face for face in faces if face is not None)
        return [row(item, shot.source, member=Member(shot.key, shot.labels, shot.ties, look, seen))]

    def seen(self, pixels: Picture, shot: Shot) -> tuple[Thumb, list[Thumb | None]]:
        """Return the look of the picture, and of each of its faces."""
        return look_at(pixels, [Box(*box) for box in shot.boxes])


class Dealt(NamedTuple):
    """A split: of each shot's key, its group and its split; what is held out; rows of pictures that can't be used."""

    groups: dict[str, str]
    splits: dict[str, str]
    held: list[Member]
    told: list[Row]


def deal(shots: Shots, look: Any, mapper: Mapper, *, ratios: Sequence[float], seed: int) -> Dealt:
    """Deal out photographs and bare frames.

    Frames that nobody annotated are for training, unless they belong to a held out photograph. Where nothing at all
    is annotated, frames are dealt out by the labels of what was drawn on them.

    Args:
        shots: from :func:`read_shots`.
        look: makes a :class:`Look`.
        mapper: runs it.
        ratios: of train, val and test.
        seed: another seed, another split.
    """
    drawn: dict[str, list[str]] = {}
    for shot in shots.synthetic:
        drawn.setdefault(shot.frame, []).extend(shot.labels)
    known = {shot.key: shot for shot in shots.real}
    for frame, shot in shots.bare.items():
        known.setdefault(shot.key, shot if shots.real else replace(shot, labels=tuple(drawn[frame])))
    items = [Item(key, {"source": shot.source, "shot": shot}) for key, shot in sorted(known.items())]
    rows = [made for rows in mapper.map(look, items) for made in rows]
    members: list[Member] = [made["member"] for made in rows if made["status"] == DONE]
    groups = dict(zip([member.key for member in members], grouped(members), strict=True))
    judged = {shot.key for shot in shots.real} or set(groups)
    counted = {groups[key] for key in judged & groups.keys()}
    inside = [member for member in members if groups[member.key] in counted]
    split = dealt(inside, [groups[member.key] for member in inside], ratios, seed)
    splits = {key: split.get(group, TRAIN) for key, group in groups.items()}
    held = [member for member in members if splits[member.key] != TRAIN]
    return Dealt(groups, splits, held, [made for made in rows if made["status"] != DONE])


def plan(
    shots: Shots,
    split: Dealt,
    *,
    synthetic: int,
    balance: float,
    reuse: int,
    min_face_px: int,
    quality: int,
    seed: int,
    **drawn: Any,
) -> list[Item]:
    """List the pictures to write.

    Args:
        shots: from :func:`read_shots`.
        split: from :func:`deal`.
        synthetic: how many pictures with drawn masks at most; 0 for all.
        balance: see :func:`ops.detection.paste_plan.plan_pastes`, as for ``reuse``, ``min_face_px`` and ``seed``.
        reuse: there.
        min_face_px: there.
        quality: of JPEG files.
        seed: there.
        drawn: settings of :class:`ops.detection.pasting.PasteSettings`.
    """
    real = [shot for shot in shots.real if shot.key in split.splits]
    made = [shot for shot in shots.synthetic if shots.bare[shot.frame].key in split.splits]
    names = flat_names(shot.picture.removeprefix("raw/") for shot in [*real, *made])
    held = fingerprint(sorted(member.key for member in split.held), digest_of(*DRAWING))
    items = [_item(REAL, shot, shot.key, split, names) for shot in real]
    wanted = {TRAIN} if real else set(SPLITS)
    usable = [shot for shot in made if split.splits[shots.bare[shot.frame].key] in wanted]
    for shot in _varied(usable, synthetic):
        items.append(_item(SYNTHETIC, shot, shots.bare[shot.frame].key, split, names, held))
    training = [shot for shot in real if split.splits[shot.key] == TRAIN]
    settings = PasteSettings(**drawn)
    for pasting in plan_pastes(training, balance=balance, reuse=reuse, min_face_px=min_face_px, seed=seed):
        groups = {shot.key: split.groups[shot.key] for shot in pasting.bases}
        parts = [[astuple(shot) for shot in pasting.bases], [(astuple(shot), *which) for shot, *which in pasting.turns]]
        key = fingerprint(PASTED, parts, groups, pasting.common, astuple(settings), seed, quality, held, VERSION)
        payload = {"origin": PASTED, "split": TRAIN, "output": f"images/{TRAIN}/pasted_{key}.jpg", "groups": groups}
        about = {"source": pasting.bases[0].source, "shot": pasting.bases[0], "pasting": pasting, "settings": settings}
        items.append(Item(key, {**payload, **about, "seed": seed}))
    return items


def _item(origin: str, shot: Shot, key: str, split: Dealt, names: Mapping[str, str], *also: object) -> Item:
    """Return the item of a picture that is taken as it is."""
    place_of, name = split.splits[key], names[shot.picture.removeprefix("raw/")]
    if Path(name).suffix.lower() not in LINKED:
        name = f"{name}.png"
    output = f"images/{place_of}/{name}"
    payload = {"origin": origin, "split": place_of, "group": split.groups[key], "output": output}
    made_of = fingerprint(astuple(shot), payload, also, VERSION)
    return Item(made_of, {**payload, "source": shot.source, "shot": shot})


def _varied(shots: Sequence[Shot], most: int) -> list[Shot]:
    """Return up to ``most`` pictures (0: all), the classes by turns and within a class the frames by turns."""
    if not most or len(shots) <= most:
        return list(shots)
    totals = Counter(label for shot in shots for label in shot.labels)
    ranks: Counter[tuple[str, ...]] = Counter()
    order = []
    for shot in sorted(shots, key=lambda shot: fingerprint("varied", shot.key)):
        rarest = min(shot.labels, key=lambda label: (totals[label], label), default="")
        turn = (ranks[shot.frame, rarest], ranks[(rarest,)])
        ranks.update([(shot.frame, rarest), (rarest,)])
        order.append((*turn, shot.key, shot))
    return [shot for *_, shot in sorted(order, key=lambda entry: entry[:3])[:most]]


class _Try(NamedTuple):
    """A picture with faces pasted in, and how much better than needed they fit."""

    gain: float
    base: Shot
    pixels: Picture
    boxes: list[Box]
    labels: list[str]
    pasted: list[Row]


class Make:
    """Write one picture of a split."""

    def __init__(self, folder: Path, data: Path, held: Sequence[Member], *, quality: int, max_pixels: int) -> None:
        self.folder = folder
        self.data = data
        self.held = held
        self.album = Album(held)
        self.quality = quality
        self.max_pixels = max_pixels

    def __call__(self, item: Item) -> list[Row]:
        """Return one row: done, or with the reason why there is no such picture."""
        told = item.payload
        try:
            if told["origin"] == PASTED:
                return [self._pasted(item)]
            return [self._taken(item)]
        except images.BadImage as error:
            return [refusal(item, error, **told["shot"].about())]

    def _read(self, shot: Shot) -> Picture:
        return images.read(self.data / shot.picture, max_pixels=self.max_pixels)

    def _taken(self, item: Item) -> Row:
        """Take a picture as it is: a link to it where that can be."""
        told, shot = item.payload, item.payload["shot"]
        pixels, file = self._read(shot), self.data / shot.picture
        made = told["origin"] == SYNTHETIC and told["split"] == TRAIN
        if made and (like := self._like(pixels, shot.boxes)):
            return row(item, shot.source, status=SKIPPED, reason=like, **shot.about())
        target = self.folder / told["output"]
        if linkable(file):
            target.parent.mkdir(parents=True, exist_ok=True)
            place(file, target)
        else:
            write_atomic(target, images.encode_png(pixels))
        return self._row(item, shot, told["group"], pixels, shot.boxes, shot.labels)

    def _pasted(self, item: Item) -> Row:
        """Paste faces into that picture which takes them best."""
        told = item.payload
        pasting: Pasting = told["pasting"]
        donors = [
            Donor.cut(self._read(shot), Box(*shot.boxes[face]), shot.labels[face]) for shot, face, _ in pasting.turns
        ]
        tries = [self._into(base, donors, told) for base in pasting.bases]
        best = max(tries, key=lambda each: (each.gain, each.base.key))
        about = best.base.about()
        if not best.pasted:
            reason = "no place is like enough to paste into"
            return row(item, best.base.source, status=SKIPPED, reason=reason, **about)
        data = images.encode_jpeg(best.pixels, self.quality)
        written = images.decode(data, max_pixels=self.max_pixels)
        if like := self._like(written, best.boxes):
            return row(item, best.base.source, status=SKIPPED, reason=like, **about)
        write_atomic(self.folder / told["output"], data)
        group = told["groups"][best.base.key]
        return self._row(item, best.base, group, written, best.boxes, best.labels, best.pasted)

    def _into(self, base: Shot, donors: Sequence[Donor], told: Mapping[str, Any]) -> _Try:
        """Paste those faces that find a place in a picture."""
        boxes, labels, pixels = [Box(*box) for box in base.boxes], list(base.labels), self._read(base)
        gain, pasted = 0.0, []
        for donor, (shot, face, number) in zip(donors, told["pasting"].turns, strict=True):
            if shot.key == base.key:
                continue
            tweak = draw_tweak(fingerprint(told["seed"], shot.key, face, number, base.key), told["settings"])
            may = [label == told["pasting"].common for label in labels]
            found = find_place(pixels, boxes, may, donor, tweak)
            if found is None:
                continue
            pixels = paste(pixels, boxes, donor, tweak, found)
            known = {"label": donor.label, "box": found.box, "replaced": labels[found.replaces]}
            known |= {"picture": shot.picture, "from": shot.boxes[face], "content": shot.key}
            pasted.append({**known, "differs": round(found.differs, 2)})
            boxes[found.replaces], labels[found.replaces] = found.box, donor.label
            gain += WORST - found.differs
        return _Try(gain, base, pixels, boxes, labels, pasted)

    def _like(self, pixels: Picture, boxes: Sequence[Sequence[float]]) -> str | None:
        """Say what held out picture a made one resembles, or None."""
        look, faces = look_at(pixels, [Box(*box) for box in boxes])
        made = Member("", (), (), look, tuple(face for face in faces if face is not None))
        found = resembling(made, self.album)
        return None if found is None else f"it resembles a held out picture, {self.held[found].key}"

    @staticmethod
    def _row(
        item: Item,
        shot: Shot,
        group: str,
        pixels: Picture,
        boxes: Sequence[Sequence[float]],
        labels: Sequence[str],
        pasted: Sequence[Row] = (),
    ) -> Row:
        counts: Row = {f"n_{label}": list(labels).count(label) for label in LABELS}
        return row(
            item,
            shot.source,
            **{name: item.payload[name] for name in ("split", "origin", "output")},
            **shot.about(),
            **counts,
            group=group,
            hash=f"{dct_hash(look_at(pixels)[0]):016x}",
            labels=list(labels),
            boxes=[float(side) for box in boxes for side in box],
            made_from=[known["content"] for known in pasted],
            pasted=json.dumps(pasted) if pasted else None,
        )
