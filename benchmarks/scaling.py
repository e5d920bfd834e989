"""What the faces group costs with more workers, here and on Ray, and as a source grows.

    python -m benchmarks.scaling FOLDER [--sizes 100 1000 10000] [--workers 1 2 4] [--compute local ray]
                                        [--pictures 400] [--address HOST:PORT] [--scratch FOLDER]

FOLDER holds photographs; they are repeated with other bytes at their ends until there are enough. Each row is a process
of its own that materializes frames, face_geometry, masked_faces and aligned_crops through Dagster, checks and data
versions included, then runs all four again. Times are wall clock and mean something on a machine that does nothing
else; starting a cluster, where no ``--address`` names one, is not in them. Memory is the peak of the run's own
process, which holds the tables. What is printed is Markdown, for docs/scale.md.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.main_job import draw, grow

SOURCE = "grown"
GROUP = ("frames", "face_geometry", "masked_faces", "aligned_crops")
DISTINCT = 200
"""Photographs of which the rest are repetitions."""


def once(data: Path, **compute: Any) -> dict[str, float]:
    """Materialize the group, then again; return seconds, seconds of the rerun, peak MB and what was made."""
    import dagster as dg

    from assets_defs import faces
    from assets_defs.resources import Compute, Models, Workspace

    def run() -> tuple[float, int]:
        start, made = time.perf_counter(), 0
        with dg.DagsterInstance.ephemeral() as instance:
            instance.add_dynamic_partitions("source", [SOURCE])
            done = dg.materialize(
                [getattr(faces, name) for name in GROUP],
                partition_key=SOURCE,
                instance=instance,
                resources={
                    "workspace": Workspace(data=str(data)),
                    "models": Models(device="cpu"),
                    "compute": Compute(data=str(data), **compute),
                },
                run_config={"loggers": {"console": {"config": {"log_level": "ERROR"}}}},
            )
            for name in GROUP:
                (event,) = done.asset_materializations_for_node(name)
                made += int(event.metadata["made"].value)  # type: ignore[arg-type]
        return time.perf_counter() - start, made

    if compute["compute"] == "ray" and not compute["address"]:
        import ray

        ray.init(num_cpus=compute["workers"], include_dashboard=False, log_to_driver=False)
    first, made = run()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    rerun, again = run()
    manifests = sum((data / name / SOURCE / "manifest.parquet").stat().st_size for name in GROUP)
    return {
        "seconds": first,
        "rerun": rerun,
        "peak": peak,
        "made": made,
        "again": again,
        "manifests": manifests / 1e6,
    }


def measured(pictures: Sequence[Path], count: int, scratch: Path, **compute: Any) -> dict[str, float]:
    """Run :func:`once` over a source of ``count`` pictures, in a process of its own."""
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        grow(list(pictures), Path(folder, "raw", SOURCE), count)
        command = [sys.executable, "-m", "benchmarks.scaling", folder, "--once", json.dumps(compute)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    known: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return known


def row(*cells: object) -> None:
    """Print a row of a table."""
    print(f"| {' | '.join(map(str, cells))} |", flush=True)


def head(*cells: str) -> None:
    """Print the head of a table."""
    print()
    row(*cells)
    row(*["---"] * len(cells))


def by_workers(pictures: list[Path], told: argparse.Namespace) -> None:
    """Print the table of workers."""
    head("compute", "workers", "pictures", "seconds", "ms a picture", "times the first row's speed")
    alone = 0.0
    for compute in told.compute:
        for workers in told.workers:
            how = {"compute": compute, "workers": workers, "address": told.address if compute == "ray" else ""}
            seconds = measured(pictures, told.pictures, told.scratch, **how)["seconds"]
            alone = alone or seconds
            each, gain = seconds * 1000 / told.pictures, alone / seconds
            row(compute, workers, told.pictures, f"{seconds:.1f}", f"{each:.1f}", f"{gain:.2f}")


def by_size(pictures: list[Path], told: argparse.Namespace) -> None:
    """Print the table of sizes."""
    head("pictures", "seconds", "ms a picture", "rerun, s", "rerun, ms a picture", "peak MB", "manifests, MB")
    for size in told.sizes:
        known = measured(pictures, size, told.scratch, compute="local", workers=0)
        if known["again"]:
            raise SystemExit(f"the rerun made {known['again']:g} items: the tables would mean nothing")
        each, again = (f"{known[name] * 1000 / size:.2f}" for name in ("seconds", "rerun"))
        peak, manifests = f"{known['peak']:.0f}", f"{known['manifests']:.1f}"
        row(size, f"{known['seconds']:.1f}", each, f"{known['rerun']:.1f}", again, peak, manifests)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sizes", type=int, nargs="*", default=[100, 1000])
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2, 4])
    parser.add_argument("--compute", nargs="*", choices=["local", "ray"], default=["local", "ray"])
    parser.add_argument("--pictures", type=int, default=400, help="in the table of workers")
    parser.add_argument("--address", default="", help="of a Ray cluster that runs; else one is started for each asset")
    parser.add_argument("--scratch", type=Path, help="folder with room for all pictures; the system's by default")
    parser.add_argument("--once", type=json.loads, help=argparse.SUPPRESS)
    told = parser.parse_args()
    if told.once is not None:
        print(json.dumps(once(told.folder, **told.once)))
        return
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    pictures = draw(told.folder, DISTINCT)
    by_workers(pictures, told)
    by_size(pictures, told)


if __name__ == "__main__":
    main()
