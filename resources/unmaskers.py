"""Unmaskers: a face in a square in, which pixels a mask covers, and what is under it, out."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ops import images
from ops.content import file_md5
from ops.unmasking.composition import RIM
from resources.onnx_sessions import BadNetwork, open_session

if TYPE_CHECKING:
    import onnxruntime as ort
    from numpy.typing import NDArray

    from ops.records import Floats, Picture

__all__ = ["BadNetwork", "OnnxUnmasker", "networks", "shipped"]

NETWORKS = ("shipped", "trained")

SMALLEST = 16


@dataclass(frozen=True)
class OnnxUnmasker:
    """A segmenter and a completer in ONNX files, run by onnxruntime; picklable, each process opens them for itself.

    Each file says in its metadata ``size``, a JSON number, the side in pixels of the squares that it is made for. A
    square of another side is scaled to it, and what comes out is scaled back.

    Attributes:
        segmenter: ``(n, 3, h, w)`` float32 RGB in [0, 1] in, ``(n, 1, h, w)`` probabilities out.
        completer: ``(n, 3, h, w)`` and ``(n, 1, h, w)``, 1 where something is missing and a half on a rim that is to be
            made anew as well, in; ``(n, 3, h, w)`` out.
        device: ``auto``, ``cpu`` or ``cuda``.
        threads: that one square is worked on with; 0: all cores, or one in a pool's process.

    Raises, when it is first used:
        FileNotFoundError: there is no such file.
        BadNetwork: it is no ONNX, has other inputs or outputs, or lacks the metadata.
        DeviceUnavailable: ``cuda`` where there is none.
    """

    segmenter: Path
    completer: Path
    device: str = "cpu"
    threads: int = 0

    @property
    def size(self) -> int:
        """Side in pixels of the square from which on neither network is given more detail."""
        return max(self.sizes)

    @property
    def sizes(self) -> tuple[int, int]:
        """Sides in pixels of the squares that segmenter and completer are made for."""
        return self._segment[1], self._complete[1]

    def check(self) -> tuple[str, str]:
        """Open both files, so that what is wrong with them is told early, and return their hashes."""
        self._segment, self._complete  # noqa: B018
        return self._hashes

    def files(self) -> dict[Path, str]:
        """Return both files with the hashes that they have when they are first asked for."""
        return dict(zip((self.segmenter, self.completer), self._hashes, strict=True))

    def shares(self, square: Picture) -> Floats:
        """Return how likely a mask covers each pixel, ``(h, w)`` in [0, 1].

        Args:
            square: an upright face as :func:`ops.unmasking.framing.framed` shows it, of any size.
        """
        import cv2

        session, size = self._segment
        (made,) = session.run(None, {session.get_inputs()[0].name: _given(square, size)})
        return np.asarray(cv2.resize(made[0, 0], square.shape[1::-1], interpolation=cv2.INTER_LINEAR), np.float32)

    def complete(self, square: Picture, region: NDArray[np.bool_], rim: NDArray[np.bool_] | None = None) -> Picture:
        """Return the square as it looks with its region completed; as the network gives it, for nothing is composed.

        Args:
            square: as for :meth:`shares`; what lies in the region is not looked at, but for its rim.
            region: ``(h, w)``.
            rim: ``(h, w)``, the part of the region that may be looked at; None: nothing of it.
        """
        session, size = self._complete
        pictures, regions = (given.name for given in session.get_inputs())
        core = region if rim is None else region & ~rim
        every, unseen = (_given(part.astype(np.uint8) * 255, size) > 0 for part in (region, core))
        missing = np.where(unseen, 1, every * RIM).astype(np.float32)
        (made,) = session.run(None, {pictures: _given(square, size), regions: missing})
        whole = np.rint(np.clip(made[0], 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)
        return whole if square.shape == whole.shape else _scaled(whole, square.shape[1::-1])

    def __getstate__(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @cached_property
    def _hashes(self) -> tuple[str, str]:
        return file_md5(self.segmenter), file_md5(self.completer)

    @cached_property
    def _segment(self) -> tuple[ort.InferenceSession, int]:
        return _opened(self.segmenter, "mask segmenter", (3,), 1, self.device, self.threads)

    @cached_property
    def _complete(self) -> tuple[ort.InferenceSession, int]:
        return _opened(self.completer, "face completer", (3, 1), 3, self.device, self.threads)


def shipped() -> tuple[Path, Path]:
    """Return where the project's own segmenter and completer lie."""
    weights = Path(__file__).resolve().parents[1] / "model_assets" / "weights"
    return weights / "mask_segmenter.onnx", weights / "face_completer.onnx"


def networks(which: str, data: Path) -> tuple[Path, Path]:
    """Return where a segmenter and a completer lie.

    Args:
        which: ``shipped``, the project's own, or ``trained``, those that were trained in the data folder.
        data: that folder.

    Raises:
        ValueError: another name.
    """
    if which not in NETWORKS:
        raise ValueError(f"networks {which!r} are unknown; allowed are {', '.join(NETWORKS)}")
    own = (data / "mask_segmenter" / "segmenter.onnx", data / "face_completer" / "completer.onnx")
    return own if which == "trained" else shipped()


def _opened(
    path: Path, what: str, inside: tuple[int, ...], outside: int, device: str, threads: int
) -> tuple[ort.InferenceSession, int]:
    """Return a network's session and the side of its squares; ``inside`` and ``outside`` are channels."""
    if not path.is_file():
        raise FileNotFoundError(f"no {what} at {path}: train one, or take one that is trained")
    session = open_session(path, device, threads)
    given, made = session.get_inputs(), session.get_outputs()
    told = [[(end.name, end.type, end.shape) for end in ends] for ends in (given, made)]
    floats = all(end.type == "tensor(float)" and len(end.shape) == 4 for end in (*given, *made))
    if not floats or [end.shape[1] for end in given] != list(inside) or [end.shape[1] for end in made] != [outside]:
        raise BadNetwork(
            f"{path} takes {told[0]} and gives {told[1]}; a {what} takes floats (n, c, h, w) of "
            f"{' and '.join(map(str, inside))} channels and gives such of {outside}"
        )
    metadata = session.get_modelmeta().custom_metadata_map
    try:
        size = json.loads(metadata["size"])
    except (KeyError, ValueError):
        raise BadNetwork(f"{path} has the metadata {metadata}; a {what} has a size as JSON") from None
    if not isinstance(size, int) or size < SMALLEST:
        raise BadNetwork(f"{path} is for squares of {size!r} px; a whole number from {SMALLEST} on is allowed")
    return session, size


def _given(square: NDArray[np.uint8], size: int) -> Floats:
    """Return a picture, or a region of 0 and 255, as a network of this size takes it."""
    scaled = square if square.shape[:2] == (size, size) else images.resized(square, (size, size))
    channels = scaled.transpose(2, 0, 1) if scaled.ndim == 3 else scaled[None]
    return np.ascontiguousarray(channels[None], np.float32) / np.float32(255)


def _scaled(square: Picture, size: tuple[int, int]) -> Picture:
    """Scale a square down by means, and up smoothly."""
    import cv2

    if size[0] < square.shape[1]:
        return images.resized(square, size)
    return np.asarray(cv2.resize(square, size, interpolation=cv2.INTER_CUBIC), np.uint8)
