"""``maskline anonymise``: digital masks over every face of pictures and videos, or no output at all."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from apps.verbs.common import AsJson, Device, Fps, Workers, process, usage, usage_on_wrong_value

INI = ".ini"
KEYS = ("INPUT_FOLDER", "OUTPUT_FOLDER")


def anonymise(
    input: Annotated[
        Path,
        typer.Argument(help="a picture, a video, a folder of them, or a .ini file that names two", show_default=False),
    ],
    output: Annotated[
        Path | None, typer.Argument(help="folder to write to; it mirrors INPUT's folders", show_default=False)
    ] = None,
    layout: Annotated[
        str, typer.Option(help="mirror, or identity-video: database or query / identity / video / pictures")
    ] = "mirror",
    beside: Annotated[bool, typer.Option("--beside", help="write beside the inputs; no OUTPUT then")] = False,
    style: Annotated[str, typer.Option(help="grey, textured, wireframe, normals or depth")] = "grey",
    cut: Annotated[str, typer.Option(help="hull, oval or mesh: how much of the shape is drawn")] = "hull",
    shape: Annotated[str, typer.Option(help="mesh, or flame with files of your own")] = "mesh",
    flame: Annotated[Path | None, typer.Option(help="FLAME's own file", exists=True, dir_okay=False)] = None,
    flame_landmarks: Annotated[Path | None, typer.Option(help="its landmark embeddings", exists=True)] = None,
    identity: Annotated[
        str, typer.Option(help="tells how alike before and after are: auto, dlib_resnet, an ONNX file; none: not told")
    ] = "none",
    size: Annotated[int, typer.Option(help="cut out a square around the surest face, in pixels; 0: do not", min=0)] = 0,
    several: Annotated[str, typer.Option(help="cover all faces of a picture, or refuse it")] = "cover",
    min_score: Annotated[float, typer.Option(help="pictures whose surest face has less are left out")] = 0.5,
    least: Annotated[float, typer.Option(help="score from which on a find is a face that has to be covered")] = 0.4,
    max_yaw: Annotated[float, typer.Option(help="degrees; pictures with a face turned further are left out")] = 60,
    max_pitch: Annotated[float, typer.Option(help="the same for looking up or down")] = 60,
    per_video: Annotated[int, typer.Option(help="pictures drawn of each video; 0: all", min=0)] = 0,
    seed: Annotated[int, typer.Option(help="another seed, other draws")] = 0,
    frames: Annotated[
        bool, typer.Option("--frames", help="of videos pictures of frames, --fps a second, as with --per-video")
    ] = False,
    fps: Fps = 1.0,
    sound: Annotated[bool, typer.Option("--sound", help="videos keep their sound: voices tell who speaks")] = False,
    workers: Workers = 0,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Draw a digital mask over every face: overlay, mask alone (RGBA, and on black), shape as .obj; videos as MP4.

    Nothing is written of a picture in which a face has no mesh, and the manifest says why; in a video it is black.
    """
    from ops.anonymising.anonymise import Look
    from ops.anonymising.selection import Selection
    from ops.images import MAX_PIXELS
    from ops.pinned import files_of
    from ops.stages import anonymise_files
    from ops.stages.digital_masks import Wishes
    from resources.embedders import embedder
    from resources.models import FaceModels
    from resources.shapes import face_shape

    with usage_on_wrong_value():
        given, folder = _folders(input, output, beside)
        surface = face_shape(shape, flame, flame_landmarks)
        judge = embedder(identity)
        how = Look(style, cut)
        wanted = Selection(min_score, several, max_yaw, max_pitch, per_video, seed)
    clips = anonymise_files.Clips(frames, fps, sound)
    finder = FaceModels("wary", device=device)
    wishes = Wishes(how, wanted, least, size, surface.versions(), judge.sha256 if judge else "none")
    process(
        given,
        folder,
        partial(
            anonymise_files.plan, wishes=wishes, finder=finder.versions(), layout=layout, clips=clips, beside=beside
        ),
        partial(
            anonymise_files.AnonymiseFile, folder, surface, finder, judge, wishes, clips=clips, max_pixels=MAX_PIXELS
        ),
        anonymise_files.COLUMNS,
        made_with={
            "verb": "anonymise",
            "settings": {**asdict(wishes), **clips._asdict(), "layout": layout},
            "models": finder.versions() | {"identity": wishes.judge},
        },
        workers=workers,
        as_json=as_json,
        models=files_of(surface, judge),
        beside=beside,
    )


def _folders(given: Path, output: Path | None, beside: bool) -> tuple[Path, Path]:
    """Return where to read and where to write.

    Raises:
        ValueError: the .ini file can't be read or lacks a folder.
    """
    if given.suffix.lower() == INI:
        if output is not None:
            usage(f"{given} names the folder to write to, and OUTPUT {output} another")
        return _named_in(given)
    if beside != (output is None):
        usage("name a folder to write to, OUTPUT, or --beside")
    if beside or output is None:
        return given, given if given.is_dir() else given.parent
    return given, output


def _named_in(path: Path) -> tuple[Path, Path]:
    """Return the folders that a .ini file names, in any section or above all; relative ones lie beside the file."""
    import configparser

    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(f"[{parser.default_section}]\n" + path.read_text())
    except (OSError, UnicodeDecodeError, configparser.Error) as error:
        raise ValueError(f"{path} is no .ini file: {str(error).splitlines()[0]}") from error
    known = {key: value for section in parser.values() for key, value in section.items()}
    missing = [key for key in KEYS if key.lower() not in known]
    if missing:
        raise ValueError(f"{path} has no {' and no '.join(missing)}")
    given, output = (path.parent / known[key.lower()].strip("\"'") for key in KEYS)
    return given, output
