"""A small split of real pictures, and detectors that see the same boxes in every picture, as ONNX files."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ops import images
from ops.detection.likeness import dct_hash, look_at
from ops.masking import LABELS
from ops.sample import portraits
from ops.stages.splits import COLUMNS
from ops.store import Dataset, Item, row
from resources.compute import Local

SIDE = 512
FACE = (165.0, 55.0, 285.0, 225.0)
HAND = (300.0, 400.0, 380.0, 480.0)
"""Two boxes in the portrait: its face, and something that is taken for one."""

SEEN = [(*FACE, 0.9, 0), (*HAND, 0.6, 1)]
BLIND = [(*HAND, 0.9, 0), (400.0, 10.0, 440.0, 50.0, 0.8, 1)]


def constant_detector(
    path: Path, rows: Sequence[Sequence[float]], *, learned: Sequence[int] | None = None, threshold: float = 0.5
) -> Path:
    """Write a detector that finds ``rows`` (x1 y1 x2 y2 score class) whatever it is shown."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    found = numpy_helper.from_array(np.array([rows], np.float32), "rows")
    given = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", 3, "height", "width"])
    made = helper.make_tensor_value_info("boxes", TensorProto.FLOAT, [1, len(rows), 6])
    graph = helper.make_graph([helper.make_node("Identity", ["rows"], ["boxes"])], "g", [given], [made], [found])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    told = {"names": list(LABELS), "thresholds": [threshold] * 3, "size": SIDE}
    told |= {} if learned is None else {"learned": [f"{one:016x}" for one in learned]}
    helper.set_model_props(model, {name: json.dumps(value) for name, value in told.items()})
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)
    return path


def write_split(folder: Path, *, val: int = 2, test: int = 4, origin: str = "real") -> list[int]:
    """Lay out a split of one portrait in several lights, and return the look hashes of its test pictures."""
    portrait = portraits()[0]
    items, hashes = [], []
    for number in range(val + test):
        split = "val" if number < val else "test"
        turned = np.roll(portrait, 60 * number, axis=2) if number % 2 else 255 - portrait // (1 + number)
        output = f"images/{split}/{number}.png"
        (folder / output).parent.mkdir(parents=True, exist_ok=True)
        pixels = np.ascontiguousarray(turned)
        (folder / output).write_bytes(images.encode_png(pixels))
        look = dct_hash(look_at(pixels)[0])
        hashes += [look] if split == "test" else []
        about = {"split": split, "origin": origin, "output": output, "width": SIDE, "height": SIDE}
        about |= {"hash": f"{look:016x}", "labels": [LABELS[0]], "boxes": list(FACE), "made_from": [], "folder": "home"}
        items.append(Item(f"{origin} {number}", {"source": f"{number}.png", **about}))

    def tell(item: Item) -> list[dict]:
        about = dict(item.payload)
        return [row(item, about.pop("source"), **about)]

    Dataset(folder, COLUMNS).build(items, lambda: tell, Local(1))
    return hashes


def write_trained(folder: Path, rows: Sequence[Sequence[float]], *, run_id: str = "a", version: int = 1) -> Path:
    """Lay out a trained detector's folder."""
    constant_detector(folder / "detector.onnx", rows)
    about = {"run_id": run_id, "mlflow_version": version, "start": "none", "size": SIDE}
    (folder / "detector.json").write_text(json.dumps(about))
    return folder
