"""The page that tries a detector on pictures, a video or the webcam."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import streamlit as st

from apps.detector import clips, uploads
from apps.detector.picture_view import show_pictures
from apps.detector.serve import PICTURE_MB, VIDEO_MB, data_folder
from apps.detector.uploads import escaped
from apps.detector.video_view import show_video
from apps.detector.weights import Choice, choices
from apps.detector.widgets import HUES, Setting
from ops.content import file_md5
from ops.images import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from ops.pictures import CLASS_TITLES
from resources.mask_detectors import BadDetector, OnnxMaskDetector
from resources.tracking import Tracking, local_uri

if TYPE_CHECKING:
    from pathlib import Path

PICTURES, VIDEO, WEBCAM = "Pictures", "Video", "Webcam"
TILES = {"Whole picture": 1, "and 2 by 2 tiles": 2, "and 3 by 3 tiles": 3}


def show() -> None:
    """Show the page."""
    st.title("Who wears a mask?", anchor=False)
    setting = _setting()
    kind = st.segmented_control(
        "Input", [PICTURES, VIDEO, WEBCAM], default=PICTURES, required=True, label_visibility="collapsed"
    )
    if kind == PICTURES:
        files = st.file_uploader(
            f"One or many, each of up to {PICTURE_MB} MB and {uploads.MAX_PIXELS // 1_000_000} megapixels",
            type=sorted(suffix[1:] for suffix in IMAGE_SUFFIXES),
            accept_multiple_files=True,
            max_upload_size=PICTURE_MB,
        )
        names = uploads.apart([file.name for file in files])
        show_pictures(list(zip(names, files, strict=True)), setting)
    elif kind == VIDEO:
        file = st.file_uploader(
            f"One of up to {clips.LONGEST_S} seconds and {VIDEO_MB} MB",
            type=sorted(suffix[1:] for suffix in VIDEO_SUFFIXES),
            max_upload_size=VIDEO_MB,
        )
        show_video(file, setting)
    else:
        shot = st.camera_input("Take a picture", label_visibility="collapsed", width=640)
        show_pictures([("webcam.jpg", shot)] if shot else [], setting)


@st.cache_data(ttl=10, show_spinner="Reading the runs …")
def _choices(uri: str) -> list[Choice]:
    return choices(Tracking(uri))


@st.cache_resource(max_entries=4, show_spinner="Loading the detector …")
def _loaded(digest: str, _path: Path) -> OnnxMaskDetector:
    """Open a detector's file; ``digest``, of its content, is what it is kept by."""
    detector = OnnxMaskDetector(_path)
    _ = detector.size
    return detector


def _setting() -> Setting:
    """Ask for the detector and its thresholds, and stop here if it can't be used."""
    with st.sidebar:
        st.subheader("Detector", anchor=False)
        every = _choices(local_uri(data_folder(sys.argv)))
        chosen = st.selectbox("Detector", every, format_func=lambda each: each.title, label_visibility="collapsed")
        st.caption(escaped(chosen.note))
    try:
        digest = file_md5(chosen.path)
        detector = _loaded(digest, chosen.path)
    except (BadDetector, OSError) as error:
        st.warning(f"This detector can't be used: {escaped(str(error))}")
        st.stop()
    with st.sidebar:
        st.subheader("Thresholds", anchor=False, help="The score from which on a box counts, class by class.")
        titles = [f":{hue}[⬤] {title.capitalize()}" for hue, title in zip(HUES, CLASS_TITLES, strict=True)]
        thresholds = tuple(
            st.slider(title, 0.01, 0.99, round(default, 2), 0.01, key=f"threshold {title} {digest}")
            for title, default in zip(titles, detector.thresholds, strict=True)
        )
        st.subheader(
            "Small faces", anchor=False, help="Tiles are looked at one by one: slower, but sees smaller faces."
        )
        tiles = TILES[st.selectbox("Small faces", list(TILES), label_visibility="collapsed")]
    return Setting(detector, digest, thresholds, tiles)


if __name__ == "__main__":
    show()
