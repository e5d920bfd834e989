"""What both kinds of upload are shown with: counts, reasons, downloads."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import streamlit as st

from apps.detector.uploads import escaped
from ops.masking import LABELS
from ops.pictures import CLASS_TITLES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from streamlit.delta_generator import DeltaGenerator

    from ops.detection.inference import MaskDetector

HUES = ("green", "red", "orange")
"""The theme's names of the classes' colours."""


class Setting(NamedTuple):
    """What the sidebar says: the detector and its file's digest, a threshold a class, tiles."""

    detector: MaskDetector
    digest: str
    thresholds: tuple[float, ...]
    tiles: int


def tell_refused(refused: Sequence[tuple[str, str]]) -> None:
    """Name uploads that can't be used, each with its reason."""
    if refused:
        lines = "".join(f"\n- **{escaped(name)}**: {escaped(reason)}" for name, reason in refused)
        st.warning(f"Left out:\n{lines}", icon=":material/image_not_supported:")


def tell_counts(counts: dict[str, int], where: str) -> None:
    """Show how many faces of each class there are, and where."""
    st.caption(where)
    with st.container(horizontal=True):
        for hue, title, label in zip(HUES, CLASS_TITLES, LABELS, strict=True):
            st.metric(f":{hue}[⬤] {title.capitalize()}", counts[label], border=True)


def grid(across: int) -> Iterator[DeltaGenerator]:
    """Yield places side by side, row after row, so that a narrow screen keeps their order."""
    while True:
        yield from st.columns(across)


def offer(label: str, make: Callable[[], bytes] | bytes, name: str, mime: str) -> None:
    """Offer a file that is made when it is asked for."""
    st.download_button(label, make, name, mime, on_click="ignore", icon=":material/download:", key=f"download {label}")
