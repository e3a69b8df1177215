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


class Account:
    """One run: what is planned, what runs, and what came of the rest. Writes nothing."""

    def __init__(
        self, deviations: dict[tuple[str, str], dict[str, str]], run: str, target: str, planned: list[str]
    ) -> None:
        self.run = run
        self.target = target
        self.planned = planned
        self.running: dict[str, Line] = {}
        self.lines: dict[str, Line] = {}
        self.paths: Counter[bool] = Counter()
        self.unseen: list[tuple[str, str]] = []
        self._deviations = deviations

    def counts(self) -> dict[str, int]:
        """How many of the planned cases came out how; they always add up."""
        counted = Counter(line["outcome"] for line in self.lines.values())
        counted["MISS"] = len(self.planned) - sum(counted.values())
        return {outcome: counted[outcome] for outcome in OUTCOMES}

    def in_words(self) -> str:
        """Those counts as a sentence."""
        return in_words(self.counts(), sum(counted_as(line) == "DEVIATION" for line in self.lines.values()))

    def as_recorded(self, line: Line) -> bool:
        """Whether a case shows one of its recorded deviations; a target that varies may be recorded with a PASS beside them."""
        return bool(line["deviation"]) or (line["outcome"] == "PASS" and (line["case"], "") in self._deviations)

    def deviation(self, line: Line) -> dict[str, str] | None:
        """The recorded deviation that a case's line shows."""
        return self._deviations.get((line["case"], line["verdict"])) if line["outcome"] == "FAIL" else None

    def conclude(self) -> bool:
        """Find the recorded deviations that are gone; returns whether the run fails by them, by news, an error or a miss."""
        selected = set(self.planned)
        seen = {line["case"] for line in self.lines.values() if self.as_recorded(line)}
        self.unseen = [key for key in self._deviations if key[0] in selected - seen]
        news = any(counted_as(line) == "FAIL" for line in self.lines.values())
        counts = self.counts()
        return bool(news or counts["ERROR"] or counts["MISS"] or self.unseen)


class Recording:
    """The record of a session. Without a file it still keeps the account, and so decides the exit code.

    There is one run, begun with what `head` makes of the planned cases; without a `head` each worker has one of its own
    (xdist's --dist each), whose lines come with the worker's first report.
    """

    def __init__(
        self,
        path: Path | None,
        head: Callable[[list[str]], Iterable[Line]] | None,
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
        self._accounts: dict[str, Account] = {}
        self._reason = "finished"
        self._session: pytest.Session | None = None
        self._unwritten = ""
        self._over = False
        self._unaccounted = False

    # The lines, in their order

    def begin(self, planned: list[str]) -> None:
        """Write the run line and the clauses, once it is known what is planned."""
        if self._head and planned and not self._accounts:
            self._begin(self._head(planned))

    def _begin(self, lines: Iterable[Line]) -> None:
        for line in lines:
            if line["type"] == "run":
                self._accounts[line["run"]] = Account(self._deviations, line["run"], line["target"], line["planned"])
                if self._live:
                    self._live.begin(len(line["planned"]))
            self._write(line)

    def case(self, line: Line, text: str | None = None) -> None:
        """Write a case's line, given whole or with its text; a recorded deviation is named on it."""
        account = self._accounts[line["run"]]
        if line["case"] in account.lines:
            return
        if deviation := account.deviation(line):
            line = (json.loads(text) if text else line) | {"deviation": deviation}
            text = None
        account.lines[line["case"]] = line
        account.running.pop(line["case"], None)
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
        """Write the end lines; the counts are of all that was planned."""
        for account in self._accounts.values():
            vanished = [{"case": case, "verdict": verdict} for case, verdict in account.unseen]
            end = {"reason": self._reason, "counts": account.counts(), "vanished": vanished}
            self._write({"type": "end", "run": account.run} | end)
        if self._writer:
            self._writer.close()
            self._writer = None

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
        """Under xdist, it is what the first worker has collected, unless each makes a run of its own."""
        self.begin(list(ids))

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take the lines that a report carries; a report without one that ends a case says that its worker died."""
        text = getattr(report, "sockwake", None)
        if text is None:
            if str(report.when) == "???" and (start := self._start_of(report)):  # xdist's word for a crash
                self.case(self._died(start))
            elif report.failed and not any(report.nodeid in account.planned for account in self._accounts.values()):
                self._unaccounted = True
            return
        if lines := getattr(report, "sockwake_run", None):
            self._begin(lines)
            del report.sockwake_run
        line = report.sockwake_head
        account = self._accounts[line["run"]]
        if line["type"] == "start":
            account.running[line["case"]] = line
            self._write(line, text)
        else:
            self.case(line, text)
            if path := getattr(report, "sockwake_path", None):
                account.paths[path["as_stated"]] += 1
                self._write(path)
                del report.sockwake_path
        del report.sockwake  # pytest keeps its reports to the end

    def _start_of(self, report: pytest.TestReport) -> Line | None:
        """The start of a case that runs on the worker which a report is of."""
        starts = [account.running.get(report.nodeid) for account in self._accounts.values()]
        worker = report.node.gateway.id
        return next((start for start in starts if start and start["worker"] == worker), None)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A file that can't be collected has cases that nobody has planned."""
        self._unaccounted |= report.failed

    def _died(self, start: Line) -> Line:
        """The line of a case whose worker is gone: its own last words, else that it died."""
        for path in sorted(self._last_words.glob("*.json")) if self._last_words else ():
            line: Line = json.loads(path.read_text())
            if (line["run"], line["case"]) == (start["run"], start["case"]):
                return line
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
        head = getattr(report, "sockwake_head", None)
        line = self._accounts[head["run"]].lines.get(report.nodeid) if head else None
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
        misses = any(account.counts()["MISS"] for account in self._accounts.values())
        if misses and self._reason == "finished" and (session.shouldstop or session.shouldfail):
            self._reason = "interrupted"
        bad = [account.conclude() for account in self._accounts.values()]
        if bad and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            failed = any(bad) or self._unaccounted
            session.exitstatus = pytest.ExitCode.TESTS_FAILED if failed else pytest.ExitCode.OK
        self.finish()
        return (yield)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Totals in words, slow cases and vanished deviations by name, and where the record is."""
        if not self._accounts:
            return
        write = terminalreporter.write_line
        terminalreporter.section("sockwake")
        for account in self._accounts.values():
            lines = account.lines.values()
            waited = [line["duration_ns"] / 1e9 for line in lines if line.get("timer")]
            if waited:
                write(f"{len(waited)} of the cases wait for a timer of the kernel's: {sum(waited):.1f} s in all")
            for line in lines:
                if line["duration_ns"] > SLOW_NS and not line.get("timer"):
                    write(f"slow: {line['case']} took {line['duration_ns'] / 1e9:.2f} s")
            for case, verdict in account.unseen:
                write(f"a recorded deviation is no longer seen: {case}: {verdict}", red=True)
            if account.paths:
                write(
                    f"{account.paths[True]} of {account.paths.total()} traced cases took the path that their clause draws"
                )
            write(account.in_words() if len(self._accounts) == 1 else f"{account.target}: {account.in_words()}")
        if self._unwritten:
            write(f"sockwake: {self._unwritten}", red=True)
        elif self._path:
            write(f"record: {self._path}")
