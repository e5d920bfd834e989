"""Models: which files are here and as they should be, and where those that aren't can be had."""

from __future__ import annotations

import subprocess
import sys
import urllib.parse
import urllib.request
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from apps.checkup.finding import NOTE, OK, WRONG, Finding, bytes_told

if TYPE_CHECKING:
    from collections.abc import Iterator

    from model_assets.registry import Model, Registry
    from model_assets.sources import Source

AREA = "models"
ANSWER_S = 10


def models(registry: Registry, online: bool) -> Iterator[Finding]:
    """Verify every model of the registry.

    Args:
        registry: the known models and their cache.
        online: ask each source of an absent model whether it has it; else only a mirror's folder is looked at.
    """
    from resources.models import FaceModels

    needed = FaceModels().versions()
    for name, model in registry.models.items():
        state = registry.verify(name)
        about = f"{model.task}, {bytes_told(model.bytes)}"
        if state == "verified":
            yield Finding(AREA, name, OK, f"{about}: verified")
            continue
        places = [(_label(source), *_has(source, model, registry.mirror, online)) for source in model.sources]
        told = "; ".join(f"{label}: {answer}" for label, _, answer in places)
        here = "absent" if state == "absent" else "the file in the cache has a wrong checksum"
        bad = WRONG if name in needed or state == "wrong" else NOTE
        by_hand = f"put {model.file} in {registry.cache}, or set MASKLINE_MIRROR to a folder or URL that holds it"
        remedy = f"maskline models fetch {name}" if any(has for _, has, _ in places) else by_hand
        yield Finding(AREA, name, bad, f"{about}: {here}; {told}", remedy)


def networks() -> Iterator[Finding]:
    """Open every network that ships with the project."""
    from resources import mask_detectors, unmaskers
    from resources.onnx_sessions import BadNetwork, open_session

    for path in (mask_detectors.shipped(), *unmaskers.shipped()):
        try:
            if not path.is_file():
                raise BadNetwork(f"{path} is not there")
            open_session(path)
        except BadNetwork as error:
            yield Finding(AREA, path.stem, WRONG, str(error), f"git checkout -- model_assets/weights/{path.name}")
        else:
            yield Finding(AREA, path.stem, OK, f"ships with Maskline, {bytes_told(path.stat().st_size)}: opens")


def _label(source: Source) -> str:
    from model_assets.sources import Mirror, Pypi

    if isinstance(source, Pypi):
        return f"package {source.package}=={source.version}"
    return "MASKLINE_MIRROR" if isinstance(source, Mirror) else urllib.parse.urlsplit(source.url).hostname or ""


def _has(source: Source, model: Model, mirror: str | None, online: bool) -> tuple[bool, str]:
    """Tell whether a source has a model, as far as is known, and how that is known."""
    from model_assets.sources import Mirror, Pypi, mirror_url

    if isinstance(source, Mirror):
        if mirror is None:
            return False, "not set"
        if "://" not in mirror:
            there = (Path(mirror).expanduser() / model.file).is_file()
            return there, "has it" if there else f"has no {model.file}"
    if not online:
        return True, "not asked (--online)"
    if isinstance(source, Pypi):
        return _index_has(source.package, source.version)
    return _answers(mirror_url(mirror or "", model.file) if isinstance(source, Mirror) else source.url)


@cache
def _index_has(package: str, version: str) -> tuple[bool, str]:
    command = [sys.executable, "-m", "pip", "index", "versions", package, "--disable-pip-version-check"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=3 * ANSWER_S)  # noqa: S603
    except subprocess.TimeoutExpired:
        return False, "the index does not answer"
    listed = version in done.stdout.replace(",", " ").split()
    return listed, "the index has it" if listed else "the index does not have it, or can't be reached"


def _answers(url: str) -> tuple[bool, str]:
    request = urllib.request.Request(url, method="HEAD")  # noqa: S310 - schemes are checked by the registry
    try:
        with urllib.request.urlopen(request, timeout=ANSWER_S):  # noqa: S310 - as above
            return True, "answers"
    except OSError as error:
        return False, f"no answer ({error})"
