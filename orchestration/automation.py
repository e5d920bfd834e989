"""What starts by itself: new source folders become partitions, and every night each source is looked at again."""

from collections.abc import Iterator

import dagster as dg

from assets_defs.faces import SOURCES
from assets_defs.resources import Workspace

faces_job = dg.define_asset_job(
    "faces",
    selection=dg.AssetSelection.groups("faces"),
    description="Frames, face geometry, masked faces and aligned crops of one source.",
)


@dg.sensor(job=faces_job, minimum_interval_seconds=30, default_status=dg.DefaultSensorStatus.RUNNING)
def source_sensor(context: dg.SensorEvaluationContext, workspace: Workspace) -> dg.SensorResult:
    """Register every new folder under data/raw as a source, forget removed ones, and run the faces job for the new.

    Registering is what makes a source known, so each is asked for once; a folder removed and put back is new.
    """
    registered = set(context.instance.get_dynamic_partitions(str(SOURCES.name)))
    present = set(workspace.sources())
    new, gone = sorted(present - registered), sorted(registered - present)
    requests = [SOURCES.build_add_request(new)] if new else []
    return dg.SensorResult(
        dynamic_partitions_requests=[*requests, *([SOURCES.build_delete_request(gone)] if gone else [])],
        run_requests=[dg.RunRequest(partition_key=source) for source in new],
    )


@dg.schedule(job=faces_job, cron_schedule="0 2 * * *", default_status=dg.DefaultScheduleStatus.RUNNING)
def nightly(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest]:
    """Look at every source again; what did not change costs next to nothing."""
    for source in context.instance.get_dynamic_partitions(str(SOURCES.name)):
        yield dg.RunRequest(partition_key=source)
