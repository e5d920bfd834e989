"""Figures as files: JSON and CSV, the same numbers in the same bytes."""

from __future__ import annotations

import csv
import io
import json
import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


def as_json(told: Mapping[str, Any]) -> bytes:
    """Return a JSON file."""
    return (json.dumps(told, indent=2) + "\n").encode()


def as_csv(names: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """Return a CSV file.

    Args:
        names: of the columns.
        rows: a value a column.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(rows)
    return text.getvalue().encode()


def figure_text(value: float) -> str:
    """Return a figure as tables show it, empty for NaN."""
    return "" if math.isnan(value) else f"{value:.4f}"


def number(value: float) -> float | None:
    """Return a figure as JSON has it, nothing for NaN."""
    return None if math.isnan(value) else round(float(value), 4)
