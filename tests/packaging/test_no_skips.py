"""`--no-skips`, by which CI fails a test that did not run, fails every kind of it and no other."""

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.packaging.checkout import ROOT

SUITE = """
import pytest

@pytest.fixture
def absent():
    pytest.skip("from a fixture")

def test_runs():
    pass

@pytest.mark.skip(reason="by mark")
def test_marked():
    pass

def test_inside():
    pytest.skip("from inside")

def test_fixture(absent):
    pass

@pytest.mark.xfail(reason="expected to fail", strict=False)
def test_expected_to_fail():
    assert False
"""


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "conftest.py").write_text((ROOT / "conftest.py").read_text(encoding="utf-8"), encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(folder),
        str(folder),
    ]
    env = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run(
        [*command, *arguments], cwd=folder, env=env, capture_output=True, text=True, check=False
    )


def test_a_test_that_did_not_run_fails(tmp_path: Path) -> None:
    (tmp_path / "test_suite.py").write_text(SUITE)
    assert run(tmp_path).returncode == 0
    strict = run(tmp_path, "--no-skips")
    assert strict.returncode == 1
    assert "1 passed" in strict.stdout
    for reason in ("by mark", "from inside", "from a fixture", "expected to fail"):
        assert re.search(rf"--no-skips forbids: .*{reason}", strict.stdout)


def test_a_file_that_skips_itself_fails(tmp_path: Path) -> None:
    (tmp_path / "test_suite.py").write_text('import pytest\n\npytest.importorskip("no_such_module")\n')
    assert run(tmp_path).returncode == 5  # no test was collected
    strict = run(tmp_path, "--no-skips")
    assert strict.returncode == 2
    assert "no_such_module" in strict.stdout


def test_nothing_else_fails(tmp_path: Path) -> None:
    (tmp_path / "test_suite.py").write_text("def test_runs():\n    pass\n")
    assert run(tmp_path, "--no-skips").returncode == 0
