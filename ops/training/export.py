"""From a trained detector to files that run anywhere: clean weights, ONNX in three precisions, and what each costs.

Every ONNX takes ``images``, float32 ``(n, 3, height, width)`` RGB in [0, 1] with sides that are multiples of 32, and
returns ``(n, 300, 6)``: x1 y1 x2 y2 in input pixels, score, class; the one-to-one head needs no suppression. Its
metadata tells ``names`` and ``thresholds`` (JSON lists, an entry a class), ``size``, the side it was trained for, and
``learned``, look hashes of the pictures that it was trained and chosen on.
"""

from __future__ import annotations

import io
import json
import logging
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from ops.detection.inference import detect, given_to
from ops.masking import LABELS
from ops.training.detector import quiet
from ops.training.onnx_files import OPSET, session_of, told

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    import onnx

    from ops.detection.detections import Detections
    from ops.records import Floats, Picture

ROWS, SCORE, CLASS = 300, 4, 5
SAME = 1e-3
"""How far an ONNX may be from the network it came from: boxes in shares of the input's longer side, and scores."""

TRACED = (2, 3, 320, 256)
FOUND = 0.001
HEAD = "/model.23/"
CARRIED = ("imgsz", "epochs", "batch", "optimizer", "lr0", "seed", "task", "single_cls")
"""Settings that a clean checkpoint tells; the others name files of the machine that it was trained on."""


def clean_weights(best: Path) -> tuple[bytes, int]:
    """Return a training's best weights as a checkpoint that tells neither time nor place, and the epoch they are of.

    They are in half precision, as ultralytics stores them; ``YOLO(path)`` loads them.
    """
    import torch

    with quiet():
        told = torch.load(best, map_location="cpu", weights_only=False)  # the training wrote it
        network = told["ema"].half().eval()
        settings = {name: value for name, value in told["train_args"].items() if name in CARRIED}
        network.args, network.criterion, network.pt_path = settings, None, ""
        network.yaml.pop("yaml_file", None)
        for weight in network.parameters():
            weight.requires_grad = False
        data = io.BytesIO()
        kept = {name: told[name] for name in ("version", "license", "docs")}
        torch.save({**kept, "epoch": -1, "model": network, "train_args": settings}, data)
    return data.getvalue(), told["epoch"] + 1


def load_network(weights: Path) -> Any:
    """Return the network of a checkpoint that the training wrote, as it is exported: fused, its one-to-one head alone.

    It turns a ``(n, 3, h, w)`` tensor into ``(n, 300, 6)`` rows.
    """
    from torch.nn import functional

    with quiet():
        from ultralytics.nn.tasks import load_checkpoint

        network, _ = load_checkpoint(weights)
    network.end2end = True
    network = network.fuse().float().eval()
    head = network.model[-1]
    head.export, head.dynamic, head.format, head.max_det = True, True, "onnx", ROWS
    chosen = head.postprocess
    # small inputs have fewer than 300 cells to choose from
    head.postprocess = lambda cells: chosen(functional.pad(cells, (0, 0, 0, ROWS)))
    return network


def to_onnx(network: Any, side: int) -> onnx.ModelProto:
    """Return a network from :func:`load_network` as ONNX in float32."""
    import onnx
    import torch

    data = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer tells what it takes for constant, which here is constant
        torch.onnx.export(
            network,
            (torch.zeros(TRACED),),
            data,  # type: ignore[arg-type]
            opset_version=OPSET,
            input_names=["images"],
            output_names=["boxes"],
            dynamic_axes={"images": {0: "n", 2: "height", 3: "width"}, "boxes": {0: "n"}},
            dynamo=False,
        )
    model = onnx.load_from_string(data.getvalue())
    for size, value in zip(model.graph.output[0].type.tensor_type.shape.dim[1:], (ROWS, CLASS + 1), strict=True):
        size.dim_value = value
    told(model, {"names": list(LABELS), "size": side})
    return model


def to_int8(model: onnx.ModelProto, pictures: Iterable[Picture], side: int, scratch: Path) -> onnx.ModelProto:
    """Return a model whose convolutions compute in 8 bits, the head's excepted, where boxes would lose their precision.

    Args:
        model: in float32.
        pictures: to measure the range of every activation on.
        side: longer side of the input.
        scratch: folder for onnxruntime's own files.
    """
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.left = ({"images": given_to(pixels, side)[0]} for pixels in pictures)

        def get_next(self) -> dict[str, Floats] | None:
            return next(self.left, None)

    source, target = scratch / "float32.onnx", scratch / "int8.onnx"
    onnx.save(model, source)
    logging.disable(logging.WARNING)  # it advises to fuse and infer shapes first, which is done
    try:
        quantize_static(
            source,
            target,
            Reader(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=[node.name for node in model.graph.node if node.name.startswith(HEAD)],
        )
    finally:
        logging.disable(logging.NOTSET)
    small = onnx.load(target)
    told(small, {entry.key: json.loads(entry.value) for entry in model.metadata_props})
    return small


def run_of(model: bytes) -> Callable[[Floats], Floats]:
    """Return what runs a model on the CPU: ``(n, 3, h, w)`` in, ``(n, 300, 6)`` out."""
    session = session_of(model)
    return lambda seen: np.asarray(session.run(None, {"images": seen})[0], np.float32)


def find(run: Callable[[Floats], Floats], pictures: Iterable[Picture], side: int) -> list[Detections]:
    """Return what a model finds in each picture, in its own pixels, unfiltered."""
    return [detect(pixels, run, side) for pixels in pictures]


def deviation(network: Any, run: Callable[[Floats], Floats], pictures: Iterable[Picture], side: int) -> float:
    """Return how far a model's rows are from the network's, at worst; see :func:`rows_apart`."""
    import torch

    worst = 0.0
    with torch.no_grad():
        for pixels in pictures:
            seen, _ = given_to(pixels, side)
            (ours,), (theirs,) = network(torch.from_numpy(seen)).numpy(), run(seen)
            worst = max(worst, rows_apart(ours, theirs, max(seen.shape[2:])))
    return worst


def rows_apart(left: Floats, right: Floats, side: float) -> float:
    """Return how far apart two lists of rows are: scores, and corners in shares of ``side``; the worst pair counts.

    Rows are the 300 best of thousands, so rounding changes the order of those that are nearly equal, and which one is
    the last. Rows are therefore paired so that the sum of differences is least, a class with its own only, and a pair
    near the end of both lists doesn't count.

    >>> row = np.array([[0, 0, 10, 10, 0.9, 1]], np.float32)
    >>> rows_apart(row, row + np.array([1, 0, 0, 0, 0, 0], np.float32), 100)
    0.01
    """
    from scipy.optimize import linear_sum_assignment

    corners = np.abs(left[:, None, :SCORE] - right[None, :, :SCORE]).max(axis=2) / side
    scores = np.abs(left[:, None, SCORE] - right[None, :, SCORE])
    apart = np.where(left[:, None, CLASS] == right[None, :, CLASS], np.maximum(corners, scores), 1.0)
    first, second = linear_sum_assignment(apart)
    last = max(left[:, SCORE].min(), right[:, SCORE].min()) + SAME if len(left) == ROWS else 0.0
    counts = np.maximum(left[first, SCORE], right[second, SCORE]) > last
    return round(float(apart[first, second][counts].max(initial=0.0)), 9)


def sound(rows: Floats) -> bool:
    """Tell whether rows are what a detector's can be: finite, with scores in [0, 1] and classes that there are."""
    known = np.isin(rows[..., CLASS], np.arange(len(LABELS)))
    scores = (rows[..., SCORE] >= 0) & (rows[..., SCORE] <= 1)
    return bool(np.isfinite(rows).all() and known.all() and scores.all())
