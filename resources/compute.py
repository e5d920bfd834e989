"""Where the work runs: the same callable, in this process or in several; :mod:`resources.ray_compute` has more."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections import deque
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from multiprocessing.connection import Connection

    from ops.store import Item, Row

    Work = Callable[[Item], list[Row]]

BATCH = 8
"""Items handed to a process at a time."""

ITEMS_FOR_ANOTHER_PROCESS = 64
"""Fewer items than this don't pay for starting a further process and loading its models."""

_worker: Any = None


class WorkerDied(RuntimeError):
    """A worker process ended without a word: out of memory, or killed."""


@dataclass(frozen=True)
class Local:
    """Processes on this machine, each loading the models once.

    Attributes:
        workers: how many; 0 lets the amount of work decide, up to the number of cores. One means this process.
    """

    workers: int = 0

    def map(self, work: Callable[[], Work], items: Sequence[Item]) -> Iterator[list[Row]]:
        """Yield each item's rows in the order of ``items``; only a few batches are in flight at a time.

        Raises:
            WorkerDied: a process was killed; the rows yielded so far stand.
        """
        workers = self.workers or min(os.cpu_count() or 1, 1 + len(items) // ITEMS_FOR_ANOTHER_PROCESS)
        if not items:
            return
        if workers == 1:
            call = work()
            yield from (_told(call, item) for item in items)
            return
        yield from self._spread(work, items, workers)

    def _spread(self, work: Callable[[], Work], items: Sequence[Item], workers: int) -> Iterator[list[Row]]:
        batches = iter([items[start : start + BATCH] for start in range(0, len(items), BATCH)])
        context = multiprocessing.get_context("spawn")
        alive, held = context.Pipe(duplex=False)
        with (
            alive,
            held,
            ProcessPoolExecutor(workers, context, initializer=_join, initargs=(work, alive)) as pool,
        ):
            try:
                flying = deque(pool.submit(run, batch) for batch in islice(batches, 2 * workers))
                while flying:
                    rows = flying.popleft().result()
                    following = next(batches, None)
                    if following is not None:
                        flying.append(pool.submit(run, following))
                    yield from rows
            except BrokenProcessPool:
                raise WorkerDied(
                    "a worker process was killed (out of memory?); finished work is kept: run again, with fewer workers"
                ) from None
            except BaseException:
                held.close()  # what the others are at is not waited for: it may be a long video
                raise


def _join(work: Callable[[], Work], alive: Connection) -> None:
    """Make this process a worker that ends as soon as nobody holds the other end of ``alive``, however that came."""
    threading.Thread(target=_end_with, args=(alive,), daemon=True).start()
    start(work)


def _end_with(alive: Connection) -> None:
    alive.poll(None)
    os._exit(1)


def start(work: Callable[[], Work]) -> None:
    """Make this process a worker; the models are loaded with the first item, so that their errors are its errors."""
    import cv2

    global _worker  # noqa: PLW0603 - one worker a process, made by the pool's initializer
    cv2.setNumThreads(1)
    _worker = cache(work)


def run(batch: Sequence[Item]) -> list[list[Row]]:
    """Return the rows of each item, made by this process's worker."""
    return [_told(_worker(), item) for item in batch]


def _told(work: Work, item: Item) -> list[Row]:
    """Run one item; an error that nobody foresaw names the item it happened on."""
    try:
        return work(item)
    except Exception as error:
        error.add_note(f"while working on {item.payload.get('source', item.fingerprint)!r}")
        raise
