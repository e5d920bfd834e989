"""Portraits whose eyes are shut: the skin between brow and upper lid is drawn down over the eye."""

import cv2
import numpy as np

LIDS = (
    ((33, 246, 161, 160, 159, 158, 157, 173, 133), (33, 7, 163, 144, 145, 153, 154, 155, 133), (46, 53, 52, 65, 55)),
    (
        (362, 398, 384, 385, 386, 387, 388, 466, 263),
        (362, 382, 381, 380, 374, 373, 390, 249, 263),
        (285, 295, 282, 283, 276),
    ),
)
"""Of each eye the upper lid, the lower lid, and the brow's lower edge, from left to right."""


def shut(pixels, mesh):
    """Return the picture with both eyes of an upright face shut."""
    made = pixels.copy()
    for upper, lower, brow in LIDS:
        above, below, over = (mesh[list(points), :2].astype(float) for points in (upper, lower, brow))
        xs = np.arange(np.ceil(below[:, 0].min()), np.floor(below[:, 0].max()) + 1)
        top, lid, low = (np.interp(xs, line[:, 0], line[:, 1]) for line in (over, above, below))
        ys = np.arange(int(top.min()), int(low.max()) + 2, dtype=float)[:, None]
        inside = (ys > top) & (ys <= low)
        source = np.where(inside, top + (ys - top) * (lid - top) / (low - top), ys).astype(np.float32)
        columns = np.broadcast_to(xs.astype(np.float32), source.shape)
        made[int(ys[0, 0]) : int(ys[-1, 0]) + 1, int(xs[0]) : int(xs[-1]) + 1] = cv2.remap(
            pixels, np.ascontiguousarray(columns), source, cv2.INTER_LINEAR
        )
    return made
