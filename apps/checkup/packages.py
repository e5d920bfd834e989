"""Packages: those that the project asks for, in versions that it can work with."""

from __future__ import annotations

import platform
import sys
import tomllib
from importlib import metadata
from typing import TYPE_CHECKING

from apps.checkup.finding import NOTE, OK, WRONG, Finding

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from packaging.requirements import Requirement

AREA = "packages"
INSTALL = "pip install --constraint constraints.txt --editable ."
TOLD = ("dagster", "dvc", "torch", "ultralytics", "onnxruntime-gpu", "onnxruntime", "opencv-python", "mlflow")
"""Packages whose versions are shown, for they are asked for first when something goes wrong."""

ONE_OF = ("onnxruntime", "onnxruntime-gpu")
"""Packages that bring the same modules: of two, the one that was installed last breaks the other."""

EXTRAS = {
    "ray": "work spread over a cluster",
    "s3": "outputs and remotes in object stores",
    "heic": "pictures of phones",
    "gpu": "ONNX networks on a GPU",
}


def packages(project: Path) -> Iterator[Finding]:
    """Compare what is installed with ``pyproject.toml`` and ``constraints.txt`` of a checkout, or else its metadata."""
    yield Finding(AREA, "Python", OK, f"{platform.python_version()}, {platform.system()} {platform.machine()}")
    needed, extras = _asked(project)
    bad = [unmet for requirement in needed if (unmet := _unmet(requirement))]
    yield from bad
    if not bad:
        told = ", ".join(f"{name} {version}" for name in TOLD if (version := installed(name)))
        yield Finding(AREA, "needed", OK, f"all {len(needed)}, among them {told}")
    yield from _clashes()
    for extra, what in EXTRAS.items():
        lacking = [each.name for each in extras.get(extra, []) if _unmet(each)]
        found = f"without {', '.join(lacking)}; for {what}" if lacking else f"installed; for {what}"
        remedy = f"{INSTALL.removesuffix('.')}'.[{extra}]'" if lacking else ""
        yield Finding(AREA, f"extra {extra}", NOTE if lacking else OK, found, remedy)
    yield from _strays(project / "constraints.txt")


def installed(name: str) -> str | None:
    """Return a package's version, or None where it isn't installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _asked(project: Path) -> tuple[list[Requirement], dict[str, list[Requirement]]]:
    """Return what is needed on this machine, and what each extra needs more."""
    from packaging.requirements import Requirement

    file = project / "pyproject.toml"
    if file.is_file():
        described = tomllib.loads(file.read_text(encoding="utf-8"))["project"]
        needed = [Requirement(text) for text in described["dependencies"]]
        extras = {
            name: [Requirement(text) for text in texts] for name, texts in described["optional-dependencies"].items()
        }
        return [each for each in needed if each.marker is None or each.marker.evaluate()], extras
    every = [Requirement(text) for text in metadata.requires("maskline") or []]
    needed = [each for each in every if each.marker is None or each.marker.evaluate({"extra": ""})]
    extras = {
        name: [each for each in every if each.marker and each not in needed and each.marker.evaluate({"extra": name})]
        for name in EXTRAS
    }
    return needed, extras


def _unmet(requirement: Requirement) -> Finding | None:
    version = installed(requirement.name)
    if version is None:
        return Finding(AREA, requirement.name, WRONG, "not installed", INSTALL)
    if not requirement.specifier.contains(version, prereleases=True):
        return Finding(AREA, requirement.name, WRONG, f"{version}, but {requirement.specifier} is needed", INSTALL)
    return None


def _clashes() -> Iterator[Finding]:
    if all(map(installed, ONE_OF)):
        found = f"both {' and '.join(ONE_OF)} are installed, and take each other's place"
        yield Finding(AREA, "onnxruntime", WRONG, found, f"pip uninstall {' '.join(ONE_OF)}, then {INSTALL}")
    vision = {name: version for name in ("opencv-python", "opencv-contrib-python") if (version := installed(name))}
    if len(set(vision.values())) > 1:
        found = f"{', '.join(f'{name} {version}' for name, version in vision.items())} share one module"
        yield Finding(AREA, "OpenCV", WRONG, f"{found}: they have to be of one version", INSTALL)


def _strays(constraints: Path) -> Iterator[Finding]:
    """Tell which packages are of other versions than those that the tests ran with."""
    if not constraints.is_file():
        return
    pairs = [line.partition("==")[::2] for line in constraints.read_text(encoding="utf-8").split()]
    others = [
        f"{name} {found} (tested: {version})"
        for name, version in pairs
        if (found := installed(name) or version) != version
    ]
    if others:
        some = ", ".join(others[:5]) + (f" and {len(others) - 5} more" if len(others) > 5 else "")
        yield Finding(AREA, "tested set", NOTE, f"{len(others)} of {len(pairs)} differ: {some}", INSTALL)
    else:
        yield Finding(AREA, "tested set", OK, "every version is the one that the tests ran with")
    if sys.prefix == sys.base_prefix:
        yield Finding(AREA, "environment", NOTE, f"no virtual environment: {sys.prefix}", "make demo makes .venv")
