"""Put a mask on a face: surface, depth, light, camera, and alpha-correct composition in the face's own rectangle."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import ceil, floor
from typing import TYPE_CHECKING, Any

import numpy as np

from ops.masking import chart, compose, garments, textures
from ops.masking.camera import blur, grain_tile, recompress
from ops.masking.labels import in_sight
from ops.masking.light import Light, estimate
from ops.masking.occlusion import in_front
from ops.raster import compiled, nearest, planes
from ops.records import Box, Refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ops.masking.spec import MaskSpec
    from ops.masking.wardrobe import Garment
    from ops.records import Face, Floats, Picture

SMALLEST = 12
"""Width and height in pixels below which a mask is not drawn."""

_HUNG = np.array([152, 234, 454])  # chin and ears, and how far below them something may hang, in face widths
_DROP = np.array([[0.5], [1.0], [1.0]], np.float32)
_LENS = 0.75  # share of an eye's softness that is the camera's, not the eye's
_NOTHING = np.empty((0, 0), np.float32)
_LENGTH = 9  # points along a strap
_TOP = 6.3  # height in the canonical mesh, cm: triangles all above it are out of reach of masks and straps,
_TILTED = 0.3  # unless the head nods by more than this sine
_BEHIND = 0.035  # face widths by which the face's mesh is set back, so that it never pokes through the cloth


class MaskingError(Refusal):
    """A face that can't be masked."""


@dataclass(frozen=True, slots=True, eq=False)
class PreparedFace:
    """What all variants of one face share.

    Attributes:
        roi: x1, y1, x2, y2 whole pixels: the part of the picture that a mask on this face may change.
        scale: samples of a mask a pixel along each axis.
        coarse: samples of the face's depth a pixel along each axis.
        frame: the head's axes.
        net: control points of the chart over the lower face, in picture pixels.
        mesh: ``(468, 3)`` picture pixels.
        depth: of the bare face in pixels, samples of the roi; infinity beside it.
        light: estimated light and camera.
        front: how much of each pixel of the roi belongs to something before the face, in [0, 1]; None: nothing does.
    """

    roi: tuple[int, int, int, int]
    scale: int
    coarse: int
    frame: chart.Frame
    net: Floats
    mesh: Floats
    depth: Floats
    light: Light
    front: Floats | None = None

    @property
    def front_part(self) -> tuple[Floats, tuple[int, int]] | None:
        """What stands in front, and x and y of its top left pixel."""
        return None if self.front is None else (self.front, self.roi[:2])


@dataclass(frozen=True, slots=True, eq=False)
class Masked:
    """A picture with a mask drawn on one face.

    Attributes:
        picture: the whole picture, a new array.
        spec: what was drawn.
        alpha: how much of each pixel is mask, strap or contact shadow, float32; only the part from ``offset`` on. Where
            it is 0 the picture's bytes are the input's.
        region: bool, where mask and straps cover at least half of a pixel; the same part.
        offset: x, y of that part's top left pixel.
        box: around the region, in picture pixels.
    """

    picture: Picture
    spec: MaskSpec
    alpha: Floats
    region: NDArray[np.bool_]
    offset: tuple[int, int]
    box: Box

    def full_alpha(self) -> Floats:
        """Return alpha for the whole picture."""
        return self._full(self.alpha)

    def full_region(self) -> NDArray[np.bool_]:
        """Return the region for the whole picture."""
        return self._full(self.region)

    def _full(self, part: NDArray[Any]) -> NDArray[Any]:
        full = np.zeros(self.picture.shape[:2], part.dtype)
        x, y = self.offset
        full[y : y + part.shape[0], x : x + part.shape[1]] = part
        return full


def prepare(pixels: Picture, face: Face) -> PreparedFace:
    """Work out what all masks on a face share: geometry, depth and light.

    Raises:
        MaskingError: the face is too small, or the part that a mask would cover lies outside of the picture.
    """
    mesh = face.mesh
    if not np.isfinite(mesh).all():
        raise MaskingError("the face's mesh is not finite")
    if not in_sight(face, pixels.shape):
        raise MaskingError("nose, mouth and chin lie outside of the picture")
    frame = chart.head_frame(mesh)
    net = chart.control_net(mesh, frame)
    controls = net.reshape(-1, 3)
    x1, y1, x2, y2 = _bounds(controls)
    if not (x2 - x1 >= SMALLEST and y2 - y1 >= SMALLEST):
        raise MaskingError(f"the mask would be {x2 - x1:.0f} x {y2 - y1:.0f} px; at least {SMALLEST} are needed")
    triangles, reached, numbers = _face_triangles()
    if abs(frame.axes[1, 2]) > _TILTED:
        reached, numbers = triangles, np.arange(len(mesh), dtype=np.int32)
    picture, margin = (0, 0, pixels.shape[1], pixels.shape[0]), 0.12 * frame.unit
    hung = mesh[_HUNG] + _DROP * np.float32(frame.unit) * frame.axes[1].astype(np.float32)
    x1, y1, x2, y2 = roi = _inside(_bounds(np.concatenate([mesh[numbers], controls, hung])), margin, picture)
    if x2 - x1 < SMALLEST or y2 - y1 < SMALLEST:
        raise MaskingError("the face lies outside of the picture")
    scale = 3 if frame.unit < 80 else 2 if frame.unit < 900 else 1
    coarse = max(scale // 2, 1)
    behind = _samples(mesh, (x1, y1, -_BEHIND * frame.unit), coarse)
    depth, _ = nearest(behind, reached, ((y2 - y1) * coarse, (x2 - x1) * coarse))
    normals = np.zeros_like(mesh)
    compiled(_vertex_normals)(mesh, triangles, normals)
    left, top, right, bottom = _inside(_bounds(np.concatenate([mesh, controls])), margin, picture)
    if right - left < SMALLEST or bottom - top < SMALLEST:
        raise MaskingError("the face lies outside of the picture")
    part, within = pixels[top:bottom, left:right], mesh - np.array([left, top, 0], np.float32)
    light = estimate(part, within, normals, frame.unit, (left, top))
    return PreparedFace(roi, scale, coarse, frame, net, mesh, depth, light, in_front(pixels, mesh, frame, roi))


def render(
    pixels: Picture,
    face: Face,
    spec: MaskSpec,
    *,
    prepared: PreparedFace | None = None,
    garments: Sequence[Garment] = (),
) -> Masked:
    """Draw one mask on one face.

    Args:
        pixels: the picture, left as it is. For several faces pass the last result's picture on.
        face: where.
        spec: what.
        prepared: the face's `prepare`, when it gets several masks.
        garments: the user's own, among them the one that ``spec`` names.

    Raises:
        MaskingError: the face is too small, or nothing of the mask would be inside the picture.
        KeyError: ``spec`` names a garment that is not given.
    """
    prepared = prepared or prepare(pixels, face)
    own = {garment.name: garment for garment in garments}[spec.garment] if spec.garment else None
    layer, (x, y) = _draw(prepared, spec, own)
    light, (x1, y1), coarse = prepared.light, prepared.roi[:2], prepared.coarse
    sigma = float(np.sqrt(max((_LENS * light.blur) ** 2 - 0.3**2, 0.0)))
    if sigma > 0.25:
        layer = blur(layer, sigma)
    height, width = layer.shape[:2]
    front = _NOTHING
    if prepared.front is not None:
        front = prepared.front[y - y1 : y - y1 + height, x - x1 : x - x1 + width]
        layer *= (1 - front)[..., None]
    times = 2 if prepared.frame.unit > 100 else 1
    small = np.zeros((-(-height // times), -(-width // times), 1), np.float32)
    compiled(compose.shrink)(layer, times, small[..., 0])
    shadows = blur(small, max(0.02 * prepared.frame.unit / times, 0.5))[..., 0]
    picture = pixels.copy()
    alpha = np.zeros((height, width), np.float32)
    depth = prepared.depth[(y - y1) * coarse :, (x - x1) * coarse :]
    part, noise = picture[y : y + height, x : x + width], grain_tile()
    seed = spec.texture_seed % 4096
    compiled(compose.blend)(part, layer, shadows, times, front, depth, coarse, noise, light.grain, seed, alpha)
    if light.quality:
        recompress(picture, alpha, (x, y), light.quality)
    region = layer[..., 3] >= 0.5
    rows, columns = np.flatnonzero(region.any(1)), np.flatnonzero(region.any(0))
    if not len(rows):
        raise MaskingError("the mask lies outside of the picture")
    box = Box(*(float(n) for n in (x + columns[0], y + rows[0], x + columns[-1] + 1, y + rows[-1] + 1)))
    return Masked(picture, spec, alpha, region, (x, y), box)


def _draw(prepared: PreparedFace, spec: MaskSpec, own: Garment | None) -> tuple[Floats, tuple[int, int]]:
    """Return the mask as premultiplied ``(height, width, 4)`` in grey levels and alpha, and where its corner is."""
    frame, light = prepared.frame, prepared.light
    surface = garments.lay(prepared.net, prepared.mesh, frame, spec)
    width = max((0.024 if spec.straps == "loops" else 0.032) * frame.unit, 1.0)
    straps = garments.straps(surface, prepared.mesh, frame, spec, width)
    parts = [garments.attach(surface, frame, part) for part in garments.parts_of(spec)]
    points = np.concatenate([n.reshape(-1, 3) for n in (surface.vertices, straps, *(part.vertices for part in parts))])
    size = 256 if frame.unit < 400 else 512
    attributes = _places(size, len(straps), len(parts)).copy()
    attributes[: surface.vertices.size // 3, 2] = light.on(surface.normals).ravel()
    if parts:
        bright = np.concatenate([light.on(part.normals).ravel() for part in parts])
        attributes[len(attributes) - len(bright) :, 2] = bright
    roi, scale = prepared.roi, prepared.scale
    margin = int(np.ceil(2.5 * light.blur + 0.05 * frame.unit)) + 1
    reach = _bounds(points)
    x1, y1, x2, y2 = _inside(reach, 0, roi)
    left, top, right, bottom = _inside(reach, margin, roi)
    if left >= right or top >= bottom:
        raise MaskingError("the mask lies outside of the picture")
    triangles, corners = _mask_triangles(len(straps), len(parts)), _samples(points, (x1, y1, 0), scale)
    behind, coarse = np.empty(((y2 - y1) * scale, (x2 - x1) * scale), np.float32), prepared.coarse
    columns, rows = (
        slice(coarse * (low - start), coarse * (high - start))
        for low, high, start in ((x1, x2, roi[0]), (y1, y2, roi[1]))
    )
    compiled(compose.enlarge)(prepared.depth[rows, columns], scale // coarse, behind)
    _, which = nearest(corners, triangles, behind.shape, behind)
    slopes = planes(corners, triangles, attributes)
    layer = np.zeros((bottom - top, right - left, 4), np.float32)
    part, colours = layer[y1 - top : y2 - top, x1 - left : x2 - left], _display(textures.palette(spec, own), light)
    compiled(compose.colour)(which, slopes, colours, *textures.fabric(spec, size, own), scale, part)
    return layer, (left, top)


def _bounds(points: Floats) -> tuple[float, float, float, float]:
    """Return the least and greatest x and y of points as x1, y1, x2, y2; not finite where a point isn't."""
    bounds = np.empty(4)
    compiled(_extremes)(points, bounds)
    x1, y1, x2, y2 = bounds.tolist()
    return x1, y1, x2, y2


def _extremes(points: Any, bounds: Any) -> None:
    """Write the least and the greatest x and y of ``(n, 3)`` points, NaN where there is any."""
    for c in range(2):
        low = high = points[0, c]
        for n in range(points.shape[0]):
            value = points[n, c]
            low, high = (low if low < value else value), (high if high > value else value)
            if not np.isfinite(value):
                low = high = np.float32(np.nan)
                break
        bounds[c], bounds[2 + c] = low, high


def _inside(
    reach: tuple[float, float, float, float], margin: float, roi: tuple[int, int, int, int]
) -> tuple[int, int, int, int]:
    """Return x1, y1, x2, y2 of the part of ``roi`` that goes ``margin`` pixels beyond the bounds ``reach``."""
    x1, x2 = (min(max(n, roi[0]), roi[2]) for n in (floor(reach[0] - margin), ceil(reach[2] + margin) + 1))
    y1, y2 = (min(max(n, roi[1]), roi[3]) for n in (floor(reach[1] - margin), ceil(reach[3] + margin) + 1))
    return x1, y1, x2, y2


def _display(palette: NDArray[np.float64], light: Light) -> Floats:
    """Return a palette under a light, in grey levels."""
    colours = palette * light.white
    grey = (colours @ [0.299, 0.587, 0.114])[:, None]
    return (255 * (grey + light.saturation * (colours * light.cast - grey))).astype(np.float32)


def _samples(points: Floats, corner: tuple[float, float, float], scale: int) -> Floats:
    """Return picture points as sample coordinates of a part that begins at ``corner``."""
    middle = 0.5 - 0.5 / scale  # of a pixel, from its first sample
    return (points - np.array([corner[0] - middle, corner[1] - middle, corner[2]], np.float32)) * np.float32(scale)


@lru_cache(maxsize=16)
def _places(size: int, ribbons: int, parts: int) -> Floats:
    """Return column and row in the fabric and the brightness of each point of the cloth, straps and round parts."""
    u, v = garments.uv_grid()
    cloth = np.stack([np.clip((u + 1) / 2 * size, 0, size - 0.01), np.clip(v * size - 0.5, 0, size - 1), 0 * u], -1)
    strap = np.tile([[size + 0.5, row * (size - 1), 0.96] for row in (0, 0.5, 1)], (ribbons * _LENGTH, 1))
    ring = np.repeat(np.linspace(0, size - 1, garments.RINGS), garments.SPOKES)
    part = np.tile(np.stack([np.full_like(ring, size + 1.5), ring, 0 * ring], 1), (parts, 1))
    return np.concatenate([cloth.reshape(-1, 3), strap, part]).astype(np.float32)


@lru_cache(maxsize=16)
def _mask_triangles(ribbons: int, parts: int) -> NDArray[np.int32]:
    """Return the triangles of the cloth's grid, of the straps' bands and of the round parts, one after the other."""
    shapes = [garments.GRID, *[(_LENGTH, 3)] * ribbons, *[(garments.RINGS, garments.SPOKES)] * parts]
    first = np.concatenate([[0], np.cumsum([rows * columns for rows, columns in shapes])])
    return np.concatenate([chart.grid_triangles(*shape) + n for shape, n in zip(shapes, first, strict=False)]).astype(
        np.int32
    )


@lru_cache(maxsize=1)
def _face_triangles() -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
    """Return the face's triangles, those that masks and straps can meet, and the latter's vertices."""
    from ops.geometry import canonical_mesh

    mesh = canonical_mesh()
    reached = mesh.triangles[mesh.vertices[mesh.triangles, 1].min(1) < _TOP]
    return mesh.triangles, reached, np.unique(reached)


def _vertex_normals(mesh: Any, triangles: Any, out: Any) -> None:
    """Write outward unit normals of a face's mesh, ``(468, 3)``."""
    for m in range(triangles.shape[0]):
        i, j, k = triangles[m, 0], triangles[m, 1], triangles[m, 2]
        ax, ay, az = mesh[j, 0] - mesh[i, 0], mesh[j, 1] - mesh[i, 1], mesh[j, 2] - mesh[i, 2]
        bx, by, bz = mesh[k, 0] - mesh[i, 0], mesh[k, 1] - mesh[i, 1], mesh[k, 2] - mesh[i, 2]
        for n in (i, j, k):
            out[n, 0] += ay * bz - az * by
            out[n, 1] += az * bx - ax * bz
            out[n, 2] += ax * by - ay * bx
    outward = np.float32(0.0)  # whichever way triangles wind, the nose tip looks out of the head
    for c in range(3):
        outward += out[4, c] * (mesh[4, c] - (mesh[234, c] + mesh[454, c]) * np.float32(0.5))
    sign = np.float32(1.0) if outward > 0 else np.float32(-1.0)
    for n in range(out.shape[0]):
        length = max(np.sqrt(out[n, 0] ** 2 + out[n, 1] ** 2 + out[n, 2] ** 2), np.float32(1e-9))
        for c in range(3):
            out[n, c] *= sign / length
