"""Trainings in a real MLflow store of their own."""

import os
import shutil

import pytest

from resources.tracking import CHALLENGER, CHAMPION, PARENT, Tracking, local_uri

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    os.environ["MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL"] = "1"
    yield Tracking(local_uri(tmp_path_factory.mktemp("tracked")))
    del os.environ["MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL"]


def opened(store: Tracking, training: str, **more: str):
    return store.run(training, f"run of {training}", {"epochs": 2, "start": "none"}, {"split_hash": "abc"}, **more)


def info(store: Tracking, run_id: str):
    (known,) = [run for run in store.runs() if run.run_id == run_id]
    return known


def test_a_store_that_is_not_there_is_empty_and_stays_so(tmp_path):
    nowhere = Tracking(local_uri(tmp_path))
    assert (nowhere.runs(), nowhere.versions(), nowhere.champion(), nowhere.history("x", "y")) == ([], [], None, [])
    with pytest.raises(FileNotFoundError, match="no runs are kept"):
        nowhere.artifact("x", "detector.onnx")
    assert list(tmp_path.iterdir()) == []


def test_the_environment_says_where_runs_are_kept(tmp_path, monkeypatch):
    assert local_uri(tmp_path) == f"sqlite:///{tmp_path}/mlflow/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://localhost:5000")
    assert local_uri(tmp_path) == "http://localhost:5000"


def test_a_run_tells_what_was_said_of_it(store):
    with opened(store, "told") as run:
        run.epoch(1, {"val/ap50": 0.25, "lr": 0.01})
        run.tag({"more": 7})
    known = info(store, run.run_id)
    assert (known.name, known.status) == ("run of told", "FINISHED")
    assert known.params == {"epochs": "2", "start": "none"}
    assert known.metrics == {"val/ap50": 0.25, "lr": 0.01}
    assert known.tags.items() >= {"split_hash": "abc", "more": "7"}.items()


def test_a_run_has_a_page_and_what_is_no_run_has_none(store, tmp_path):
    with opened(store, "shown") as run:
        pass
    page = store.page(run.run_id)
    assert page.startswith("http://127.0.0.1:5000/#/experiments/")
    assert page.endswith(f"/runs/{run.run_id}")
    assert store.page("0" * 32) is None
    assert Tracking(local_uri(tmp_path)).page(run.run_id) is None


def test_a_training_that_goes_on_is_the_same_run_with_every_epoch_once(store):
    with pytest.raises(KeyboardInterrupt), opened(store, "killed") as run:
        run.epoch(1, {"val/ap50": 0.1})
        run.epoch(2, {"val/ap50": 0.2})
        raise KeyboardInterrupt
    assert info(store, run.run_id).status == "FAILED"
    with opened(store, "killed") as again:
        for epoch in (1, 2, 3):
            again.epoch(epoch, {"val/ap50": epoch / 10})
    assert again.run_id == run.run_id
    assert store.history(run.run_id, "val/ap50") == [(1, 0.1), (2, 0.2), (3, 0.3)]
    assert info(store, run.run_id).status == "FINISHED"


def test_the_load_of_the_machine_is_sampled(store):
    import time

    with opened(store, "load") as run:
        time.sleep(2.5)
    name = "system/cpu_utilization_percentage"
    assert store.history(run.run_id, name)
    assert name not in info(store, run.run_id).metrics


def test_trials_lie_below_their_search(store):
    with opened(store, "search") as search, opened(store, "trial", parent=search.run_id) as trial:
        pass
    assert info(store, trial.run_id).tags[PARENT] == search.run_id
    assert PARENT not in info(store, search.run_id).tags


def test_versions_and_who_is_champion(store, tmp_path):
    (tmp_path / "detector.onnx").write_bytes(b"network")
    runs = []
    for training in ("first", "second"):
        with opened(store, training) as run:
            run.epoch(1, {"ap50": 0.5})
            run.keep([tmp_path / "detector.onnx"])
            assert run.register("detector.onnx") == run.register("detector.onnx"), "a run is one version"
        runs.append(run.run_id)
    newest, before = store.versions()
    assert [newest.run_id, before.run_id] == runs[::-1]
    assert (newest.aliases, before.aliases, newest.metrics) == ((CHALLENGER,), (), {"ap50": 0.5})
    assert store.champion() is None
    for version in (newest, before):
        store.alias(version.version, CHAMPION)
    assert store.champion().version == before.version


def test_files_are_found_where_the_store_was_moved_to(tmp_path):
    (tmp_path / "weights.pt").write_bytes(b"weights")
    with opened(Tracking(local_uri(tmp_path / "here")), "moved") as run:
        run.keep([tmp_path / "weights.pt"])
    shutil.move(tmp_path / "here", tmp_path / "there")
    moved = Tracking(local_uri(tmp_path / "there"))
    assert moved.artifact(run.run_id, "weights.pt").read_bytes() == b"weights"
    assert moved.artifact(run.run_id, "weights.pt").is_relative_to(tmp_path / "there")
    with pytest.raises(FileNotFoundError, match="has no curves"):
        moved.artifact(run.run_id, "curves.png")


def test_a_file_that_is_absent_is_told_where_only_mlflow_can_reach_files(tmp_path):
    store = Tracking(local_uri(tmp_path))
    store._client.create_experiment(store.name, artifact_location=str(tmp_path / "elsewhere"))
    (tmp_path / "weights.pt").write_bytes(b"weights")
    with opened(store, "far") as run:
        run.keep([tmp_path / "weights.pt"])
    assert store.artifact(run.run_id, "weights.pt").read_bytes() == b"weights"
    with pytest.raises(FileNotFoundError, match=r"has no detector\.onnx"):
        store.artifact(run.run_id, "detector.onnx")
