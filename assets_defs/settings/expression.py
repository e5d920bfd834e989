"""Settings of the expression group."""

from functools import partial

import dagster as dg

from assets_defs.settings.field import setting

_regions = partial(setting, "expression_regions")


class ExpressionRegionsConfig(dg.Config):
    """Settings of ``expression_regions``."""

    blendshapes: str = _regions("blendshapes", "face_landmarker, auto or none")
    closed: dict[str, float] = _regions("closed", "by way of telling, openness below which an eye is closed")
    smiling: dict[str, float] = _regions("smiling", "by way of telling, from which smile on a face smiles")
    min_face_px: float = _regions("min_face_px", "smaller faces are left out", ge=1)
    beside: list[str] = _regions("beside", "haar_smile, res10, both or none: to be compared with")


_edits = partial(setting, "expression_edits")


class ExpressionEditsConfig(dg.Config):
    """Settings of ``expression_edits``."""

    eyes: float = _edits("eyes", "eyes less open than so many times what counts as closed are opened", ge=0)
    smile: float = _edits("smile", "strength of the smile for who has none; 0: none", ge=0, le=1)
    engine: str = _edits("engine", "auto, donor, diffusion, completer or warp")
    eyes_prompt: str = _edits("eyes_prompt", "what diffusion is to paint for eyes")
    smile_prompt: str = _edits("smile_prompt", "what it is to paint for a smile")
    negative_prompt: str = _edits("negative_prompt", "what it is not to paint")
    diffusion: str = _edits("diffusion", "id or folder of an inpainting model, auto or none")
    steps: int = _edits("steps", "of the sampler", ge=1)
    guidance: float = _edits("guidance", "how closely the prompt is followed")
    way: str = _edits("way", "crop or tiles: what the model is shown")
    completer: str = _edits("completer", "path of a face completer; empty: the project's own")
    states: str = _edits("states", "auto, mesh or face_landmarker: tells eyes and smiles")
    identity: str = _edits("identity", "auto, dlib_resnet, none or an ONNX file: tells how alike people look")
    floor: float = _edits("floor", "lowest cosine of before and after; 0: what goes with the network", ge=0, le=1)
    tries: int = _edits("tries", "pictures that each engine may make of a face", ge=1)
    detector: str = _edits("detector", "of faces in videos, by name")
    landmarker: str = _edits("landmarker", "of these, by name")
    min_face_px: float = _edits("min_face_px", "smaller faces are left alone", ge=1)
    max_yaw: float = _edits("max_yaw", "degrees; faces turned further are left alone", ge=0)
    seed: int = _edits("seed", "another seed, other tries")
