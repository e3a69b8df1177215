"""SELinux in a guest: the policy that refuses, what it takes to have it, and that it is in force."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from reports.record import read
from suites.lab import domains
from targets import cache, selinux, vm
from targets.__main__ import main as targets
from targets.registry import find

NAME = "vm-6.12-selinux"


def test_policy_has_the_domains_that_cases_enter() -> None:
    """And one more, which everybody else is in."""
    entered = {value for name, value in vars(domains).items() if name.isupper() and isinstance(value, str)}

    types = set(re.findall(r"^type (\w+), domain;", selinux.SOURCE.read_text(), re.MULTILINE))

    assert types == entered | {"everything"}


def test_what_has_to_be_fetched_is_the_kernel_and_the_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel is the plain target's; one command gets both."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(vm, "_missing_here", lambda: None)
    monkeypatch.setattr("targets.debian.missing", lambda: None)
    told = f"its image isn't fetched: python -m targets fetch {NAME}"

    assert find(NAME).missing() == told
    (tmp_path / "sockwake/images/vm-6.12").mkdir(parents=True)
    assert find("vm-6.12").missing() is None
    assert find(NAME).missing() == told
    (tmp_path / "sockwake/images/checkpolicy").mkdir()
    assert find(NAME).missing() is None


def test_a_kernel_of_ones_own_is_asked_for_when_the_compiler_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both are named, one after the other."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(vm, "_missing_here", lambda: None)
    monkeypatch.setattr("targets.debian.missing", lambda: None)

    assert find("vm-selinux").missing() == "its image isn't fetched: python -m targets fetch vm-selinux"
    (tmp_path / "sockwake/images/checkpolicy").mkdir(parents=True)
    assert find("vm-selinux").missing() == vm.NO_KERNEL


@pytest.mark.slow
def test_policy_is_in_force_before_the_job_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it can't be loaded, nothing is run: a guest without it would be another target."""
    target = find(NAME)
    if not cache.image("vm-6.12") or not cache.image(selinux.COMPILER):
        target.fetch(print)
    if problem := target.missing():
        pytest.skip(problem)
    record = tmp_path / "vm.jsonl"
    arguments = ["run", NAME, "--record", str(record), "--", "--clause", "security.create.by_class"]

    assert targets(arguments) == 0
    (run,) = read([record])
    assert run.counts()["PASS"] == len(run.cases) > 0

    monkeypatch.setattr(selinux, "compile_policy", lambda image, to: to.write_text("no policy"))
    assert targets(arguments) == 125
