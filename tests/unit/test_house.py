"""The house rules that code alone can break: who imports whom, how light an import is, and what one fact's home is."""

import ast
import subprocess
import sys
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
KEPT_OUT_OF = {"ops": {"dagster", "dvc", "mlflow"}, "resources": {"dvc", "mlflow"}, "model_assets": {"dagster", "dvc"}}
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
        if path.name != "__init__.py"
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
        missing = [dep for dep in stage["deps"] if not dep.startswith("data/") and not (ROOT / dep).is_file()]
        assert not missing, f"{name} depends on files that are not there: {missing}"


def test_configs_take_every_setting_from_params_yaml():
    from assets_defs import config

    for name in yaml.safe_load((ROOT / "params.yaml").read_text()):
        model = getattr(config, "".join(part.title() for part in name.split("_")) + "Config")
        assert model().model_dump() == config.section(name)


def test_every_asset_tells_who_what_and_how():
    from orchestration.definitions import defs

    for asset in defs.assets:
        (spec,) = asset.specs
        assert spec.description and spec.owners and spec.kinds and spec.code_version and spec.group_name
        assert any(check.blocking for check in asset.check_specs)
