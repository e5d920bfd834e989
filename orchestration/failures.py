"""A report in plain words of every run that failed: which asset of which source, why, and what to do next.

The sensor ``failure_report`` writes it to ``failures/`` in the instance's folder, ``.dagster`` by default.
"""

import os
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
from dagster import DagsterEvent, DagsterEventType
from dagster._utils.error import SerializableErrorInfo

from assets_defs.checks import described_as
from ops.files import write_atomic
from ops.telling import tellable

UI = "MASKLINE_UI"
"""Environment variable with the address of Dagster's UI; ``make dev`` serves it at the default."""

MADE = DagsterEventType.ASSET_MATERIALIZATION
LINES = 25
"""Of the log, the last ones."""

ADVICE = {
    "BadManifest": "Materialize the asset whose manifest the message names again.",
    "ChangedModel": "A model was exchanged while the run was under way. Run again: it takes the new one.",
    "DatasetBusy": "Another run is writing this data. Wait for it to end.",
    "WorkerDied": "Memory ran out, or somebody ended a worker. Close what else takes memory, or use fewer workers.",
    "MemoryError": "Memory ran out. Close what else takes memory, or use fewer workers.",
    "OutOfMemoryError": "The GPU's memory ran out. Choose a smaller batch in params.yaml, or the device `cpu`.",
    "ModelUnavailable": "Look at `maskline models list`. Bring the file, or name a mirror, as the message says.",
    "ChecksumMismatch": "A file is not the model it says it is. Get it anew, from the source that the message names.",
    "FileNotFoundError": "Something that it is made of is not there. Make that first, or put it back.",
    "PermissionError": "Let the user who runs Maskline read and write the path in the message.",
    "DagsterUserCodeUnreachableError": "The machine has too much to do, or the code server restarts. Wait a little.",
    "DagsterInvalidConfigError": "Correct the settings that were given to this run.",
}
"""What to do about an error, by its class."""

FAILED_CHECK = (
    "Look at the asset's contact sheet in the UI, and at its folder. It is kept for you to see; nothing is made of it."
)
DISK_FULL = "The disk is full. Make room: what was finished is kept."
OTHERWISE = "The run's page has the whole trace."
DIED = (
    "The process that ran it ended without a word: it was killed, memory ran out, or the machine went down. "
    "What was finished is kept."
)


def root_of(error: SerializableErrorInfo) -> SerializableErrorInfo:
    """Return the error behind an error."""
    while error.cause:
        error = error.cause
    return error


def advice(error: SerializableErrorInfo) -> str:
    """Say what to do about an error."""
    if "No space left on device" in error.message:
        return DISK_FULL
    return ADVICE.get((error.cls_name or "").rpartition(".")[2], OTHERWISE)


def described(instance: dg.DagsterInstance, run: dg.DagsterRun, ended: DagsterEvent, ui: str) -> str:
    """Return the report of a failed run as Markdown.

    Args:
        instance: has the run's log.
        run: that failed.
        ended: its last event.
        ui: address of Dagster's UI.
    """
    source = run.tags.get("dagster/partition", "")
    log = instance.all_logs(run.run_id)
    events = [entry.dagster_event for entry in log if entry.dagster_event]
    steps = [event for event in events if event.event_type is DagsterEventType.STEP_FAILURE]
    title = ", ".join(str(event.step_key) for event in steps) or run.job_name
    lines = [
        f"# {title}{f' [{source}]' if source else ''} failed",
        "",
        f"{_clock(log[-1].timestamp, '%A %d %B %Y, %H:%M')} UTC. [The run in the UI]({ui}/runs/{run.run_id}).",
    ]
    for event in steps:
        asset = str(event.step_key)
        told = _checks(events, asset) or _told(event.step_failure_data.error)
        command = f"python -m orchestration.materialize {asset}{f' --source {source}' if source else ''}"
        again = f"Then make it again, in the UI or by `{command}`. Finished work is kept."
        lines += ["", f"## {asset}", "", *told, "", again]
    if not steps:
        ours = [event.engine_event_data.error for event in events if event.is_engine_event]
        ours += [ended.job_failure_data.error] if ended.event_specific_data else []
        told = _told(next(filter(None, reversed(ours)), None))
        lines += ["", "## Outside of the assets", "", *told, "", "Then start it again."]
    planned, made = (_assets(events, kind) for kind in (DagsterEventType.ASSET_MATERIALIZATION_PLANNED, MADE))
    if left_out := sorted(planned - made - {str(event.step_key) for event in steps}):
        lines += ["", f"Not made, since that came first: {', '.join(left_out)}."]
    said = "\n".join(f"{_clock(entry.timestamp, '%H:%M:%S')} {entry.message.strip()}" for entry in log)
    ending = [*lines, "", "## End of the log", "", "```", *said.splitlines()[-LINES:], "```", ""]
    return tellable("\n".join(ending))


def _assets(events: list[DagsterEvent], kind: DagsterEventType) -> set[str]:
    return {event.asset_key.to_user_string() for event in events if event.event_type is kind and event.asset_key}


def _clock(timestamp: float, how: str) -> str:
    return datetime.fromtimestamp(timestamp, UTC).strftime(how)


def _told(error: SerializableErrorInfo | None) -> list[str]:
    """Return an error's own words, and what to do about it."""
    if error is None:
        return [DIED]
    root = root_of(error)
    return [*(f"> {line}" for line in root.message.strip().splitlines()), "", advice(root)]


def _checks(events: list[DagsterEvent], asset: str) -> list[str]:
    """Return what an asset's blocking checks found that did not pass, and what to do about it."""
    evaluations = [event for event in events if event.event_type is DagsterEventType.ASSET_CHECK_EVALUATION]
    lines = []
    for check in (event.asset_check_evaluation_data for event in evaluations):
        if check.asset_key == dg.AssetKey(asset) and check.blocking and not check.passed:
            found = ", ".join(f"{name}: {value.value}" for name, value in check.metadata.items())
            lines += [f"The check `{check.check_name}` did not pass. {described_as(check.check_name)}", ""]
            lines += [f"> {found}", ""]
    return [*lines, FAILED_CHECK] if lines else []


@dg.run_failure_sensor(default_status=dg.DefaultSensorStatus.RUNNING, minimum_interval_seconds=30)
def failure_report(context: dg.RunFailureSensorContext) -> None:
    """Write a report of every run that failed: asset, source, error, what to do next, the end of the log."""
    run = context.dagster_run
    text = described(context.instance, run, context.failure_event, os.environ.get(UI, "http://localhost:3000"))
    name = f"{datetime.now(UTC):%Y-%m-%dT%H-%M-%S}_{run.run_id[:8]}.md"
    path = Path(context.instance.root_directory) / "failures" / name
    write_atomic(path, text.encode())
    context.log.error(f"{text.splitlines()[0].removeprefix('# ')}: see {path}")
