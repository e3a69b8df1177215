"""Paths through the kernel: what came of a clause's functions, kernel by kernel, and which functions were seen at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reports.__main__ import main
from reports.courses import COLUMNS, LINES, Comparison, astray, comparisons, moved, tree
from reports.coverage import cost, coverage
from reports.html import render
from reports.matrix import ordered, rows
from reports.record import RecordError, Run, read
from reports.traces import MANY
from tests.markup import Page
from tests.records import Line, case_line, clause_line, end_line, function_line, node, path_line, run_line, step, write
from tests.runs import HOSTILE

CLAUSE = "error.reset.established"
FAMILIES = ("tcp4", "tcp6", "mptcp")
TRACED = {"ok": True, "how": "ftrace's function_graph"}
RAN = [step("tcp_reset"), step("sk_error_report", "inlined"), step("send_sigio", between=["kill_fasync"])]
NEWER = [step("tcp_reset"), step("sk_error_report"), step("send_sigio", "replaced", "send_sigio_new")]


def traced_run(release: str, steps: list[list[Line] | None], *functions: Line, **changes: Any) -> list[Line]:
    """A run of the reset on some families, all of which passed, and the steps of each; None where one wasn't traced."""
    run = f"r{release}"
    kernel = run_line([])["kernel"] | {"release": release, "version": "#1"}
    cases = [node("reset", family) for family in FAMILIES[: len(steps)]]
    lines = [run_line(cases, run, target=f"vm-{release}", kernel=kernel, trace=TRACED), clause_line(run=run)]
    lines += [function | {"run": run} for function in functions]
    for case, taken in zip(cases, steps, strict=True):
        lines.append(case_line(case, run=run))
        if taken is not None:
            lines.append(path_line(case, run, steps=taken, **changes))
    return [*lines, end_line(run, PASS=len(cases))]


def runs_of(folder: Path, *runs: list[Line]) -> list[Run]:
    """The runs of a record, oldest kernel first."""
    return ordered(read([write(folder / "record.jsonl", [line for run in runs for line in run])]))


def compared(folder: Path, *runs: list[Line]) -> list[Comparison]:
    """The clause's path in these runs."""
    made = runs_of(folder, *runs)
    return comparisons(rows(made)[0], made)


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What a command prints, in single blanks."""
    assert main(arguments) == 0
    return " ".join(capsys.readouterr().out.split())


# A clause's path


def test_cases_and_kernels_with_the_same_steps_are_told_together(tmp_path: Path) -> None:
    """In the order of cases and of kernels; what changed on a kernel is marked, what came between included."""
    other = [*RAN[:2], step("send_sigio", between=["sock_wake_async", "kill_fasync"])]
    (found,) = compared(
        tmp_path,
        traced_run("6.12", [NEWER, NEWER, other]),
        traced_run("5.10", [RAN, RAN, RAN]),
        traced_run("6.1", [RAN, RAN, other]),
    )

    assert found.elements == ("tcp_reset", "sk_error_report", "send_sigio")
    assert [(course.cases, [column.places for column in course.columns]) for course in found.courses] == [
        (("tcp4", "tcp6"), [(0, 1), (2,)]),
        (("mptcp",), [(0,), (1, 2)]),
    ]
    assert [column.changed for column in found.courses[0].columns] == [(False,) * 3, (False, True, True)]
    assert [column.changed for column in found.courses[1].columns] == [(False,) * 3, (False, False, True)]
    assert moved([found]) == {"sk_error_report": [2], "send_sigio": [1, 2]}
    assert found.courses[0].columns[0].example.family == "tcp4"


def test_a_case_that_some_kernels_skip_says_so(tmp_path: Path) -> None:
    """It stands with those whose steps it shares, and isn't said to have run where it didn't."""
    (found,) = compared(tmp_path, traced_run("5.10", [RAN, None]), traced_run("6.1", [RAN, RAN]))

    assert [course.cases for course in found.courses] == [("tcp4", "tcp6 (1 of 2 kernels)")]


def test_paths_that_are_drawn_differently_stand_apart(tmp_path: Path) -> None:
    """As in records of two specifications."""
    found = compared(tmp_path, traced_run("5.10", [RAN]), traced_run("6.1", [RAN[:1]]))

    assert [each.elements for each in found] == [("tcp_reset", "sk_error_report", "send_sigio"), ("tcp_reset",)]


def test_what_was_not_called_in_its_place_is_listed(tmp_path: Path) -> None:
    """Of every case and kernel."""
    stray = [step("tcp_reset", "elsewhere"), step("sk_error_report", "not called"), RAN[2]]
    found = compared(tmp_path, traced_run("5.10", [RAN, stray]), traced_run("6.1", [stray, stray]))

    assert astray(found) == {"tcp_reset elsewhere": [0, 1], "sk_error_report not called": [0, 1]}


def test_more_ways_than_can_be_shown_are_counted(tmp_path: Path) -> None:
    """A clause has some; a record may say anything."""
    cases = [node("reset", f"f{number}") for number in range(COLUMNS + 5)]
    lines = [run_line(cases), clause_line()]
    for number, case in enumerate(cases):
        lines += [case_line(case), path_line(case, steps=[step("tcp_reset", between=[f"f{number}"])])]
    (found,) = compared(tmp_path, lines)

    assert (len(found.courses), found.left_out) == (COLUMNS, 5)


# The calls


def tree_of(folder: Path, calls: list[Any], steps: list[Line]) -> list[str]:
    """The tree of one case, the path's functions marked."""
    tasks = [{"task": "case", "calls": calls}]
    (run,) = runs_of(folder, traced_run("6.1", [steps], tasks=tasks))
    (path,) = run.paths.values()
    return [f"{'>' if line.marked else ''}{line.text}" for line in tree(path)]


def test_a_small_tree_is_shown_whole(tmp_path: Path) -> None:
    """With the path's functions marked under the names that they have here."""
    calls = [[0, "sys_read", 1], [1, "sock_read_iter", 3], [2, "tcp_poll", 1], [0, "sys_close", 1]]
    steps = [step("sock_aio_read", "replaced", "sock_read_iter"), step("tcp_close|sys_close", "elsewhere")]

    assert tree_of(tmp_path, calls, steps) == [
        "case:",
        "  sys_read",
        ">    sock_read_iter \N{MULTIPLICATION SIGN} 3",
        "      tcp_poll",
        ">  sys_close",
    ]


def test_of_a_large_tree_the_path_and_its_callers_are_shown(tmp_path: Path) -> None:
    """What is left out is counted."""
    other = [[0, "sys_poll", 1], *[[1, "tcp_poll", 1]] * LINES]
    calls = [*other, [0, "sys_close", 1], [1, "tcp_close", 1], [2, "tcp_reset", 1], *other]

    assert tree_of(tmp_path, calls, [step("tcp_reset")]) == [
        "case:",
        f"… {LINES + 1} more",
        "  sys_close",
        "    tcp_close",
        ">      tcp_reset",
        f"… {LINES + 1} more",
    ]


@pytest.mark.parametrize(
    "calls",
    [
        [[-(2**63), "f", -1], [2**64 - 1, "f", 2**64 - 1]],
        [[depth, "f", 2**40] for depth in range(3_000)],
        [[0, "f" * 100_000, 1]] * 90,
        [],
    ],
    ids=["numbers", "depth", "length", "nothing"],
)
def test_a_tree_of_nonsense_is_bounded(tmp_path: Path, calls: list[Any]) -> None:
    """In lines, in columns, and in what its calls are counted up to."""
    lines = tree_of(tmp_path, calls, [step("f")])
    (path,) = read([tmp_path / "record.jsonl"])[0].paths.values()

    assert len(lines) <= LINES + 2
    assert all(len(line) < 250 for line in lines)
    assert 0 <= path.calls <= MANY


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"steps": [{"function": "f", "state": "flew"}]}, 'its "state" must be one of ran, '),
        ({"tasks": [{"task": "case", "calls": [[0, "f"]]}]}, 'its "calls" must be lists of depth, name and count'),
        ({"tasks": [{"task": "case", "calls": [[0.5, "f", 1]]}]}, 'its "calls" must be lists of depth, name and count'),
        ({"case": "nowhere"}, "isn't among those that its run planned"),
        ({"case": node("reset", "tcp4")}, "has a path in this run already"),
    ],
)
def test_a_line_that_cannot_be_is_one_sentence(tmp_path: Path, changes: Line, words: str) -> None:
    """With the file and the line."""
    case = node("reset", "tcp4")
    lines = [run_line([case]), path_line(case), path_line(**{"case": case} | changes)]
    if "already" not in words:
        del lines[1]
    with pytest.raises(RecordError, match=words):
        read([write(tmp_path / "a.jsonl", lines)])


# Coverage

FUNCTIONS: list[Line] = [
    function_line("tcp_reset", documents=["000"]),
    function_line("send_sigio", documents=["001"], now=["send_sigio_new", "do_send"], since=["6.1"], why="fs/fcntl.c"),
    function_line("sk_wake_async", documents=["001"], **{"is": "inline"}, found={"sk_wake_async": "no symbol"}),
    function_line("sock_static", documents=["001"], found={"sock_static": "no symbol"}),
    function_line("notrace_one", documents=["001"], found={"notrace_one": "untraceable"}),
    function_line("do_sync_read", documents=["002"], now=[], since=["4.1"], why="vfs_read", found={}),
    function_line("sock_aio_dtor", documents=["002"], unreached="AIO of sockets needs a module"),
    function_line("never", documents=["002", "003"]),
]


def test_a_function_is_seen_replaced_or_never_reached_and_why(tmp_path: Path) -> None:
    """What can't be seen is told apart from what wasn't called; under which clauses a function was seen is said."""
    runs = runs_of(tmp_path, traced_run("6.1", [NEWER], *FUNCTIONS))
    found = {function.name: function for function in coverage(runs)}

    assert {name: (one.cells[0].state, *one.cells[0].names) for name, one in found.items()} == {
        "tcp_reset": ("ran", "tcp_reset"),
        "send_sigio": ("replaced", "send_sigio_new"),
        "sk_wake_async": ("inlined",),
        "sock_static": ("inlined",),
        "notrace_one": ("untraceable",),
        "do_sync_read": ("gone",),
        "sock_aio_dtor": ("not called",),
        "never": ("not called",),
    }
    assert found["tcp_reset"].plainest == (CLAUSE,)
    reasons = {name: [reason.words for reason in one.reasons] for name, one in found.items()}
    assert reasons["send_sigio"] == ["send_sigio_new or do_send since 6.1: fs/fcntl.c"]
    assert reasons["do_sync_read"] == ["nothing in its place since 4.1: vfs_read"]
    assert reasons["sock_aio_dtor"] == ["AIO of sockets needs a module"]
    assert reasons["never"] == ["no case that was traced calls it, and no reason is recorded"]
    assert reasons["sk_wake_async"] != reasons["sock_static"]


def test_the_plainest_clause_names_the_function_and_calls_little(tmp_path: Path) -> None:
    """So a reader finds it at once."""
    names = {"one.by.accident": 1, "two.names.it": 9, "three.names.it": 3}
    cases = [node("reset", name) for name in names]
    lines = [run_line(cases), function_line("tcp_reset")]
    for case, (name, calls) in zip(cases, names.items(), strict=True):
        tree = [{"task": "case", "calls": [[0, "tcp_reset", calls]]}]
        steps = [step("tcp_reset")] if calls > 1 else [step("f")]
        lines += [case_line(case, clause=name), path_line(case, clause=name, steps=steps, tasks=tree)]
    (function,) = coverage(runs_of(tmp_path, lines))

    assert (function.cells[0].clauses, function.plainest) == (3, ("three.names.it",))


def test_what_tracing_cost_is_told(tmp_path: Path) -> None:
    """As a share of the traced cases' time; where nothing could be traced, why."""
    traced, refused = traced_run("5.10", [RAN, None], cost_ns=200_000, lost=2), traced_run("6.1", [None])
    refused[0]["trace"] = {"ok": False, "how": "there is no function_graph"}
    one, two = map(cost, runs_of(tmp_path, traced, refused))

    assert one
    assert one.words == (
        "1 of 2 executed cases traced, 1 as their clause draws it, 18 calls, 2 events lost; "
        "it took 0.0 s, 25% of the time of these cases"
    )
    assert two
    assert two.words == "couldn't be traced: there is no function_graph"


# The page and the terminal


def test_the_page_has_both_sides_the_tree_and_the_functions(tmp_path: Path) -> None:
    """Every link leads to a place, and nothing has two."""
    runs = [traced_run("5.10", [RAN, RAN], *FUNCTIONS[:1]), traced_run("6.1", [NEWER, NEWER], *FUNCTIONS)]
    made = render(runs_of(tmp_path, *runs))
    shown = Page(made)
    text = " ".join(shown.text.split())

    assert made.count("<th scope=colgroup") == 1
    assert "tcp4, tcp6" in text
    assert "replaced by send_sigio_new" in text
    assert "by way of kill_fasync" in text
    assert "send_sigio is send_sigio_new or do_send since 6.1: fs/fcntl.c vm-6.1" in text
    assert "The calls of tcp4 on vm-5.10: 18" in text
    assert "Paths that change from kernel to kernel: 1 clause" in text
    assert "sock_aio_dtor: not traced, not called: AIO of sockets needs a module" in text
    assert {link.removeprefix("#") for link in shown.links} <= set(shown.ids)
    assert len(set(shown.ids)) == len(shown.ids)


def test_equal_trees_are_shown_once(tmp_path: Path) -> None:
    """Steps that differ in what came between may have the same calls."""
    made = render(runs_of(tmp_path, traced_run("5.10", [RAN, [*RAN[:2], step("send_sigio")]])))

    assert made.count("<th scope=colgroup") == 2
    assert made.count("The calls of ") == 1


def test_many_cases_with_large_trees_stay_small_on_the_page(tmp_path: Path) -> None:
    """40 cases on two kernels, with two thousand calls each that lead to the path, all different."""
    records = []
    for run in ("r1", "r2"):
        cases = [node("reset", f"f{number}") for number in range(40)]
        lines = [run_line(cases, run), clause_line(run=run)]
        for number, case in enumerate(cases):
            calls = [[depth % 9, f"f{number}" if depth % 2 else "tcp_reset", 1] for depth in range(2_000)]
            tasks = [{"task": "case", "calls": calls}]
            lines += [case_line(case, run=run), path_line(case, run, steps=RAN[: number + 1], tasks=tasks)]
        records.append(lines)
    plain = render(runs_of(tmp_path, *([line for line in lines if line["type"] != "path"] for lines in records)))

    assert len(render(runs_of(tmp_path, *records))) - len(plain) < 60_000


def test_a_record_without_traces_says_nothing_of_paths(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its page has neither the section nor its style; the terminal says how to get traces."""
    case = node("reset", "tcp4")
    path = write(tmp_path / "a.jsonl", [run_line([case]), clause_line(), case_line(case)])
    made = render(read([path]))

    assert ":paths" not in made
    assert ".path" not in made
    assert "--trace-path" in told(capsys, "paths", str(path))
    assert "no case of it was traced" in told(capsys, "paths", "--clause", CLAUSE, str(path))


def test_the_terminal_says_which_functions_were_seen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Kernels that did the same together, reasons, and sums."""
    runs_of(tmp_path, traced_run("5.10", [RAN], *FUNCTIONS[:1]), traced_run("6.1", [NEWER], *FUNCTIONS))
    text = told(capsys, "paths", str(tmp_path / "record.jsonl"))

    assert f"Document 000 tcp_reset ● ran: all 2 kernels, in 1 clause under {CLAUSE} Document 001" in text
    assert "send_sigio … not traced: vm-5.10 → replaced by send_sigio_new: vm-6.1, in 1 clause" in text
    assert "do_sync_read … not traced: vm-5.10 ∅ gone: vm-6.1 nothing in its place since 4.1: vfs_read" in text
    assert (
        "8 functions of documents: 2 seen, or what does their work; 6 never: sk_wake_async, sock_static, notrace_one, do_sync_read,"
        in text
    )


@pytest.mark.parametrize("arguments", [("paths", "--clause", CLAUSE), ("explain", CLAUSE)], ids=lambda given: given[0])
def test_the_terminal_has_both_sides(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    """Kernel by kernel, with what changed and why."""
    runs_of(tmp_path, traced_run("5.10", [RAN, RAN]), traced_run("6.1", [NEWER, NEWER], *FUNCTIONS))
    text = told(capsys, *arguments, str(tmp_path / "record.jsonl"))

    assert (
        "tcp4, tcp6, on vm-5.10 tcp_reset ● ran sk_error_report ⊂ inlined send_sigio ● ran by way of kill_fasync "
        "tcp4, tcp6, on vm-6.1 tcp_reset ● ran Δ sk_error_report ● ran Δ send_sigio → replaced by send_sigio_new "
        "send_sigio is send_sigio_new or do_send since 6.1: fs/fcntl.c (vm-6.1)"
    ) in text


def test_the_terminal_has_the_calls(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """If asked for."""
    runs_of(tmp_path, traced_run("5.10", [RAN]))
    text = told(capsys, "paths", "--calls", "--clause", CLAUSE, str(tmp_path / "record.jsonl"))

    assert "case: __x64_sys_close tcp_close" in text
    assert "> tcp_reset" in text


def test_a_clause_that_is_not_there_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, and nothing is printed of the others."""
    runs_of(tmp_path, traced_run("5.10", [RAN]))

    assert main(["paths", "--clause", CLAUSE, "--clause", "no.such", str(tmp_path / "record.jsonl")]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "there is no clause 'no.such' in the records" in err


def test_hostile_text_stays_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In functions, states' names, trees and reasons, on the page and in the terminal."""
    steps = [step(HOSTILE, "replaced", HOSTILE, [HOSTILE] * 200), step(HOSTILE, "not called")]
    tasks = [{"task": HOSTILE, "calls": [[0, HOSTILE, 1], [1, HOSTILE, 2]]}]
    function = function_line(
        HOSTILE, documents=[HOSTILE], now=[HOSTILE, "x"], since=[HOSTILE], why=HOSTILE, unreached=HOSTILE
    )
    runs = runs_of(tmp_path, traced_run("6.1", [steps], function, tasks=tasks, clause=HOSTILE))
    shown = Page(render(runs))
    arguments = ("paths", "--calls", str(tmp_path / "record.jsonl"), "--clause", CLAUSE)

    assert not shown.tags & {"x", "failure", "testcase"}
    for text in (shown.text, *(told(capsys, *each) for each in (arguments, (arguments[0], arguments[2])))):
        assert not set(text) & set("\x1b\r\x00\x85\u2028\u202e\ufffe")
        assert "ok 99 forged" in text
