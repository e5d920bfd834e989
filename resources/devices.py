"""The device that models run on: ``auto``, ``cpu`` or ``cuda``."""

from __future__ import annotations

import ctypes
from functools import cache

DEVICES = ("auto", "cpu", "cuda")


class DeviceUnavailable(RuntimeError):
    """A device was asked for that this machine does not have."""


@cache
def cuda_devices() -> int:
    """Return how many CUDA devices the driver reports; 0 without a driver.

    Asks the driver itself: onnxruntime-gpu lists its CUDA provider on machines without a GPU, too.
    """
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 0
    return count.value


def resolve_device(device: str) -> str:
    """Return ``cpu`` or ``cuda`` for ``auto``, ``cpu`` or ``cuda``.

    Raises:
        ValueError: for another name.
        DeviceUnavailable: for ``cuda`` where there is no CUDA device.

    >>> resolve_device("cpu")
    'cpu'
    """
    if device not in DEVICES:
        raise ValueError(f"unknown device {device!r}: use one of {', '.join(DEVICES)}")
    if device == "cpu":
        return "cpu"
    if cuda_devices():
        return "cuda"
    if device == "cuda":
        raise DeviceUnavailable(
            "device 'cuda' was asked for, but the driver reports no CUDA device: use 'auto' or 'cpu'"
        )
    return "cpu"


def onnx_providers(device: str) -> list[str]:
    """Return the onnxruntime execution providers for a device, preferred first.

    Raises:
        ValueError: for an unknown device.
        DeviceUnavailable: for ``cuda`` where there is no CUDA device.

    >>> onnx_providers("cpu")
    ['CPUExecutionProvider']
    """
    cpu = ["CPUExecutionProvider"]
    return ["CUDAExecutionProvider", *cpu] if resolve_device(device) == "cuda" else cpu
