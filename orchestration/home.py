"""The Dagster instance's folder: ``.dagster`` in the project, with the project's dagster.yaml.

An experiment of DVC's has an instance of its own inside it, so that what is known of the data proper stays true.
"""

import os
from pathlib import Path

from assets_defs.config import ROOT


def home() -> Path:
    """Return the instance's folder, made ready: ``DAGSTER_HOME``, or ``.dagster`` in the project.

    Within ``dvc exp run`` it is ``experiments/NAME`` in there. Called once in a process, which it changes.
    """
    folder = Path(os.environ.get("DAGSTER_HOME", ROOT / ".dagster")).resolve()
    if experiment := os.environ.get("DVC_EXP_NAME"):
        folder = folder / "experiments" / experiment
    os.environ["DAGSTER_HOME"] = str(folder)
    folder.mkdir(parents=True, exist_ok=True)
    settings = folder / "dagster.yaml"
    if not settings.exists():
        settings.unlink(missing_ok=True)
        settings.symlink_to(ROOT / "dagster.yaml")
    return folder


if __name__ == "__main__":
    print(home())
