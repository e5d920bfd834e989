"""Mask detectors for tests: one whose answers are known by construction, and an untrained YOLO26."""

import json
from pathlib import Path

from ops.masking import LABELS

CELL = 32
RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)
"""What the patch detector takes for faces of each of the classes, in their order."""


def patch_detector(path: Path, *, size: int = 320, thresholds: tuple[float, ...] = (0.9, 0.9, 0.9), **metadata) -> Path:
    """Write an ONNX that finds 32-pixel cells of its input in pure red, green or blue: the classes, with score 1.

    The score is how far the strongest colour of a cell's mean is above the weakest, so grey, black and white give 0.
    """
    import onnx
    from onnx import TensorProto, helper

    def constant(name: str, value: float) -> onnx.TensorProto:
        return helper.make_tensor(name, TensorProto.FLOAT, [], [value])

    node = helper.make_node
    nodes = [
        node("AveragePool", ["images"], ["mean"], kernel_shape=[CELL, CELL], strides=[CELL, CELL]),
        node("ReduceMax", ["mean"], ["high"], axes=[1]),
        node("ReduceMin", ["mean"], ["low"], axes=[1]),
        node("Sub", ["high", "low"], ["score"]),
        node("ArgMax", ["mean"], ["index"], axis=1),
        node("Cast", ["index"], ["label"], to=TensorProto.FLOAT),
        node("Mul", ["score", "none"], ["zeros"]),
        node("Add", ["zeros", "cell"], ["cells"]),
        node("CumSum", ["cells", "across"], ["x2"]),
        node("CumSum", ["cells", "down"], ["y2"]),
        node("Sub", ["x2", "cell"], ["x1"]),
        node("Sub", ["y2", "cell"], ["y1"]),
        node("Concat", ["x1", "y1", "x2", "y2", "score", "label"], ["grid"], axis=1),
        node("Reshape", ["grid", "flat"], ["columns"]),
        node("Transpose", ["columns"], ["boxes"], perm=[0, 2, 1]),
    ]
    graph = helper.make_graph(
        nodes,
        "patches",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", 3, "height", "width"])],
        [helper.make_tensor_value_info("boxes", TensorProto.FLOAT, ["n", "k", 6])],
        [
            constant("none", 0),
            constant("cell", CELL),
            helper.make_tensor("across", TensorProto.INT64, [], [3]),
            helper.make_tensor("down", TensorProto.INT64, [], [2]),
            helper.make_tensor("flat", TensorProto.INT64, [3], [0, 6, -1]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    for name, value in {"names": LABELS, "size": size, "thresholds": thresholds, **metadata}.items():
        if value is not None:
            model.metadata_props.add(key=name, value=json.dumps(value))
    onnx.save(model, path)
    return path


def untrained_detector(folder: Path) -> Path:
    """Write an untrained YOLO26n of three classes as ONNX, and its checkpoint ``weights.pt`` beside it.

    It is surer than untrained ones are, so that it sees something, everywhere.
    """
    import onnx
    import torch
    from ultralytics.nn.tasks import DetectionModel

    from ops.training.export import load_network, to_onnx, told

    torch.manual_seed(0)
    model = DetectionModel("yolo26n.yaml", nc=len(LABELS), verbose=False)
    model.names, model.args = dict(enumerate(LABELS)), {"task": "detect"}
    with torch.no_grad():
        for branch in model.model[-1].one2one_cv3:
            branch[-1].bias += 5
    torch.save({"model": model, "train_args": {"task": "detect"}, "epoch": -1}, folder / "weights.pt")
    exported = to_onnx(load_network(folder / "weights.pt"), 320)
    told(exported, {"thresholds": [0.5] * len(LABELS)})
    onnx.save(exported, folder / "detector.onnx")
    return folder / "detector.onnx"
