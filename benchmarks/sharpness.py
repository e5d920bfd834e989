"""Is a drawn mask as sharp and as grainy as a real one? Detail of the mask against that of the bare skin above it.

    python -m benchmarks.sharpness DATA

DATA holds ``masked`` (faces that wear real masks) and ``unmasked`` (bare ones, which get drawn masks). The figure of a
face is the logarithm of how much stronger the second differences are on the mask than on the forehead; its spread over
real masks is compared with that over drawn ones by the Kolmogorov-Smirnov distance, 0 being the same. Without one part
of the camera match the same masks on the same faces should be further off.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.common import faces, pictures, stored
from ops.masking import MaskingError, draw_spec, prepare, render
from resources.models import FaceModels

if TYPE_CHECKING:
    from ops.records import Floats, Picture

MASK = (205, 425, 164, 17, 199)
FOREHEAD = (151, 108, 337, 9)
SHARP: dict[str, Any] = {"blur": 0.0}
WITHOUT: dict[str, dict[str, Any]] = {
    "full": {},
    "no camera match": {"grain": 0.0, "quality": 0} | SHARP,
    "no blur": SHARP,
    "no grain": {"grain": 0.0},
    "no JPEG blocks": {"quality": 0},
}
"""Parts of the estimated light that are left out."""


def detail(pixels: Picture, mesh: Floats) -> float:
    """Return the logarithm of the mask's detail against the forehead's."""
    import cv2

    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(np.float32)
    second = np.abs(cv2.filter2D(grey, -1, np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)))
    radius = max(int(0.08 * np.ptp(mesh[:, 0])), 4)
    levels = []
    for points in (MASK, FOREHEAD):
        places = [(max(int(x), 0), max(int(y), 0)) for x, y in mesh[list(points), :2]]
        parts = [second[max(0, y - radius) : y + radius, max(0, x - radius) : x + radius] for x, y in places]
        levels.append(float(np.median([part.mean() for part in parts if part.size >= 16] or [np.nan])))
    return float(np.log((levels[0] + 0.3) / (levels[1] + 0.3)))


def main(data: Path) -> None:
    """Print the table."""
    from scipy.stats import ks_2samp

    models = FaceModels(device="cpu").load()
    real = [detail(stored(seen.pixels), seen.face.mesh) for seen in faces(pictures(data / "masked"), models)]
    found: dict[str, list[float]] = defaultdict(list)
    for seen in faces(pictures(data / "unmasked"), models):
        try:
            ready = prepare(seen.pixels, seen.face)
        except MaskingError:
            continue
        for name, left_out in WITHOUT.items():
            light = replace(ready, light=ready.light._replace(**left_out))
            drawn = render(seen.pixels, seen.face, draw_spec(seen.name), prepared=light).picture
            found[name].append(detail(stored(drawn), seen.face.mesh))
    kept = np.array(real)[np.isfinite(real)]
    quarters = "  ".join(f"{n:5.2f}" for n in np.percentile(kept, [10, 25, 50, 75, 90]))
    print(f"{'log of detail, percentiles 10 25 50 75 90':44s}{quarters}   real masks, {len(kept)} faces")
    for name, values in found.items():
        drawn = np.array(values)[np.isfinite(values)]
        quarters = "  ".join(f"{n:5.2f}" for n in np.percentile(drawn, [10, 25, 50, 75, 90]))
        print(f"{name:44s}{quarters}   distance {ks_2samp(kept, drawn).statistic:.3f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
