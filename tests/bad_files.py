"""Input that real folders hold and that must end as a row: odd but good files, and bad ones with their reasons."""

import io
import os
import struct
import zlib
from collections.abc import Iterable
from pathlib import Path

import av
import numpy as np
from PIL import Image

DONE, REJECTED = "done", "rejected"
ODD_NAMES = ("with spaces.jpg", "with 'single' and \"double\" quotes.jpg", "with\nnewline.jpg", "Ünïcödé 面具 😷.jpg")


def portrait() -> np.ndarray:
    """A face, 256 x 240 pixels."""
    from skimage import data

    return data.astronaut()[10:266, 100:340]


def encoded(pixels: np.ndarray, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, kind, **options)
    return out.getvalue()


def stored_turned(pixels: np.ndarray, orientation: int, kind: str = "JPEG", **options: object) -> bytes:
    """A file whose pixels are stored so that EXIF's ``orientation`` makes them upright again."""
    undo = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}[orientation]
    turn = {2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE", 7: "TRANSVERSE"}
    turn |= {6: "ROTATE_270", 8: "ROTATE_90"}
    picture = Image.fromarray(pixels)
    if undo > 1:
        picture = picture.transpose(Image.Transpose[turn[undo]])
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(np.asarray(picture), kind, exif=exif, **options)


def png_of_size(width: int, height: int) -> bytes:
    """A PNG whose header promises much and whose data are a few bytes."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + data


def make_video(
    path: Path, pictures: Iterable[np.ndarray], *, rate: int = 25, turn: dict | None = None, codec: str = "libx264"
) -> None:
    """Encode pictures of equal, even size; ``turn`` goes to PyAV's set_display_rotation."""
    pictures = list(pictures)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        if turn:
            stream.set_display_rotation(**turn)
        for pixels in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")))
        container.mux(stream.encode())


def make_bad_files(folder: Path) -> dict[str, str]:
    """Fill a source folder; returns the relative path of every file with the status its row must have."""
    (folder / "a folder").mkdir(parents=True)
    face = portrait()
    good = encoded(face, "JPEG", quality=90)
    clear = np.dstack([face, np.where(np.indices(face.shape[:2])[0] < 20, 0, 255).astype(np.uint8)])
    pages = [Image.fromarray(face[:, ::-1])]
    files: dict[str, tuple[bytes, str]] = {
        "zero.jpg": (b"", REJECTED),
        "truncated.jpg": (good[: len(good) // 2], REJECTED),
        "truncated.png": (encoded(face, "PNG")[:20_000], REJECTED),
        "text.jpg": (b"This is no picture.\n" * 50, REJECTED),
        "text.mp4": (b"This is no video.\n" * 50, REJECTED),
        "one_pixel.png": (encoded(face[:1, :1], "PNG"), REJECTED),
        "bomb.png": (png_of_size(60_000, 60_000), REJECTED),
        "grey16.png": (encoded(face[..., 0].astype(np.uint16) * 257, "PNG"), DONE),
        "cmyk.jpg": (cmyk(face), DONE),
        "palette_alpha.png": (palette_with_alpha(clear), DONE),
        "animated.gif": (encoded(face, "GIF", save_all=True, append_images=pages), DONE),
        "animated.webp": (encoded(face, "WEBP", save_all=True, append_images=pages), DONE),
        "SUFFIX.JPEG": (encoded(face, "JPEG", quality=91), DONE),
    }
    files |= {f"a folder/exif_{turn}.jpg": (stored_turned(face, turn), DONE) for turn in range(1, 9)}
    files |= {name: (encoded(face, "JPEG", quality=80 + i), DONE) for i, name in enumerate(ODD_NAMES)}
    for name, (data, _) in files.items():
        (folder / name).write_bytes(data)
    return {name: status for name, (_, status) in files.items()} | _special_files(folder)


def cmyk(pixels: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).convert("CMYK").save(out, "JPEG", quality=95)
    return out.getvalue()


def palette_with_alpha(rgba: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(rgba).quantize(128, Image.Quantize.FASTOCTREE).save(out, "PNG")
    return out.getvalue()


def _special_files(folder: Path) -> dict[str, str]:
    """Links, a pipe, a name that is no text, and videos without pictures."""
    (folder / "link_outside.jpg").symlink_to(Path(__file__))
    (folder / "link_to_nothing.jpg").symlink_to("nothing.jpg")
    (folder / "link_to_itself.jpg").symlink_to("link_to_itself.jpg")
    os.mkfifo(folder / "pipe.jpg")
    Path(os.fsdecode(os.fsencode(folder) + b"/latin_\xe9.jpg")).write_bytes(encoded(portrait(), "JPEG", quality=70))
    with av.open(str(folder / "no_frames.mp4"), "w", options={"movflags": "empty_moov+frag_keyframe"}) as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        container.start_encoding()
    with av.open(str(folder / "no_video_stream.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=16_000, layout="mono")
        sound = (np.sin(np.arange(16_000) / 9) * 9000).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(sound[None], format="s16", layout="mono")
        frame.sample_rate = 16_000
        container.mux([*stream.encode(frame), *stream.encode()])
    names = ("link_outside.jpg", "link_to_nothing.jpg", "link_to_itself.jpg", "pipe.jpg", "latin_\\xe9.jpg")
    return dict.fromkeys((*names, "no_frames.mp4", "no_video_stream.mp4"), REJECTED)
