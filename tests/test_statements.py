"""Every statement of the documents, the surveys and the kernels' sources has a clause, or a reason for having none."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from suites import clauses, statements
from suites.clauses import SpecificationError
from tests.conftest import Ran

CLAIMS = {"E": 14, "A": 18, "O": 9, "R": 11, "C": 9, "L": 11}
BEHAVIOURS = {"A": 15, "B": 29, "C": 13, "D": 6, "E": 11}
FACTS = {"G": 5, "R": 2, "W": 12, "S": 11, "C": 9, "F": 4, "Q": 3, "O": 5, "A": 10, "P": 3, "E": 7, "V": 3, "K": 4}
FACTS |= {"N": 3, "M": 4, "L": 14}


def numbered(prefix: str, letters: dict[str, int]) -> set[str]:
    """Ids such as behaviour:A1."""
    return {f"{prefix}{letter}{number}" for letter, last in letters.items() for number in range(1, last + 1)}


@pytest.mark.parametrize(
    "ids",
    [
        numbered("", CLAIMS),
        numbered("behaviour:", BEHAVIOURS),
        numbered("fact:", FACTS),
        numbered("diff:", {"D": 32}),
        numbered("correction:", {"": 24}),
    ],
    ids=["claims", "behaviours", "facts", "differences", "corrections"],
)
def test_every_numbered_statement_is_there(ids: set[str]) -> None:
    """What the documents and surveys number is here under its number."""
    assert ids - set(statements.load()) == set()


def test_every_statement_has_a_clause_or_a_reason() -> None:
    """One or the other: a reason beside a clause would be a lie, but where it is another target that shows the rest."""
    covered = statements.covering(clauses.load().clauses.values())
    uncovered = {name for name, said in statements.load().items() if name not in covered and not said.left_out}
    contradicted = {
        name for name, said in statements.load().items() if name in covered and said.left_out and not said.target
    }

    assert (uncovered, contradicted) == (set(), set())


def test_every_claim_is_put_in_front_of_this_kernel(host_run: Ran) -> None:
    """A clause whose cases are all skipped stands for nothing here; what is left out says where it is to be shown."""
    tried = {line["clause"] for line in host_run.of("case") if line["outcome"] in ("PASS", "FAIL", "DONE")}
    covered = statements.covering(clause for clause in clauses.load().clauses.values() if clause.id in tried)
    claims = [said for said in statements.load().values() if ":" not in said.id]

    assert [said.id for said in claims if said.id not in covered and not said.left_out] == []


def test_every_name_that_a_clause_covers_is_a_statement() -> None:
    """A number that nobody gave would count for nothing."""
    known = statements.load()
    unknown = {name for name in statements.covering(clauses.load().clauses.values()) if name not in known}

    assert unknown == set()


def test_no_clause_names_a_statement_twice() -> None:
    """Claims stand in `claims`, everything else in `covers`."""
    for clause in clauses.load().clauses.values():
        assert max(Counter([*clause.claims, *clause.covers]).values()) == 1, clause.id
        assert not any(":" in claim for claim in clause.claims), clause.id
        assert all(":" in other for other in clause.covers), clause.id


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('says = "x"', "s/one.toml: statement (without an id): it needs id and says"),
        ('id = "A1"\nsays = "x"\nsay = "y"', "s/one.toml: statement A1: there is no key 'say'"),
        ('id = "A1"\nsays = "x"\ntarget = "vm"', "s/one.toml: statement A1: target is for what is left out here"),
        (
            'id = "A1"\nsays = "x"\n[[statement]]\nid = "A1"\nsays = "y"',
            "s/one.toml: statement A1: its id is given twice",
        ),
    ],
    ids=["no-id", "unknown-key", "target-alone", "twice"],
)
def test_bad_statement_is_one_sentence(tmp_path: Path, text: str, said: str) -> None:
    """File, statement, what is wrong."""
    folder = tmp_path / "s"
    folder.mkdir()
    (folder / "one.toml").write_text(f"[[statement]]\n{text}\n")

    with pytest.raises(SpecificationError, match=said.replace("(", r"\(").replace(")", r"\)")):
        statements.load(folder)
