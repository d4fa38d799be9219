"""Check values from a file against annotated types: types, lengths, finite numbers. Every document is read with it.

Files are copied, edited, truncated and written by later versions, so any fault must give an error of one sentence.
"""

import dataclasses
import json
import math
import types
from collections.abc import Callable
from functools import cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from reslab.errors import ResLabError

T = TypeVar("T")

_DEEPEST = 32
_LARGEST = 2**64
_SIMPLE: dict[Any, tuple[type | tuple[type, ...], str]] = {
    bool: (bool, "true or false"),
    int: (int, "a whole number"),
    float: ((int, float), "a number"),
    str: (str, "a text"),
}


def parse(text: str | bytes, where: object) -> Any:
    """JSON as plain values.

    Raises:
        ResLabError: it is not JSON, or nested too deeply; `where` is the file that the message names.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise ResLabError(f"{where} is damaged: it is not JSON") from None


def build(kind: type[T], content: Any, where: object, place: str = "") -> T:
    """A value of the annotated type `kind`, most often a dataclass, from plain values; lists become tuples.

    Args:
        where: the file that the message names.
        place: the field in it.

    Raises:
        ResLabError: a field is missing, unknown or of another type, or a number is not finite.
    """
    return _value(kind, content, where, place)


def build_known(kind: type[T], content: Any, where: object, place: str = "") -> T:
    """The same for a dataclass, from a document that may have more fields, which are ignored."""
    if isinstance(content, dict):
        known = {field.name for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
        content = {name: value for name, value in content.items() if name in known}
    return _value(kind, content, where, place)


def _value(kind: Any, content: Any, where: object, place: str) -> Any:
    complain: Callable[[str], ResLabError] = lambda what: ResLabError(f"{where} is damaged: {place or 'it'} {what}")  # noqa: E731
    if dataclasses.is_dataclass(kind):
        return _dataclass(kind, content, where, place)
    if kind is Any:
        _refuse_odd(content, complain)
        return content
    origin, of = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        (other,) = (option for option in of if option is not type(None))
        return content if content is None else _value(other, content, where, place)
    if origin is Literal:
        if not isinstance(content, str) or content not in of:
            raise complain(f"is {shown(content)}, not {' or '.join(map(str, of))}")
        return content
    if origin is tuple:
        if not isinstance(content, list | tuple) or (of[-1] is not Ellipsis and len(content) != len(of)):
            raise complain(f"is {shown(content)}, not a list" + (f" of {len(of)}" if of[-1] is not Ellipsis else ""))
        kinds = of[:1] * len(content) if of[-1] is Ellipsis else of
        pairs = enumerate(zip(kinds, content, strict=True))
        return tuple(_value(one, value, where, f"{place}[{n}]") for n, (one, value) in pairs)
    if origin is dict:
        if not isinstance(content, dict):
            raise complain(f"is {shown(content)}, not a set of fields")
        return {k: _value(of[1], value, where, _inner(place, k)) for k, value in content.items()}
    accepted, word = _SIMPLE[kind]
    if not isinstance(content, accepted) or (isinstance(content, bool) and kind is not bool):
        raise complain(f"is {shown(content)}, not {word}")
    if isinstance(content, int | float):
        _refuse_odd(content, complain)
    return content


def _dataclass(kind: type[T], content: Any, where: object, place: str) -> T:
    if not isinstance(content, dict):
        raise ResLabError(f"{where} is damaged: {place or 'it'} is {shown(content)}, not a set of fields")
    hints, fields = _hints(kind), dataclasses.fields(kind)  # type: ignore[arg-type]
    odd = sorted(content.keys() - {field.name for field in fields})
    if odd:
        raise ResLabError(
            f"{where} was written by another version of ResLab: its field {_inner(place, odd[0])} is unknown here",
            "pip install -U reslab",
        )
    empty = dataclasses.MISSING
    for field in fields:
        if field.name not in content and field.default is empty and field.default_factory is empty:
            raise ResLabError(f"{where} is damaged: {_inner(place, field.name)} is missing")
    values = {name: _value(hints[name], value, where, _inner(place, name)) for name, value in content.items()}
    try:
        return kind(**values)
    except ResLabError as error:
        raise ResLabError(f"{where} is damaged: {error.message}", error.hint) from None


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _refuse_odd(content: Any, complain: Callable[[str], ResLabError], depth: int = 0) -> None:
    """Refuse what we never write: infinities, NaN, numbers beyond 64 bits, text that is not Unicode, deep nesting."""
    if depth > _DEEPEST:
        raise complain("is nested too deeply")
    if isinstance(content, dict | list):
        for value in (*content, *content.values()) if isinstance(content, dict) else content:
            _refuse_odd(value, complain, depth + 1)
    elif isinstance(content, str):
        if any("\ud800" <= letter < "\udc80" or "\udcff" < letter <= "\udfff" for letter in content):
            # the surrogates in between stand for undecodable bytes of a file name
            raise complain(f"holds {shown(content)}, which is not text")
    elif isinstance(content, float) and not math.isfinite(content):
        raise complain(f"holds {content}, which is not a finite number")
    elif isinstance(content, int) and abs(content) > _LARGEST:
        raise complain("holds a number beyond 64 bits")


def _inner(place: str, name: str) -> str:
    return f"{place}.{name[:40]}" if place else name[:40]


def shown(content: Any) -> str:
    """The value, abbreviated."""
    if isinstance(content, dict | list | tuple):
        return f"{'a set' if isinstance(content, dict) else 'a list'} of {len(content)}"
    text = ascii(content) if not isinstance(content, int) or abs(content) <= _LARGEST else "a number beyond 64 bits"
    return text if len(text) <= 40 else text[:37] + "..."
