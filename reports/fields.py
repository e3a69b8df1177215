"""The values of a record's line, checked: each by its key and by the type that the format promises.

Owns the types that values may have, the words that name them in an error, and how a key is looked up. Knows no type of line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

Json = Any
Object = Mapping[str, Json]


class LineError(ValueError):
    """A line isn't what the format says; the message says which key is wrong and why, without file or line number."""


class Kind(NamedTuple):
    """A type of JSON value, with the words that name it in an error."""

    words: str
    accepts: Callable[[Json], bool]


def _is_scalar(value: Json) -> bool:
    return value is None or isinstance(value, (str, int, float))


def _is_texts(value: Json) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


TEXT = Kind("a string", lambda value: isinstance(value, str))
NAME = Kind("a string or null", lambda value: value is None or isinstance(value, str))
FLAG = Kind("true or false", lambda value: isinstance(value, bool))
INTEGER = Kind("an integer of 64 bits", lambda value: type(value) is int and -(2**63) <= value < 2**64)
INTEGER_OR_NULL = Kind("an integer or null", lambda value: value is None or INTEGER.accepts(value))
SCALAR = Kind("a number, a string or null", _is_scalar)
FACT = Kind(
    "a number, a string, null or a list of those",
    lambda value: _is_scalar(value) or (isinstance(value, list) and all(map(_is_scalar, value))),
)
LIST = Kind("a list", lambda value: isinstance(value, list))
TEXTS = Kind("a list of strings", _is_texts)
OBJECT = Kind("an object", lambda value: isinstance(value, dict))
OBJECT_OR_NULL = Kind("an object or null", lambda value: value is None or isinstance(value, dict))
TEXT_BY_NAME = Kind(
    "an object of strings",
    lambda value: isinstance(value, dict) and all(isinstance(item, str) for item in value.values()),
)
INTEGER_BY_NAME = Kind(
    "an object of integers", lambda value: isinstance(value, dict) and all(map(INTEGER.accepts, value.values()))
)
_NEEDED: Any = object()


def get(line: Object, key: str, kind: Kind, default: Any = _NEEDED) -> Any:
    """The value of a key, checked; `default` if the key isn't there, else LineError."""
    if key not in line:
        if default is _NEEDED:
            raise LineError(f'it has no "{key}"')
        return default
    if not kind.accepts(line[key]):
        raise LineError(f'its "{key}" must be {kind.words}')
    return line[key]


def each(line: Object, key: str) -> Iterator[Object]:
    """The objects of a list, none if the key isn't there."""
    for item in get(line, key, LIST, []):
        if not isinstance(item, dict):
            raise LineError(f'its "{key}" must be a list of objects')
        yield item


def named(line: Object, key: str) -> Iterator[tuple[str, Object]]:
    """The objects of an object with their names, none if the key isn't there."""
    for name, item in get(line, key, OBJECT, {}).items():
        if not isinstance(item, dict):
            raise LineError(f'its "{key}" must be an object of objects')
        yield name, item
