"""YAML read as plain values, however broken or hostile the file is.

PyYAML's safe loader makes no objects, but a few bytes of aliases can stand for gigabytes, the time that nesting takes
grows squared, and a scalar that is tagged as what it is not ends in whatever error its constructor runs into.
"""

from __future__ import annotations

from typing import Any

from ops.telling import printable

LARGEST = 64 << 10
"""Bytes of a file."""

DEEPEST = 16
"""Levels of nesting."""

_UNSOUND = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)
"""What PyYAML's constructors end in where a scalar is not what its tag says."""


class BadYaml(ValueError):
    """No YAML that is read; the message, of one line, says why."""


def read_yaml(data: bytes, *, aliases: bool = False) -> Any:
    """Return what a file of YAML tells: tables, lists, texts, numbers, dates, True, False and None.

    Args:
        data: the file's content.
        aliases: they may be in it; for files of the project's own.

    Raises:
        BadYaml: no YAML; or YAML with aliases, with tags of other things, nested too deeply, or too large.

    >>> read_yaml(b"names: [mask, 3]")
    {'names': ['mask', 3]}
    """
    import yaml

    if len(data) > LARGEST:
        raise BadYaml(f"more than {LARGEST} bytes of YAML")
    depth = 0
    try:
        for event in yaml.parse(data, yaml.SafeLoader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if (isinstance(event, yaml.AliasEvent) and not aliases) or depth > DEEPEST:
                break
        else:
            return yaml.safe_load(data)
    except yaml.YAMLError as error:
        raise BadYaml(f"no YAML: {printable(' '.join(str(error).split()))}") from None
    except _UNSOUND as error:
        raise BadYaml(f"no YAML: a value is none of its kind ({type(error).__name__})") from None
    raise BadYaml(f"YAML with aliases, or nested more than {DEEPEST} deep, which is not read")
