"""What a scan finds and refuses, and what videos give."""

import io
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import wave
from pathlib import Path

import av
import numpy as np
import pytest

from ops import frames, images
from ops.sample import make_sample
from tests.bad_files import DONE, ODD_NAMES, encoded, make_bad_files, make_video, portrait

ROOT = Path(__file__).resolve().parents[2]
FACE = portrait()
JPEG = encoded(FACE, "JPEG")


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    folder = tmp_path_factory.mktemp("raw") / "sample"
    make_sample(folder)
    return folder


@pytest.fixture(scope="module")
def bad(tmp_path_factory):
    folder = tmp_path_factory.mktemp("raw") / "bad"
    return folder, make_bad_files(folder)


def outcome(folder, found):
    """done or rejected, and why, as the frames asset would tell it."""
    if isinstance(found, frames.Rejected):
        return "rejected", found.reason
    try:
        if found.kind == "image":
            images.read(folder / found.path)
        else:
            list(frames.sample_video(folder / found.path))
    except (images.BadImage, frames.BadVideo) as error:
        return "rejected", error.reason
    return DONE, None


def test_every_odd_file_has_its_outcome(bad):
    folder, expected = bad
    found = list(frames.scan(folder))
    assert [item.path for item in found] == sorted(expected)
    assert {item.path: outcome(folder, item)[0] for item in found} == expected
    reasons = {item.path: outcome(folder, item)[1] for item in found}
    assert reasons["link_outside.jpg"] == "symlink leaves the source"
    assert reasons["pipe.jpg"] == "not a regular file"
    assert reasons["latin_\\xe9.jpg"] == "name is not UTF-8"
    assert reasons["no_frames.mp4"] == "no frames"
    assert reasons["no_video_stream.mp4"] == "no video stream"
    assert all((reason is None) == (expected[path] == DONE) for path, reason in reasons.items())


def test_odd_names_come_through_whole(bad):
    folder, _ = bad
    found = {item.path: item for item in frames.scan(folder)}
    for name in ODD_NAMES:
        assert frames.look(folder, name) == found[name]
        assert found[name].size == (folder / name).stat().st_size


def test_content_is_the_bytes_not_the_name(tmp_path):
    for name in ("b.jpg", "a.PNG", "folder.jpg/c.Jpeg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(JPEG)
    (tmp_path / "d.jpg").write_bytes(JPEG + b"\0")
    found = list(frames.scan(tmp_path))
    assert [item.path for item in found] == ["a.PNG", "b.jpg", "d.jpg", "folder.jpg/c.Jpeg"]
    assert frames.find_duplicates((item.path, item.content) for item in found) == {
        "b.jpg": "a.PNG",
        "folder.jpg/c.Jpeg": "a.PNG",
    }
    assert len({item.content for item in found}) == 2
    assert all(len(item.content) == 32 for item in found)


def test_other_suffixes_are_counted_and_hidden_ones_left_out(tmp_path):
    (tmp_path / ".cache").mkdir()
    for name in ("notes.txt", "Thumbs.db", "no_suffix", ".hidden.jpg", ".cache/a.jpg", "a.jpg"):
        (tmp_path / name).write_bytes(JPEG)
    os.mkfifo(tmp_path / "pipe")
    scan = frames.scan(tmp_path)
    assert [item.path for item in scan] == ["a.jpg"]
    assert scan.ignored == 4


def test_links(tmp_path):
    source, outside = tmp_path / "source", tmp_path / "outside"
    (source / "people").mkdir(parents=True)
    outside.mkdir()
    for folder in (source / "people", outside):
        (folder / "a.jpg").write_bytes(JPEG)
    (source / "same.jpg").symlink_to("people/a.jpg")
    (source / "loop").symlink_to(".")
    (source / "away").symlink_to(outside)
    (source / "away.jpg").symlink_to("../outside/a.jpg")
    (tmp_path / "alias").symlink_to(source)
    for root in (source, tmp_path / "alias"):
        found = {item.path: item for item in frames.scan(root)}
        assert found["same.jpg"].content == found["people/a.jpg"].content
        told = {path: item.reason for path, item in found.items() if isinstance(item, frames.Rejected)}
        assert told == {
            "away": "symlink leaves the source",
            "away.jpg": "symlink leaves the source",
            "loop": "not a regular file",
        }
        assert len(found) == 5
    for path in ("away.jpg", "../outside/a.jpg", "away/a.jpg", str(outside / "a.jpg")):
        assert frames.look(source, path).reason == "symlink leaves the source"


def test_sockets_are_refused(tmp_path):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s.jpg"))
        assert list(frames.scan(tmp_path)) == [frames.Rejected("s.jpg", "not a regular file")]


def test_unreadable_files_and_folders_are_rows():
    """Root may read everything: the scan runs as nobody."""
    code = (
        "import os, sys, pathlib; from ops import frames\n"
        "if os.getuid() == 0: os.setgid(65534); os.setuid(65534)\n"
        "print([tuple(item)[:2] for item in frames.scan(pathlib.Path(sys.argv[1]))])"
    )
    with tempfile.TemporaryDirectory() as place:  # pytest's folders lie in one that is closed to others
        source = Path(place)
        source.chmod(0o755)
        (source / "closed").mkdir()
        for name in ("closed/a.jpg", "secret.jpg", "open.jpg"):
            (source / name).write_bytes(JPEG)
        (source / "closed").chmod(0)
        (source / "secret.jpg").chmod(0)
        command = [sys.executable, "-c", code, place]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        (source / "closed").chmod(0o755)
    expected = [("closed", "Permission denied"), ("open.jpg", "image"), ("secret.jpg", "Permission denied")]
    assert done.stdout.strip() == str(expected)


def test_a_source_that_is_no_folder_is_an_error(tmp_path):
    with pytest.raises(NotADirectoryError, match="gone is not a folder"):
        frames.scan(tmp_path / "gone")
    (tmp_path / "a.txt").write_text("x")
    assert frames.look(tmp_path, "a.txt").reason == "neither picture nor video by its suffix '.txt'"


@pytest.mark.parametrize(
    ("path", "rule", "expected"),
    [
        ("ann/1.jpg", "parent", "ann"),
        ("x/ann/1.jpg", "parent", "ann"),
        ("1.jpg", "parent", None),
        ("x/ann.b.jpg", "stem", "ann.b"),
        ("ann/1.jpg", "none", None),
        ("id007_ann.jpg", r"regex:^id(\d+)_", "007"),
        ("id007_ann.jpg", r"regex:^id(\d+)_(?P<identity>\w+)\.", "ann"),
        ("other.jpg", r"regex:^id(\d+)_", None),
    ],
)
def test_identity(path, rule, expected):
    assert frames.identity_of(path, rule) == expected


@pytest.mark.parametrize("rule", ["", "folder", "regex:", "regex:^abc", "regex:(", "parent:x"])
def test_wrong_identity_rules(rule):
    with pytest.raises(ValueError, match="identity"):
        frames.identity_of("a/b.jpg", rule)


def counted(count: int) -> list[np.ndarray]:
    """Pictures whose brightness tells their number."""
    return [np.full((48, 64, 3), 20 + 2 * i, np.uint8) for i in range(count)]


@pytest.mark.parametrize(
    ("fps", "rate", "expected"),
    [(1, 25, [0, 25, 50, 75]), (2, 25, [0, 13, 25, 38, 50, 63, 75, 88]), (0.5, 25, [0, 50]), (1, 8, [0, 8, 16, 24])],
)
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "mov", "avi"])
def test_the_first_frame_at_or_after_every_moment(tmp_path, suffix, fps, rate, expected):
    path = tmp_path / f"a.{suffix}"
    count = 4 * rate
    make_video(path, counted(count), rate=rate, codec="mpeg4" if suffix == "avi" else "libx264")
    shots = list(frames.sample_video(path, fps))
    assert [shot.index for shot in shots] == expected
    assert [shot.time for shot in shots] == pytest.approx([index / rate for index in expected], abs=2e-3)
    assert [shot.pixels.mean() for shot in shots] == pytest.approx([20 + 2 * i for i in expected], abs=3)


def test_a_rate_above_the_videos_gives_every_frame_once(tmp_path):
    make_video(tmp_path / "a.mp4", counted(10))
    assert [shot.index for shot in frames.sample_video(tmp_path / "a.mp4", 1000)] == list(range(10))


@pytest.mark.parametrize("wrong", [0, -1, float("nan")])
def test_fps_must_be_positive(tmp_path, wrong):
    with pytest.raises(ValueError, match="fps"):
        next(frames.sample_video(tmp_path / "a.mp4", wrong))


@pytest.mark.parametrize("turn", [{"degrees": d, "hflip": h} for d in (0, 90, 180, -90) for h in (False, True)])
def test_display_rotation_is_applied(tmp_path, turn):
    quarters = round(turn["degrees"] / 90)
    expected = np.rot90(FACE, quarters)
    expected = expected[:, ::-1] if turn["hflip"] else expected
    make_video(tmp_path / "a.mp4", [FACE] * 3, turn=turn)
    (shot,) = frames.sample_video(tmp_path / "a.mp4")
    assert shot.pixels.shape == expected.shape
    assert np.abs(shot.pixels.astype(int) - expected).mean() < 6
    about = frames.video_info(tmp_path / "a.mp4")
    assert (about.height, about.width) == expected.shape[:2]


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi"])
def test_of_a_truncated_video_the_good_frames_come_first(tmp_path, suffix):
    whole, cut = tmp_path / f"whole.{suffix}", tmp_path / f"cut.{suffix}"
    moving = [np.roll(FACE, 2 * i, axis=1) for i in range(100)]
    if suffix == "mp4":
        make_video(tmp_path / "tail.mp4", moving)
        remux_with_index_first(tmp_path / "tail.mp4", whole)
    else:
        make_video(whole, moving, codec="mpeg4" if suffix == "avi" else "libx264")
    data = whole.read_bytes()
    cut.write_bytes(data[: len(data) * 6 // 10])
    shots = frames.sample_video(cut)
    first = next(shots)
    assert np.array_equal(first.pixels, next(frames.sample_video(whole)).pixels)
    with pytest.raises(frames.BadVideo, match=r"^breaks off after \d\.\d\d s"):
        list(shots)


def remux_with_index_first(source, target):
    with (
        av.open(str(source)) as given,
        av.open(str(target), "w", options={"movflags": "faststart"}) as made,
    ):
        stream = made.add_stream_from_template(given.streams.video[0])
        for packet in given.demux():
            if packet.dts is not None:
                packet.stream = stream
                made.mux(packet)


def test_damage_in_the_middle_is_told_where_it_begins(tmp_path):
    make_video(tmp_path / "a.mkv", [np.roll(FACE, 2 * i, axis=1) for i in range(100)])
    data = bytearray((tmp_path / "a.mkv").read_bytes())
    middle = len(data) // 2
    data[middle : middle + 4000] = bytes(value ^ 0x5A for value in data[middle : middle + 4000])
    (tmp_path / "a.mkv").write_bytes(data)
    shots = frames.sample_video(tmp_path / "a.mkv")
    assert next(shots).time == 0
    with pytest.raises(frames.BadVideo, match=r"^(damaged|breaks off) after \d\.\d\d s"):
        list(shots)


@pytest.mark.parametrize("read", [frames.video_info, lambda path, **limit: list(frames.sample_video(path, **limit))])
def test_what_videos_are_refused(tmp_path, sample, read):
    with pytest.raises(frames.BadVideo, match=r"more than 10000 pixels|too large: 129600 pixels, at most 10000"):
        read(sample / "clip.mp4", max_pixels=10_000)
    data = (sample / "clip.mp4").read_bytes()
    for name, content in {"zero": b"", "text": b"no video\n" * 99, "tail": data[: len(data) // 2]}.items():
        (tmp_path / f"{name}.mp4").write_bytes(content)
        with pytest.raises(frames.BadVideo, match=r"^damaged or no video: "):
            read(tmp_path / f"{name}.mp4")
    (tmp_path / "codec.mp4").write_bytes(data.replace(b"avc1", b"zzzz"))
    with pytest.raises(frames.BadVideo, match="unknown codec"):
        read(tmp_path / "codec.mp4")


def test_a_video_of_just_the_allowed_size_is_read(tmp_path):
    """Its coded size, in whole blocks of 16, is larger."""
    make_video(tmp_path / "a.mp4", [np.full((50, 90, 3), 99, np.uint8)] * 3)
    assert len(list(frames.sample_video(tmp_path / "a.mp4", None, max_pixels=50 * 90))) == 3
    with pytest.raises(frames.BadVideo, match="4499"):
        next(frames.sample_video(tmp_path / "a.mp4", None, max_pixels=50 * 90 - 1))


def test_a_playlist_is_no_video(tmp_path, sample):
    """A file that names other files must not make the decoder open them."""
    shutil.copy(sample / "clip.mp4", tmp_path / "private.mp4")
    (tmp_path / "list.mp4").write_text("ffconcat version 1.0\nfile private.mp4\n")
    with pytest.raises(frames.BadVideo, match=r"^damaged or no video"):
        list(frames.sample_video(tmp_path / "list.mp4"))


def test_the_same_video_gives_the_same_frames(sample):
    one, other = (list(frames.sample_video(sample / "clip.mp4", 3)) for _ in range(2))
    assert len(one) == 12
    assert all(np.array_equal(a.pixels, b.pixels) for a, b in zip(one, other, strict=True))


def test_sound_is_the_tone_that_went_in(sample):
    about = frames.video_info(sample / "clip.mp4")
    assert (about.format, about.duration, about.fps, about.has_sound) == ("mov", pytest.approx(4, abs=0.1), 25, True)
    with wave.open(io.BytesIO(frames.extract_sound(sample / "clip.mp4"))) as sound:
        assert (sound.getnchannels(), sound.getsampwidth(), sound.getframerate()) == (1, 2, 44_100)
        assert sound.getnframes() / 44_100 == pytest.approx(4, abs=0.1)
        values = np.frombuffer(sound.readframes(sound.getnframes()), np.int16)
    for second, pitch in ((1, 220), (3, 330)):
        spectrum = np.abs(np.fft.rfft(values[second * 44_100 : second * 44_100 + 22_050]))
        assert np.argmax(spectrum) * 2 == pytest.approx(pitch, abs=2)


def test_no_sound_is_none(tmp_path):
    make_video(tmp_path / "silent.mp4", counted(5))
    assert frames.extract_sound(tmp_path / "silent.mp4") is None


def test_damaged_sound_is_told(tmp_path, shared_data):
    data = bytearray((shared_data / "video" / "talk1.mp4").read_bytes())
    middle = len(data) // 2
    data[middle : middle + 2000] = bytes(value ^ 0x5A for value in data[middle : middle + 2000])
    (tmp_path / "damaged.mp4").write_bytes(data)
    with pytest.raises(frames.BadVideo, match=r"^sound damaged after \d\.\d\d s"):
        frames.extract_sound(tmp_path / "damaged.mp4")


@pytest.mark.parametrize("name", ["talk1.mp4", "talk2.mp4", "talk3.mp4"])
def test_real_clips(shared_data, name):
    path = shared_data / "video" / name
    about = frames.video_info(path)
    shots = list(frames.sample_video(path))
    assert len(shots) in {int(about.duration), int(about.duration) + 1}
    assert all(0 <= shot.time - moment < 1.5 / about.fps for moment, shot in enumerate(shots))
    assert {shot.pixels.shape for shot in shots} == {(about.height, about.width, 3)}
    with wave.open(io.BytesIO(frames.extract_sound(path))) as sound:
        assert sound.getnframes() / sound.getframerate() == pytest.approx(about.duration, abs=0.1)
        assert np.frombuffer(sound.readframes(sound.getnframes()), np.int16).std() > 100
