"""How the app is served: every option in one place, none in a hidden file."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import NoReturn

PICTURE_MB, VIDEO_MB = 50, 500
"""Largest upload of each kind. The browser refuses what is larger before it is sent; the server refuses what is larger
than the larger of the two, and pictures when they are looked at."""

THEME = {
    "base": "light",
    "primaryColor": "#1f6feb",
    "backgroundColor": "#ffffff",
    "secondaryBackgroundColor": "#f4f5f7",
    "textColor": "#2d333d",
    "greenTextColor": "#50dc64",
    "redTextColor": "#ff4646",
    "orangeTextColor": "#ffbe28",
    "headingFontSizes": '["2rem", "1.5rem", "1.15rem"]',
    "paddingTop": "1.5rem",
    "baseRadius": "0.6rem",
    "showWidgetBorder": "true",
}
"""Text in green, red and orange has the colours of the classes, as :data:`ops.pictures.CLASS_COLOURS` draws them."""

OPTIONS = {
    "server.headless": "true",
    "server.fileWatcherType": "none",
    "server.maxUploadSize": str(VIDEO_MB),
    "browser.gatherUsageStats": "false",
    "client.toolbarMode": "minimal",
    "client.showErrorDetails": "none",
    "client.disableDataExport": "true",
    "runner.magicEnabled": "false",
    **{f"theme.{name}": value for name, value in THEME.items()},
}
"""No statistics leave the machine; tables are downloaded through the app's own buttons, which write no formulas."""


def command(data: Path, host: str, port: int) -> list[str]:
    """Return the command line that serves the app on ``host`` and ``port`` over a data folder."""
    script = Path(__file__).with_name("main.py")
    options = {"server.address": host, "server.port": str(port), **OPTIONS}
    told = [word for name, value in options.items() for word in (f"--{name}", value)]
    return [sys.executable, "-m", "streamlit", "run", str(script), *told, "--", "--data", str(data.resolve())]


def serve(data: Path, host: str, port: int) -> NoReturn:
    """Become the server, so that what stops this process stops it."""
    words = command(data, host, port)
    os.execv(words[0], words)  # noqa: S606 - no shell, and every word is ours


def data_folder(words: list[str]) -> Path:
    """Return the data folder that :func:`command` told the script.

    >>> data_folder(["main.py", "--data", "elsewhere"]).name
    'elsewhere'
    """
    return Path(words[words.index("--data") + 1]) if "--data" in words[:-1] else Path("data")
