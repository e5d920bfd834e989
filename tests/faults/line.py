"""The whole line on a handful of pictures, asset by asset, each in a process that may be killed."""

import json
import multiprocessing
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from ops import images
from ops.content import file_md5
from ops.files import DRAFT
from ops.sample import make_sample
from ops.store import JOURNAL
from ops.video_writer import write_video
from ops.videos import sample_video

SOURCE = "few"
WANTED = ("eileen_collins/eileen_collins.jpg", "grace_hopper/grace_hopper.jpg", "grace_hopper/grace_hopper_small.png",
          "together/collins_and_hopper.jpg", "eileen_collins/eileen_collins_dim.jpg")  # fmt: skip
SHOTS = 4
"""Pictures of the clip."""

SMALL: dict[str, dict[str, Any]] = {
    "masked_faces": {"variants": 1},
    "mask_detector": {"epochs": 1, "image_size": 64, "start": "none"},
    "unmasking_pairs": {"size": 64, "variants": 1},
    "mask_segmenter": {"epochs": 2, "size": 32, "widths": [8, 12]},
    "face_completer": {"epochs": 2, "size": 32, "widths": [8, 12], "adversary": 8, "perceptual": "none"},
    "digital_masks": {"identity": "none"},
    "reidentification_report": {"identity": "none"},
    "unmasking_report": {"identity": "none", "lpips": "none"},
    "expression_regions": {"blendshapes": "none"},
    "expression_edits": {"states": "mesh", "identity": "none", "diffusion": "none"},
}
"""Settings that are quick; what trainings of seconds make means nothing."""

TRACKED = ("mask_detector", "detector_report", "mask_segmenter", "face_completer", "unmasking_report")
TRAINED = ("mask_detector", "mask_segmenter", "face_completer")
MARK = "MASKLINE_FAULTS"
"""Set in the environment of whatever a disturbed process starts, so that what outlives it is found."""


class Calm(NamedTuple):
    """The line as it comes out undisturbed.

    Attributes:
        folder: of the data.
        assets: in order.
        writes: how often each asset's run opened, renamed or removed something in the data folder.
        seconds: that each took.
    """

    folder: Path
    assets: list[str]
    writes: dict[str, int]
    seconds: dict[str, float]


def begin_warm() -> None:
    """Let processes be forked from one that has everything loaded."""
    multiprocessing.get_context("forkserver").set_forkserver_preload(["tests.faults.warm"])


def make_few(folder: Path) -> None:
    """Write the source: five photographs and a clip of four pictures with sound."""
    make_sample(folder.parent / "whole")
    for name in WANTED:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(folder.parent / "whole" / name, folder / name)
    clip = folder.parent / "whole" / "clip.mp4"
    with write_video(folder / "clip.mp4", like=clip) as made:
        for shot in list(sample_video(clip, 25.0))[: 25 * SHOTS : 25]:
            made.add(images.resized(shot.pixels, (240, 240)))
    shutil.rmtree(folder.parent / "whole")


def calm(folder: Path, wanted: tuple[str, ...] = ()) -> Calm:
    """Make the assets, all of them by default, and everything before them, undisturbed."""
    make_few(folder / "raw" / SOURCE)
    told = folder.parent / f"{folder.name}.json"
    Child(partial(_make_all, folder, wanted, told), told.with_suffix(".log")).ends_well()
    return Calm(folder, **json.loads(told.read_text()))


def beside(calm: Calm, asset: str, folder: Path) -> Path:
    """Lay out a data folder that has everything that the asset is made of, and nothing of itself."""
    folder.mkdir(parents=True)
    for path in calm.folder.iterdir():
        if path.name not in {asset, "mlflow", "training"} and not path.name.startswith("mlflow_"):
            (folder / path.name).symlink_to(path)
    before = calm.folder / f"mlflow_before_{asset}"
    if before.is_dir():
        shutil.copytree(before, folder / "mlflow")
    return folder


def tree(folder: Path) -> dict[str, str]:
    """Return every file's MD5; of the card of a training without the name of its run, which is drawn."""
    found = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        told = json.loads(path.read_text()) if path.suffix == ".json" else {}
        if isinstance(told, dict) and "run_id" in told:
            found[name] = json.dumps({**told, "run_id": None})
        else:
            found[name] = file_md5(path)
    return found


def leftovers(folder: Path) -> list[str]:
    """Return drafts, journals and working folders that no run should leave."""
    found = [path for path in folder.rglob("*") if path.name.startswith(DRAFT) or path.name == JOURNAL]
    return [str(path) for path in [*found, *(folder / "training").glob("*")]]


def make(data: Path, asset: str, *, workers: int = 1, home: Path | None = None) -> Any:
    """Materialize one asset in this process, and return Dagster's result; ``home`` keeps what Dagster knows of it."""
    import dagster as dg

    from assets_defs.resources import Compute, Models, Tracking, Workspace
    from orchestration.definitions import defs

    every = [known for known in defs.assets or [] if isinstance(known, dg.AssetsDefinition)]
    (chosen,) = [known for known in every if known.key.to_user_string() == asset]
    resources: dict[str, Any] = {"workspace": Workspace(data=str(data)), "compute": Compute(workers=workers)}
    resources |= {"models": Models(device="cpu"), "tracking": Tracking()}
    with dg.DagsterInstance.local_temp(str(home)) if home else dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("source", [SOURCE])
        return dg.materialize(
            every,
            selection=[asset],
            partition_key=SOURCE if chosen.partitions_def else None,
            instance=instance,
            resources=resources,
            run_config={
                "ops": {asset: {"config": SMALL.get(asset, {})}},
                "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
            },
        )


def run(data: Path, asset: str, *, crash_at: int = 0, workers: int = 1) -> None:
    """Materialize an asset, killed at the ``crash_at``-th write to the data folder; 0: not at all."""
    if crash_at:
        Writes(data, crash_at)
    make(data, asset, workers=workers)


class Writes:
    """Counts what this process opens for writing, renames, links, makes or removes below a folder, and may kill it."""

    def __init__(self, folder: Path, crash_at: int = 0) -> None:
        self.count, self.crash_at, self.below = 0, crash_at, f"{folder}/"
        sys.addaudithook(self._heard)

    def _heard(self, event: str, told: tuple[Any, ...]) -> None:
        changes = event in {"os.rename", "os.remove", "os.link", "os.mkdir", "os.rmdir"}
        if event == "open" and isinstance(told[2], int):
            changes = bool(told[2] & (os.O_WRONLY | os.O_RDWR))
        if not changes or not isinstance(told[0], str | Path) or not str(told[0]).startswith(self.below):
            return
        self.count += 1
        if self.count == self.crash_at:
            os.kill(os.getpid(), signal.SIGKILL)


class Child:
    """A forked process.

    Attributes:
        log: what it said.
    """

    def __init__(self, task: Callable[[], None], log: Path) -> None:
        self.log = log
        self.process = multiprocessing.get_context("forkserver").Process(target=_begin, args=(log, task))
        self.process.start()

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal."""
        if self.process.is_alive() and self.process.pid:
            os.kill(self.process.pid, number)

    def join(self, seconds: float = 600) -> int | None:
        """Wait for the end, and return the exit code."""
        self.process.join(seconds)
        return self.process.exitcode

    def until(self, met: Callable[[], bool]) -> None:
        """Wait for a moment in its life."""
        while not met():
            if not self.process.is_alive():
                raise RuntimeError(f"it ended too early: {self.log.read_text()[-4000:]}")
            time.sleep(0.002)

    def ends_well(self, seconds: float = 600) -> None:
        """Wait for the end.

        Raises:
            RuntimeError: it failed, or took longer.
        """
        code = self.join(seconds)
        if code != 0:
            self.kill()
            raise RuntimeError(f"exit code {code}: {self.log.read_text()[-4000:]}")


def orphans(mark: str, seconds: float = 5.0) -> list[str]:
    """Return the command lines of processes that were started by a disturbed one and are still there after a while."""
    end, found = time.monotonic() + seconds, ["?"]
    while found and time.monotonic() < end:
        found = list(_marked(mark))
        time.sleep(0.02)
    return found


def _marked(mark: str) -> Iterator[str]:
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if f"{MARK}={mark}".encode() in (path / "environ").read_bytes():
                yield (path / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue


def _begin(log: Path, task: Callable[[], None]) -> None:
    os.environ[MARK] = str(log)
    said = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    os.dup2(said, 1)
    os.dup2(said, 2)
    task()


def _make_all(folder: Path, wanted: tuple[str, ...], told: Path) -> None:
    from orchestration.materialize import order
    from resources.tracking import SQLITE, local_uri, make_store

    make_store(Path(local_uri(folder).removeprefix(SQLITE)))
    writes, seconds, hook = {}, {}, Writes(folder)
    assets = [name for name in order() if not wanted or name in wanted]
    for asset in assets:
        if asset in TRACKED and (folder / "mlflow").is_dir():
            shutil.copytree(folder / "mlflow", folder / f"mlflow_before_{asset}")
        hook.count, start = 0, time.monotonic()
        make(folder, asset)
        writes[asset], seconds[asset] = hook.count, time.monotonic() - start
    told.write_text(json.dumps({"assets": assets, "writes": writes, "seconds": seconds}))
