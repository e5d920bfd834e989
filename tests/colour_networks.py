"""Networks that go by colour, as ONNX files: what is green is a mask, and under every mask is skin of one tone."""

from pathlib import Path

import cv2
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ops.records import Picture
from resources.unmaskers import OnnxUnmasker
from tests.tiny_pairs import FACES, HIDDEN

CLOTH = (40, 190, 60)
SKIN = (190, 150, 125)
PICTURES, REGIONS, SHARES, COMPLETED = ("pictures", 3), ("regions", 1), ("shares", 1), ("completed", 3)


def colour_networks(folder: Path, size: int | str | None = 64) -> OnnxUnmasker:
    """Write both networks, with ``size`` as their metadata; None: without."""
    weights = np.array([-20, 40, -20], np.float32).reshape(1, 3, 1, 1)
    segment = [
        helper.make_node("Conv", ["pictures", "weights", "bias"], ["logits"]),
        helper.make_node("Sigmoid", ["logits"], ["shares"]),
    ]
    skin = np.array(SKIN, np.float32).reshape(1, 3, 1, 1) / 255
    complete = [
        helper.make_node("Ceil", ["regions"], ["anew"]),
        helper.make_node("Sub", ["one", "anew"], ["known"]),
        helper.make_node("Mul", ["pictures", "known"], ["kept"]),
        helper.make_node("Mul", ["skin", "anew"], ["filled"]),
        helper.make_node("Add", ["kept", "filled"], ["completed"]),
    ]
    paths = folder / "segmenter.onnx", folder / "completer.onnx"
    _write(paths[0], segment, [PICTURES], SHARES, {"weights": weights, "bias": np.float32([-8])}, size)
    _write(paths[1], complete, [PICTURES, REGIONS], COMPLETED, {"one": np.float32([1]), "skin": skin}, size)
    return OnnxUnmasker(*paths, threads=1)


def colour_embedder(path: Path, pool: str = "GlobalAveragePool") -> Path:
    """Write a network that tells faces apart by their mean colours, or other colours of theirs."""
    inside = helper.make_tensor_value_info("pictures", TensorProto.FLOAT, ["n", 3, 112, 112])
    outside = helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["n", 3])
    nodes = [
        helper.make_node(pool, ["pictures"], ["colours"]),
        helper.make_node("Flatten", ["colours"], ["vectors"]),
    ]
    graph = helper.make_graph(nodes, "colours", [inside], [outside])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def _write(path, nodes, given, made, constants, size):
    def values(*ends):
        return [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n", c, "height", "width"]) for n, c in ends]

    initializers = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "colour", values(*given), values(made), initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    if size is not None:
        model.metadata_props.add(key="size", value=str(size))
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)


def masked(pixels: Picture, mesh: np.ndarray | None = None) -> Picture:
    """Return a picture with a green mask over the lower half of a face: the astronaut's by default."""
    worn = pixels.copy()
    points = (FACES[0].mesh if mesh is None else mesh)[list(HIDDEN), :2]
    cv2.fillPoly(worn, [points.round().astype(np.int32)], CLOTH, cv2.LINE_AA)
    return worn


def greenness(pixels: Picture) -> np.ndarray:
    """Return by how much green exceeds the other colours, ``(h, w)``."""
    values = pixels.astype(int)
    return values[..., 1] - np.maximum(values[..., 0], values[..., 2])
