"""Files that are either whole or not there: a draft is written first, and takes its place at once."""

from __future__ import annotations

import contextlib
import filecmp
import os
import re
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

DRAFT = ".draft-"


def write_atomic(path: Path, data: bytes) -> None:
    """Write ``data`` so that ``path`` either holds all of it or what it held before."""
    draft = path.with_name(f"{DRAFT}{secrets.token_hex(8)}")
    try:
        draft.write_bytes(data)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, data)
        return
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    os.replace(draft, path)


@contextlib.contextmanager
def drafted(path: Path) -> Iterator[Path]:
    """Yield a draft to write to: it takes ``path``'s place when the block ends well, and is removed otherwise.

    Where ``path`` holds the same bytes already, it is left as it is.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{DRAFT}{secrets.token_hex(8)}")
    try:
        yield draft
        if not (path.is_file() and filecmp.cmp(draft, path, shallow=False)):
            os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def is_draft(name: str) -> bool:
    """Tell whether a file name is one that :func:`write_atomic` and :func:`drafted` give to drafts."""
    return re.fullmatch(re.escape(DRAFT) + "[0-9a-f]{16}", name) is not None
