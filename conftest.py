"""Wiring only: pytest's options and hooks, tied to the cases' side (`suites.execution`) and the record's (`reports.recording`)."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest

from reports.record import RecordError
from reports.recording import Recording
from suites import deviation, execution
from suites.clauses import Specification, SpecificationError, load
from suites.lab.capabilities import probe
from suites.lab.namespace import NamespaceError, enter_user

SETTINGS: pytest.StashKey[execution.Settings] = pytest.StashKey()
LAST_WORDS: pytest.StashKey[tempfile.TemporaryDirectory[str]] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("sockwake", "sockwake: conformance of Linux socket event notification")
    group.addoption("--record", type=Path, metavar="FILE", help="write the record (JSON Lines) to FILE")
    group.addoption("--clause", nargs="+", default=[], metavar="ID", help="run only the cases of these clauses")
    group.addoption(
        "--family", nargs="+", default=[], metavar="NAME", help="run only the cases on these socket families"
    )
    group.addoption(
        "--target", default="host", metavar="NAME", help="what the kernel is called in the record (default: host)"
    )
    group.addoption(
        "--deadline", type=float, default=5.0, metavar="SECONDS", help="when a case that hangs is ended (default: 5)"
    )
    group.addoption(
        "--repeat", type=int, default=1, metavar="N", help="execute each case N times; the first that differs counts"
    )
    group.addoption("--shuffle", type=int, metavar="SEED", help="execute the cases in an order that SEED decides")
    group.addoption(
        "--as-kernel", metavar="VERSION", help="judge as if this Linux version ran (default: the one that runs)"
    )


def pytest_configure(config: pytest.Config) -> None:
    if not _runs_cases(config):
        return
    try:
        specification = load()
        if worker := getattr(config, "workerinput", None):
            settings = execution.Settings(**json.loads(worker["sockwake"]))
            _execute(config, settings, specification, worker["workerid"], Path(worker["sockwake_last_words"]))
        else:
            _control(config, specification)
    except (SpecificationError, NamespaceError, RecordError) as error:
        raise pytest.UsageError(f"sockwake: {error}") from None


def _runs_cases(config: pytest.Config) -> bool:
    """The project's own tests are collected without the lab, so only a run of the suites changes the process."""
    suites = Path(__file__).parent / "suites"
    paths = [Path(config.invocation_params.dir, argument.partition("::")[0]).resolve() for argument in config.args]
    return any(path == suites.parent or path.is_relative_to(suites) for path in paths)


def _control(config: pytest.Config, specification: Specification) -> None:
    option = config.option
    execution.check_names(specification, option.clause, option.family)
    enter_user()
    settings = execution.Settings(
        target=option.target,
        deadline=option.deadline,
        repeat=option.repeat,
        shuffle=option.shuffle,
        clauses=tuple(option.clause),
        families=tuple(option.family),
        as_kernel=option.as_kernel,
        run=execution.new_run_id(),
        found=probe(option.deadline),
    )
    argv = ["pytest", *config.invocation_params.args]

    def head(planned: list[str]) -> Any:
        yield execution.run_line(settings, specification, planned, argv)
        yield from execution.statement_lines(settings)
        yield from execution.clause_lines(settings, specification, planned)

    last_words = tempfile.TemporaryDirectory(prefix="sockwake-")
    recording = Recording(option.record, head, deviation.load(option.target), Path(last_words.name))
    config.stash[SETTINGS], config.stash[LAST_WORDS] = settings, last_words
    config.pluginmanager.register(recording, "sockwake-recording")
    if not config.getoption("dist", "no") or config.getoption("dist", "no") == "no":
        plugin = execution.Execution(settings, specification, "main", recording.give_up)
        config.pluginmanager.register(plugin, "sockwake-execution")


def _execute(config: pytest.Config, settings: Any, specification: Specification, worker: str, last_words: Path) -> None:
    def give_up(line: dict[str, Any]) -> None:
        (last_words / f"{worker}.json").write_text(json.dumps(line))

    config.pluginmanager.register(execution.Execution(settings, specification, worker, give_up), "sockwake-execution")


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    if settings := node.config.stash.get(SETTINGS, None):
        node.workerinput["sockwake"] = json.dumps(dataclasses.asdict(settings))
        node.workerinput["sockwake_last_words"] = node.config.stash[LAST_WORDS].name
