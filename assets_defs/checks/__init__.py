"""The asset checks, a room a group: each looks at what was written, not at what the code meant to write."""

from assets_defs.checks import common, detection, expression, faces, privacy, unmasking

ROOMS = (common, faces, detection, unmasking, privacy, expression)


def described_as(name: str) -> str | None:
    """Return what a check says of itself."""
    doc: str | None = next(vars(room)[name] for room in ROOMS if name in vars(room)).__doc__
    return doc
