"""JUnit XML: the sums are right, kernels are told apart, and a record's text is only text."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import pytest

from reports.__main__ import main
from reports.junit import render
from reports.record import read
from tests.records import Line
from tests.runs import every_rank, hostile, record


def form(tmp_path: Path, *runs: list[Line]) -> Element:
    """The form, parsed."""
    return ElementTree.fromstring(render(read([record(tmp_path / "a.jsonl", *runs)])).encode())


def test_every_way_to_count_has_its_element(tmp_path: Path) -> None:
    """A recorded deviation is skipped, as an expected failure of pytest's is; a measurement has passed."""
    found = {
        (case.attrib["classname"], case.attrib["name"]): [(element.tag, element.get("type")) for element in case]
        for case in form(tmp_path, every_rank()).iter("testcase")
    }

    reset = "host.error.reset.established"
    assert found == {
        (reset, "tcp4"): [],
        (reset, "tcp6"): [("failure", "FAIL")],
        (reset, "mptcp"): [("skipped", "RECORDED")],
        (reset, "udp4"): [("error", "ERROR")],
        (reset, "vsock"): [("skipped", "SKIP")],
        (reset, "udp6"): [("failure", "VANISHED")],
        (reset, "unix-stream"): [("error", "MISS")],
        ("host.race.open", "unix-stream"): [("system-out", None)],
    }


def test_sums_of_a_suite_are_those_of_its_elements(tmp_path: Path) -> None:
    """And its properties have the account of outcomes."""
    (suite,) = form(tmp_path, every_rank())

    sums = {name: int(suite.attrib[name]) for name in ("tests", "failures", "errors", "skipped")}
    assert sums == {"tests": 8, "failures": 2, "errors": 2, "skipped": 2}
    properties = {entry.attrib["name"]: entry.attrib["value"] for entry in suite.iter("property")}
    counts = {name: value for name, value in properties.items() if name.startswith("count.")}
    assert counts == {
        "count.PASS": "2",
        "count.FAIL": "2",
        "count.ERROR": "1",
        "count.SKIP": "1",
        "count.MISS": "1",
        "count.DONE": "1",
    }
    assert properties["kernel.release"] == "6.12.107+deb13-amd64"
    assert properties["ended"] == "died"


def test_failure_has_its_verdict_and_its_evidence(tmp_path: Path) -> None:
    """The message is the verdict, the text what was expected and observed."""
    failure = form(tmp_path, every_rank()).find(".//failure")

    assert failure is not None
    assert failure.text
    assert failure.attrib["message"] == "at reset: socket.so_error is EPIPE, not ECONNRESET"
    assert "at reset: socket.so_error: expected ECONNRESET, observed EPIPE" in failure.text.split("\n")


def test_recorded_deviation_says_its_cause(tmp_path: Path) -> None:
    """Whoever reads the CI's page sees why it doesn't fail."""
    (recorded,) = [element for element in form(tmp_path, every_rank()).iter("skipped") if element.text]

    assert recorded.attrib["message"].startswith("recorded deviation, late-delivery: at reset: ")
    assert "recorded deviation: late-delivery: signals are delivered by another thread, later" in (recorded.text or "")


def test_same_case_on_two_kernels_is_two_testcases(tmp_path: Path) -> None:
    """Their classes begin with the run's name."""
    root = form(tmp_path, every_rank(), every_rank("r2", target="uml-6.1"))

    assert [suite.attrib["name"] for suite in root] == ["host", "uml-6.1"]
    cases = [(case.attrib["classname"], case.attrib["name"]) for case in root.iter("testcase")]
    assert len(set(cases)) == len(cases) == 16


def test_text_of_a_record_is_only_text(tmp_path: Path) -> None:
    """It parses, has no element and no testcase of the record's making, and no character is unseen."""
    root = form(tmp_path, hostile())

    outer = {"testsuites", "testsuite", "properties", "property", "testcase"}
    assert {element.tag for element in root.iter()} == outer | {"error", "skipped", "system-out"}
    assert len(list(root.iter("testcase"))) == 4
    shown = [text for element in root.iter() for text in (element.text or "", *element.attrib.values())]
    assert all(line.isprintable() for text in shown for line in text.split("\n"))


def test_command_writes_the_same_bytes_again(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """To standard output, and to a file that is JUnit XML already."""
    path, out = record(tmp_path / "a.jsonl", every_rank(), every_rank("r2")), tmp_path / "out.xml"

    assert main(["junit", str(path)]) == 0
    assert main(["junit", str(path), "-o", str(out)]) == 0
    assert main(["junit", str(path), "-o", str(out)]) == 0

    assert capfdbinary.readouterr().out == out.read_bytes() != b""


def test_command_replaces_nothing_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """XML of another kind, for one."""
    path, out = record(tmp_path / "a.jsonl", every_rank()), tmp_path / "out.xml"
    out.write_text('<?xml version="1.0"?><invoice/>')

    assert main(["junit", str(path), "-o", str(out)]) == 2

    assert "it is there and isn't JUnit XML" in capsys.readouterr().err
    assert out.read_text() == '<?xml version="1.0"?><invoice/>'
