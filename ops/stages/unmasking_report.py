"""The report on unmasking: the trained networks beside every baseline, on people that none of them has seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ops import images
from ops.pictures import contact_sheet
from ops.records import Pose
from ops.stages import digest_of
from ops.stages.pairs import BARE, MASKED
from ops.store import DONE, SKIPPED, Column, Item, fingerprint, row
from ops.tables import as_json
from ops.training.completer import EDGE
from ops.training.faces import read_square
from ops.training.segmenter import HALF, overlap
from ops.unmasking import baselines
from ops.unmasking.composition import composed, grown, region_of
from ops.unmasking.framing import shown
from ops.unmasking.judgement import COMPLETED, CONTENDERS, FOUND, TRUE, metrics_of
from ops.unmasking.regions import tinted
from ops.unmasking.report_files import plot_contenders, plot_groups, tables
from ops.unmasking.scores import cosine, nearness

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from ops.manifests import Finished
    from ops.records import Floats, Picture
    from ops.store import Row
    from ops.unmasking.baselines import Baselines
    from ops.unmasking.judgement import Floor
    from ops.unmasking.unmask import Unmasker

    Embed = Callable[[Picture, Floats], Floats]
    Apart = Callable[[Picture, Picture], Floats]

VERSION = 1
CODE = (
    *("unmasking/baselines.py", "unmasking/composition.py", "unmasking/framing.py", "unmasking/scores.py"),
    *("training/faces.py", "training/segmenter.py", "raster.py", "geometry.py", "stages/unmasking_report.py"),
)
METRICS = "metrics.json"
SHEETS = ("best.jpg", "median.jpg", "worst.jpg")
PLOTS = ("contenders.png", "groups.png")
SHOWN = 6
"""Faces on each sheet."""

BESIDE = (baselines.MEAN, baselines.TELEA, baselines.NEAREST)
"""Baselines on the sheets; the masked face is there anyway."""

BEYOND = "what the mask hides lies beyond the picture's edge"
PANEL, QUALITY = 192, 90
COLUMNS = (
    Column("folder", "string", "source: the folder under data/raw that the face comes from"),
    Column("group", "string", "who it is: faces of one group are never in two splits"),
    Column("picture", "string", "square that was looked at, relative to unmasking_pairs"),
    Column("wearing", "string", "bare or masked"),
    Column("kind", "string", "of mask"),
    Column("mask_state", "string", "how it is worn"),
    Column("yaw", "double", "degrees"),
    Column("given", "string", "which region was completed: found by the segmenter, or true; null for a bare face"),
    Column("contender", "string", f"{', '.join(CONTENDERS)}; null for a bare face"),
    Column("psnr", "double", "decibels within the true region"),
    Column("ssim", "double", "structural similarity within it"),
    Column("l1", "double", "mean absolute difference within it, grey levels of 255"),
    Column("lpips", "double", "how far apart it looks, mean within it; for regions as found, as what follows"),
    Column("identity", "double", "cosine to the true face"),
    Column("second", "double", "cosine to another photograph of the person, where there is one"),
    Column("dice", "double", "overlap of the region that the segmenter found with the true one"),
    Column("iou", "double", "intersection over union of these"),
    Column("taken", "double", "share of a bare face that the segmenter took for mask"),
)


class Looks(NamedTuple):
    """What looks at faces.

    Attributes:
        unmasker: the trained networks.
        embed: tells how alike people look; None does without.
        sizes: sides in pixels of the squares in which masks are found, and of those that are completed and compared.
        apart: tells how far apart two pictures look at each pixel; None does without.
    """

    unmasker: Unmasker
    embed: Embed | None
    sizes: tuple[int, int]
    apart: Apart | None = None

    @property
    def size(self) -> int:
        """Side in pixels of the squares that are completed and compared."""
        return self.sizes[1]


def plan(rows: Sequence[Row], sizes: tuple[int, int], made_with: Mapping[str, str]) -> list[Item]:
    """List the faces of the test split, each with its masked versions and, where there is one, a second photograph.

    Args:
        rows: of the pairs' manifest.
        sizes: of the squares, as in :class:`Looks`.
        made_with: hashes of what looks at them.
    """
    test = [known for known in rows if known["split"] == "test"]
    bare = sorted((known for known in test if known["wearing"] == BARE), key=lambda known: known["output"])
    learned = sorted(known["fingerprint"] for known in references(rows))
    with_code = fingerprint(learned, sizes, dict(made_with), VERSION, digest_of(*CODE))
    items = []
    for known in bare:
        same = [other for other in test if other["fingerprint"] == known["fingerprint"]]
        masked = sorted((other for other in same if other["wearing"] == MASKED), key=lambda other: other["output"])
        second = _second(known, bare)
        shown = [other["output"] for other in (known, *masked, *([second] if second else []))]
        payload = {"source": known["source"], "bare": known, "masked": masked, "second": second}
        items.append(Item(fingerprint(shown, with_code), payload))
    return items


def references(rows: Iterable[Row]) -> list[Row]:
    """Return the faces that the baselines learn from."""
    return [known for known in rows if (known["split"], known["wearing"]) == ("train", BARE)]


class Judge:
    """Judge the networks and every baseline on one face, where its square shows the picture and not its mirror image.

    Args:
        folder: of the pairs.
        faces: from :func:`references`.
        looks: what looks at them.
    """

    def __init__(self, folder: Path, faces: Sequence[Row], looks: Looks) -> None:
        self.folder = folder
        self.looks = looks
        self.learned = baselines.learn(folder, faces, looks.size)

    def __call__(self, item: Item) -> list[Row]:
        """Return a row for the bare face, and one for each masked version, way of giving the region and contender."""
        bare, second = item.payload["bare"], item.payload["second"]
        truth, _ = read_square(self.folder, bare, self.looks.size)
        known_by = [self._embedded(known) for known in (bare, second)]
        found_in, seen = (_seen(bare, size) for size in self.looks.sizes)
        taken = float((self._shares(bare)[0] >= HALF)[found_in].mean())
        rows = [row(item, bare["source"], **_about(bare), taken=taken)]
        for known in item.payload["masked"]:
            square, alpha = read_square(self.folder, known, self.looks.size)
            shares, hidden = self._shares(known)
            over = overlap((shares >= HALF) & found_in, (hidden >= HALF * 255) & found_in)._asdict()
            inside = (alpha >= EDGE) & seen
            if not inside.any():
                rows.append(row(item, known["source"], status=SKIPPED, reason=BEYOND, **_about(known)))
                continue
            shares = resized(shares, self.looks.size)
            for given, region in ((FOUND, shares), (TRUE, alpha.astype(np.float32) / np.float32(255))):
                made = complete(square, region, known, self.learned, self.looks.unmasker)
                for contender, picture in made.items():
                    near = nearness(truth, picture, inside)._asdict()
                    told = {**_about(known), "given": given, "contender": contender, **near, **over}
                    if given == FOUND:
                        told |= self._alike(picture, known, known_by)
                        if self.looks.apart:
                            told["lpips"] = float(self.looks.apart(truth, picture)[inside].mean())
                    rows.append(row(item, known["source"], **told))
        return rows

    def _shares(self, known: Row) -> tuple[Floats, NDArray[np.uint8]]:
        """Return what the segmenter says of a square of the size in which it looks, and the true alpha there."""
        square, alpha = read_square(self.folder, known, self.looks.sizes[0])
        return self.looks.unmasker.shares(square), alpha

    def _embedded(self, known: Row | None) -> Floats | None:
        if known is None or self.looks.embed is None:
            return None
        square, _ = read_square(self.folder, known, self.looks.size)
        return self.looks.embed(square, baselines.mesh_of(known, self.looks.size))

    def _alike(self, picture: Picture, known: Row, others: Sequence[Floats | None]) -> dict[str, float | None]:
        if self.looks.embed is None:
            return {}
        mine = self.looks.embed(picture, baselines.mesh_of(known, self.looks.size))
        names = ("identity", "second")
        return {name: None if one is None else cosine(mine, one) for name, one in zip(names, others, strict=True)}


def _seen(known: Row, size: int) -> NDArray[np.bool_]:
    """Return where a row's square of a size shows the picture."""
    matrix, whole = np.reshape(known["matrix"], (2, 3)), (int(known["width"]), int(known["height"]))
    return shown(matrix, known["size"], whole, at=size)


def resized(shares: Floats, size: int) -> Floats:
    """Return the probabilities of a square of another size."""
    import cv2

    return np.asarray(cv2.resize(shares, (size, size), interpolation=cv2.INTER_LINEAR), np.float32)


def complete(square: Picture, shares: Floats, known: Row, learned: Baselines, unmasker: Unmasker) -> dict[str, Picture]:
    """Return a masked square as the networks and each baseline complete it, composed in the same way.

    Args:
        square: ``(s, s, 3)``.
        shares: ``(s, s)`` probabilities of a mask.
        known: its row of the pairs.
        learned: what baselines know.
        unmasker: the networks.
    """
    region = region_of(shares)
    filled, size = grown(region.inside), square.shape[0]
    pose = Pose(known["yaw"], known["pitch"], known["roll"])
    made = {COMPLETED: unmasker.complete(square, filled, filled & ~region.core)}
    made |= learned.completed(square, filled, baselines.mesh_of(known, size), pose)
    return {
        name: picture if name == baselines.MASKED else composed(square, picture, region)
        for name, picture in made.items()
    }


def files(
    folder: Path, rows: Sequence[Row], looks: Looks, floor: Floor, about: Mapping[str, Any]
) -> Callable[[Finished], dict[str, bytes]]:
    """Return what makes the report of the finished table: figures, plots, and sheets of best, median and worst faces.

    Args:
        folder: of the pairs.
        rows: of their manifest.
        looks: what looks at them.
        floor: what is to be reached.
        about: further facts.
    """

    def make(made: Finished) -> dict[str, bytes]:
        told = [known for known in made.rows() if known["status"] == DONE]
        return {
            METRICS: as_json(
                metrics_of(told, floor, {**about, **dict(zip(("found_at", "completed_at"), looks.sizes, strict=True))})
            ),
            **tables(told),
            **dict(zip(PLOTS, (plot_contenders(told), plot_groups(told)), strict=True)),
            **_sheets(folder, rows, looks, told),
        }

    return make


def _sheets(folder: Path, rows: Sequence[Row], looks: Looks, told: Sequence[Row]) -> dict[str, bytes]:
    """Return sheets of the faces that the networks completed best, in the middle and worst; none without faces."""
    found = {(known["picture"], known["contender"]): known for known in told if known["given"] == FOUND}
    ranked = sorted((each for each in found.values() if each["contender"] == COMPLETED), key=lambda each: -each["ssim"])
    if not ranked:
        return {}
    learned = baselines.learn(folder, references(rows), looks.size)
    by_name = {known["output"]: known for known in rows}
    bare = {known["fingerprint"]: known for known in rows if known["wearing"] == BARE}
    middle = max(0, (len(ranked) - SHOWN) // 2)
    sheets = {}
    for name, chosen in zip(SHEETS, (ranked[:SHOWN], ranked[middle : middle + SHOWN], ranked[-SHOWN:]), strict=True):
        panels, captions = [], []
        for each in chosen:
            known = by_name[each["picture"]]
            truth, _ = read_square(folder, bare[known["fingerprint"]], looks.size)
            square, _ = read_square(folder, known, looks.size)
            larger, _ = read_square(folder, known, looks.sizes[0])
            shares = resized(looks.unmasker.shares(larger), looks.size)
            made = complete(square, shares, known, learned, looks.unmasker)
            overlaid = tinted(square, region_of(shares).inside.astype(np.uint8) * 255)
            panels += [square, overlaid, made[COMPLETED], truth, *(made[other] for other in BESIDE)]
            worn = known["mask_state"].replace("_", " ")
            captions += [
                f"{known['kind']}, {worn}\n",
                f"region, Dice {each['dice']:.3f}\n",
                _caption(each),
                "true face\n",
            ]
            captions += [_caption(found[each["picture"], other]) for other in BESIDE]
        sheet = contact_sheet(panels, captions, columns=4 + len(BESIDE), cell=PANEL)
        sheets[name] = images.encode_jpeg(sheet, QUALITY)
    return sheets


def _caption(known: Row) -> str:
    return f"{known['contender'].replace('_', ' ')}\n{known['psnr']:.1f} dB, SSIM {known['ssim']:.2f}"


def _second(known: Row, bare: Sequence[Row]) -> Row | None:
    """Return another photograph of a person: no copy, and no frame of the same video."""
    if known["identity"] is None:
        return None

    def another(other: Row) -> bool:
        apart = other["content"] != known["content"] and (known["video"] is None or other["video"] != known["video"])
        return apart and other["identity"] == known["identity"]

    return next((other for other in bare if another(other)), None)


def _about(known: Row) -> Row:
    names = ("folder", "group", "face", "wearing", "kind", "mask_state", "yaw")
    return {"picture": known["output"], **{name: known[name] for name in names}}
