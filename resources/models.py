"""Models as a worker takes them: names and a device that travel to another process and load there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ops.faces import FaceDetector, FaceLandmarker


@dataclass(frozen=True)
class FaceModels:
    """A face detector and a mesh landmarker.

    Attributes:
        detector: one of :data:`resources.detectors.DETECTORS`.
        landmarker: ``mesh`` or ``face_landmarker``.
        device: ``auto``, ``cuda`` or ``cpu``.
    """

    detector: str = "blazeface"
    landmarker: str = "mesh"
    device: str = "auto"

    def load(self) -> tuple[FaceDetector, FaceLandmarker]:
        """Load both; model files are fetched and verified on the way."""
        from resources.detectors import make_detector
        from resources.landmarkers import make_landmarker

        return make_detector(self.detector, self.device), make_landmarker(self.landmarker, self.device)

    def versions(self) -> dict[str, str]:
        """Return what decides about the result: both names, and the checksum of every model file behind them.

        Raises:
            ValueError: there is no such detector, or the landmarker is none that gives a mesh.
        """
        from model_assets.registry import Registry
        from resources.detectors import DETECTORS, FILES
        from resources.landmarkers import LANDMARKERS, MESHES

        for what, name, allowed in (("detector", self.detector, DETECTORS), ("landmarker", self.landmarker, MESHES)):
            if name not in allowed:
                raise ValueError(f"unknown {what} {name!r}; allowed: {', '.join(allowed)}")
        known = Registry.load().models
        names = [*FILES.get(self.detector, (self.detector,)), *LANDMARKERS[self.landmarker].models]
        files = {name: known[name].sha256 for name in names if name in known}
        return {"detector": self.detector, "landmarker": self.landmarker, **files}
