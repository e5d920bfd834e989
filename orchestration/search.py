"""The job ``detector_search``: a few short trainings that look for better settings of ``mask_detector``."""

from dataclasses import fields

import dagster as dg
import yaml
from pydantic import Field

from assets_defs.resources import Models, Tracking, Workspace
from assets_defs.settings import settings_of
from ops.stages.detector import split_hash
from ops.store import fingerprint
from ops.training.detector import Recipe
from ops.training.search import search
from resources.devices import resolve_device
from resources.start_weights import start_weights


class SearchConfig(dg.Config):
    """Settings of the search; what it does not name is as in params.yaml."""

    trials: int = Field(default=4, ge=1, description="trainings")
    epochs: int = Field(default=5, ge=1, description="of each")
    image_size: int = Field(default=320, ge=64, multiple_of=32, description="longer side of a picture in pixels")
    start: str = Field(default="auto", description="weights to start from, as for mask_detector")
    pictures: str = Field(default="train", description="train, or train_real for photographs alone")


@dg.op(description="Try learning rates, mosaics and mixups; every trial is a run below that of the search.")
def try_settings(
    context: dg.OpExecutionContext, config: SearchConfig, workspace: Workspace, models: Models, tracking: Tracking
) -> None:
    """Search, and tell the best settings as they go into params.yaml."""
    known = settings_of("mask_detector") | config.model_dump(exclude={"trials"})
    recipe = Recipe(**{field.name: known[field.name] for field in fields(Recipe)})
    split = workspace.dataset("yolo_splits").folder
    start = start_weights(known["start"], recipe.size)
    best = search(
        split,
        workspace.folder / "training" / "search",
        recipe,
        start.path,
        trials=config.trials,
        content=fingerprint(split_hash(split), start.name, start.sha256),
        device=resolve_device(models.device),
        track=tracking.store(workspace).run,
    )
    text = yaml.safe_dump({"mask_detector": best.settings}, sort_keys=False)
    context.log.info(f"best of {best.trials}, AP50-95 {best.value:.4f}:\n{text}")
    told = {name: dg.MetadataValue.float(value) for name, value in best.settings.items() if isinstance(value, float)}
    context.add_output_metadata(
        {
            "ap50_95": best.value,
            "trials": best.trials,
            "start": start.name,
            **told,
            "params.yaml": dg.MetadataValue.md(f"```yaml\n{text}```"),
        }
    )


@dg.job(description="Optuna's search for better settings of mask_detector; small unless configured otherwise.")
def detector_search() -> None:
    """Search once."""
    try_settings()
