"""The specification as Python sees it: clauses read from `specification/**/*.toml`, and the expectation that each one states.

Owns the format of a clause, its checks, and how what a clause says (`revents = "IN RDNORM writable"`) becomes the plain
expectation that the judge compares and the record carries. Knows no case and asks no kernel.

What a moment of a clause may say:

    signals                 in order: "POLL_IN" (the armed signal, of the subject), "POLL_IN peer", "POLL_IN socket SIGIO",
                            "SIGIO", "SIGURG", "SIGPIPE"; {any = [[...], ...]} for alternatives; none if not given
    revents                 what all observers say of the subject, by the kernel's own mapping: poll, ppoll, select, pselect,
                            epoll (level and edge) and, where the target has them, io_uring's and AIO's poll
    poll select edge ...    one observer alone, or where it differs from `revents`; edge = "" says: no new edge
    so_error                read once, after all others; given as 0 at the last moment unless stated
    revents_after_error     what poll, select and epoll say once SO_ERROR has been read
    charge queued sndbuf    SO_MEMINFO's wmem_alloc, wmem_queued and sndbuf in bytes
    outq notsent inq        SIOCOUTQ, SIOCOUTQNSD, SIOCINQ in bytes
    sleepers                by name: "asleep", a result, an errno, "data:x", or for pollers "input: IN RDNORM"
    peer listener ...       a table of the above observers for another socket of the case
    anything else           a fact that the case itself reports: a value, an errno, "data:x", or "revents: IN RDNORM" for a mask

What a `path` may say, a function of the kernel an element, in the order in which they are entered:

    "sock_close"                        by the documents' name, else the oldest kernel's: `suites.functions` knows what it is now
    "tcp_close|unix_release_sock"       one of these
    "vfs_read @ read tcp4"              only in the cases of these variants and families

The lab asks just those observers that a moment states, because observing is an act: a poll that finds a socket unwritable
marks it, and so causes a later signal. A clause's last moment asks all of them of the subject.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from suites.judge import MASK_BITS, REASONS, SELECT_BITS, SIGNAL_NAMES, relation

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SPECIFICATION = Path(__file__).parent / "specification"
LEVELS = ("must", "should", "observed", "open")
SUBJECT = "socket"
"""The role of the socket that a clause speaks of."""

POLLS = ("poll", "ppoll", "select", "pselect", "epoll", "io_uring", "aio", "edge")
PROBED = ("io_uring", "aio")
"""Observers that a target may lack: each is a capability of the same name, and not expected to say anything without it."""

PASSIVE = ("charge", "queued", "sndbuf", "outq", "notsent", "inq")
AFTER_ERROR = ("poll_after_error", "select_after_error", "epoll_after_error")
OBSERVERS = (*PASSIVE, *POLLS, "so_error", *AFTER_ERROR)
"""All observers of a socket, in the order in which the lab asks them."""

BANDS = {1: 0x041, 2: 0x304, 3: 0x441, 4: 0x008, 5: 0x082, 6: 0x018}
"""si_band of each POLL_* code (fs/fcntl.c band_table)."""

FUNCTION = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
"""The name of a function of the kernel."""

MASK_PREFIX = "revents:"
"""How a clause writes a mask that the case itself reports."""

SI_KERNEL = 0x80
SI_USER = 0

_MASKED = {observer: "select" if "select" in observer else "poll" for observer in POLLS}
_ASKED = {"input": SELECT_BITS["READ"] | SELECT_BITS["EXCEPT"], "output": SELECT_BITS["WRITE"]}
_CODES = {name: code for code, name in REASONS.items()}
_ID = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")
_VERSION = re.compile(r"\d+\.\d+(\.\d+)?")
_REQUIRED: dict[str, type] = {
    "id": str,
    "title": str,
    "text": str,
    "level": str,
    "claims": list,
    "refs": list,
    "families": list,
}
_OPTIONAL: dict[str, type] = {
    "covers": list,
    "path": list,
    "variants": list,
    "needs": list,
    "timer": str,
    "unjudged": dict,
    "change": list,
    "expect": dict,
}


class SpecificationError(Exception):
    """The specification can't be used as it stands; the message names file, clause and key."""


class Element(NamedTuple):
    """An element of a path: the functions of which a case calls one, and the families and variants that it is for, if not all."""

    names: tuple[str, ...]
    only: frozenset[str]


def element(text: str) -> Element:
    """Read an element of a path: "tcp_close|unix_release_sock", "vfs_read @ read tcp4"."""
    names, _, only = text.partition("@")
    return Element(tuple(name.strip() for name in names.split("|")), frozenset(only.split()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """From some kernel on, a clause expects something else."""

    since: tuple[str, ...]
    why: str
    expect: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Clause:
    """One statement of the specification that a case puts in front of a kernel."""

    id: str
    title: str
    text: str
    level: str
    claims: tuple[str, ...]
    refs: tuple[str, ...]
    families: tuple[str, ...]
    covers: tuple[str, ...] = ()
    path: tuple[str, ...] = ()
    variants: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    timer: str | None = None
    unjudged: Mapping[str, str] = field(default_factory=dict)
    changes: tuple[Change, ...] = ()
    expect: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    file: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Specification:
    """All clauses by id, the words that mean something else for each family, and the digest that names this state of the text."""

    clauses: Mapping[str, Clause]
    words: Mapping[str, Mapping[str, str]]
    sha256: str

    def clause(self, name: str) -> Clause:
        """The clause of this id; raises SpecificationError naming what is near."""
        try:
            return self.clauses[name]
        except KeyError:
            raise SpecificationError(_unknown("clause", name, self.clauses)) from None

    def needs(self, clause: Clause, family: str, variant: str | None = None) -> tuple[str, ...]:
        """The capabilities without which a clause can't be tried on this family; `{variant}` is one named as the variant is."""
        needs = (meaning(self.words, need, family) if need in self.words else need for need in clause.needs)
        return tuple(need.replace("{variant}", variant or "") for need in needs if need)

    def expectation(
        self,
        clause: Clause,
        family: str | None,
        variant: str | None,
        kernel: tuple[int, ...] | None,
        lacking: Collection[str] = (),
    ) -> dict[str, Any]:
        """What the judge compares: moments with signals and facts, which facts are masks, and what isn't judged.

        `kernel` is a Linux version, (6, 12, 107); None stands for the newest text, for what isn't Linux. `lacking` are the
        observers (of PROBED) that the target hasn't got.
        """
        moments = {name: dict(stated) for name, stated in clause.expect.items()}
        for change in clause.changes:
            if kernel is None or applies(change.since, kernel):
                for name, stated in change.expect.items():
                    moments[name] = moments.get(name, {}) | dict(stated)
        compiler = _Compiler(self.words, family or "", variant or "", clause, lacking)
        last = next(reversed(moments), None)
        compiled = {name: compiler.moment(name, stated, name == last) for name, stated in moments.items()}
        return {"moments": compiled, "masks": compiler.masks, "unjudged": dict(clause.unjudged)}


def meaning(words: Mapping[str, Mapping[str, str]], word: str, family: str) -> str:
    """What a word of the vocabulary means for a family."""
    by_family = words[word]
    return by_family.get(family, by_family["default"])


def applies(since: Iterable[str], kernel: tuple[int, ...]) -> bool:
    """Whether a kernel has a change: "5.12" is the first release with it, "5.10.20" the first of that stable branch."""
    versions = [tuple(int(part) for part in text.split(".")) for text in since]
    for version in versions:
        if len(version) == 3 and version[:2] == kernel[:2]:
            return kernel[:3] >= version
    return any(kernel[:2] >= version for version in versions if len(version) == 2)


def select_bits(mask: int) -> int:
    """What select reports for a poll mask (fs/select.c POLLIN_SET, POLLOUT_SET, POLLEX_SET)."""
    bits = MASK_BITS
    readable = bits["IN"] | bits["RDNORM"] | bits["RDBAND"] | bits["HUP"] | bits["ERR"] | bits["NVAL"]
    writable = bits["OUT"] | bits["WRNORM"] | bits["WRBAND"] | bits["ERR"] | bits["NVAL"]
    exceptional = bits["PRI"] | bits["NVAL"]
    return (
        (SELECT_BITS["READ"] if mask & readable else 0)
        | (SELECT_BITS["WRITE"] if mask & writable else 0)
        | (SELECT_BITS["EXCEPT"] if mask & exceptional else 0)
    )


class _Compiler:
    """Turns what a clause says into facts and what is accepted for each, for one family and one variant."""

    def __init__(
        self,
        words: Mapping[str, Mapping[str, str]],
        family: str,
        variant: str,
        clause: Clause,
        lacking: Collection[str],
    ) -> None:
        self.lacking = lacking
        self.words = words
        self.family = family
        self.variant = variant
        self.clause = clause
        self.masks: dict[str, str] = {}
        self._known: dict[str, int] = {}

    def moment(self, name: str, stated: Mapping[str, Any], last: bool) -> dict[str, Any]:
        self.where = f"expect.{name}"
        signals = stated.get("signals", [])
        facts: dict[str, Any] = {}
        subject = {key: value for key, value in stated.items() if key == "revents_after_error" or key in OBSERVERS}
        if "revents" in stated:
            subject["revents"] = stated["revents"]
            if last:
                subject.setdefault("so_error", 0)
        self._socket(SUBJECT, subject, facts)
        for key, value in stated.items():
            if key in ("signals", "revents", "unobserved") or key in subject:
                continue
            if key == "sleepers":
                for sleeper, outcome in value.items():
                    self._sleeper(sleeper.replace("{variant}", self.variant), outcome, facts)
            elif isinstance(value, dict) and not _is_accept(value):
                self._socket(key, value, facts)
            elif isinstance(value, str) and value.startswith(MASK_PREFIX):
                self._mask(key, "poll", value.removeprefix(MASK_PREFIX), facts)
            else:
                facts[key] = self._accept(key, value)
        if last and f"{SUBJECT}.poll" not in facts and "unobserved" not in stated:
            self._fail("revents", "the last moment must say revents of the subject, or `unobserved` with the reason")
        ordered = {key: facts[key] for key in sorted(facts, key=_fact_order)}
        return {"signals": self._signals(signals), "facts": ordered}

    def _socket(self, role: str, stated: Mapping[str, Any], facts: dict[str, Any]) -> None:
        for key, value in stated.items():
            if key == "revents":
                for observer in POLLS:
                    if observer not in stated and observer not in self.lacking:
                        self._mask(f"{role}.{observer}", observer, value, facts)
            elif key == "revents_after_error":
                for observer in ("poll", "select", "epoll"):
                    self._mask(f"{role}.{observer}_after_error", observer, value, facts)
            elif key in POLLS:
                self._mask(f"{role}.{key}", key, value, facts)
            elif key in OBSERVERS:
                facts[f"{role}.{key}"] = self._accept(key, value)
            else:
                self._fail(f"{role}.{key}", f"no observer of this name; there are {', '.join(OBSERVERS)}")

    def _mask(self, fact: str, observer: str, value: Any, facts: dict[str, Any]) -> None:
        kind = self.masks[fact] = _MASKED[observer]
        masks = [self._bits(text, fact) for text in (value["any"] if isinstance(value, dict) else [value])]
        shown = [select_bits(mask) for mask in masks] if kind == "select" else masks
        facts[fact] = {"any": list(dict.fromkeys(shown))} if isinstance(value, dict) else {"is": shown[0]}

    def _bits(self, text: Any, fact: str) -> int:
        if not isinstance(text, str):
            self._fail(fact, f"a mask is written as names, not {text!r}")
        if text not in self._known:  # each observer is to see the same
            self._known[text] = self._read(text, fact)
        return self._known[text]

    def _read(self, text: str, fact: str) -> int:
        mask = 0
        for word in text.split():
            if word in MASK_BITS:
                mask |= MASK_BITS[word]
            elif word in self.words:
                mask |= self._bits(self._word(word), fact)
            else:
                self._fail(fact, _unknown("event bit", word, [*MASK_BITS, *self.words]))
        return mask

    def _sleeper(self, name: str, outcome: Any, facts: dict[str, Any]) -> None:
        fact = f"sleeper.{name}"
        asked, colon, text = outcome.partition(":") if isinstance(outcome, str) else ("", "", "")
        if colon and asked in _ASKED:
            observer = name.split("_")[0]
            if observer not in _MASKED:
                self._fail(fact, f"a mask is what a poller wakes with; {observer} isn't one of {', '.join(_MASKED)}")
            mask = self._bits(text, fact)
            kind = self.masks[fact] = _MASKED[observer]
            facts[fact] = {"is": select_bits(mask) & _ASKED[asked] if kind == "select" else mask}
        else:
            facts[fact] = self._accept(fact, outcome)

    def _word(self, word: str) -> str:
        return meaning(self.words, word, self.family)

    def _accept(self, key: str, value: Any) -> Mapping[str, Any]:
        if not isinstance(value, dict):
            return {"is": self._word(value) if isinstance(value, str) and value in self.words else value}
        if "holds" in value and value["holds"] in self.words:
            value = {"holds": self._word(value["holds"])}
        if not _is_accept(value):
            self._fail(key, "write a value, {any = [...]}, {from = a, to = b}, {holds = '...'} or {measured = true}")
        if "holds" in value:
            try:
                relation(value["holds"])
            except ValueError as error:
                self._fail(key, str(error))
        accept: Mapping[str, Any] = value
        return accept

    def _signals(self, stated: Any) -> Any:
        if isinstance(stated, dict):
            if set(stated) != {"any"}:
                self._fail("signals", "write a list, or {any = [[...], [...]]}")
            return {"any": [[self._signal(text) for text in choice] for choice in stated["any"]]}
        return [self._signal(text) for text in stated]

    def _signal(self, text: str) -> dict[str, Any]:
        name, *rest = text.split()
        if name in _CODES and len(rest) <= 2:
            code = _CODES[name]
            signal = rest[1] if len(rest) == 2 else "armed"
            role = rest[0] if rest else SUBJECT
            return {"signal": signal, "code": code, "errno": 0, "band": BANDS[code], "fd": role, "pid": 0, "uid": 0}
        if name in SIGNAL_NAMES and not rest:
            by_process = name == "SIGPIPE"
            return {
                "signal": name,
                "code": SI_USER if by_process else SI_KERNEL,
                "errno": 0,
                "band": 0,
                "fd": 0,
                "pid": "self" if by_process else 0,
                "uid": "self" if by_process else 0,
            }
        self._fail("signals", _unknown("signal", text, [*_CODES, *SIGNAL_NAMES]))

    def _fail(self, key: str, why: str) -> NoReturn:
        raise SpecificationError(f"{self.clause.file}: clause {self.clause.id}: {self.where}.{key}: {why}")


def _fact_order(fact: str) -> tuple[bool, int]:
    """A case's own facts and sleepers first, in the clause's order; then the observers in the order they are asked."""
    observer = fact.rpartition(".")[2]
    of_socket = "." in fact and observer in OBSERVERS and not fact.startswith("sleeper.")
    return of_socket, OBSERVERS.index(observer) if of_socket else 0


def _is_accept(value: Mapping[str, Any]) -> bool:
    return set(value) in ({"any"}, {"from", "to"}, {"holds"}, {"measured"})


def _unknown(what: str, name: str, known: Iterable[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, list(known), n=3)
    return f"there is no {what} {name!r}" + (f"; did you mean {' or '.join(near)}?" if near else "")


def read_toml(path: Path) -> dict[str, Any]:
    """A TOML file; raises SpecificationError with its name if it isn't one."""
    try:
        document: dict[str, Any] = tomllib.loads(path.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SpecificationError(f"{path.name}: not TOML: {error}") from None
    return document


@cache
def load(folder: Path = SPECIFICATION) -> Specification:
    """Read and check all clauses of a folder; raises SpecificationError at the first that can't be used."""
    digest = hashlib.sha256()
    clauses: dict[str, Clause] = {}
    words: dict[str, Mapping[str, str]] = {}
    for path in sorted(folder.rglob("*.toml")):
        digest.update(path.read_bytes())
        file = path.relative_to(folder).as_posix()
        document = read_toml(path)
        words |= document.get("word", {})
        for table in document.get("clause", []):
            clause = _clause(file, table)
            if clause.id in clauses:
                raise SpecificationError(f"{file}: clause {clause.id}: its id stands in {clauses[clause.id].file} too")
            clauses[clause.id] = clause
    if not clauses:
        raise SpecificationError(f"{folder}: there is no clause in any *.toml below this folder")
    return Specification(clauses=clauses, words=words, sha256=digest.hexdigest())


def _clause(file: str, table: Mapping[str, Any]) -> Clause:
    name = table.get("id", "(without an id)")

    def fail(key: str, why: str) -> NoReturn:
        raise SpecificationError(f"{file}: clause {name}: {key}: {why}")

    for key, kind in _REQUIRED.items():
        if not isinstance(table.get(key), kind):
            fail(key, "is missing" if key not in table else f"must be a {kind.__name__}")
    for key, value in table.items():
        wanted = (_REQUIRED | _OPTIONAL).get(key)
        if wanted is None:
            fail(key, _unknown("key", key, [*_REQUIRED, *_OPTIONAL]))
        elif not isinstance(value, wanted):
            fail(key, f"must be a {wanted.__name__}")
        elif isinstance(value, list) and key != "change" and not all(isinstance(item, str) for item in value):
            fail(key, "must be a list of strings")
    if not _ID.fullmatch(name):
        fail("id", "must be area.subject.property in small letters")
    if table["level"] not in LEVELS:
        fail("level", _unknown("level", table["level"], LEVELS) + f"; there are {', '.join(LEVELS)}")
    for text in table.get("path", ()):
        names, only = element(text)
        if not all(map(FUNCTION.fullmatch, names)):
            fail("path", f"{text!r} isn't the name of a function, or several as in 'tcp_close|unix_release_sock'")
        for word in sorted(only - {*table["families"], *table.get("variants", ())}):
            fail("path", f"{text!r}: " + _unknown("family or variant of this clause", word, table["families"]))
    if not table.get("expect"):
        fail("expect", "at least one moment must be stated: [clause.expect.NAME]")
    return Clause(
        id=name,
        title=table["title"].strip(),
        level=table["level"],
        claims=tuple(table["claims"]),
        covers=tuple(table.get("covers", ())),
        refs=tuple(table["refs"]),
        path=tuple(table.get("path", ())),
        families=tuple(table["families"]),
        variants=tuple(table.get("variants", ())),
        needs=tuple(table.get("needs", ())),
        expect=table["expect"],
        text=" ".join(table["text"].split()),
        timer=table.get("timer"),
        unjudged=table.get("unjudged", {}),
        changes=tuple(_change(change, fail) for change in table.get("change", [])),
        file=file,
    )


def check_since(since: Iterable[Any], fail: Any) -> None:
    """See that a change says since which kernels; `fail` takes a key and what is wrong with it."""
    for text in since:
        if not isinstance(text, str) or not _VERSION.fullmatch(text):
            fail("change.since", f"{text!r} isn't a kernel version such as 5.12 or 5.10.20")


def _change(table: Mapping[str, Any], fail: Any) -> Change:
    if set(table) != {"since", "why", "expect"}:
        fail("change", "a change has since, why and expect, and nothing else")
    check_since(table["since"], fail)
    return Change(since=tuple(table["since"]), why=table["why"], expect=table["expect"])
