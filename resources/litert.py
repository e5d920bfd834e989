"""Running a .tflite file: one picture in, named arrays out."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray


class TfLite:
    """A LiteRT interpreter on one thread, for models with one input.

    Args:
        model: the .tflite file, or what is in it.
    """

    def __init__(self, model: Path | bytes) -> None:
        from ai_edge_litert.interpreter import Interpreter

        # a path would be mapped, and what is written over the file later would run
        content = model if isinstance(model, bytes) else model.read_bytes()
        with _quiet():
            self._run = Interpreter(model_content=content, num_threads=1)
            self._run.allocate_tensors()
        self._input = self._run.get_input_details()[0]["index"]
        outputs = self._run.get_output_details()
        self._outputs = [known["index"] for known in sorted(outputs, key=lambda known: -int(np.prod(known["shape"])))]

    def __call__(self, values: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Return the outputs for one input, the largest first; there is no batch axis."""
        self._run.set_tensor(self._input, values[None])
        self._run.invoke()
        found = (self._run.get_tensor(index) for index in self._outputs)
        return [values if values.ndim == 1 else values[0] for values in found]


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the runtime's own greeting off the terminal; errors still come as exceptions."""
    saved, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)
