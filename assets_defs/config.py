"""What the assets take their settings from: params.yaml for values, dvc.yaml for the code behind a stage."""

import hashlib
from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

import dagster as dg
import yaml
from pydantic import Field, ValidationError

ROOT = Path(__file__).resolve().parents[1]
"""The project's folder."""

WHOLE = (
    "annotated_scenes",
    "yolo_splits",
    "mask_detector",
    "detector_report",
    "unmasking_pairs",
    "mask_segmenter",
    "face_completer",
    "unmasking_report",
    "reidentification_report",
)
"""Assets that all sources make together; any other has a partition a source."""

LOOKING = ("frames", "annotated_scenes")
"""Assets that read data/raw for themselves: only looking at the files can tell whether they are fresh."""


@cache
def _read(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / name).read_text())
    return loaded


def section(asset: str) -> dict[str, Any]:
    """Return an asset's section of params.yaml."""
    settings: dict[str, Any] = _read("params.yaml")[asset]
    return settings


def stage(asset: str) -> dict[str, Any]:
    """Return an asset's stage of dvc.yaml."""
    described: dict[str, Any] = _read("dvc.yaml")["stages"][asset]
    return described


def inputs(asset: str) -> list[str]:
    """Return the names of the assets that an asset reads."""
    folders = [name for name in stage(asset)["deps"] if name.startswith("data/") and name != "data/raw"]
    return [name.removeprefix("data/") for name in folders]


def partition(asset: str, source: str) -> str:
    """Return the partition of ``asset`` that belongs to a source: itself, or none where all sources make one."""
    return "" if asset in WHOLE else source


def code_version(asset: str) -> str:
    """MD5 of everything that the asset's stage depends on besides data: code, tables read by code, own garments."""
    digest = hashlib.md5(usedforsecurity=False)
    for name in stage(asset)["deps"]:
        if not name.startswith("data/"):
            path = ROOT / name
            for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
                if file.is_file():
                    digest.update(file.read_bytes())
    return digest.hexdigest()


def _from(asset: str, name: str) -> Callable[[], Any]:
    return lambda: section(asset)[name]


class FramesConfig(dg.Config):
    """Settings of ``frames``."""

    fps: float = Field(default_factory=_from("frames", "fps"), description="frames a second taken from videos")
    identity: str = Field(
        default_factory=_from("frames", "identity"), description="parent, stem, regex:PATTERN or none"
    )
    max_pixels: int = Field(default_factory=_from("frames", "max_pixels"), description="larger pictures are refused")


class FaceGeometryConfig(dg.Config):
    """Settings of ``face_geometry``."""

    detector: str = Field(default_factory=_from("face_geometry", "detector"), description="detector by name")
    landmarker: str = Field(default_factory=_from("face_geometry", "landmarker"), description="mesh landmarker by name")
    min_score: float = Field(default_factory=_from("face_geometry", "min_score"), description="lowest score kept")
    max_faces: int = Field(default_factory=_from("face_geometry", "max_faces"), description="faces a frame; 0 for all")


class MaskedFacesConfig(dg.Config):
    """Settings of ``masked_faces``."""

    variants: int = Field(
        default_factory=_from("masked_faces", "variants"), ge=1, description="masked pictures a frame"
    )
    preset: str = Field(default_factory=_from("masked_faces", "preset"), description="named distribution of masks")
    kinds: dict[str, float] = Field(default_factory=_from("masked_faces", "kinds"), description="weight of each kind")
    colours: dict[str, float] = Field(default_factory=_from("masked_faces", "colours"), description="weights, #rrggbb")
    patterns: dict[str, float] = Field(default_factory=_from("masked_faces", "patterns"), description="weights")
    states: dict[str, float] = Field(default_factory=_from("masked_faces", "states"), description="weights, how worn")
    fit: list[float] = Field(default_factory=_from("masked_faces", "fit"), description="least and greatest size")
    garments: str = Field(default_factory=_from("masked_faces", "garments"), description="folder of your own garments")
    min_face_px: int = Field(
        default_factory=_from("masked_faces", "min_face_px"), description="smaller faces stay bare"
    )
    quality: int = Field(default_factory=_from("masked_faces", "quality"), ge=1, le=100, description="JPEG quality")
    seed: int = Field(default_factory=_from("masked_faces", "seed"), description="another seed, other masks")


class AnnotatedScenesConfig(dg.Config):
    """Settings of ``annotated_scenes``."""

    voc_first_pixel: int = Field(
        default_factory=_from("annotated_scenes", "voc_first_pixel"), description="0 or 1: where Pascal VOC counts from"
    )
    bare: list[str] = Field(
        default_factory=_from("annotated_scenes", "bare"), description="sources in which nobody wears a mask"
    )
    classes: dict[str, list[str]] = Field(
        default_factory=_from("annotated_scenes", "classes"), description="how annotations spell each class"
    )


class YoloSplitsConfig(dg.Config):
    """Settings of ``yolo_splits``."""

    ratios: list[float] = Field(
        default_factory=_from("yolo_splits", "ratios"), description="shares of train, val and test"
    )
    seed: int = Field(default_factory=_from("yolo_splits", "seed"), description="another seed, another split")
    synthetic: int = Field(
        default_factory=_from("yolo_splits", "synthetic"),
        ge=0,
        description="pictures with drawn masks in training at most; 0: all",
    )
    balance: float = Field(
        default_factory=_from("yolo_splits", "balance"),
        ge=0,
        le=1,
        description="share of the commonest class that pasting brings the others to",
    )
    reuse: int = Field(
        default_factory=_from("yolo_splits", "reuse"), ge=0, description="times a face is pasted at most"
    )
    min_face_px: int = Field(
        default_factory=_from("yolo_splits", "min_face_px"), ge=1, description="smaller faces are not pasted"
    )
    rotation: float = Field(default_factory=_from("yolo_splits", "rotation"), description="degrees, either way")
    flip: float = Field(
        default_factory=_from("yolo_splits", "flip"), ge=0, le=1, description="chance of being mirrored"
    )
    jitter: list[float] = Field(
        default_factory=_from("yolo_splits", "jitter"), description="of brightness, contrast, saturation and hue"
    )
    translate: float = Field(default_factory=_from("yolo_splits", "translate"), description="share of the face")
    scale: list[float] = Field(default_factory=_from("yolo_splits", "scale"), description="least and greatest")
    shear: float = Field(default_factory=_from("yolo_splits", "shear"), description="degrees, either way")
    quality: int = Field(
        default_factory=_from("yolo_splits", "quality"), ge=1, le=100, description="JPEG quality of pasted pictures"
    )


class MaskDetectorConfig(dg.Config):
    """Settings of ``mask_detector``."""

    start: str = Field(default_factory=_from("mask_detector", "start"), description="weights to start from")
    size: str = Field(default_factory=_from("mask_detector", "size"), description="of YOLO26: n, s or m")
    image_size: int = Field(
        default_factory=_from("mask_detector", "image_size"), ge=64, multiple_of=32, description="longer side in pixels"
    )
    batch: int = Field(default_factory=_from("mask_detector", "batch"), ge=1, description="pictures at a time")
    epochs: int = Field(default_factory=_from("mask_detector", "epochs"), ge=1, description="at most")
    patience: int = Field(
        default_factory=_from("mask_detector", "patience"),
        ge=1,
        description="epochs without a better one before the end",
    )
    optimizer: str = Field(default_factory=_from("mask_detector", "optimizer"), description="by ultralytics' name")
    lr0: float = Field(default_factory=_from("mask_detector", "lr0"), gt=0, description="learning rate at the start")
    mosaic: float = Field(
        default_factory=_from("mask_detector", "mosaic"), ge=0, le=1, description="share put together of four pictures"
    )
    mixup: float = Field(
        default_factory=_from("mask_detector", "mixup"), ge=0, le=1, description="share blended of two pictures"
    )
    close_mosaic: int = Field(
        default_factory=_from("mask_detector", "close_mosaic"), ge=0, description="last epochs without mosaics"
    )
    freeze: int = Field(
        default_factory=_from("mask_detector", "freeze"), ge=0, description="first layers that stay as they are"
    )
    pictures: str = Field(default_factory=_from("mask_detector", "pictures"), description="train or train_real")
    precision: str = Field(default_factory=_from("mask_detector", "precision"), description="auto, float32 or bfloat16")
    seed: int = Field(default_factory=_from("mask_detector", "seed"), description="of everything drawn")


class DetectorReportConfig(dg.Config):
    """Settings of ``detector_report``."""

    ap50: float = Field(default_factory=_from("detector_report", "ap50"), description="least AP50 of a champion")
    ap50_95: float = Field(
        default_factory=_from("detector_report", "ap50_95"), description="least AP50-95 of a champion"
    )
    photographs: int = Field(
        default_factory=_from("detector_report", "photographs"), ge=1, description="annotated, in the test split"
    )


class UnmaskingPairsConfig(dg.Config):
    """Settings of ``unmasking_pairs``."""

    size: int = Field(default_factory=_from("unmasking_pairs", "size"), ge=32, description="side of a square in pixels")
    variants: int = Field(default_factory=_from("unmasking_pairs", "variants"), ge=1, description="masks a face")
    preset: str = Field(default_factory=_from("unmasking_pairs", "preset"), description="named distribution of masks")
    states: dict[str, float] = Field(
        default_factory=_from("unmasking_pairs", "states"), description="weights, how worn"
    )
    garments: str = Field(
        default_factory=_from("unmasking_pairs", "garments"), description="folder of your own garments"
    )
    ratios: list[float] = Field(
        default_factory=_from("unmasking_pairs", "ratios"), description="shares of train, val and test"
    )
    min_face_px: int = Field(
        default_factory=_from("unmasking_pairs", "min_face_px"), ge=1, description="smaller faces are left out"
    )
    max_yaw: float = Field(
        default_factory=_from("unmasking_pairs", "max_yaw"), description="degrees; faces turned further are left out"
    )
    quality: int = Field(default_factory=_from("unmasking_pairs", "quality"), ge=1, le=100, description="JPEG quality")
    seed: int = Field(
        default_factory=_from("unmasking_pairs", "seed"), description="another seed, other masks and split"
    )


def _described(asset: str, name: str, description: str, **limits: Any) -> Any:
    return Field(default_factory=_from(asset, name), description=description, **limits)


_segmenter = partial(_described, "mask_segmenter")
_completer = partial(_described, "face_completer")


class MaskSegmenterConfig(dg.Config):
    """Settings of ``mask_segmenter``."""

    size: int = _segmenter("size", "side of a square in pixels", ge=32, multiple_of=16)
    widths: list[int] = _segmenter("widths", "channels of each resolution; empty: the network's own")
    epochs: int = _segmenter("epochs", "passes over all squares", ge=1)
    batch: int = _segmenter("batch", "squares a step", ge=1)
    lr: float = _segmenter("lr", "learning rate after warming up", gt=0)
    warmup: float = _segmenter("warmup", "share of all steps until it is reached", ge=0, le=1)
    clip: float = _segmenter("clip", "greatest norm of a step's gradients", gt=0)
    average: float = _segmenter("average", "share of the averaged weights that stays", ge=0, lt=1)
    keep: str = _segmenter("keep", "best epoch by validation, or last")
    every: int = _segmenter("every", "of so many epochs one has its weights put away", ge=0)
    precision: str = _segmenter("precision", "auto, float32 or bfloat16")
    seed: int = _segmenter("seed", "of everything drawn")
    start: str = _segmenter("start", "path of the weights.pt of a training to go on from; empty: drawn")
    even: float = _segmenter("even", "how far rare states of masks are brought up to the most frequent", ge=0, le=1)


class FaceCompleterConfig(dg.Config):
    """Settings of ``face_completer``."""

    size: int = _completer("size", "side of a square in pixels", ge=32, multiple_of=16)
    widths: list[int] = _completer("widths", "channels of each resolution; empty: the network's own")
    epochs: int = _completer("epochs", "passes over all squares", ge=1)
    batch: int = _completer("batch", "squares a step", ge=1)
    lr: float = _completer("lr", "learning rate after warming up", gt=0)
    warmup: float = _completer("warmup", "share of all steps until it is reached", ge=0, le=1)
    clip: float = _completer("clip", "greatest norm of a step's gradients", gt=0)
    average: float = _completer("average", "share of the averaged weights that stays", ge=0, lt=1)
    keep: str = _completer("keep", "best epoch by validation, or last")
    every: int = _completer("every", "of so many epochs one has its weights put away", ge=0)
    precision: str = _completer("precision", "auto, float32 or bfloat16")
    seed: int = _completer("seed", "of everything drawn")
    start: str = _completer("start", "path of the weights.pt of a training to go on from; empty: drawn")
    perceptual: str = _completer("perceptual", "auto, lpips_alex, yolo11n_pose or none: compares looks")
    adversary: int = _completer("adversary", "discriminators' first channels", ge=1)
    pixels: float = _completer("pixels", "what differences of pixels count", ge=0)
    structure: float = _completer("structure", "what structural similarity counts", ge=0)
    features: float = _completer("features", "what differences of features count", ge=0)
    whole: float = _completer("whole", "what the whole picture's adversary counts", ge=0)
    close: float = _completer("close", "what the close look's adversary counts", ge=0)
    whole_from: float = _completer("whole_from", "share of epochs from which on it has a say", ge=0, le=1)
    close_from: float = _completer("close_from", "the same for the close look", ge=0, le=1)


_expressions = partial(_described, "expression_regions")


class ExpressionRegionsConfig(dg.Config):
    """Settings of ``expression_regions``."""

    blendshapes: str = _expressions("blendshapes", "face_landmarker, auto or none")
    closed: dict[str, float] = _expressions("closed", "by way of telling, openness below which an eye is closed")
    smiling: dict[str, float] = _expressions("smiling", "by way of telling, from which smile on a face smiles")
    min_face_px: float = _expressions("min_face_px", "smaller faces are left out", ge=1)
    beside: list[str] = _expressions("beside", "haar_smile, res10, both or none: to be compared with")


_edits = partial(_described, "expression_edits")


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


_unmasked = partial(_described, "unmasked_faces")


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


_report = partial(_described, "unmasking_report")


class UnmaskingReportConfig(dg.Config):
    """Settings of ``unmasking_report``."""

    networks: str = _report("networks", "trained: those of mask_segmenter and face_completer; or shipped")
    size: int = _report("size", "side in pixels of the squares that are compared", ge=32)
    identity: str = _report("identity", "auto, dlib_resnet, none or an ONNX file: tells how alike people look")
    lpips: str = _report("lpips", "auto, lpips_alex or none: tells how far apart pictures look")
    psnr: float = _report("psnr", "decibels ahead of the best baseline")
    ssim: float = _report("ssim", "structural similarity ahead of the best baseline")
    people: int = _report("people", "in the test split; figures of fewer mean nothing", ge=1)


_masks = partial(_described, "digital_masks")


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


_recognised = partial(_described, "reidentification_report")


class ReidentificationReportConfig(dg.Config):
    """Settings of ``reidentification_report``."""

    identity: str = _recognised("identity", "auto, dlib_resnet, none or an ONNX file: tells how alike people look")
    people: int = _recognised("people", "with two pictures; figures of fewer mean nothing", ge=1)
    bare: float = _recognised("bare", "rank-1 rate of bare faces below which it is no judge", ge=0, le=1)
    most: float = _recognised("most", "rank-1 rate above which digital masks leak", ge=0, le=1)
    seed: int = _recognised("seed", "another seed, other pictures")


class MaskDetectionsConfig(dg.Config):
    """Settings of ``mask_detections``."""

    tiles: int = Field(
        default_factory=_from("mask_detections", "tiles"), ge=1, description="look at so many times so many tiles too"
    )
    thresholds: dict[str, float] = Field(
        default_factory=_from("mask_detections", "thresholds"), description="lowest score that counts, by class"
    )
    annotate: bool = Field(
        default_factory=_from("mask_detections", "annotate"), description="pictures and videos with boxes drawn in"
    )
    quality: int = Field(
        default_factory=_from("mask_detections", "quality"), ge=1, le=100, description="JPEG quality of these"
    )


class AlignedCropsConfig(dg.Config):
    """Settings of ``aligned_crops``."""

    styles: list[str] = Field(default_factory=_from("aligned_crops", "styles"), description="crop styles, or all")
    size: int = Field(default_factory=_from("aligned_crops", "size"), description="side of a crop in pixels")
    wearing: list[str] = Field(default_factory=_from("aligned_crops", "wearing"), description="bare, masked or both")
    quality: int = Field(default_factory=_from("aligned_crops", "quality"), description="JPEG quality")


def settings_of(asset: str, wishes: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return an asset's settings: those of params.yaml and, before them, the wishes.

    Raises:
        ValueError: the asset has no such setting, or not such a value.
    """
    name = "".join(part.title() for part in asset.split("_"))
    model: type[dg.Config] = globals()[f"{name}Config"]
    unknown = sorted(set(wishes or {}) - model.model_fields.keys())
    if unknown:
        raise ValueError(f"{asset} has no setting {', '.join(unknown)}; it has {', '.join(model.model_fields)}")
    try:
        return model(**wishes or {}).model_dump()
    except ValidationError as error:
        wrong = "; ".join(f"{asset}.{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise ValueError(wrong) from None
