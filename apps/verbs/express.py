"""``maskline express``: closed eyes opened and smiles added in pictures and videos, the person kept."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from apps.verbs.common import AsJson, Device, Workers, process, say, usage, usage_on_wrong_value


def express(
    input: Annotated[
        Path | None, typer.Argument(help="a picture, a video, or a folder of them", show_default=False)
    ] = None,
    output: Annotated[
        Path | None, typer.Argument(help="folder to write to; it mirrors INPUT's folders", show_default=False)
    ] = None,
    input_path: Annotated[
        Path | None, typer.Option("--input_path", "--input-path", help="the same as INPUT", show_default=False)
    ] = None,
    output_path: Annotated[
        Path | None, typer.Option("--output_path", "--output-path", help="the same as OUTPUT", show_default=False)
    ] = None,
    eyes: Annotated[bool, typer.Option(help="open closed eyes")] = True,
    smile: Annotated[float, typer.Option(help="strength of the smile of those who have none", min=0, max=1)] = 0.0,
    engine: Annotated[str, typer.Option(help="auto, donor, diffusion, completer (eyes), or warp (smiles)")] = "auto",
    face: Annotated[
        int | None, typer.Option(help="only this one, as `maskline faces` numbers them", min=0, show_default=False)
    ] = None,
    save_regions: Annotated[
        bool, typer.Option("--save-regions", help="what may differ as alpha, and before, regions, after side by side")
    ] = False,
    seed: Annotated[int, typer.Option(help="another seed, other tries")] = 0,
    lenders: Annotated[
        Path | None,
        typer.Option(help="folder of other pictures of the people; those beside each by default", exists=True),
    ] = None,
    diffusion: Annotated[
        str, typer.Option(help="inpainting model: an id, a folder, none; auto: the default one if it is here")
    ] = "auto",
    prompt: Annotated[str | None, typer.Option(help="for diffusion, in place of the usual", show_default=False)] = None,
    completer: Annotated[
        Path | None, typer.Option(help="as .onnx; Maskline's own by default", exists=True, dir_okay=False)
    ] = None,
    identity: Annotated[
        str, typer.Option(help="tells whether it is still the person: auto, dlib_resnet, an ONNX file, none")
    ] = "auto",
    states: Annotated[
        str, typer.Option(help="tells eyes and smiles: mesh, face_landmarker; auto: the latter if it can be had")
    ] = "auto",
    detector: Annotated[str, typer.Option(help="face detector by name")] = "blazeface",
    workers: Workers = 0,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Open closed eyes and add smiles: pictures as PNG, not one bit changed elsewhere; videos steadily, with sound.

    Eyes come from another picture of the same person, from a diffusion model or from the face completer; smiles move
    the picture's own pixels. A face that needs nothing, or of which nothing good comes, is left alone, and the
    manifest says why.
    """
    from ops.expressions.asking import Care, Wish
    from ops.images import MAX_PIXELS
    from ops.stages import express_files
    from ops.stages.expressing import Wishes
    from resources.expressions import diffusion_of, editors
    from resources.models import FaceModels

    given, folder = (
        _one("INPUT, or --input_path", input, input_path),
        _one("OUTPUT, or --output_path", output, output_path),
    )
    with usage_on_wrong_value():
        words = {"eyes_prompt": prompt, "smile_prompt": prompt} if prompt else {}
        wish = Wish(eyes=float(eyes), smile=smile, engine=engine, **words)
        model = diffusion_of(diffusion, device)
        kit = editors(FaceModels(detector, device=device), completer, told=states, identity=identity, diffusion=model)
    wishes = Wishes(wish, Care(floor=kit.floor), kit.lending, face, seed, save_regions, kit.versions())
    # a model of gigabytes is loaded once
    several = workers or int(model is not None)
    process(
        given,
        folder,
        partial(express_files.plan, wishes=wishes, lenders=lenders),
        partial(express_files.ExpressFile, folder, kit, wishes, max_pixels=MAX_PIXELS, watch=say_try),
        express_files.COLUMNS,
        made_with={
            "verb": "express",
            "settings": {name: value for name, value in asdict(wishes).items() if name != "kit"},
            "models": wishes.kit,
        },
        workers=several,
        as_json=as_json,
        models=kit.files(),
    )


def say_try(face: int, part: str, engine: str, number: int) -> None:
    """Tell on a terminal what is being tried."""
    if say.is_terminal:
        say.print(f"  face {face}, {part}: {engine}, try {number}", style="dim", markup=False)


def _one(what: str, argument: Path | None, option: Path | None) -> Path:
    if (argument is None) == (option is None):
        usage(f"name one {what}")
    return argument or option or Path()
