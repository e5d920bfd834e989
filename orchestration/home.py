"""The Dagster instance's folder: ``.dagster`` in the project, with the project's dagster.yaml."""

import os
from pathlib import Path

from assets_defs.config import ROOT


def home() -> Path:
    """Return the instance's folder, made ready: ``DAGSTER_HOME``, or ``.dagster`` in the project."""
    folder = Path(os.environ.setdefault("DAGSTER_HOME", str(ROOT / ".dagster"))).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    settings = folder / "dagster.yaml"
    if not settings.exists():
        settings.unlink(missing_ok=True)
        settings.symlink_to(ROOT / "dagster.yaml")
    return folder


if __name__ == "__main__":
    print(home())
