"""Engines that run networks: the real pipeline class with a tiny model, and a completer that goes by colour."""

import json
import pickle
import shutil

import numpy as np
import pytest

from ops.expressions.engines import EngineError
from ops.expressions.regions import LEFT_EYE, MOUTH, region
from ops.sample import portraits
from resources.inpainters import Diffusion, FaceCompleter, fitted
from tests.colour_networks import SKIN, colour_networks
from tests.tiny_diffusion import SIZE, save_tiny_pipeline
from tests.tiny_pairs import FACES

PIXELS, FACE = portraits()[0][:260, 100:360].copy(), FACES[0]
MESH = FACE.mesh - np.float32([100, 0, 0])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_tiny_pipeline(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def engine(folder):
    made = Diffusion(str(folder), device="cpu", steps=2)
    made.check()
    return made


@pytest.fixture
def mouth():
    return region(MESH, MOUTH, PIXELS.shape[:2])


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes_and_another_others(engine, mouth):
    assert engine.size == SIZE
    first, again, other = (engine.inpaint(PIXELS, mouth, "a smile", seed) for seed in (1, 1, 2))
    assert (first == PIXELS)[~mouth.inside].all() and (first != PIXELS)[mouth.inside].any()
    assert (first == again).all() and (first != other).any()
    assert (engine.inpaint(PIXELS, mouth, "a frown", 1) != first).any(), "the words count"


@pytest.mark.slow
def test_it_loads_once_samples_with_dpm_solver_and_travels_without_its_weights(engine):
    assert engine(PIXELS, FACE)._pipeline is engine._pipeline
    scheduler = engine._pipeline.scheduler
    assert (type(scheduler).__name__, scheduler.config.algorithm_type) == ("DPMSolverMultistepScheduler", "dpmsolver++")
    assert len(pickle.dumps(engine)) < 1000


@pytest.mark.slow
def test_tiles_change_nothing_beside_the_region_either(folder):
    engine = Diffusion(str(folder), device="cpu", steps=1, way="tiles")
    eye = region(MESH, LEFT_EYE, PIXELS.shape[:2])
    made = engine.inpaint(PIXELS, eye, "an open eye", 1)
    assert (made == PIXELS)[~eye.inside].all() and (made != PIXELS)[eye.inside].any()


@pytest.mark.slow
def test_a_pipeline_that_does_not_inpaint_is_refused(folder, tmp_path):
    other = shutil.copytree(folder, tmp_path / "other")
    index = json.loads((other / "model_index.json").read_text())
    (other / "model_index.json").write_text(json.dumps({**index, "_class_name": "StableDiffusionPipeline"}))
    with pytest.raises(EngineError, match="is a StableDiffusionPipeline; an inpainting pipeline is asked for"):
        Diffusion(str(other), device="cpu").check()


@pytest.mark.slow
@pytest.mark.parametrize("model", ["absent", "nobody/nothing"])
def test_a_model_that_is_not_there_is_told_without_asking_the_hub(model, tmp_path, mouth, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(EngineError, match=f"no diffusion model '{model}' on this machine, and fetching is off"):
        Diffusion(model, device="cpu").inpaint(PIXELS, mouth, "", 0)


def test_too_little_memory_is_answered_by_smaller_sizes_and_then_told():
    import torch

    tried = []

    def attempt(size, enough=0):
        tried.append(size)
        if size > enough:
            raise torch.OutOfMemoryError(f"{size} px")
        return PIXELS

    assert fitted(lambda size: attempt(size, 400), 512) is PIXELS
    assert tried == [512, 384]
    with pytest.raises(EngineError, match="memory is not enough for squares of 256 px"):
        fitted(attempt, 512)
    assert tried[2:] == [512, 384, 256]


def test_the_completer_fills_the_region_alone(tmp_path, mouth):
    colour_networks(tmp_path)
    engine = FaceCompleter(tmp_path / "completer.onnx", threads=1)(PIXELS, FACE)
    made = type(engine)(engine.network, MESH).inpaint(PIXELS, mouth, "", 0)
    assert (made == PIXELS)[~mouth.inside].all()
    filled = made[mouth.alpha == 1]
    assert filled.std(axis=0).max() < PIXELS[mouth.alpha == 1].std(axis=0).max(), "one tone, as the network paints it"
    assert abs(filled.mean(axis=0) - SKIN).max() < 90


def test_without_a_completer_it_is_told(tmp_path):
    with pytest.raises(EngineError, match=r"no face completer at .*absent\.onnx: train one"):
        FaceCompleter(tmp_path / "absent.onnx")(PIXELS, FACE)
    colour_networks(tmp_path, size=None)
    engine = FaceCompleter(tmp_path / "completer.onnx")(PIXELS, FACE)
    with pytest.raises(EngineError, match="has a size as JSON"):
        engine.inpaint(PIXELS, region(MESH, MOUTH, PIXELS.shape[:2]), "", 0)
