"""Masks on faces: draw the parameters (`draw_spec`), then apply them (`render`)."""

from ops.masking.labels import Visible, decode_rle, encode_rle, visible_fractions
from ops.masking.render import Masked, MaskingError, PreparedFace, prepare, render
from ops.masking.spec import KINDS, MaskSettings, MaskSpec, draw_spec

__all__ = [
    "KINDS",
    "MaskSettings",
    "MaskSpec",
    "Masked",
    "MaskingError",
    "PreparedFace",
    "Visible",
    "decode_rle",
    "draw_spec",
    "encode_rle",
    "prepare",
    "render",
    "visible_fractions",
]
