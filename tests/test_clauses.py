"""The specification's format: what is refused says which file, which clause and which key."""

from __future__ import annotations

from pathlib import Path

import pytest

from suites.catalogue import all_cases
from suites.clauses import POLLS, SpecificationError, applies, load, select_bits
from suites.execution import running_version
from suites.lab.families import FAMILIES

GOOD = """
[word.writable]
default = "OUT"
tcp4 = "OUT WRNORM"

[[clause]]
id = "area.subject.property"
title = "A title"
text = "What must be seen"
level = "must"
claims = ["E1"]
refs = ["poll(2)"]
families = ["tcp4", "udp4"]
[clause.expect.now]
signals = ["POLL_IN"]
revents = "IN writable"
"""


def load_text(folder: Path, text: str) -> str:
    """Load a specification of one file; returns what is wrong with it."""
    (folder / "one.toml").write_text(text)
    try:
        specification = load(folder)
        for clause in specification.clauses.values():
            specification.expectation(clause, "tcp4", None, None)
    except SpecificationError as error:
        return str(error)
    return "nothing"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("[[clause]]", "[[clause", "one.toml: not TOML"),
        ('level = "must"', 'level = "most"', "one.toml: clause area.subject.property: level: there is no level 'most'"),
        ('title = "A title"', "", "one.toml: clause area.subject.property: title: is missing"),
        ('claims = ["E1"]', 'claims = "E1"', "claims: must be a list"),
        ('claims = ["E1"]', "claims = [1]", "claims: must be a list of strings"),
        ('refs = ["poll(2)"]', 'refs = ["poll(2)"]\nneed = []', "need: there is no key 'need'; did you mean needs?"),
        (
            'revents = "IN writable"',
            'revents = "INN"',
            "expect.now.socket.poll: there is no event bit 'INN'; did you mean",
        ),
        ('revents = "IN writable"', "revents = 5", "a mask is written as names"),
        ('"POLL_IN"', '"POLL_INN"', "expect.now.signals: there is no signal 'POLL_INN'; did you mean POLL_IN"),
        ('revents = "IN writable"', "recv = 0", "the last moment must say revents"),
        ('revents = "IN writable"', 'peer = { revent = "IN" }', "peer.revent: no observer of this name"),
        ('revents = "IN writable"', 'revents = ""\nx = { holds = "f(1)" }', "is not a relation"),
        ('revents = "IN writable"', 'revents = ""\nx = { min = 1 }', "x.min: no observer of this name"),
        ('"area.subject.property"', '"Area"', "id: must be area.subject.property"),
        ("[clause.expect.now]", "[clause.expects.now]", "there is no key 'expects'; did you mean expect?"),
    ],
)
def test_malformed_clause_is_refused_by_file_clause_and_key(tmp_path: Path, old: str, new: str, words: str) -> None:
    """One clear sentence, and nothing is guessed."""
    assert words in load_text(tmp_path, GOOD.replace(old, new))


def test_clause_that_stands_twice_is_refused(tmp_path: Path) -> None:
    """Ids are never used again."""
    clause = GOOD[GOOD.index("[[clause]]") :]

    assert "its id stands in one.toml too" in load_text(tmp_path, GOOD + clause)


def test_folder_without_clauses_is_refused(tmp_path: Path) -> None:
    """An empty specification would pass everything."""
    with pytest.raises(SpecificationError, match="there is no clause"):
        load(tmp_path)


def test_words_mean_something_else_for_each_family(tmp_path: Path) -> None:
    """TCP never reports WRBAND."""
    (tmp_path / "one.toml").write_text(GOOD)
    specification = load(tmp_path)
    clause = specification.clause("area.subject.property")

    masks = [
        specification.expectation(clause, family, None, None)["moments"]["now"]["facts"]["socket.poll"]
        for family in ("tcp4", "udp4")
    ]

    assert masks == [{"is": 0x105}, {"is": 0x005}]


def test_last_moment_asks_for_so_error_too(tmp_path: Path) -> None:
    """No error is an expectation as well."""
    (tmp_path / "one.toml").write_text(GOOD)
    specification = load(tmp_path)

    facts = specification.expectation(specification.clause("area.subject.property"), "tcp4", None, None)["moments"][
        "now"
    ]["facts"]

    assert list(facts) == [*(f"socket.{observer}" for observer in POLLS), "socket.so_error"]
    assert facts["socket.so_error"] == {"is": 0}


@pytest.mark.parametrize(
    ("since", "kernel", "has"),
    [
        (["5.19"], (5, 10, 223), False),
        (["5.19"], (5, 19, 0), True),
        (["5.19"], (7, 2, 0), True),
        (["5.10.20", "5.12"], (5, 10, 19), False),
        (["5.10.20", "5.12"], (5, 10, 20), True),
        (["5.10.20", "5.12"], (5, 11, 22), False),
        (["5.10.20", "5.12"], (6, 1, 0), True),
    ],
)
def test_change_applies_from_a_release_or_within_a_stable_branch(
    since: list[str], kernel: tuple[int, ...], has: bool
) -> None:
    """A fix that went to a stable branch is there from that branch's release on."""
    assert applies(since, kernel) is has


def test_select_reports_what_the_kernels_sets_say() -> None:
    """POLLERR is readable and writable, POLLHUP only readable, POLLPRI exceptional."""
    assert [select_bits(mask) for mask in (0x0, 0x1, 0x4, 0x8, 0x10, 0x2)] == [0, 1, 2, 3, 1, 4]


def test_every_clause_has_one_case_and_every_case_a_clause() -> None:
    """A clause without a case would never be tried; a case without one would have nothing to say."""
    clauses = load().clauses
    cases = [source.clause for source in all_cases()]

    assert sorted(cases) == sorted(clauses)


def test_every_clause_compiles_for_all_its_families_and_variants() -> None:
    """What the specification says can be read, on the oldest kernel's terms and on the newest's."""
    specification = load()
    for clause in specification.clauses.values():
        assert set(clause.families) <= set(FAMILIES), clause.id
        for family in clause.families:
            for variant in clause.variants or (None,):
                for kernel in ((5, 10, 0), None):
                    assert specification.expectation(clause, family, variant, kernel)["moments"]


@pytest.mark.parametrize(
    ("release", "version", "found"),
    [
        ("5.10.0-32-amd64", "#1 SMP Debian 5.10.223-1 (2024-08-10)", (5, 10, 223)),
        ("6.1.0-50-amd64", "#1 SMP PREEMPT_DYNAMIC Debian 6.1.176-1 (2026-07-02)", (6, 1, 176)),
        ("6.12.107+deb13-amd64", "#1 SMP PREEMPT_DYNAMIC Debian 6.12.107-1 (2026-08-20)", (6, 12, 107)),
        ("7.4~rc1-amd64", "#1 SMP Debian 7.4~rc1-1~exp1 (2026-11-01)", (7, 4, 0)),
        ("5.10.46", "#1 Wed Aug 4 20:30:21 UTC 2021", (5, 10, 46)),
        ("7.2.0-rc3+", "#1 SMP PREEMPT_DYNAMIC root@debian Mon Jun 1 2026", (7, 2, 0)),
        ("next", "#1 SMP", None),
    ],
)
def test_a_kernel_is_judged_as_the_version_that_it_is(
    release: str, version: str, found: tuple[int, ...] | None
) -> None:
    """A release of Debian's says which interface modules see, and stays while the version goes on."""
    assert running_version({"implementation": "Linux", "release": release, "version": version}) == found


def test_what_is_not_linux_has_no_version_of_linux() -> None:
    """Whatever version it claims to be."""
    assert running_version({"implementation": "gVisor", "release": "4.4.0", "version": "#1 SMP"}) is None


def test_a_case_stands_in_the_file_that_is_named_as_its_clauses_file_is() -> None:
    """Who has found the one has found the other."""
    clauses = load().clauses
    for source in all_cases():
        folder, _, subject = clauses[source.clause].file.removesuffix(".toml").rpartition("/")
        assert source.module == f"suites/{folder}/test_{subject}.py", source.clause
