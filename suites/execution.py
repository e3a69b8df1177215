"""A run's cases: which ones are selected, how one is executed, and what comes of it as a line of the record.

Owns selection, capabilities, the deadline, the way from a case to its outcome, and deviations. Writes no file: what it finds
travels as plain data on pytest's reports (`report.sockwake`), so it is the same with and without xdist.
"""

from __future__ import annotations

import dataclasses
import gc
import json
import os
import platform
import re
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial
from importlib.metadata import version
from pathlib import Path
from random import Random
from typing import Any, Literal

import psutil
import pytest

from native import CallError, DeadlineExpired, deadline_start, deadline_stop, kernel_log
from suites import catalogue, statements
from suites.clauses import PROBED, Clause, Specification, SpecificationError
from suites.judge import judge
from suites.lab.capabilities import NOT_PROBED, Found, probe
from suites.lab.case import QUIESCENCE_MS, Case, LabError, NotAsleep
from suites.lab.counters import NotTold
from suites.lab.families import FAMILIES
from suites.lab.lab import Lab
from suites.lab.rtnetlink import Refused
from suites.tracing import Tracing

NS = 1_000_000_000
GRACE = 3
"""After so many deadlines a case is given up, and the process with it: one is the case's, one its clean-up's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the command line asks for, as it also travels to xdist's workers."""

    target: str
    deadline: float
    repeat: int
    shuffle: int | None
    clauses: tuple[str, ...]
    families: tuple[str, ...]
    as_kernel: str | None
    run: str
    found: Found


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """What one item of pytest's puts in front of the kernel."""

    clause: Clause
    family: str
    variant: str | None


def new_run_id() -> str:
    """An id that no other run has."""
    return os.urandom(6).hex()


def linux_version(text: str) -> tuple[int, ...] | None:
    """The version that a text begins with, (6, 12, 107); None where it begins with none."""
    match = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
    return tuple(int(part or 0) for part in match.groups()) if match else None


def running_version(kernel: Mapping[str, str]) -> tuple[int, ...] | None:
    """Which version of Linux a kernel is, by what it calls itself; None for what isn't Linux or says no version.

    Debian's releases name the interface that modules see, as in 5.10.0-32-amd64. The version, 5.10.223, stands elsewhere.
    """
    if kernel["implementation"] != "Linux":
        return None
    debian = re.search(r" Debian (\d.*)", kernel["version"])
    return linux_version(debian[1] if debian else kernel["release"])


def kernel_facts() -> dict[str, str]:
    """What runs here, as it calls itself."""
    system = platform.uname()
    try:
        log = kernel_log()
    except CallError:  # not ours to read: that is Linux's way
        log = ""
    implementation = "gVisor" if "Starting gVisor" in log else system.system  # it says so nowhere else
    return {
        "release": system.release,
        "version": system.version,
        "machine": system.machine,
        "implementation": implementation,
    }


def judged_version(settings: Settings) -> tuple[int, ...] | None:
    """As which kernel outcomes are judged: --as-kernel, else this Linux's version, else the newest text (None)."""
    if settings.as_kernel:
        return linux_version(settings.as_kernel)
    return running_version(kernel_facts())


def lacking_observers(capabilities: Mapping[str, Any]) -> frozenset[str]:
    """The observers that a target, by what its probes found, hasn't got."""
    return frozenset(name for name in PROBED if not capabilities.get(name, {"ok": False})["ok"])


def own_queues(settings: Settings) -> bool:
    """Whether TCP has queues of its own, so that a datagram to oneself doesn't go behind all that are on their way."""
    return not settings.found["capabilities"]["one_queue"]["ok"]


def quiescence_ms(settings: Settings) -> int:
    """How long the lab waits for what comes late, in ms; 0 where the fence proves that nothing does."""
    return 0 if settings.found["capabilities"]["fence"]["ok"] else QUIESCENCE_MS


def run_line(
    settings: Settings, specification: Specification, planned: list[str], argv: list[str], tracing: Tracing | None
) -> dict[str, Any]:
    """The first line of a record."""
    traced = {"trace": {"ok": tracing.ok, "how": tracing.how}} if tracing else {}
    return {
        "type": "run",
        "record": 1,
        "run": settings.run,
        "target": settings.target,
        "kernel": kernel_facts(),
        "specification": specification.sha256,
        "capabilities": settings.found["capabilities"],
        "sysctls": settings.found["sysctls"],
        "quiescence_ms": quiescence_ms(settings),
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("sockwake", "cffi", "pytest", "pytest-xdist")},
        },
        "machine": {"cpus": psutil.cpu_count(), "memory": psutil.virtual_memory().total},
        "argv": argv,
        "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "planned": planned,
    } | traced


def statement_lines(settings: Settings) -> Iterator[dict[str, Any]]:
    """A line for each statement that is to be covered, so that a report can say what no clause of the run stands for."""
    for statement in statements.load().values():
        yield {"type": "statement", "run": settings.run} | {
            key: value for key, value in dataclasses.asdict(statement).items() if value is not None
        }


def clause_lines(settings: Settings, specification: Specification, planned: list[str]) -> Iterator[dict[str, Any]]:
    """A line for each clause that the planned cases stand for, in the order in which they are first met."""
    functions = dict.fromkeys(case.partition("[")[0] for case in planned)
    sources = {source.clause: source for source in map(catalogue.source_of, functions) if source}
    for name, source in sources.items():
        clause = specification.clause(name)
        yield {
            "type": "clause",
            "run": settings.run,
            "id": clause.id,
            "title": clause.title,
            "text": clause.text,
            "level": clause.level,
            "claims": list(clause.claims),
            "covers": [*clause.claims, *clause.covers],
            "refs": list(clause.refs),
            "path": list(clause.path),
            "families": list(clause.families),
            "needs": sorted(
                {
                    need
                    for family in clause.families
                    for variant in clause.variants or (None,)
                    for need in specification.needs(clause, family, variant)
                }
            ),
            "timer": clause.timer,
            "unjudged": dict(clause.unjudged),
            "source": source.text,
            "module": source.module,
        }


def head_lines(
    settings: Settings, specification: Specification, argv: list[str], tracing: Tracing | None, planned: list[str]
) -> Iterator[dict[str, Any]]:
    """All lines of a record that stand before the cases."""
    yield run_line(settings, specification, planned, argv, tracing)
    yield from statement_lines(settings)
    yield from tracing.function_lines(settings.run) if tracing else ()
    yield from clause_lines(settings, specification, planned)


def for_worker(settings: Settings, worker: str) -> str:
    """What one of xdist's workers is sent. A worker that is to find out by itself what it runs on makes a run of its own."""
    if settings.found == NOT_PROBED:
        settings = dataclasses.replace(settings, run=new_run_id(), target=f"{settings.target}-{worker}")
    return json.dumps(dataclasses.asdict(settings))


def in_worker(given: Mapping[str, Any], specification: Specification) -> Execution:
    """The execution of one of xdist's workers, by what it was sent (`workerinput`)."""
    settings, name, head = Settings(**json.loads(given["sockwake"])), given["workerid"], None
    if settings.found == NOT_PROBED:
        settings = dataclasses.replace(settings, found=probe(settings.deadline))
        head = partial(head_lines, settings, specification, ["pytest", *given["mainargv"][1:]], None)

    def give_up(line: dict[str, Any]) -> None:
        with suppress(OSError):  # another machine hasn't got the controller's folder
            Path(given["sockwake_last_words"], f"{name}.json").write_text(json.dumps(line))

    return Execution(settings, specification, name, give_up, head=head)


class Execution:
    """The part of a run that happens where the cases are: in pytest's process, or in each of xdist's workers.

    `head` is given where this is a run of its own: what it makes of the planned cases travels with the first report.
    """

    def __init__(
        self,
        settings: Settings,
        specification: Specification,
        worker: str,
        give_up: Callable[[dict[str, Any]], None],
        tracing: Tracing | None = None,
        head: Callable[[list[str]], Iterable[dict[str, Any]]] | None = None,
    ) -> None:
        self._head = head
        self.settings = settings
        self.specification = specification
        self.worker = worker
        self.lab: Lab | None = None
        self._tracing = tracing
        self._give_up = give_up
        self._kernel = judged_version(settings)
        self._lacking = lacking_observers(settings.found["capabilities"])
        self._expected: dict[tuple[str, str, str | None], dict[str, Any]] = {}
        self._current: tuple[pytest.Item, Case, float] | None = None
        self._places: dict[Callable[..., object], tuple[str, int | None]] = {}

    # Which cases there are

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """A case for each family of its clause, and for each variant."""
        marker = metafunc.definition.get_closest_marker("clause")
        if marker is None or "case" not in metafunc.fixturenames:
            return
        if others := [name for name in metafunc.fixturenames if name != "case"]:
            raise pytest.UsageError(
                f"{metafunc.definition.nodeid}: a case takes `case` and nothing else: {', '.join(others)}"
            )
        try:
            clause = self.specification.clause(*marker.args)
        except SpecificationError as error:
            raise pytest.UsageError(f"{metafunc.definition.nodeid}: {error}") from None
        planned = []
        marks = [pytest.mark.timer] if clause.timer else []
        for family in clause.families:
            if family not in FAMILIES:
                raise pytest.UsageError(f"{clause.file}: clause {clause.id}: families: there is no family {family!r}")
            for variant in clause.variants or (None,):
                name = f"{family}-{variant}" if variant else family
                planned.append(
                    pytest.param(Planned(clause=clause, family=family, variant=variant), id=name, marks=marks)
                )
        metafunc.parametrize("case", planned)

    @pytest.hookimpl(wrapper=True)
    def pytest_collection(self) -> Iterator[None]:
        """Collect without Python's collector, which would look through thousands of items again and again: a sixth of the time."""
        gc.disable()
        try:
            return (yield)
        finally:
            gc.enable()

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Keep what --clause and --family name, in the order that --shuffle asks for; the sanity cases stand first and last."""
        chosen, families = set(self.settings.clauses), set(self.settings.families)
        kept: list[pytest.Item] = []
        dropped: list[pytest.Item] = []
        for item in items:
            planned = planned_of(item)
            wanted = planned is None or (
                (not chosen or planned.clause.id in chosen) and (not families or planned.family in families)
            )
            (kept if wanted else dropped).append(item)
        if dropped:
            config.hook.pytest_deselected(items=dropped)
        if self.settings.shuffle is not None:
            Random(self.settings.shuffle).shuffle(kept)
        kept.sort(key=_place)
        items[:] = kept
        gc.freeze()  # what was collected stays to the end

    # How one is executed

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> bool | None:
        """Drive, observe and judge one case: a report when it starts, and one of what came of it, each with its line.

        Nothing of a case is pytest's to set up, call or tear down: doing so nevertheless takes as long as the case. What a worker
        tells travels to the controller, which hears of a case's begin and end by its reports already.
        """
        planned = planned_of(item)
        if planned is None:
            return None
        assert isinstance(item, pytest.Function)
        hook, place = item.config.hook, {"nodeid": item.nodeid, "location": self._location(item)}
        travels = hasattr(item.config, "workerinput")
        if not travels:
            hook.pytest_runtest_logstart(**place)
        hook.pytest_runtest_logreport(report=self._begun(item, planned, place))
        hook.pytest_runtest_logreport(report=self._run(item, planned, place))
        if not travels:
            hook.pytest_runtest_logfinish(**place)
        return True

    def _location(self, item: pytest.Function) -> tuple[str, int | None, str]:
        """As `item.location` has it, which looks at the file for each of a function's cases."""
        if item.function not in self._places:
            self._places[item.function] = item.location[:2]
        return (*self._places[item.function], item.name)

    def _begun(self, item: pytest.Function, planned: Planned, place: dict[str, Any]) -> pytest.TestReport:
        report = _reported(place, "setup", self._start(item, planned))
        if self._head:
            report.sockwake_run = list(self._head([each.nodeid for each in item.session.items if planned_of(each)]))  # type: ignore[attr-defined]
            self._head = None
        return report

    def _start(self, item: pytest.Function, planned: Planned) -> dict[str, Any]:
        return {
            "type": "start",
            "run": self.settings.run,
            "case": item.nodeid,
            "clause": planned.clause.id,
            "family": planned.family,
            "level": planned.clause.level,
            "worker": self.worker,
            "t_ns": time.monotonic_ns(),
        }

    def _run(self, item: pytest.Function, planned: Planned, place: dict[str, Any]) -> pytest.TestReport:
        began = time.monotonic_ns()
        line: dict[str, Any] = {}
        for left in reversed(range(self.settings.repeat)):
            line, path = self._execute(item, planned, left)
            if line["outcome"] not in ("PASS", "DONE"):
                break
        line["duration_ns"] = time.monotonic_ns() - began
        head = {
            key: line[key] for key in ("type", "run", "case", "outcome", "verdict", "duration_ns", "deviation", "timer")
        }
        report = _reported(place, "call", line, head)
        report.duration = line["duration_ns"] / NS
        if path:
            report.sockwake_path = path  # type: ignore[attr-defined]
        if line["outcome"] == "SKIP":
            report.outcome = "skipped"
            report.longrepr = (str(Path(__file__).parent), None, line["reason"])  # type: ignore[assignment]  # told once for all cases
        elif line["outcome"] in ("FAIL", "ERROR"):
            report.outcome = "failed"
            report.longrepr = explanation(line)
        return report

    def _execute(
        self, item: pytest.Function, planned: Planned, left: int
    ) -> tuple[dict[str, Any], dict[str, Any] | None]:
        """A case's line, and with a tracer the line of its path; `left` is how often it may be executed after this."""
        clause, path = planned.clause, None
        expected = self._expectation(planned)
        line = self._blank(item, planned, expected)
        missing = self._missing(planned)
        if missing:
            return line | {"outcome": "SKIP", "reason": missing}, None
        if self.lab is None:
            number = int(re.sub(r"\D", "", self.worker) or 0)
            self.lab = Lab(number, self._lacking, own_queues(self.settings), quiescence_ms(self.settings))
            threading.Thread(target=self._watch, daemon=True).start()
            self.lab.settle()
        case = Case(self.lab, clause, FAMILIES[planned.family], planned.variant, expected)
        deadline_start(int(self.settings.deadline * NS))
        self._current = item, case, time.monotonic()
        try:
            with self._tracing.case() if self._tracing else nullcontext():
                case.begin()
                item.obj(case)
        except NotTold as error:
            line |= {"outcome": "SKIP", "reason": f"needs {error}"}
        except (Exception, pytest.skip.Exception, pytest.fail.Exception) as error:
            line |= self._broken(case, error)
            line["observed"] = case.observed()
        else:
            line["observed"] = observed = case.observed()
            if clause.level == "open":
                line["outcome"] = "DONE"
            else:
                line["outcome"], line["verdict"] = judge(expected, observed)
        self._clean_up(case, line)
        if line["observed"] and (self._tracing or not left or line["outcome"] != "PASS"):
            line["observed"]["steps"] = case.steps()
            path = self._tracing.path_line(line, clause, planned.variant) if self._tracing else None
        return line, path

    def _clean_up(self, case: Case, line: dict[str, Any]) -> None:
        assert self.lab is not None
        deadline_start(int(self.settings.deadline * NS))
        problems = []
        try:
            case.end()
        except (CallError, DeadlineExpired, LabError, Refused) as error:
            problems.append(f"cleaning up failed: {_describe(error)}")
        deadline_stop()
        self._current = None
        leaks = self.lab.leaks()
        if leaks:
            problems.append(f"the case leaves something behind: {', '.join(leaks)}")
        if problems:
            before = f" (its outcome was {line['outcome']}: {line['verdict'] or line['reason']})"
            line["reason"] = "; ".join(problems) + (before if line["outcome"] != "PASS" else "")
            line["outcome"] = "ERROR"

    def _broken(self, case: Case, error: BaseException) -> dict[str, Any]:
        """The outcome of a case that didn't come to its end."""
        ours = case.broken_arranging is error
        if isinstance(error, DeadlineExpired):
            what = f"hung in {error.call}"
            waited = f"it waited for {_describe(error)} until the deadline of {self.settings.deadline:g} s; "
            reason = f"{waited}sleepers: {case.waiting_for()}"
            return {"outcome": "ERROR" if ours else "FAIL", "verdict": "" if ours else what, "reason": reason}
        if isinstance(error, NotAsleep):
            return {"outcome": "FAIL", "verdict": str(error), "reason": ""}
        if isinstance(error, CallError) and not ours:
            return {"outcome": "FAIL", "verdict": f"{error.call} failed with {error.name}", "reason": ""}
        if isinstance(error, (CallError, LabError, Refused)):
            return {"outcome": "ERROR", "reason": f"the set-up failed: {_describe(error)}"}
        return {"outcome": "ERROR", "reason": "".join(traceback.format_exception(error)[-6:]).strip()}

    def _expectation(self, planned: Planned) -> dict[str, Any]:
        key = planned.clause.id, planned.family, planned.variant
        if key not in self._expected:
            self._expected[key] = self.specification.expectation(
                planned.clause, planned.family, planned.variant, self._kernel, self._lacking
            )
        return self._expected[key]

    def _missing(self, planned: Planned) -> str | None:
        capabilities = self.settings.found["capabilities"]
        for name in (
            *FAMILIES[planned.family].needs,
            *self.specification.needs(planned.clause, planned.family, planned.variant),
        ):
            if name not in capabilities:
                raise pytest.UsageError(f"clause {planned.clause.id}: needs: there is no probe for {name!r}")
            if not capabilities[name]["ok"]:
                return f"needs {name}: {capabilities[name]['how']}"
        return None

    def _blank(self, item: pytest.Item, planned: Planned, expected: dict[str, Any]) -> dict[str, Any]:
        return {
            "type": "case",
            "run": self.settings.run,
            "worker": self.worker,
            "clause": planned.clause.id,
            "case": item.nodeid,
            "family": planned.family,
            "level": planned.clause.level,
            "timer": planned.clause.timer,
            "outcome": "ERROR",
            "verdict": "",
            "reason": "",
            "deviation": None,
            "expected": expected,
            "observed": None,
            "duration_ns": 0,
        }

    def _watch(self) -> None:
        """Past the second deadline Python can do nothing for the call that hangs: say so, and leave."""
        pause = threading.Event()
        while not pause.wait(min(1.0, self.settings.deadline / 2)):
            current = self._current
            if current and time.monotonic() - current[2] > self.settings.deadline * GRACE:
                item, case, _ = current
                planned = planned_of(item)
                assert planned is not None
                ours = case.arranging > 0
                line = self._blank(item, planned, self._expectation(planned)) | {
                    "outcome": "ERROR" if ours else "FAIL",
                    "verdict": "" if ours else "hung, and no signal could end it",
                    "reason": f"the process was given up with it; sleepers: {case.waiting_for()}",
                    "observed": case.observed() | {"steps": case.steps()},
                    "duration_ns": int((time.monotonic() - current[2]) * NS),
                }
                if self._tracing:
                    self._tracing.close()
                self._give_up(line)
                os._exit(1)

    def pytest_unconfigure(self) -> None:
        """Leave the kernel's tracer as it was."""
        if self._tracing:
            self._tracing.close()


_encode = json.JSONEncoder(separators=(",", ":")).encode


def _reported(
    place: dict[str, Any], when: Literal["setup", "call"], line: dict[str, Any], head: dict[str, Any] | None = None
) -> pytest.TestReport:
    """A report that carries a line as text, encoded once, with as much of it beside as the controller has to know."""
    report = pytest.TestReport(**place, keywords={}, outcome="passed", longrepr=None, when=when)
    report.sockwake = _encode(line)  # type: ignore[attr-defined]
    report.sockwake_head = head or line  # type: ignore[attr-defined]
    return report


def planned_of(item: pytest.Item) -> Planned | None:
    """What an item puts in front of the kernel; None for a test that isn't a case."""
    callspec = getattr(item, "callspec", None)
    planned = callspec.params.get("case") if callspec else None
    return planned if isinstance(planned, Planned) else None


def _place(item: pytest.Item) -> int:
    planned = planned_of(item)
    if planned is None or not planned.clause.id.startswith("sanity."):
        return 1
    return 0 if planned.variant == "first" else 2


def _describe(error: Exception) -> str:
    return f"{error.call}({', '.join(map(str, error.arguments))})" if isinstance(error, DeadlineExpired) else str(error)


def explanation(line: dict[str, Any]) -> str:
    """A failure in the terminal: the verdict, then each difference with what was expected beside what was seen."""
    said = [f"{line['outcome']}: {text}" for text in (line["verdict"], line["reason"]) if text]
    if line["verdict"]:
        said += [f"    {part}" for part in line["verdict"].split("; ")] if "; " in line["verdict"] else []
    said += [f"clause {line['clause']}, run it again with: pytest '{line['case']}'"]
    return "\n".join(said)


def check_names(specification: Specification, clauses: Iterable[str], families: Iterable[str]) -> None:
    """Refuse a clause or a family that doesn't exist, naming what is near."""
    from difflib import get_close_matches

    for name in clauses:
        specification.clause(name)
    for name in families:
        if name not in FAMILIES:
            near = get_close_matches(name, FAMILIES, n=3)
            hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(FAMILIES)}"
            raise SpecificationError(f"there is no family {name!r}; {hint}")
