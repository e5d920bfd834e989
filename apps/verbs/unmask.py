"""``maskline unmask``: faces in pictures and videos without their masks, completed where these were."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from apps.verbs.common import AsJson, Device, Input, Output, Workers, process


def unmask(
    input: Input,
    output: Output,
    panels: Annotated[bool, typer.Option("--panels", help="input, region and output side by side, too")] = False,
    segmenter: Annotated[
        Path | None, typer.Option(help="as .onnx; Maskline's own by default", exists=True, dir_okay=False)
    ] = None,
    completer: Annotated[
        Path | None, typer.Option(help="as .onnx; Maskline's own by default", exists=True, dir_okay=False)
    ] = None,
    max_yaw: Annotated[float, typer.Option(help="degrees; faces turned further are left as they are", min=0)] = 60,
    min_face_px: Annotated[float, typer.Option(help="smaller faces are left as they are", min=1)] = 64,
    steady: Annotated[
        float, typer.Option(help="of a video: how much of a frame's completion the one before gives", min=0, max=0.95)
    ] = 0.6,
    detector: Annotated[str, typer.Option(help="face detector by name")] = "blazeface",
    workers: Workers = 0,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Take the masks off all faces: pictures as PNG, not one bit changed but where a mask was; videos with their sound.

    A face without a mask, too small or turned too far is left as it is, and the manifest says why.
    """
    from ops.images import MAX_PIXELS
    from ops.stages import unmask_files
    from ops.stages.unmasked import Wishes
    from ops.unmasking.unmask import Care
    from resources.models import FaceModels
    from resources.unmaskers import OnnxUnmasker, shipped

    own = shipped()
    unmasker = OnnxUnmasker(segmenter or own[0], completer or own[1], device)
    finder = FaceModels(detector, device=device)
    wishes = Wishes(unmasker.check(), Care(min_face_px=min_face_px, max_yaw=max_yaw, steady=steady), panels)
    process(
        input,
        output,
        partial(unmask_files.plan, wishes=wishes, finder=finder.versions()),
        partial(unmask_files.UnmaskFile, output, unmasker, finder, wishes, max_pixels=MAX_PIXELS),
        unmask_files.COLUMNS,
        made_with={
            "verb": "unmask",
            "settings": {**asdict(wishes.care), "panels": panels},
            "models": finder.versions() | dict(zip(("segmenter", "completer"), wishes.networks, strict=True)),
        },
        workers=workers,
        as_json=as_json,
        models=unmasker.files(),
    )
