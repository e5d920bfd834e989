"""Places: which dataset a file belongs to, and what rows of its manifest name it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ops.detection.split_files import label_file
from ops.manifests import FILE_COLUMNS, Finished
from ops.store import MANIFEST, Dataset
from ops.tracing.links import made_with_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from ops.store import Row

PER_SOURCE: dict[str, tuple[str, ...]] = {
    "frames": (),
    "face_geometry": ("frames",),
    "masked_faces": ("face_geometry",),
    "aligned_crops": ("masked_faces", "face_geometry"),
    "mask_detections": ("frames",),
    "unmasked_faces": ("masked_faces", "face_geometry", "frames"),
    "digital_masks": ("face_geometry", "frames"),
    "expression_regions": ("face_geometry",),
    "expression_edits": ("face_geometry", "frames"),
}
"""Assets with a folder a source: of these one holds the row that a row is made from, the nearest first."""

WHOLE: dict[str, tuple[str, ...]] = {
    "annotated_scenes": ("frames", "masked_faces"),
    "yolo_splits": ("annotated_scenes",),
    "mask_detector": ("yolo_splits",),
    "detector_report": ("yolo_splits", "mask_detector"),
    "unmasking_pairs": ("face_geometry",),
    "mask_segmenter": ("unmasking_pairs",),
    "face_completer": ("unmasking_pairs",),
    "unmasking_report": ("unmasking_pairs", "mask_segmenter", "face_completer"),
    "reidentification_report": ("face_geometry", "digital_masks", "unmasked_faces"),
}
"""Assets that all sources make together, and what they are made of."""


class NotMade(ValueError):
    """No manifest tells of a file."""


@dataclass(frozen=True)
class Place:
    """A dataset's folder.

    Attributes:
        folder: where it is.
        asset: its name, or the verb that wrote the folder.
        source: of an asset with a folder a source; "" for others.
        data: the data folder; None where a verb wrote the folder.
    """

    folder: Path
    asset: str
    source: str = ""
    data: Path | None = None

    @property
    def title(self) -> str:
        """What people call it."""
        return f"{self.asset} [{self.source}]" if self.source else self.asset if self.data else f"maskline {self.asset}"

    def rows(self, **wanted: Iterable[Any]) -> list[Row]:
        """Return rows of the manifest that have one of the wanted values in each of these columns."""
        dataset, sought = Dataset(self.folder), {name: list(values) for name, values in wanted.items()}
        if not dataset.manifest.is_file() or not all(sought.values()):
            return []
        known = dataset.read([*sought], numbered=True)
        for name, values in sought.items():
            known = known[known[name].isin(values)]
        return dataset.at(known["row"].tolist())

    def naming(self, file: str) -> list[Row]:
        """Return the rows that a file of the folder belongs to; none for what is made of the whole table."""
        names = [name for name in FILE_COLUMNS if name in Finished(self.folder / MANIFEST).names]
        known = Dataset(self.folder).read(names)
        found = next((name for name in names if (known[name] == file).any()), None)
        if found:
            return self.rows(**{found: [file]})
        if self.asset == "yolo_splits" and file.startswith("labels/"):
            return self.rows(output=[name for name in known["output"].dropna() if label_file(name) == file])
        return []


def asset_at(data: Path, asset: str, source: str = "") -> Place:
    """Return the place of an asset's partition, or of an asset that has none."""
    return Place(data / asset / source, asset, source, data)


def place_of(path: Path) -> Place:
    """Return the dataset that a file, or the folder of one, belongs to.

    Raises:
        NotMade: it is in none.
    """
    if not path.exists():
        raise NotMade(f"{path} does not exist")
    for folder in (path, *path.parents):
        if (folder / MANIFEST).is_file():
            return _named(folder)
    raise NotMade(f"{path} is in no folder that Maskline wrote: neither there nor above lies a {MANIFEST}")


def _named(folder: Path) -> Place:
    told = ["made_with"] if "made_with" in Finished(folder / MANIFEST).names else []
    texts = {text for name in told for text in Dataset(folder).read([name])[name].dropna()}
    verbs = [verb for text in texts if (verb := made_with_of({"made_with": text}).get("verb"))]
    if verbs:
        return Place(folder, " and ".join(sorted(set(verbs))))
    if folder.name in WHOLE:
        return Place(folder, folder.name, "", folder.parent)
    if folder.parent.name in PER_SOURCE:
        return Place(folder, folder.parent.name, folder.name, folder.parents[1])
    raise NotMade(
        f"{folder}/{MANIFEST} does not tell what wrote it: it is of an earlier version; run the command again"
    )
