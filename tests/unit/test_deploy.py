"""The files of docs/deploy: what can be known of them without a Docker daemon or a cluster."""

import importlib.util
import itertools
import re
import shutil
import sys
from pathlib import Path

import pytest
import yaml
from yamllint import linter
from yamllint.config import YamlLintConfig

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "docs" / "deploy"
FILES = sorted(DEPLOY.rglob("*.yaml"))
LINT = "{extends: default, rules: {document-start: disable, braces: {max-spaces-inside: 0}, line-length: {max: 120}}}"


def read(name):
    return yaml.safe_load((DEPLOY / name).read_text())


def instructions():
    """The Dockerfile's instructions, each with its words."""
    text = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ")
    return [line.split(maxsplit=1) for line in text.splitlines() if line and not line.startswith("#")]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_yaml_is_clean(path):
    text = path.read_text()
    assert not [str(problem) for problem in linter.run(text, YamlLintConfig(LINT))]
    assert list(yaml.safe_load_all(text))


def test_production_says_what_the_project_says():
    ours, theirs = yaml.safe_load((ROOT / "dagster.yaml").read_text()), read("dagster.yaml")
    for section, settings in ours.items():
        assert theirs[section].items() >= settings.items() or section == "concurrency", section
    assert theirs["concurrency"]["pools"] == ours["concurrency"]["pools"]


def test_dagster_takes_the_production_settings(tmp_path, monkeypatch):
    """All but the classes of Postgres, which the development environment does not have."""
    from dagster._core.instance.config import dagster_instance_config

    settings = {name: value for name, value in read("dagster.yaml").items() if name != "storage"}
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(settings))
    known, _ = dagster_instance_config(str(tmp_path))
    assert known["concurrency"]["runs"] == {"max_concurrent_runs": 4}
    with pytest.raises(Exception, match="unheard_of"):
        (tmp_path / "dagster.yaml").write_text(yaml.safe_dump({**settings, "unheard_of": 1}))
        dagster_instance_config(str(tmp_path))


def test_services_stages_and_volumes_exist():
    compose = read("compose.yaml")
    services = compose["services"]
    stages = {words.split(" AS ")[1] for name, words in instructions() if name == "FROM"}
    assert {"cpu", "gpu"} <= stages
    for name, service in services.items():
        assert service.keys() & {"image", "build"}, name
        assert set(service.get("depends_on", {})) <= services.keys()
        assert all("healthcheck" in services[other] for other in service.get("depends_on", {}))
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            there = source in compose["volumes"] or source.startswith("${") or (DEPLOY / source).is_file()
            assert there, f"{name}: {volume}"
    build = services["code"]["build"]
    assert (DEPLOY / build["context"] / build["dockerfile"]).resolve() == DEPLOY / "Dockerfile"
    assert set(read("compose.gpu.yaml")["services"]) <= services.keys()
    (location,) = read("workspace.yaml")["load_from"]
    assert location["grpc_server"]["host"] in services


def commands():
    """Every command line that the files start something with, as words."""
    for service in read("compose.yaml")["services"].values():
        yield from (text.split() for text in [service.get("command")] if text)
        test = service.get("healthcheck", {}).get("test", [])
        yield test[1:]
    (docker,) = (yaml.safe_load(words) for name, words in instructions() if name == "CMD")
    yield docker
    for part in yaml.safe_load_all((DEPLOY / "kubernetes" / "resources.yaml").read_text()):
        for container in part.get("spec", {}).get("template", {}).get("spec", {}).get("containers", []):
            yield container["command"]


def test_commands_and_modules_exist():
    told = [words for words in commands() if words]
    assert len(told) >= 8
    for words in told:
        beside = shutil.which(words[0], path=str(Path(sys.executable).parent))
        assert beside or words[0] in {"pg_isready", "python"}, words
        for flag, module in itertools.pairwise(words):
            assert flag != "--module-name" or importlib.util.find_spec(module), module
    values = read("kubernetes/values.yaml")
    (deployment,) = values["dagster-user-deployments"]["deployments"]
    assert importlib.util.find_spec(deployment["codeServerArgs"][1])


def test_what_the_image_copies_exists_and_is_not_ignored():
    kept = {line[1:] for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines() if line[:1] == "!"}
    assert all((ROOT / name).exists() for name in kept)
    for name, words in instructions():
        if name == "COPY" and not words.startswith("--from") and words != ". .":
            for source in words.split()[:-1]:
                assert (ROOT / source).is_file(), source
                assert source.split("/")[0] in kept, source
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"benchmarks", "tests"}
    assert packages <= kept


def test_models_in_the_image_are_what_default_settings_take():
    from model_assets.registry import Registry
    from resources.models import FaceModels

    (fetched,) = (words for name, words in instructions() if name == "RUN" and "fetch(name)" in words)
    names = set(re.findall(r"'(\w+)'", fetched))
    known = Registry.load().models.keys()
    assert names <= known
    assert {name for name in FaceModels().versions() if name in known} <= names


def test_nothing_runs_as_root_and_nothing_listens_to_everybody():
    users = [words for name, words in instructions() if name == "USER"]
    assert users[-1] == "maskline"
    for name, service in read("compose.yaml")["services"].items():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name
    (deployment,) = read("kubernetes/values.yaml")["dagster-user-deployments"]["deployments"]
    assert deployment["podSecurityContext"]["runAsNonRoot"]


def test_secrets_are_asked_for_and_named_in_the_example():
    example = dict(line.split("=", 1) for line in (DEPLOY / "env.example").read_text().splitlines() if "=" in line)
    asked = set(re.findall(r"\$\{(\w+)", (DEPLOY / "compose.yaml").read_text()))
    assert asked == example.keys()
    assert not example["POSTGRES_PASSWORD"]
    for path in FILES:
        for value in re.findall(r"(?i)password: +(\S+)", path.read_text()):
            assert value.startswith(("${", "{env:")), f"{path.name}: {value}"


def test_images_have_a_version():
    bases = {words.split()[0] for name, words in instructions() if name == "FROM"}
    images = [base for base in bases if ":" in base]
    images += [service["image"] for service in read("compose.yaml")["services"].values()]
    assert images and not [image for image in images if image.endswith(":latest") or ":" not in image]
