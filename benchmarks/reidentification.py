"""What each anonymiser is worth: people with two photographs, one in a gallery, the other asked about.

``python -m benchmarks.reidentification PAIRS.csv --identity ONNX [--data FOLDER]``: columns ``person``,
``first`` and ``second``, files relative to the table's folder. The assets run as they do in use, over a source with the
folders ``database`` and ``query``, with the networks that ship with Maskline.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import dagster as dg

from assets_defs.resources import Compute, Models, Tracking, Workspace
from ops.reidentification.scenarios import SCENARIOS, as_table
from ops.reidentification.trials import CROSS, ROLES
from orchestration.materialize import SOURCE, cause, run

PAIRS = "pairs"
LEAST = 0.97
"""Rank-1 rate of bare faces that shows that the harness works."""

ASSETS = ("frames", "face_geometry", "masked_faces", "unmasked_faces", "digital_masks")


def prepare(table: Path, data: Path) -> None:
    """Put the photographs where a source has them."""
    with table.open(newline="") as file:
        for known in csv.DictReader(file):
            for role, name in zip(ROLES, (known["first"], known["second"]), strict=True):
                path = data / "raw" / PAIRS / role / f"{known['person']}{Path(name).suffix}"
                path.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(table.parent / name, path)


def materialized(data: Path, identity: str) -> dict[str, Any]:
    """Run the assets, and return the report's figures."""
    wishes: dict[str, dict[str, Any]] = {
        "frames": {"identity": "stem"},
        "masked_faces": {"variants": 1, "states": {"correct": 1.0}},
        "digital_masks": {"identity": "none"},
        "unmasked_faces": {"networks": "shipped", "pictures": ["masked_faces"], "panels": False},
        "reidentification_report": {"identity": identity},
    }
    resources = {
        "workspace": Workspace(data=str(data.resolve())),
        "models": Models(device="cpu"),
        "compute": Compute(workers=1),
        "tracking": Tracking(),
    }
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(SOURCE, [PAIRS])
        for asset, source in (*((name, PAIRS) for name in ASSETS), ("reidentification_report", "")):
            result = run(instance, resources, asset, source, wishes.get(asset))
            if not result.success:
                sys.exit(f"{asset} failed: {cause(result)}")
    told: dict[str, Any] = json.loads((data / "reidentification_report" / "metrics.json").read_text())
    return told


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reidentification", description=__doc__)
    parser.add_argument("pairs", type=Path)
    parser.add_argument("--identity", default="auto", help="as in params.yaml")
    parser.add_argument("--data", type=Path, help="data folder to keep, with the report; a temporary one by default")
    told = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        data = told.data or Path(temporary)
        prepare(told.pairs, data)
        figures = materialized(data, told.identity)
    print(f"identity by {figures['identity_by']}; pairs of one photograph, left out: {figures['same_photograph']}")
    print(as_table(figures))
    if CROSS not in figures:
        sys.exit(figures["why_not"])
    bare = figures[CROSS][SCENARIOS[0].name]["excluded"]["rank_1"]
    print(f"bare faces: rank 1 {bare:.3f}, at least {LEAST} {'reached' if bare >= LEAST else 'MISSED'}")


if __name__ == "__main__":
    main()
