"""The report on unmasking through Dagster: what people are shown, and what blocks."""

import json
import shutil

import dagster as dg
import pytest

from assets_defs.resources import Compute, Models, Tracking, Workspace
from ops.stages.unmasking_report import METRICS
from orchestration.materialize import run, stale
from resources.tracking import Tracking as MlflowStore
from resources.tracking import local_uri
from tests.colour_networks import colour_networks
from tests.tiny_pairs import make_pairs

pytestmark = pytest.mark.slow
WISHES = {"size": 64, "identity": "none", "lpips": "none"}


@pytest.fixture(scope="module", params=[{"train": 2, "test": 2}, {"train": 2}], ids=["tested", "nobody"])
def place(request, tmp_path_factory):
    """A workspace with pairs and networks that go by colour, an instance, and the people in its splits."""
    data = tmp_path_factory.mktemp("data")
    make_pairs(data / "unmasking_pairs", size=64, **request.param)
    networks = colour_networks(data / "networks")
    for asset, path in (("mask_segmenter", networks.segmenter), ("face_completer", networks.completer)):
        (data / asset).mkdir()
        shutil.copy(path, data / asset / path.name)
        with MlflowStore(local_uri(data), asset).run(asset, asset, {}, {}) as tracked:
            (data / asset / f"{asset.split('_')[1]}.json").write_text(json.dumps({"run_id": tracked.run_id}))
    resources = {"workspace": Workspace(data=str(data)), "models": Models(device="cpu"), "compute": Compute(workers=1)}
    resources["tracking"] = Tracking(uri="")
    with dg.DagsterInstance.ephemeral() as instance:
        yield data, instance, resources, request.param


def test_the_report_is_made_told_and_judged(place):
    data, instance, resources, people = place
    result = run(instance, resources, "unmasking_report", "", {**WISHES, "people": 2})
    (check,) = result.get_asset_check_evaluations()
    assert check.check_name == "beats_baselines" and check.blocking and not check.passed
    assert result.success == ("test" not in people), "somebody else's photograph is better than one tone of skin"
    assert check.severity.value == ("ERROR" if "test" in people else "WARN")
    (event,) = result.asset_materializations_for_node("unmasking_report")
    told = {name: value.value for name, value in event.metadata.items()}
    metrics = json.loads((data / "unmasking_report" / METRICS).read_text())
    assert told["squares"] == metrics["squares"] == (8 if "test" in people else 0)
    assert told["identity_by"] == "none" and "| found | nearest_face |" in told["figures"]
    assert all("data:image/jpeg" in told[name] for name in ("contenders", "groups"))
    assert all(("data:image/jpeg" in told.get(name, "")) == ("test" in people) for name in ("best", "median", "worst"))


def test_what_it_says_is_in_the_networks_runs(place):
    data, instance, resources, people = place
    assert run(instance, resources, "unmasking_report", "", WISHES).success
    for asset, figure in (("mask_segmenter", "test_dice"), ("face_completer", "test_psnr")):
        store = MlflowStore(local_uri(data), asset)
        (known,) = store.runs()
        assert (figure in known.metrics) == ("test" in people)
        assert store.artifact(known.run_id, METRICS).read_bytes() == (data / "unmasking_report" / METRICS).read_bytes()


def test_a_run_that_is_gone_is_told(place):
    data, instance, resources, _ = place
    about = data / "mask_segmenter" / "segmenter.json"
    kept = about.read_text()
    about.write_text(json.dumps({"run_id": "gone"}))
    result = run(instance, resources, "unmasking_report", "", WISHES)
    about.write_text(kept)
    (event,) = result.asset_materializations_for_node("unmasking_report")
    assert "run gone is not in the store" in event.metadata["notes"].value


def test_where_it_means_nothing_it_blocks_nothing_and_is_fresh(place):
    _, instance, resources, people = place
    workspace = resources["workspace"]
    result = run(instance, resources, "unmasking_report", "", WISHES)
    assert result.success, "fewer people than the 20 that make figures mean something"
    assert stale(instance, workspace, "unmasking_report", "", WISHES) is None
    (event,) = result.asset_materializations_for_node("unmasking_report")
    made = (event.metadata["made"].value, event.metadata["kept"].value)
    assert made == (0, 4 if "test" in people else 0)
