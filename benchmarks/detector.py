"""How good mask detectors are on a split's untouched test pictures.

    python -m benchmarks.detector SPLIT [ONNX ...] [--draws 2000] [--json FILE]

SPLIT is a folder as ``yolo_splits`` lays it out; the shipped detector is scored where no ONNX is named. Thresholds are
chosen on the validation pictures; precision and recall are those at them, on the test pictures at IoU .5. Figures are
pycocotools' (a test holds them together), intervals are the middle 95% over pictures drawn anew. Pictures that a
detector was trained or chosen on, as far as its file tells, are left out and counted.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from ops import images
from ops.detection.evaluation import evaluate
from ops.detection.likeness import dct_hash, look_at
from ops.detection.promotion import seen_before
from ops.detection.report_files import as_table
from ops.detection.scoring import best_thresholds
from ops.detection.split_files import label_file
from ops.stages.detector import truth_of
from resources.mask_detectors import OnnxMaskDetector, shipped

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ops.detection.detections import Detections
    from ops.records import Picture

    Boxes = list[Detections]


def look(folder: Path, split: str, detector: Callable[[Picture], Detections]) -> tuple[Boxes, Boxes, list[int]]:
    """Return annotated boxes, found boxes and look hash of each picture of a split."""
    truths, found, hashes = [], [], []
    for line in tqdm((folder / f"{split}.txt").read_text().splitlines(), desc=split, unit="picture", disable=None):
        name = Path(line).as_posix()
        pixels = images.read(folder / name)
        truths.append(truth_of((folder / label_file(name)).read_text(), pixels))
        found.append(detector(pixels))
        hashes.append(dct_hash(look_at(pixels)[0]))
    return truths, found, hashes


def score(folder: Path, onnx: Path, draws: int) -> dict[str, Any]:
    """Return what there is to say about one detector."""
    detector = OnnxMaskDetector(onnx, threads=1)
    thresholds = best_thresholds(*look(folder, "val", detector)[:2])
    truths, found, hashes = look(folder, "test", detector)
    seen = seen_before(hashes, detector.learned)
    use = [index for index in range(len(truths)) if seen is None or not seen[index]]
    done = evaluate([truths[index] for index in use], [found[index] for index in use], thresholds, draws=draws)
    told = {"onnx": onnx.name, "bytes": onnx.stat().st_size, "size": detector.size, "thresholds": list(thresholds)}
    told |= {"pictures": len(use), "left_out": len(truths) - len(use), "knows_what_it_learned": seen is not None}
    return {**told, **done.all.told(), "by_size": {size: rated.told() for size, rated in done.sizes.items()}}


def show(told: dict[str, Any]) -> None:
    aside = f", {told['left_out']} left out that it learned from" if told["left_out"] else ""
    print(f"\n{told['onnx']}: {told['bytes'] / 1e6:.1f} MB, {told['size']} px; {told['pictures']} pictures{aside}")
    if not told["knows_what_it_learned"]:
        print("its file does not tell what it learned from: some of these pictures may be among that")
    print(as_table(told))
    for size, row in told["by_size"].items():
        if row["boxes"]:
            low, high = row["intervals"]["ap50"]
            shown = "-" if row["ap50"] is None else f"{row['ap50']:.3f} [{low:.3f}, {high:.3f}]"
            print(f"{size}: {row['boxes']} boxes, AP50 {shown}")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.detector", description=__doc__.split("\n", 1)[0])
    parser.add_argument("split", type=Path, help="folder of a split")
    parser.add_argument("onnx", type=Path, nargs="*", help="detectors; the shipped one by default")
    parser.add_argument("--draws", type=int, default=2000, help="of pictures, for the intervals")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    told = parser.parse_args(arguments)
    every = []
    for onnx in told.onnx or [shipped()]:
        every.append(score(told.split, onnx, told.draws))
        show(every[-1])
    if told.json:
        told.json.write_text(json.dumps(every, indent=2) + "\n")


if __name__ == "__main__":
    main()
