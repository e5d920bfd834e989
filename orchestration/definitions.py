"""What Dagster's code server loads."""

import dagster as dg

from assets_defs import detection, faces
from assets_defs.resources import Compute, Models, Workspace
from orchestration.automation import faces_job, nightly, source_sensor

defs = dg.Definitions(
    assets=dg.load_assets_from_modules([faces, detection]),
    jobs=[faces_job],
    schedules=[nightly],
    sensors=[
        source_sensor,
        dg.AutomationConditionSensorDefinition(
            "content_changed", target=dg.AssetSelection.all(), default_status=dg.DefaultSensorStatus.RUNNING
        ),
    ],
    resources={"workspace": Workspace(), "models": Models(), "compute": Compute()},
    executor=dg.in_process_executor,
)
