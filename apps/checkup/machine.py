"""The machine: cores and memory, a GPU that really computes, folders that really take files, ports that are free."""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import shutil
import socket
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from apps.checkup.finding import NOTE, OK, WRONG, Finding, bytes_told
from apps.checkup.packages import INSTALL
from ops.files import DRAFT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LITTLE_MEMORY, LITTLE_DISK, NO_DISK = 4e9, 10e9, 0.5e9
"""Bytes: below the first two it is worth a word, below the last nothing can be made."""


def device() -> Iterator[Finding]:
    """Look at cores, memory and GPU; where the driver reports one, torch and onnxruntime compute something on it."""
    from resources.devices import cuda_devices

    cores = len(os.sched_getaffinity(0))
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    little = memory < LITTLE_MEMORY
    remedy = "--workers 1 keeps to one process" if little else ""
    found = f"{cores} cores, {bytes_told(memory)} of memory"
    yield Finding("device", "CPU", NOTE if little else OK, found, remedy)
    count = cuda_devices()
    if count:
        remedy = f"mend the driver, install what is missing ({INSTALL}'[gpu]' for onnxruntime), or use --device cpu"
        for name, computes in (("GPU in torch", _torch), ("GPU in onnxruntime", _onnxruntime)):
            try:
                yield Finding("device", name, OK, computes())
            except Exception as error:  # noqa: BLE001 - whatever a driver does wrong is what was to be found out
                found = f"the driver reports {count}, but computing on it fails: {error}"
                yield Finding("device", name, WRONG, found, remedy)
    elif Path("/dev/nvidia0").exists():
        found = "the machine has one, but its driver reports none"
        yield Finding("device", "GPU", NOTE, found, "install NVIDIA's driver; in a container, --gpus all")
    else:
        yield Finding("device", "GPU", OK, "none; everything runs on the CPU")


def _torch() -> str:
    import torch

    ones = torch.ones(64, 64, device="cuda")
    if float((ones @ ones).sum()) != 64**3:
        raise ArithmeticError("a product of matrices came out wrong")
    free, total = torch.cuda.mem_get_info()
    memory = f"{bytes_told(free)} of {bytes_told(total)} free"
    return f"{torch.cuda.get_device_name()}, CUDA {torch.version.cuda}, {memory}"


def _onnxruntime() -> str:
    import numpy as np

    from resources.onnx_sessions import open_session
    from resources.unmaskers import shipped

    session = open_session(shipped()[0], "cuda")
    session.run(None, {"pictures": np.zeros((1, 3, 128, 128), np.float32)})
    used: str = session.get_providers()[0]
    return used


def folders(places: Mapping[str, Path]) -> Iterator[Finding]:
    """Try whether each folder, or the nearest one above it that is there, takes, locks and renames files; its space."""
    for name, place in {**places, "temporary files": Path(tempfile.gettempdir())}.items():
        there = next(folder for folder in (place.absolute(), *place.absolute().parents) if folder.is_dir())
        at = str(place) if there == place.absolute() else f"{place} (not there yet)"
        free = shutil.disk_usage(there).free
        trouble = _refusal(there)
        if trouble:
            yield Finding(
                "folders", name, WRONG, f"{at}: {trouble}", f"make {there} writable, or choose another folder"
            )
        elif free < LITTLE_DISK:
            state = WRONG if free < NO_DISK else NOTE
            yield Finding("folders", name, state, f"{at}: {bytes_told(free)} free", "make room")
        else:
            yield Finding("folders", name, OK, f"{at}: {bytes_told(free)} free")


def _refusal(folder: Path) -> str:
    """Say what a folder doesn't do that writing a dataset needs; empty where it does everything."""
    draft = folder / f"{DRAFT}{secrets.token_hex(8)}"
    try:
        with draft.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.replace(draft, draft)
    except OSError as error:
        return f"it takes no files ({error.strerror})" if error.errno != errno.ENOLCK else "it locks no files"
    finally:
        draft.unlink(missing_ok=True)
    return ""


def ports(wanted: Mapping[str, int]) -> Iterator[Finding]:
    """Try whether the ports that apps listen on are free on this machine."""
    for name, port in wanted.items():
        with socket.socket() as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                trial.bind(("127.0.0.1", port))
            except OSError as error:
                found = f"{port} is taken ({error.strerror})"
                yield Finding("ports", name, NOTE, found, "end what listens there, or choose another with --port")
            else:
                yield Finding("ports", name, OK, f"{port} is free")
