"""One setting of an asset."""

from typing import Any

from pydantic import Field

from assets_defs.config import section


def setting(asset: str, name: str, description: str, **limits: Any) -> Any:
    """Return a field whose default stands in params.yaml.

    Args:
        asset: whose section.
        name: in it.
        description: what the Launchpad says.
        limits: as for pydantic's ``Field``, such as ``ge``.
    """
    return Field(default_factory=lambda: section(asset)[name], description=description, **limits)
