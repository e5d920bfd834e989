"""Tracing: from any file that Maskline made back to raw files, settings and models, each link compared with now."""

from ops.tracing.links import AGAIN, BROKEN, CHANGED, GONE, SAME, UNKNOWN, Link
from ops.tracing.places import PER_SOURCE, WHOLE, NotMade, place_of
from ops.tracing.walk import trace

__all__ = [
    "AGAIN",
    "BROKEN",
    "CHANGED",
    "GONE",
    "PER_SOURCE",
    "SAME",
    "UNKNOWN",
    "WHOLE",
    "Link",
    "NotMade",
    "place_of",
    "trace",
]
