"""The page of the latest detector's report: how good it is on pictures that it never saw."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import streamlit as st

from apps.detector import reading
from apps.detector.serve import data_folder
from apps.detector.uploads import escaped
from apps.detector.widgets import grid

if TYPE_CHECKING:
    from collections.abc import Mapping

    from apps.detector.reading import Report

NONE = """There is no report yet. Make one:

```sh
maskline materialize mask_detector detector_report
```

It tries the trained detector on the test pictures of the split, and writes figures with intervals, curves, the
confusion matrix and the worst cases."""


def show() -> None:
    """Show the page."""
    st.title("Report", anchor=False)
    report = reading.read(data_folder(sys.argv) / "detector_report")
    if report is None:
        st.info(NONE, icon=":material/assessment:")
        return
    _verdict(report.metrics)
    _figures(report.metrics)
    _plots(report)


def _verdict(metrics: Mapping[str, Any]) -> None:
    """Say what the figures are worth before showing them."""
    why = escaped(metrics["why"])
    if not metrics["meaningful"]:
        st.warning(f"**These figures mean nothing:** {why}.", icon=":material/warning:")
    elif metrics["promoted"]:
        st.info(f"**This detector is the champion:** {why}.", icon=":material/trophy:")
    else:
        st.info(f"**This detector did not become champion:** {why}.", icon=":material/info:")


def _figures(metrics: Mapping[str, Any]) -> None:
    import pandas as pd

    with st.container(horizontal=True):
        for name, title in reading.TITLES.items():
            value = "n/a" if metrics[name] is None else f"{metrics[name]:.3f}"
            told, meaning = reading.interval(metrics, name), reading.MEANINGS[name]
            st.metric(title, value, told, delta_color="off", delta_arrow="off", border=True, help=meaning)
    st.caption(
        f"On {metrics['pictures']} test pictures, {metrics['photographs']} of them photographs; with 95% intervals. "
        f"Started from {escaped(metrics['start'])}, run {escaped(metrics['run_id'])}."
    )
    st.subheader("By class", anchor=False)
    st.table(pd.DataFrame(reading.table(metrics)).set_index("Class"))


def _plots(report: Report) -> None:
    for topic, paths in report.plots().items():
        st.subheader(topic, anchor=False)
        if len(paths) == 1:
            st.image(str(paths[0]), width="content")
            continue
        for place, path in zip(grid(2), paths, strict=False):
            place.image(str(path), width="stretch")
    if (report.folder / reading.WORST).is_file():
        st.subheader("Worst cases", anchor=False)
        st.image(str(report.folder / reading.WORST), width="stretch")


if __name__ == "__main__":
    show()
