"""What the assets take their settings from: params.yaml for values, dvc.yaml for the code behind a stage."""

import hashlib
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
"""The project's folder."""

WHOLE = (
    "annotated_scenes",
    "yolo_splits",
    "mask_detector",
    "detector_report",
    "unmasking_pairs",
    "mask_segmenter",
    "face_completer",
    "unmasking_report",
    "reidentification_report",
)
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


def assets() -> list[str]:
    """Return the names of all assets, inputs first."""
    return list(TopologicalSorter({name: inputs(name) for name in _read("dvc.yaml")["stages"]}).static_order())


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
