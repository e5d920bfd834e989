"""The resources as Dagster hands them out: configurable shells around what stands in ``resources``."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
from pydantic import Field, PrivateAttr

from assets_defs.config import ROOT
from assets_defs.processes import PROCESS, this_process
from ops.store import DONE, Column, Dataset, Mapper
from resources.compute import Local
from resources.mask_detectors import OnnxMaskDetector
from resources.models import FaceModels
from resources.ray_compute import Ray
from resources.storage import Storage
from resources.tracking import Tracking as MlflowStore
from resources.tracking import local_uri
from resources.unmaskers import OnnxUnmasker

DATA = "data"


def _environment(name: str, otherwise: str) -> Callable[[], str]:
    return lambda: os.environ.get(name, otherwise)


class Workspace(dg.ConfigurableResource):
    """The data folder: ``raw/<source>`` goes in; ``<asset>/<source>`` comes out or, of all sources, ``<asset>``."""

    data: str = Field(default=DATA, description="the data folder, relative to the project's folder")
    without: list[str] = Field(default=[], description="sources to leave out of what all sources make together")
    storage: str = Field(
        default_factory=_environment("MASKLINE_STORAGE", ""),
        description="folder or URL (s3://bucket/prefix) that datasets are published to and fetched from; empty: none",
    )
    _looked: set[str] = PrivateAttr(default_factory=set)

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Note which process the run is in, so that its end is noticed however it comes."""
        if context.run and context.instance:
            context.instance.add_run_tags(context.run.run_id, {PROCESS: this_process()})

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

    def dataset(
        self, asset: str, source: str = "", columns: Sequence[Column] = (), made_with: Mapping[str, Any] | None = None
    ) -> Dataset:
        """Dataset of an asset's partition, or of an asset that has none; what is missing here is fetched."""
        place = f"{asset}/{source}".rstrip("/")
        if self.storage and place not in self._looked:
            Storage(self.storage).fetch(self.folder / place, place)
            self._looked.add(place)
        return Dataset(self.folder / asset / source, columns, made_with=made_with)

    def publish(self, asset: str, source: str) -> dict[str, int]:
        """Publish a dataset where there is a storage; return what is to be told of that."""
        place = f"{asset}/{source}".rstrip("/")
        return {"published": Storage(self.storage).publish(self.folder / place, place)} if self.storage else {}

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
    """Where the work runs: in processes of this machine, or on a Ray cluster."""

    compute: str = Field(default_factory=_environment("MASKLINE_COMPUTE", "local"), description="local or ray")
    workers: int = Field(default=0, description="processes or actors; 0 lets the amount of work decide")
    address: str = Field(
        default_factory=_environment("RAY_ADDRESS", ""),
        description="of a Ray cluster: host:port, or auto on one of its nodes; empty starts one on this machine",
    )
    cpus: float = Field(default=1.0, gt=0, description="cores that a worker on Ray takes")
    gpus: float = Field(default=0.0, ge=0, description="share of a GPU that a worker on Ray takes; with 0 it sees none")
    data: str = Field(default=DATA, description="the workspace's data folder, which all nodes have to share")

    def mapper(self) -> Mapper:
        """What maps work over items.

        Raises:
            ValueError: it is to run neither here nor on Ray.
        """
        if self.compute == "local":
            return Local(self.workers)
        if self.compute == "ray":
            return Ray(ROOT / self.data, self.address, self.workers, self.cpus, self.gpus)
        raise ValueError(f"unknown compute {self.compute!r}; allowed: local, ray")


class Tracking(dg.ConfigurableResource):
    """Where trainings are tracked."""

    uri: str = Field(default="", description="of an MLflow store; MLFLOW_TRACKING_URI or data/mlflow when empty")

    def store(self, workspace: Workspace, network: str = "mask_detector") -> MlflowStore:
        """The store: a network's runs, and its versions in the registry."""
        return MlflowStore(self.uri or local_uri(workspace.folder), network)
