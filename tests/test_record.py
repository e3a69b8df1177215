"""The record: what is written can be read, what was lost is counted, what isn't a record is refused in one sentence."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports.record import LINE_LIMIT, OUTCOMES, RecordError, Writer, in_words, read
from tests.records import case_line, clause_line, end_line, node, run_line, start_line, write

A, B, C = (node("reset", family) for family in ("tcp4", "tcp6", "mptcp"))


def whole() -> list[dict[str, object]]:
    """A run of two cases that finished."""
    return [
        run_line([A, B]),
        clause_line(),
        start_line(A),
        case_line(A),
        start_line(B),
        case_line(B, "FAIL", verdict="at reset: socket.poll lacks RDHUP"),
        end_line(PASS=1, FAIL=1),
    ]


def refusal(path: Path) -> str:
    """What reading a file is refused with."""
    with pytest.raises(RecordError) as caught:
        read([path])
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"{path}: ")
    return message.removeprefix(f"{path}: ")


# Reading


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """Every line that a writer has written is in the run that is read."""
    path = tmp_path / "new" / "directory" / "record.jsonl"
    writer = Writer(path)
    for line in whole():
        writer.write(line)
    writer.close()

    (run,) = read([path])
    assert [(case.case, case.outcome, case.clause) for case in run.cases] == [
        (A, "PASS", "error.reset.established"),
        (B, "FAIL", "error.reset.established"),
    ]
    assert run.end is not None
    assert run.end.reason == "finished"
    assert run.warnings == ()
    assert run.counts() == writer.counts() == end_line(PASS=1, FAIL=1)["counts"]


def test_unknown_types_and_keys_are_ignored(tmp_path: Path) -> None:
    """A record of a newer suite is read for what is known of it."""
    lines = [run_line([A], colour="blue"), {"type": "weather", "sun": []}, case_line(A, mood="calm")]
    (run,) = read([write(tmp_path / "r.jsonl", lines)])
    assert run.counts()["PASS"] == 1


def test_every_missing_case_says_how_far_it_came(tmp_path: Path) -> None:
    """A planned case without a line is a MISS, with its clause and family, and counts add up to what was planned."""
    lines = [run_line([A, B, C]), clause_line(), start_line(A), case_line(A), start_line(B)]
    (run,) = read([write(tmp_path / "r.jsonl", lines)])
    assert [(case.outcome, case.reason, case.clause, case.family) for case in run.cases[1:]] == [
        ("MISS", "it was running when the run ended", "error.reset.established", "tcp6"),
        ("MISS", "never started", "error.reset.established", None),
    ]
    assert sum(run.counts().values()) == 3


def test_a_cut_off_last_line_is_one_warning(tmp_path: Path) -> None:
    """Wherever the last line is cut off, the run is read without it; only a whole line needs no newline."""
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in whole()[:-1])
    last = json.dumps(case_line(B, "FAIL", verdict="ünïcode"), ensure_ascii=False).encode()
    path = tmp_path / "r.jsonl"
    before = text.encode()[: text.encode().rindex(b"\n", 0, -1) + 1]
    for length in (*range(1, len(last), 11), len(last) - 1):
        path.write_bytes(before + last[:length])
        (run,) = read([path])
        assert len(run.warnings) == 1
        assert run.counts()["MISS"] == 1
    path.write_bytes(before + last)
    assert read([path])[0].warnings == ()


def test_runs_that_share_a_file_may_interleave(tmp_path: Path) -> None:
    """Each line goes to the run that it names; a clause that names none goes to the run before it."""
    one = [run_line([A]), {k: v for k, v in clause_line().items() if k != "run"}, case_line(A)]
    two = [
        run_line([A, B], "r2"),
        clause_line(run="r2"),
        case_line(B, run="r2"),
        end_line("r2", "died", PASS=1, MISS=1),
    ]
    lines = [one[0], one[1], two[0], two[1], one[2], *two[2:]]
    first, second = read([write(tmp_path / "r.jsonl", lines)])
    assert [run.head.run for run in (first, second)] == ["r1", "r2"]
    assert (first.counts()["PASS"], second.counts()["PASS"], second.counts()["MISS"]) == (1, 1, 1)
    assert list(first.clauses) == list(second.clauses) == ["error.reset.established"]


def test_an_account_that_does_not_add_up_is_a_warning(tmp_path: Path) -> None:
    """The lines count, and not what the end says of them."""
    (run,) = read([write(tmp_path / "r.jsonl", [run_line([A]), case_line(A), end_line(PASS=7)])])
    assert run.counts()["PASS"] == 1
    assert len(run.warnings) == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "it holds no run"),
        (b"\x89PNG\r\n\x1a\n\x00", "line 1: it isn't UTF-8"),
        (b"\x7fELF\x02\x01\x01\x00\xff", "line 1: it isn't UTF-8"),
        (b"PATH=/bin\n", "line 1: it isn't JSON"),
        (b"[1, 2, 3]\n", "line 1: it isn't a JSON object"),
        (b"7\n", "line 1: it isn't a JSON object"),
        (b'{"type": "run"', "line 1: it isn't JSON"),
        (b"{}\n", 'line 1: it has no "type"'),
        (b'{"type": 3}\n', 'line 1: its "type" must be a string'),
        (b'{"type": "weather"}\n', "it holds no run"),
        (b"[" * 100_000 + b"\n", "line 1: it isn't JSON"),
        (b'{"type": "run", "record": NaN}\n', "line 1: it isn't JSON"),
    ],
    ids=[
        "empty",
        "binary",
        "binary-line",
        "text",
        "array",
        "number",
        "cut",
        "typeless",
        "type",
        "other",
        "deep",
        "nan",
    ],
)
def test_what_is_not_a_record_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    """One sentence says where and what, and what to do."""
    path = tmp_path / "file"
    path.write_bytes(content)
    assert refusal(path).startswith(said)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([run_line([A], record=2)], 'line 1: its "record" is 2, and only version 1 is understood'),
        ([run_line([A], record=True)], 'line 1: its "record" must be an integer of 64 bits'),
        ([run_line([A]), case_line(A, duration_ns=2**64)], 'line 2: its "duration_ns" must be an integer of 64 bits'),
        ([run_line([A, A])], 'line 1: its "planned" names a case twice'),
        ([run_line([A], argv="pytest")], 'line 1: its "argv" must be a list of strings'),
        ([run_line([A], kernel={})], 'line 1: it has no "release"'),
        ([run_line([A]), run_line([A])], "line 2: the run 'r1' stands in this file already"),
        ([run_line([A]), case_line(A, run="r9")], "line 2: it belongs to a run that has no line before it"),
        ([run_line([A]), case_line(B)], f"line 2: the case {B!r} isn't among those that its run planned"),
        ([run_line([A]), case_line(A), case_line(A)], f"line 3: the case {A!r} has a line in this run already"),
        ([run_line([A]), case_line(A, outcome="GOOD")], 'line 2: its "outcome" must be one of PASS'),
        ([run_line([A]), case_line(A, observed=[])], 'line 2: its "observed" must be an object or null'),
        ([run_line([A]), case_line(A, observed={"signals": [3]})], 'line 2: its "signals" must be a list of objects'),
        ([run_line([A]), clause_line(), clause_line()], "line 3: the clause 'error.reset.established' stands in this"),
        ([run_line([A]), end_line(), end_line()], "line 3: the run 'r1' has ended already"),
    ],
)
def test_a_record_that_contradicts_its_format_is_refused(
    tmp_path: Path, lines: list[dict[str, object]], said: str
) -> None:
    """Types, versions, and ids that must be there once."""
    assert refusal(write(tmp_path / "r.jsonl", lines)).startswith(said)


@pytest.mark.parametrize("key", [key for key in case_line(A) if key not in ("worker", "duration_ns")])
def test_no_key_of_a_case_may_be_missing(tmp_path: Path, key: str) -> None:
    """A case's line has all that the format promises."""
    line = {name: value for name, value in case_line(A).items() if name != key}
    assert f'it has no "{key}"' in refusal(write(tmp_path / "r.jsonl", [run_line([A]), line]))


def test_an_endless_line_is_refused(tmp_path: Path) -> None:
    """A line is read up to its limit, however long the file is."""
    path = tmp_path / "endless"
    with path.open("wb") as file:
        file.truncate(LINE_LIMIT * 64)
    assert refusal(path).startswith("line 1: it has more than 16777216 bytes")


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    """A file that isn't there, a directory, and a file that is named twice."""
    assert refusal(tmp_path / "none").startswith("it can't be read: No such file")
    assert refusal(tmp_path).startswith("it can't be read: Is a directory")
    path = write(tmp_path / "r.jsonl", whole())
    with pytest.raises(RecordError, match="named twice"):
        read([path, tmp_path / "." / "r.jsonl"])


LINES = [json.dumps(line).encode() + b"\n" for line in whole()]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A record with bytes changed, a value replaced by another, or lines lost, doubled and out of order."""
    lines = draw(st.permutations(LINES)) if draw(st.booleans()) else list(LINES)
    at = draw(st.integers(0, len(lines) - 1))
    match draw(st.sampled_from(["bytes", "value", "lines"])):
        case "bytes":
            where = draw(st.integers(0, len(lines[at]) - 1))
            lines[at] = lines[at][:where] + draw(st.binary(max_size=4)) + lines[at][where + 1 :]
        case "value":
            line = json.loads(lines[at])
            holder = line
            while isinstance(holder[key := draw(st.sampled_from(sorted(holder)))], dict) and holder[key]:
                holder = holder[key]
            holder[key] = draw(JSON)
            lines[at] = json.dumps(line).encode() + b"\n"
        case "lines":
            lines[at] *= draw(st.integers(0, 2))
    return b"".join(lines)


@settings(max_examples=300, deadline=None, database=None)
@given(content=damaged())
def test_damage_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    """Whatever happens to a record, reading it gives runs that add up, or a sentence."""
    path = tmp_path_factory.getbasetemp() / "damaged.jsonl"
    path.write_bytes(content)
    try:
        runs = read([path])
    except RecordError as error:
        outcome = str(error)
    else:
        outcome = f"{path}: read"
        assert all(sum(run.counts().values()) == len(run.head.planned) for run in runs)
    assert outcome.startswith(f"{path}: ")


# Writing


def test_a_line_is_on_disk_when_write_returns(tmp_path: Path) -> None:
    """Nothing waits in a buffer for a kernel that may die."""
    path = tmp_path / "r.jsonl"
    writer = Writer(path)
    writer.write(run_line([A]))
    assert path.read_bytes().endswith(b"}\n")
    writer.write(case_line(A, reason="\x1b[2J\ud800\u202e\n"))
    assert path.read_bytes().isascii()
    assert path.read_bytes().count(b"\n") == 2
    writer.close()


def test_a_record_is_replaced_when_the_new_run_begins_and_not_before(tmp_path: Path) -> None:
    """A run that never begins leaves the old record as it was."""
    path = write(tmp_path / "r.jsonl", whole())
    before = path.read_bytes()
    writer = Writer(path)
    assert path.read_bytes() == before
    writer.write(run_line([A], "new"))
    writer.close()
    assert [run.head.run for run in read([path])] == ["new"]


def test_an_empty_file_becomes_a_record(tmp_path: Path) -> None:
    """As `mktemp` and shell redirection leave one."""
    path = tmp_path / "r.jsonl"
    path.touch()
    Writer(path).write(run_line([A]))
    assert read([path])


@pytest.mark.parametrize(
    "content", [b"\n", b"{}", b"notes\n", b'{"type": "run", "record": 2}\n', b"\xff\n", b"[" * 99_999]
)
def test_no_other_file_is_replaced(tmp_path: Path, content: bytes) -> None:
    """What isn't a record of this version stays."""
    path = tmp_path / "precious"
    path.write_bytes(content)
    with pytest.raises(RecordError, match="isn't a sockwake record"):
        Writer(path)
    assert path.read_bytes() == content


def test_what_is_not_a_regular_file_is_refused(tmp_path: Path) -> None:
    """A directory, a pipe that would block, a file where a directory is needed."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "pipe", tmp_path / "file" / "r.jsonl"):
        with pytest.raises(RecordError, match=r"regular file|can't be written"):
            Writer(path)
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


def test_a_disk_that_is_full_is_said_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A short write goes on with the rest; ENOSPC ends it."""
    free = [100, 100]
    real = os.write

    def small_disk(fd: int, data: memoryview) -> int:
        if not free:
            raise OSError(28, "No space left on device")
        return real(fd, data[: free.pop()])

    writer = Writer(tmp_path / "r.jsonl")
    monkeypatch.setattr(os, "write", small_disk)
    with pytest.raises(RecordError, match="No space left on device; make room"):
        writer.write(run_line([A]))
    writer.close()
    assert (tmp_path / "r.jsonl").stat().st_size == 200


# Words


def test_the_account_names_every_outcome() -> None:
    """In the plural and in the singular."""
    assert in_words(dict(zip(OUTCOMES, (300, 2, 0, 10, 0, 0), strict=True)), 0) == (
        "312 cases planned: 300 passed, 2 failed, 0 errors, 10 skipped, 0 missing, 0 measured"
    )
    assert in_words(dict(zip(OUTCOMES, (0, 3, 0, 0, 0, 0), strict=True)), 2).startswith(
        "3 cases planned: 0 passed, 3 failed (2 as recorded), 0 errors"
    )
    assert in_words(dict(zip(OUTCOMES, (0, 0, 1, 0, 0, 0), strict=True)), 0) == (
        "1 case planned: 0 passed, 0 failed, 1 error, 0 skipped, 0 missing, 0 measured"
    )
