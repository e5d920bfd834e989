"""ONNX files opened to run: on a device, with as many threads as there is room for."""

from __future__ import annotations

import multiprocessing
import os
from typing import TYPE_CHECKING

from resources.devices import onnx_providers

if TYPE_CHECKING:
    from pathlib import Path

    import onnxruntime as ort


class BadNetwork(ValueError):
    """A file that is not the network it is to be, and why."""


def open_session(
    path: Path, device: str = "cpu", threads: int = 0, *, wrong: type[ValueError] = BadNetwork
) -> ort.InferenceSession:
    """Return a quiet session of an ONNX file.

    Args:
        path: the file.
        device: ``auto``, ``cpu`` or ``cuda``.
        threads: that one picture is worked on with; 0: all cores, or one in a pool's process.
        wrong: what is raised where the file is no ONNX that can be run.

    Raises:
        BadNetwork: it is none; or ``wrong``.
        DeviceUnavailable: ``cuda`` where there is none.
    """
    import onnxruntime as ort
    from onnxruntime.capi.onnxruntime_pybind11_state import (
        Fail,
        InvalidArgument,
        InvalidGraph,
        InvalidProtobuf,
        NotImplemented,
    )

    options = ort.SessionOptions()
    pooled = multiprocessing.parent_process() is not None
    options.intra_op_num_threads = threads or (1 if pooled else len(os.sched_getaffinity(0)))
    options.log_severity_level = 3
    try:
        return ort.InferenceSession(path, options, providers=onnx_providers(device))
    except (Fail, InvalidArgument, InvalidGraph, InvalidProtobuf, NotImplemented) as error:
        raise wrong(f"{path} is no ONNX that can be run: {error}") from error
