"""Masks on faces: draw the parameters (`draw_spec`), then apply them (`render`)."""

from ops.masking.labels import LABELS, Visible, decode_rle, encode_rle, polygons, visible_fractions
from ops.masking.presets import PRESETS, chosen
from ops.masking.render import Masked, MaskingError, PreparedFace, prepare, render
from ops.masking.spec import KINDS, STATES, MaskSettings, MaskSpec, draw_spec
from ops.masking.wardrobe import Garment, GarmentError, load_garments

__all__ = [
    "KINDS",
    "LABELS",
    "PRESETS",
    "STATES",
    "Garment",
    "GarmentError",
    "MaskSettings",
    "MaskSpec",
    "Masked",
    "MaskingError",
    "PreparedFace",
    "Visible",
    "chosen",
    "decode_rle",
    "draw_spec",
    "encode_rle",
    "load_garments",
    "polygons",
    "prepare",
    "render",
    "visible_fractions",
]
