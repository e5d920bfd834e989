"""The page that lists trainings and holds some of them against each other."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import streamlit as st

from apps.detector import comparing
from apps.detector.serve import data_folder
from apps.detector.uploads import escaped
from apps.detector.widgets import grid
from resources.tracking import Tracking, local_uri

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pandas as pd

    from apps.detector.comparing import Rows
    from resources.tracking import RunInfo, VersionInfo

RUN_COLOURS = ["#1f6feb", "#d4569c", "#7a5af5", "#0f9b8e", "#c2700c", "#5c6675"]
DIFFERS, BEST = "background-color: #fff3d6", "background-color: #dff7e3; font-weight: 600"
CHART_PX = 300
NONE = """No training has been tracked yet. Make one:

```sh
maskline materialize all                # of the pictures under data/raw
maskline train detector SPLIT OUTPUT    # of a YOLO split of your own
```

Each training becomes a run here as soon as it begins, with its parameters, its curves and, in the end, its detector.
Until then the **Detect** page works with the weights that ship with Maskline."""


def show() -> None:
    """Show the page."""
    st.title("Experiments", anchor=False)
    tracking = Tracking(local_uri(data_folder(sys.argv)))
    runs, versions = _read(tracking.uri)
    if not runs:
        st.info(NONE, icon=":material/experiment:")
        return
    words = st.text_input(
        "Filter", placeholder="Filter by name, status or parameter, such as epochs=50", label_visibility="collapsed"
    )
    shown = comparing.matching(runs, words or "")
    if not shown:
        st.info("No run has all these words.")
        return
    chosen = _table(shown, versions, words or "")
    if len(chosen) > 1:
        _compare(tracking, chosen)
    else:
        st.caption("Select two or more runs to compare them.")


@st.cache_data(ttl=10, show_spinner="Reading the runs …")
def _read(uri: str) -> tuple[list[RunInfo], list[VersionInfo]]:
    tracking = Tracking(uri)
    return tracking.runs(), tracking.versions()


@st.cache_data(ttl=10, show_spinner="Reading the curves …")
def _curves(uri: str, runs: list[RunInfo]) -> dict[str, Rows]:
    return comparing.curves(Tracking(uri), runs)


def _table(runs: Sequence[RunInfo], versions: Sequence[VersionInfo], words: str) -> list[RunInfo]:
    """Show the runs, and return those that are selected: at first the two best."""
    import pandas as pd

    score = st.column_config.NumberColumn(format="%.3f")
    columns = {
        "AP50": score,
        "AP50-95": score,
        "Test AP50-95": score,
        "Started (UTC)": st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm"),
    }
    picked = st.dataframe(
        pd.DataFrame(comparing.overview(runs, versions)),
        hide_index=True,
        column_config=columns,
        placeholder="",
        on_select="rerun",
        selection_mode="multi-row",
        selection_default={"selection": {"rows": comparing.best(runs, 2)}},
        key=f"runs {words} {len(runs)}",
    )
    return [runs[index] for index in picked["selection"]["rows"]]


def _compare(tracking: Tracking, runs: list[RunInfo]) -> None:
    st.header("Side by side", anchor=False)
    left, right = st.columns(2)
    with left:
        st.subheader("Figures", anchor=False)
        _figures(comparing.figures(runs))
    with right:
        st.subheader("Parameters", anchor=False)
        _parameters(*comparing.parameters(runs))
    if curves := _curves(tracking.uri, runs):
        st.subheader("Curves", anchor=False)
        _charts(curves)
    if plots := comparing.plots(tracking, runs):
        st.subheader("Reports", anchor=False)
        _plots(plots)


def _figures(rows: Rows) -> None:
    import pandas as pd

    if not rows:
        st.caption("None of these trainings has come to an end.")
        return
    table = pd.DataFrame(rows).set_index("").astype(float)
    table.columns = table.columns.map(escaped)

    def highlight(row: pd.Series[float]) -> list[str]:
        return [BEST if row.count() > 1 and value == row.max() else "" for value in row]

    st.table(table.style.format("{:.3f}", na_rep="").apply(highlight, axis=1))


def _parameters(apart: Rows, alike: Rows) -> None:
    if apart:
        st.table(_plain(apart).style.map(lambda _: DIFFERS))
    else:
        st.caption("All parameters are the same.")
    if alike:
        with st.expander(f"{len(alike)} that are the same"):
            st.table(_plain(alike).iloc[:, :1].set_axis(["all runs"], axis=1))


def _plain(rows: Rows) -> pd.DataFrame:
    """Return a table of texts, shown as they stand."""
    import pandas as pd

    table = pd.DataFrame(rows).set_index("")
    return table.map(escaped).rename(index=escaped, columns=escaped)


def _charts(curves: dict[str, Rows]) -> None:
    """Overlay the runs' curves, a chart a metric."""
    import altair as alt
    import pandas as pd

    default = [name for name in comparing.SHOWN_FIRST if name in curves]
    chosen = st.multiselect("Metrics", list(curves), default=default, label_visibility="collapsed")
    for place, name in zip(grid(2), chosen, strict=False):
        rows = pd.DataFrame(curves[name])
        colour = alt.Color("run:N", scale=alt.Scale(range=RUN_COLOURS), sort=None, title=None)
        x = alt.X("epoch:Q", axis=alt.Axis(tickMinStep=1))
        y = alt.Y("value:Q", scale=alt.Scale(zero=False), title=None)
        chart = alt.Chart(rows, title=name, height=CHART_PX).mark_line(strokeWidth=2.5).encode(x=x, y=y, color=colour)
        place.altair_chart(chart.configure_legend(orient="top", columns=1, offset=4), width="stretch")


def _plots(plots: dict[str, dict[str, Path]]) -> None:
    """Show one plot of each run's report, beside each other."""
    chosen = st.segmented_control(
        "Plot", list(plots), default=next(iter(plots)), required=True, label_visibility="collapsed"
    )
    for place, (run, path) in zip(grid(2), plots[chosen].items(), strict=False):
        with place:
            st.caption(escaped(run))
            st.image(str(path))


if __name__ == "__main__":
    show()
