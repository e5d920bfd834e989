"""Every detector and landmarker whose weights are here, on real pictures, against each other."""

import os
import pickle
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from model_assets.registry import ModelUnavailable, Registry
from model_assets.sources import Pypi
from ops.geometry import mesh_box, points5, points68
from ops.images import read
from ops.records import Box, Detection
from resources.detectors import DETECTORS, FILES, make_detector
from resources.devices import cuda_devices, onnx_providers, resolve_device
from resources.landmarkers import LANDMARKERS, make_landmarker
from resources.models import FaceModels

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("MASKLINE_SHARED", ROOT.parent / "shared"))
WITH_POINTS = {"blazeface": 6, "wary": 6, "blazeface_short": 6, "blazeface_back": 6, "blazeface_full": 6, "yunet": 5}
FIVE = {
    68: (range(36, 42), range(42, 48), (30,), (48,), (54,)),
    98: (range(60, 68), range(68, 76), (54,), (76,), (82,)),
}
"""Eyes, nose tip and mouth corners among iBUG's 68 and WFLW's 98 points."""


@pytest.fixture(scope="module", autouse=True)
def weights(tmp_path_factory):
    """A model cache of these tests' own: what the user has, and the shared weights if no other mirror is set."""
    folder = tmp_path_factory.mktemp("models")
    users = Registry.load()
    for name, model in users.models.items():
        if found := users.path(name):
            (folder / model.file).symlink_to(found)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("MASKLINE_MODELS", str(folder))
        if "MASKLINE_MIRROR" not in os.environ and (SHARED / "weights").is_dir():
            environment.setenv("MASKLINE_MIRROR", str(SHARED / "weights"))
        yield


def refused(files):
    """Why these model files can't be had here; tests fetch none by URL."""
    registry = Registry.load()
    for name in files:
        known = registry.models[name]
        at_hand = registry.path(name) or (registry.mirror and Path(registry.mirror, known.file).is_file())
        if not at_hand and not any(isinstance(source, Pypi) for source in known.sources):
            return f"{known.file} is neither in the cache nor in a mirror (set MASKLINE_MIRROR)"
    return None


@cache
def model(make, name):
    files = FILES.get(name, (name,)) if make is make_detector else LANDMARKERS[name].models
    try:
        return refused(files) or make(name, "cpu")
    except ModelUnavailable as error:
        return str(error)


def built(make, name):
    found = model(make, name)
    if isinstance(found, str):
        pytest.skip(found)
    return found


@cache
def pictures():
    """Two public-domain portraits from the packages, and twelve real photographs where they are."""
    import matplotlib
    from skimage.data import astronaut

    samples = [astronaut(), read(Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg")]
    portraits = sorted((SHARED / "data" / "portraits").glob("*.jpg"))[::60]
    others = sorted((SHARED / "data" / "unmasked").glob("*.jpg"))[::60]
    return [*samples, *map(read, portraits + others)]


@cache
def reference():
    """What the default models see in each picture: the detection and the mesh."""
    detector, landmarker = built(make_detector, "blazeface"), built(make_landmarker, "mesh")
    found = [(pixels, detector.detect(pixels)[0]) for pixels in pictures()]
    return [(pixels, detection, landmarker.landmarks(pixels, detection).points) for pixels, detection in found]


def five(points):
    """Eye centres, nose tip and mouth corners of any landmarker's points."""
    if len(points) in FIVE:
        return np.stack([points[list(group), :2].mean(axis=0) for group in FIVE[len(points)]])
    return points5(points)


def apart(points, mesh):
    """Mean distance of two sets of five points, as a share of the distance between the eyes."""
    eyes = points5(mesh)
    return np.linalg.norm(five(points) - eyes, axis=1).mean() / np.linalg.norm(eyes[0] - eyes[1])


@pytest.mark.parametrize("name", DETECTORS)
def test_detectors_agree_on_where_the_faces_are(name):
    detector = built(make_detector, name)
    missed, off = 0, []
    for pixels, _, mesh in reference():
        found = detector.detect(pixels)
        assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
        assert all(0 <= one.score <= 1 for one in found)
        hits = [one for one in found if one.box.iou(mesh_box(mesh)) > 0.35]
        missed += not hits
        for one in hits[:1]:
            if name not in WITH_POINTS:
                assert one.points is None
                continue
            assert one.points.shape == (WITH_POINTS[name], 2)
            eyes = points5(mesh)[:2]
            off.append(np.linalg.norm(one.points[:2] - eyes, axis=1).max() / np.linalg.norm(eyes[0] - eyes[1]))
    assert missed <= 0.15 * len(reference())
    if off:  # the first two points are the left and the right eye
        assert np.median(off) < 0.12
        assert max(off) < 0.5  # YuNet's sit low on a face that leans by 40 degrees


@pytest.mark.parametrize("name", DETECTORS)
def test_the_mesh_settles_in_the_same_place_whatever_found_the_face(name):
    detector, landmarker = built(make_detector, name), built(make_landmarker, "mesh")
    off = []
    for pixels, _, mesh in reference():
        hits = [one for one in detector.detect(pixels) if one.box.iou(mesh_box(mesh)) > 0.35]
        off += [apart(landmarker.landmarks(pixels, one).points, mesh) for one in hits[:1]]
    assert np.median(off) < 0.05
    assert max(off) < 0.15


@pytest.mark.parametrize(
    ("name", "count", "limit"), [("face_landmarker", 478, 0.05), ("dlib_68", 68, 0.06), ("landmarks_98", 98, 0.09)]
)
def test_landmarkers_agree_on_eyes_nose_and_mouth(name, count, limit):
    landmarker = built(make_landmarker, name)
    off = []
    for pixels, detection, mesh in reference():
        seen = landmarker.landmarks(pixels, detection)
        if seen is None:
            continue
        assert len(seen.points) == count
        assert 0 <= seen.presence <= 1
        off.append(apart(seen.points, mesh))
    assert len(off) >= 0.9 * len(reference())
    assert np.median(off) < limit
    assert max(off) < 3 * limit


def test_the_meshs_68_points_are_dlibs(shared_data):  # medians want more than two faces
    hog, dlib68 = built(make_detector, "dlib_hog"), built(make_landmarker, "dlib_68")
    off = []
    for pixels, _, mesh in reference():
        hits = [one for one in hog.detect(pixels) if one.box.iou(mesh_box(mesh)) > 0.35]
        for one in hits[:1]:
            eyes = points5(mesh)
            distance = np.linalg.norm(dlib68.landmarks(pixels, one).points - points68(mesh), axis=1)
            off.append(distance / np.linalg.norm(eyes[0] - eyes[1]))
    typical = np.median(off, axis=0)
    assert np.median(typical) < 0.05
    assert typical[17:].max() < 0.12, "brows, nose, eyes and mouth"
    assert typical[:17].max() < 0.2, "the jaw, which dlib draws inside of the mesh's outline"


def test_the_two_meshes_agree_point_by_point():
    task = built(make_landmarker, "face_landmarker")
    off = []
    for pixels, detection, mesh in reference():
        seen = task.landmarks(pixels, detection)
        eyes = points5(mesh)
        distance = np.linalg.norm(seen.points[:468, :2] - mesh[:, :2], axis=1)
        off.append(distance.mean() / np.linalg.norm(eyes[0] - eyes[1]))
    assert np.median(off) < 0.04


@pytest.mark.parametrize("name", ["mesh", "dlib_68", "landmarks_98"])
def test_a_box_outside_of_the_picture_is_no_crash(name):
    landmarker = built(make_landmarker, name)
    pixels = pictures()[0]
    seen = landmarker.landmarks(pixels, Detection(Box(-300, -300, -200, -200), 1.0))
    assert seen is None or seen.presence < 0.5 or name == "dlib_68"


@pytest.mark.parametrize("make", [make_detector, make_landmarker])
def test_an_unknown_name_is_refused_with_those_allowed(make):
    with pytest.raises(ValueError, match="'nothing'") as refused:
        make("nothing")
    for name in DETECTORS if make is make_detector else LANDMARKERS:
        assert name in str(refused.value)


@pytest.mark.parametrize("name", DETECTORS)
def test_the_versions_name_every_file_behind_a_detector(name):
    models = pickle.loads(pickle.dumps(FaceModels(detector=name)))  # noqa: S301 - its own bytes
    assert models == FaceModels(detector=name)
    versions = models.versions()
    assert (versions.pop("detector"), versions.pop("landmarker")) == (name, "mesh")
    assert list(versions) == [*FILES.get(name, (name,)), "face_mesh"]
    assert all(len(checksum) == 64 for checksum in versions.values())


def test_the_versions_change_with_the_models():
    assert FaceModels().versions() == FaceModels(device="cpu").versions()
    assert FaceModels(detector="yunet").versions() != FaceModels().versions()
    assert FaceModels(detector="haar").versions() != FaceModels(detector="dlib_hog").versions()
    assert FaceModels(landmarker="face_landmarker").versions() != FaceModels().versions()
    with pytest.raises(ValueError, match=r"'nothing'.*mesh"):
        FaceModels(landmarker="nothing").versions()


def test_models_travel_and_load():
    detector, landmarker = pickle.loads(pickle.dumps(FaceModels(device="cpu"))).load()  # noqa: S301
    pixels, _, mesh = reference()[0]
    np.testing.assert_array_equal(landmarker.landmarks(pixels, detector.detect(pixels)[0]).points, mesh)


def test_devices():
    assert resolve_device("cpu") == "cpu"
    assert onnx_providers("cpu") == ["CPUExecutionProvider"]
    with pytest.raises(ValueError, match=r"'tpu'.*auto, cpu, cuda"):
        resolve_device("tpu")


@pytest.mark.skipif(cuda_devices() > 0, reason="this machine has a GPU")
def test_without_a_gpu_auto_is_the_cpu_and_cuda_an_error():
    assert onnx_providers("auto") == ["CPUExecutionProvider"]
    with pytest.raises(RuntimeError, match="no CUDA device"):
        make_detector("blazeface_short", "cuda")


@pytest.mark.skipif(cuda_devices() == 0, reason="this machine has no GPU")
def test_with_a_gpu_auto_is_the_gpu():
    assert onnx_providers("auto")[0] == onnx_providers("cuda")[0] == "CUDAExecutionProvider"
