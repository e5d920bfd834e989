"""Tracking of trainings with MLflow: runs with their epochs and files, and the registry of networks.

The project's own store is one SQLite file and, beside it, a folder of artifacts. Runs name their artifacts relative to
that folder (``mlflow-artifacts:``, as MLflow's server does), so the two may be moved together. To look at them:
``mlflow server --backend-store-uri sqlite:///data/mlflow/mlflow.db --artifacts-destination data/mlflow/artifacts``.
"""

from __future__ import annotations

import logging
import os
import secrets
import shutil
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit, urlunsplit

from ops.files import DRAFT
from ops.telling import without_login

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

CHAMPION, CHALLENGER = "champion", "challenger"
REPORTED = ("metrics.json", "*.png", "*.jpg")
"""Files of a report that go into a run."""

SQLITE, SCHEME = "sqlite:///", "mlflow-artifacts:/"
TRAINING = "training"
"""Tag that ties a run to a training, so that one that was killed goes on in the same run."""

PARENT = "mlflow.parentRunId"
RUN_NAME = "mlflow.runName"
SAMPLED_S = 10
"""Seconds between two samples of the machine's load; MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL goes before it."""

SERVER = "http://127.0.0.1:5000"
"""Where the server of the module's first lines shows the project's own store."""

LOAD = "system/"
"""How metrics of the machine's load begin; :meth:`Tracking.history` has them."""

AT_ONCE = 1000
LOGIN = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")
"""Where MLflow looks for them."""


class RunInfo(NamedTuple):
    """A run: the latest value of each metric but the machine's load, and everything that was said about it."""

    run_id: str
    name: str
    started: datetime
    status: str
    params: dict[str, str]
    metrics: dict[str, float]
    tags: dict[str, str]


class VersionInfo(NamedTuple):
    """A version of a network in the registry, with its run's metrics."""

    version: int
    run_id: str
    aliases: tuple[str, ...]
    metrics: dict[str, float]


def local_uri(data: Path) -> str:
    """Return where runs are kept: MLFLOW_TRACKING_URI, or else ``mlflow/mlflow.db`` in the data folder."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"{SQLITE}{data.resolve() / 'mlflow' / 'mlflow.db'}"


def shown_at(uri: str) -> str:
    """Return the address that shows a store to people, without the login that it may hold.

    >>> shown_at("https://ann:secret@runs.example/mlflow/"), shown_at("sqlite:///data/mlflow/mlflow.db")
    ('https://runs.example/mlflow', 'http://127.0.0.1:5000')
    """
    place = urlsplit(uri)
    home = urlunsplit(place._replace(netloc=place.netloc.rpartition("@")[2], query="")).rstrip("/")
    return home if place.scheme in {"http", "https"} else SERVER


@dataclass(frozen=True)
class Tracking:
    """An MLflow store. Reading from one that isn't there finds nothing and makes nothing.

    Attributes:
        uri: ``sqlite:///FILE``, or whatever MLflow takes, such as a server's address. A name and a password in that are
            handed to MLflow apart, so that no message, link or log has them.
        name: of the experiment, and of the model in the registry.
    """

    uri: str
    name: str = "mask_detector"

    def __post_init__(self) -> None:
        if self.uri.startswith(("http://", "https://")):
            address, *login = without_login(self.uri)
            object.__setattr__(self, "uri", address)
            os.environ |= {name: known for name, known in zip(LOGIN, login, strict=True) if known}

    def runs(self) -> list[RunInfo]:
        """Return all runs, the newest first."""
        client = self._reader
        experiment = client.get_experiment_by_name(self.name) if client else None
        if experiment is None:
            return []
        found, page = [], None
        while True:
            some = client.search_runs([experiment.experiment_id], max_results=AT_ONCE, page_token=page)
            found += [_told(run) for run in some]
            if (page := some.token) is None:
                return sorted(found, key=lambda run: run.started, reverse=True)

    def history(self, run_id: str, metric: str) -> list[tuple[int, float]]:
        """Return a metric's values by step; none for a metric that the run has not."""
        values = self._reader.get_metric_history(run_id, metric) if self._reader else []
        return sorted((value.step, value.value) for value in values)

    def versions(self) -> list[VersionInfo]:
        """Return all versions of the network, the newest first."""
        client = self._reader
        if client is None or not client.search_registered_models(f"name='{self.name}'"):
            return []
        aliases: dict[int, list[str]] = {}
        for alias, version in client.get_registered_model(self.name).aliases.items():
            aliases.setdefault(int(version), []).append(alias)
        found = [
            VersionInfo(
                int(each.version),
                each.run_id,
                tuple(sorted(aliases.get(int(each.version), []))),
                _metrics(client.get_run(each.run_id)),
            )
            for each in client.search_model_versions(f"name='{self.name}'")
        ]
        return sorted(found, reverse=True)

    def champion(self) -> VersionInfo | None:
        """Return the version in use, or None while none was good enough."""
        return next((version for version in self.versions() if CHAMPION in version.aliases), None)

    def alias(self, version: int, name: str) -> None:
        """Give an alias to a version, and take it from any other."""
        self._client.set_registered_model_alias(self.name, name, str(version))

    def artifact(self, run_id: str, name: str) -> Path:
        """Return a run's file, such as ``detector.onnx``, on this machine.

        Raises:
            FileNotFoundError: the run has no such file, or the store isn't there.
        """
        if self._reader is None:
            raise FileNotFoundError(f"no runs are kept at {self.uri}")
        folder = self._folder(self._reader.get_run(run_id).info.artifact_uri)
        if folder is None:
            from mlflow.exceptions import MlflowException

            try:
                return Path(self._reader.download_artifacts(run_id, name))
            except MlflowException as error:
                raise FileNotFoundError(f"run {run_id} has no {name}: {error.message}") from error
        if not (folder / name).is_file():
            raise FileNotFoundError(f"run {run_id} has no {name} in {folder}")
        return folder / name

    def page(self, run_id: str) -> str | None:
        """Return the address of a run's page, or None where there is no such run.

        It is on the store's own server; of the project's own store where ``mlflow server`` shows that.
        """
        from mlflow.exceptions import MlflowException

        try:
            run = self._reader.get_run(run_id) if self._reader else None
        except MlflowException:
            run = None
        if run is None:
            return None
        return f"{shown_at(self.uri)}/#/experiments/{run.info.experiment_id}/runs/{run_id}"

    def log_report(
        self, run_id: str, metrics: Mapping[str, float | None], folder: Path, tags: Mapping[str, object]
    ) -> list[str]:
        """Add a report to a run that ended: figures as they are now, pictures and figures as files, further tags.

        Args:
            run_id: whose; nothing is done where there is no such run.
            metrics: figures by name; None is no figure.
            folder: the report's.
            tags: by name.

        Returns:
            What a reader of the log should know.
        """
        run = next((run for run in self.runs() if run.run_id == run_id), None)
        if run is None:
            return [f"run {run_id} is not in the store of trainings, so that this report is not logged there"]
        TrackedRun(self, run_id).keep(path for pattern in REPORTED for path in sorted(folder.glob(pattern)))
        TrackedRun(self, run_id).tag(tags)
        for name, value in metrics.items():
            if value is not None and run.metrics.get(name) != value:
                self._client.log_metric(run_id, name, value)
        return []

    @contextmanager
    def run(
        self, training: str, name: str, params: Mapping[str, Any], tags: Mapping[str, str], *, parent: str = ""
    ) -> Iterator[TrackedRun]:
        """Open the run of a training, a new one or that which was begun, and sample the machine's load meanwhile.

        Args:
            training: what stands for the training; it is begun once, however often it is killed.
            name: to be shown.
            params: settings.
            tags: what it was made of.
            parent: the run that it is a part of.

        A run that raises is left as failed, and is open again when the training goes on.
        """
        client = self._client
        experiment = self._experiment()
        found = client.search_runs([experiment], f"tags.{TRAINING} = '{training}'", max_results=1)
        every = {**tags, TRAINING: training, **({PARENT: parent} if parent else {})}
        run_id = found[0].info.run_id if found else client.create_run(experiment, run_name=name, tags=every).info.run_id
        client.update_run(run_id, status="RUNNING")
        for key, value in params.items():
            client.log_param(run_id, key, value)
        with _load_of_machine(run_id, self.uri):
            try:
                yield TrackedRun(self, run_id)
            except BaseException:
                client.set_terminated(run_id, "FAILED")
                raise
        client.set_terminated(run_id, "FINISHED")

    @cached_property
    def _client(self) -> Any:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        from mlflow import MlflowClient

        logging.getLogger("mlflow").setLevel(logging.WARNING)
        if self.uri.startswith(SQLITE):
            make_store(Path(self.uri.removeprefix(SQLITE)))
        return MlflowClient(self.uri, self.uri)

    @property
    def _reader(self) -> Any:
        """A client, or None where there is no store to read."""
        absent = self.uri.startswith(SQLITE) and not Path(self.uri.removeprefix(SQLITE)).is_file()
        return None if absent else self._client

    def _experiment(self) -> str:
        found = self._client.get_experiment_by_name(self.name)
        if found is not None:
            return str(found.experiment_id)
        place = f"{SCHEME}{self.name}" if self.uri.startswith(SQLITE) else None
        return str(self._client.create_experiment(self.name, artifact_location=place))

    def _folder(self, artifact_uri: str) -> Path | None:
        """Return a run's folder of artifacts, or None where only MLflow itself can reach them."""
        if not (self.uri.startswith(SQLITE) and artifact_uri.startswith(SCHEME)):
            return None
        return Path(self.uri.removeprefix(SQLITE)).parent / "artifacts" / artifact_uri.removeprefix(SCHEME)


class TrackedRun:
    """A run that is open.

    Attributes:
        run_id: MLflow's name for it.
    """

    def __init__(self, tracking: Tracking, run_id: str) -> None:
        self.run_id = run_id
        self._tracking = tracking
        self._client = tracking._client

    def epoch(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Log an epoch's metrics; one that was logged before is left as it is."""
        for name, value in metrics.items():
            if epoch not in dict(self._tracking.history(self.run_id, name)):
                self._client.log_metric(self.run_id, name, value, step=epoch)

    def keep(self, files: Iterable[Path]) -> None:
        """Keep files, by their names."""
        folder = self._tracking._folder(self._client.get_run(self.run_id).info.artifact_uri)
        for path in files:
            if folder is None:
                self._client.log_artifact(self.run_id, str(path))
                continue
            folder.mkdir(parents=True, exist_ok=True)
            draft = folder / f"{DRAFT}{path.name}"
            shutil.copyfile(path, draft)
            draft.replace(folder / path.name)

    def tag(self, tags: Mapping[str, object]) -> None:
        """Say more of what came out."""
        for name, value in tags.items():
            self._client.set_tag(self.run_id, name, value)

    def register(self, file: str) -> int:
        """Make a version of the network of one of the run's files, the challenger; once a run.

        Returns:
            The version's number.
        """
        if not self._client.search_registered_models(f"name='{self._tracking.name}'"):
            self._client.create_registered_model(self._tracking.name)
        known = [version for version in self._tracking.versions() if version.run_id == self.run_id]
        if known:
            return known[0].version
        source = f"{self._client.get_run(self.run_id).info.artifact_uri}/{file}"
        version = int(self._client.create_model_version(self._tracking.name, source, self.run_id).version)
        self._tracking.alias(version, CHALLENGER)
        return version


def make_store(path: Path) -> None:
    """Make a store where there is none; MLflow can't open one whose making, dozens of steps, was cut short."""
    from mlflow import MlflowClient

    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{DRAFT}{secrets.token_hex(8)}")
    try:
        MlflowClient(f"{SQLITE}{draft}").search_experiments()
        with suppress(FileExistsError):  # another process was faster
            os.link(draft, path)
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def _load_of_machine(run_id: str, uri: str) -> Iterator[None]:
    """Log the load of CPU, memory, disk, network and GPU as long as the run is open."""
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

    monitor = SystemMetricsMonitor(run_id, sampling_interval=SAMPLED_S, resume_logging=True, tracking_uri=uri)
    monitor.start()
    try:
        yield
    finally:
        monitor.finish()


def _told(run: Any) -> RunInfo:
    info, tags = run.info, dict(run.data.tags)
    started = datetime.fromtimestamp(info.start_time / 1000, UTC)
    name = tags.get(RUN_NAME, info.run_id)
    return RunInfo(info.run_id, name, started, info.status, dict(run.data.params), _metrics(run), tags)


def _metrics(run: Any) -> dict[str, float]:
    return {name: value for name, value in run.data.metrics.items() if not name.startswith(LOAD)}
