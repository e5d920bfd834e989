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
    """Colour the samples and average each pixel's, alpha-premultiplied.

    Coverage counts every sample; for colour, each row of samples in a pixel gives one, along the diagonal where that is
    covered.
    """
    size, last = pattern.shape[0] - 1, pattern.shape[1] - 1
    for y in range(layer.shape[0]):
        for x in range(layer.shape[1]):
            red = green = blue = np.float32(0.0)
            covered = coloured = 0
            for j in range(y * scale, (y + 1) * scale):
                here, chosen = which[j], -1
                for i in range(x * scale, (x + 1) * scale):
                    if here[i] >= 0:
                        covered += 1
                        if chosen < 0 or i - x * scale == j - y * scale:
                            chosen = i
                if chosen < 0:
                    continue
                s = slopes[here[chosen]]
                column = min(max(int(s[0, 0] + chosen * s[0, 1] + j * s[0, 2]), 0), last)
                place = s[1, 0] + chosen * s[1, 1] + j * s[1, 2]
                above = min(max(int(place), 0), size - 1)
                part = np.float32(place - above)
                entry = pattern[above + (part >= np.float32(0.5)), column]
                texel = shade[above, column]
                bright = np.float32(s[2, 0] + chosen * s[2, 1] + j * s[2, 2])
                bright *= texel + (shade[above + 1, column] - texel) * part
                red += bright * palette[entry, 0]
                green += bright * palette[entry, 1]
                blue += bright * palette[entry, 2]
                coloured += 1
            if covered:
                alpha = np.float32(covered / (scale * scale))
                share = alpha / np.float32(coloured)
                layer[y, x, 0] = share * red
                layer[y, x, 1] = share * green
                layer[y, x, 2] = share * blue
                layer[y, x, 3] = alpha


def shrink(layer: Any, times: int, out: Any) -> None:
    """Write the means of a layer's alpha over squares of ``times`` pixels; what is beyond its border is 0."""
    for y in range(layer.shape[0]):
        row = out[y // times]
        for x in range(layer.shape[1]):
            row[x // times] += layer[y, x, 3]
    out /= np.float32(times * times)


def blend(  # noqa: C901
    picture: Any, layer: Any, shadows: Any, times: int, front: Any, depth: Any, scale: int, noise: Any, grain: float,
    seed: int, alpha: Any,
) -> None:  # fmt: skip
    """Lay ``layer`` and the shadow that it casts on the skin over ``picture``, in place; write the joint ``alpha``.

    ``shadows`` has a value for every ``times`` by ``times`` pixels; where ``front`` is 1 no shadow falls, if it is not
    empty.
    """
    rough, one, least = np.float32(grain), np.float32(1.0), np.float32(0.004)
    high, wide = noise.shape
    for y in range(picture.shape[0]):
        grains, soft = noise[(y + seed // 64) % high], shadows[y // times]
        for x in range(picture.shape[1]):
            cloth = layer[y, x, 3]
            shadow = np.float32(0.45) * min(soft[x // times], one) * (one - cloth)
            if front.size:
                shadow *= one - front[y, x]
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
