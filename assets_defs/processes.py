"""Which process a run is in, so that a run whose process is gone is not taken for one that goes on."""

import os
import socket
from pathlib import Path

PROCESS = "maskline/process"
"""Tag of a run."""


def this_process() -> str:
    """Return what stands for this process, on whatever machine and after however many restarts of it."""
    told = _named(os.getpid())
    assert told is not None  # noqa: S101 - it is there: it asks
    return told


def gone(told: str) -> bool:
    """Tell whether a process of this machine has ended; of other machines nothing is known, and that is no."""
    host, _, pid, _ = told.split()
    return host == socket.gethostname() and _named(int(pid)) != told


def _named(pid: int) -> str | None:
    """Machine, its boot, the process's number and its start in ticks since the boot: no clock has a part in it."""
    try:
        state, *known = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    if state == "Z":
        return None
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{socket.gethostname()} {boot} {pid} {known[18]}"
