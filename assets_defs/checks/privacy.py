"""The checks of digital masks and of the report on who is recognised."""

import json
from pathlib import Path

import dagster as dg
import pandas as pd

from assets_defs.checks.common import spread, verdict
from ops.store import DONE, Dataset, rows_of


def fail_closed(dataset: Dataset, faces: Dataset, data: Path, *, max_pixels: int) -> dg.AssetCheckResult:
    """Pass when every known face of every picture written is covered: not one pixel within its outline is as it was.

    Looks at every file; beside digital masks alone there is nothing, and a picture that was refused has no file.
    """
    from ops.stages.digital_masks import faults

    rows = dataset.read()
    done = rows[rows["status"] == DONE]
    known = {picture: rows_of(group) for picture, group in faces.read(status=DONE).groupby("picture")}
    wrong = []
    for _, group in done.groupby("output", sort=True):
        made = rows_of(group)
        wrong += faults(dataset.folder, data, made, known.get(made[0]["picture"], []), max_pixels=max_pixels)
    refused = int(rows.loc[rows["status"] != DONE, "picture"].nunique())
    pictures = int(done["output"].nunique())
    return verdict("fail_closed", wrong, pictures=pictures, faces=len(done), refused=refused)


def queries_apart(dataset: Dataset, data: Path, *, max_pixels: int) -> dg.AssetCheckResult:
    """Pass when nobody is asked about with a picture of the gallery, nor with the photograph that stands there."""
    from ops import images
    from ops.content import file_md5
    from ops.detection.likeness import look_at
    from ops.reidentification.trials import CROSS, one_photograph

    trials = pd.read_csv(dataset.folder / "trials.csv", dtype=str, keep_default_na=False)
    content = {name: file_md5(data / name) for name in {*trials["database"], *trials["query"]} - {""}}
    asked, wrong = trials[trials["query"] != ""], []
    for setting, some in asked.groupby("setting"):
        gallery = {content[name] for name in trials.loc[trials["setting"] == setting, "database"]}
        wrong += [name for name in some["query"] if content[name] in gallery]
    pairs = rows_of(spread(asked[asked["setting"] == CROSS]))
    for pair in pairs:
        both = [images.read(data / pair[role], max_pixels=max_pixels) for role in ("database", "query")]
        if one_photograph(*([look_at(pixels)[0]] for pixels in both), stricter=True):
            wrong.append(pair["query"])
    return verdict("queries_apart", wrong, pairs=len(asked), looked_at=len(pairs))


def leak_rate(dataset: Dataset) -> dg.AssetCheckResult:
    """Warn when digital masks hide too few people, or too few are known for figures to mean anything.

    Pictures that could not be anonymised are taken for recognised.
    """
    told = json.loads((dataset.folder / "metrics.json").read_text())
    return dg.AssetCheckResult(
        check_name="leak_rate",
        passed=told["meaningful"] and not told["leaks"],
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "leaks": ", ".join(told["leaks"]),
            "most": told["floor"]["most"],
            "meaningful": told["meaningful"],
            "why_not": told["why_not"] or "",
        },
    )
