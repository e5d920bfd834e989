"""Runs whose process was killed: Dagster takes them for running, and whatever shares their pool would wait for ever."""

import dagster as dg

from assets_defs.processes import PROCESS, gone

RUNNING = (dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING)
GONE = "its process ended without a word: killed, out of memory, or the machine went down; what was finished is kept"


def end_forgotten(instance: dg.DagsterInstance) -> list[str]:
    """Mark the runs as failed whose process is gone, and return their ids."""
    runs = instance.get_runs(dg.RunsFilter(statuses=list(RUNNING)))
    dead = [run for run in runs if PROCESS in run.tags and gone(run.tags[PROCESS])]
    for run in dead:
        instance.report_run_failed(run, GONE)
    return [run.run_id for run in dead]


@dg.sensor(
    minimum_interval_seconds=60,
    description="Marks runs as failed whose process was killed, so that nothing waits for them.",
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def forgotten_runs(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Mark runs as failed whose process was killed, so that nothing waits for them."""
    ended = end_forgotten(context.instance)
    return dg.SkipReason(f"ended without a word: {', '.join(ended) or 'none'}")
