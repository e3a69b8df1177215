"""Wiring only: pytest's options and hooks, tied to the cases' side (`suites.execution`) and the record's (`reports.recording`)."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest

from reports.live import Live
from reports.record import RecordError
from reports.recording import Recording
from suites import deviation, execution, options
from suites.clauses import Specification, SpecificationError, load
from suites.lab.capabilities import NOT_PROBED, probe
from suites.lab.namespace import NamespaceError, enter_user
from suites.tracing import Tracing

SETTINGS: pytest.StashKey[execution.Settings] = pytest.StashKey()
LAST_WORDS: pytest.StashKey[tempfile.TemporaryDirectory[str]] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    options.add(parser)


def pytest_configure(config: pytest.Config) -> None:
    if not _runs_cases(config):
        return
    try:
        specification = load()
        if worker := getattr(config, "workerinput", None):
            config.pluginmanager.register(execution.in_worker(worker, specification), "sockwake-execution")
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
    dist = config.getoption("dist", "no")
    alone, each = dist in (None, "", "no"), dist == "each"
    settings = execution.Settings(
        target=option.target,
        deadline=option.deadline,
        repeat=option.repeat,
        shuffle=option.shuffle,
        clauses=tuple(option.clause),
        families=tuple(option.family),
        as_kernel=option.as_kernel,
        run=execution.new_run_id(),
        found=NOT_PROBED if each else probe(option.deadline),
    )
    argv = ["pytest", *config.invocation_params.args]

    def head(planned: list[str]) -> Any:
        return execution.head_lines(settings, specification, argv, tracing, planned)

    last_words = tempfile.TemporaryDirectory(prefix="sockwake-")
    live = Live(config)
    recording = Recording(
        option.record, None if each else head, deviation.load(option.target), Path(last_words.name), live
    )
    # The last thing that may be refused: whoever has the tracer gives it back at the end of the session.
    tracing = Tracing(specification, execution.judged_version(settings), alone) if option.trace_path else None
    config.stash[SETTINGS], config.stash[LAST_WORDS] = settings, last_words
    config.pluginmanager.register(recording, "sockwake-recording")
    config.pluginmanager.register(live, "sockwake-live")
    if alone:
        plugin = execution.Execution(settings, specification, "main", recording.give_up, tracing)
        config.pluginmanager.register(plugin, "sockwake-execution")


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    if settings := node.config.stash.get(SETTINGS, None):
        node.workerinput["sockwake"] = execution.for_worker(settings, node.gateway.id)
        node.workerinput["sockwake_last_words"] = node.config.stash[LAST_WORDS].name
