"""Videos as they are written: steady, upright, with their sound, whole or not at all."""

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from ops.sample import make_sample
from ops.video_writer import write_video
from ops.videos import BadVideo, extract_sound, sample_video, video_info
from tests.bad_files import make_video

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sample")
    make_sample(folder)
    return folder / "clip.mp4"


def again(source, target):
    """Write a video's own frames anew."""
    with write_video(target, like=source) as made:
        for shot in sample_video(source, None):
            made.add(shot.pixels, shot.time, shot.duration)
    return target


def times(path):
    with av.open(str(path)) as container:
        return [frame.time for frame in container.decode(video=0)]


def packets_of(path):
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]


def patches(height, width):
    """Pure colours side by side."""
    colours = np.array([(255, 0, 0), (0, 255, 0), (0, 0, 255), (250, 220, 10), (128, 128, 128)], np.uint8)
    return np.repeat(np.repeat(colours[None], height, 0), -(-width // 5), 1)[:, :width]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sample", "talk1.mp4", "talk2.mp4"])
def test_frames_time_and_sound_stay_what_they_were(request, tmp_path, name):
    """talk1 has frames missing here and there, and starts after its sound: 30 a second all the same."""
    path = request.getfixturevalue("clip")
    if name != "sample":
        path = request.getfixturevalue("shared_data") / "video" / name
    made = again(path, tmp_path / "made.mp4")
    before, after = video_info(path), video_info(made)
    steps = np.diff(times(made))
    assert np.allclose(steps, steps[0], atol=1e-4) and after.fps == pytest.approx(1 / steps[0], rel=1e-3)
    assert after.fps == pytest.approx(30 if name == "talk1.mp4" else before.fps)
    assert after.duration == pytest.approx(before.duration, abs=0.5 / after.fps)
    assert (after.width, after.height) == (before.width, before.height)
    assert packets_of(made) == packets_of(path), "sound is carried over, not encoded anew"
    assert extract_sound(made) == extract_sound(path)
    for one, other in zip(sample_video(path), sample_video(made), strict=True):
        assert np.abs(one.pixels.astype(int) - other.pixels).mean() < 3


def test_what_is_shown_is_h264_that_browsers_play(tmp_path):
    make_video(tmp_path / "moving.mp4", [patches(96, 160)] * 5)
    with av.open(str(again(tmp_path / "moving.mp4", tmp_path / "a.mp4"))) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
        assert stream.codec_context.colorspace == 1 and stream.codec_context.color_range == 1
    head = (tmp_path / "a.mp4").read_bytes()
    assert head.index(b"moov") < head.index(b"mdat"), "a player may begin before it has all"


def test_the_same_pictures_give_the_same_bytes(tmp_path):
    make_video(tmp_path / "moving.mp4", [np.roll(patches(96, 160), 3 * step, axis=1) for step in range(60)])
    one, other = (again(tmp_path / "moving.mp4", tmp_path / name).read_bytes() for name in ("a.mp4", "b.mp4"))
    assert one == other


def test_turned_videos_come_out_upright(tmp_path):
    pixels = patches(48, 80)
    make_video(tmp_path / "a.mp4", [pixels] * 5, turn={"degrees": 90, "hflip": False})
    made = again(tmp_path / "a.mp4", tmp_path / "b.mp4")
    assert (video_info(made).width, video_info(made).height) == (48, 80)
    (shot,) = sample_video(made)
    assert np.abs(shot.pixels.astype(int) - np.rot90(pixels)).mean() < 8
    with av.open(str(made)) as container:
        assert next(container.decode(video=0)).side_data.get("DISPLAYMATRIX") is None


def test_colours_stay_and_odd_sides_become_even(clip, tmp_path):
    pixels = patches(401, 505)
    with write_video(tmp_path / "a.mp4", like=clip) as made:
        for _ in range(3):
            made.add(pixels)
    shot = next(sample_video(tmp_path / "a.mp4"))
    assert shot.pixels.shape == (402, 506, 3)
    for column in range(50, 505, 101):
        assert np.abs(shot.pixels[200, column].astype(int) - pixels[200, column]).max() <= 6
    assert np.abs(shot.pixels[401].astype(int) - shot.pixels[400]).max() <= 6


def test_gaps_are_filled_and_crowds_thinned(clip, tmp_path):
    """At 25 a second: one picture for three moments, then two within one."""
    with write_video(tmp_path / "a.mp4", like=clip) as made:
        assert made.rate == Fraction(25)
        for brightness, time in ((40, 0.0), (80, 0.12), (120, 0.125), (160, 0.16)):
            made.add(np.full((64, 64, 3), brightness, np.uint8), time, 0.08)
    shown = [round(shot.pixels.mean() / 40) * 40 for shot in sample_video(tmp_path / "a.mp4", None)]
    assert shown == [40, 40, 40, 80, 160, 160]


@pytest.mark.parametrize(
    ("container", "codec", "copied"),
    [("mkv", "libopus", True), ("mkv", "libmp3lame", True), ("avi", "pcm_s16le", False), ("mkv", "ac3", True)],
)
def test_sound_is_copied_where_mp4_holds_it_and_encoded_anew_elsewhere(tmp_path, container, codec, copied):
    path, rate = tmp_path / f"a.{container}", 48_000
    wave = (np.sin(np.arange(2 * rate) * 2 * np.pi * 440 / rate) * 8000).astype(np.int16)
    with av.open(str(path), "w") as made:
        video = made.add_stream("mpeg4" if container == "avi" else "libx264", rate=25)
        video.width = video.height = 64
        video.pix_fmt = "yuv420p"
        sound = made.add_stream(codec, rate=rate, layout="mono")
        for _ in range(50):
            made.mux(video.encode(av.VideoFrame.from_ndarray(np.full((64, 64, 3), 99, np.uint8), format="rgb24")))
        made.mux(video.encode())
        for start in range(0, wave.size, 960):
            frame = av.AudioFrame.from_ndarray(wave[None, start : start + 960], format="s16", layout="mono")
            frame.sample_rate, frame.pts = rate, start
            made.mux(sound.encode(frame))
        made.mux(sound.encode())
    out = again(path, tmp_path / "out.mp4")
    assert (packets_of(out) == packets_of(path)) == copied
    with av.open(str(out)) as written:
        assert written.streams.audio[0].codec_context.name in ({"opus", "mp3float", "ac3"} if copied else {"aac"})
    heard = np.frombuffer(extract_sound(out)[44:], np.int16)
    assert heard.size / rate == pytest.approx(2, abs=0.1)
    spectrum = np.abs(np.fft.rfft(heard[rate // 2 : rate // 2 + rate]))
    assert np.argmax(spectrum) == pytest.approx(440, abs=2)


def test_a_silent_video_stays_silent(tmp_path):
    make_video(tmp_path / "a.mp4", [patches(48, 64)] * 5)
    assert extract_sound(again(tmp_path / "a.mp4", tmp_path / "b.mp4")) is None


def test_what_breaks_off_leaves_what_was_there(clip, tmp_path):
    target = tmp_path / "out" / "a.mp4"
    with pytest.raises(KeyboardInterrupt), write_video(target, like=clip) as made:
        made.add(patches(64, 64))
        raise KeyboardInterrupt
    assert list(target.parent.iterdir()) == []
    before = again(clip, target).read_bytes()
    with pytest.raises(ValueError, match=r"shape \(64, 66, 3\) in a video of shape \(64, 64, 3\)"):
        with write_video(target, like=clip) as made:
            made.add(patches(64, 64))
            made.add(patches(64, 66))
    with pytest.raises(ValueError, match="at least one picture"), write_video(target, like=clip):
        pass
    assert target.read_bytes() == before and len(list(target.parent.iterdir())) == 1


def test_like_must_be_a_video(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"no video\n" * 50)
    with pytest.raises(BadVideo), write_video(tmp_path / "b.mp4", like=tmp_path / "a.mp4"):
        pass
    assert not (tmp_path / "b.mp4").exists()


def test_a_full_disk_is_no_bad_video(clip, tmp_path):
    """What can't be written is told as such, so that it is not taken for a refusal of the input."""
    code = f"""
import resource, signal
from pathlib import Path
from ops.video_writer import write_video
from ops.videos import BadVideo, sample_video
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
clip, out = Path({str(clip)!r}), Path({str(tmp_path)!r}) / "a.mp4"
try:
    with write_video(out, like=clip) as made:
        for shot in sample_video(clip, None):
            made.add(shot.pixels, shot.time, shot.duration)
except BadVideo:
    print("bad video")
except OSError as error:
    print(error, list(out.parent.iterdir()))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == f"[Errno 27] File too large: '{tmp_path}/a.mp4' []\n"
