"""Settings of the detection group."""

from functools import partial

import dagster as dg

from assets_defs.settings.field import setting

_scenes = partial(setting, "annotated_scenes")


class AnnotatedScenesConfig(dg.Config):
    """Settings of ``annotated_scenes``."""

    voc_first_pixel: int = _scenes("voc_first_pixel", "0 or 1: where Pascal VOC counts from")
    bare: list[str] = _scenes("bare", "sources in which nobody wears a mask")
    classes: dict[str, list[str]] = _scenes("classes", "how annotations spell each class")


_splits = partial(setting, "yolo_splits")


class YoloSplitsConfig(dg.Config):
    """Settings of ``yolo_splits``."""

    ratios: list[float] = _splits("ratios", "shares of train, val and test")
    seed: int = _splits("seed", "another seed, another split")
    synthetic: int = _splits("synthetic", "pictures with drawn masks in training at most; 0: all", ge=0)
    balance: float = _splits("balance", "share of the commonest class that pasting brings the others to", ge=0, le=1)
    reuse: int = _splits("reuse", "times a face is pasted at most", ge=0)
    min_face_px: int = _splits("min_face_px", "smaller faces are not pasted", ge=1)
    rotation: float = _splits("rotation", "degrees, either way")
    flip: float = _splits("flip", "chance of being mirrored", ge=0, le=1)
    jitter: list[float] = _splits("jitter", "of brightness, contrast, saturation and hue")
    translate: float = _splits("translate", "share of the face")
    scale: list[float] = _splits("scale", "least and greatest")
    shear: float = _splits("shear", "degrees, either way")
    quality: int = _splits("quality", "JPEG quality of pasted pictures", ge=1, le=100)


_detector = partial(setting, "mask_detector")


class MaskDetectorConfig(dg.Config):
    """Settings of ``mask_detector``."""

    start: str = _detector("start", "weights to start from")
    size: str = _detector("size", "of YOLO26: n, s or m")
    image_size: int = _detector("image_size", "longer side in pixels", ge=64, multiple_of=32)
    batch: int = _detector("batch", "pictures at a time", ge=1)
    epochs: int = _detector("epochs", "at most", ge=1)
    patience: int = _detector("patience", "epochs without a better one before the end", ge=1)
    optimizer: str = _detector("optimizer", "by ultralytics' name")
    lr0: float = _detector("lr0", "learning rate at the start", gt=0)
    mosaic: float = _detector("mosaic", "share put together of four pictures", ge=0, le=1)
    mixup: float = _detector("mixup", "share blended of two pictures", ge=0, le=1)
    close_mosaic: int = _detector("close_mosaic", "last epochs without mosaics", ge=0)
    freeze: int = _detector("freeze", "first layers that stay as they are", ge=0)
    pictures: str = _detector("pictures", "train or train_real")
    precision: str = _detector("precision", "auto, float32 or bfloat16")
    seed: int = _detector("seed", "of everything drawn")


_report = partial(setting, "detector_report")


class DetectorReportConfig(dg.Config):
    """Settings of ``detector_report``."""

    ap50: float = _report("ap50", "least AP50 of a champion")
    ap50_95: float = _report("ap50_95", "least AP50-95 of a champion")
    photographs: int = _report("photographs", "annotated, in the test split", ge=1)


_detections = partial(setting, "mask_detections")


class MaskDetectionsConfig(dg.Config):
    """Settings of ``mask_detections``."""

    tiles: int = _detections("tiles", "look at so many times so many tiles too", ge=1)
    thresholds: dict[str, float] = _detections("thresholds", "lowest score that counts, by class")
    annotate: bool = _detections("annotate", "pictures and videos with boxes drawn in")
    quality: int = _detections("quality", "JPEG quality of these", ge=1, le=100)
