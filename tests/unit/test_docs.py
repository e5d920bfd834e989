"""The documentation: links lead somewhere, quoted messages are the code's, and the site is built without a warning."""

import ast
import json
import re
import subprocess
import sys
from functools import cache
from importlib import metadata
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "model_assets").rglob("*.md"),
    ]
)
PACKAGES = ("apps", "assets_defs", "model_assets", "ops", "orchestration", "resources")
LINK = re.compile(r"\]\(([^)\s]+)\)")


def prose(path):
    """The page without its code blocks."""
    return re.sub(r"^```.*?^```", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)


def anchors(path):
    """What a heading is linked by, as GitHub and the site have it."""
    headings = re.findall(r"^#+ (.+)$", prose(path), flags=re.MULTILINE)
    plain = (re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower() for heading in headings)
    return {re.sub(r"[^\w\- ]", "", heading).strip().replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path):
    for link in LINK.findall(prose(path)):
        if re.match(r"https?://", link):
            continue
        place, _, anchor = link.partition("#")
        target = (path.parent / place).resolve() if place else path
        assert target.exists(), f"{link} of {path.name} leads nowhere"
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), f"{link} of {path.name}: there is no such heading"


@cache
def texts():
    """Every text in the code, with a mark where an f-string puts something in."""
    found = []
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.JoinedStr):
                    parts = [part.value if isinstance(part, ast.Constant) else "\0" for part in node.values]
                    found.append("".join(map(str, parts)))
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found.append(node.value)
    return found


def quoted():
    rows = re.findall(r"^\| `((?:\\`|[^`])+)` \|", (ROOT / "docs" / "troubleshooting.md").read_text(), re.MULTILINE)
    return [row.replace("\\`", "`") for row in rows]


@pytest.mark.parametrize("message", quoted())
def test_quoted_messages_are_in_the_code(message):
    said = [part for part in message.split("...") if part.strip(" :;,.()")]
    assert said
    assert all(any(part.strip() in text for text in texts()) for part in said), message


def test_all_rows_of_troubleshooting_quote_a_message():
    lines = (ROOT / "docs" / "troubleshooting.md").read_text().splitlines()
    rows = [line for line in lines if line.startswith("| ") and not line.startswith("| message")]
    assert len(rows) == len(quoted()) > 30


def test_every_page_is_in_the_navigation():
    def places(entry):
        if isinstance(entry, str):
            yield entry
        else:
            for each in entry.values() if isinstance(entry, dict) else entry:
                yield from places(each)

    named = set(places(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]))
    pages = {str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md")}
    assert pages <= named, f"not in mkdocs.yml: {sorted(pages - named)}"


@pytest.mark.slow
def test_the_site_is_built_strictly_and_loads_nothing_from_elsewhere(tmp_path):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    loaded = re.compile(
        r"<(?:script|img|iframe)[^>]*\ssrc=\"?(?:https?:)?//|<link[^>]*rel=\"?(?:stylesheet|preconnect)[^>]*//"
    )
    pages = list(tmp_path.rglob("*.html"))
    assert len(pages) > 30
    for page in pages:
        assert not loaded.search(page.read_text()), page.name
    assert "find_faces" in (tmp_path / "reference" / "operations.html").read_text()
    assert "maskline doctor" in (tmp_path / "reference" / "commands.html").read_text()


@pytest.mark.slow
def test_the_list_of_parts_names_every_package(tmp_path):
    """The command of `make sbom`."""
    out = tmp_path / "sbom.json"
    command = [sys.executable, "-m", "cyclonedx_py", "environment", "--pyproject", "pyproject.toml", "--no-validate"]
    subprocess.run([*command, "--output-file", str(out), sys.executable], cwd=ROOT, check=True, capture_output=True)
    told = json.loads(out.read_text())
    assert told["bomFormat"] == "CycloneDX" and told["metadata"]["component"]["name"] == "maskline"
    parts = {part["name"]: part for part in told["components"]}
    assert {"dagster", "torch", "ultralytics", "onnxruntime-gpu"} <= parts.keys()
    assert parts["dagster"]["version"] == metadata.version("dagster")
