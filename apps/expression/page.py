"""The page: a picture in, its faces with a choice each, before and after, what was done and why."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio import processing_utils

from apps.expression import work
from ops.expressions.asking import AUTO, COMPLETER, DIFFUSION, DONOR, WARP, Wish
from ops.records import Refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from apps.expression.work import Desk, Looked, Shown

PICTURE_MB = 50
KEPT_S = 3600
"""Seconds after which uploads are deleted."""

ENGINES = {
    "Best there is: donor, diffusion, completer; warp for smiles": AUTO,
    "Donor: the person's own open eyes from another picture": DONOR,
    "Diffusion: painted as the prompt says": DIFFUSION,
    "Completer: as Maskline's face completer thinks": COMPLETER,
    "Warp: smiles alone": WARP,
}
CSS = """
.gradio-container {max-width: 1400px !important; margin: 0 auto}
.face-row {align-items: center}
.face-icon, .face-icon * {border: 0 !important}
"""
ONE_AT_A_TIME: dict[str, Any] = {"concurrency_id": "models", "concurrency_limit": 1}
"""Models are not made for several threads."""


def page(desk: Desk, examples: Sequence[Path]) -> gr.Blocks:
    """Build the page.

    Args:
        desk: what edits.
        examples: pictures to try.
    """
    with gr.Blocks(title="Maskline: expressions", analytics_enabled=False, delete_cache=(KEPT_S, KEPT_S)) as blocks:
        looked, shown = gr.State(), gr.State()
        gr.Markdown("# Open eyes, smiles\nNothing leaves this machine, and nothing but eyes and smiles changes.")
        with gr.Row(equal_height=False):
            with gr.Column(scale=5, min_width=420):
                given = gr.Image(
                    label=f"Picture, up to {PICTURE_MB} MB and {work.MAX_PIXELS // 1_000_000} megapixels",
                    type="filepath",
                    sources=["upload", "clipboard"],
                    height=260,
                    elem_id="given",
                )
                # the file as it was uploaded: it is decoded where all pictures are
                given.preprocess = lambda payload: payload.path if payload else None  # type: ignore[method-assign]
                gr.Examples([[str(path)] for path in examples], [given], label="Examples", cache_examples=False)
                found = gr.Image(
                    label="Faces",
                    visible=False,
                    interactive=False,
                    format="jpeg",
                    buttons=["fullscreen"],
                    elem_id="found",
                )
                note = gr.Markdown()
            with gr.Column(scale=6, min_width=480):
                _choices_and_result(desk, looked, shown)
        gr.on(
            [given.change],
            partial(_look, desk),
            [given],
            [looked, found, note, shown],
            api_visibility="private",
            **ONE_AT_A_TIME,
        )
    blocks.queue(max_size=16)
    return blocks


def _choices_and_result(desk: Desk, looked: gr.State, shown: gr.State) -> None:
    """Lay out what is asked of each face, the way it is done, and what came of it."""
    with gr.Accordion("How", open=False):
        engine = gr.Dropdown(list(ENGINES.items()), value=AUTO, label="Engine")
        prompt = gr.Textbox("", label="Prompt for diffusion", placeholder="natural smile, open eyes")
        seed = gr.Number(0, label="Seed", precision=0, minimum=0, maximum=2**31 - 1)
        lent = gr.File(
            label="Other pictures of the same people, whose open eyes may be taken",
            file_count="multiple",
            file_types=["image"],
            height=120,
        )

    @gr.render(inputs=[looked])
    def faces(known: Looked | None) -> None:
        if known is None or not known.faces:
            return
        gr.Markdown(
            "**Eyes** 0 stay, 1 closed ones are opened, 2 tired ones too. **Smile** 0 none, 1 wide, for who has none."
        )
        rows: list[Any] = []
        for face, icon in zip(known.faces, work.icons(known), strict=True):
            with gr.Row(elem_classes="face-row"):
                gr.Image(
                    icon,
                    show_label=False,
                    container=False,
                    width=84,
                    height=84,
                    scale=0,
                    min_width=84,
                    buttons=[],
                    elem_classes="face-icon",
                    format="jpeg",
                )
                wanted = gr.Checkbox(True, label=work.name_of(face.index), info=work.in_words(known.states[face.index]))
                eyes = gr.Slider(
                    0,
                    2,
                    1,
                    step=0.1,
                    label="Eyes",
                    buttons=[],
                    min_width=150,
                    elem_id=f"eyes-{face.index}",
                )
                smile = gr.Slider(
                    0, 1, 0.6, step=0.05, label="Smile", buttons=[], min_width=150, elem_id=f"smile-{face.index}"
                )
            rows += [wanted, eyes, smile]
        go = gr.Button("Edit", variant="primary", elem_id="edit")
        go.click(
            partial(_edit, desk, known),
            [engine, prompt, seed, lent, *rows],
            [shown],
            api_visibility="private",
            **ONE_AT_A_TIME,
        )

    @gr.render(inputs=[shown])
    def result(made: Shown | None) -> None:
        if made is None:
            return
        names = list(made.views)
        best = names[1] if len(names) == 2 else names[0]
        if made.png:
            slider = gr.ImageSlider(
                made.views[best],
                label="Before and after",
                format="jpeg",
                elem_id="slider",
                buttons=["fullscreen"],
                interactive=False,
                max_height=560,
            )
            with gr.Row():
                view = gr.Radio(names, value=best, label="Look at", scale=3)
                path = processing_utils.save_bytes_to_cache(made.png, "expression.png", slider.GRADIO_CACHE)
                gr.DownloadButton("Download PNG", path, scale=1, elem_id="download")
            view.change(lambda name: made.views[name], [view], [slider], api_visibility="private")
        gr.Dataframe(
            made.table,
            headers=list(work.HEAD),
            label="What was done, and why",
            wrap=True,
            interactive=False,
            elem_id="told",
            column_widths=["8%", "14%", "14%", "12%", "17%", "35%"],
        )
        if made.png:
            with gr.Accordion("Regions: not one bit changed elsewhere", open=False):
                gr.Image(
                    made.regions,
                    buttons=["fullscreen"],
                    show_label=False,
                    interactive=False,
                    format="jpeg",
                    elem_id="regions",
                )


def _look(desk: Desk, path: str | None) -> tuple[Looked | None, Any, str, None]:
    """Find the faces of what was uploaded."""
    if path is None:
        return None, gr.Image(None, visible=False), "", None
    try:
        known = desk.look(Path(path))
    except Refusal as refusal:
        return None, gr.Image(None, visible=False), f"**This can't be used:** {refusal.reason}.", None
    if not known.faces:
        return None, gr.Image(None, visible=False), "**No face was found.**", None
    return known, gr.Image(work.numbered(known), visible=True), "", None


def _edit(
    desk: Desk,
    known: Looked,
    engine: str,
    prompt: str,
    seed: float,
    lent: list[str] | None,
    progress: gr.Progress = gr.Progress(),  # noqa: B008 - how Gradio hands it in
    *rows: Any,
) -> Shown:
    """Edit the faces as wished."""
    words = {"eyes_prompt": prompt, "smile_prompt": prompt} if prompt.strip() else {}
    wishes = {
        face.index: Wish(eyes=float(eyes), smile=float(smile), engine=engine, **words)
        for face, wanted, eyes, smile in zip(known.faces, rows[::3], rows[1::3], rows[2::3], strict=True)
        if wanted
    }
    order = list(wishes)

    def watch(index: int, part: str, name: str, number: int) -> None:
        progress((order.index(index), len(order)), desc=f"{work.name_of(index)}, {part}: {name}, try {number}")

    try:
        return desk.edit(known, wishes, int(seed), [Path(path) for path in lent or ()], watch)
    except Refusal as refusal:
        raise gr.Error(f"One of these pictures can't be used: {refusal.reason}.", print_exception=False) from None
