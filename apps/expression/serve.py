"""How the app is served: to this machine, and asking nothing of any other."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from resources.expressions import Editors

QUIET = {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_DISABLE_TELEMETRY": "1", "GRADIO_SSR_MODE": "False"}
EXAMPLES = ("grace_hopper/grace_hopper.jpg", "eileen_collins/eileen_collins.jpg", "together/collins_and_hopper.jpg")


def serve(kit: Editors, host: str, port: int) -> None:
    """Serve the app until it is interrupted.

    Args:
        kit: what there is to edit with.
        host: address to listen on.
        port: likewise.
    """
    os.environ |= QUIET
    import gradio as gr

    from apps.expression.page import CSS, PICTURE_MB, page
    from apps.expression.work import Desk
    from ops.sample import make_sample

    with tempfile.TemporaryDirectory() as folder:
        make_sample(Path(folder))
        blocks = page(Desk(kit), [Path(folder, name) for name in EXAMPLES])
        blocks.launch(
            server_name=host,
            server_port=port,
            max_file_size=f"{PICTURE_MB}mb",
            share=False,
            footer_links=[],
            ssr_mode=False,
            quiet=True,
            css=CSS,
            # fonts of the machine: the themes' own would be fetched
            theme=gr.themes.Soft(
                primary_hue="blue", font=["system-ui", "sans-serif"], font_mono=["system-ui", "sans-serif"]
            ),
        )
