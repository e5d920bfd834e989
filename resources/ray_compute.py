"""The same work on a Ray cluster: actors on its nodes in the place of :mod:`resources.compute`'s processes."""

from __future__ import annotations

import contextlib
import hashlib
import heapq
import logging
import math
import os
import platform
import secrets
import socket
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from resources.compute import BATCH, ITEMS_FOR_ANOTHER_PROCESS, WorkerDied, run, start

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ops.store import Item, Row
    from resources.compute import Work

AHEAD = 4
"""Batches for each worker that may be handed out before the rows of the oldest are there: what memory has to hold."""

LOSSES = 3
"""So many workers may die over a batch before it is blamed."""

PATIENCE_S = 300.0
"""How long to wait until a worker has found room on a cluster that others use too."""

KNOCK_S = 10.0

CODE = ("ops", "resources", "model_assets")


class UnfitNode(RuntimeError):
    """A node can't do the work: it does not reach the data, or has other code."""


@dataclass(frozen=True)
class Ray:
    """Workers on the nodes of a Ray cluster, each loading the models once.

    Every node needs this project at one version, its environment, and the data folder under the same path (NFS or
    another shared file system). All but the data is checked by each worker before it works.

    Attributes:
        shared: the data folder.
        address: ``host:port`` of a cluster's head, or ``auto`` on one of its nodes; empty starts one on this machine.
        workers: how many; 0 lets room on the cluster and the amount of work decide.
        cpus: cores that a worker takes; a share lets several take one.
        gpus: share of a GPU that a worker takes, such as 0.25; with 0 it sees none.
        batch: items handed to a worker at a time.
    """

    shared: Path
    address: str = ""
    workers: int = 0
    cpus: float = 1.0
    gpus: float = 0.0
    batch: int = BATCH

    def map(self, work: Callable[[], Work], items: Sequence[Item]) -> Iterator[list[Row]]:
        """Yield each item's rows in the order of ``items``.

        What a node had in hand when it was lost is worked on again elsewhere: files are named by their content's origin
        and written whole, so that a second time changes nothing.

        Raises:
            ConnectionError: no cluster answers.
            UnfitNode: a node does not reach the data folder, or its code differs.
            ValueError: no node is large enough for a worker.
            WorkerDied: workers died over the same items again and again; the rows yielded so far stand.
        """
        if not items:
            return
        with self._connected(), tempfile.TemporaryDirectory(prefix=".nodes-", dir=self.shared) as meeting:
            Path(meeting, "code").write_text(_code())
            yield from self._spread((work, Path(meeting)), items)

    @contextlib.contextmanager
    def _connected(self) -> Iterator[None]:
        """Be a driver on the cluster; a run that is a Ray job itself is one already."""
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        import ray

        if ray.is_initialized():
            yield
            return
        cores = math.ceil(self.workers * self.cpus) or None
        own: dict[str, Any] = {"address": "local", "num_cpus": cores, "include_dashboard": False}
        where = {"address": self.address} if self.address else own
        _knock(self.address)
        try:
            ray.init(**where, log_to_driver=False, logging_level=logging.WARNING)
        except ConnectionError as error:
            raise ConnectionError(f"no Ray cluster answers at {self.address!r}: {error}") from error
        try:
            yield
        finally:
            ray.shutdown()

    def _count(self, items: int, batches: int) -> int:
        """Return how many workers to ask for."""
        import ray

        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        wanted = {name: share for name, share in (("CPU", self.cpus), ("GPU", self.gpus)) if share}
        room = sum(int(min(node.get(name, 0) / share for name, share in wanted.items())) for node in nodes)
        if not room:
            there = "; ".join(sorted(", ".join(f"{node.get(name, 0):g} {name}" for name in wanted) for node in nodes))
            asked = ", ".join(f"{share:g} {name}" for name, share in wanted.items())
            raise ValueError(f"a worker takes {asked}, and no node has as much: {there}")
        return min(self.workers or min(room, 1 + items // ITEMS_FOR_ANOTHER_PROCESS), batches)

    def _spread(self, given: tuple[Callable[[], Work], Path], items: Sequence[Item]) -> Iterator[list[Row]]:
        import ray
        from ray.exceptions import RayError, RayTaskError

        batches = [items[at : at + self.batch] for at in range(0, len(items), self.batch)]
        count = self._count(len(items), len(batches))
        crew = _Crew(self, given, count)
        todo, made, following = list(range(len(batches))), {}, 0
        lost: Counter[int | None] = Counter()
        try:
            while following < len(batches):
                while crew.idle and todo and todo[0] < following + AHEAD * count:
                    first = heapq.heappop(todo)
                    crew.hand(first, batches[first])
                ref, number = crew.heard()
                try:
                    rows = ray.get(ref)
                except RayTaskError as error:
                    raise error.cause from error
                except RayError as error:
                    crew.replace(ref)
                    lost[number] += 1
                    if lost[number] == (LOSSES if number is not None else LOSSES * count):
                        raise WorkerDied(_blamed(batches[number]) if number is not None else str(error)) from error
                    if number is not None:
                        heapq.heappush(todo, number)
                    continue
                crew.rest(ref)
                if number is None:
                    lost[None] = 0
                else:
                    made[number] = rows
                while following in made:
                    yield from made.pop(following)
                    following += 1
        finally:
            crew.dismiss()


class _Crew:
    """The workers: those that start, those that work, and those that wait for work."""

    def __init__(self, how: Ray, given: tuple[Callable[[], Work], Path], count: int) -> None:
        import ray

        self.given = ray.put(given)
        self.worker: Any = ray.remote(_Worker).options(
            num_cpus=how.cpus, num_gpus=how.gpus, max_restarts=0, scheduling_strategy="SPREAD"
        )
        self.idle: list[Any] = []
        self.busy: dict[Any, tuple[Any, int | None]] = {}
        for _ in range(count):
            self.hire()

    def hire(self) -> None:
        """Ask for a worker; it is there when what it was first asked is answered."""
        worker = self.worker.remote()
        self.busy[worker.start.remote(self.given)] = worker, None

    def hand(self, number: int, batch: Sequence[Item]) -> None:
        """Give a batch to a worker that waits."""
        worker = self.idle.pop()
        self.busy[worker.run.remote(batch)] = worker, number

    def heard(self) -> tuple[Any, int | None]:
        """Wait until a worker answers; return the answer, and the number of its batch or None when it has started."""
        import ray

        works = any(number is not None for _, number in self.busy.values())
        answers, _ = ray.wait(list(self.busy), timeout=None if works else PATIENCE_S)
        if not answers:
            free = ", ".join(f"{ray.available_resources().get(name, 0):g} {name}" for name in ("CPU", "GPU"))
            raise TimeoutError(f"no worker was ready in {PATIENCE_S:g} s; free on the cluster: {free}")
        return answers[0], self.busy[answers[0]][1]

    def rest(self, ref: Any) -> None:
        """Let the worker that answered wait for work."""
        self.idle.append(self.busy.pop(ref)[0])

    def replace(self, ref: Any) -> None:
        """Give up the worker whose answer was lost, and ask for another."""
        import ray

        ray.kill(self.busy.pop(ref)[0])
        self.hire()

    def dismiss(self) -> None:
        """End all workers."""
        import ray

        for worker in [*self.idle, *(worker for worker, _ in self.busy.values())]:
            ray.kill(worker)


class _Worker:
    """What runs on a node; Ray gives it a process of its own."""

    def start(self, given: tuple[Callable[[], Work], Path]) -> None:
        """Make this process a worker, once it is known that the work belongs here."""
        import ray

        work, meeting = given
        here = platform.node()
        try:
            code = (meeting / "code").read_text()
            (meeting / secrets.token_hex(8)).touch()
        except OSError as error:
            raise UnfitNode(
                f"node {here} can't use {meeting.parent}, the data folder: {error.strerror}; "
                "all nodes must share it under this path"
            ) from None
        if code != _code():
            raise UnfitNode(f"node {here} has other code of Maskline than the one that started the run; update it")
        if not ray.get_gpu_ids():
            os.environ["CUDA_VISIBLE_DEVICES"] = ""  # what was not asked for is not to be found by chance
        start(work)

    def run(self, batch: Sequence[Item]) -> list[list[Row]]:
        """Return the rows of each item."""
        return run(batch)


def _knock(address: str) -> None:
    """See that something listens where the cluster is said to be: Ray itself takes minutes to say that nothing does."""
    where = urlsplit(address if "//" in address else f"//{address}")
    if where.port:
        try:
            socket.create_connection((where.hostname, where.port), KNOCK_S).close()
        except OSError as error:
            raise ConnectionError(f"no Ray cluster answers at {address!r}: {error}") from None


def _code() -> str:
    """Return a hash of the code that makes the bytes."""
    root, digest = Path(__file__).resolve().parents[1], hashlib.blake2b(digest_size=16)
    for package in CODE:
        for file in sorted((root / package).rglob("*.py")):
            digest.update(file.read_bytes())
    return digest.hexdigest()


def _blamed(batch: Sequence[Item]) -> str:
    names = ", ".join(repr(item.payload.get("source", item.fingerprint)) for item in batch)
    return f"{LOSSES} workers died, each while working on {names}; finished work is kept: run again without these"
