"""The walk from a file of a dataset to everything that it is made of."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ops import frames
from ops.content import file_md5
from ops.records import Box, Pose
from ops.store import DONE, Dataset, fingerprint
from ops.tracing.links import AGAIN, CHANGED, GONE, SAME, UNKNOWN, Link, made_with_of
from ops.tracing.places import PER_SOURCE, WHOLE, NotMade, Place, asset_at, place_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from ops.store import Row

CARDS = {"mask_detector": "detector.json", "mask_segmenter": "segmenter.json", "face_completer": "completer.json"}
"""What a trained network's folder tells of its training."""

NETWORKS = ("mask_segmenter/segmenter.onnx", "face_completer/completer.onnx", "mask_detector/detector.onnx")
HEX = frozenset("0123456789abcdef")
TOLD = 5
"""Files that a summary names, at most."""


def _nowhere(checksum: str) -> None:
    """Find no model."""


def trace(
    path: Path, *, face: int | None = None, time: float | None = None, find: Callable[[str], str | None] = _nowhere
) -> Link:
    """Return the chain of a file in a dataset's folder.

    Args:
        path: a file, or a folder with a manifest.
        face: only the row of this face.
        time: only rows of this moment of a video, in seconds.
        find: tells where a model lies by its checksum, if it is on this machine and was not trained in the data folder.

    Raises:
        NotMade: no manifest tells of it, or none of such a face or moment.
    """
    path = path.absolute()
    place = place_of(path)
    walk = _Walk(place, find)
    file = path.relative_to(place.folder).as_posix()
    rows = place.naming(file)
    if not rows:
        if face is not None or time is not None:
            raise NotMade(f"{path} is made of the whole of {place.title}: no row of a face or moment belongs to it")
        return replace(walk.whole(place), file=str(path))
    for name, wanted in (("face", face), ("time", time)):
        if wanted is not None:
            there = sorted({row[name] for row in rows if row.get(name) is not None})
            rows = [row for row in rows if row.get(name) == wanted]
            if not rows:
                raise NotMade(f"{path} has no {name} {wanted:g}; there is {', '.join(f'{each:g}' for each in there)}")
    return walk.made(place, rows, file=str(path))


class _Walk:
    """A walk that begins in a dataset."""

    def __init__(self, start: Place, find: Callable[[str], str | None]) -> None:
        self.data = start.data or start.folder
        self.find = find

    def made(self, place: Place, rows: list[Row], state: str = SAME, note: str = "", *, file: str = "") -> Link:
        """Return the link of rows that made something together."""
        made_with = made_with_of(rows[0])
        pictures = {self.data / row["picture"] for row in rows if row.get("picture")}
        files = {place.folder / row["output"] for row in rows if row["output"]} or pictures
        missing = sorted({row["output"] for row in rows if row["output"]} - set(_present(place.folder, rows)))
        if missing:
            state, note = GONE, f"{', '.join(missing[:TOLD])} is not there"
        of = [*self._origins(place, rows), *self._networks(place, made_with)]
        title = place.title if place.data else f"maskline {made_with['verb']}"
        shown = file or (str(min(files)) if len(files) == 1 else None)
        return Link(title, shown, state, note, tuple(rows), made_with, _run_of(place), tuple(of))

    def whole(self, place: Place, state: str = SAME, note: str = "") -> Link:
        """Return the link of all that a dataset holds."""
        every = place.rows()
        rows = [row for row in every if row["status"] == DONE] or every
        if not rows:
            return Link(place.title, str(place.folder), GONE, "nothing of it is there")
        made_with = made_with_of(rows[0])
        of: list[Link] = []
        if place.asset in CARDS or place.data is None:
            of = list(self._origins(place, rows[:1])) if place.asset in CARDS else [self._raw_files(place, rows)]
        else:
            parents = WHOLE.get(place.asset, ())
            of += [self.whole(asset_at(self.data, name)) for name in parents if name in WHOLE]
            of += [self._raw_files(place, rows)] if set(parents) <= PER_SOURCE.keys() else []
        of += self._networks(place, made_with)
        told = note or f"{len(rows)} rows"
        return Link(place.title, str(place.folder), state, told, (), made_with, _run_of(place), tuple(of))

    def _origins(self, place: Place, rows: list[Row]) -> Iterator[Link]:
        """Yield what rows of a dataset are made of, but for models."""
        if place.data is None:
            yield from self._given(place, rows)
        elif place.asset == "frames":
            yield from (self._raw(place.source, row) for row in _first(rows, "source"))
        elif place.asset == "annotated_scenes":
            for row in _first(rows, "picture"):
                yield self._scene(row)
        elif place.asset == "yolo_splits":
            yield from self._pictures(rows)
        elif place.asset in CARDS:
            yield self._learned(place.folder / CARDS[place.asset], asset_at(self.data, WHOLE[place.asset][0]))
        elif place.asset in PER_SOURCE:
            yield self._parent(place.asset, place.source, PER_SOURCE[place.asset], rows)
        else:  # unmasking_pairs: a folder column tells the source
            for folder in sorted({row["folder"] for row in rows}):
                own = [row for row in rows if row["folder"] == folder]
                yield self._parent(place.asset, folder, WHOLE[place.asset], own)

    def _pictures(self, rows: list[Row]) -> Iterator[Link]:
        """Yield the annotated pictures that pictures of a split are, or have faces of."""
        for row in _first(rows, "picture"):
            yield self._annotated(row["picture"], row["content"])
            for each in json.loads(row["pasted"] or "[]"):
                yield self._annotated(each["picture"], each["content"], f"its {each['label']} was pasted in")

    def _parent(self, asset: str, source: str, parents: Sequence[str], rows: list[Row]) -> Link:
        """Return the link of the rows that rows of an asset are made from."""
        keys = {row["parent"] for row in rows if row.get("parent")}
        places = [asset_at(self.data, name, source) for name in parents]
        for place in places:
            found = place.rows(fingerprint=keys)
            if found:
                exact = narrowed(found, rows)
                return self.made(place, exact, SAME) if exact else self._between(place, found)
        shots = {row["frame"] for row in rows if row.get("frame")}
        for place in places:
            found = narrowed(place.rows(frame=shots), rows)
            if found and place.asset != "masked_faces":
                return self.made(place, found, *self._judged(place, keys, _placed(rows), _placed(found)))
        return Link(places[-1].title, str(places[-1].folder), GONE, f"{asset} names a row that is not there any more")

    @staticmethod
    def _judged(place: Place, keys: set[str], then: set[Any], now: set[Any]) -> tuple[str, str]:
        """Return state and note of rows of the same frames and faces: whether they are those that were used."""
        if not keys and (place.asset == "frames" or (then and then <= now)):
            return SAME, ""
        if keys or then:
            return AGAIN, "with other settings, models, code or input"
        return UNKNOWN, "an earlier version of Maskline did not tell which version of it was used"

    def _between(self, place: Place, found: list[Row]) -> Link:
        """Return the link of a video of which other frames were looked at than those taken out."""
        link = self.made(place, found[:1])
        return replace(link, rows=(), note="the video itself: a frame between those that were taken out")

    def _raw(self, source: str, row: Row) -> Link:
        """Return the link of the raw file of a row of frames."""
        return _compared(self.data / "raw" / source, row["source"], {row["content"]})

    def _scene(self, row: Row) -> Link:
        """Return the link of an annotated picture."""
        folder, picture = row["folder"], row["picture"]
        if picture.startswith("raw/"):
            place, wanted = asset_at(self.data, "frames", folder), {"frame": {row["frame"]}}
        else:
            place = asset_at(self.data, "masked_faces", folder)
            wanted = {"output": {picture.removeprefix(f"masked_faces/{folder}/")}}
        now = _compared(self.data, picture, {row["content"]})
        found = [other for other in place.rows(**wanted) if other["status"] == DONE]
        return self.made(place, found, now.state, now.note) if found else Link(place.title, picture, GONE)

    def _annotated(self, picture: str, content: str, note: str = "") -> Link:
        """Return the link of a picture in annotated scenes."""
        place = asset_at(self.data, "annotated_scenes")
        found = [row for row in place.rows(picture={picture}) if row["status"] == DONE]
        if not found:
            return Link(place.title, picture, GONE, note or "it names the picture no more")
        same = {row["content"] for row in found} == {content}
        link = self.made(place, found, SAME if same else AGAIN, note or ("" if same else "of another picture"))
        files = sorted({row["annotation"] for row in found if row["annotation_format"] != "masked_faces"})
        there = [Link("annotation", name, *_there(self.data / name)) for name in files]
        return replace(link, of=(*link.of, *there))

    def _learned(self, card: Path, place: Place) -> Link:
        """Return the link of what a network learned from, held against what its card says of that."""
        if not place.rows():
            return Link(place.title, str(place.folder), GONE, "nothing of it is there")
        then, now = json.loads(card.read_text())["split_hash"], _split_hash(place)
        same = then == now
        told = f"pictures and labels that it learned from: {then}" + ("" if same else f", now {now}")
        return self.whole(place, SAME if same else CHANGED, told)

    def _given(self, place: Place, rows: list[Row]) -> Iterator[Link]:
        """Yield what a verb of the command line was given."""
        for row in _first(rows, "source"):
            made_with = made_with_of(row)
            root = Path(place.folder, made_with["input"]).resolve()
            if made_with["verb"].startswith("train "):
                card = next(place.folder / name for name in CARDS.values() if (place.folder / name).is_file())
                learned = place_of(root) if root.exists() else Place(root, row["source"], "", root.parent)
                self.data = learned.data or root
                yield self._learned(card, learned)
                continue
            shots = {other["frame"]: other.get("time") for other in rows if other["source"] == row["source"]}
            yield _compared_frames(root, row["source"], shots)

    def _raw_files(self, place: Place, rows: Iterable[Row]) -> Link:
        """Return the link of all raw files behind a dataset."""
        if place.data is None:
            links = list(self._given(place, list(rows)))
        else:
            asked = {(row.get("folder") or place.source, row["source"]) for row in rows}
            links = []
            for folder in sorted({folder for folder, _ in asked}):
                known = asset_at(self.data, "frames", folder).rows(
                    source={source for other, source in asked if other == folder}
                )
                links += [self._raw(folder, row) for row in _first(known, "source") if row["content"]]
        counts = Counter(link.state for link in links)
        bad = [f"{link.file}: {link.state}" for link in links if link.state != SAME]
        told = "; ".join([f"{len(links)} files, {counts[SAME]} as they were", *bad[:TOLD]])
        worst = next((state for state in (GONE, CHANGED, UNKNOWN) if counts[state]), SAME)
        return Link("raw files", None, worst, told)

    def _networks(self, place: Place, made_with: Mapping[str, Any]) -> Iterator[Link]:
        """Yield the models that something was made with."""
        for name, checksum in sorted(made_with.get("models", {}).items()):
            if len(checksum) in (32, 64) and HEX >= set(checksum):
                yield self._model(place, name, checksum)

    def _model(self, place: Place, name: str, checksum: str) -> Link:
        """Return the link of a model: trained here, shipped or fetched."""
        about, title = {"models": {name: checksum}}, f"model {name}"
        if checksum in self._trained:
            file = self._trained[checksum]
            home = asset_at(self.data, file.split("/")[0])
            of = () if place.asset == home.asset else (self.made(home, home.naming(Path(file).name)),)
            return Link(title, str(self.data / file), SAME, "trained here", (), about, None, of)
        if where := self.find(checksum):
            return Link(title, where, SAME, "", (), about)
        champion = self.data / "detector_report" / "champion.onnx"
        if champion.is_file() and file_md5(champion) == checksum:
            told = json.loads(champion.with_suffix(".json").read_text())
            run = {"experiment": "mask_detector", "run_id": told["run_id"], "version": told["version"]}
            return Link(title, str(champion), SAME, told["origin"], (), about, run)
        return Link(title, None, UNKNOWN, "no model on this machine has its checksum", (), about)

    @cached_property
    def _trained(self) -> dict[str, str]:
        """Files of networks that were trained in this data folder, by checksum."""
        return {file_md5(self.data / name): name for name in NETWORKS if (self.data / name).is_file()}


def narrowed(found: list[Row], rows: list[Row]) -> list[Row]:
    """Return those of the found rows that are of the same frames, faces and variants as some rows, where both tell."""
    for name in ("frame", "face", "variant"):
        wanted = {row.get(name) for row in rows} - {None}
        found = [row for row in found if not wanted or row.get(name) is None or row[name] in wanted]
    return found


def _placed(rows: Iterable[Row]) -> set[tuple[Any, ...]]:
    """Return where faces are and how they are turned: the row of another detector, or of none, has other numbers."""
    return {
        tuple(row.get(name) for name in (*Box._fields, *Pose._fields)) for row in rows if row.get("yaw") is not None
    }


def _first(rows: Iterable[Row], name: str) -> list[Row]:
    """Return the first row of each value of a column."""
    return list({row[name]: row for row in reversed(list(rows))}.values())[::-1]


def _present(folder: Path, rows: Iterable[Row]) -> Iterator[str]:
    yield from (row["output"] for row in rows if row["output"] and (folder / row["output"]).is_file())


def _there(path: Path) -> tuple[str, str]:
    return (UNKNOWN, "its content is not recorded") if path.is_file() else (GONE, "it is not there")


def _compared(root: Path, file: str, contents: set[str]) -> Link:
    """Return the link of a file whose content is known."""
    now = frames.look(root, file)
    if isinstance(now, frames.Rejected):
        return Link("raw file", str(root / file), GONE, now.reason)
    same = now.content in contents
    return Link("raw file", str(root / file), SAME if same else CHANGED, f"BLAKE2b {now.content}")


def _compared_frames(root: Path, file: str, shots: Mapping[str | None, float | None]) -> Link:
    """Return the link of a file of which identities of frames are known."""
    now = frames.look(root, file)
    if isinstance(now, frames.Rejected):
        return Link("raw file", str(root / file), GONE, now.reason)
    known = {frame: time for frame, time in shots.items() if frame is not None}
    if not known:
        return Link("raw file", str(root / file), UNKNOWN, "nothing was made of it that tells its content")
    same = all(fingerprint(now.content, time) == frame for frame, time in known.items())
    return Link("raw file", str(root / file), SAME if same else CHANGED, f"BLAKE2b {now.content}")


def _run_of(place: Place) -> dict[str, Any] | None:
    """Return the run of a network that a folder holds."""
    for asset, name in CARDS.items():
        if place.asset in (asset, f"train {name.removesuffix('.json')}") and (place.folder / name).is_file():
            told = json.loads((place.folder / name).read_text())
            return {"experiment": asset, "run_id": told["run_id"], "version": told["mlflow_version"]}
    return None


def _split_hash(place: Place) -> str:
    """Return what stands for pictures and labels to learn from, as they are now."""
    from ops.stages import detector
    from ops.training import tasks

    if place.asset == "yolo_splits":
        return detector.split_hash(place.folder)
    return tasks.split_hash(tasks.read_pairs(Dataset(place.folder)))
