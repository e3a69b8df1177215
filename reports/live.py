"""What a run shows in the terminal while it lasts: how far it is, and each failure as it comes, expected beside observed.

Owns pytest's progress for cases. A terminal has one line that is written over; elsewhere there are only the failures, and
the summary, which is `reports.recording`'s. With -v, pytest tells of each case itself, and there is no such line.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from reports.lines import Case, parse
from reports.status import Status, counted_as, in_words, time_left, wanted

NEWS = ("FAIL", "ERROR")


class Live:
    """The terminal's side of a run. `begin` and `take` are told by whoever keeps the account."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._reporter: pytest.TerminalReporter | None = None
        self._status: Status | None = None
        self._planned = 0
        self._counts: Counter[str] = Counter()
        self._taken = ""
        self._news: list[Case] = []

    @property
    def _brief(self) -> bool:
        """Whether pytest is to say nothing of single cases."""
        return self._config.get_verbosity(pytest.Config.VERBOSITY_TEST_CASES) <= 0

    def begin(self, planned: int) -> None:
        """So many cases will run, beside those that are known of."""
        self._planned += planned
        self._reporter = self._config.pluginmanager.getplugin("terminalreporter")
        if self._reporter and self._brief:
            self._reporter.showfspath = False
            if wanted(self._reporter.isatty()) and not self._status:
                self._status = Status(self._write)

    def take(self, line: dict[str, Any], text: str | None) -> None:
        """A case came out; its line, or enough of it to count beside the whole of it as text."""
        self._counts[counted_as(line)] += 1
        self._taken = line["case"]
        if line["outcome"] in NEWS and not line["deviation"]:
            case = parse(json.loads(text) if text else line)
            assert isinstance(case, Case)
            self._news.append(case)

    def tell(self) -> None:
        """Print what is news, and bring the line up to date."""
        if self._reporter is None:
            return
        for case in self._news:
            self._clear()
            self._reporter.ensure_newline()
            # Not at the top: a run without failures, and each worker, does without.
            from reports.terminal import failure

            head, *rest = failure(case, self._config.option.tbstyle != "no")
            self._reporter.write_line(head, red=True, bold=True)
            for line in rest:
                self._reporter.write_line(line)
            self._reporter.flush()
        self._news.clear()
        if self._status:
            self._status.show(self._words)

    def _words(self, seconds: float) -> str:
        return in_words(self._counts, self._planned) + time_left(self._counts, self._planned, seconds)

    def _write(self, text: str) -> None:
        if self._reporter:
            self._reporter.write(text, flush=True)

    def _clear(self) -> None:
        if self._status:
            self._status.clear()

    # pytest's hooks

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """After pytest's own line, if there is one. What failed and isn't a case's outcome is told as pytest has it."""
        if self._planned and report.failed and (report.when in ("setup", "teardown") or report.nodeid != self._taken):
            self._clear()
            self._write(f"\n{report.when} of {report.nodeid}\n{report.longreprtext}\n")
        if self._news or report.when == "call":
            self.tell()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtestloop(self) -> Iterator[None]:
        """The line goes when the last case has ended, or the user has stopped the run."""
        try:
            return (yield)
        finally:
            self._clear()

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """All failures of cases have been told: the summary names them and doesn't tell them again."""
        errors = self._reporter.stats.get("error", []) if self._reporter else []
        if self._planned and not any(isinstance(report, pytest.CollectReport) for report in errors):
            self._config.option.tbstyle = "no"
