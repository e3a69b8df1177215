"""Writing a record while pytest runs: the controller's side, the same with and without xdist.

Owns the order of the record's lines, the account of outcomes, recorded deviations, and what the terminal says at the end;
what it says before is `reports.live`'s. Lines come as plain data on pytest's reports (`report.sockwake`): this knows neither
cases nor the kernel.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reports.live import Live
from reports.record import OUTCOMES, RecordError, Writer, in_words
from reports.status import counted_as

Line = dict[str, Any]

CATEGORIES = {
    "PASS": "passed",
    "FAIL": "failed",
    "DEVIATION": "deviating",
    "ERROR": "error",
    "SKIP": "skipped",
    "DONE": "measured",
}
"""As what pytest counts an outcome."""

SLOW_NS = 500_000_000
"""A case that takes longer is named in the summary."""


class Recording:
    """One run's record. Without a file it still keeps the account, and so decides the exit code."""

    def __init__(
        self,
        path: Path | None,
        head: Callable[[list[str]], Iterable[Line]],
        deviations: dict[tuple[str, str], dict[str, str]],
        last_words: Path | None = None,
        live: Live | None = None,
    ) -> None:
        self._writer = Writer(path) if path else None
        self._path = path
        self._head = head
        self._deviations = deviations
        self._last_words = last_words
        self._live = live
        self._run = ""
        self._planned: list[str] = []
        self._running: dict[str, Line] = {}
        self._lines: dict[str, Line] = {}
        self._reason = "finished"
        self._unseen: list[tuple[str, str]] = []
        self._session: pytest.Session | None = None
        self._unwritten = ""
        self._over = False
        self._unaccounted = False
        self._paths: Counter[bool] = Counter()

    # The lines, in their order

    def begin(self, planned: list[str]) -> None:
        """Write the run line and the clauses, once it is known what is planned."""
        if self._planned or not planned:
            return
        self._planned = planned
        if self._live:
            self._live.begin(len(planned))
        for line in self._head(planned):
            self._run = line.get("run", self._run)
            self._write(line)

    def case(self, line: Line, text: str | None = None) -> None:
        """Write a case's line, given whole or with its text; a recorded deviation is named on it."""
        if line["case"] in self._lines:
            return
        deviation = self._deviations.get((line["case"], line["verdict"])) if line["outcome"] == "FAIL" else None
        if deviation:
            line = (json.loads(text) if text else line) | {"deviation": deviation}
            text = None
        self._lines[line["case"]] = line
        self._running.pop(line["case"], None)
        self._write(line, text)
        if self._live:
            self._live.take(line, text)

    def give_up(self, line: Line) -> None:
        """A case that nothing could end takes this process with it: write it, and the end."""
        self.case(line)
        if self._live:
            self._live.tell()
        self._reason = "deadline"
        self.finish()

    def finish(self) -> None:
        """Write the end line; the counts are of all that was planned."""
        if self._planned:
            vanished = [{"case": case, "verdict": verdict} for case, verdict in self._unseen]
            counts = self.counts()
            self._write(
                {"type": "end", "run": self._run, "reason": self._reason, "counts": counts, "vanished": vanished}
            )
        if self._writer:
            self._writer.close()
            self._writer = None

    def _as_recorded(self, line: Line) -> bool:
        """Whether a case shows one of its recorded deviations; a target that varies may be recorded with a PASS beside them."""
        return bool(line["deviation"]) or (line["outcome"] == "PASS" and (line["case"], "") in self._deviations)

    def counts(self) -> dict[str, int]:
        """How many of the planned cases came out how; they always add up."""
        counted = Counter(line["outcome"] for line in self._lines.values())
        counted["MISS"] = len(self._planned) - sum(counted.values())
        return {outcome: counted[outcome] for outcome in OUTCOMES}

    def _write(self, line: Line, text: str | None = None) -> None:
        if self._writer is None:
            return
        try:
            self._writer.write(line, text)
        except RecordError as error:  # no room, for one: what has been written stays, and going on would be for nothing
            self._unwritten = str(error)
            self._writer.close()
            self._writer = None
            if self._session:
                self._session.shouldfail = f"sockwake: {error}"

    # pytest's hooks

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Know whom to stop when the record can't be written any more."""
        self._session = session

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Without xdist, what is planned is what was collected."""
        if not session.config.getoption("collectonly"):
            self.begin([item.nodeid for item in session.items if "clause" in item.keywords])

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: object, ids: list[str]) -> None:
        """Under xdist, it is what the first worker has collected."""
        self.begin(list(ids))

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take the line that a report carries; a report without one that ends a case says that its worker died."""
        text = getattr(report, "sockwake", None)
        if text is None:
            if str(report.when) == "???" and report.nodeid in self._running:  # xdist's word for a crash
                self.case(self._died(report.nodeid))
            elif report.failed and report.nodeid not in self._planned:
                self._unaccounted = True
            return
        line = report.sockwake_head
        if line["type"] == "start":
            self._running[line["case"]] = line
            self._write(line, text)
        else:
            self.case(line, text)
            if path := getattr(report, "sockwake_path", None):
                self._paths[path["as_stated"]] += 1
                self._write(path)
                del report.sockwake_path
        del report.sockwake  # pytest keeps its reports to the end

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A file that can't be collected has cases that nobody has planned."""
        self._unaccounted |= report.failed

    def _died(self, case: str) -> Line:
        """The line of a case whose worker is gone: its own last words, else that it died."""
        for path in sorted(self._last_words.glob("*.json")) if self._last_words else ():
            line: Line = json.loads(path.read_text())
            if line["case"] == case:
                return line
        start = self._running[case]
        return {
            **{key: start[key] for key in ("run", "worker", "clause", "case", "family", "level")},
            "type": "case",
            "outcome": "ERROR",
            "verdict": "",
            "reason": f"the worker {start['worker']} died while it ran this case",
            "deviation": None,
            "expected": None,
            "observed": None,
            "duration_ns": 0,
        }

    def pytest_report_teststatus(self, report: pytest.TestReport, config: pytest.Config) -> tuple[str, str, str] | None:
        """Count outcomes by their own names; while it runs they are named with -v only. A recorded deviation isn't news."""
        line = self._lines.get(report.nodeid)
        if line is None or report.when != "call":
            return None
        named = self._over or config.get_verbosity(pytest.Config.VERBOSITY_TEST_CASES) > 0
        outcome = counted_as(line)
        return CATEGORIES[outcome], "", outcome if named else ""

    def pytest_keyboard_interrupt(self) -> None:
        """Ctrl-C: what hasn't run is MISS, and the end says why."""
        self._reason = "interrupted"

    @pytest.hookimpl(wrapper=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Iterator[None]:
        """Decide the exit code from the account, not from pytest's."""
        self._over = True
        counts = self.counts()
        if counts["MISS"] and self._reason == "finished" and (session.shouldstop or session.shouldfail):
            self._reason = "interrupted"
        selected = set(self._planned)
        seen = {line["case"] for line in self._lines.values() if self._as_recorded(line)}
        self._unseen = [key for key in self._deviations if key[0] in selected - seen]
        news = [line for line in self._lines.values() if line["outcome"] == "FAIL" and not line["deviation"]]
        if self._planned and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            bad = news or counts["ERROR"] or counts["MISS"] or self._unseen or self._unaccounted
            session.exitstatus = pytest.ExitCode.TESTS_FAILED if bad else pytest.ExitCode.OK
        self.finish()
        return (yield)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Totals in words, slow cases and vanished deviations by name, and where the record is."""
        if not self._planned:
            return
        write = terminalreporter.write_line
        terminalreporter.section("sockwake")
        waited = [line["duration_ns"] / 1e9 for line in self._lines.values() if line.get("timer")]
        if waited:
            write(f"{len(waited)} of the cases wait for a timer of the kernel's: {sum(waited):.1f} s in all")
        for line in self._lines.values():
            if line["duration_ns"] > SLOW_NS and not line.get("timer"):
                write(f"slow: {line['case']} took {line['duration_ns'] / 1e9:.2f} s")
        for case, verdict in self._unseen:
            write(f"a recorded deviation is no longer seen: {case}: {verdict}", red=True)
        if self._paths:
            write(f"{self._paths[True]} of {self._paths.total()} traced cases took the path that their clause draws")
        write(in_words(self.counts(), sum(counted_as(line) == "DEVIATION" for line in self._lines.values())))
        if self._unwritten:
            write(f"sockwake: {self._unwritten}", red=True)
        elif self._path:
            write(f"record: {self._path}")
