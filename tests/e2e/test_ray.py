"""The same work on a Ray cluster of two nodes, both on this machine: the same bytes, whatever happens to a node."""

import os
import socket
import time
from collections import Counter
from functools import partial
from pathlib import Path
from threading import Thread

import dagster as dg
import pytest

from assets_defs.faces import face_geometry, frames, masked_faces
from assets_defs.resources import Compute, Models, Workspace
from ops.content import directory_md5
from ops.masking import MaskSettings
from ops.sample import make_sample
from ops.stages import masks
from ops.stages.faces import described
from ops.store import Dataset, Item
from resources.compute import Local, WorkerDied
from resources.ray_compute import AHEAD, Ray, UnfitNode, _Worker

pytestmark = pytest.mark.slow
SMALL = {"object_store_memory": 80 * 2**20}
SHAPE = {"variants": 1, "min_face_px": 24, "quality": 95}


def patiently(start):
    """Start a node; once more where this machine is so busy that a part of it is late for Ray's fixed 15 seconds."""
    try:
        return start()
    except Exception as error:
        if "timed out during startup" not in str(error):
            raise
        return start()


@pytest.fixture(scope="module")
def cluster():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        cluster_utils = pytest.importorskip("ray.cluster_utils", reason="the extra `ray` is not installed")
        head = {"num_cpus": 1, "include_dashboard": False, **SMALL}
        made = patiently(partial(cluster_utils.Cluster, initialize_head=True, head_node_args=head))
        patiently(partial(made.add_node, num_cpus=1, num_gpus=1, **SMALL))
        yield made
        made.shutdown()


@pytest.fixture(scope="module")
def sample(tmp_path_factory) -> Path:
    data = tmp_path_factory.mktemp("local")
    make_sample(data / "raw" / "sample")
    materialize(data, Compute(workers=1))
    return data


def materialize(data: Path, compute: Compute) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("source", ["sample"])
        done = dg.materialize(
            [frames, face_geometry, masked_faces],
            partition_key="sample",
            instance=instance,
            resources={"workspace": Workspace(data=str(data)), "models": Models(), "compute": compute},
            run_config={"loggers": {"console": {"config": {"log_level": "ERROR"}}}},
        )
    assert done.success


def items(count: int) -> list[Item]:
    return [Item(f"{number:032x}", {"source": f"{number}.jpg"}) for number in range(count)]


def test_assets_on_a_cluster_make_the_tree_that_one_process_makes(cluster, sample, tmp_path):
    make_sample(tmp_path / "raw" / "sample")
    materialize(tmp_path, Compute(compute="ray", address=cluster.address, workers=2, data=str(tmp_path)))
    for name in ("frames", "face_geometry", "masked_faces"):
        assert directory_md5(tmp_path / name) == directory_md5(sample / name), name
    assert {path.name for path in tmp_path.iterdir()} == {"raw", "frames", "face_geometry", "masked_faces"}


class Doomed:
    """Works like another once one node has an item in hand, and on that node never."""

    def __init__(self, make, node: str, seen: Path) -> None:
        self.work = make()
        self.node = node
        self.seen = seen

    def __call__(self, item: Item):
        import ray

        here = ray.get_runtime_context().get_node_id()
        (self.seen / f"{item.fingerprint} {here}").touch()
        if here == self.node:
            time.sleep(600)
        while not list(self.seen.glob(f"* {self.node}")):
            time.sleep(0.05)
        return self.work(item)


def test_a_node_that_dies_loses_and_doubles_no_row(cluster, sample, tmp_path):
    """Masks are drawn on three nodes; one of them is killed with a picture in hand."""
    seen = tmp_path / "seen"
    seen.mkdir()
    dying = patiently(partial(cluster.add_node, num_cpus=1, **SMALL))
    known = described(Dataset(sample / "face_geometry" / "sample"))
    todo = masks.plan(known, sample, MaskSettings(), **SHAPE)

    def build(name: str, mapper, wrap=lambda make: make) -> Dataset:
        dataset = Dataset(tmp_path / name, masks.columns())
        work = partial(masks.Wear, dataset.folder, MaskSettings(), **SHAPE, max_pixels=10**7)
        assert dataset.build(todo, wrap(work), mapper).made == len(todo)
        return dataset

    def kill() -> None:
        while not list(seen.glob(f"* {dying.node_id}")):
            time.sleep(0.05)
        cluster.remove_node(dying, allow_graceful=False)

    killer = Thread(target=kill, daemon=True)
    killer.start()
    mapper = Ray(tmp_path, cluster.address, workers=3, batch=1)
    through = build("ray", mapper, lambda make: partial(Doomed, make, dying.node_id, seen))
    killer.join()
    assert through.read()["output"].nunique() == len(todo)
    assert directory_md5(through.folder) == directory_md5(build("local", Local(1)).folder)
    tries = Counter(path.name.split()[0] for path in seen.iterdir())
    (lost,) = (path.name.split()[0] for path in seen.glob(f"* {dying.node_id}"))
    assert tries == Counter(item.fingerprint for item in todo) + Counter([lost])


class Peek:
    """Tells what a worker sees; item 0 waits until others were handed out, and no more are, and counts them."""

    def __init__(self, seen: Path) -> None:
        self.seen = seen

    def __call__(self, item: Item):
        (self.seen / item.fingerprint).touch()
        before = -1
        for _ in range(60 if item == items(1)[0] else 0):
            if before == (now := len(list(self.seen.iterdir()))) > 10:
                break
            before = now
            time.sleep(1)
        return [{"source": item.payload["source"], "before": before, "gpu": os.environ.get("CUDA_VISIBLE_DEVICES")}]


def test_rows_come_in_order_and_only_so_many_are_ahead(cluster, tmp_path):
    """Behind a slow item the others wait, so that memory holds a bounded number of rows."""
    mapper = Ray(tmp_path, cluster.address, workers=2, batch=2)
    rows = [row for rows in mapper.map(partial(Peek, tmp_path), items(60)) for row in rows]
    assert [row["source"] for row in rows] == [item.payload["source"] for item in items(60)]
    assert 10 < rows[0]["before"] <= 2 * 2 * AHEAD + 1  # and the folder in which the nodes met


def test_workers_share_a_gpu_and_see_none_unless_asked(cluster, tmp_path):
    sharing = Ray(tmp_path, cluster.address, workers=2, cpus=0.25, gpus=0.25, batch=1)
    given = {row["gpu"] for rows in sharing.map(partial(Peek, tmp_path), items(3)[1:]) for row in rows}
    assert given == {"0"}
    without = Ray(tmp_path, cluster.address, batch=1)
    assert [row["gpu"] for rows in without.map(partial(Peek, tmp_path), items(2)[1:]) for row in rows] == [""]
    with pytest.raises(ValueError, match="takes 1 CPU, 2 GPU, and no node has as much: 1 CPU, 0 GPU; 1 CPU, 1 GPU"):
        list(Ray(tmp_path, cluster.address, gpus=2).map(partial(Peek, tmp_path), items(1)))


class Trip:
    """Stumbles over one item, in one of two ways."""

    def __init__(self, *, fatal: bool) -> None:
        self.fatal = fatal

    def __call__(self, item: Item):
        if item.payload["source"] == "3.jpg":
            if self.fatal:
                os._exit(9)
            raise ZeroDivisionError("of all things")
        return [{"source": item.payload["source"]}]


def test_errors_are_told_as_one_process_tells_them(cluster, tmp_path):
    mapper = Ray(tmp_path, cluster.address, workers=1, batch=1)
    for where in (Local(1), mapper):
        with pytest.raises(ZeroDivisionError, match="of all things") as told:
            list(where.map(partial(Trip, fatal=False), items(5)))
        assert told.value.__notes__ == ["while working on '3.jpg'"]
    with pytest.raises(WorkerDied, match=r"3 workers died, each while working on '3\.jpg'"):
        list(mapper.map(partial(Trip, fatal=True), items(5)))


def test_a_node_without_the_data_or_with_other_code_is_told_at_once(cluster, tmp_path):
    handle = os.open(tmp_path, os.O_RDONLY)
    here_only = Path(f"/proc/self/fd/{handle}")  # every process has folders of its own there
    with pytest.raises(UnfitNode, match=rf"can't use {here_only}, the data folder: .*all nodes must share it"):
        list(Ray(here_only, cluster.address).map(partial(Peek, tmp_path), items(1)))
    os.close(handle)
    (tmp_path / "code").write_text("of another version")
    with pytest.raises(UnfitNode, match="has other code of Maskline"):
        _Worker().start((partial(Peek, tmp_path), tmp_path))


def test_an_address_at_which_nothing_listens_is_told_at_once(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = "127.0.0.1:{1}".format(*free.getsockname())
        with pytest.raises(ConnectionError, match=f"no Ray cluster answers at '{address}': .*refused"):
            list(Ray(tmp_path, address).map(partial(Peek, tmp_path), items(1)))


def test_the_documented_launcher_of_whole_runs_loads(tmp_path, monkeypatch):
    pytest.importorskip("dagster_ray", reason="the extra `ray` is not installed")
    page = (Path(__file__).parents[2] / "docs" / "scale.md").read_text()
    (block,) = (text for text in page.split("```yaml\n")[1:] if text.startswith("run_launcher:"))
    (tmp_path / "dagster.yaml").write_text(block.split("```")[0])
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    with dg.DagsterInstance.get() as instance:
        launcher = instance.run_launcher
    assert (type(launcher).__name__, launcher.address) == ("RayRunLauncher", "http://head:8265")
