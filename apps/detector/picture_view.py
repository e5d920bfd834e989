"""Uploaded pictures on the page: boxes, faces, a table, downloads."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import streamlit as st

from apps.detector import uploads
from apps.detector.uploads import Seen, boxes_name, escaped
from apps.detector.widgets import HUES, grid, offer, tell_counts, tell_refused
from ops.detection.found_files import coco_of, csv_of, yolo_of, zipped
from ops.masking import LABELS
from ops.pictures import CLASS_TITLES
from ops.records import Refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from apps.detector.widgets import Setting
    from ops.detection.found_files import Found

SHOWN_PICTURES, SHOWN_FACES = 12, 48
FACE_PX = 104
NO_FACE = "No face counts at these thresholds."


def show_pictures(given: Sequence[tuple[str, Any]], setting: Setting) -> None:
    """Look at uploaded pictures, and show what was found."""
    looked = _looked(given, setting)
    seen = [one for one in looked if isinstance(one, Seen)]
    tell_refused([(name, one.reason) for (name, _), one in zip(given, looked, strict=True) if isinstance(one, Refusal)])
    if not seen:
        return
    found = [one.over(setting.thresholds) for one in seen]
    tell_counts(uploads.counts(found), f"Faces in {len(seen)} pictures" if len(seen) > 1 else "Faces")
    _download_pictures(seen, found, setting.thresholds)
    view = st.segmented_control(
        "View", ["Boxes", "Faces", "Table"], default="Boxes", label_visibility="collapsed", key="view"
    )
    if view == "Faces":
        _show_faces(seen, found, setting.thresholds)
    elif view == "Table":
        _show_table(found)
    else:
        _show_boxes(seen, found, setting.thresholds)


def _looked(given: Sequence[tuple[str, Any]], setting: Setting) -> list[Seen | Refusal]:
    """Return what was found in each upload, or why nothing can be; kept in the session as long as it is uploaded."""
    kept: dict[tuple[str, str, int], Seen | Refusal] = st.session_state.setdefault("looked", {})
    uploaded = {file.file_id for _, file in given}
    for key in [key for key in kept if key[0] not in uploaded]:
        del kept[key]
    keys = [(file.file_id, setting.digest, setting.tiles) for _, file in given]
    todo = [(key, name, file) for key, (name, file) in zip(keys, given, strict=True) if key not in kept]
    bar = st.progress(0.0) if todo else None
    for number, (key, name, file) in enumerate(todo):
        if bar:
            bar.progress(number / len(todo), f"Looking at picture {number + 1} of {len(todo)}")
        try:
            kept[key] = uploads.look(name, file.getvalue(), setting.detector, setting.tiles)
        except Refusal as refusal:
            kept[key] = Refusal(refusal.reason)  # without the frames that its traceback holds
    if bar:
        bar.empty()
    # an upload is named anew each time: which names need telling apart depends on what else is uploaded
    looked = zip(given, (kept[key] for key in keys), strict=True)
    return [
        one._replace(found=one.found._replace(name=name)) if isinstance(one, Seen) else one for (name, _), one in looked
    ]


def _download_pictures(seen: Sequence[Seen], found: Sequence[Found], thresholds: Sequence[float]) -> None:
    with st.container(horizontal=True):
        offer("CSV", partial(csv_of, found), "detections.csv", "text/csv")
        offer("COCO", partial(coco_of, found), "detections_coco.json", "application/json")
        files = [one.data for one in seen]
        offer("YOLO", lambda: zipped(yolo_of(found, files)), "detections_yolo.zip", "application/zip")
        if len(seen) == 1:
            picture = partial(uploads.annotated, seen[0], thresholds)
            offer("Picture with boxes", picture, boxes_name(seen[0].found.name, ".jpg"), "image/jpeg")
        else:
            names = uploads.apart([boxes_name(one.found.name, ".jpg") for one in seen])
            pairs = list(zip(names, seen, strict=True))
            pack = lambda: zipped({name: uploads.annotated(one, thresholds) for name, one in pairs})  # noqa: E731
            offer("Pictures with boxes", pack, "detections_pictures.zip", "application/zip")


def _page_of(total: int, size: int, key: str) -> slice:
    """Ask which part to show where there is more than fits on a page."""
    pages = -(-total // size)
    page = st.pagination(pages, key=key) if pages > 1 else 1
    return slice((page - 1) * size, page * size)


def _show_boxes(seen: Sequence[Seen], found: Sequence[Found], thresholds: Sequence[float]) -> None:
    part = _page_of(len(seen), SHOWN_PICTURES, "picture page")
    pairs = list(zip(seen, found, strict=True))[part]
    across = len(seen) if len(seen) <= 2 else 2 if len(seen) <= 4 else 3
    for place, (one, kept) in zip(grid(across), pairs, strict=False):
        with place:
            st.image(uploads.preview(one, thresholds), width="stretch" if len(seen) > 1 else "content")
            st.caption(f"**{escaped(one.found.name)}**  {_in_words(kept)}")


def _in_words(found: Found) -> str:
    """Return the counts of one picture in a line."""
    counts = uploads.counts([found])
    parts = [
        f":{hue}[⬤] {counts[label]} {title}"
        for hue, title, label in zip(HUES, CLASS_TITLES, LABELS, strict=True)
        if counts[label]
    ]
    return " ".join(parts) or "no face"


def _show_faces(seen: Sequence[Seen], found: Sequence[Found], thresholds: Sequence[float]) -> None:
    of = [(number, index) for number, kept in enumerate(found) for index in range(len(kept.detections.scores))]
    if not of:
        st.info(NO_FACE)
        return
    shown = of[_page_of(len(of), SHOWN_FACES, "face page")]
    cut = {number: uploads.crops(seen[number], thresholds) for number in dict.fromkeys(number for number, _ in shown)}
    with st.container(horizontal=True):
        for number, index in shown:
            kept = found[number].detections
            st.image(cut[number][index], f"{CLASS_TITLES[kept.labels[index]]} {kept.scores[index]:.2f}", width=FACE_PX)


def _show_table(found: Sequence[Found]) -> None:
    import pandas as pd

    rows = [
        {"picture": one.name, "class": CLASS_TITLES[label], "score": float(score)}
        | dict(zip(("x1", "y1", "x2", "y2"), (round(float(side), 1) for side in box), strict=True))
        for one in found
        for label, score, box in zip(one.detections.labels, one.detections.scores, one.detections.boxes, strict=True)
    ]
    if not rows:
        st.info(NO_FACE)
        return
    bar = st.column_config.ProgressColumn("score", format="%.2f", min_value=0, max_value=1)
    st.dataframe(pd.DataFrame(rows), hide_index=True, column_config={"score": bar})
