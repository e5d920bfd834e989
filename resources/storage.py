"""Datasets in another place than this disk: a folder, a network share or an object store, through fsspec.

A published dataset is the folder as it is, and :data:`LISTING` with the MD5 of each file: what DVC calls its ``.dir``,
so that the MD5 of a finished listing is the data version that Dagster shows. Files go first, then the manifest, then
the listing: whoever reads a manifest finds what it names.
"""

from __future__ import annotations

import json
import posixpath
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ops.content import file_md5, listing
from ops.files import drafted
from ops.store import MANIFEST, Dataset

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

LISTING = ".listing.json"
PUBLISHING = ".publishing"
"""The listing of a publication that is under way, or was interrupted: what is known to be there so far."""

AT_ONCE = 256
"""Files sent or fetched before it is written down that they are there."""


class StorageError(RuntimeError):
    """What is published can't be used: damaged, half published, or naming files outside of its folder."""


@dataclass(frozen=True)
class Storage:
    """Where finished datasets are published to, and fetched from.

    Attributes:
        url: ``/a/folder``, ``s3://bucket/prefix`` or whatever else fsspec knows. Credentials and endpoint don't belong
            in it: for S3 they are taken from the environment (``AWS_ACCESS_KEY_ID``, ``AWS_ENDPOINT_URL``, ...).
    """

    url: str

    def publish(self, folder: Path, place: str) -> int:
        """Send what is new of a dataset, remove what it no longer has, and mend what an interruption left.

        Args:
            folder: the dataset.
            place: its path below the storage, ``<asset>/<source>``.

        Returns:
            How many files were sent.
        """
        there = _Place(self.url, place)
        interrupted = there.has(PUBLISHING)
        known = there.listed(PUBLISHING if interrupted else LISTING)
        here = {entry["relpath"]: entry["md5"] for entry in listing(folder)}
        if known == here and not interrupted:
            return 0
        there.list(PUBLISHING, known)
        new = [name for name, md5 in here.items() if known.get(name) != md5]
        for names in _chunks([name for name in new if name != MANIFEST]):
            there.send(folder, names)
            known |= {name: here[name] for name in names}
            there.list(PUBLISHING, known)
        if MANIFEST in new:
            there.write(MANIFEST, (folder / MANIFEST).read_bytes())
        there.list(LISTING, here)
        there.remove((there.files() if interrupted else known.keys()) - here.keys() - {LISTING, PUBLISHING})
        there.remove({PUBLISHING})
        return len(new)

    def fetch(self, folder: Path, place: str) -> int:
        """Bring the files of a published dataset that are missing here.

        Args:
            folder: where it belongs. With another manifest in it, it is a dataset of one's own making and stays.
            place: its path below the storage.

        Returns:
            How many files were fetched.

        Raises:
            StorageError: a file is not what the listing says.
            DatasetBusy: the dataset is being written.
        """
        there = _Place(self.url, place)
        known, own = there.listed(LISTING), folder / MANIFEST
        if MANIFEST not in known or (own.is_file() and file_md5(own) != known[MANIFEST]):
            return 0
        missing = [name for name in known if not _inside(folder, name).is_file()]
        if missing:
            with Dataset(folder).lock():
                for names in _chunks(sorted(missing, key=MANIFEST.__eq__)):
                    there.bring(folder, {name: known[name] for name in names})
        return len(missing)


class _Place:
    """A dataset's folder in the storage."""

    def __init__(self, url: str, place: str) -> None:
        import fsspec

        # an instance of its own: what another one remembers may be out of date, or of another endpoint
        self.system, root = fsspec.url_to_fs(url, use_listings_cache=False, skip_instance_cache=True)
        self.system.auto_mkdir = True  # where there are folders at all
        self.root = posixpath.join(root, place)

    def path(self, name: str) -> str:
        return posixpath.join(self.root, name)

    def has(self, name: str) -> bool:
        return bool(self.system.exists(self.path(name)))

    def listed(self, name: str) -> dict[str, str]:
        """Return name and MD5 of every file in a listing; none where there is no listing."""
        try:
            text = self.system.cat_file(self.path(name))
        except FileNotFoundError:
            return {}
        try:
            return {entry["relpath"]: entry["md5"] for entry in json.loads(text)}
        except (ValueError, KeyError, TypeError) as error:
            raise StorageError(f"{self.path(name)} is no listing; remove it and publish again: {error!r}") from None

    def list(self, name: str, known: dict[str, str]) -> None:
        """Write a listing."""
        entries = [{"md5": known[each], "relpath": each} for each in sorted(known)]
        self.write(name, json.dumps(entries, sort_keys=True).encode())

    def write(self, name: str, data: bytes) -> None:
        """Write a file so that it is there whole or not at all."""
        with self.system.transaction, self.system.open(self.path(name), "wb") as file:
            file.write(data)

    def send(self, folder: Path, names: Sequence[str]) -> None:
        """Send files; one that is cut off is not listed, and sent again by the next publication."""
        self.system.put([str(folder / name) for name in names], [self.path(name) for name in names])

    def bring(self, folder: Path, wanted: dict[str, str]) -> None:
        """Fetch files, which take their places, the last one last, once each is what its MD5 says."""
        with ExitStack() as stack:
            drafts = {name: stack.enter_context(drafted(_inside(folder, name))) for name in reversed(wanted)}
            try:
                self.system.get([self.path(name) for name in drafts], [str(draft) for draft in drafts.values()])
            except FileNotFoundError as error:
                raise StorageError(f"a published file is gone, publish again: {error}") from error
            for name, md5 in wanted.items():
                found = file_md5(drafts[name])
                if found != md5:
                    raise StorageError(
                        f"{self.path(name)} has MD5 {found}, and {md5} was published: a publication is under way, was "
                        "interrupted, or the file is damaged; publish again"
                    )

    def files(self) -> set[str]:
        """Return the names of all files that are there."""
        found: Sequence[str] = self.system.find(self.root)
        return {posixpath.relpath(path, self.root) for path in found}

    def remove(self, names: set[str]) -> None:
        """Remove files."""
        for name in names:
            self.system.rm_file(self.path(name))


def _inside(folder: Path, name: str) -> Path:
    """Return a file's path; a name that leads out of the folder is refused."""
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise StorageError(f"the listing names {name!r}, which leads out of the dataset")
    return path


def _chunks(names: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(names), AT_ONCE):
        yield names[start : start + AT_ONCE]
