"""Records that something went wrong with: made from whole ones by a number, so that any can be made again.

Owns what can go wrong: values dropped, replaced, doubled, exchanged or of another type, nesting and numbers beyond measure, strange
text, lines that are cut, doubled or out of order, and bytes that are flipped, lost, put in, or aren't UTF-8.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any

from reports.record import LINE_LIMIT

Line = dict[str, Any]
Place = tuple[Any, Any]
"""An object or a list, and the key or index of one of its values."""

DEPTH, DIGITS, LONG = 50_000, 6_000, 100_000
LITERAL = {
    "@deep list@": b"[" * DEPTH + b"]" * DEPTH,
    "@deep object@": b'{"a":' * DEPTH + b"0" + b"}" * DEPTH,
    "@digits@": b"9" * DIGITS,
    "@exponent@": b"1e999999",
    "@half of a pair@": b'"\\ud800"',
    "@not UTF-8@": b'"\xff\xfe\xc0\x80"',
    "@twice@": b'0,"type":"case"',
}
"""What `json` doesn't write, and the words that stand for it until a line is text."""

TEXTS = (
    *(
        "",
        " ",
        "\0",
        "\n",
        "\t",
        "'",
        '"',
        "\\",
        "[",
        "]",
        "a[b]c[d]",
        "::",
        ".",
        "...",
        "#",
        "%s",
        "{}",
        "/",
        "../../x",
        "0",
        "-1",
    ),
    *(
        "<img src=x onerror=alert(1)>",
        "]]>",
        "&amp;",
        "{{ 7*7 }}",
        "\u202eabc",
        "\x1b[2J",
        "\ud800",
        "\ufffe",
        "\u2028",
        "é" * 99,
    ),
    *(
        "x" * LONG,
        "<" * LONG,
        "\n" * 999,
        "a b " * 999,
        "1\n" * 99,
        "host",
        "uml-5.10",
        "PASS",
        "FAIL",
        "MISS",
        "DONE",
        "open",
    ),
    *(
        "5.10.251",
        "9" * 40,
        "armed",
        "self",
        "SIGIO",
        "POLL_IN",
        "ECONNRESET",
        "state",
        "socket",
        "poll",
        "select",
        "suites/x.py::test_y",
    ),
)
NUMBERS = (
    0,
    1,
    -1,
    2,
    40,
    255,
    2**31,
    2**32 - 1,
    2**63 - 1,
    2**63,
    -(2**63),
    2**64,
    10**40,
    -(10**40),
    0.5,
    -0.0,
    1e308,
    5e-324,
)
OTHERS: tuple[Any, ...] = (
    None,
    True,
    False,
    float("nan"),
    float("inf"),
    -float("inf"),
    [],
    {},
    [[]],
    [{}],
    {"": ""},
    {"a": {}},
    [None],
    [0, "a"],
)


def mutant(number: int, records: Sequence[Sequence[Line]]) -> bytes:
    """The mutant of a number: one of the records, with one to six things wrong. The same number gives the same bytes."""
    random = Random(number)
    lines: list[Line] = json.loads(json.dumps(random.choice(records)))
    for _ in range(random.choice((1, 1, 1, 2, 3, 6))):
        random.choice((_value, _value, _value, _value, _value, _order))(random, lines)
    ascii_only = random.random() < 0.5
    texts = [_text(line, ascii_only) for line in lines]
    if random.random() < 0.3:
        for _ in range(random.choice((1, 1, 2, 5))):
            random.choice(BYTES)(random, texts)
    return b"".join(texts)


def _places(value: Any) -> Iterator[Place]:
    """Every place that holds a value, from the outside in."""
    keys = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from _places(value[key])


def _place(random: Random, lines: list[Line]) -> Place | None:
    """A place in a line, in a line of each type as likely as in any other; in a short part of it as likely as in a long one."""
    if not lines:
        return None
    kind = random.choice(sorted({str(line.get("type")) for line in lines}))
    value: Any = random.choice([line for line in lines if str(line.get("type")) == kind])
    if random.random() < 0.5:
        return random.choice(list(_places(value)) or [None])
    place = None
    while isinstance(value, (dict, list)) and value and (place is None or random.random() < 0.8):
        key = random.choice(list(value) if isinstance(value, dict) else range(len(value)))
        place, value = (value, key), value[key]
    return place


def _value(random: Random, lines: list[Line]) -> None:
    """One value is dropped, replaced, doubled, changed a little, of another type, or exchanged with another."""
    if place := _place(random, lines):
        random.choice((_drop, _replace, _replace, _replace, _double, _alter, _alter, _retype, _exchange))(
            random, lines, *place
        )


def _drop(random: Random, lines: list[Line], holder: Any, key: Any) -> None:
    del holder[key]


def _replace(random: Random, lines: list[Line], holder: Any, key: Any) -> None:
    kinds: list[Sequence[Any]] = [TEXTS, NUMBERS, OTHERS, tuple(LITERAL)]
    if random.random() < 0.7:  # of the same type, since a record that can be read goes further
        kinds = [TEXTS] if isinstance(holder[key], str) else [NUMBERS] if isinstance(holder[key], int) else [OTHERS]
    holder[key] = random.choice(random.choice(kinds))


def _double(random: Random, lines: list[Line], holder: Any, key: Any) -> None:
    if isinstance(holder, list):
        holder[key:key] = [holder[key]] * random.choice((1, 1, 300))
    else:
        holder[random.choice(TEXTS)] = holder[key]


def _alter(random: Random, lines: list[Line], holder: Any, key: Any) -> None:
    value = holder[key]
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        holder[key] = not value
    elif isinstance(value, int):
        holder[key] = value + random.choice((-1, 1, 2**31, -(2**40), 2**70))
    else:
        cut = random.randrange(len(value) + 1)
        holder[key] = value[:cut] + random.choice(TEXTS) + value[cut + random.choice((0, 0, 1)) :]


def _retype(random: Random, lines: list[Line], holder: Any, key: Any) -> None:
    value = holder[key]
    holder[key] = random.choice(([value], {"any": value}, {"a": value}, json.dumps(value), len(json.dumps(value))))


def _exchange(random: Random, lines: list[Line], holder: Any, key: Any) -> None:
    if other := _place(random, lines):
        there = json.loads(json.dumps(other[0][other[1]]))  # else a value might come to lie in itself
        other[0][other[1]], holder[key] = json.loads(json.dumps(holder[key])), there


def _order(random: Random, lines: list[Line]) -> None:
    """A line is lost, stands twice, or stands elsewhere; or nothing comes after it."""
    if lines:
        place = random.randrange(len(lines))
        line = lines.pop(place)
        match random.randrange(4):
            case 0:
                lines[place:place] = [line, json.loads(json.dumps(line))]
            case 1:
                lines.insert(random.randrange(len(lines) + 1), line)
            case 2:
                del lines[place:]


def _text(line: Line, ascii_only: bool) -> bytes:
    text = json.dumps(line, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass") + b"\n"
    for word, literal in LITERAL.items():
        text = text.replace(json.dumps(word).encode(), literal)
    return text


# Bytes


def _flip(random: Random, text: bytearray, place: int) -> None:
    text[place] ^= 1 << random.randrange(8)


def _lose(random: Random, text: bytearray, place: int) -> None:
    del text[place : place + random.choice((1, 1, 9, 999))]


def _cut(random: Random, text: bytearray, place: int) -> None:
    del text[place:]


def _insert(random: Random, text: bytearray, place: int) -> None:
    text[place:place] = random.choice(
        (
            b"\0",
            b"\n",
            b"\r",
            b"\r\n\r\n",
            b"\xff",
            b"\xc0\x80",
            b"\xed\xa0\x80",
            b"\xef\xbb\xbf",
            b'"',
            b"}",
            b"\\u0000",
            b" " * LINE_LIMIT,
        )
    )


def _again(random: Random, text: bytearray, place: int) -> None:
    text[place:place] = text[place : place + random.choice((1, 20, 2000))]


def _anywhere(change: Callable[[Random, bytearray, int], None]) -> Callable[[Random, list[bytes]], None]:
    """A change at any byte of any line."""

    def changed(random: Random, texts: list[bytes]) -> None:
        if texts:
            line = random.randrange(len(texts))
            text = bytearray(texts[line])
            if text:
                change(random, text, random.randrange(len(text)))
            texts[line] = bytes(text)

    return changed


BYTES = tuple(_anywhere(change) for change in (_flip, _lose, _cut, _insert, _again))
