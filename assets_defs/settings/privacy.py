"""Settings of the privacy group."""

from functools import partial

import dagster as dg

from assets_defs.settings.field import setting

_masks = partial(setting, "digital_masks")


class DigitalMasksConfig(dg.Config):
    """Settings of ``digital_masks``."""

    style: str = _masks("style", "grey, textured, wireframe, normals or depth")
    cut: str = _masks("cut", "hull, oval or mesh: how much of the shape is drawn")
    shape: str = _masks("shape", "mesh, or flame")
    flame: str = _masks("flame", "path of FLAME's own file")
    flame_landmarks: str = _masks("flame_landmarks", "path of its landmark embeddings")
    identity: str = _masks("identity", "auto, dlib_resnet, none or an ONNX file: tells how alike people look")
    detector: str = _masks("detector", "of further faces, by name")
    landmarker: str = _masks("landmarker", "of these, by name")
    least: float = _masks("least", "score from which on these have to be covered", ge=0, le=1)
    several: str = _masks("several", "cover all faces of a picture, or refuse it")
    min_score: float = _masks("min_score", "least score of a picture's surest face", ge=0, le=1)
    max_yaw: float = _masks("max_yaw", "degrees; pictures with a face turned further are left out", ge=0)
    max_pitch: float = _masks("max_pitch", "the same for looking up or down", ge=0)
    per_video: int = _masks("per_video", "pictures drawn of each video; 0: all", ge=0)
    seed: int = _masks("seed", "another seed, other draws")
    size: int = _masks("size", "side of the square that is cut out, pixels; 0: the whole picture", ge=0)


_recognised = partial(setting, "reidentification_report")


class ReidentificationReportConfig(dg.Config):
    """Settings of ``reidentification_report``."""

    identity: str = _recognised("identity", "auto, dlib_resnet, none or an ONNX file: tells how alike people look")
    people: int = _recognised("people", "with two pictures; figures of fewer mean nothing", ge=1)
    bare: float = _recognised("bare", "rank-1 rate of bare faces below which it is no judge", ge=0, le=1)
    most: float = _recognised("most", "rank-1 rate above which digital masks leak", ge=0, le=1)
    seed: int = _recognised("seed", "another seed, other pictures")
