"""Settings of the unmasking group."""

from functools import partial
from typing import Any

import dagster as dg

from assets_defs.settings.field import setting

_pairs = partial(setting, "unmasking_pairs")


class UnmaskingPairsConfig(dg.Config):
    """Settings of ``unmasking_pairs``."""

    size: int = _pairs("size", "side of a square in pixels", ge=32)
    variants: int = _pairs("variants", "masks a face", ge=1)
    preset: str = _pairs("preset", "named distribution of masks")
    states: dict[str, float] = _pairs("states", "weights, how worn")
    garments: str = _pairs("garments", "folder of your own garments")
    ratios: list[float] = _pairs("ratios", "shares of train, val and test")
    min_face_px: int = _pairs("min_face_px", "smaller faces are left out", ge=1)
    max_yaw: float = _pairs("max_yaw", "degrees; faces turned further are left out")
    quality: int = _pairs("quality", "JPEG quality", ge=1, le=100)
    seed: int = _pairs("seed", "another seed, other masks and split")


def _training(asset: str) -> Any:
    """Return the settings that the trainings of both networks have, with the defaults of one of them."""
    own = partial(setting, asset)

    class TrainingConfig(dg.Config):
        size: int = own("size", "side of a square in pixels", ge=32, multiple_of=16)
        widths: list[int] = own("widths", "channels of each resolution; empty: the network's own")
        epochs: int = own("epochs", "passes over all squares", ge=1)
        batch: int = own("batch", "squares a step", ge=1)
        lr: float = own("lr", "learning rate after warming up", gt=0)
        warmup: float = own("warmup", "share of all steps until it is reached", ge=0, le=1)
        clip: float = own("clip", "greatest norm of a step's gradients", gt=0)
        average: float = own("average", "share of the averaged weights that stays", ge=0, lt=1)
        keep: str = own("keep", "best epoch by validation, or last")
        every: int = own("every", "of so many epochs one has its weights put away", ge=0)
        precision: str = own("precision", "auto, float32 or bfloat16")
        seed: int = own("seed", "of everything drawn")
        start: str = own("start", "path of the weights.pt of a training to go on from; empty: drawn")

    return TrainingConfig


_segmenter = partial(setting, "mask_segmenter")


class MaskSegmenterConfig(_training("mask_segmenter")):  # type: ignore[misc]
    """Settings of ``mask_segmenter``."""

    even: float = _segmenter("even", "how far rare states of masks are brought up to the most frequent", ge=0, le=1)


_completer = partial(setting, "face_completer")


class FaceCompleterConfig(_training("face_completer")):  # type: ignore[misc]
    """Settings of ``face_completer``."""

    perceptual: str = _completer("perceptual", "auto, lpips_alex, yolo11n_pose or none: compares looks")
    adversary: int = _completer("adversary", "discriminators' first channels", ge=1)
    pixels: float = _completer("pixels", "what differences of pixels count", ge=0)
    structure: float = _completer("structure", "what structural similarity counts", ge=0)
    features: float = _completer("features", "what differences of features count", ge=0)
    whole: float = _completer("whole", "what the whole picture's adversary counts", ge=0)
    close: float = _completer("close", "what the close look's adversary counts", ge=0)
    whole_from: float = _completer("whole_from", "share of epochs from which on it has a say", ge=0, le=1)
    close_from: float = _completer("close_from", "the same for the close look", ge=0, le=1)


_unmasked = partial(setting, "unmasked_faces")


class UnmaskedFacesConfig(dg.Config):
    """Settings of ``unmasked_faces``."""

    networks: str = _unmasked("networks", "shipped, or trained: those of mask_segmenter and face_completer")
    pictures: list[str] = _unmasked("pictures", "frames, masked_faces or both")
    detector: str = _unmasked("detector", "of faces in videos, by name")
    landmarker: str = _unmasked("landmarker", "of these, by name")
    min_face_px: float = _unmasked("min_face_px", "smaller faces stay as they are", ge=1)
    max_yaw: float = _unmasked("max_yaw", "degrees; faces turned further stay as they are", ge=0)
    threshold: float = _unmasked("threshold", "probability of a mask that counts", gt=0, lt=1)
    erode: float = _unmasked("erode", "taken off the region, shares of the square's side", ge=0, le=0.1)
    dilate: float = _unmasked("dilate", "then added", ge=0, le=0.2)
    feather: float = _unmasked("feather", "width of the soft edge", ge=0, le=0.2)
    steady: float = _unmasked("steady", "what a video's frame takes from the one before", ge=0, le=0.95)
    panels: bool = _unmasked("panels", "pictures side by side, too")


_report = partial(setting, "unmasking_report")


class UnmaskingReportConfig(dg.Config):
    """Settings of ``unmasking_report``."""

    networks: str = _report("networks", "trained: those of mask_segmenter and face_completer; or shipped")
    size: int = _report("size", "side in pixels of the squares that are compared; 0: each network at its own", ge=0)
    identity: str = _report("identity", "auto, dlib_resnet, none or an ONNX file: tells how alike people look")
    lpips: str = _report("lpips", "auto, lpips_alex or none: tells how far apart pictures look")
    psnr: float = _report("psnr", "decibels ahead of the best baseline")
    ssim: float = _report("ssim", "structural similarity ahead of the best baseline")
    people: int = _report("people", "in the test split; figures of fewer mean nothing", ge=1)
