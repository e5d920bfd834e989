"""Every kind of picture becomes RGB uint8, upright; everything else a reason."""

import hashlib
import io
import resource
import struct
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from ops import images
from tests.bad_files import cmyk, encoded, palette_with_alpha, png_of_size, portrait, stored_turned

FACE = portrait()
GREY = FACE[..., 1]
JPEG = encoded(FACE, "JPEG", quality=95)


def difference(one: np.ndarray, other: np.ndarray) -> float:
    assert one.shape == other.shape
    return float(np.abs(one.astype(int) - other.astype(int)).mean())


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF"])
def test_lossless_formats_give_the_pixels_back(kind):
    pixels = images.decode(encoded(FACE, kind))
    assert pixels.dtype == np.uint8
    assert pixels.flags["C_CONTIGUOUS"]
    assert pixels.flags["WRITEABLE"]
    assert np.array_equal(pixels, FACE)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": "4:4:4"}, {"keep_rgb": True}])
def test_jpeg_is_decoded_as_pillow_decodes_it(options):
    data = encoded(FACE, "JPEG", quality=90, **options)
    assert np.array_equal(images.decode(data), np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG"])
def test_grey_is_repeated(kind):
    pixels = images.decode(encoded(GREY, kind))
    assert (pixels == pixels[..., :1]).all()
    assert difference(pixels[..., 0], GREY) < 3


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_grey_is_scaled_from_its_full_range(kind):
    values = np.linspace(0, 65535, 32 * 32).astype(np.uint16).reshape(32, 32)
    assert np.array_equal(images.decode(encoded(values, kind))[..., 0], np.rint(values / 257))


def test_transparent_pixels_lie_over_white():
    alpha = np.zeros(GREY.shape, np.uint8)
    alpha[:, 80:160] = 128
    alpha[:, 160:] = 255
    pixels = images.decode(encoded(np.dstack([FACE, alpha]), "PNG"))
    assert (pixels[:, :80] == 255).all()
    assert np.abs(pixels[:, 80:160] - (FACE[:, 80:160] * 0.502 + 127)).max() <= 1
    assert np.array_equal(pixels[:, 160:], FACE[:, 160:])


def test_a_palette_with_alpha_lies_over_white():
    clear = np.dstack([FACE, np.full(GREY.shape, 255, np.uint8)])
    clear[:40, :, 3] = 0
    pixels = images.decode(palette_with_alpha(clear))
    assert (pixels[:40] == 255).all()
    assert difference(pixels[40:], FACE[40:]) < 12


def test_cmyk_jpeg():
    assert difference(images.decode(cmyk(FACE)), FACE) < 3


@pytest.mark.parametrize(("kind", "tolerance"), [("GIF", 12), ("WEBP", 4), ("TIFF", 0)])
def test_of_several_pictures_the_first_is_taken(kind, tolerance):
    data = encoded(FACE, kind, save_all=True, append_images=[Image.fromarray(FACE[::-1]), Image.fromarray(FACE)])
    assert difference(images.decode(data), FACE) <= tolerance


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(kind, orientation):
    data = stored_turned(FACE, orientation, kind, **({"lossless": True} if kind == "WEBP" else {}))
    assert difference(images.decode(data), FACE) < 4
    about = images.describe(data)
    assert (about.format, about.width, about.height, about.orientation) == (kind, 240, 256, orientation)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_heic(orientation):
    heif = pytest.importorskip("pillow_heif")
    heif.register_heif_opener()
    stored = Image.fromarray(np.rot90(FACE, {1: 0, 3: 2, 6: 1, 8: 3}[orientation]))
    stored.getexif()[0x0112] = orientation
    out = io.BytesIO()
    stored.save(out, "HEIF", quality=90)
    assert difference(images.decode(out.getvalue()), FACE) < 5


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty file"),
        (b"This is no picture.\n" * 50, "not a picture"),
        (JPEG[: len(JPEG) // 2], "damaged: Premature end"),
        (JPEG[:-20] + b"\xff\xd9", "damaged: Corrupt JPEG data"),
        (cmyk(FACE)[:-200] + b"\xff\xd9", "damaged: Corrupt JPEG data"),
        (encoded(FACE, "PNG")[:-2000], "damaged"),
        (encoded(FACE, "GIF")[:-2000], "damaged"),
        (encoded(FACE, "WEBP")[:-2000], "damaged"),
        (encoded(FACE, "BMP")[:-2000], "damaged"),
        (encoded(FACE, "TIFF")[:-2000], "damaged"),
        (encoded(FACE[:1, :1], "PNG"), "too small: 1 x 1 pixels, at least 16 a side"),
        (encoded(FACE[:, :15], "JPEG"), "too small: 15 x 256 pixels, at least 16 a side"),
        (encoded(np.zeros((32, 32), np.float32), "TIFF"), "its values have no fixed range"),
        (b"\x00\x00\x00\x18ftypheic" + bytes(100), "not a picture|HEIC pictures need"),
        (b"\x00\x00\x00\x18ftypmp42" + bytes(100), "not a picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\n", "not a picture"),
    ],
)
def test_what_is_refused(data, reason):
    with pytest.raises(images.BadImage, match=f"^({reason})") as caught:
        images.decode(data)
    assert caught.value.reason == str(caught.value)
    assert "0x" not in caught.value.reason


def bombs() -> dict[str, bytes]:
    size = 60_000
    jpeg, gif, bmp = bytearray(JPEG), bytearray(encoded(FACE, "GIF")), bytearray(encoded(FACE, "BMP"))
    start = jpeg.index(b"\xff\xc0") + 5
    jpeg[start : start + 4] = struct.pack(">HH", size, size)
    gif[6:10] = struct.pack("<HH", size, size)
    bmp[18:26] = struct.pack("<ii", size, size)
    return {"png": png_of_size(size, size), "jpeg": bytes(jpeg), "gif": bytes(gif), "bmp": bytes(bmp)}


@pytest.mark.parametrize("kind", ["png", "jpeg", "gif", "bmp"])
def test_a_header_bomb_takes_no_memory(kind):
    images.decode(JPEG)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(images.BadImage, match=r"^too large: 3600000000 pixels, at most 100000000$"):
        images.decode(bombs()[kind])
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("size", [(12_000, 12_000), (10_001, 10_000)])
def test_the_pixel_limit_is_the_callers_not_pillows(size):
    pixels = size[0] * size[1]
    for read in (images.decode, images.describe):
        with pytest.raises(images.BadImage, match=f"^too large: {pixels} pixels, at most 100000000$"):
            read(png_of_size(*size))
    with pytest.raises(images.BadImage, match=r"^too large: 61440 pixels, at most 61439$"):
        images.decode(JPEG, max_pixels=FACE.shape[0] * FACE.shape[1] - 1)


def test_files_that_cannot_be_read_are_bad_images(tmp_path):
    with pytest.raises(images.BadImage, match=r"^cannot be read: No such file or directory$"):
        images.read(tmp_path / "none.jpg")
    with pytest.raises(images.BadImage, match=r"^cannot be read: Is a directory$"):
        images.read(tmp_path)


def test_png_goes_there_and_back(tmp_path):
    (tmp_path / "colour.png").write_bytes(images.encode_png(FACE))
    (tmp_path / "grey.png").write_bytes(images.encode_png(GREY, level=9))
    assert np.array_equal(images.read(tmp_path / "colour.png"), FACE)
    assert np.array_equal(images.read_grey(tmp_path / "grey.png"), GREY)
    with pytest.raises(images.BadImage, match="not an 8-bit grey picture: its mode is RGB"):
        images.read_grey(tmp_path / "colour.png")
    see_through = np.dstack([FACE, FACE[..., 0]])
    (tmp_path / "rgba.png").write_bytes(images.encode_png(see_through))
    assert np.array_equal(images.read_rgba(tmp_path / "rgba.png"), see_through)
    with pytest.raises(images.BadImage, match="not an RGBA picture: its mode is RGB"):
        images.read_rgba(tmp_path / "colour.png")


def test_jpeg_keeps_colours_and_quality_orders_sizes():
    fine, coarse = images.encode_jpeg(FACE, subsampling="444"), images.encode_jpeg(FACE, 60)
    assert difference(images.decode(fine), FACE) < 2
    assert len(coarse) < len(images.encode_jpeg(FACE)) < len(fine)
    assert difference(images.decode(images.encode_jpeg(GREY))[..., 0], GREY) < 2
    mirrored = images.encode_jpeg(FACE[:, ::-1], subsampling="444")
    assert difference(images.decode(mirrored)[:, ::-1], FACE) < 2


def test_encoders_write_the_same_bytes_in_every_process():
    code = (
        "import hashlib; from ops import images; from tests.bad_files import portrait; face = portrait();"
        "print(hashlib.md5(images.encode_jpeg(face) + images.encode_png(face)).hexdigest())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    ours = images.encode_jpeg(FACE) + images.encode_png(FACE)
    assert done.stdout.strip() == hashlib.md5(ours, usedforsecurity=False).hexdigest()


def test_real_photographs_are_decoded_as_pillow_decodes_them(shared_data):
    paths = sorted((shared_data / "unmasked").iterdir())
    assert len(paths) > 300
    for path in paths:
        with Image.open(path) as picture:
            assert np.array_equal(images.read(path), np.asarray(picture.convert("RGB"))), path.name


def test_a_file_is_no_picture_whether_or_not_ultralytics_has_changed_pillow():
    import ultralytics.utils.patches  # noqa: F401

    with pytest.raises(images.BadImage, match="not a picture"):
        images.decode(b"no picture at all, but long enough to be one " * 4)
