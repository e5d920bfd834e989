"""What Dagster's code server loads."""

import dagster as dg

from assets_defs import detection, expression, faces, privacy, unmasking
from assets_defs.resources import Compute, Models, Tracking, Workspace
from orchestration.automation import faces_job, nightly, source_sensor
from orchestration.search import detector_search

defs = dg.Definitions(
    assets=dg.load_assets_from_modules([faces, detection, unmasking, privacy, expression]),
    jobs=[faces_job, detector_search],
    schedules=[nightly],
    sensors=[
        source_sensor,
        dg.AutomationConditionSensorDefinition(
            "content_changed", target=dg.AssetSelection.all(), default_status=dg.DefaultSensorStatus.RUNNING
        ),
    ],
    resources={"workspace": Workspace(), "models": Models(), "compute": Compute(), "tracking": Tracking()},
    executor=dg.in_process_executor,
)
