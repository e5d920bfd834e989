"""Expressions as users edit them: the assets through Dagster, and ``maskline express``."""

import json
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from assets_defs.expression import expression_edits, expression_regions
from assets_defs.faces import face_geometry, frames
from assets_defs.resources import Compute, Models, Workspace
from model_assets.registry import fetch
from ops import images
from ops.content import directory_md5
from ops.faces import find_faces
from ops.sample import portraits
from ops.store import Dataset, rows_of
from resources.models import FaceModels
from tests.closed_eyes import shut
from tests.colour_networks import colour_embedder

ROOT = Path(__file__).resolve().parents[2]
MADE = ("frames", "face_geometry", "expression_regions", "expression_edits")
pytestmark = pytest.mark.slow


def command(*words) -> subprocess.CompletedProcess[str]:
    call = [sys.executable, "-m", "apps.cli", "express", *map(str, words)]
    return subprocess.run(call, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A source: a woman asleep and awake, and one who does not smile."""
    data = tmp_path_factory.mktemp("data")
    collins, hopper = portraits()
    face = find_faces(collins, *FaceModels(device="cpu").load())[0]
    dim = np.rint(collins * 0.85).astype(np.uint8)
    (data / "raw" / "home").mkdir(parents=True)
    for name, pixels in {"asleep.png": shut(collins, face.mesh), "awake.png": dim, "hopper.png": hopper}.items():
        (data / "raw" / "home" / name).write_bytes(images.encode_png(pixels))
    return data


REGIONS = {"blendshapes": "none"}
EDITS = {"states": "mesh", "identity": "dlib_resnet", "floor": 0.9}


def make(data: Path, *names: str, regions: dict = REGIONS, edits: dict = EDITS) -> dg.ExecuteInProcessResult:
    resources = {"workspace": Workspace(data=str(data)), "models": Models(device="cpu"), "compute": Compute(workers=1)}
    settings = {name: {"config": wishes} for name, wishes in zip(MADE[2:], (regions, edits), strict=True)}
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("source", ["home"])
        return dg.materialize(
            [frames, face_geometry, expression_regions, expression_edits],
            selection=names,
            partition_key="home",
            instance=instance,
            resources=resources,
            run_config={
                "ops": {name: settings[name] for name in names if name in settings},
                "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
            },
            raise_on_error=False,
        )


@pytest.fixture(scope="module")
def result(data):
    return make(data, *MADE)


def test_the_assets_tell_what_is_needed_edit_it_and_prove_it(data, result):
    assert result.success
    (event,) = result.asset_materializations_for_node("expression_edits")
    found = [one for one in result.get_asset_check_evaluations() if one.asset_key.path == ["expression_edits"]]
    assert {one.check_name: (one.passed, one.blocking) for one in found} == {
        "outside_untouched": (True, True),
        "same_person": (True, True),
    }
    made = Dataset(data / "expression_edits" / "home")
    rows = {known["source"]: known for known in rows_of(made.read())}
    by = {name: (known["eyes_by"], known["smile_by"]) for name, known in rows.items()}
    assert by == {"asleep.png": ("donor", None), "awake.png": (None, None), "hopper.png": (None, "warp")}
    assert rows["awake.png"]["reason"] == "needs nothing: eyes are open and it smiles already"
    alike = next(one for one in found if one.check_name == "same_person")
    assert alike.metadata["looked_at"].value == 2 and alike.metadata["lowest"].value >= 0.9
    assert event.tags["dagster/data_version"] == directory_md5(made.folder)
    assert event.metadata["sheet"].value.startswith("![contact sheet](data:image/jpeg")


def test_the_assets_notice_that_a_model_is_exchanged_under_way(data, result, tmp_path, monkeypatch):
    for name in ("iris", "face_mesh"):
        shutil.copy(fetch(name), tmp_path)
    judge, iris = colour_embedder(tmp_path / "identity.onnx"), tmp_path / "iris_landmark.tflite"
    other = colour_embedder(tmp_path / "other.onnx", "GlobalMaxPool")
    wishes = {"edits": EDITS | {"identity": str(judge)}, "regions": REGIONS | {"min_face_px": 20}}
    for asset, model in (("expression_edits", judge), ("expression_regions", iris)):
        monkeypatch.setattr("assets_defs.expression.progress", partial(exchanging, model, other))
        with monkeypatch.context() as elsewhere:
            if model is iris:
                elsewhere.setenv("MASKLINE_MODELS", str(tmp_path))
            failed = make(data, asset, **wishes)
        assert f"{model} was exchanged" in failed.failure_data_for_node(asset).error.cause.message


def exchanging(model: Path, other: Path, title: str):
    return lambda made, total: shutil.copy(other, model)


def test_a_folder_is_edited_by_one_command(data, tmp_path):
    given = data / "raw" / "home"
    words = ["--smile", 0.6, "--save-regions", "--states", "mesh", "--json"]
    done = command("--input_path", given, "--output_path", tmp_path / "out", *words)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["pictures"], told["outputs"], told["skipped"]) == (3, 2, 1)
    for name in ("asleep", "hopper"):
        before, after = images.read(given / f"{name}.png"), images.read(tmp_path / "out" / f"{name}_expression.png")
        alpha = images.read_grey(tmp_path / "out" / f"{name}_expression_alpha.png")
        assert (before[alpha == 0] == after[alpha == 0]).all() and (before != after).any()
    rows = pd.read_parquet(tmp_path / "out" / "manifest.parquet")
    assert rows["identity_cosine"].min() > 0.9 and (rows["changed_px_outside"].dropna() == 0).all()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["{in}"], "name one OUTPUT, or --output_path"),
        (["{in}", "{out}", "--output_path", "{out}"], "name one OUTPUT, or --output_path"),
        (["{in}", "{out}", "--engine", "magic"], "'magic' is unknown; allowed: auto, donor, diffusion"),
    ],
)
def test_wrong_usage_is_told_in_a_line(words, says, data, tmp_path):
    places = {"in": data / "raw" / "home", "out": tmp_path / "out"}
    done = command(*(word.format(**places) for word in words))
    assert done.returncode == 2 and says in done.stderr and "Traceback" not in done.stderr
