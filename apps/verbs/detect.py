"""``maskline detect``: who wears a mask, and how, in pictures and videos."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from apps.verbs.common import AsJson, Device, Fps, Input, Workers, process, usage, usage_on_wrong_value


def detect(
    input: Input,
    output: Annotated[
        Path | None, typer.Argument(help="folder to write to; it mirrors INPUT's folders", show_default=False)
    ] = None,
    out: Annotated[Path | None, typer.Option(help="the same as OUTPUT", show_default=False)] = None,
    weights: Annotated[
        Path | None, typer.Option(help="detector as .onnx; Maskline's own by default", exists=True, dir_okay=False)
    ] = None,
    threshold: Annotated[
        list[str] | None,
        typer.Option(help="lowest score that counts: .4, or with_mask=.4 for one class; may be repeated"),
    ] = None,
    tiles: Annotated[int, typer.Option(help="look at N x N overlapping tiles as well, for small faces", min=1)] = 1,
    save_crops: Annotated[bool, typer.Option("--save-crops", help="cut out every face that is found")] = False,
    no_annotate: Annotated[bool, typer.Option("--no-annotate", help="no pictures or videos with boxes")] = False,
    fps: Fps = 1.0,
    workers: Workers = 0,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Find every face and tell how it wears its mask: boxes, classes and scores, and pictures with them drawn in.

    Of an annotated video every frame is looked at and shown, with its sound; otherwise, and for crops, --fps counts.
    """
    from ops.content import file_md5
    from ops.stages import detect_files
    from ops.stages.detections import Wishes, thresholds_of
    from resources.mask_detectors import OnnxMaskDetector, shipped

    if (output is None) == (out is None):
        usage("name one folder to write to: OUTPUT, or --out")
    onnx = weights or shipped()
    with usage_on_wrong_value():
        detector = OnnxMaskDetector(onnx, device)
        thresholds = thresholds_of(detector.thresholds, _wished(threshold or []))
    wishes = Wishes(file_md5(onnx), thresholds, tiles, annotate=not no_annotate)
    folder = output or out or Path()
    process(
        input,
        folder,
        partial(detect_files.plan, wishes=wishes, fps=fps, crops=save_crops),
        partial(detect_files.Detect, folder, detector, wishes, fps=fps, crops=save_crops),
        detect_files.COLUMNS,
        made_with={
            "verb": "detect",
            "settings": {**asdict(wishes), "fps": fps, "crops": save_crops},
            "models": {onnx.name: wishes.detector},
        },
        workers=workers,
        as_json=as_json,
        models={onnx: wishes.detector},
    )


def _wished(texts: list[str]) -> dict[str, float]:
    """Read thresholds: those of single classes count whatever the order.

    Raises:
        ValueError: a text is no number, or none after the class.
    """
    from ops.masking import LABELS

    overall, own = {}, {}
    for text in texts:
        label, _, score = text.rpartition("=")
        try:
            value = float(score)
        except ValueError:
            raise ValueError(
                f"--threshold {text}: neither a score such as 0.4 nor one of a class, as in with_mask=0.4"
            ) from None
        if label:
            own[label] = value
        else:
            overall = dict.fromkeys(LABELS, value)
    return overall | own
