"""What has to be true of the repository as a whole, whatever is in it."""

import ast
import importlib.metadata
import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

import flashsale
from flashsale.settings import TEST_ENV_PREFIX, Settings, env_name
from tests.packaging.checkout import ROOT, files, text_of, with_suffix

PROJECT = tomllib.loads(text_of(Path("pyproject.toml")))
TARGETS = (
    "demo",
    "test",
    "test-long",
    "test-fast",
    "test-redis",
    "lint",
    "format",
    "bench",
    "fuzz",
    "race",
    "screenshots",
    "venv",
    "lock",
    "clean",
    "help",
)
MAX_FILE_BYTES = 400_000
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.run(
        ["make", "--no-print-directory", *arguments],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("target", TARGETS)
def test_make_knows_the_target_and_explains_it(target: str) -> None:
    assert make("--dry-run", target).returncode == 0
    assert re.search(rf"^  make {target} +\S", make("help").stdout, re.MULTILINE)


def test_make_says_which_python_it_needs(tmp_path: Path) -> None:
    old = tmp_path / "python3"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    done = make("venv", f"VENV={tmp_path}/venv", f"PYTHON={old}")
    assert done.returncode != 0
    assert "needs Python 3.11 or newer" in done.stderr
    assert not (tmp_path / "venv").exists()


def test_make_says_that_venv_is_missing(tmp_path: Path) -> None:
    # Debian's python3 without python3-venv: new enough, but the second question fails.
    bare = tmp_path / "python3"
    bare.write_text('#!/bin/sh\ncase "$2" in *ensurepip*) exit 1;; esac\n')
    bare.chmod(0o755)
    done = make("venv", f"VENV={tmp_path}/venv", f"PYTHON={bare}")
    assert done.returncode != 0
    assert "apt-get install python3-venv" in done.stderr


def test_one_version_everywhere() -> None:
    assert importlib.metadata.version("flashsale") == flashsale.__version__
    released = re.findall(
        r"^## \[(\d[^]]*)\] - \d{4}-\d{2}-\d{2}$", text_of(Path("CHANGELOG.md")), re.MULTILINE
    )
    assert not released or released[0] == flashsale.__version__


def test_the_changelog_has_a_place_for_the_next_change() -> None:
    assert re.search(r"^## \[Unreleased\]$", text_of(Path("CHANGELOG.md")), re.MULTILINE)


def test_one_least_python_everywhere() -> None:
    assert PROJECT["project"]["requires-python"] == ">=3.11"
    assert PROJECT["tool"]["ruff"]["target-version"] == "py311"
    assert PROJECT["tool"]["mypy"]["python_version"] == "3.11"
    makefile = text_of(Path("Makefile"))
    assert "sys.version_info < (3, 11)" in makefile
    assert "--python-version 3.11" in makefile


def test_ci_can_be_run() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    subprocess.run(["bash", "-n", script], check=True)


def test_no_file_is_large() -> None:
    assert not [path for path in files() if (ROOT / path).stat().st_size > MAX_FILE_BYTES]


def test_no_source_file_is_long() -> None:
    assert not [
        path for path in with_suffix(".py", ".lua") if len(text_of(path).splitlines()) > MAX_FILE_LINES
    ]


def test_no_function_is_long() -> None:
    long = [
        f"{path}:{node.lineno} {node.name}"
        for path in with_suffix(".py")
        for node in ast.walk(ast.parse(text_of(path)))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or node.lineno) - node.lineno >= MAX_FUNCTION_LINES
    ]
    assert not long


@pytest.mark.parametrize("path", with_suffix(".md"), ids=Path.as_posix)
def test_every_link_to_a_file_leads_somewhere(path: Path) -> None:
    targets = re.findall(r"\]\((?!https?:|mailto:|#)([^)#\s]+)", text_of(path))
    missing = [target for target in targets if not (ROOT / path.parent / target).exists()]
    assert not missing


@pytest.mark.parametrize(
    "path", [*with_suffix(".md", ".yml"), Path(".env.example"), Path("deploy/Dockerfile")], ids=Path.as_posix
)
def test_every_setting_that_is_named_exists(path: Path) -> None:
    named = set(re.findall(r"\bFLASHSALE_[A-Z_]*[A-Z]\b", text_of(path)))
    options = re.findall(r'"--([a-z0-9-]+)"', text_of(Path("loadtest/_options.py")))
    known = {env_name(field) for field in Settings.model_fields}
    known |= {f"FLASHSALE_LOAD_{option.replace('-', '_').upper()}" for option in options}
    assert {name for name in named - known if not name.startswith(TEST_ENV_PREFIX)} == set()
