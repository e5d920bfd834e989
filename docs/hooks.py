"""How the site is put together: files of the project that pages link to come along, and links are turned to them."""

from __future__ import annotations

import posixpath
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mkdocs.structure.files import File

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
LINK = re.compile(r"(\]\()([^)#:\s]+)((?:#[^)]*)?\))")
PAGES = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md"}
CARDS = "model_assets/cards/"
COMMANDS = "reference/commands.md"
SAID = re.compile(r"^#+ `(.+)`\n\n(.+)$", re.MULTILINE)
ENTRY = re.compile(r"(\* `(\S+)`: ).+\.\.\.")


def site_path(place: str) -> str:
    """Return where a file of the project lies in the site, both with forward slashes.

    >>> site_path("docs/masks.md"), site_path("model_assets/cards/mask_detector.md"), site_path("params.yaml")
    ('masks.md', 'cards/mask_detector.md', 'files/params.yaml')
    """
    if place.startswith("docs/"):
        return place.removeprefix("docs/")
    if place.startswith(CARDS):
        return f"cards/{place.removeprefix(CARDS)}"
    return PAGES.get(place, f"files/{place}")


def project_path(page: str) -> str:
    """Return where a page of the site lies in the project."""
    back = {ours: place for place, ours in PAGES.items()}
    if page.startswith("cards/"):
        return f"{CARDS}{page.removeprefix('cards/')}"
    return back.get(page, f"docs/{page}")


def linked(text: str, page: str) -> set[str]:
    """Return the files of the project that a page of it links to."""
    folder = posixpath.dirname(page)
    return {posixpath.normpath(posixpath.join(folder, link)) for _, link, _ in LINK.findall(text)}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Bring in the README, the cards, the list of commands, and whatever else pages link to."""
    pages = [*PAGES, *(str(path.relative_to(ROOT)) for path in (ROOT / CARDS).glob("*.md"))]
    pages += [f"docs/{file.src_uri}" for file in files.documentation_pages()]
    wanted = {place for page in pages for place in linked((ROOT / page).read_text(encoding="utf-8"), page)} | set(pages)
    for place in sorted(wanted):
        if not place.startswith("docs/") and (ROOT / place).is_file():
            files.append(File.generated(config, site_path(place), content=(ROOT / place).read_bytes()))
    command = [sys.executable, "-m", "typer", "apps.cli", "utils", "docs", "--name", "maskline", "--title", "Commands"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S603 - our own words
    files.append(File.generated(config, COMMANDS, content=whole(told.stdout)))
    return files


def whole(page: str) -> str:
    r"""Return the page of commands with the whole first line of each in its lists, of which Typer shows 45 letters.

    >>> whole("* `mask`: Put masks...\n## `maskline mask`\n\nPut masks on faces.").splitlines()[0]
    '* `mask`: Put masks on faces.'
    """
    said, parent, lines = dict(SAID.findall(page)), "maskline", []
    for line in page.split("\n"):
        heading, entry = re.fullmatch(r"#+ `(.+)`", line), ENTRY.fullmatch(line)
        parent = heading[1] if heading else parent
        lines.append(f"{entry[1]}{said[f'{parent} {entry[2]}']}" if entry else line)
    return "\n".join(lines)


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Turn links between files of the project to where these are in the site."""
    here = project_path(page.file.src_uri)
    if page.file.src_uri == COMMANDS:
        return markdown

    def turned(found: re.Match[str]) -> str:
        start, link, end = found.groups()
        place = posixpath.normpath(posixpath.join(posixpath.dirname(here), link))
        if link.startswith("/") or not (ROOT / place).exists():
            return found[0]
        return f"{start}{posixpath.relpath(site_path(place), posixpath.dirname(page.file.src_uri) or '.')}{end}"

    return LINK.sub(turned, markdown)
