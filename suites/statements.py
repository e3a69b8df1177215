"""What is to be covered: the statements of the documents, of the surveys and of the kernels' sources, by id.

Owns `specification/sources/*.toml` and the account of which clauses stand for which statement. A statement that no clause stands
for says why (`left_out`). Where it is for another target to show, that is named (`target`); clauses may then stand for a part.

    [[statement]]
    id = "A10"                     a claim of a document; others: "behaviour:B14", "fact:W4", "diff:D3", "correction:2"
    document = "001: ..."          claims only
    says = "..."
    left_out = "..."               only where no clause stands for it, or with a target: the reason
    target = "vm-6.12"             only with left_out, where another target is to show it, or the rest of it
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from suites.clauses import SPECIFICATION, Clause, SpecificationError, read_toml

SOURCES = SPECIFICATION / "sources"
KEYS = {"id", "document", "says", "left_out", "target"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One thing that somebody says of sockets and that is to be put in front of kernels."""

    id: str
    says: str
    document: str | None = None
    left_out: str | None = None
    target: str | None = None


@cache
def load(folder: Path = SOURCES) -> Mapping[str, Statement]:
    """All statements by id, claims first; raises SpecificationError at the first that can't be used."""
    statements: dict[str, Statement] = {}
    for path in sorted(folder.glob("*.toml")):
        for table in read_toml(path).get("statement", []):
            statement = _statement(f"{folder.name}/{path.name}", table)
            if statement.id in statements:
                raise SpecificationError(f"{folder.name}/{path.name}: statement {statement.id}: its id is given twice")
            statements[statement.id] = statement
    return dict(sorted(statements.items(), key=lambda item: ":" in item[0]))


def _statement(file: str, table: Mapping[str, Any]) -> Statement:
    name = table.get("id", "(without an id)")
    unknown = set(table) - KEYS
    if unknown:
        raise SpecificationError(
            f"{file}: statement {name}: there is no key {min(unknown)!r}; there are {sorted(KEYS)}"
        )
    if not all(isinstance(value, str) and value for value in table.values()) or not {"id", "says"} <= set(table):
        raise SpecificationError(f"{file}: statement {name}: it needs id and says, and every value is a string")
    if "target" in table and "left_out" not in table:
        raise SpecificationError(f"{file}: statement {name}: target is for what is left out here; say left_out too")
    return Statement(**table)


def covering(clauses: Iterable[Clause]) -> dict[str, list[str]]:
    """The ids of the clauses that stand for each statement that any names."""
    found: dict[str, list[str]] = {}
    for clause in clauses:
        for statement in (*clause.claims, *clause.covers):
            found.setdefault(statement, []).append(clause.id)
    return found
