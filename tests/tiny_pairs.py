"""Unmasking pairs of the two embedded portraits in several colours, each of them called a person."""

from pathlib import Path

import cv2
import numpy as np

from ops import images
from ops.files import write_atomic
from ops.geometry import transformed
from ops.sample import portraits
from ops.stages import pairs
from ops.store import Dataset, Item, row
from ops.unmasking.framing import frame_face, framed
from resources.compute import Local
from tests.posed import posed

FACES = (posed((225, 128), 92), posed((255, 225), 165))
"""Where the portraits' faces are, about."""

HIDDEN = (234, 93, 132, 58, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397, 288, 361, 323, 454, 5)
"""What a mask hides: the jaw from ear to ear, and up to the nose's bridge."""

CLOTH = {"surgical": (60, 200, 90), "cloth": (30, 150, 50)}
"""Green, as nothing else in the portraits is."""


def make_pairs(folder: Path, *, size: int = 64, **people: int) -> Dataset:
    """Write pairs.

    Args:
        folder: of the dataset.
        size: side of a square.
        people: by split, how many, up to 4; each has two photographs, the second one darker, each with two masks.
    """
    items = []
    for split, count in people.items():
        for number in range(count):
            for photograph in range(2):
                name = f"{split}{number}_{photograph}"
                items.append(Item(name, {"source": f"{name}.png", "split": split, "number": number, "dim": photograph}))
    dataset = Dataset(folder, pairs.columns())
    dataset.build(items, lambda: lambda item: _pair(folder, size, item), Local(1))
    return dataset


def _pair(folder: Path, size: int, item: Item) -> list[dict]:
    split, number, dim = (item.payload[name] for name in ("split", "number", "dim"))
    which = number % 2
    tinted = np.roll(portraits()[which], -(number // 2), axis=2) * np.array([1 - 0.06 * number, 1, 1 - 0.2 * dim])
    pixels, face = tinted.astype(np.uint8), FACES[which]
    matrix = frame_face(face.mesh, size)
    mesh = transformed(matrix, face.mesh[:, :2]).astype(np.float32)
    same = {
        "split": split,
        "group": f"{split}{number}",
        "folder": "home",
        "picture": f"raw/home/{item.fingerprint}.png",
    }
    same |= {"width": pixels.shape[1], "height": pixels.shape[0]}
    same |= {"content": item.fingerprint, "frame": item.fingerprint, "identity": f"{split}{number}", "face": 0}
    same |= {**face.box._asdict(), **face.pose._asdict(), "size": size, "matrix": matrix.ravel(), "mesh": mesh.ravel()}
    bare = framed(pixels, matrix, size)
    eyes, region = (np.zeros((size, size), np.uint8) for _ in range(2))
    eyes[size // 3 : size // 2, size // 4 : -size // 4] = 255
    cv2.fillPoly(region, [mesh[list(HIDDEN)].round().astype(np.int32)], (255,))
    rows = [_row(folder, item, bare, eyes, {**same, "wearing": "bare", "region": "eyes"})]
    for variant, (kind, colour) in enumerate(CLOTH.items()):
        told = {**same, "wearing": "masked", "variant": variant, "region": "mask", "mask_state": "correct"}
        worn = np.where(region[..., None] > 0, np.array(colour, np.uint8), bare)
        rows.append(_row(folder, item, worn, region, {**told, "kind": kind}))
    return rows


def _row(folder: Path, item: Item, picture: np.ndarray, alpha: np.ndarray, told: dict) -> dict:
    stem = f"{told['split']}/{item.fingerprint}_{told.get('variant', 'bare')}"
    files = {"output": f"{stem}.png", "alpha": f"{stem}_region.png"}
    for name, pixels in zip(files.values(), (picture, alpha), strict=True):
        write_atomic(folder / name, images.encode_png(pixels))
    return row(item, item.payload["source"], **told, **files)
