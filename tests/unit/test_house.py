"""The house rules that code alone can break: who imports whom, how light an import is, and what one fact's home is."""

import ast
import subprocess
import sys
from dataclasses import asdict
from functools import cache
from inspect import signature
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
ALLOWED = {
    "ops": set(),
    "model_assets": {"ops"},
    "resources": {"ops", "model_assets"},
    "assets_defs": {"ops", "resources", "model_assets"},
    "orchestration": {"ops", "resources", "model_assets", "assets_defs"},
    "apps": {"ops", "resources", "model_assets"},
}
KEPT_OUT_OF = {"ops": {"dagster", "dvc", "mlflow"}, "resources": {"dvc"}, "model_assets": {"dagster", "dvc"}}
NETWORKS = ROOT / "model_assets" / "networks"
"""Modules that are torch through and through; whoever builds a network imports them then."""

PAGE = ROOT / "apps" / "expression" / "page.py"
"""Gradio through and through, and with it pandas; it is imported when the app is served."""

HEAVY = ("torch", "cv2", "onnxruntime", "ultralytics", "mediapipe", "dlib", "numba", "ai_edge_litert", "skimage", "av")


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("package", ALLOWED)
def test_imports_go_one_way(package):
    files = list((ROOT / package).rglob("*.py"))
    assert files
    for path in files:
        ours = imported(path) & ALLOWED.keys() - {package}
        assert ours <= ALLOWED[package], f"{path.relative_to(ROOT)} imports {sorted(ours - ALLOWED[package])}"
        outside = imported(path) & KEPT_OUT_OF.get(package, set())
        assert not outside, f"{path.relative_to(ROOT)} imports {sorted(outside)}"


def loaded_by(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_loading_the_definitions_is_light():
    assert not loaded_by("import orchestration.definitions") & set(HEAVY)


def test_every_operation_and_resource_imports_light():
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for package in ("ops", "resources", "model_assets", "apps")
        for path in (ROOT / package).rglob("*.py")
        if path.name != "__init__.py" and path.parent != NETWORKS and path != PAGE
    ]
    loaded = loaded_by("import " + ", ".join(modules))
    assert not loaded & {*HEAVY, "pandas", "pyarrow", "dagster", "matplotlib"}


def test_every_constraint_is_a_name_and_a_version():
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        name, _, version = line.partition("==")
        assert name and version and not set("/@ ") & set(line), line


def test_hydra_is_new_enough_for_dagsters_selections():
    """An older hydra-core brings antlr4 4.9, with which every asset selection fails."""
    import dagster as dg

    selected = dg.AssetSelection.from_string('key:"frames" or group:"faces"')
    from orchestration.definitions import defs

    assert len(selected.resolve(defs.resolve_asset_graph())) == 4


def test_stages_and_assets_agree():
    """dvc.yaml, params.yaml and the asset graph name the same assets, inputs and outputs."""
    from orchestration.definitions import defs

    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    graph = defs.resolve_asset_graph()
    assert stages.keys() == params.keys() == {key.to_user_string() for key in graph.get_all_asset_keys()}
    for name, stage in stages.items():
        (key,) = [key for key in graph.get_all_asset_keys() if key.to_user_string() == name]
        parents = {f"data/{parent.to_user_string()}" for parent in graph.get(key).parent_keys}
        folders = {dep for dep in stage["deps"] if dep.startswith("data/")} - {"data/raw"}
        assert folders == parents, name
        assert stage["outs"] == [{f"data/{name}": {"persist": True}}]
        assert stage["params"] == [name]
        assert stage["cmd"] == f"python -m orchestration.materialize {name}"
        missing = [dep for dep in stage["deps"] if not dep.startswith("data/") and not (ROOT / dep).exists()]
        assert not missing, f"{name} depends on files that are not there: {missing}"


ALSO = {
    "detector_report": ["resources/champions.py"],
    "digital_masks": ["resources/embedders.py", "resources/models.py", "resources/shapes.py"],
    "expression_regions": ["resources/haar_smile.py", "resources/models.py", "resources/states.py"],
    "expression_edits": ["resources/expressions.py", "resources/models.py"],
    "face_geometry": ["resources/models.py"],
    "masked_faces": ["garments"],
    "mask_detector": ["resources/start_weights.py", "resources/tracking.py"],
    "mask_detections": ["resources/mask_detectors.py"],
    "unmasked_faces": ["resources/models.py", "resources/unmaskers.py"],
    "unmasking_pairs": ["garments", "ops/stages/splits.py"],
    "reidentification_report": ["resources/embedders.py"],
    "unmasking_report": ["resources/embedders.py", "resources/lpips.py", "resources/unmaskers.py"],
    "mask_segmenter": [
        "ops/stages/networks.py",
        "ops/training/recipe.py",
        "resources/networks.py",
        "resources/tracking.py",
    ],
    "face_completer": [
        "ops/stages/networks.py",
        "ops/training/recipe.py",
        "resources/networks.py",
        "resources/perceptual.py",
        "resources/tracking.py",
    ],
}
"""Project files that an asset hands to its stage, besides the pool that all of them share."""


def files_named(name: str) -> set[str]:
    """Return the project files that an import of ``name`` runs: its packages, and the module itself."""
    parts = name.split(".")
    if parts[0] not in {"ops", "resources", "model_assets"}:
        return set()
    steps = ["/".join(parts[: count + 1]) for count in range(len(parts))]
    return {file for step in steps for file in (f"{step}.py", f"{step}/__init__.py") if (ROOT / file).is_file()}


def files_used(path: str) -> set[str]:
    """Return the project files that a module imports, wherever it does so, and the tables that it names."""
    package = Path(path).parent.parts
    used: set[str] = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            used |= {file for alias in node.names for file in files_named(alias.name)}
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join([*above, *([node.module] if node.module else [])])
            used |= {file for alias in node.names for file in files_named(f"{base}.{alias.name}")}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and Path(node.value).suffix:
            used |= {table for table in tables() if Path(table).name == node.value}
    return used


@cache
def tables() -> set[str]:
    """Return the files of the project's packages that are no Python."""
    found = (path for package in ("ops", "resources", "model_assets") for path in (ROOT / package).rglob("*.*"))
    return {str(path.relative_to(ROOT)) for path in found if path.suffix != ".py" and path.parent.name != "__pycache__"}


def test_the_walk_finds_what_is_imported_in_functions_and_named():
    assert "resources/detectors/blazeface.py" in files_used("resources/detectors/__init__.py")
    assert "resources/detectors/__init__.py" in files_used("resources/models.py"), "imported in a method"
    assert "ops/data/canonical_mesh.npz" in files_used("ops/geometry.py")
    assert "model_assets/registry.yaml" in files_used("model_assets/registry.py")


@pytest.mark.parametrize(
    ("asset", "stage"),
    [
        ("frames", "frames"),
        ("face_geometry", "faces"),
        ("masked_faces", "masks"),
        ("annotated_scenes", "scenes"),
        ("yolo_splits", "splits"),
        ("detector_report", "report"),
        ("unmasking_pairs", "pairs"),
        ("mask_detector", "detector"),
        ("mask_segmenter", "segmenter"),
        ("face_completer", "completer"),
        ("unmasked_faces", "unmasked"),
        ("unmasking_report", "unmasking_report"),
        ("digital_masks", "digital_masks"),
        ("reidentification_report", "reidentification_report"),
        ("expression_regions", "expression_regions"),
        ("expression_edits", "expression_edits"),
        ("mask_detections", "detections"),
        ("aligned_crops", "crops"),
    ],
)
def test_a_stage_depends_on_all_code_behind_it(asset, stage):
    """No more and no less than what imports reach; assets_defs and orchestration only carry the work."""
    todo = {f"ops/stages/{stage}.py", "resources/compute.py", *ALSO.get(asset, [])}
    todo |= {file for path in todo for file in files_named(path.removesuffix(".py").replace("/", "."))}
    reached: set[str] = set()
    while todo:
        path = todo.pop()
        reached.add(path)
        todo |= (files_used(path) if path.endswith(".py") else set()) - reached
    described = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"][asset]["deps"]
    assert {name for name in described if not name.startswith("data/")} == reached


def test_what_has_no_partitions_is_known_by_name():
    from assets_defs.config import LOOKING, WHOLE
    from orchestration.definitions import defs

    whole = {asset.key.to_user_string() for asset in defs.assets if asset.partitions_def is None}
    assert set(WHOLE) == whole
    assert set(LOOKING) <= {asset.key.to_user_string() for asset in defs.assets}


def test_configs_take_every_setting_from_params_yaml():
    from assets_defs.config import assets, section
    from assets_defs.settings import settings_of

    assert sorted(yaml.safe_load((ROOT / "params.yaml").read_text())) == sorted(assets())
    assert all(settings_of(name) == section(name) for name in assets())


def test_a_training_has_the_same_settings_however_it_is_started():
    """From params.yaml, from Python and on the command line, where an import of recipes would make every verb slow."""
    from apps.verbs import train, train_networks
    from assets_defs.config import section
    from ops.training.detector import Recipe
    from ops.training.recipe import CompleterRecipe, SegmenterRecipe

    for asset, recipe, verb in (
        ("mask_detector", Recipe(), train.detector),
        ("mask_segmenter", SegmenterRecipe(), train_networks.segmenter),
        ("face_completer", CompleterRecipe(), train_networks.completer),
    ):
        known, asked = section(asset), signature(verb).parameters
        own = asdict(recipe)
        assert {
            name: list(value) if name == "widths" else value for name, value in own.items()
        }.items() <= known.items()
        assert {name: asked[name].default or [] if name == "widths" else asked[name].default for name in known} == known


def test_every_asset_tells_who_what_and_how():
    from orchestration.definitions import defs

    for asset in defs.assets:
        (spec,) = asset.specs
        assert spec.description and spec.owners and spec.kinds and spec.code_version and spec.group_name
        assert any(check.blocking for check in asset.check_specs)
