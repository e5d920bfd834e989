"""Bytes to pixels and back: every picture the project opens is opened here.

What comes out is RGB ``uint8``, upright (EXIF orientation applied), shape ``(height, width, 3)``:

- grey is repeated into three channels; 16-bit grey is scaled from its full range, ``round(value / 257)``;
- 16-bit colour keeps its high bytes; CMYK is converted without a profile;
- transparent pixels, also those of palettes, are laid over white;
- of an animated or paged file the first picture is taken.

Colour profiles are left alone: values are passed on as the file stores them. What can't be decoded whole and without a
complaint of the decoder is refused with a reason; sizes are checked in the header, before any pixel is allocated.
"""

from __future__ import annotations

import io
import re
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ops.records import Refusal
from ops.store import UNREAD

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray
    from PIL.Image import Image

    from ops.records import Picture

MAX_PIXELS = 100_000_000
MIN_SIDE = 16
IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".heic", ".heif", ".gif"})
VIDEO_SUFFIXES = frozenset({".mp4", ".mov", ".avi", ".mkv", ".webm"})

MOST_SCANS = 100
"""Passes over a progressive JPEG; usual ones take ten, and each takes as long as a whole picture."""

_SCAN, _TILE_SIDES = b"\xff\xda", (322, 323)
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")
_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
_ORIENTATION_TAG = 0x0112


class BadImage(Refusal):
    """Bytes that are no usable picture."""


class UnreadableImage(BadImage):
    """A file that could not be read this time: it says nothing about the picture in it."""


class ImageInfo(NamedTuple):
    """What a picture's header says; width and height are those of the upright picture.

    How many pictures a file has is not told: TIFFs and GIFs can be made that take hours to count.
    """

    format: str
    mode: str
    width: int
    height: int
    orientation: int


def decode(data: bytes, *, max_pixels: int = MAX_PIXELS) -> Picture:
    """Decode a JPEG, PNG, WebP, BMP, TIFF, GIF or (with pillow-heif) HEIC file.

    Args:
        data: the whole file.
        max_pixels: larger pictures are refused unread.

    Raises:
        BadImage: empty, no picture, damaged, too small or too large.
    """
    plain = _plain_jpeg(data, max_pixels)
    if plain is not None:
        return plain
    with _opened(data, max_pixels) as picture:
        pixels = _jpeg(picture, data) if picture.format in {"JPEG", "MPO"} else _converted(picture)
        return turned(pixels, _orientation(picture))


def read(path: Path, *, max_pixels: int = MAX_PIXELS) -> Picture:
    """Decode a file as :func:`decode` does.

    Raises:
        BadImage: also when the file can't be read.
    """
    return decode(_bytes(path), max_pixels=max_pixels)


def read_grey(path: Path, *, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """Decode an 8-bit grey file, such as a stored alpha, to ``(height, width)``.

    Raises:
        BadImage: also when the file can't be read or isn't 8-bit grey.
    """
    with _opened(_bytes(path), max_pixels) as picture:
        if picture.mode != "L":
            raise BadImage(f"not an 8-bit grey picture: its mode is {picture.mode}")
        return np.array(picture)


def read_rgba(path: Path, *, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """Decode an RGBA file to ``(height, width, 4)``, as it is stored.

    Raises:
        BadImage: also when the file can't be read or isn't RGBA.
    """
    with _opened(_bytes(path), max_pixels) as picture:
        if picture.mode != "RGBA":
            raise BadImage(f"not an RGBA picture: its mode is {picture.mode}")
        return np.array(picture)


def describe(data: bytes, *, max_pixels: int = MAX_PIXELS) -> ImageInfo:
    """Read a picture's header without decoding its pixels.

    Raises:
        BadImage: as in :func:`decode`, except for damage behind the header.
    """
    with _opened(data, max_pixels) as picture:
        orientation = _orientation(picture)
        # Pillow turns TIFF sizes itself, already in the header
        swapped = orientation > 4 and picture.format != "TIFF"
        width, height = reversed(picture.size) if swapped else picture.size
        return ImageInfo(picture.format or "", picture.mode, width, height, orientation)


def resized(pixels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Scale a picture to ``size`` (width, height): whole factors by means, the rest by linear interpolation.

    Without moire, at a third of the time that means over broken factors take.
    """
    import cv2

    height, width = pixels.shape[:2]
    whole = max(1, min(width // size[0], height // size[1]))
    if whole > 1:
        height, width = height // whole, width // whole
        part = pixels[: height * whole, : width * whole]
        pixels = np.asarray(cv2.resize(part, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_LINEAR), np.uint8)


def size_problem(width: int, height: int, max_pixels: int) -> str | None:
    """Say what is wrong with a picture's size, or None.

    >>> size_problem(1, 1, MAX_PIXELS)
    'too small: 1 x 1 pixels, at least 16 a side'
    """
    if width * height > max_pixels:
        return f"too large: {width * height} pixels, at most {max_pixels}"
    if min(width, height) < MIN_SIDE:
        return f"too small: {width} x {height} pixels, at least {MIN_SIDE} a side"
    return None


def turned(pixels: Picture, orientation: int) -> Picture:
    """Turn a stored picture upright.

    Args:
        pixels: as stored.
        orientation: as EXIF 2.32 numbers it; 1 and unknown numbers leave the picture as it is.
    """
    if orientation in {5, 6, 7, 8}:
        pixels = pixels.transpose(1, 0, 2)
    if orientation in {2, 3, 6, 7}:
        pixels = pixels[:, ::-1]
    if orientation in {3, 4, 7, 8}:
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)


def encode_jpeg(pixels: NDArray[np.uint8], quality: int = 95, *, subsampling: str = "420") -> bytes:
    """Encode RGB ``(h, w, 3)`` or grey ``(h, w)`` as baseline JPEG.

    Args:
        pixels: RGB or grey.
        quality: 1 to 100.
        subsampling: of the colour channels: ``420`` as cameras do, ``444``, ``422``, ``440`` or ``411``.
    """
    import simplejpeg

    if pixels.ndim == 2:
        grey = np.ascontiguousarray(pixels[..., None])
        return simplejpeg.encode_jpeg(grey, quality, "GRAY", "Gray", fastdct=False)
    return simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), quality, "RGB", subsampling, fastdct=False)


def encode_png(pixels: NDArray[np.uint8], level: int = 1) -> bytes:
    """Encode RGB ``(h, w, 3)``, RGBA or grey ``(h, w)`` as PNG; ``level`` is zlib's, 0 (fast) to 9 (small)."""
    import cv2

    order = cv2.COLOR_RGBA2BGRA if pixels.shape[2:] == (4,) else cv2.COLOR_RGB2BGR
    stored = pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, order)
    filters = cv2.IMWRITE_PNG_FILTER_UP if level <= 1 else cv2.IMWRITE_PNG_ALL_FILTERS  # no larger, and much faster
    options = [cv2.IMWRITE_PNG_COMPRESSION, level, cv2.IMWRITE_PNG_FILTER, filters]
    done, data = cv2.imencode(".png", stored, options)
    if not done:
        raise ValueError(f"no PNG of an array of shape {pixels.shape} and type {pixels.dtype}")
    return data.tobytes()


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UnreadableImage(f"{UNREAD}: {error.strerror}") from error


@contextmanager
def _opened(data: bytes, max_pixels: int) -> Iterator[Image]:
    """Open with Pillow, check the size, and turn whatever a decoder throws at hostile bytes into BadImage."""
    from PIL import Image, UnidentifiedImageError

    if not data:
        raise BadImage("empty file")
    formats = (*_FORMATS, *_heif(data))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            opened = Image.open(io.BytesIO(data), formats=formats)
        with opened as picture:
            problem = size_problem(*picture.size, max_pixels)
            if problem or (problem := _tile_problem(picture, max_pixels)):
                raise BadImage(problem)
            yield picture
    except (BadImage, MemoryError):
        raise
    except (UnidentifiedImageError, ModuleNotFoundError):  # the latter from ultralytics
        raise BadImage("not a picture: no JPEG, PNG, WebP, BMP, TIFF, GIF or HEIC") from None
    except Image.DecompressionBombError as error:  # Pillow's own limit, about 179 million, comes before ours
        (pixels,) = re.findall(r"\((\d+) pixels", str(error))
        raise BadImage(f"too large: {pixels} pixels, at most {max_pixels}") from error
    except Exception as error:
        raise BadImage(f"damaged: {error}") from error


def _tile_problem(picture: Image, max_pixels: int) -> str | None:
    """Say what is wrong with the tiles that a TIFF is stored in: a small picture may have one of gigabytes."""
    if picture.format != "TIFF":
        return None
    width, height = (int(picture.tag_v2.get(tag, 1)) for tag in _TILE_SIDES)  # type: ignore[attr-defined]
    return (
        f"too large: a tile of {width * height} pixels, at most {max_pixels}" if width * height > max_pixels else None
    )


def _heif(data: bytes) -> tuple[str, ...]:
    if data[4:8] != b"ftyp" or data[8:12] not in _HEIF_BRANDS:
        return ()
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        raise BadImage("HEIC pictures need the package pillow-heif") from None
    register_heif_opener()
    return ("HEIF",)


def _orientation(picture: Image) -> int:
    value = picture.getexif().get(_ORIENTATION_TAG, 1)
    return value if value in range(1, 9) else 1


def _plain_jpeg(data: bytes, max_pixels: int) -> Picture | None:
    """Decode the usual JPEG without Pillow's help: no EXIF, three colours or grey, whole; None for anything else."""
    import simplejpeg

    if not data.startswith(b"\xff\xd8") or b"Exif\0\0" in data or data.count(_SCAN) > MOST_SCANS:
        return None
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
        if colours not in {"YCbCr", "Gray"} or size_problem(width, height, max_pixels):
            return None
        return simplejpeg.decode_jpeg(data, "RGB", strict=True)
    except ValueError:
        return None


def _jpeg(picture: Image, data: bytes) -> Picture:
    """Decode a JPEG; a warning of libjpeg's is an error, for it means that pixels were made up."""
    import simplejpeg

    if (scans := data.count(_SCAN)) > MOST_SCANS:
        raise BadImage(f"a JPEG of {scans} scans, at most {MOST_SCANS}")
    if picture.mode == "CMYK":
        simplejpeg.decode_jpeg(data, "CMYK", strict=True)
        return _converted(picture)
    return simplejpeg.decode_jpeg(data, "RGB", strict=True)


def _converted(picture: Image) -> Picture:
    from PIL import Image

    if picture.mode.startswith("I;16"):
        grey = ((np.asarray(picture).astype(np.uint32) + 128) // 257).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    if picture.mode in {"I", "F"}:
        raise BadImage(f"its values have no fixed range (32 bit, mode {picture.mode})")
    if picture.has_transparency_data:
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture.convert("RGBA"))
    return np.array(picture.convert("RGB"))
