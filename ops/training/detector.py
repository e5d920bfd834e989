"""Fine-tune a YOLO26 detector on a split: deterministic, and able to go on after a kill at any moment.

Training happens in a working folder of its own, on links to the pictures and copies of their labels: ultralytics writes
beside them. After every epoch checkpoint, best weights and the table of epochs so far are put away together, by one
rename; a training that is called again goes on from there, so that no epoch counts twice.

A ``.pt`` file is a pickle, and loading it runs what it says. Loaded are only checkpoints that the training wrote itself
and the start weights: files whose sha256 the model registry verified, or a path that the user names.
"""

from __future__ import annotations

import csv
import os
import re
import shutil
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from ops.detection.scenes import flat_names, place
from ops.detection.split_files import label_file, linkable
from ops.files import DRAFT, write_atomic
from ops.masking import LABELS
from ops.training.precision import PRECISIONS, computed_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    OnEpoch = Callable[[int, Mapping[str, float]], None]

SIZES = ("n", "s", "m")
PICTURES = ("train", "train_real")
TABLE, LAST, BEST, ENDED = "results.csv", "last.pt", "best.pt", "ended"
STRIDE = 32
OPTIMIZERS = ("auto", "Adam", "AdamW", "Adamax", "NAdam", "RAdam", "RMSprop", "SGD", "MuSGD")
"""As ultralytics names them."""

NAMES = {
    "metrics/mAP50(B)": "val/ap50",
    "metrics/mAP50-95(B)": "val/ap50_95",
    "metrics/precision(B)": "val/precision",
    "metrics/recall(B)": "val/recall",
    "lr/pg0": "lr",
}
TOLD = re.compile(r"epoch|(train|val)/\w+_loss")
"""What an epoch is told by besides, as ultralytics calls it; time would make no two tables the same."""


@dataclass(frozen=True)
class Recipe:
    """How to train.

    Attributes:
        size: of the network, ``n``, ``s`` or ``m``.
        image_size: longer side of a picture in pixels, a multiple of 32.
        batch: pictures at a time.
        epochs: at most.
        patience: epochs without a better one before training stops.
        optimizer: by ultralytics' name; ``auto`` chooses, and takes its own learning rate.
        lr0: learning rate at the start.
        mosaic: share of training pictures put together of four.
        mixup: share of training pictures blended of two.
        close_mosaic: last epochs without mosaics.
        freeze: layers, from the first, that stay as they are.
        pictures: ``train``, or ``train_real`` for photographs alone.
        precision: ``float32``, ``bfloat16``, or ``auto``: the latter where CPU or GPU compute in it.
        seed: of everything drawn.
    """

    size: str = "n"
    image_size: int = 640
    batch: int = 16
    epochs: int = 100
    patience: int = 30
    optimizer: str = "auto"
    lr0: float = 0.01
    mosaic: float = 1.0
    mixup: float = 0.0
    close_mosaic: int = 10
    freeze: int = 0
    pictures: str = "train"
    precision: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        allowed = {"size": SIZES, "pictures": PICTURES, "precision": PRECISIONS}
        for name, values in allowed.items():
            if getattr(self, name) not in values:
                raise ValueError(f"{name} is {getattr(self, name)!r}; use one of {', '.join(values)}")
        if self.optimizer not in OPTIMIZERS:
            raise ValueError(f"optimizer is {self.optimizer!r}; use one of {', '.join(OPTIMIZERS)}")
        if not self.lr0 > 0:
            raise ValueError(f"lr0 is {self.lr0}; use a learning rate above 0")
        if self.image_size % STRIDE or self.image_size < 2 * STRIDE:
            raise ValueError(f"image_size is {self.image_size}; use a multiple of {STRIDE} from {2 * STRIDE} on")

    def computed_in(self, device: str) -> str:
        """Return the precision on a device: ``float32`` or ``bfloat16``, or ``float16`` on an older GPU."""
        return computed_in(self.precision, device)


def train(split: Path, work: Path, recipe: Recipe, start: Path | None, *, device: str, on_epoch: OnEpoch) -> Path:
    """Train, or go on with a training, until its end.

    Args:
        split: folder of a split as ``yolo_splits`` lays it out.
        work: working folder; what it holds of this very training is gone on with.
        recipe: how.
        start: weights to start from, of any ultralytics model whose tensors fit; None draws them.
        device: ``cpu`` or ``cuda``.
        on_epoch: called with each epoch, from 1 on, and its metrics; with those of before a kill once more.

    Returns:
        The folder that holds ``best.pt`` and the table of epochs, ``results.csv``.

    Raises:
        ValueError: the split has no pictures to train or to validate on, or other classes.
    """
    kept = newest(work)
    for row in epochs_of(kept / TABLE) if kept else []:
        on_epoch(int(row["epoch"]), row)
    if kept is None or not (kept / ENDED).exists():
        data = lay_out(split, work / "data", recipe.pictures)
        shutil.rmtree(work / "run", ignore_errors=True)
        if kept:
            shutil.copytree(kept, work / "run" / "weights")
            (work / "run" / "weights" / TABLE).rename(work / "run" / TABLE)
        with quiet():
            trainer = _trainer(work, recipe, device, on_epoch, _overrides(work, recipe, start, device, data))
            trainer.train()
    return max((work / "epochs").glob("[0-9]*"))


def newest(work: Path) -> Path | None:
    """Return what was kept after the last whole epoch of the training in a working folder."""
    return max((work / "epochs").glob("[0-9]*"), default=None)


def epochs_of(table: Path) -> list[dict[str, float]]:
    """Return the rows of a training's table: losses, learning rate, and how ultralytics judges the validation split."""
    with table.open(newline="") as file:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    return [
        {NAMES.get(name, name): value for name, value in row.items() if name in NAMES or TOLD.fullmatch(name)}
        for row in rows
    ]


def listed(split: Path, name: str) -> list[str]:
    """Return the pictures of a split's list, relative to its folder.

    Raises:
        ValueError: there is no such list, or it is empty.
    """
    found = lines_of(split, name)
    if not found:
        raise ValueError(f"{split / name}.txt names no picture; a detector needs some to train and some to validate on")
    return found


def lines_of(split: Path, name: str) -> list[str]:
    """Return the pictures of a split's list, relative to its folder; none where there is no such list."""
    path = split / f"{name}.txt"
    return [Path(line).as_posix() for line in path.read_text().splitlines()] if path.is_file() else []


def must_name_our_classes(split: Path) -> None:
    """Raise an error if a split's labels count other classes than ours, or ours in another order.

    Raises:
        ValueError: so they do.
    """
    told = yaml.safe_load((split / "data.yaml").read_text())["names"]
    names = list(map(str, told.values() if isinstance(told, dict) else told))
    if names != list(LABELS):
        raise ValueError(f"{split / 'data.yaml'} names {', '.join(names)}; a mask detector knows {', '.join(LABELS)}")


def lay_out(split: Path, folder: Path, pictures: str) -> Path:
    """Link a split's pictures and copy their labels into a folder, and return its ``data.yaml``.

    A JPEG that ultralytics would write over is copied.
    """
    must_name_our_classes(split)
    for part, name in (("train", pictures), ("val", "val")):
        for picture, flat in flat_names(listed(split, name)).items():
            target = folder / "images" / part / flat.removeprefix(f"images__{name}__")
            labels = folder / label_file(f"images/{part}/{target.name}")
            target.parent.mkdir(parents=True, exist_ok=True)
            if linkable(split / picture):
                place(split / picture, target)
            else:
                write_atomic(target, (split / picture).read_bytes())
            write_atomic(labels, (split / label_file(picture)).read_bytes())
    described = {"path": str(folder.resolve()), "train": "images/train", "val": "images/val"}
    write_atomic(folder / "data.yaml", yaml.safe_dump({**described, "names": dict(enumerate(LABELS))}).encode())
    return folder / "data.yaml"


@contextmanager
def quiet() -> Iterator[None]:
    """Keep ultralytics from talking, asking and telephoning."""
    os.environ |= {"YOLO_OFFLINE": "1", "YOLO_AUTOINSTALL": "false"}
    os.environ.setdefault("YOLO_VERBOSE", "false")
    from ultralytics.utils import LOGGER

    level = LOGGER.level
    LOGGER.setLevel("ERROR")
    try:
        yield
    finally:
        LOGGER.setLevel(level)


def _overrides(work: Path, recipe: Recipe, start: Path | None, device: str, data: Path) -> dict[str, Any]:
    """Return ultralytics' settings: the recipe's, no files but checkpoints, nothing by chance."""
    last = work / "run" / "weights" / LAST
    ours = asdict(recipe)
    size, side, _, _ = (ours.pop(name) for name in ("size", "image_size", "precision", "pictures"))
    return {
        **ours,
        "model": f"yolo26{size}.yaml",
        "pretrained": str(start) if start else False,
        "imgsz": side,
        "freeze": recipe.freeze or None,
        # on a CPU ultralytics knows float32 alone; the trainer below sees to the rest
        "amp": device != "cpu" and {"bfloat16": "bf16", "float16": True, "float32": False}[recipe.computed_in(device)],
        "data": str(data),
        "save_dir": str(work / "run"),
        "device": "cpu" if device == "cpu" else "0",
        "workers": 0,
        "deterministic": True,
        "nms": False,  # judged by the one-to-one head, which is what gets exported
        "plots": False,
        "verbose": False,
        "exist_ok": True,
        **({"resume": str(last)} if last.exists() else {}),
    }


def _keep(work: Path, epoch: int, ended: bool) -> None:
    """Put an epoch's checkpoint, best weights and table away, all or none."""
    folder = work / "epochs"
    draft = folder / f"{DRAFT}{epoch}"
    shutil.rmtree(draft, ignore_errors=True)
    shutil.copytree(work / "run" / "weights", draft)
    shutil.copyfile(work / "run" / TABLE, draft / TABLE)
    if ended:
        (draft / ENDED).touch()
    older = list(folder.glob("[0-9]*"))
    draft.rename(folder / f"{epoch:06d}")
    for other in older:
        shutil.rmtree(other)


def _trainer(work: Path, recipe: Recipe, device: str, on_epoch: OnEpoch, overrides: Mapping[str, Any]) -> Any:
    """Return ultralytics' trainer, which keeps every epoch and computes in bfloat16 where that is wanted."""
    import torch
    from tqdm import tqdm
    from ultralytics.models.yolo.detect import DetectionTrainer

    bfloat16 = device == "cpu" and recipe.computed_in(device) == "bfloat16"

    class Training(DetectionTrainer):
        """Where a class is a ``Trainer`` by name, ultralytics imports Ray and every tracker that is installed."""

        bar: tqdm[Any]

        def _setup_train(self) -> None:
            super()._setup_train()
            total = len(self.train_loader) * (self.epochs - self.start_epoch)
            self.bar = tqdm(desc=f"training yolo26{recipe.size}", total=total, unit="batch", disable=None)

        def set_model_attributes(self) -> None:
            super().set_model_attributes()
            if bfloat16:
                self.model = self.model.to(memory_format=torch.channels_last)  # type: ignore[union-attr]

        def preprocess_batch(self, batch: dict[str, Any]) -> dict[str, Any]:
            batch = super().preprocess_batch(batch)
            if bfloat16:
                batch["img"] = batch["img"].contiguous(memory_format=torch.channels_last)
                # the trainer has just entered a context of its own, which puts this back when it ends
                torch.set_autocast_dtype("cpu", torch.bfloat16)
                torch.set_autocast_enabled("cpu", True)
            self.bar.update()
            return batch

        def save_model(self) -> bool:
            super().save_model()
            _keep(work, self.epoch + 1, bool(self.stop))
            row = epochs_of(self.csv)[-1]
            on_epoch(self.epoch + 1, row)
            self.bar.set_postfix({"epoch": self.epoch + 1, "AP50": f"{row['val/ap50']:.3f}"})
            return True

        def final_eval(self) -> None:
            """Leave it: what was trained is scored by the project's own measure."""
            self.bar.close()

    trainer = Training(overrides=dict(overrides))
    trainer.callbacks = {}
    return trainer
