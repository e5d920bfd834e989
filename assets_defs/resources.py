"""The resources as Dagster hands them out: configurable shells around what stands in ``resources``."""

from collections.abc import Sequence
from pathlib import Path

import dagster as dg
import pandas as pd
from pydantic import Field

from assets_defs.config import ROOT
from ops.store import DONE, Column, Dataset
from resources.compute import Local
from resources.mask_detectors import OnnxMaskDetector
from resources.models import FaceModels
from resources.tracking import Tracking as MlflowStore
from resources.tracking import local_uri
from resources.unmaskers import OnnxUnmasker


class Workspace(dg.ConfigurableResource):
    """The data folder: ``raw/<source>`` goes in; ``<asset>/<source>`` comes out or, of all sources, ``<asset>``."""

    data: str = Field(default="data", description="the data folder, relative to the project's folder")
    without: list[str] = Field(default=[], description="sources to leave out of what all sources make together")

    @property
    def folder(self) -> Path:
        """The data folder."""
        return ROOT / self.data

    def raw(self, source: str) -> Path:
        """Folder of a source's raw files."""
        return self.folder / "raw" / source

    def sources(self) -> list[str]:
        """Names of all sources, sorted."""
        raw = self.folder / "raw"
        if not raw.is_dir():
            return []
        names = (path.name for path in raw.iterdir() if path.is_dir() and not path.name.startswith("."))
        return sorted(set(names) - set(self.without))

    def dataset(self, asset: str, source: str = "", columns: Sequence[Column] = ()) -> Dataset:
        """Dataset of an asset's partition, or of an asset that has none."""
        return Dataset(self.folder / asset / source, columns)

    def everywhere(self, asset: str, status: str | None = DONE) -> pd.DataFrame:
        """Return the rows of one status, or all, that an asset has of all sources, with the source as ``folder``."""
        made = {source: self.dataset(asset, source) for source in self.sources()}
        here = {source: dataset for source, dataset in made.items() if dataset.manifest.is_file()}
        tables = [dataset.read(status=status).assign(folder=source) for source, dataset in here.items()]
        return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


class Models(dg.ConfigurableResource):
    """Models on a device."""

    device: str = Field(default="auto", description="auto, cuda or cpu")

    def faces(self, detector: str, landmarker: str) -> FaceModels:
        """Detector and mesh landmarker by name."""
        return FaceModels(detector, landmarker, self.device)

    def masks(self, onnx: Path) -> OnnxMaskDetector:
        """The mask detector in a file."""
        return OnnxMaskDetector(onnx, self.device)

    def unmasker(self, segmenter: Path, completer: Path) -> OnnxUnmasker:
        """The networks in two files."""
        return OnnxUnmasker(segmenter, completer, self.device)


class Compute(dg.ConfigurableResource):
    """Where the work runs."""

    workers: int = Field(default=0, description="processes; 0 lets the amount of work decide")

    def mapper(self) -> Local:
        """What maps work over items."""
        return Local(self.workers)


class Tracking(dg.ConfigurableResource):
    """Where trainings are tracked."""

    uri: str = Field(default="", description="of an MLflow store; MLFLOW_TRACKING_URI or data/mlflow when empty")

    def store(self, workspace: Workspace, network: str = "mask_detector") -> MlflowStore:
        """The store: a network's runs, and its versions in the registry."""
        return MlflowStore(self.uri or local_uri(workspace.folder), network)
