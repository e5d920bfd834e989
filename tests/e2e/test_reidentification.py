"""The report on re-identification through Dagster: who is asked about, what people are shown, and what blocks."""

import json
from pathlib import Path

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from assets_defs.resources import Compute, Models, Tracking, Workspace
from ops import images
from ops.content import directory_md5
from ops.pinned import ChangedModel
from ops.reidentification.scenarios import FACE, GUISES, MASK_ONLY, OVERLAY, SCENARIOS
from ops.sample import portraits
from ops.stages.reidentification_report import METRICS, PLOTS, SHEET
from orchestration.materialize import run
from tests.colour_networks import colour_embedder

pytestmark = pytest.mark.slow
PEOPLE = ("ann", "bob")
IDENTITY = {"identity": r"regex:^\w+/(\w+)"}


def write(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(images.encode_png(np.ascontiguousarray(pixels)))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Two people with two frames of a video each; Bob's photograph, cut and recoded; both in one picture."""
    data = tmp_path_factory.mktemp("data")
    raw, shown = data / "raw" / "study", portraits()
    for person, pixels in zip(PEOPLE, shown, strict=True):
        write(raw / "database" / person / "v" / "1.png", pixels)
        write(raw / "query" / person / "v" / "2.png", pixels[6:, 4:])
    write(raw / "database" / "bob.png", shown[1][:-8])
    write(raw / "query" / "bob.png", images.decode(images.encode_jpeg(shown[1], 60)))
    both = [images.resized(pixels, (200, 240)) for pixels in shown]
    write(raw / "database" / "two.png", np.hstack(both))
    resources = {"workspace": Workspace(data=str(data)), "models": Models(device="cpu"), "compute": Compute(workers=1)}
    resources["tracking"] = Tracking(uri="")
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("source", ["study"])
        wishes = {"frames": IDENTITY, "digital_masks": {"identity": "none"}}
        for asset in ("frames", "face_geometry", "digital_masks"):
            assert run(instance, resources, asset, "study", wishes.get(asset)).success
        yield data, instance, resources


@pytest.fixture(scope="module")
def report(place):
    data, instance, resources = place
    return run(instance, resources, "reidentification_report", ""), data / "reidentification_report"


def test_it_says_what_it_found_and_that_it_means_nothing(report):
    result, folder = report
    assert result.success
    told = json.loads((folder / METRICS).read_text())
    assert not told["meaningful"] and "2 people" in told["why_not"]
    assert told["same_photograph"] == {"cross": 1}, "a photograph is no second one of Bob"
    bare, overlay = (told["same"][scenario.name] for scenario in SCENARIOS[:2])
    assert bare["excluded"]["rank_1"] == 1
    assert (bare["queries"], bare["gallery"], bare["failed"]) == (2, 2, 0)
    assert overlay["queries"] == 2
    completed = told["same"]["completed_to_face"]
    assert (completed["queries"], completed["failed"]) == (0, 2)
    assert completed["excluded"]["rank_1"] is None and completed["failed_as_recognised"]["rank_1"] == 1


def test_people_are_shown_it(report):
    result, folder = report
    (event,) = result.asset_materializations_for_node("reidentification_report")
    told = {name: value.value for name, value in event.metadata.items()}
    assert "| same | overlay to face | 2 | 2 | 0 |" in told["figures"]
    assert all("data:image/jpeg" in told[name] for name in ("cmc_png", "anonymisers_png", "anonymisers_jpg"))
    assert images.read(folder / SHEET).shape[1] > 1000
    assert all((folder / name).is_file() for name in PLOTS)
    checks = {check.check_name: check for check in result.get_asset_check_evaluations()}
    assert checks["queries_apart"].passed and checks["queries_apart"].blocking
    assert not checks["leak_rate"].passed and not checks["leak_rate"].blocking


def test_every_picture_is_seen_in_every_guise_or_told_why_not(report):
    _, folder = report
    rows = pd.read_parquet(folder / "manifest.parquet")
    assert set(rows.loc[rows["person"].isin(PEOPLE), "guise"]) == set(GUISES)
    left_out = rows[rows["status"] != "done"]
    assert set(left_out["reason"]) == {
        "no completed was made",
        "several faces: which one is the person is not known",
    }
    vectors = np.stack(rows["vector"].dropna().to_list())
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert set(rows.loc[rows["look"].notna(), "guise"]) == {FACE}


def test_a_second_run_makes_nothing_and_changes_nothing(place, report):
    _, instance, resources = place
    _, folder = report
    before = directory_md5(folder)
    again = run(instance, resources, "reidentification_report", "")
    (event,) = again.asset_materializations_for_node("reidentification_report")
    assert event.metadata["made"].value == 0
    assert directory_md5(folder) == before


def test_masks_cut_out_in_a_square_are_found_there(place, report):
    """A digital mask looks the same to the embedding in the square that it was cut out by."""
    data, instance, resources = place
    whole = pd.read_parquet(data / "reidentification_report" / "manifest.parquet")
    wishes = {"identity": "none", "size": 400}
    assert run(instance, resources, "digital_masks", "study", wishes).success
    assert run(instance, resources, "reidentification_report", "").success
    square = pd.read_parquet(data / "reidentification_report" / "manifest.parquet")
    keys = ["frame", "guise"]
    both = whole.merge(square, on=keys, suffixes=("", "_square")).dropna(subset=["vector"])
    for guise in (OVERLAY, MASK_ONLY):
        some = both[both["guise"] == guise]
        near = [one @ other for one, other in zip(some["vector"], some["vector_square"], strict=True)]
        assert len(near) >= 4 and min(near) > 0.97


def test_a_picture_of_the_gallery_that_is_asked_about_blocks(place, report):
    from assets_defs.checks.privacy import queries_apart
    from ops.store import Dataset

    data, _, _ = place
    _, folder = report
    path = folder / "trials.csv"
    kept = path.read_text()
    head, first, *others = kept.splitlines()
    setting, person, database, _ = first.split(",")
    assert {line.split(",")[0] for line in others} == {"same", "cross"}
    in_gallery = {line.split(",")[2] for line in others if line.startswith(setting)} | {database}
    assert len(in_gallery) == 2
    for planted in in_gallery:
        path.write_text("\n".join([head, f"{setting},{person},{database},{planted}", *others]) + "\n")
        check = queries_apart(Dataset(folder), data, max_pixels=10**8)
        assert not check.passed, planted
    recoded = "cross,bob,raw/study/database/bob.png,raw/study/query/bob.png"
    path.write_text("\n".join([head, recoded]) + "\n")
    assert not queries_apart(Dataset(folder), data, max_pixels=10**8).passed
    path.write_text(kept)
    assert queries_apart(Dataset(folder), data, max_pixels=10**8).passed


def test_an_embedding_network_that_is_exchanged_under_way_is_noticed(place, report, tmp_path, monkeypatch):
    _, instance, resources = place
    judge = colour_embedder(tmp_path / "identity.onnx")
    monkeypatch.setattr("assets_defs.privacy.progress", lambda title: lambda made, total: judge.write_bytes(b"another"))
    result = run(instance, resources, "reidentification_report", "", {"identity": str(judge)})
    assert not result.success
    cause = result.failure_data_for_node("reidentification_report").error.cause
    assert cause.cls_name == ChangedModel.__name__ and f"{judge} was exchanged" in cause.message


def test_without_an_embedding_nothing_is_claimed(place, report):
    data, instance, resources = place
    result = run(instance, resources, "reidentification_report", "", {"identity": "none"})
    assert result.success
    told = json.loads((data / "reidentification_report" / METRICS).read_text())
    assert not told["meaningful"] and told["identity_by"] == "none"
    rows = pd.read_parquet(data / "reidentification_report" / "manifest.parquet")
    assert not (rows["status"] == "done").any()
