"""Figures as files: JSON and CSV, the same numbers in the same bytes."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""How a cell begins that a spreadsheet may take for a formula; the last four are the first in full width."""

NUMBER = re.compile(r"[-+]?\d+(\.\d+)?(e[-+]?\d+)?", re.ASCII)


def as_json(told: Mapping[str, Any]) -> bytes:
    """Return a JSON file."""
    return (json.dumps(told, indent=2) + "\n").encode()


def as_csv(names: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    r"""Return a CSV file, as UTF-8, no cell of which is a formula.

    A text that begins as formulas do, and is no number, gets an apostrophe before it; spreadsheets don't show that.

    Args:
        names: of the columns.
        rows: a value a column; None is an empty cell.

    >>> as_csv(["picture", "score"], [["=1+2.jpg", "-0.5"]])
    b"picture,score\n'=1+2.jpg,-0.5\n"
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([_cell(value) for value in row] for row in (names, *rows))
    return text.getvalue().encode("utf-8", "backslashreplace")


def _cell(value: object) -> object:
    wants = isinstance(value, str) and value.startswith(FORMULA) and not NUMBER.fullmatch(value)
    return f"'{value}" if wants else value


def figure_text(value: float) -> str:
    """Return a figure as tables show it, empty for NaN."""
    return "" if math.isnan(value) else f"{value:.4f}"


def number(value: float) -> float | None:
    """Return a figure as JSON has it, nothing for NaN."""
    return None if math.isnan(value) else round(float(value), 4)
