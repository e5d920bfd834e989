"""All that expressions are edited with, by name: what finds faces, tells their states and identity, and the engines."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ops.expressions.asking import COMPLETER, DIFFUSION, DONOR, Tools
from ops.expressions.donor import Care as DonorCare
from ops.pinned import files_of
from resources.blendshapes import Blendshapes
from resources.embedders import DLIB, Embedder, embedder
from resources.inpainters import MODEL, Diffusion, FaceCompleter
from resources.start_weights import AUTO, NONE
from resources.states import states
from resources.unmaskers import shipped

if TYPE_CHECKING:
    from ops.faces import FaceDetector, FaceLandmarker
    from resources.models import FaceModels
    from resources.states import MeshStates

SAME = {DLIB: 0.93}
"""Cosine from which on two faces are one person's, by embedder: between strangers .2% have more, of pairs 3% less."""

FLOOR = {DLIB: 0.95}
"""Cosine that an edited face has with the original at least; strangers mostly have .84 by dlib's network."""

OTHERS_SAME, OTHERS_FLOOR = 0.5, 0.6
"""The same of networks trained as ArcFace was."""


@dataclass(frozen=True)
class Editors:
    """Picklable; each process loads them for itself.

    Attributes:
        finder: of faces.
        told: tells states.
        judge: tells how alike two faces look; None: nothing does.
        completer: of faces.
        diffusion: a model; None: there is none.
    """

    finder: FaceModels
    told: MeshStates | Blendshapes
    judge: Embedder | None
    completer: FaceCompleter
    diffusion: Diffusion | None = None

    def load(self) -> tuple[FaceDetector, FaceLandmarker, Tools]:
        """Load what finds faces; the rest is loaded when it is first needed."""
        missing = {} if self.judge else {DONOR: "nothing at hand tells who is who"}
        makers = {COMPLETER: self.completer} | ({DIFFUSION: self.diffusion} if self.diffusion else {})
        if self.diffusion is None:
            missing[DIFFUSION] = "no model was named, and the default one is not on this machine"
        return *self.finder.load(), Tools(self.told, self.judge, makers, missing)

    def versions(self) -> dict[str, str]:
        """Return names and checksums of everything that decides about the result."""
        return {
            **self.finder.versions(),
            "told": self.told.sha256,
            "identity": self.judge.sha256 if self.judge else NONE,
            "completer": self.completer.files().get(self.completer.path, NONE),
            "diffusion": str(asdict(self.diffusion)) if self.diffusion else NONE,
        }

    def files(self) -> dict[Path, str]:
        """Return the files that are opened by their paths, with their checksums; what finds faces verifies its own."""
        return files_of(self.told, self.judge, self.completer)

    @property
    def floor(self) -> float:
        """Cosine that an edited face has with the original at least, with this embedder."""
        return FLOOR.get(self.judge.name, OTHERS_FLOOR) if self.judge else 0.0

    @property
    def lending(self) -> DonorCare:
        """Which takes will do, with this embedder."""
        return DonorCare(same=SAME.get(self.judge.name, OTHERS_SAME) if self.judge else 1.0)


def editors(
    finder: FaceModels,
    completer: Path | None = None,
    *,
    told: str = AUTO,
    identity: str = AUTO,
    diffusion: Diffusion | None = None,
) -> Editors:
    """Find what expressions can be edited with.

    Args:
        finder: of faces.
        completer: the face completer's file; None: the project's own.
        told: as for :func:`resources.states.states`.
        identity: as for :func:`resources.embedders.embedder`.
        diffusion: a model, if there is one.

    Raises:
        ValueError: a name is unknown.
        ModelUnavailable: the registry can't get a model.
    """
    own = FaceCompleter(completer or shipped()[1], finder.device)
    return Editors(finder, states(told), embedder(identity), own, diffusion)


def diffusion_of(wish: str, device: str, **settings: object) -> Diffusion | None:
    """Find a diffusion model.

    Args:
        wish: ``none``; ``auto`` for the default one if it is on this machine; an id on the hub, fetched where it is
            not here; or a folder.
        device: ``auto``, ``cpu`` or ``cuda``.
        settings: of :class:`resources.inpainters.Diffusion`.
    """
    from huggingface_hub import try_to_load_from_cache

    if wish == NONE or (wish == AUTO and not isinstance(try_to_load_from_cache(MODEL, "model_index.json"), str)):
        return None
    model = MODEL if wish == AUTO else wish
    return Diffusion(model, device, fetch=wish != AUTO and not Path(wish).is_dir(), **settings)  # type: ignore[arg-type]
