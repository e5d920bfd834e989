"""Text as it may be told: without secrets, and without what a terminal would obey.

File names, class names and error messages come from elsewhere. They are kept as they are, and pass through here where
they are told to people: on a terminal, in a log, in a report.
"""

from __future__ import annotations

import os
import re
from urllib.parse import unquote, urlsplit

HIDDEN = "***"
"""What stands in a secret's place."""

SHORTEST = 6
"""Characters from which on a setting is taken for a secret; ``true`` and ``1`` are none."""

FOLDERS = ("PWD", "OLDPWD")
"""Variables in which a shell keeps where it is, and was: no secrets, whatever their names look like."""

_WORDS = r"[\w-]*(?:token|secret|passw|pwd|credential|signature|api_?-?key|access_?-?key)[\w-]*"
_SECRET = re.compile(_WORDS, re.IGNORECASE)
_LOGIN = re.compile(r"(?<=:/)(/?)[^\s/?#'\"<>]+@")
"""Of a URL, even one that was taken for a path, and so lost a slash."""

_TOLD = re.compile(rf"(?<![\w-])({_WORDS}(?:\s*=\s*|['\"]\s*:\s*)['\"]?)[^\s&'\"]+", re.IGNORECASE)
_HEADER = re.compile(r"\b(basic|bearer) +[\w+/.~-]{6,}=*", re.IGNORECASE)


def redacted(text: str) -> str:
    """Return text without its secrets.

    These are: who logs in in a URL, and how; what follows a word such as ``token=`` or ``Bearer``; and, wherever it
    occurs, what an environment variable holds whose name has such a word in it.

    >>> redacted("no answer from http://ann:s3cret@host/a?token=42")
    'no answer from http://***@host/a?token=***'
    """
    known = (value for name, value in os.environ.items() if _is_secret(name) and len(value) >= SHORTEST)
    for value in sorted(known, key=len, reverse=True):
        text = text.replace(value, HIDDEN)
    for pattern, shown in ((_LOGIN, rf"\1{HIDDEN}@"), (_TOLD, rf"\1{HIDDEN}"), (_HEADER, rf"\1 {HIDDEN}")):
        text = pattern.sub(shown, text)
    return text


def _is_secret(name: str) -> bool:
    return name not in FOLDERS and _SECRET.fullmatch(name) is not None


def printable(text: str) -> str:
    r"""Return text in which everything that is no letter, sign or line break stands as an escape.

    >>> print(printable("a\x1b[2J.jpg"))
    a\x1b[2J.jpg
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() or each == "\n" else _escaped(each) for each in text)


def without_login(url: str) -> tuple[str, str, str]:
    """Return a URL without the name and the password in it, and these, decoded.

    >>> without_login("https://ann:s%40cret@host:81/a")
    ('https://host:81/a', 'ann', 's@cret')
    """
    parts = urlsplit(url)
    login, _, host = parts.netloc.rpartition("@")
    name, _, password = login.partition(":")
    return parts._replace(netloc=host).geturl(), unquote(name), unquote(password)


def tellable(text: str) -> str:
    """Return text as people are told it: :func:`redacted`, and :func:`printable`."""
    return printable(redacted(text))


def _escaped(letter: str) -> str:
    return letter.encode("unicode_escape").decode()
