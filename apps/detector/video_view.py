"""An uploaded video on the page: watched once, shown with boxes and sound, counted over time."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import streamlit as st

from apps.detector import clips, uploads
from apps.detector.clips import Watched
from apps.detector.uploads import boxes_name, escaped
from apps.detector.widgets import offer, tell_counts, tell_refused
from ops.detection.found_files import csv_of
from ops.masking import LABELS
from ops.pictures import CLASS_TITLES
from ops.records import Refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from apps.detector.widgets import Setting
    from ops.detection.detections import Detections
    from ops.detection.found_files import Found


def show_video(file: Any, setting: Setting) -> None:
    """Look at an uploaded video, and show it with what was found; without one, forget the last."""
    if file is None:
        st.session_state.pop("watched", None)
        return
    watched = _watched(file, setting)
    if isinstance(watched, Refusal):
        tell_refused([(file.name, watched.reason)])
        return
    if watched.problem:
        st.warning(f"**{escaped(file.name)}**: {escaped(watched.problem)}")
    tell_counts(clips.at_once(watched.frames), f"Faces at one moment, at most, in {len(watched.frames)} frames")
    with st.container(horizontal=True):
        offer("CSV", partial(csv_of, watched.frames), "detections.csv", "text/csv")
        offer("Video with boxes", watched.film, boxes_name(file.name, ".mp4"), "video/mp4")
    left, right = st.columns([3, 2])
    left.video(watched.film)
    with right:
        _chart(watched.frames)


def _watched(file: Any, setting: Setting) -> Watched | Refusal:
    """Return the video with its boxes; where the thresholds alone are new, it is only drawn again."""
    of, key = (file.file_id, setting.digest, setting.tiles), setting.thresholds
    known = st.session_state.get("watched")
    if known is None or known[:2] != (of, key):
        seen = known[2].seen if known is not None and known[0] == of and isinstance(known[2], Watched) else ()
        known = st.session_state["watched"] = (of, key, _watch(file, setting, seen))
    watched: Watched | Refusal = known[2]
    return watched


def _watch(file: Any, setting: Setting, seen: Sequence[Detections]) -> Watched | Refusal:
    does = "Drawing the boxes" if seen else "Looking at the video"
    bar = st.progress(0.0, does)

    def progress(share: float) -> None:
        bar.progress(share, f"{does}, {share:.0%}")

    try:
        data = file.getvalue()
        return clips.watch(file.name, data, setting.detector, setting.tiles, setting.thresholds, progress, seen)
    except Refusal as refusal:
        return Refusal(refusal.reason)  # without the frames that its traceback holds
    finally:
        bar.empty()


def _chart(found: Sequence[Found]) -> None:
    """Plot how many faces of each class are to be seen over time."""
    import altair as alt
    import pandas as pd

    rows = [
        {"second": one.time, "faces": one.detections.names.count(label), "class": title}
        for one in found
        for label, title in zip(LABELS, CLASS_TITLES, strict=True)
    ]
    colours = alt.Scale(domain=list(CLASS_TITLES), range=uploads.COLOURS)
    chart = alt.Chart(pd.DataFrame(rows)).mark_line(interpolate="step-after", strokeWidth=2.5)
    axis = alt.Axis(tickMinStep=1, format="d")
    shown = chart.encode(
        x=alt.X("second:Q"), y=alt.Y("faces:Q", axis=axis), color=alt.Color("class:N", scale=colours, title=None)
    )
    st.altair_chart(shown.configure_legend(orient="top", offset=4), width="stretch")
