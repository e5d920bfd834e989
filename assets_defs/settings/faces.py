"""Settings of the faces group."""

from functools import partial

import dagster as dg

from assets_defs.settings.field import setting

_frames = partial(setting, "frames")


class FramesConfig(dg.Config):
    """Settings of ``frames``."""

    fps: float = _frames("fps", "frames a second taken from videos")
    identity: str = _frames("identity", "parent, stem, regex:PATTERN or none")
    max_pixels: int = _frames("max_pixels", "larger pictures are refused")


_geometry = partial(setting, "face_geometry")


class FaceGeometryConfig(dg.Config):
    """Settings of ``face_geometry``."""

    detector: str = _geometry("detector", "detector by name")
    landmarker: str = _geometry("landmarker", "mesh landmarker by name")
    min_score: float = _geometry("min_score", "lowest score kept")
    max_faces: int = _geometry("max_faces", "faces a frame; 0 for all")


_masked = partial(setting, "masked_faces")


class MaskedFacesConfig(dg.Config):
    """Settings of ``masked_faces``."""

    variants: int = _masked("variants", "masked pictures a frame", ge=1)
    preset: str = _masked("preset", "named distribution of masks")
    kinds: dict[str, float] = _masked("kinds", "weight of each kind")
    colours: dict[str, float] = _masked("colours", "weights, #rrggbb")
    patterns: dict[str, float] = _masked("patterns", "weights")
    states: dict[str, float] = _masked("states", "weights, how worn")
    fit: list[float] = _masked("fit", "least and greatest size")
    garments: str = _masked("garments", "folder of your own garments")
    min_face_px: int = _masked("min_face_px", "smaller faces stay bare")
    quality: int = _masked("quality", "JPEG quality", ge=1, le=100)
    seed: int = _masked("seed", "another seed, other masks")


_crops = partial(setting, "aligned_crops")


class AlignedCropsConfig(dg.Config):
    """Settings of ``aligned_crops``."""

    styles: list[str] = _crops("styles", "crop styles, or all")
    size: int = _crops("size", "side of a crop in pixels")
    wearing: list[str] = _crops("wearing", "bare, masked or both")
    quality: int = _crops("quality", "JPEG quality")
