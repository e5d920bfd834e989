"""What starts by itself: sources are watched, looked at every night, and networks trained every week if that is wanted.

Everything else follows from content, by the conditions in :mod:`assets_defs.conditions`.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
from dagster import AssetPartitionStatus

from assets_defs.conditions import NETWORKS
from assets_defs.config import WHOLE, inputs
from assets_defs.faces import SOURCES, frames
from assets_defs.resources import Workspace

LOOK_EVERY_S = 30
"""Seconds from one look at data/raw to the next; a source in which nothing moved in between is quiet."""

JOBS = {
    "faces": "of one source: frames, face geometry, masked faces and aligned crops",
    "detection": "splits of all sources, a detector trained on them and its report; who wears a mask in one source",
    "unmasking": "pairs of all sources, networks trained on them and their report; one source unmasked",
    "privacy": "digital masks of one source; who is recognised behind those of all",
    "expression": "eyes and mouths of one source, and their edits",
}
HOURS = " Trains networks, for hours at full settings; for several sources use Materialize all, which does it once."

jobs = [
    dg.define_asset_job(
        name,
        selection=dg.AssetSelection.groups(name),
        description=f"The {name} group: {told}.{HOURS if name in {'detection', 'unmasking'} else ''}",
    )
    for name, told in JOBS.items()
]
everything = dg.define_asset_job(
    "everything",
    selection=dg.AssetSelection.all(),
    description=f"All that is made of one source, and of all sources together.{HOURS}",
)


@dg.sensor(
    target=dg.AssetSelection.assets(frames),
    minimum_interval_seconds=LOOK_EVERY_S,
    description="Looks at a folder under data/raw when it is new or its files changed, and nobody copies into it.",
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def source_sensor(context: dg.SensorEvaluationContext, workspace: Workspace) -> dg.SensorResult | dg.SkipReason:
    """Have every source under data/raw looked at when it is new or its files changed, once nobody copies into it.

    New folders are registered as sources, removed ones are forgotten; a folder removed and put back is new. Only
    ``frames`` is asked for: the rest follows if its content is another.
    """
    known: dict[str, dict[str, str]] = json.loads(context.cursor or "{}")
    registered = set(context.instance.get_dynamic_partitions(str(SOURCES.name)))
    now = {source: listing(workspace.raw(source)) for source in workspace.sources()}
    moving = sorted(source for source, state in now.items() if known.get("seen", {}).get(source) != state)
    asked = {source: state for source, state in known.get("asked", {}).items() if source in now}
    due = sorted(source for source in now.keys() - set(moving) if asked.get(source) != now[source])
    gone, new = sorted(registered - now.keys()), sorted(set(due) - registered)
    context.update_cursor(json.dumps({"seen": now, "asked": asked | {source: now[source] for source in due}}))
    if not due and not gone:
        waiting = f"; waiting for {', '.join(moving)} to be quiet" if moving else ""
        return dg.SkipReason(f"nothing new in {len(now)} sources{waiting}")
    requests = [SOURCES.build_add_request(new)] if new else []
    return dg.SensorResult(
        dynamic_partitions_requests=[*requests, *([SOURCES.build_delete_request(gone)] if gone else [])],
        run_requests=[dg.RunRequest(partition_key=source) for source in due],
    )


def listing(folder: Path) -> str:
    """Return what changes when a file below ``folder`` comes, goes or is written: by paths, sizes and times alone."""
    digest = hashlib.blake2b(digest_size=16)
    for base, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(base, name)
            with contextlib.suppress(FileNotFoundError):  # it went while we looked: the next listing is another
                stat = path.lstat()
                digest.update(f"{path}\0{stat.st_size}\0{stat.st_mtime_ns}\0".encode(errors="surrogateescape"))
    return digest.hexdigest()


@dg.schedule(
    target=dg.AssetSelection.all() - dg.AssetSelection.assets(*WHOLE),
    cron_schedule="0 2 * * *",
    description="Looks at all that every source has, and tries again what failed; what is finished is not made again.",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
def nightly(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """Make again what every source has, and what failed: changed settings and damaged folders are noticed then.

    A picture that is finished is not made again.
    """
    instance, graph = context.instance, context.repository_def.asset_graph
    sources = instance.get_dynamic_partitions(str(SOURCES.name))
    if not sources:
        yield dg.SkipReason("data/raw has no source")
    keys = [key for key in graph.toposorted_asset_keys if graph.get(key).is_partitioned]
    found = {key: instance.get_status_by_partition(key, sources, SOURCES) or {} for key in keys}
    tried = {AssetPartitionStatus.MATERIALIZED, AssetPartitionStatus.FAILED}
    for source in sources:
        wanted = [key for key in keys if found[key].get(source) in tried]
        if wanted:
            yield dg.RunRequest(run_key=source, partition_key=source, asset_selection=wanted)


@dg.schedule(
    target=dg.AssetSelection.assets(*NETWORKS),
    cron_schedule="0 5 * * 0",
    description="Trains the networks, for hours, if there is something new to learn. Off until you switch it on.",
)
def weekly_training(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """Train every network of which there is something to learn from; off until somebody switches it on.

    A training takes hours. One whose pictures and settings are as they were is not made again.
    """
    ready = [
        name
        for name in NETWORKS
        if all(context.instance.get_latest_materialization_event(dg.AssetKey(each)) for each in inputs(name))
    ]
    if not ready:
        yield dg.SkipReason("there is nothing to learn from: make yolo_splits or unmasking_pairs first")
    for name in ready:
        yield dg.RunRequest(run_key=name, asset_selection=[dg.AssetKey(name)])
