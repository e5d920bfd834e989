"""The main job's figures: faces found, time against a stand-in for MaskTheFace, memory, reruns.

    python -m benchmarks.main_job [FOLDER [PORTRAITS]]

FOLDER holds photographs with a face each; without one, the embedded sample serves. Times are CPU time of one core and
are only worth something as ratios within one run. The stand-in is (dlib HOG with upsampling 1 + dlib's 68 points +
two reads and writes of the picture by OpenCV) / 0.66, the share of MaskTheFace's time that those parts take.
"""

import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ops import images
from ops.faces import find_faces
from ops.masking import MaskSettings, draw_spec, prepare, render
from resources.models import FaceModels

PICTURES = 200
SHARE_OF_STAND_IN = 0.66
NO_FACES = (
    "brick", "chelsea", "clock", "coffee", "coins", "grass",
    "gravel", "hubble_deep_field", "immunohistochemistry", "moon", "page", "rocket",
)  # fmt: skip
"""Pictures in scikit-image's wheel that show no human face."""


def mean_ms(call: Callable[[Any], Any], items: Sequence[Any]) -> float:
    """Mean CPU milliseconds of a call over items."""
    start = time.process_time()
    for item in items:
        call(item)
    return (time.process_time() - start) * 1000 / len(items)


def draw(folder: Path, count: int = PICTURES, seed: int = 0) -> list[Path]:
    """``count`` pictures of a folder, the same ones every time."""
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in images.IMAGE_SUFFIXES)
    return sorted(random.Random(seed).sample(found, min(count, len(found))))


def mask_the_face(path: Path, hog: Any, shape: Any, scratch: Path) -> None:
    """What MaskTheFace spends two thirds of its time on."""
    import cv2
    import dlib

    for _ in range(2):
        pixels = cv2.imread(str(path))
        cv2.imwrite(str(scratch), pixels)
    boxes = hog(pixels, 1)
    shape(pixels, boxes[0] if len(boxes) else dlib.rectangle(0, 0, pixels.shape[1], pixels.shape[0]))


def speed(paths: list[Path]) -> None:
    """Decode, find, mask, encode: against the stand-in, over the same pictures."""
    import cv2
    import dlib

    from model_assets.registry import fetch

    cv2.setNumThreads(1)
    hog, shape = dlib.get_frontal_face_detector(), dlib.shape_predictor(str(fetch("dlib_68")))
    detector, landmarker = FaceModels(device="cpu").load()
    settings = MaskSettings()

    def ours(path: Path) -> tuple[Any, bytes]:
        pixels = images.read(path)
        found = find_faces(pixels, detector, landmarker)
        if not found:
            return None, images.encode_jpeg(pixels)
        ready = (pixels, found[0], prepare(pixels, found[0]))
        return ready, variant(*ready, f"{path.name}/0/0")

    def variant(pixels: Any, face: Any, prepared: Any, key: str) -> bytes:
        return images.encode_jpeg(render(pixels, face, draw_spec(key, settings), prepared=prepared).picture)

    # what is loaded once a process, such as compiled loops and cut cloth, is not what a picture costs
    made = [(path.name, ours(path)[0]) for path in paths]
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder, "x.jpg")
        theirs = mean_ms(lambda path: mask_the_face(path, hog, shape, scratch), paths) / SHARE_OF_STAND_IN
    mean = mean_ms(lambda path: ours(path) and None, paths)
    ready = [(name, *known) for name, known in made if known]
    further = mean_ms(lambda known: variant(*known[1:], f"{known[0]}/0/1"), ready)
    four = 1 + 3 * further / mean
    print(f"time: stand-in {theirs:.1f} ms, ours {mean:.1f} ms a picture: {theirs / mean:.1f} times as fast")
    print(f"time: a further variant of the same face {further:.2f} ms; four variants cost {four:.2f} times one")


def found(title: str, pictures: list[Any], models: FaceModels) -> None:
    """How many pictures a face is found in, and how many faces."""
    detector, landmarker = models.load()
    counts = [len(find_faces(pixels, detector, landmarker)) for pixels in pictures]
    print(f"faces: {title}: found in {sum(map(bool, counts))} of {len(counts)} pictures, {sum(counts)} faces")


def no_faces() -> list[Any]:
    """The pictures without a face."""
    import numpy as np
    from skimage import data

    pictures = []
    for name in NO_FACES:
        pixels = np.asarray(getattr(data, name)())
        while pixels.ndim > (3 if pixels.shape[-1] in {3, 4} else 2):
            pixels = pixels[0]
        pixels = np.repeat(pixels[..., None], 3, axis=2) if pixels.ndim == 2 else pixels[..., :3]
        pictures.append(np.ascontiguousarray(pixels.astype(np.uint8)))
    return pictures


CHAIN = """
import sys, time
from pathlib import Path
from functools import partial
from ops.masking import MaskSettings
from ops.stages import photo
from ops.store import Dataset
from resources.compute import Local
from resources.models import FaceModels
raw, out = Path(sys.argv[1]), Path(sys.argv[2])
start = time.perf_counter()
wishes = photo.Wishes(masks=MaskSettings(), styles=("buffalo",))
items, told = photo.plan(raw, None, wishes, FaceModels(device="cpu"))
dataset = Dataset(out, photo.columns(wishes))
report = dataset.build(items, partial(photo.Process, out, wishes, FaceModels(device="cpu")), Local(1), refused=told)
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
peak = int(status["VmHWM"].split()[0]) / 1024
print(report.made, peak, time.perf_counter() - start)
"""


def chain(raw: Path, out: Path) -> tuple[int, float, float]:
    """Run the whole chain in a process of its own: items made, peak memory in MB, seconds."""
    done = subprocess.run([sys.executable, "-c", CHAIN, raw, out], check=True, capture_output=True, text=True)
    made, peak, seconds = done.stdout.split()
    return int(made), float(peak), float(seconds)


def grow(paths: list[Path], raw: Path, count: int) -> None:
    """Fill a source with ``count`` pictures of different content."""
    raw.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        target = raw / f"{number:05d}.jpg"
        if not target.exists():
            target.write_bytes(paths[number % len(paths)].read_bytes() + number.to_bytes(4, "big"))


def memory_and_reruns(paths: list[Path], small: int = 200, large: int = 2000) -> None:
    """Peak memory as a source grows, and what reruns cost."""
    with tempfile.TemporaryDirectory() as folder:
        raw, out = Path(folder, "raw"), Path(folder, "out")
        grow(paths, raw, small)
        _, low, _ = chain(raw, Path(folder, "small"))
        shutil.rmtree(Path(folder, "small"))
        grow(paths, raw, large)
        made, high, _ = chain(raw, out)
        print(f"memory: {small} pictures {low:.0f} MB, {made} pictures {high:.0f} MB: {high - low:+.0f} MB")
        nothing, _, seconds = chain(raw, out)
        print(f"rerun: {nothing} made of {large}, {seconds * 1000 / large:.2f} ms a picture")
        grow(paths, raw, large + 1)
        print(f"rerun: one picture added to {large}: {chain(raw, out)[0]} made")


def main() -> None:
    """Print all figures."""
    from ops.sample import make_sample

    with tempfile.TemporaryDirectory() as scratch:
        if len(sys.argv) > 1:
            folder = Path(sys.argv[1])
        else:
            folder = Path(scratch)
            make_sample(folder)
        paths = draw(folder)
        models = FaceModels(device="cpu")
        found(str(folder.name), [images.read(path) for path in paths], models)
        for further in sys.argv[2:]:
            found(Path(further).name, [images.read(path) for path in draw(Path(further), 10**6)], models)
        found("no face in any", no_faces(), models)
        speed(paths)
        memory_and_reruns(paths)


if __name__ == "__main__":
    main()
