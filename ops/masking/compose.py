"""The loops that colour a mask's samples and lay it over the picture; compiled by their callers."""

from __future__ import annotations

from typing import Any

import numpy as np


def enlarge(depth: Any, times: int, out: Any) -> None:
    """Write each sample of a depth ``times`` by ``times`` times, in the unit of the smaller samples."""
    for y in range(depth.shape[0]):
        first = out[y * times]
        for x in range(depth.shape[1]):
            here = np.float32(times) * depth[y, x]
            for i in range(x * times, (x + 1) * times):
                first[i] = here
        for j in range(y * times + 1, (y + 1) * times):
            out[j] = first


def colour(which: Any, slopes: Any, palette: Any, pattern: Any, shade: Any, scale: int, layer: Any) -> None:
    """Colour the samples and average each pixel's, alpha-premultiplied."""
    size, last = pattern.shape[0] - 1, pattern.shape[1] - 1
    share = np.float32(1.0 / (scale * scale))
    for y in range(which.shape[0]):
        here, row = which[y], layer[y // scale]
        for x in range(row.shape[0]):
            red = green = blue = full = np.float32(0.0)
            for i in range(x * scale, (x + 1) * scale):
                if here[i] >= 0:
                    s = slopes[here[i]]
                    column = min(max(int(s[0, 0] + i * s[0, 1] + y * s[0, 2]), 0), last)
                    place = s[1, 0] + i * s[1, 1] + y * s[1, 2]
                    above = min(max(int(place), 0), size - 1)
                    part = np.float32(place - above)
                    entry = pattern[above + (part >= np.float32(0.5)), column]
                    texel = shade[above, column]
                    bright = np.float32(s[2, 0] + i * s[2, 1] + y * s[2, 2])
                    bright *= texel + (shade[above + 1, column] - texel) * part
                    red += bright * palette[entry, 0]
                    green += bright * palette[entry, 1]
                    blue += bright * palette[entry, 2]
                    full += share
            if full > 0:
                row[x, 0] += share * red
                row[x, 1] += share * green
                row[x, 2] += share * blue
                row[x, 3] += full


def blend(
    picture: Any, layer: Any, soft: Any, depth: Any, scale: int, noise: Any, grain: float, seed: int, alpha: Any
) -> None:
    """Lay ``layer`` and the shadow that it casts on the skin over ``picture``, in place; write the joint ``alpha``."""
    rough, one, least = np.float32(grain), np.float32(1.0), np.float32(0.004)
    high, wide = noise.shape
    for y in range(picture.shape[0]):
        grains = noise[(y + seed // 64) % high]
        for x in range(picture.shape[1]):
            cloth = layer[y, x, 3]
            shadow = np.float32(0.45) * min(soft[y, x], one) * (one - cloth)
            if cloth + shadow < least:
                continue
            if shadow > np.float32(0.001):
                skin = 0
                for j in range(y * scale, (y + 1) * scale):
                    for i in range(x * scale, (x + 1) * scale):
                        skin += depth[j, i] < np.inf
                shadow *= np.float32(skin / (scale * scale))
            total = min(cloth + shadow, one)
            if total < least:
                continue
            alpha[y, x] = total
            bare, shake = one - total, rough * cloth * grains[(x + 7 * seed) % wide] + np.float32(0.5)
            for c in range(3):
                colour = layer[y, x, c]
                if colour > np.float32(204.0) * cloth:  # highlights roll off before they clip
                    part = colour / (np.float32(255.0) * cloth)
                    colour = np.float32(255.0) * cloth * (one - np.float32(0.04) / (part - np.float32(0.6)))
                value = bare * picture[y, x, c] + colour + shake
                picture[y, x, c] = np.uint8(min(max(value, np.float32(0.0)), np.float32(255.0)))
