"""The assets' settings as Dagster's Launchpad shows them, a room a group; their defaults stand in params.yaml."""

from collections.abc import Mapping
from typing import Any

import dagster as dg
from pydantic import ValidationError

from assets_defs.settings import detection, expression, faces, privacy, unmasking

ROOMS = (faces, detection, unmasking, privacy, expression)


def settings_of(asset: str, wishes: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return an asset's settings: those of params.yaml and, before them, the wishes.

    Raises:
        ValueError: the asset has no such setting, or not such a value.
    """
    name = "".join(part.title() for part in asset.split("_")) + "Config"
    model: type[dg.Config] = next(vars(room)[name] for room in ROOMS if name in vars(room))
    unknown = sorted(set(wishes or {}) - model.model_fields.keys())
    if unknown:
        raise ValueError(f"{asset} has no setting {', '.join(unknown)}; it has {', '.join(model.model_fields)}")
    try:
        return model(**wishes or {}).model_dump()
    except ValidationError as error:
        wrong = "; ".join(f"{asset}.{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise ValueError(wrong) from None
