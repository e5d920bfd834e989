"""Pickles of arrays read as data: nothing that a file names is imported, called or made.

The file's steps are followed on a stack of plain values. Where a pickle asks for an object, a record of what it asked
for is put in its place; records of numpy's, scipy's and chumpy's arrays are turned into arrays afterwards, by hand.
So a file can do no more than be refused.
"""

from __future__ import annotations

import pickletools
import re
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

LARGEST = 1 << 28
"""Bytes of a file, and of an array that one describes; FLAME takes 53 million."""

MOST_STEPS = 20_000
"""Steps in a pickle; FLAME takes some hundred."""

ARRAY, BUFFER = "numpy.core.multiarray._reconstruct", "numpy.core.numeric._frombuffer"
DTYPE, SCALAR, CHUMPY = "numpy.dtype", "numpy.core.multiarray.scalar", "chumpy."
OLD_STYLE, BYTES, NO_BYTES = "copy_reg._reconstructor", "_codecs.encode", "builtins.bytes"
BY_COLUMN, BY_ROW = "scipy.sparse.csc.csc_matrix", "scipy.sparse.csr.csr_matrix"
PASSED_OVER = ("numpy.ndarray", "builtins.set", "builtins.object")
KNOWN = {ARRAY, BUFFER, DTYPE, SCALAR, OLD_STYLE, BYTES, NO_BYTES, BY_COLUMN, BY_ROW, *PASSED_OVER}
RENAMED = (
    ("numpy._core.", "numpy.core."),
    ("scipy.sparse._cs", "scipy.sparse.cs"),
    ("__builtin__.", "builtins."),
    ("copyreg.", "copy_reg."),
)

_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY: dict[str, type] = {"EMPTY_TUPLE": tuple, "EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_SET": list}
_VALUES = ("BIN", "SHORT_BIN", "INT", "LONG", "FLOAT", "STRING", "UNICODE", "BYTEARRAY")
UNSOUND = (ValueError, IndexError, KeyError, TypeError, AttributeError, ArithmeticError)
"""What following a broken pickle ends in."""

_MARK = object()
"""Where a list of values on the stack begins."""

_NUMBERS = re.compile(r"[iuf][1248]|b1")


class PickleRefused(ValueError):
    """A pickle that is none, or holds something else than arrays."""


@dataclass(slots=True, eq=False)
class Asked:
    """What a pickle asked to be made: by what name, of what, and the state that it was to get."""

    name: str
    given: Any = None
    state: Any = None


def read_pickle(data: bytes) -> Any:
    """Return what a pickle of protocol 1 or later holds: plain values, and :class:`Asked` in place of objects.

    Raises:
        PickleRefused: it is no pickle, takes too many steps, or names something that is no array.
    """
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    try:
        for opcode, arg, _ in islice(pickletools.genops(data), MOST_STEPS):
            if opcode.name == "STOP":
                (value,) = stack
                return value
            if not any(follow(opcode.name, arg, stack, memo) for follow in (_remember, _ask, _gather, _constant)):
                raise PickleRefused(f"it takes the step {opcode.name}, which no pickle of arrays takes")
    except PickleRefused:
        raise
    except UNSOUND as error:
        raise PickleRefused(f"it is no sound pickle ({type(error).__name__})") from None
    raise PickleRefused(f"it takes more than {MOST_STEPS} steps")


def _constant(name: str, arg: Any, stack: list[Any], memo: dict[int, Any]) -> bool:
    """Follow a step that puts down a plain value."""
    if name in _CONSTANTS:
        stack.append(_CONSTANTS[name])
    elif name in _EMPTY:
        stack.append(_EMPTY[name]())
    elif name.startswith(_VALUES) and arg is not None:
        stack.append(arg)
    else:
        return name in {"PROTO", "FRAME"}
    return True


def _remember(name: str, arg: Any, stack: list[Any], memo: dict[int, Any]) -> bool:
    """Follow a step that notes a value, or puts down one again."""
    match name:
        case "PUT" | "BINPUT" | "LONG_BINPUT":
            memo[arg] = stack[-1]
        case "MEMOIZE":
            memo[len(memo)] = stack[-1]
        case "GET" | "BINGET" | "LONG_BINGET":
            stack.append(memo[arg])
        case _:
            return False
    return True


def _ask(name: str, arg: Any, stack: list[Any], memo: dict[int, Any]) -> bool:
    """Follow a step that wants something imported or made: note what."""
    match name:
        case "GLOBAL":
            stack.append(Asked(_known(arg.replace(" ", "."))))
        case "STACK_GLOBAL":
            module, attribute = _popped(stack, 2)
            stack.append(Asked(_known(f"{module}.{attribute}")))
        case "REDUCE" | "NEWOBJ":
            what, given = _popped(stack, 2)
            stack.append(Asked(given[0].name if what.name == OLD_STYLE else what.name, given))
        case "BUILD":
            state = stack.pop()
            stack[-1].state = state
        case _:
            return False
    return True


def _gather(name: str, arg: Any, stack: list[Any], memo: dict[int, Any]) -> bool:
    """Follow a step that puts values into a tuple, a list or a table."""
    match name:
        case "MARK":
            stack.append(_MARK)
        case "TUPLE1" | "TUPLE2" | "TUPLE3":
            stack.append(tuple(_popped(stack, int(name[-1]))))
        case "TUPLE" | "LIST":
            values = _marked(stack)
            stack.append(tuple(values) if name == "TUPLE" else values)
        case "APPEND" | "APPENDS" | "ADDITEMS":
            values = _popped(stack, 1) if name == "APPEND" else _marked(stack)
            stack[-1].extend(values)
        case "SETITEM" | "SETITEMS":
            values = _popped(stack, 2) if name == "SETITEM" else _marked(stack)
            _set(stack[-1], values)
        case "DICT":
            values = _marked(stack)
            stack.append({})
            _set(stack[-1], values)
        case _:
            return False
    return True


def _known(name: str) -> str:
    """Return a global's name as numpy 1 and Python 2 spell it."""
    for new, old in RENAMED:
        name = name.replace(new, old, 1) if name.startswith(new) else name
    if name not in KNOWN and not name.startswith(CHUMPY):
        raise PickleRefused(f"it asks for {name!r}, which is no array")
    return name


def _popped(stack: list[Any], count: int) -> list[Any]:
    values = [stack.pop() for _ in range(count)]
    return values[::-1]


def _marked(stack: list[Any]) -> list[Any]:
    """Take what is above the last mark off the stack, and the mark too."""
    start = len(stack) - 1 - stack[::-1].index(_MARK)
    values = stack[start + 1 :]
    del stack[start:]
    return values


def _set(table: dict[str, Any], values: list[Any]) -> None:
    """Put keys and values, one after the other, into a table; keys are texts, which are quick to compare."""
    for key, value in zip(values[::2], values[1::2], strict=True):
        if not isinstance(key, str | int):
            raise PickleRefused("it has a table whose keys are no texts")
        table[str(key)] = value


def as_array(value: Any) -> NDArray[Any]:
    """Return the array of numbers that a pickle asked for, with chumpy's expressions evaluated.

    Raises:
        PickleRefused: it is none, or not the length that it says.
    """
    try:
        return _array(value)
    except PickleRefused:
        raise
    except UNSOUND as error:
        raise PickleRefused(f"it has a broken array ({type(error).__name__})") from None


def only_object(value: Any) -> Any:
    """Return what an array of one object that a pickle asked for holds.

    Raises:
        PickleRefused: it is no such array.
    """
    held = value.state[-1] if isinstance(value, Asked) and isinstance(value.state, tuple) else None
    if not isinstance(held, list) or len(held) != 1:
        raise PickleRefused("it holds something else than one object")
    return held[0]


def _array(value: Any) -> NDArray[Any]:
    if isinstance(value, list | tuple):
        return np.array([_number(number) for number in value], np.float64)
    match value.name:
        case "chumpy.ch.Ch":
            return _plain(value.state["x"])
        case "chumpy.reordering.Select":
            state = value.state
            source = state["a"].state["x"] if state["a"].name == "chumpy.ch.Ch" else state["a"]
            return _plain(source).ravel()[_plain(state["idxs"])].reshape(_sizes(state["preferred_shape"]))
        case name if name in {BY_COLUMN, BY_ROW}:
            return _dense(value.state, by_row=name == BY_ROW)
    return _plain(value)


def _plain(value: Any) -> NDArray[Any]:
    """Return an array of numpy's."""
    if value.name == BUFFER:
        data, kind, shape, order = value.given
        return _numbers(data, kind, shape, order)
    if value.name != ARRAY:
        raise PickleRefused(f"it has {value.name!r} where an array is due")
    _, shape, kind, by_column, data = value.state
    return _numbers(data, kind, shape, "F" if by_column else "C")


def _numbers(data: Any, kind: Asked, shape: Any, order: str) -> NDArray[Any]:
    """Return numbers from their bytes, which Python 2 writes as a text and Python 3 at times as an encoded one."""
    if isinstance(data, Asked) and data.name in {BYTES, NO_BYTES}:
        data = data.given[0] if data.given else ""
    raw = data.encode("latin-1") if isinstance(data, str) else data
    code, sign = kind.given[0], kind.state[1] if kind.state else "|"
    if kind.name != DTYPE or not _NUMBERS.fullmatch(code) or sign not in {"<", ">", "|", "="}:
        raise PickleRefused("it has an array of something else than numbers")
    return np.frombuffer(raw, np.dtype(sign + code)).reshape(_sizes(shape), order="F" if order == "F" else "C")


def _number(value: Any) -> int | float:
    if isinstance(value, int | float):
        return value
    if value.name != SCALAR:
        raise PickleRefused(f"it has {value.name!r} where a number is due")
    kind, data = value.given
    return _numbers(data, kind, (), "C").item()


def _sizes(shape: Any) -> tuple[int, ...]:
    """Return an array's shape; -1 and the like are refused."""
    sizes = tuple(int(_number(size)) for size in shape)
    if min(sizes, default=0) < 0:
        raise PickleRefused(f"it has an array of the shape {sizes}")
    return sizes


def _dense(state: dict[str, Any], *, by_row: bool) -> NDArray[Any]:
    """Return a matrix that is kept as its rows' or its columns' numbers that are not 0."""
    shape = _sizes(state["_shape"])
    rows, columns = shape
    values, inner, starts = (_plain(state[name]) for name in ("data", "indices", "indptr"))
    sound = starts[0] == 0 and starts[-1] == len(values) and np.array_equal(np.sort(starts), starts)
    if rows * columns * 8 > LARGEST or not sound:
        raise PickleRefused(f"it has a broken or a huge sparse matrix of {rows} x {columns}")
    outer = np.arange(rows if by_row else columns).repeat(np.diff(starts))
    matrix = np.zeros(shape)
    matrix[(outer, inner) if by_row else (inner, outer)] = values
    return matrix
