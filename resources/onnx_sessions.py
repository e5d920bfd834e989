"""ONNX files opened to run: on a device, with as many threads as there is room for."""

from __future__ import annotations

import contextlib
import io
import logging
import multiprocessing
import os
from functools import cache
from typing import TYPE_CHECKING

from resources.devices import DeviceUnavailable, onnx_providers

if TYPE_CHECKING:
    from pathlib import Path

    import onnxruntime as ort


CUDA = "CUDAExecutionProvider"

log = logging.getLogger(__name__)


class BadNetwork(ValueError):
    """A file that is not the network it is to be, and why."""


def open_session(
    path: Path, device: str = "cpu", threads: int = 0, *, wrong: type[ValueError] = BadNetwork
) -> ort.InferenceSession:
    """Return a quiet session of an ONNX file.

    On a machine whose driver reports a GPU that onnxruntime can't use, ``auto`` is the CPU, with a warning.

    Args:
        path: the file.
        device: ``auto``, ``cpu`` or ``cuda``.
        threads: that one picture is worked on with; 0: all cores, or one in a pool's process.
        wrong: what is raised where the file is no ONNX that can be run.

    Raises:
        BadNetwork: it is none; or ``wrong``.
        DeviceUnavailable: ``cuda`` where there is none, or CUDA's libraries don't load.
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
    providers = onnx_providers(device)
    missing = cuda_libraries() if CUDA in providers else ""
    try:
        session = ort.InferenceSession(path, options, providers=providers)
    except (Fail, InvalidArgument, InvalidGraph, InvalidProtobuf, NotImplemented) as error:
        raise wrong(f"{path} is no ONNX that can be run: {error}") from error
    if CUDA in providers and CUDA not in session.get_providers():
        told = f"onnxruntime can't use the GPU: {missing or 'its message says why'}; see docs/troubleshooting.md"
        if device == "cuda":
            raise DeviceUnavailable(told)
        _warn(told)
    return session


@cache
def cuda_libraries() -> str:
    """Load CUDA's libraries from where pip puts them, as onnxruntime does not by itself, and return which don't load.

    torch's wheel brings all but one of those that onnxruntime is linked with: cuRAND is in the wheel ``nvidia-curand``.
    """
    import onnxruntime as ort

    with contextlib.redirect_stdout(io.StringIO()) as told:
        ort.preload_dlls()
    return "; ".join(line for line in told.getvalue().splitlines() if line.startswith("Failed"))


@cache
def _warn(told: str) -> None:
    log.warning("%s; networks run on the CPU", told)
