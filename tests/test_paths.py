"""The path that a kernel took, beside that of a clause: what the tracer printed, what is recorded, what is said of it."""

from __future__ import annotations

from typing import Any

import pytest

from suites.clauses import element
from suites.functions import Change, Function, Functions
from suites.lab.ftrace import parse
from suites.paths import Call, calls_of, compare, recorded, shorten, stages

PRINTED = """\
   python-172   | __sys_sendto() {
   python-172   |   inet_sendmsg() {
   python-172   |     tcp_data_ready [ipv6]() {
   <idle>-0     | tcp_v4_err.isra.0();
   python-172   |       sock_def_readable();
   python-172   |     }
CPU:1 [LOST 12 EVENTS]
 ------------------------------------------
 1)   python-176   =>   python-177
 ------------------------------------------
   python-172   |   } /* inet_sendmsg */
   python-172   |   tcp_push();
   python-172   | }
 ==========> |
   python-177   | unix_poll(sk=0xffff) {
"""


def test_tracer_s_lines_become_calls_with_their_callers() -> None:
    """Another task's lines in between, a module's name, a compiler's suffix and arguments change nothing."""
    traced = parse(PRINTED)

    assert [(call.name, call.task, call.parent and call.parent.name) for call in traced.calls] == [
        ("__sys_sendto", 172, None),
        ("inet_sendmsg", 172, "__sys_sendto"),
        ("tcp_data_ready", 172, "inet_sendmsg"),
        ("tcp_v4_err", 0, None),
        ("sock_def_readable", 172, "tcp_data_ready"),
        ("tcp_push", 172, None),  # nobody knows, after what was lost
        ("unix_poll", 177, None),
    ]
    assert traced.lost == 12


def test_call_whose_entry_is_lost_leaves_what_follows_in_place() -> None:
    """A closing brace of nothing that is open closes nothing."""
    traced = parse("a-1   |   } /* gone */\na-1   | b() {\na-1   |   c();\na-1   | }\na-1   | d();\n")

    assert [(call.name, call.parent and call.parent.name) for call in traced.calls] == [
        ("b", None),
        ("c", "b"),
        ("d", None),
    ]


def test_record_holds_calls_in_order_and_equal_ones_once() -> None:
    """A loop's calls are counted; what another task did in between isn't moved."""
    calls = tree("case: send{copy push} send{copy push} send{copy} recv; child: poll; case: recv recv")

    tasks = recorded(calls, str)

    assert tasks == [
        {"task": "case", "calls": [[0, "send", 2], [1, "copy", 1], [1, "push", 1], [0, "send", 1], [1, "copy", 1], [0, "recv", 1]]},
        {"task": "child", "calls": [[0, "poll", 1]]},
        {"task": "case", "calls": [[0, "recv", 2]]},
    ]  # fmt: skip


def test_call_that_another_task_breaks_off_goes_on_after_it() -> None:
    """A sleeper's call begins before, and ends after, what wakes it; nothing of it is folded."""
    sleeping = Call("recv", "thread", None)
    calls = [
        sleeping,
        Call("wait", "thread", sleeping),
        Call("send", "case", None),
        Call("wait", "thread", sleeping),
        Call("copy", "thread", sleeping),
    ]

    tasks = recorded(calls, str)

    assert tasks == [
        {"task": "thread", "calls": [[0, "recv", 1], [1, "wait", 1]]},
        {"task": "case", "calls": [[0, "send", 1]]},
        {"task": "thread", "calls": [[1, "wait", 1], [1, "copy", 1]]},
    ]
    again = calls_of(tasks)
    assert [(call.name, call.parent and call.parent.name) for call in again] == [
        ("recv", None), ("wait", "recv"), ("send", None), ("wait", "recv"), ("copy", "recv"),
    ]  # fmt: skip
    assert recorded(again, str) == tasks


def test_common_call_s_place_is_taken_by_what_it_called() -> None:
    """Functions that are called all the time would fill a record."""
    calls = tree("case: close{fput{release{kfree}} kfree}")

    assert recorded(calls, str, {"fput", "kfree"}) == [{"task": "case", "calls": [[0, "close", 1], [1, "release", 1]]}]


def test_record_s_limit_says_how_many_are_left_out() -> None:
    """The first ones are kept."""
    tasks = recorded(tree("case: a b c; child: d"), str)

    assert shorten(tasks, 2) == 2
    assert tasks == [{"task": "case", "calls": [[0, "a", 1], [0, "b", 1]]}]


@pytest.mark.parametrize(
    ("path", "called", "said"),
    [
        ("a b c", "a{b{c}}", "ran ran ran"),
        ("a c", "a{b{c}}", "ran ran(b)"),
        ("a b", "b a", "ran elsewhere"),
        ("a b", "b a{b}", "ran ran"),
        ("a b c", "a c", "ran not-called ran"),
        ("a b", "a a{x{b}}", "ran ran(x)"),
        ("a|b c", "b c", "ran:b ran"),
        ("a c|d", "a", "ran not-called"),
        ("old c", "new{c}", "replaced:new ran"),
        ("a macro b", "a{b}", "ran inlined ran"),
        ("a|hidden", "", "untraceable"),
        ("buried", "", "inlined"),
        ("a b|buried", "b a", "ran inlined"),
        ("dead a", "a", "gone ran"),
        ("a@read b@write c", "a{c}", "ran ran"),
        ("a@netlink b@tcp4", "b", "ran"),
    ],
)
def test_each_function_of_a_path_is_told_apart(path: str, called: str, said: str) -> None:
    """What ran in order, under which name, what came between; and what could have been seen and wasn't."""
    found = dict.fromkeys(("a", "b", "c", "d", "new", "x"), "traceable")
    found |= {"hidden": "untraceable", "macro": "no symbol", "buried": "no symbol"}

    steps = compare(stages(path.split(), FUNCTIONS, (6, 12, 0), found, ("tcp4", "read")), tree(f"case: {called}"))

    assert " ".join(map(in_words, steps)) == said


def test_longest_order_is_found_among_many_calls() -> None:
    """What was called before, while the sockets were made, doesn't take the place of what the act caused."""
    found = dict.fromkeys("abcd", "traceable")
    path = stages(["a", "b", "c", "d"], FUNCTIONS, None, found, ())

    steps = compare(path, tree("case: a{c} b d a{b{x c}} d"))

    assert [step["state"] for step in steps] == ["ran"] * 4
    assert steps[2]["between"] == []


def test_nobody_knows_what_was_called_where_events_were_lost() -> None:
    """What is there is told, in its place; what isn't may have been."""
    path = stages(["a", "b", "macro"], FUNCTIONS, None, {"a": "traceable", "b": "traceable", "macro": "no symbol"}, ())

    steps = compare(path, tree("case: a"), whole=False)

    assert [step["state"] for step in steps] == ["ran", "not traced", "inlined"]


def test_record_older_than_the_path_doesn_t_say_what_was_called() -> None:
    """The tracer was not asked for it."""
    assert compare(stages(["a"], FUNCTIONS, None, {}, ()), tree("case: b"))[0]["state"] == "not traced"


def test_element_names_functions_and_who_takes_them() -> None:
    """Blanks around the signs are for readers."""
    assert element("tcp_close | unix_release @ tcp4 unix-stream") == (
        ("tcp_close", "unix_release"),
        frozenset({"tcp4", "unix-stream"}),
    )


FUNCTIONS = Functions(
    known={
        function.name: function
        for function in (
            Function(
                name="old", changes=(Change(since=("3.16",), names=("new",), is_="function", why="it was renamed"),)
            ),
            Function(name="macro", is_="inline"),
            Function(
                name="dead", changes=(Change(since=("6.1",), names=(), is_="function", why="nothing is left to do"),)
            ),
        )
    }
)


def in_words(step: dict[str, Any]) -> str:
    """A step's state, with the name that it was entered under and what came between."""
    name = f":{step['as']}" if "as" in step else ""
    between = f"({' '.join(step['between'])})" if step.get("between") else ""
    return str(step["state"]).replace(" ", "-") + name + between


def tree(text: str) -> list[Call]:
    """Calls as "case: send{copy push} recv; child: poll" writes them."""
    calls: list[Call] = []
    for piece in text.split(";"):
        task, _, written = piece.partition(":")
        above: list[Call] = []
        for word in written.replace("{", " { ").replace("}", " } ").split():
            if word == "{":
                above.append(calls[-1])
            elif word == "}":
                above.pop()
            else:
                calls.append(Call(word, task.strip(), above[-1] if above else None))
    return calls
