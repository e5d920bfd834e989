"""What networks compute in while they train: half as many bits where the hardware has them."""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

PRECISIONS = ("auto", "float32", "bfloat16")


def computed_in(precision: str, device: str) -> str:
    """Return what ``precision`` means on a device: ``float32`` or ``bfloat16``, or ``float16`` on an older GPU.

    Args:
        precision: one of :data:`PRECISIONS`; ``auto`` is bfloat16 where CPU or GPU compute in it.
        device: ``cpu`` or ``cuda``.
    """
    import torch

    if precision != "auto":
        return precision
    if device == "cpu":
        return "bfloat16" if torch.cpu._is_avx512_bf16_supported() else "float32"
    return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float16"


def context_of(precision: str, device: str) -> Callable[[], Any]:
    """Return what makes a context to compute in, for a precision of :func:`computed_in`."""
    import torch

    if precision == "bfloat16":
        return partial(torch.autocast, device, torch.bfloat16)
    return nullcontext
