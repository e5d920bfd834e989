"""Engines that run a network: diffusion pipelines, and the project's own face completer."""

from __future__ import annotations

import inspect
from contextlib import suppress
from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from ops.expressions.engines import EngineError
from ops.expressions.tiles import around, tiled
from ops.unmasking.composition import composed, grown
from ops.unmasking.framing import frame_face, framed
from resources.devices import resolve_device
from resources.unmaskers import BadNetwork, OnnxUnmasker

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from ops.expressions.tiles import Edit
    from ops.records import Face, Floats, Picture
    from ops.unmasking.composition import Region

MODEL = "stable-diffusion-v1-5/stable-diffusion-inpainting"
NEGATIVE = "closed eyes, deformed, blurry, drawing, cartoon, extra teeth, double lips"
MULTIPLE = 8
"""Sides that pipelines take are multiples of this."""

SMALLER = (1.0, 0.75, 0.5)
"""Shares of a model's size that are tried, one after the other, where the GPU's memory is not enough."""

FRAME = 512
"""Side in pixels of the square that the completer is shown a face in; it scales to its own."""


@dataclass(frozen=True)
class Diffusion:
    """Any of diffusers' inpainting pipelines; loaded once, in each process that uses it. Half precision on a GPU.

    Attributes:
        model: an id on the hub, or a folder with a ``model_index.json``.
        device: ``auto``, ``cpu`` or ``cuda``.
        steps: of the sampler; DPM-Solver++ where the model's own can be exchanged for it.
        guidance: how closely the prompt is followed.
        negative: what is not to be seen; models that take no such words don't get them.
        way: ``crop`` shows the model what is around the region, at its own scale; ``tiles`` shows it the picture piece
            by piece, as it is.
        fetch: whether the model may be fetched from the hub; otherwise it has to be on this machine.
    """

    model: str = MODEL
    device: str = "auto"
    steps: int = 30
    guidance: float = 7.5
    negative: str = NEGATIVE
    way: Literal["crop", "tiles"] = "crop"
    fetch: bool = False

    chance: ClassVar[bool] = True

    def __call__(self, picture: Picture, face: Face) -> Diffusion:
        """Return the engine for a face: the same for all."""
        return self

    def check(self) -> None:
        """Load the model, so that what is wrong with it is told early.

        Raises:
            EngineError: it is not there, or no inpainting pipeline.
            DeviceUnavailable: ``cuda`` where there is none.
        """
        self._pipeline  # noqa: B018

    @property
    def size(self) -> int:
        """Side in pixels of the square that the model was made for."""
        pipeline = self._pipeline
        unet = getattr(pipeline, "unet", None)
        cells = pipeline.default_sample_size if unet is None else unet.config.sample_size
        return int(cells * pipeline.vae_scale_factor)

    def inpaint(self, image: Picture, region: Region, prompt: str, seed: int) -> Picture:
        """Return the picture with its region painted; see :class:`ops.expressions.engines.Inpainter`.

        Raises:
            EngineError: the model is not there, the GPU's memory is not enough, or the model's own filter refused.
        """

        def attempt(size: int) -> Picture:
            edit = self._edit(prompt, seed, size)
            if self.way == "tiles":
                return tiled(image, region, edit, size=size, overlap=size // 2)
            return around(image, region, edit, size=size)

        return fitted(attempt, self.size)

    def __getstate__(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def _edit(self, prompt: str, seed: int, size: int) -> Edit:
        """Return what paints one square after the other, all from one stream of noise."""
        import torch
        from PIL import Image

        pipeline = self._pipeline
        # noise is drawn on the CPU: every device begins with the same
        noise = torch.Generator("cpu").manual_seed(seed)
        words: dict[str, Any] = {"prompt": prompt, "guidance_scale": self.guidance}
        if "negative_prompt" in inspect.signature(pipeline.__call__).parameters:
            words["negative_prompt"] = self.negative

        def edit(square: Picture, hole: NDArray[np.bool_]) -> Picture:
            made = pipeline(
                image=Image.fromarray(square),
                mask_image=Image.fromarray(hole.astype(np.uint8) * 255),
                height=size,
                width=size,
                num_inference_steps=self.steps,
                generator=noise,
                output_type="np",
                **words,
            )
            if any(getattr(made, "nsfw_content_detected", None) or ()):
                raise EngineError("the model's own filter refused what it painted")
            return np.rint(np.clip(made.images[0], 0, 1) * 255).astype(np.uint8)

        return edit

    @cached_property
    def _pipeline(self) -> Any:
        import torch
        import transformers
        from diffusers import DiffusionPipeline, DPMSolverMultistepScheduler
        from diffusers.utils import logging

        logging.disable_progress_bar()
        transformers.utils.logging.disable_progress_bar()
        device = resolve_device(self.device)
        here = {"local_files_only": not self.fetch}
        try:
            parts = DiffusionPipeline.load_config(self.model, **here)
            half = torch.bfloat16 if "transformer" in parts else torch.float16
            dtype = half if device == "cuda" else torch.float32
            pipeline = DiffusionPipeline.from_pretrained(self.model, dtype=dtype, **here)
        except (OSError, ValueError) as error:
            where = "on this machine or on the hub" if self.fetch else "on this machine, and fetching is off"
            raise EngineError(f"no diffusion model {self.model!r} {where}") from error
        if "mask_image" not in inspect.signature(pipeline.__call__).parameters:
            raise EngineError(f"{self.model} is a {type(pipeline).__name__}; an inpainting pipeline is asked for")
        if DPMSolverMultistepScheduler in pipeline.scheduler.compatibles:
            pipeline.scheduler = DPMSolverMultistepScheduler.from_config(
                pipeline.scheduler.config, algorithm_type="dpmsolver++"
            )
        pipeline.set_progress_bar_config(disable=True)
        return pipeline.to(device)


@dataclass(frozen=True)
class FaceCompleter:
    """The project's face completer, for eyes and mouths; picklable, each process opens it for itself.

    Attributes:
        path: ``face_completer.onnx``.
        device: ``auto``, ``cpu`` or ``cuda``.
        threads: that one face is worked on with; 0: all cores, or one in a pool's process.
    """

    path: Path
    device: str = "cpu"
    threads: int = 0

    def __call__(self, picture: Picture, face: Face) -> Completion:
        """Return the engine for a face.

        Raises:
            EngineError: there is no such file.
        """
        if not self.path.is_file():
            raise EngineError(f"no face completer at {self.path}: train one, or take one that is trained")
        return Completion(self._network, face.mesh)

    def files(self) -> dict[Path, str]:
        """Return the file, if there is one, with the hash that it has when it is first asked for."""
        return self._network.files() if self.path.is_file() else {}

    def __getstate__(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @cached_property
    def _network(self) -> OnnxUnmasker:
        # nothing is segmented: the completer's file stands in for one that is never opened
        return OnnxUnmasker(self.path, self.path, self.device, self.threads)


@dataclass(frozen=True, slots=True, eq=False)
class Completion:
    """The face completer with the mesh of the face that it is to complete, ``(468, 3)`` pixels of the picture."""

    network: OnnxUnmasker
    mesh: Floats

    chance: ClassVar[bool] = False

    def inpaint(self, image: Picture, region: Region, prompt: str, seed: int) -> Picture:
        """Return the picture with its region completed; see :class:`ops.expressions.engines.Inpainter`.

        Raises:
            EngineError: the file is no face completer.
        """
        import cv2

        matrix = frame_face(self.mesh, FRAME)
        side = FRAME / float(np.linalg.norm(matrix[0, :2]))
        hole = framed(grown(region.inside, side=side).astype(np.uint8) * 255, matrix, FRAME) > 0
        try:
            square = self.network.complete(framed(image, matrix, FRAME), hole)
        except BadNetwork as error:
            raise EngineError(str(error)) from error
        flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        back = cv2.warpAffine(square, matrix, image.shape[1::-1], flags=flags, borderMode=cv2.BORDER_REPLICATE)
        return composed(image, np.asarray(back, np.uint8), region, side=side)


def fitted(attempt: Callable[[int], Picture], size: int) -> Picture:
    """Call ``attempt`` with a size in pixels, and with smaller ones where the GPU's memory is not enough.

    Raises:
        EngineError: it is not enough for the smallest one either.
    """
    import torch

    for share in SMALLER:
        smaller = int(size * share) // MULTIPLE * MULTIPLE
        with suppress(torch.OutOfMemoryError):
            return attempt(smaller)
        torch.cuda.empty_cache()
    raise EngineError(f"the GPU's memory is not enough for squares of {smaller} px")
