"""How a finished build is told to Dagster: data version, counts, table schema and a sheet of pictures."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import dagster as dg
from tqdm import tqdm

from assets_defs.config import code_version, inputs, partition
from assets_defs.lineage import column_lineage, revision, table_schema
from assets_defs.resources import Workspace
from ops.content import directory_md5
from ops.records import Picture
from ops.store import Dataset, Report, fingerprint

MADE_OF = "made_of"
"""Metadata that stands for code, settings and input of a materialization that passed its blocking checks."""

SETTINGS = "settings"
"""Metadata with the settings of a materialization."""


def made_of(workspace: Workspace, asset: str, source: str, settings: Mapping[str, Any]) -> str:
    """Return what stands for everything that a partition is made of, as it is on disk now."""
    folders = {name: workspace.dataset(name, partition(name, source)).folder for name in inputs(asset)}
    content = {name: directory_md5(folder) if folder.is_dir() else None for name, folder in folders.items()}
    missing = [] if source or not workspace.without else [workspace.without]
    return fingerprint(code_version(asset), dict(settings), content, *missing)


def made_with(config: dg.Config, models: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return what the rows of a manifest are made with: settings, and names and checksums of models."""
    return {"settings": config.model_dump(), "models": dict(models or {})}


def recorded(
    context: dg.AssetExecutionContext,
    config: dg.Config,
    workspace: Workspace,
    dataset: Dataset,
    report: Report,
    *,
    checks: Sequence[dg.AssetCheckResult],
    sheet: tuple[Sequence[Picture], Sequence[str]],
    figures: Mapping[str, Any] | None = None,
) -> dg.MaterializeResult:
    """Record a build of ``dataset`` with its checks, the pictures and captions of its contact sheet, and more figures.

    Without :data:`MADE_OF` where a blocking check failed or a file could not be read.
    """
    asset = context.asset_key.to_user_string()
    counted = "partition_row_count" if context.has_partition_key else "row_count"
    told: dict[str, Any] = {
        f"dagster/{counted}": sum(report.counts.values()),
        "dagster/column_schema": table_schema(asset, dataset.columns),
        "dagster/column_lineage": column_lineage(asset),
        **revision(asset),
        **report.counts,
        **(figures or {}),
        "made": report.made,
        "kept": report.kept,
        "swept": report.removed,
        "folder": dg.MetadataValue.path(str(report.folder)),
        SETTINGS: dg.MetadataValue.json(config.model_dump()),
    }
    passed = all(check.passed or check.severity == dg.AssetCheckSeverity.WARN for check in checks)
    if passed and not report.unread:
        source = context.partition_key if context.has_partition_key else ""
        told[MADE_OF] = made_of(workspace, asset, source, config.model_dump())
        told |= workspace.publish(asset, source)
    if report.notes:
        told["notes"] = "\n".join(report.notes)
    pictures, captions = sheet
    if pictures:
        from ops.pictures import contact_sheet, data_uri

        uri = data_uri(contact_sheet(pictures, captions, columns=4))
        told["sheet"] = dg.MetadataValue.md(f"![contact sheet]({uri})")
    return dg.MaterializeResult(
        metadata=told, data_version=dg.DataVersion(directory_md5(report.folder)), check_results=checks
    )


def earlier(context: dg.AssetExecutionContext) -> dict[str, Any]:
    """Return what the last materialization before this one told in its metadata; nothing where there was none."""
    places = [context.partition_key] if context.has_partition_key else None
    records = context.instance.fetch_materializations(
        dg.AssetRecordsFilter(context.asset_key, asset_partitions=places), limit=1
    ).records
    event = records[0].asset_materialization if records else None
    return {name: value.value for name, value in event.metadata.items()} if event else {}


def progress(title: str) -> Callable[[int, int], None]:
    """Return a callback that draws a progress bar on a terminal and nothing elsewhere."""
    bar: tqdm[Any] | None = None

    def show(made: int, total: int) -> None:
        nonlocal bar
        bar = bar or tqdm(desc=title, total=total, unit="item", disable=None)
        bar.update(made - bar.n)
        if made == total:
            bar.close()

    return show
