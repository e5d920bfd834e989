"""The contact sheets that the Dagster UI shows: a few pictures of each dataset, evenly spread over it."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from ops.records import Box, Picture
from ops.store import DONE, Dataset, rows_of

CELLS = 12
SIDE = 320
"""Longer side in pixels of what is kept of a picture: twice a cell's side on the sheet."""
Sheet = tuple[list[Picture], list[str]]


def _few(dataset: Dataset, each: str) -> list[dict[str, Any]]:
    """Return up to :data:`CELLS` done rows with different values of ``each``."""
    rows = dataset.read([each], DONE, numbered=True).drop_duplicates(each)
    chosen = np.unique(np.linspace(0, max(len(rows) - 1, 0), min(CELLS, len(rows))).astype(int))
    return dataset.at(rows["row"].iloc[chosen].tolist())


def _small(pixels: Picture) -> Picture:
    """Shrink a picture at once, so that a sheet never holds two large ones."""
    from ops import images

    height, width = pixels.shape[:2]
    scale = SIDE / max(height, width)
    return (
        images.resized(pixels, (max(1, round(width * scale)), max(1, round(height * scale)))) if scale < 1 else pixels
    )


def of_frames(dataset: Dataset, data: Path, *, max_pixels: int) -> Sheet:
    """Frames with their file names."""
    from ops import images

    rows = _few(dataset, "frame")
    pictures = [_small(images.read(data / known["picture"], max_pixels=max_pixels)) for known in rows]
    return pictures, [Path(known["source"]).name for known in rows]


def of_faces(dataset: Dataset, data: Path, *, max_pixels: int) -> Sheet:
    """Frames with boxes, meshes and pose drawn in."""
    from ops import images
    from ops.pictures import draw_faces
    from ops.stages.faces import face_of

    every = dataset.read(["frame"], DONE, numbered=True)
    drawn, captions = [], []
    for known in _few(dataset, "frame"):
        faces = [face_of(row) for row in dataset.at(every.loc[every["frame"] == known["frame"], "row"].tolist())]
        pixels = images.read(data / known["picture"], max_pixels=max_pixels)
        drawn.append(_small(draw_faces(pixels, faces)))
        captions.append(f"yaw {known['yaw']:.0f}, pitch {known['pitch']:.0f}")
    return drawn, captions


def of_scenes(dataset: Dataset, data: Path) -> Sheet:
    """Annotated pictures with their boxes drawn in by class, captioned with where the boxes come from."""
    from ops import images
    from ops.pictures import draw_boxes

    every = dataset.read(status=DONE)
    limit = int(max(every["width"] * every["height"], default=0))
    drawn, captions = [], []
    for known in _few(dataset, "picture"):
        boxes = rows_of(every[(every["picture"] == known["picture"]) & every["label"].notna()])
        pixels = images.read(data / known["picture"], max_pixels=limit)
        scale = min(1.0, SIDE / max(pixels.shape[:2]))
        placed = [Box(*(box[side] * scale for side in Box._fields)) for box in boxes]
        drawn.append(draw_boxes(_small(pixels), placed, [box["label"] for box in boxes]))
        counts = Counter(box["label"] for box in boxes)
        told = (f"{count} {label}" for label, count in counts.most_common())
        captions.append("\n".join([f"{known['folder']}, {known['annotation_format']}", *told]))
    return drawn, captions


def of_splits(dataset: Dataset, *, max_pixels: int) -> Sheet:
    """Pictures of each split and origin with their boxes drawn in."""
    from ops.stages.splits import examples

    pictures, captions = examples(dataset.folder, rows_of(dataset.read(status=DONE)), max_pixels=max_pixels)
    return [_small(pixels) for pixels in pictures], captions


def of_pairs(dataset: Dataset) -> Sheet:
    """Bare and masked faces beside each other, the region to complete tinted."""
    from ops import images
    from ops.unmasking.regions import tinted

    every = dataset.read(status=DONE)
    drawn, captions = [], []
    for known in _few(dataset, "group"):
        both = rows_of(every[every["fingerprint"] == known["fingerprint"]])[:2]
        read = [images.read(dataset.folder / one["output"]) for one in both]
        regions = [images.read_grey(dataset.folder / one["alpha"]) for one in both]
        shown = [tinted(pixels, region) for pixels, region in zip(read, regions, strict=True)]
        drawn.append(_small(np.hstack([shown[0], *read[1:], *shown[1:]])))
        captions.append(", ".join([known["split"], *(one["region"] for one in both)]))
    return drawn, captions


def of_detections(dataset: Dataset, data: Path, *, max_pixels: int) -> Sheet:
    """Frames with their boxes, classes and scores drawn in, captioned with how many of each class there are."""
    from ops import images
    from ops.pictures import draw_boxes

    every = dataset.read(status=DONE)
    drawn, captions = [], []
    for known in _few(dataset, "picture"):
        if known["picture"] is None:  # a video's frames between those that were taken out
            continue
        boxes = rows_of(every[every["picture"] == known["picture"]])
        pixels = images.read(data / known["picture"], max_pixels=max_pixels)
        scale = min(1.0, SIDE / max(pixels.shape[:2]))
        placed = [Box(*(box[side] * scale for side in Box._fields)) for box in boxes]
        labels, scores = ([box[name] for box in boxes] for name in ("label", "score"))
        drawn.append(draw_boxes(_small(pixels), placed, labels, scores))
        captions.append("\n".join(f"{count} {label}" for label, count in Counter(labels).most_common()))
    return drawn, captions


def of_report(dataset: Dataset, splits: Dataset, *, max_pixels: int) -> Sheet:
    """Pictures that the trained detector got most wrong, with what it found and what is annotated."""
    from ops.stages.report import examples

    thresholds = list(json.loads((dataset.folder / "thresholds.json").read_text()).values())
    rows = rows_of(dataset.read(status=DONE))
    pictures, captions = examples(splits.folder, rows, thresholds, CELLS, max_pixels=max_pixels)
    return [_small(pixels) for pixels in pictures], captions


def of_detector(dataset: Dataset, split: Path, *, max_pixels: int) -> Sheet:
    """Validation pictures with what the trained detector finds in them, at its own thresholds."""
    from ops import images
    from ops.pictures import draw_boxes
    from ops.stages.detector import ONNX, spread
    from ops.training.detector import listed
    from resources.mask_detectors import OnnxMaskDetector

    detector = OnnxMaskDetector(dataset.folder / ONNX["fp32"])
    drawn, captions = [], []
    for name in spread(listed(split, "val"), CELLS):
        pixels = images.read(split / name, max_pixels=max_pixels)
        found = detector(pixels).counted(detector.thresholds)
        drawn.append(_small(draw_boxes(pixels, found.corners, found.names, found.scores.tolist())))
        captions.append("\n".join(f"{count} {label}" for label, count in Counter(found.names).most_common()))
    return drawn, captions


def training_of(dataset: Dataset) -> dict[str, Any]:
    """Return what a training says as metadata: where it started, its run, its figures, and how it went."""
    import dagster as dg

    from ops import images
    from ops.pictures import data_uri
    from ops.stages.detector import CARD, CURVES

    told = json.loads((dataset.folder / CARD).read_text())
    names = ("start", "network", "epochs", "precision", "run_id", "mlflow_version", "split_hash")
    curves = data_uri(images.read(dataset.folder / CURVES))
    head = "| format | AP50 | AP50-95 | lost AP50-95 | MB |\n|---|---|---|---|---|\n"
    rows = [
        f"| {format} | {row['ap50']} | {row['ap50_95']} | {row['lost_ap50_95']} | {row['bytes'] / 1e6:.1f} |"
        for format, row in told["formats"].items()
    ]
    return {
        **{name: told[name] for name in names},
        "validation": dg.MetadataValue.md(head + "\n".join(rows)),
        "curves": dg.MetadataValue.md(f"![curves]({curves})"),
    }


def run_of(detector: Dataset) -> str:
    """Return the MLflow run of a trained detector."""
    from ops.stages.detector import CARD

    return str(json.loads((detector.folder / CARD).read_text())["run_id"])


def of_network(dataset: Dataset) -> Sheet:
    """Validation squares, and what the trained network makes of them."""
    from ops import images
    from ops.stages.networks import SHEET

    return [images.read(dataset.folder / SHEET)], [""]


def network_of(dataset: Dataset, name: str) -> dict[str, Any]:
    """Return what the training of a network says as metadata: its run, its figures, and how it went."""
    import dagster as dg

    from ops import images
    from ops.pictures import data_uri
    from ops.stages.networks import CURVES

    told = json.loads((dataset.folder / f"{name}.json").read_text())
    figures = told.pop("figures")
    known = {key: value for key, value in told.items() if not key.endswith("sha256")} | figures["all"]
    names = list(figures["all"])
    lines = [f"| | squares | {' | '.join(names)} |", "|---" * (2 + len(names)) + "|"]
    for group, parts in figures.items():
        for part, row in parts.items() if group != "all" else ():
            cells = " | ".join(str(row.get(each, "")) for each in names)
            lines.append(f"| {part} | {row['squares']} | {cells} |")
    curves = data_uri(images.read(dataset.folder / CURVES))
    shown = {"validation": "\n".join(lines), "curves": f"![curves]({curves})"}
    return {**known, "widths": str(told["widths"]), **{key: dg.MetadataValue.md(text) for key, text in shown.items()}}


def figures_of(report: Dataset) -> dict[str, Any]:
    """Return what a report says as metadata: that first, then a table of its figures."""
    import dagster as dg

    from ops.detection.report_files import as_table

    told = json.loads((report.folder / "metrics.json").read_text())
    champion = json.loads((report.folder / "champion.json").read_text())
    names = ("meaningful", "promoted", "why", "photographs", "pictures", "start", "ap50", "ap50_95")
    known = {name: told[name] for name in names if told[name] is not None}
    return {"champion": champion["origin"], **known, "figures": dg.MetadataValue.md(as_table(told))}


def unmasking_figures_of(dataset: Dataset) -> dict[str, Any]:
    """Return what a report on unmasking says as metadata: whether it means anything, a table, plots and sheets."""
    import dagster as dg

    from ops import images
    from ops.pictures import data_uri
    from ops.stages.unmasking_report import METRICS, PLOTS, SHEETS
    from ops.unmasking.judgement import as_table

    told = json.loads((dataset.folder / METRICS).read_text())
    names = ("meaningful", "beats_baselines", "people", "squares", "identity_by")
    known = {name: told[name] for name in names}
    known |= {name: value for name, value in told["segmenter"].items() if isinstance(value, float)}
    paths = [dataset.folder / name for name in (*SHEETS, *PLOTS) if (dataset.folder / name).is_file()]
    shown = {path.stem: dg.MetadataValue.md(f"![{path.stem}]({data_uri(images.read(path))})") for path in paths}
    return {**known, "figures": dg.MetadataValue.md(as_table(told)), **shown}


def recognition_of(dataset: Dataset) -> dict[str, Any]:
    """Return what a report on re-identification says as metadata: its worth, a table, plots, a sheet."""
    import dagster as dg

    from ops import images
    from ops.pictures import data_uri
    from ops.reidentification.scenarios import as_table
    from ops.stages.reidentification_report import METRICS, PLOTS, SHEET

    told = json.loads((dataset.folder / METRICS).read_text())
    known = {name: told[name] for name in ("meaningful", "why_not", "identity_by") if told[name] is not None}
    paths = [dataset.folder / name for name in (*PLOTS, SHEET) if (dataset.folder / name).is_file()]
    shown = {
        path.name.replace(".", "_"): dg.MetadataValue.md(f"![{path.stem}]({data_uri(images.read(path))})")
        for path in paths
    }
    return {
        **known,
        "leaks": ", ".join(told["leaks"]),
        "same_photograph": str(told["same_photograph"]),
        "figures": dg.MetadataValue.md(as_table(told)),
        **shown,
    }


def of_unmasked(dataset: Dataset, data: Path, *, max_pixels: int) -> Sheet:
    """Photographs as they are and unmasked, beside each other; of videos nothing."""
    from ops import images

    drawn, captions = [], []
    for known in _few(dataset, "output"):
        if known["alpha"] is None:
            continue
        both = (data / known["picture"], dataset.folder / known["output"])
        drawn.append(_small(np.hstack([images.read(path, max_pixels=max_pixels) for path in both])))
        captions.append("found" if known["truth"] is None else "drawn")
    return drawn, captions


def of_expressions(dataset: Dataset, data: Path, *, max_pixels: int) -> Sheet:
    """Faces with their regions tinted, captioned with what eyes and mouth do."""
    from ops import images
    from ops.expressions.regions import REGIONS
    from ops.unmasking.regions import tinted

    drawn, captions = [], []
    for known in _few(dataset, "frame"):
        pixels = images.read(data / known["picture"], max_pixels=max_pixels)
        for name in REGIONS:
            alpha = images.read_grey(dataset.folder / known[f"{name}_alpha"], max_pixels=max_pixels)
            pixels = tinted(pixels, alpha)
        near = Box(*(known[side] for side in Box._fields)).grown(1.3).clipped(*pixels.shape[1::-1])
        x1, y1, x2, y2 = map(int, near)
        drawn.append(_small(pixels[y1:y2, x1:x2]))
        eyes = f"{known['closed'].replace(',', ', ').replace('_', ' ')} closed" if known["closed"] else "eyes open"
        captions.append(f"{eyes}\n{'smiling' if known['smiling'] else 'not smiling'}, by {known['by']}")
    return drawn, captions


def of_edits(dataset: Dataset, data: Path, *, max_pixels: int) -> Sheet:
    """Photographs as they were and edited, beside each other; of videos nothing."""
    from ops import images

    drawn, captions = [], []
    for known in _few(dataset, "output"):
        if known["alpha"] is None:
            continue
        both = (data / known["picture"], dataset.folder / known["output"])
        drawn.append(_small(np.hstack([images.read(path, max_pixels=max_pixels) for path in both])))
        engines = {"eyes": known["eyes_by"], "smile": known["smile_by"]}
        captions.append("\n".join(f"{part} by {engine}" for part, engine in engines.items() if engine))
    return drawn, captions


def of_digital_masks(dataset: Dataset, *, max_pixels: int) -> Sheet:
    """Covered pictures beside the digital masks alone; never what they were made from."""
    from ops import images

    drawn, captions = [], []
    for known in _few(dataset, "output"):
        both = [images.read(dataset.folder / known[name], max_pixels=max_pixels) for name in ("output", "on_black")]
        drawn.append(_small(np.hstack(both)))
        captions.append(
            known["drawn_as"]
            if known["identity_cosine"] is None
            else f"cosine to the bare face {known['identity_cosine']:.2f}"
        )
    return drawn, captions


def of_outputs(dataset: Dataset, caption: str, *, max_pixels: int) -> Sheet:
    """Output pictures, captioned with a column."""
    from ops import images

    rows = _few(dataset, "output")
    pictures = [_small(images.read(dataset.folder / known["output"], max_pixels=max_pixels)) for known in rows]
    return pictures, [str(known[caption]) for known in rows]
