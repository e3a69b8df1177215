"""What the kernel's functions are called: those of the documents (Linux 3.15) and of the clauses' paths, kernel by kernel.

Owns `specification/functions.toml`, its checks, and the answer to "what does this function's work on that kernel". Knows neither
traces nor cases. A name that the file doesn't know is called the same on every kernel.

    [[function]]
    name = "sock_aio_read"          the name in the documents, else the oldest kernel's (5.10)
    documents = ["002"]             which documents name it; left out where only clauses do
    is = "function"                 how it exists: function | syscall | inline: static inline or macro, or compilers put it into the
                                    callers that count, whether it has a symbol or not
    common = true                   called all the time: of interest only where a clause's path names it
    unreached = "..."               only where true: why no case reaches it
    [[function.change]]
    since = ["3.16"]                as in a clause: one value for each stable branch
    names = ["sock_read_iter"]      what does its work from then on; several: any of them; none: nothing has its place
    is = "function"                 how these exist; left out: as before
    why = "..."                     what changed, and the source that shows it
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

from suites.clauses import FUNCTION, SPECIFICATION, SpecificationError, applies, check_since, read_toml

FILE = SPECIFICATION / "functions.toml"
DOCUMENTS = ("000", "001", "002", "003", "004")
KINDS = ("function", "inline", "syscall")

_KEYS: dict[str, type] = {
    "name": str,
    "documents": list,
    "is": str,
    "common": bool,
    "unreached": str,
    "change": list,
}
_CHANGE_KEYS: dict[str, type] = {"since": list, "names": list, "is": str, "why": str}
_OPTIONAL_IN_CHANGE = {"is"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """From some kernel on, others do a function's work, or it exists in another way."""

    since: tuple[str, ...]
    names: tuple[str, ...]
    is_: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """A function of the kernel by its oldest name, and what became of it."""

    name: str
    documents: tuple[str, ...] = ()
    is_: str = "function"
    common: bool = False
    unreached: str | None = None
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """A function on one kernel: the names under which its work is done there; `since` and `why` if they aren't as of old."""

    name: str
    now: tuple[str, ...]
    is_: str
    since: tuple[str, ...] | None = None
    why: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Functions:
    """All functions of which more than the name is known, by name."""

    known: Mapping[str, Function]

    def function(self, name: str) -> Function:
        """What is known of a function; one that the file doesn't name has nothing but its name."""
        return self.known.get(name) or Function(name=name)

    def resolve(self, name: str, kernel: tuple[int, ...] | None) -> Resolved:
        """What does a function's work on a kernel, (6, 12, 107); None stands for the newest. The last change that applies holds."""
        function = self.function(name)
        resolved = Resolved(name=name, now=(name,), is_=function.is_)
        for change in function.changes:
            if kernel is None or applies(change.since, kernel):
                resolved = Resolved(name=name, now=change.names, is_=change.is_, since=change.since, why=change.why)
        return resolved

    def of_document(self, document: str) -> tuple[str, ...]:
        """The functions that a document names, in the file's order."""
        return tuple(name for name, function in self.known.items() if document in function.documents)


@cache
def load(path: Path = FILE) -> Functions:
    """Read and check the file; raises SpecificationError at the first function that can't be used."""
    document = read_toml(path)
    if set(document) != {"function"}:
        raise SpecificationError(f"{path.name}: it holds [[function]] tables and nothing else")
    known: dict[str, Function] = {}
    for table in document["function"]:
        function = _function(path.name, table)
        if function.name in known:
            raise SpecificationError(f"{path.name}: function {function.name}: it is given twice")
        known[function.name] = function
    return Functions(known=known)


def _function(file: str, table: Mapping[str, Any]) -> Function:
    name = table.get("name", "(without a name)")

    def fail(key: str, why: str) -> NoReturn:
        raise SpecificationError(f"{file}: function {name}: {key}: {why}")

    _check(table, _KEYS, set(_KEYS) - {"name"}, "", fail)
    _check_names([name], "name", fail)
    kind = table.get("is", "function")
    for document in table.get("documents", ()):
        if document not in DOCUMENTS:
            fail("documents", f"there is no document {document!r}; there are {', '.join(DOCUMENTS)}")
    changes: list[Change] = []
    for change in table.get("change", ()):
        _check(change, _CHANGE_KEYS, _OPTIONAL_IN_CHANGE, "change.", fail)
        _check_names(change["names"], "change.names", fail)
        check_since(change["since"] or ("",), fail)
        if all(text.count(".") == 2 for text in change["since"]):
            fail("change.since", "names stable branches only; add the first release that has the change")
        before = changes[-1].is_ if changes else kind
        changes.append(
            Change(
                since=tuple(change["since"]),
                names=tuple(change["names"]),
                is_=change.get("is", before),
                why=change["why"],
            )
        )
    return Function(
        name=name,
        documents=tuple(table.get("documents", ())),
        is_=kind,
        common=table.get("common", False),
        unreached=table.get("unreached"),
        changes=tuple(changes),
    )


def _check(table: Mapping[str, Any], keys: Mapping[str, type], optional: set[str], within: str, fail: Any) -> None:
    """Every key is known and of its type, and none that is needed is missing or empty of words."""
    for key, value in table.items():
        if key not in keys:
            fail(within + key, f"there is no such key; there are {', '.join(keys)}")
        if not isinstance(value, keys[key]):
            fail(within + key, f"must be a {keys[key].__name__}")
        if value == "":
            fail(within + key, "says nothing")
    for key in keys:
        if key not in table and key not in optional:
            fail(within + key, "is missing")
    if table.get("is", "function") not in KINDS:
        fail(within + "is", f"{table['is']!r} is no kind; there are {', '.join(KINDS)}")


def _check_names(names: Iterable[Any], key: str, fail: Any) -> None:
    for name in names:
        if not isinstance(name, str) or not FUNCTION.fullmatch(name):
            fail(key, f"{name!r} isn't a function's name")
