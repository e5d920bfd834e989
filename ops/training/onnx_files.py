"""ONNX models of any network: metadata, weights in half precision, a session on the CPU."""

from __future__ import annotations

import io
import json
import warnings
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import onnx
    import onnxruntime as ort
    from torch import nn

OPSET = 17
SMALL = 16
"""Tensors of fewer numbers stay float32: they are no weights, and halving them saves nothing."""


def to_onnx(network: nn.Module, inputs: Sequence[str], output: str, size: int) -> onnx.ModelProto:
    """Return a network as ONNX, for any number of squares of any side; every weight is there as it is.

    Args:
        network: takes 3 channels first and 1 after.
        inputs: their names.
        output: its name.
        size: side to trace it with.
    """
    import onnx
    import torch

    data = io.BytesIO()
    free = {0: "n", 2: "height", 3: "width"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer announces its successor
        torch.onnx.export(
            network,
            tuple(torch.zeros(2, channels, size, size) for channels in (3, 1)[: len(inputs)]),
            data,  # type: ignore[arg-type]
            opset_version=OPSET,
            input_names=list(inputs),
            output_names=[output],
            dynamic_axes=dict.fromkeys((*inputs, output), free),
            # nothing is folded, so that rounding the weights rounds what the network itself has
            training=torch.onnx.TrainingMode.PRESERVE,
            do_constant_folding=False,
            dynamo=False,
        )
    return onnx.load_from_string(data.getvalue())


def told(model: onnx.ModelProto, metadata: Mapping[str, object]) -> None:
    """Write metadata into a model, each value as JSON, in the place of what it had of these names."""
    known = {entry.key: entry.value for entry in model.metadata_props}
    known |= {name: json.dumps(value) for name, value in metadata.items()}
    del model.metadata_props[:]
    for name, text in sorted(known.items()):
        model.metadata_props.add(key=name, value=text)


def to_float16(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a model whose weights are stored in half precision, and which computes in float32 as before.

    To compute in half precision would cost more: a detector's box corners would be off by up to half a pixel.
    onnxruntime widens the weights once, on loading.
    """
    import onnx
    from onnx import numpy_helper

    half = onnx.ModelProto()
    half.CopyFrom(model)
    casts = []
    for tensor in half.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype == np.float32 and values.size >= SMALL:
            wide, tensor.name = tensor.name, f"{tensor.name}_half"
            tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), tensor.name))
            casts.append(onnx.helper.make_node("Cast", [tensor.name], [wide], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *half.graph.node]
    del half.graph.node[:]
    half.graph.node.extend(nodes)
    return half


def session_of(model: bytes) -> ort.InferenceSession:
    """Return a quiet session of a model on the CPU."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 3
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
