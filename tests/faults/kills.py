"""Kill every asset's run at seeded moments, run it again, and hold what comes out against an undisturbed run.

``python -m tests.faults.kills --kills 60`` goes on until so many processes were killed; every asset has its turn.
Most of them die at a write to the data folder, by its number, so that the narrowest windows are met and the same seed
dies at the same place; the others at a moment drawn from the time that the run takes, some of them with workers.
"""

import argparse
import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from functools import partial
from itertools import cycle
from pathlib import Path

from tests.faults.line import TRAINED, Calm, Child, begin_warm, beside, calm, leftovers, orphans, run, tree

START_OF_WORKERS_S = 4.0


def disturb(undisturbed: Calm, asset: str, folder: Path, rng: random.Random, times: int) -> list[str]:
    """Kill an asset's run, and the runs that go on with it, and let the last one end.

    Args:
        undisturbed: what it is held against.
        asset: by name.
        folder: new; for the data, removed if all is well.
        rng: draws the moments.
        times: runs that are killed, if they live long enough.

    Returns:
        How each process that was killed died.

    Raises:
        AssertionError: what came out differs, or something was left behind.
        RuntimeError: the last run failed.
    """
    data = beside(undisturbed, asset, folder)
    log = folder.with_suffix(".log")
    died = []
    for _ in range(times):
        if not died or rng.random() < 0.5:
            how = f"at write {(number := rng.randint(1, undisturbed.writes[asset]))}"
            child = Child(partial(run, data, asset, crash_at=number), log)
        else:
            workers = 2 if asset not in TRAINED and rng.random() < 0.25 else 1
            moment = rng.uniform(0, undisturbed.seconds[asset] + (workers - 1) * START_OF_WORKERS_S)
            how = f"after {moment:.2f} s" + " with workers" * (workers - 1)
            child = Child(partial(run, data, asset, workers=workers), log)
            time.sleep(moment)
            child.kill()
        code = child.join()
        assert code in {0, -9}, f"{asset}, {how}: exit code {code}: {log.read_text()[-4000:]}"
        if code:
            died.append(how)
        assert not (left := orphans(str(log))), f"{asset}, {how}: {left} outlived their parent"
    Child(partial(run, data, asset), log).ends_well()
    assert tree(data / asset) == tree(undisturbed.folder / asset), f"{asset} came out otherwise, killed {died}"
    assert not (left := leftovers(data)), f"{asset}, killed {died}, left {left}"
    if asset in TRAINED:
        Child(partial(tracked_once, data, asset), log).ends_well()
    shutil.rmtree(folder)
    return died


def tracked_once(data: Path, network: str) -> None:
    """Raise an error unless a training has one run, which ended well, and one version, however often it was begun."""
    from resources.tracking import Tracking, local_uri

    store = Tracking(local_uri(data), network)
    assert [run.status for run in store.runs()] == ["FINISHED"]
    assert [version.version for version in store.versions()] == [1]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the loop, and print a line an asset."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--asset", action="append", default=[], help="only these, and what they are made of")
    told = parser.parse_args(arguments)
    begin_warm()
    rng, died = random.Random(told.seed), Counter[str]()
    with tempfile.TemporaryDirectory(prefix="faults-") as place:
        undisturbed = calm(Path(place) / "calm")
        for number, asset in enumerate(cycle(told.asset or undisturbed.assets)):
            if died.total() >= told.kills:
                break
            how = disturb(undisturbed, asset, Path(place) / f"{number}-{asset}", rng, rng.randint(1, 3))
            died[asset] += len(how)
            print(f"{asset}: the same tree after a run was killed {' and '.join(how) or 'too late'}", flush=True)
    print(f"{died.total()} processes killed: {', '.join(f'{asset} {count}' for asset, count in died.items())}")


if __name__ == "__main__":
    main()
