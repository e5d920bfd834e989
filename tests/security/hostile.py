"""What hypothesis makes hostile files of: damage to good ones, and texts that readers trip over."""

import struct
import zlib

from hypothesis import strategies as st

ODD_NAMES = (
    "../../etc/passwd",
    "/etc/passwd",
    "..",
    "a/../../b.jpg",
    "..\\..\\b.jpg",
    "C:\\b.jpg",
    "a\0b.jpg",
    "=1+2.jpg",
    "a\x1b]0;b\x07.jpg",
    "\u202egpj.exe",
    "a\nb.jpg",
    "%2e%2e/b.jpg",
    "",
    " ",
    "." * 300,
)
NUMBERS = ("0", "-1", "nan", "inf", "-inf", "1e999", "9" * 400, "0x10", "1_0", "½", "٣", "", "1:2", "true")

names = st.one_of(st.sampled_from(ODD_NAMES), st.text(max_size=20))
numbers = st.one_of(st.sampled_from(NUMBERS), st.integers(-(10**6), 10**6).map(str), st.floats().map(repr))
scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), names, numbers)


@st.composite
def damaged(draw, good):
    """One of some good files, with a few of its bytes overwritten, cut, doubled or put elsewhere."""
    data = bytearray(draw(st.sampled_from(good)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(len(data) - 1, 0)))
        length = draw(st.integers(1, 64))
        match draw(st.sampled_from(("write", "fill", "cut", "end", "double", "move"))):
            case "write":
                some = draw(st.binary(min_size=1, max_size=8))
                data[at : at + len(some)] = some
            case "fill":
                data[at : at + length] = bytes([draw(st.sampled_from((0, 1, 127, 128, 255)))]) * length
            case "cut":
                del data[at : at + length]
            case "end":
                del data[at:]
            case "double":
                data[at:at] = data[at : at + length]
            case "move":
                to = draw(st.integers(0, max(len(data) - 1, 0)))
                data[to : to + length] = data[at : at + length]
    return bytes(data)


def tiff(entries, data=b""):
    """A TIFF of one picture: tags, types, counts and values, and what lies behind them."""
    packed = b"".join(struct.pack("<HHII", *entry) for entry in sorted(entries))
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + packed + struct.pack("<I", 0) + data


def tiff_of_one_tile(side):
    """A TIFF of 100 x 100 pixels and a kilobyte, in a tile of ``side`` x ``side``."""
    stored, behind = zlib.compress(bytes(1 << 20)), 8 + 2 + 12 * 10 + 4
    sizes = [(256, 4, 1, 100), (257, 4, 1, 100), (322, 4, 1, side), (323, 4, 1, side)]
    kinds = [(258, 3, 1, 8), (259, 3, 1, 8), (262, 3, 1, 1), (277, 3, 1, 1)]
    return tiff([*sizes, *kinds, (324, 4, 1, behind), (325, 4, 1, len(stored))], stored)


def jpeg_of_many_scans(good, count):
    """A progressive JPEG whose last pass over the picture comes ``count`` times."""
    last = good.rindex(b"\xff\xda")
    return good[:last] + good[last:-2] * count + good[-2:]
