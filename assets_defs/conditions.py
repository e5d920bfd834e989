"""When an asset is made without being asked for, and when it is overdue.

What counts is content: an upstream run that gave the same bytes starts nothing. A change waits, and is not forgotten,
while an input is missing or being made.
"""

from datetime import timedelta

import dagster as dg

from assets_defs.config import WHOLE

NETWORKS = ("mask_detector", "mask_segmenter", "face_completer")
"""Assets that are trained for hours: only a person or the weekly schedule starts them, in a pool of their own."""

TRAINING = {"automation_condition": None, "pool": "training"}
"""What such an asset has in the place of what others have; nothing else waits while it is trained."""

LOOKING_OF_A_SOURCE = {"automation_condition": None}
"""What ``frames`` has: only looking at raw files can tell whether they changed, which is what a sensor does."""

NIGHTLY = "0 4 * * *"
"""When annotation files are looked at again that no other asset sees; after the sources' own night run."""

_CONTENT_CHANGED = dg.AutomationCondition.any_deps_match(dg.AutomationCondition.data_version_changed())
_MISSING = dg.AutomationCondition.any_deps_missing()

WHEN_CONTENT_CHANGED = (
    dg.AutomationCondition.eager()
    .replace("any_deps_updated", _CONTENT_CHANGED)
    .with_label("when the content of an input changed")
)
"""Of one source: as soon as what it is made of is there, and again when that is other content."""

EVEN_WITHOUT_NETWORKS = WHEN_CONTENT_CHANGED.replace(
    "any_deps_missing", _MISSING.ignore(dg.AssetSelection.assets(*NETWORKS))
).with_label("when the content of an input changed, networks or not")
"""The same; networks that were never trained here are not waited for, since those that ship take their place."""

ON_ALL_SOURCES = (
    WHEN_CONTENT_CHANGED.replace("any_deps_missing", _MISSING.allow(dg.AssetSelection.assets(*WHOLE)))
    & ~_CONTENT_CHANGED
).with_label("when the content of any source changed, and then nothing more")
"""Of all sources together: a source that can't be made does not keep the others waiting.

It comes a tick after the change, when runs of a source's other assets, which it would have to wait for, are under way.
"""

LOOKED_AT = dg.FreshnessPolicy.time_window(warn_window=timedelta(hours=30), fail_window=timedelta(days=3))
"""For what reads raw files: overdue when a night run was missed. Everything else is as fresh as its inputs' content."""
