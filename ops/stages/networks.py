"""The project's own networks: trained on pairs, judged on their validation squares every epoch, exported, tracked.

What differs between them is a :class:`Task`; ``ops.stages.segmenter`` and ``ops.stages.completer`` have one each.
"""

from __future__ import annotations

import csv
import io
import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

import numpy as np

from ops import images
from ops.content import directory_md5, file_md5
from ops.files import write_atomic
from ops.pictures import contact_sheet
from ops.stages import digest_of
from ops.store import JOURNAL, Column, Item, fingerprint, row
from ops.training.loop import keep
from ops.training.onnx_files import session_of, to_float16, to_onnx, told
from ops.training.plots import plot_epochs
from ops.training.precision import computed_in, context_of
from ops.training.records import forget, token_of, written
from ops.training.tasks import best_of, split_hash, summary

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import nn

    from ops.records import Floats
    from ops.store import Dataset, Mapper, Report, Row
    from ops.training.records import Run, Track
    from ops.training.tasks import Pairs, Task

VERSION = 1
CODE = ("training/loop.py", "training/faces.py", "training/precision.py", "stages/networks.py")
WEIGHTS, EPOCHS, CURVES, SHEET = "weights.pt", "epochs.csv", "curves.png", "sheet.jpg"
BEST = "best.pt"
SHOWN = 8
"""Validation squares on a sample sheet, always the same."""

PANEL = 192
PAIRS = "unmasking_pairs"
"""What the rows of every training have as source, so that in a user's folder one takes the place of another."""

UNPROVEN = "too few people to keep some for validation: figures are of squares that were trained on, and prove nothing"
SAME = 1e-3
"""How far the ONNX may be from the network it came from, in what each pixel is given."""

COLUMNS = (
    Column("kind", "string", "weights, onnx, plot, table, picture or card"),
    Column("bytes", "int64", "of the file"),
)


def plan(task: Task, pairs: Pairs) -> list[Item]:
    """Return the one item that a training is."""
    content = split_hash(pairs)
    code = digest_of(*CODE, *task.code)
    recipe, start = asdict(task.recipe), task.recipe.start
    if start:
        recipe["start"] = file_md5(Path(start))
    key = fingerprint(content, recipe, task.about(), task.network.code, code, VERSION)
    return [Item(key, {"source": PAIRS, "split_hash": content})]


def make(
    dataset: Dataset,
    pairs: Pairs,
    scratch: Path,
    task: Task,
    *,
    device: str,
    track: Track,
    mapper: Mapper,
    fresh: bool = False,
) -> Report:
    """Train and export a network, unless that is done; go on with it where it was killed.

    Args:
        dataset: to write to.
        pairs: to learn from.
        scratch: folder that holds the working folder of each training; it is removed when that succeeds.
        task: which network, and how.
        device: ``cpu`` or ``cuda``.
        track: opens the training's record.
        mapper: runs it; in this process, since a record does not travel.
        fresh: forget a training that was begun.

    Raises:
        FrozenNetwork: the network did not learn.
        RuntimeError: the ONNX does not give what the network gives.
    """
    items = plan(task, pairs)
    (item,) = items

    def work() -> Train:
        if fresh:
            forget(scratch, item.fingerprint)
        return Train(dataset, pairs, scratch, task, device=device, track=track)

    report = dataset.build(items, work, mapper)
    forget(scratch, item.fingerprint)
    if not pairs.unseen:
        report = replace(report, notes=(*report.notes, UNPROVEN))
    return report


class Train:
    """Train, judge, export, track and write one network."""

    def __init__(self, dataset: Dataset, pairs: Pairs, scratch: Path, task: Task, *, device: str, track: Track) -> None:
        self.dataset = dataset
        self.pairs = pairs
        self.scratch = scratch
        self.task = task
        self.device = device
        self.track = track

    def __call__(self, item: Item) -> list[Row]:
        """Return a row for each file of the network."""
        task, recipe = self.task, self.task.recipe
        work = self.scratch / item.fingerprint
        precision = computed_in(recipe.precision, self.device)
        # a loss in float16 would have to be scaled
        about = task.about() | {"precision": "float32" if precision == "float16" else precision}
        about["split_hash"] = item.payload["split_hash"]
        if recipe.start:
            about["start_md5"] = file_md5(Path(recipe.start))
        about["validated_on"] = "people of its own" if self.pairs.unseen else "what it was trained on"
        tags = about | {"data_version": directory_md5(self.pairs.folder)}
        with self.track(token_of(work), f"{task.name} {recipe.size} px", asdict(recipe), tags) as run:
            network, epochs = self._trained(work, run, about["precision"])
            files = {WEIGHTS: _saved(network), f"{task.name}.onnx": self._exported(network)}
            on_squares = runs(network)
            figures = summary(task.score(on_squares, self.pairs))
            kept = best_of(epochs, task.judge) if recipe.keep == "best" else len(epochs)
            files[SHEET] = self._sheet(on_squares, f"{task.name}, as it is exported")
            files |= {CURVES: plot_epochs(epochs, kept), EPOCHS: _table(epochs)}
            run.epoch(len(epochs), {f"kept/{name}": value for name, value in figures["all"].items()})
            run.keep(written(work / "made", files))
            card = {
                "run_id": run.run_id,
                "mlflow_version": run.register(f"{task.name}.onnx"),
                "size": recipe.size,
                "widths": list(network.widths),  # type: ignore[arg-type]
                **about,
                "epochs": len(epochs),
                "kept_epoch": kept,
                "figures": figures,
            }
            files[f"{task.name}.json"] = f"{json.dumps(card, indent=2)}\n".encode()
            run.keep(written(work / "made", {f"{task.name}.json": files[f"{task.name}.json"]}))
        return self._write(item, files, figures["all"])

    def _trained(self, work: Path, run: Run, precision: str) -> tuple[nn.Module, list[dict[str, float]]]:
        """Return the network that is kept, on the CPU and in half precision's numbers, and the epochs' figures."""
        import torch

        task, recipe = self.task, self.task.recipe
        network = self._drawn()
        if precision == "bfloat16":
            network = network.to(memory_format=torch.channels_last)
        epochs: list[dict[str, float]] = []
        with _bar(task.name, recipe.epochs) as bar:

            def tell(epoch: int, losses: Mapping[str, float], average: nn.Module) -> None:
                epochs.append(self._epoch(work, run, epoch, losses, average))
                bar.update()
                bar.set_postfix({task.judge: f"{epochs[-1][f'val/{task.judge}']:.4f}"})

            last = task.train(network, self.pairs, work, self.device, context_of(precision, self.device), tell)
        state = torch.load(work / BEST, weights_only=True) if recipe.keep == "best" else last.state_dict()
        kept = self._drawn().cpu().eval()
        kept.load_state_dict({name: _rounded(value.cpu()) for name, value in state.items()})
        return kept, epochs

    def _drawn(self) -> nn.Module:
        """Return the network with the weights that the seed draws, or those to start from.

        Raises:
            ValueError: these are no weights of such a network.
        """
        import torch

        recipe = self.task.recipe
        torch.manual_seed(recipe.seed)
        network = self.task.network.build(recipe.widths)
        if recipe.start:
            try:
                network.load_state_dict(torch.load(recipe.start, weights_only=True, map_location="cpu"))
            except (RuntimeError, UnpicklingError, EOFError) as error:
                raise ValueError(f"{recipe.start} can't be started from: {error}") from None
        return network.to(self.device)

    def _epoch(
        self, work: Path, run: Run, epoch: int, losses: Mapping[str, float], average: nn.Module
    ) -> dict[str, float]:
        """Judge an epoch, once, and log it; of one that a kill left half judged nothing is there."""
        path = work / "epochs" / f"{epoch:06d}.json"
        if not path.exists():
            task = self.task
            on_squares = runs(average, self.device)
            figures = summary(task.score(on_squares, self.pairs))["all"]
            known = {"epoch": float(epoch)} | {f"train/{name}": value for name, value in losses.items()}
            known |= {f"val/{name}": value for name, value in figures.items()}
            before = [json.loads(other.read_text()) for other in sorted(path.parent.glob("*.json"))]
            if best_of([*before, known], task.judge) == epoch:
                keep(work / BEST, average.state_dict())
            kept = {f"sheet_{epoch:04d}.jpg": self._sheet(on_squares, f"{task.name}, epoch {epoch}")}
            if task.recipe.every and epoch % task.recipe.every == 0:
                kept[f"weights_{epoch:04d}.pt"] = _saved(average)
            run.keep(written(work / "shown", kept))
            write_atomic(path, json.dumps(known).encode())
        told_of: dict[str, float] = json.loads(path.read_text())
        run.epoch(epoch, {name: value for name, value in told_of.items() if name != "epoch"})
        return told_of

    def _sheet(self, run: Callable[..., Floats], title: str) -> bytes:
        """Return validation squares and what the network makes of them as a JPEG."""
        pictures = [panel for panels in self.task.examples(run, self.pairs, SHOWN) for panel in panels]
        captions = [title, *[""] * (len(pictures) - 1)]
        return images.encode_jpeg(contact_sheet(pictures, captions, columns=8, cell=PANEL), 90)

    def _exported(self, network: nn.Module) -> bytes:
        """Return a network as ONNX, its weights in half precision.

        Raises:
            RuntimeError: that does not give what the network gives.
        """
        task = self.task
        model = to_float16(to_onnx(task.whole(network), task.inputs, task.output, task.recipe.size))
        told(model, {"size": task.recipe.size, "widths": list(network.widths)})  # type: ignore[arg-type]
        content: bytes = model.SerializeToString()
        apart = deviation(task, network, content, self.pairs)
        if apart > SAME:
            raise RuntimeError(f"the ONNX is {apart:.2g} from the network it was made of, and {SAME} is allowed")
        return content

    def _write(self, item: Item, files: Mapping[str, bytes], figures: Mapping[str, float]) -> list[Row]:
        """Write the files; before, take back what says that those of another training lie there."""
        if self.dataset.exclusive:
            self.dataset.manifest.unlink(missing_ok=True)
            shutil.rmtree(self.dataset.folder / JOURNAL, ignore_errors=True)
        kinds = {".pt": "weights", ".onnx": "onnx", ".png": "plot", ".csv": "table", ".jpg": "picture", ".json": "card"}
        rows = []
        for name, data in files.items():
            write_atomic(self.dataset.folder / name, data)
            kind = kinds[Path(name).suffix]
            known: Mapping[str, Any] = figures if kind in {"weights", "onnx"} else {}
            rows.append(row(item, item.payload["source"], output=name, kind=kind, bytes=len(data), **known))
        return rows


def runs(network: nn.Module, device: str = "cpu") -> Callable[..., Floats]:
    """Return what runs a network on arrays, in float32."""
    import torch

    def run(*given: Floats) -> Floats:
        with torch.no_grad():
            out = network.eval()(*(torch.from_numpy(each).to(device) for each in given))
        return np.asarray(out.float().cpu().numpy(), np.float32)

    return run


def load(task: Task, weights: Path) -> nn.Module:
    """Return the network whose weights a training wrote."""
    import torch

    network = task.network.build(json.loads(weights.with_name(f"{task.name}.json").read_text())["widths"])
    network.load_state_dict(torch.load(weights, weights_only=True))
    return network.eval()


def deviation(task: Task, network: nn.Module, model: bytes, pairs: Pairs) -> float:
    """Return how far a model is from the network on validation squares: the worst pixel counts."""
    session, ours = session_of(model), runs(task.whole(network))
    worst = 0.0
    for given in task.given(pairs, SHOWN):
        theirs = session.run(None, dict(zip(task.inputs, given, strict=True)))[0]
        worst = max(worst, float(np.abs(ours(*given) - theirs).max()))
    return round(worst, 9)


def _rounded(value: Any) -> Any:
    """Return a tensor with numbers that half precision has."""
    return value.half().to(value.dtype) if value.dtype.is_floating_point else value


def _saved(network: nn.Module) -> bytes:
    """Return a network's state as a file: weights in half precision, and nothing that tells time or place."""
    import torch

    state = {name: value.cpu() for name, value in network.state_dict().items()}
    data = io.BytesIO()
    torch.save({name: value.half() if value.dtype.is_floating_point else value for name, value in state.items()}, data)
    return data.getvalue()


def _table(epochs: Sequence[Mapping[str, float]]) -> bytes:
    """Return the epochs' figures as CSV; what an epoch has not is empty."""
    names = dict.fromkeys(name for known in epochs for name in known)
    text = io.StringIO()
    table = csv.DictWriter(text, list(names), lineterminator="\n")
    table.writeheader()
    table.writerows({name: f"{value:.6g}" for name, value in known.items()} for known in epochs)
    return text.getvalue().encode()


def _bar(name: str, epochs: int) -> Any:
    from tqdm import tqdm

    return tqdm(desc=f"training {name}", total=epochs, unit="epoch", disable=None)
