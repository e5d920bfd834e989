"""CPU time of a digital mask from cold: a portrait decoded, its face found, overlay, mask alone and .obj written.

``python -m benchmarks.anonymising_speed PICTURES [--count 300]``: the command ``maskline anonymise`` in a process of
its own, over copies of the first so many pictures; start of Python and loading of models included. Then the drawing
alone, of a face of 224 px, in every style.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import pandas as pd

from benchmarks.common import pictures
from ops.anonymising.mesh_shape import MeshShape
from ops.anonymising.rendering import STYLES, Window, draw_mesh
from ops.mannequin import mannequin
from ops.store import DONE, MANIFEST

FACE = 224
TIMES = 30


def whole(folder: Path, count: int) -> None:
    """Time the command, and print how many pictures were covered."""
    with tempfile.TemporaryDirectory() as place:
        given, made = Path(place, "in"), Path(place, "out")
        given.mkdir()
        for number, path in enumerate(pictures(folder)[:count]):
            shutil.copyfile(path, given / f"{number:05d}{path.suffix}")
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        call = [sys.executable, "-m", "apps.cli", "anonymise", str(given), str(made), "--workers", "1"]
        subprocess.run(call, check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        rows = pd.read_parquet(made / MANIFEST)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    done = rows.loc[rows["status"] == DONE, "output"].nunique()
    total = rows["source"].nunique()
    print(
        f"{total} pictures from cold: {1e3 * spent / total:.1f} ms of CPU each; {done} covered, {total - done} refused"
    )
    for reason, times in rows["reason"].dropna().value_counts().items():
        print(f"  {times} x {reason}")


def drawing() -> None:
    """Time each style, and print a line each."""
    pixels, face = mannequin(0, round(FACE * 1.7))
    factor = FACE / face.box.height
    pixels, face = mannequin(0, round(pixels.shape[0] * factor))
    mesh = MeshShape().fit(face, pixels)
    x1, y1, x2, y2 = (round(side) for side in face.box)
    for style in STYLES:
        took = []
        for _ in range(TIMES + 3):
            start = time.process_time()
            draw_mesh(mesh, style, Window(x1, y1, x2 - x1, y2 - y1))
            took.append(time.process_time() - start)
        print(f"{style}: a face of {x2 - x1} x {y2 - y1} px drawn in {1e3 * median(took[3:]):.1f} ms")


def main() -> None:
    """Measure, and print a line a figure."""
    import cv2

    parser = argparse.ArgumentParser(prog="python -m benchmarks.anonymising_speed", description=__doc__)
    parser.add_argument("pictures", type=Path, help="folder of portraits")
    parser.add_argument("--count", type=int, default=300, help="how many of them")
    told = parser.parse_args()
    cv2.setNumThreads(1)
    whole(told.pictures, told.count)
    drawing()


if __name__ == "__main__":
    main()
