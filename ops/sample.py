"""The embedded sample: a small source of raw pictures and a video, made from portraits that anyone may use.

The portraits ship inside two packages that Maskline needs anyway, so that the sample is there without a download.
"""

from __future__ import annotations

import io
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ops import images
from ops.files import write_atomic

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ops.records import Picture

FPS = 25
SECONDS = 4
SIDE = 360
SOUND_HZ = 44_100

SOURCES = """# Where the sample comes from

Made from two portraits, both in the public domain as works of the government of the United States:

- **Eileen Collins**, astronaut: NASA's official portrait, as scikit-image ships it (`skimage.data.astronaut`).
- **Grace Hopper**, computer scientist and rear admiral: the US Navy's official portrait, as matplotlib ships it
  (`grace_hopper.jpg` in its sample data).

Smaller, darker, mirrored and turned versions, the picture of both, and the clip are made from these two;
`grace_hopper_again.jpg` is the same file twice. The sound is a computed tone. The same commands make the same bytes.
"""


def make_sample(folder: Path) -> None:
    """Write the sample; files that are there already and right are left alone.

    Args:
        folder: the source's folder, ``data/raw/sample``; made where it is missing.
    """
    files = {"SOURCES.md": SOURCES.encode(), **_pictures(), "clip.mp4": _clip()}
    for name, data in files.items():
        path = folder / name
        if not path.is_file() or path.read_bytes() != data:
            write_atomic(path, data)


def _packaged(package: str, inside: str) -> Path:
    """Find a data file of an installed package without importing the package."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"the sample needs the package {package}")
    return Path(spec.origin).parent / inside


def portraits() -> tuple[Picture, Picture]:
    """Return the two portraits that the sample is made from: Collins, Hopper."""
    collins = images.read(_packaged("skimage", "data/astronaut.png"))
    hopper = images.read(_packaged("matplotlib", "mpl-data/sample_data/grace_hopper.jpg"))
    return collins, hopper


def _pictures() -> dict[str, bytes]:
    collins, hopper = portraits()
    dim = np.rint(collins * 0.55).astype(np.uint8)
    small = _resized(hopper, 256, 300)
    both = np.hstack([collins, _resized(hopper, 437, collins.shape[0])])
    original = _packaged("matplotlib", "mpl-data/sample_data/grace_hopper.jpg").read_bytes()
    return {
        "eileen_collins/eileen_collins.jpg": images.encode_jpeg(collins),
        "eileen_collins/eileen_collins_dim.jpg": images.encode_jpeg(dim, 85, subsampling="420"),
        "eileen_collins/eileen_collins_mirrored.webp": _webp(collins[:, ::-1]),
        "grace_hopper/grace_hopper.jpg": original,
        "grace_hopper/grace_hopper_again.jpg": original,
        "grace_hopper/grace_hopper_small.png": images.encode_png(small, 9),
        "grace_hopper/grace_hopper_turned.jpg": _lying(hopper),
        "together/collins_and_hopper.jpg": images.encode_jpeg(both),
    }


def _resized(pixels: Picture, width: int, height: int) -> Picture:
    import cv2

    return cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA).astype(np.uint8)


def _webp(pixels: Picture) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(out, "WEBP", quality=90)
    return out.getvalue()


def _lying(pixels: Picture) -> bytes:
    """Store a picture on its side, with the EXIF orientation that turns it upright (6: a quarter clockwise)."""
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6
    out = io.BytesIO()
    Image.fromarray(np.rot90(pixels)).save(out, "JPEG", quality=92, exif=exif)
    return out.getvalue()


def _clip() -> bytes:
    """Encode four seconds: a slow zoom on one portrait, then on the other, with a tone that rises at the change."""
    import av

    out = io.BytesIO()
    with av.open(out, "w", format="mp4", options={"fflags": "+bitexact"}) as clip:
        # with its macroblock tree x264 doesn't make the same bytes twice
        exact = {"crf": "20", "threads": "1", "flags": "+bitexact", "x264-params": "mbtree=0"}
        video = clip.add_stream("libx264", rate=FPS, options=exact)
        video.width = video.height = SIDE
        video.pix_fmt = "yuv420p"
        sound = clip.add_stream("aac", rate=SOUND_HZ, layout="mono", options={"flags": "+bitexact"})
        for pixels in _scenes():
            clip.mux(video.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        clip.mux(video.encode())
        for frame in _tone():
            clip.mux(sound.encode(frame))
        clip.mux(sound.encode())
    return out.getvalue()


def _scenes() -> Iterator[Picture]:
    import cv2

    half = FPS * SECONDS // 2
    # middle of the face (x, y) and the side of the square shown at first, in pixels of the portrait
    for pixels, (x, y), side in zip(portraits(), ((222, 140), (262, 205)), (270, 370), strict=True):
        for step in range(half):
            shown = side * (1 - 0.25 * step / half)
            scale = SIDE / shown
            matrix = np.array([[scale, 0, SIDE / 2 - x * scale], [0, scale, SIDE / 2 - y * scale]])
            shot = cv2.warpAffine(pixels, matrix, (SIDE, SIDE), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
            yield shot.astype(np.uint8)


def _tone() -> Iterator[Any]:
    import av

    time = np.arange(SOUND_HZ * SECONDS) / SOUND_HZ
    pitch = np.where(time < SECONDS / 2, 220.0, 330.0)
    wave = (np.sin(2 * np.pi * pitch * time) * np.sin(np.pi * time / SECONDS) * 8000).astype(np.int16)
    for start in range(0, wave.size, 1024):
        frame = av.AudioFrame.from_ndarray(wave[None, start : start + 1024], format="s16", layout="mono")
        frame.sample_rate = SOUND_HZ
        frame.pts = start
        yield frame
