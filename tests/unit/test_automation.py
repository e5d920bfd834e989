"""What starts by itself: the daemon's own evaluation, over the whole graph, of sources that change and don't."""

import os
import shutil
from pathlib import Path

import dagster as dg
import pytest

from assets_defs.conditions import LOOKED_AT, NETWORKS
from assets_defs.config import LOOKING, WHOLE
from assets_defs.faces import frames
from assets_defs.resources import Compute, Workspace
from ops.sample import make_sample
from orchestration.automation import nightly, source_sensor, weekly_training
from orchestration.definitions import defs

GRAPH = defs.resolve_asset_graph()
NAMES = [key.to_user_string() for key in GRAPH.toposorted_asset_keys]
OF_A_SOURCE = [name for name in NAMES if name not in WHOLE]
SOURCES = ["one", "two"]


class Line:
    """An instance, and what its daemon would do at the next tick."""

    def __init__(self, instance: dg.DagsterInstance, data: Path) -> None:
        self.instance, self.data = instance, data
        self.cursor = None
        self.count = 0

    def made(self, name: str, source: str | None = None, version: str | None = None) -> None:
        """Report that an asset was made, with content that was never seen before unless it is said which."""
        self.count += 1
        tags = {"dagster/data_version": version or str(self.count)}
        self.instance.report_runless_asset_event(dg.AssetMaterialization(name, partition=source, tags=tags))

    def tick(self) -> dict[str, set[str | None]]:
        """Return what is asked for by asset, with its sources."""
        result = dg.evaluate_automation_conditions(defs, self.instance, cursor=self.cursor)
        self.cursor = result.cursor
        asked = {name: set(result.get_requested_partitions(dg.AssetKey(name))) for name in NAMES}
        return {name: sources for name, sources in asked.items() if sources}

    def obeyed(self, *never: str) -> list[dict[str, set[str | None]]]:
        """Make what is asked for until nothing is, but what is ``never`` made; return what was asked, tick by tick."""
        ticks = [self.tick()]
        while any(ticks[-2:]):
            assert len(ticks) < 20, "it never ends"
            for name in NAMES:
                for source in ticks[-1].get(name, set()) if name not in never else ():
                    self.made(name, source)
            ticks.append(self.tick())
        return ticks

    def look(self, source: str) -> dg.ExecuteInProcessResult:
        """Run ``frames`` for real."""
        resources = {"workspace": Workspace(data=str(self.data)), "compute": Compute(workers=1)}
        quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
        return dg.materialize(
            [frames],
            partition_key=source,
            instance=self.instance,
            resources=resources,
            run_config=quiet,
            raise_on_error=False,
        )


@pytest.fixture(scope="module")
def line(tmp_path_factory):
    """Everything made, of two sources of real portraits, one each, whose frames are made for real; more in ``all``."""
    folder = tmp_path_factory.mktemp("data")
    make_sample(folder / "all")
    for source, portrait in zip(SOURCES, portraits(folder), strict=False):
        (folder / "raw" / source).mkdir(parents=True)
        shutil.copy(portrait, folder / "raw" / source)
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("source", SOURCES)
        line = Line(instance, folder)
        for source in SOURCES:
            assert line.look(source).success
        for name in NAMES[1:]:
            for source in SOURCES if name in OF_A_SOURCE else [None]:
                line.made(name, source, "first")
        assert line.tick() == {}, "nothing changed"
        yield line


def portraits(folder: Path) -> list[Path]:
    return sorted(path for path in (folder / "all").rglob("*") if path.suffix == ".jpg")


def test_runs_that_gave_the_same_bytes_start_nothing(line):
    assert line.look("one").success
    for name in NAMES[1:]:
        line.made(name, "two" if name in OF_A_SOURCE else None, "first")
    assert line.tick() == {}


def test_one_more_picture_makes_what_comes_of_its_source_and_then_what_all_make(line):
    shutil.copy(portraits(line.data)[2], line.data / "raw" / "one")
    assert line.look("one").success
    first, *later = line.obeyed()
    assert first == {name: {"one"} for name in OF_A_SOURCE[1:]}
    told = [name for tick in later for name in tick]
    whole = set(WHOLE) - set(NETWORKS)
    assert sorted(told) == sorted([*whole, "mask_detections"]), "each once, and hours are never spent unasked"
    assert told.index("annotated_scenes") < told.index("yolo_splits") < told.index("detector_report")
    (by_the_report,) = [tick["mask_detections"] for tick in later if "mask_detections" in tick]
    assert by_the_report == set(SOURCES), "the champion may be another"


def test_a_new_source_is_made_once_and_what_needs_a_trained_network_waits():
    waiting = {*NETWORKS, "detector_report", "mask_detections", "unmasking_report"}
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("source", ["old"])
        line = Line(instance, Path())
        for name in NAMES:
            if name not in waiting:
                line.made(name, "old" if name in OF_A_SOURCE else None)
        assert line.tick() == {}
        instance.add_dynamic_partitions("source", ["new"])
        assert line.tick() == {}, "the sensor has its frames looked at"
        line.made("frames", "new")
        first, *later = line.obeyed()
    assert first == {name: {"new"} for name in OF_A_SOURCE[1:] if name not in waiting}
    assert set().union(*later) == set(WHOLE) - waiting


# The sensor of sources


class Watch:
    """What the daemon's ticks of ``source_sensor`` ask for, one after another."""

    def __init__(self, folder: Path) -> None:
        self.raw, self.instance = folder / "raw", dg.DagsterInstance.local_temp(str(folder))
        self.resources = {"workspace": Workspace(data=str(folder))}
        self.cursor = None
        for source in SOURCES:
            self.fill(source, "first")

    def fill(self, source: str, name: str) -> Path:
        path = self.raw / source / "deep" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
        return path

    def tick(self) -> str:
        """Return the sources that are looked at, added (+) and forgotten (-), all of which is done."""
        context = dg.build_sensor_context(
            cursor=self.cursor, resources=self.resources, definitions=defs, instance_ref=self.instance.get_ref()
        )
        told = source_sensor.evaluate_tick(context)
        self.cursor = told.cursor
        changes = []
        for request in told.dynamic_partitions_requests or []:
            if isinstance(request, dg.AddDynamicPartitionsRequest):
                self.instance.add_dynamic_partitions("source", list(request.partition_keys))
                changes += [f"+{source}" for source in request.partition_keys]
            else:
                changes += [f"-{source}" for source in request.partition_keys]
                for source in request.partition_keys:
                    self.instance.delete_dynamic_partition("source", source)
        return " ".join([*changes, *(str(request.partition_key) for request in told.run_requests)])


@pytest.fixture
def watch(tmp_path):
    watch = Watch(tmp_path)
    assert [watch.tick(), watch.tick(), watch.tick()] == ["", "+one +two one two", ""]
    return watch


def test_a_folder_is_a_source_once_nobody_copies_into_it_any_more(watch):
    for name in ("a", "b", "c"):
        watch.fill("holiday", name)
        assert watch.tick() == "", "it is still being copied"
    assert [watch.tick(), watch.tick()] == ["+holiday holiday", ""]


def test_a_file_that_comes_changes_or_goes_has_its_source_looked_at(watch):
    path = watch.fill("two", "second")
    assert [watch.tick(), watch.tick(), watch.tick()] == ["", "two", ""]
    os.utime(path, (1, 1))
    assert [watch.tick(), watch.tick(), watch.tick()] == ["", "two", ""]
    path.unlink()
    assert [watch.tick(), watch.tick(), watch.tick()] == ["", "two", ""]


def test_a_folder_that_was_removed_is_forgotten_and_new_when_it_is_back(watch):
    shutil.move(watch.raw / "two", watch.raw.parent / "away")
    assert [watch.tick(), watch.tick()] == ["-two", ""]
    shutil.move(watch.raw.parent / "away", watch.raw / "two")
    assert [watch.tick(), watch.tick()] == ["", "+two two"]


# The schedules


def asked_by(schedule: dg.ScheduleDefinition, instance: dg.DagsterInstance) -> dict[str | None, set[str]]:
    context = dg.build_schedule_context(instance, repository_def=defs.get_repository_def())
    told = schedule.evaluate_tick(context)
    assert bool(told.run_requests) != bool(told.skip_message)
    asked: dict[str | None, set[str]] = {}
    for request in told.run_requests:
        asked.setdefault(request.partition_key, set()).update(key.to_user_string() for key in request.asset_selection)
    return asked


def test_the_night_run_takes_what_every_source_has_or_failed_to_make(tmp_path):
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        assert asked_by(nightly, instance) == {}
        instance.add_dynamic_partitions("source", ["one", "two", "untried"])
        line = Line(instance, tmp_path)
        for name in ("frames", "face_geometry", "digital_masks"):
            line.made(name, "one")
        (tmp_path / "raw" / "two").mkdir(parents=True)
        assert not line.look("two").success, "an empty folder"
        assert asked_by(nightly, instance) == {"one": {"frames", "face_geometry", "digital_masks"}, "two": {"frames"}}


def test_a_training_day_needs_something_to_learn_from(tmp_path):
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        assert asked_by(weekly_training, instance) == {}
        line = Line(instance, tmp_path)
        line.made("unmasking_pairs")
        assert asked_by(weekly_training, instance) == {None: {"mask_segmenter", "face_completer"}}
        line.made("yolo_splits")
        assert asked_by(weekly_training, instance) == {None: set(NETWORKS)}


# What is on, and what waits for whom


def test_everything_but_training_is_on():
    assert {sensor.name for sensor in defs.sensors} == {
        *("source_sensor", "content_changed", "failure_report", "forgotten_runs")
    }
    assert {sensor.default_status for sensor in defs.sensors} == {dg.DefaultSensorStatus.RUNNING}
    on = {schedule.name: schedule.default_status for schedule in defs.schedules}
    assert on == {"nightly": dg.DefaultScheduleStatus.RUNNING, "weekly_training": dg.DefaultScheduleStatus.STOPPED}


def test_networks_are_in_a_pool_of_their_own_and_no_content_starts_them():
    for asset in defs.assets:
        name = asset.key.to_user_string()
        assert (GRAPH.get(asset.key).automation_condition is None) == (name in {"frames", *NETWORKS})
        assert GRAPH.get(asset.key).pools == {"training" if name in NETWORKS else GRAPH.get(asset.key).group_name}
        assert GRAPH.get(asset.key).freshness_policy == (LOOKED_AT if name in LOOKING else None)


def test_there_is_a_job_a_group_and_one_for_everything():
    repository = defs.get_repository_def()
    groups = {GRAPH.get(key).group_name for key in GRAPH.get_all_asset_keys()}
    for name in [*groups, "everything"]:
        made = {key.to_user_string() for key in repository.get_job(name).asset_layer.executable_asset_keys}
        assert made == {each for each in NAMES if name in ("everything", GRAPH.get(dg.AssetKey(each)).group_name)}
