"""Whether a dataset on disk is what the code, settings and inputs of now would make."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from assets_defs.config import LOOKING
from assets_defs.detection import planned_scenes
from assets_defs.resources import Workspace
from assets_defs.results import MADE_OF, SETTINGS, made_of
from assets_defs.settings import settings_of
from ops.content import directory_md5
from ops.stages import frames as frame_stage

DATA_VERSION = "dagster/data_version"
"""Tag of a materialization: the content of its folder."""

Wishes = Mapping[str, Any]
"""Settings that take the place of those in params.yaml."""


def stale(
    instance: dg.DagsterInstance, workspace: Workspace, asset: str, source: str, wishes: Wishes | None = None
) -> str | None:
    """Say why an asset's partition, or an asset without any (source ""), is to be made again; None when it is fresh.

    Fresh means: the last materialization was made of this code, these settings and this input, it passed its blocking
    checks, and the folder still holds what it made. What reads raw files is never fresh: only looking at them can tell.
    """
    if asset in LOOKING:
        return "its raw files are to be looked at"
    return unlike(instance, workspace, asset, source, wishes)


def unlike(
    instance: dg.DagsterInstance, workspace: Workspace, asset: str, source: str, wishes: Wishes | None = None
) -> str | None:
    """Say in what a dataset is not what would be made now, as far as that is known without looking at raw files."""
    event = latest(instance, asset, source)
    if event is None:
        return "it was never made"
    settings, had, known = settings_of(asset, wishes), event.metadata.get(SETTINGS), event.metadata.get(MADE_OF)
    if had is not None and had.value != settings:
        before: dict[str, Any] = had.value  # type: ignore[assignment]
        other = sorted(name for name in before.keys() | settings.keys() if before.get(name) != settings.get(name))
        told = ", ".join(f"{name} {before.get(name)!r} and not {settings.get(name)!r}" for name in other)
        return f"it was made with {told}"
    if known is None:
        return "it did not pass its checks, or could not read a file"
    if known.value != made_of(workspace, asset, source, settings):
        return "its code, settings or input changed"
    folder = workspace.dataset(asset, source).folder
    if not folder.is_dir() or (event.tags or {}).get(DATA_VERSION) != directory_md5(folder):
        return "its folder is not as it was made"
    return None


def latest(instance: dg.DagsterInstance, asset: str, source: str) -> dg.AssetMaterialization | None:
    """Return the last materialization of an asset's partition, or of an asset without any (source "")."""
    places = [source] if source else None
    records = instance.fetch_materializations(
        dg.AssetRecordsFilter(dg.AssetKey(asset), asset_partitions=places), limit=1
    ).records
    return records[0].asset_materialization if records else None


def overlooked(workspace: Workspace, asset: str, source: str) -> str | None:
    """Say whether an asset of :data:`LOOKING` would find something else now in the raw files, by looking at them."""
    settings = settings_of(asset)
    if asset == "frames":
        items, told = frame_stage.plan(workspace.raw(source), **settings)
    else:
        scenes = planned_scenes(workspace, settings)
        items, told = scenes.items, scenes.told
    now = {item.fingerprint for item in items} | {row["fingerprint"] for row in told}
    then = set(workspace.dataset(asset, source).read(["fingerprint"])["fingerprint"])
    return None if now == then else "raw files came, went or changed since it was made"
