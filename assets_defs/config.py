"""What the assets take their settings from: params.yaml for values, dvc.yaml for the code behind a stage."""

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import dagster as dg
import yaml
from pydantic import Field

ROOT = Path(__file__).resolve().parents[1]
"""The project's folder."""

WHOLE = ("annotated_scenes", "yolo_splits")
"""Assets that all sources make together; any other has a partition a source."""

LOOKING = ("frames", "annotated_scenes")
"""Assets that read data/raw for themselves: only looking at the files can tell whether they are fresh."""


@cache
def _read(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / name).read_text())
    return loaded


def section(asset: str) -> dict[str, Any]:
    """Return an asset's section of params.yaml."""
    settings: dict[str, Any] = _read("params.yaml")[asset]
    return settings


def stage(asset: str) -> dict[str, Any]:
    """Return an asset's stage of dvc.yaml."""
    described: dict[str, Any] = _read("dvc.yaml")["stages"][asset]
    return described


def inputs(asset: str) -> list[str]:
    """Return the names of the assets that an asset reads."""
    folders = [name for name in stage(asset)["deps"] if name.startswith("data/") and name != "data/raw"]
    return [name.removeprefix("data/") for name in folders]


def partition(asset: str, source: str) -> str:
    """Return the partition of ``asset`` that belongs to a source: itself, or none where all sources make one."""
    return "" if asset in WHOLE else source


def code_version(asset: str) -> str:
    """MD5 of everything that the asset's stage depends on besides data: code, tables read by code, own garments."""
    digest = hashlib.md5(usedforsecurity=False)
    for name in stage(asset)["deps"]:
        if not name.startswith("data/"):
            path = ROOT / name
            for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
                if file.is_file():
                    digest.update(file.read_bytes())
    return digest.hexdigest()


def _from(asset: str, name: str) -> Callable[[], Any]:
    return lambda: section(asset)[name]


class FramesConfig(dg.Config):
    """Settings of ``frames``."""

    fps: float = Field(default_factory=_from("frames", "fps"), description="frames a second taken from videos")
    identity: str = Field(
        default_factory=_from("frames", "identity"), description="parent, stem, regex:PATTERN or none"
    )
    max_pixels: int = Field(default_factory=_from("frames", "max_pixels"), description="larger pictures are refused")


class FaceGeometryConfig(dg.Config):
    """Settings of ``face_geometry``."""

    detector: str = Field(default_factory=_from("face_geometry", "detector"), description="detector by name")
    landmarker: str = Field(default_factory=_from("face_geometry", "landmarker"), description="mesh landmarker by name")
    min_score: float = Field(default_factory=_from("face_geometry", "min_score"), description="lowest score kept")
    max_faces: int = Field(default_factory=_from("face_geometry", "max_faces"), description="faces a frame; 0 for all")


class MaskedFacesConfig(dg.Config):
    """Settings of ``masked_faces``."""

    variants: int = Field(
        default_factory=_from("masked_faces", "variants"), ge=1, description="masked pictures a frame"
    )
    preset: str = Field(default_factory=_from("masked_faces", "preset"), description="named distribution of masks")
    kinds: dict[str, float] = Field(default_factory=_from("masked_faces", "kinds"), description="weight of each kind")
    colours: dict[str, float] = Field(default_factory=_from("masked_faces", "colours"), description="weights, #rrggbb")
    patterns: dict[str, float] = Field(default_factory=_from("masked_faces", "patterns"), description="weights")
    states: dict[str, float] = Field(default_factory=_from("masked_faces", "states"), description="weights, how worn")
    fit: list[float] = Field(default_factory=_from("masked_faces", "fit"), description="least and greatest size")
    garments: str = Field(default_factory=_from("masked_faces", "garments"), description="folder of your own garments")
    min_face_px: int = Field(
        default_factory=_from("masked_faces", "min_face_px"), description="smaller faces stay bare"
    )
    quality: int = Field(default_factory=_from("masked_faces", "quality"), ge=1, le=100, description="JPEG quality")
    seed: int = Field(default_factory=_from("masked_faces", "seed"), description="another seed, other masks")


class AnnotatedScenesConfig(dg.Config):
    """Settings of ``annotated_scenes``."""

    voc_first_pixel: int = Field(
        default_factory=_from("annotated_scenes", "voc_first_pixel"), description="0 or 1: where Pascal VOC counts from"
    )
    classes: dict[str, list[str]] = Field(
        default_factory=_from("annotated_scenes", "classes"), description="how annotations spell each class"
    )


class YoloSplitsConfig(dg.Config):
    """Settings of ``yolo_splits``."""

    ratios: list[float] = Field(
        default_factory=_from("yolo_splits", "ratios"), description="shares of train, val and test"
    )
    seed: int = Field(default_factory=_from("yolo_splits", "seed"), description="another seed, another split")
    synthetic: int = Field(
        default_factory=_from("yolo_splits", "synthetic"),
        ge=0,
        description="pictures with drawn masks in training at most; 0: all",
    )
    balance: float = Field(
        default_factory=_from("yolo_splits", "balance"),
        ge=0,
        le=1,
        description="share of the commonest class that pasting brings the others to",
    )
    reuse: int = Field(
        default_factory=_from("yolo_splits", "reuse"), ge=0, description="times a face is pasted at most"
    )
    min_face_px: int = Field(
        default_factory=_from("yolo_splits", "min_face_px"), ge=1, description="smaller faces are not pasted"
    )
    rotation: float = Field(default_factory=_from("yolo_splits", "rotation"), description="degrees, either way")
    flip: float = Field(
        default_factory=_from("yolo_splits", "flip"), ge=0, le=1, description="chance of being mirrored"
    )
    jitter: list[float] = Field(
        default_factory=_from("yolo_splits", "jitter"), description="of brightness, contrast, saturation and hue"
    )
    translate: float = Field(default_factory=_from("yolo_splits", "translate"), description="share of the face")
    scale: list[float] = Field(default_factory=_from("yolo_splits", "scale"), description="least and greatest")
    shear: float = Field(default_factory=_from("yolo_splits", "shear"), description="degrees, either way")
    quality: int = Field(
        default_factory=_from("yolo_splits", "quality"), ge=1, le=100, description="JPEG quality of pasted pictures"
    )


class AlignedCropsConfig(dg.Config):
    """Settings of ``aligned_crops``."""

    styles: list[str] = Field(default_factory=_from("aligned_crops", "styles"), description="crop styles, or all")
    size: int = Field(default_factory=_from("aligned_crops", "size"), description="side of a crop in pixels")
    wearing: list[str] = Field(default_factory=_from("aligned_crops", "wearing"), description="bare, masked or both")
    quality: int = Field(default_factory=_from("aligned_crops", "quality"), description="JPEG quality")
