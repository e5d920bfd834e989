"""A split of the two embedded portraits, shifted about: enough to train on, though not to learn much from."""

from pathlib import Path

import numpy as np

from ops import images
from ops.masking import LABELS
from ops.sample import portraits

FACES = ((165, 55, 285, 225), (150, 80, 360, 360))
SIDE = 480


def make_split(folder: Path, train: int = 6, val: int = 4) -> Path:
    """Write a split as yolo_splits lays it out; every picture has one face, classes take turns."""
    names = "".join(f"  {number}: {name}\n" for number, name in enumerate(LABELS))
    folder.mkdir(parents=True)
    (folder / "data.yaml").write_text(f"train: images/train\nval: images/val\nnames:\n{names}")
    for part, count in (("train", train), ("val", val), ("test", 1)):
        paths = [_picture(folder, part, number) for number in range(count)]
        (folder / f"{part}.txt").write_text("".join(f"./{path}\n" for path in paths))
    (folder / "train_real.txt").write_text((folder / "train.txt").read_text())
    return folder


def _picture(folder: Path, part: str, number: int) -> str:
    which, shift = number % 2, 3 * number + len(part)
    pixels = np.ascontiguousarray(portraits()[which][shift : shift + SIDE, shift : shift + SIDE])
    x1, y1, x2, y2 = (side - shift for side in FACES[which])
    place = ((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1)
    shares = " ".join(f"{value / SIDE:.6f}" for value in place)
    path = Path("images", part, f"{number}.jpg")
    for target, data in (
        (folder / path, images.encode_jpeg(pixels, 90)),
        (folder / "labels" / part / f"{number}.txt", f"{number % 3} {shares}\n".encode()),
    ):
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    return path.as_posix()
