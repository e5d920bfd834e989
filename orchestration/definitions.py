"""What Dagster's code server loads."""

import warnings

import dagster as dg

from assets_defs import detection, expression, faces, privacy, unmasking
from assets_defs.resources import Compute, Models, Tracking, Workspace
from orchestration.automation import everything, jobs, nightly, source_sensor, weekly_training
from orchestration.failures import failure_report
from orchestration.forgotten import forgotten_runs
from orchestration.search import detector_search
from orchestration.versions import adopt_checkout, record_versions

with warnings.catch_warnings():
    warnings.simplefilter("ignore", dg.BetaWarning)  # links from the UI to the assets' code
    assets = dg.with_source_code_references(
        dg.load_assets_from_modules([faces, detection, unmasking, privacy, expression])
    )

defs = dg.Definitions(
    assets=assets,
    jobs=[*jobs, everything, detector_search, record_versions, adopt_checkout],
    schedules=[nightly, weekly_training],
    sensors=[
        source_sensor,
        failure_report,
        forgotten_runs,
        dg.AutomationConditionSensorDefinition(
            "content_changed",
            target=dg.AssetSelection.all(),
            default_status=dg.DefaultSensorStatus.RUNNING,
            description="Makes what is new or whose inputs have other content than before; not what trains for hours.",
        ),
    ],
    resources={"workspace": Workspace(), "models": Models(), "compute": Compute(), "tracking": Tracking()},
    executor=dg.in_process_executor,
)
