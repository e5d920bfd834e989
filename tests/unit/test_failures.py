"""What a person is told when a run failed: real runs of real assets that can't end well."""

from pathlib import Path

import dagster as dg
import pytest

from assets_defs.faces import face_geometry, frames
from assets_defs.resources import Compute, Models, Workspace
from orchestration.definitions import defs
from orchestration.failures import failure_report


@pytest.fixture
def instance(tmp_path):
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        instance.add_dynamic_partitions("source", ["empty"])
        yield instance


def reported(instance: dg.DagsterInstance, run: dg.DagsterRun, event: dg.DagsterEvent) -> str:
    """Return the only report that the sensor wrote."""
    context = dg.build_run_status_sensor_context("failure_report", event, instance, run).for_run_failure()
    failure_report(context)
    (path,) = (Path(instance.root_directory) / "failures").iterdir()
    assert path.name.endswith(f"_{run.run_id[:8]}.md")
    return path.read_text()


def failed(instance: dg.DagsterInstance, data: Path, *assets: dg.AssetsDefinition, named: str = "") -> str:
    result = dg.materialize(
        list(assets),
        partition_key="empty",
        instance=instance,
        resources={"workspace": Workspace(data=str(data)), "models": Models(), "compute": Compute(workers=1)},
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        raise_on_error=False,
    )
    assert not result.success
    (ended,) = [event for event in result.all_events if event.is_failure and not event.is_step_event]
    return reported(instance, result.dagster_run, ended)


def test_a_check_that_blocks_is_told_with_what_it_found_and_what_was_left_out(instance, tmp_path):
    (tmp_path / "raw" / "empty").mkdir(parents=True)
    told = failed(instance, tmp_path, frames, face_geometry)
    assert told.startswith("# frames [empty] failed\n")
    assert "The check `decodable` did not pass. Pass when at least one frame could be decoded" in told
    assert "> decoded: 0, rejected: 0" in told
    assert "nothing is made of it" in told
    assert "python -m orchestration.materialize frames --source empty" in told
    assert "Not made, since that came first: face_geometry." in told
    assert told.split("## End of the log")[1].count("\n") > 5


def test_an_error_is_told_in_its_own_words_with_advice_and_without_secrets(instance, tmp_path, monkeypatch):
    monkeypatch.setenv("MASKLINE_UI", "https://maskline.example")
    monkeypatch.setenv("STORE_TOKEN", "hush-hush")
    told = failed(instance, tmp_path / "hush-hush", face_geometry)
    assert "> FileNotFoundError" in told and "/***/frames/empty has no manifest.parquet: materialize it first" in told
    assert "Something that it is made of is not there." in told
    assert "(https://maskline.example/runs/" in told
    assert "hush-hush" not in told


def test_a_run_that_died_says_so(instance):
    run = instance.create_run_for_job(defs.resolve_job_def("faces"), tags={"dagster/partition": "empty"})
    ended = instance.report_run_failed(run, "the machine went down")
    told = reported(instance, run, ended)
    assert told.startswith("# faces [empty] failed\n")
    assert "ended without a word" in told and "Then start it again." in told
    assert "the machine went down" in told
