"""The profiles that come with the load test: smoke is what CI runs; of the others, that they say what can be said."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Final

import pytest

from tests.loadtest.conftest import Serve
from tests.loadtest.runs import KEYS, Run, arguments
from tests.process.programs import ROOT

pytestmark = pytest.mark.long

LEVELS: Final = {"level-p99-ms": 60_000, "level-5xx-percent": 50, "level-sell-out-seconds": 120}
"""Those of a machine that may stall: how fast it is, is not what is tested."""
PROFILES = sorted((ROOT / "loadtest" / "profiles").glob("*.toml"))


def test_the_smoke_profile_is_green_on_a_server_as_it_starts(serve: Serve, tmp_path: Path) -> None:
    smoke = ROOT / "loadtest" / "profiles" / "smoke.toml"
    words = ["--config", str(smoke), "-H", serve(None).url, *arguments(LEVELS)]
    run = Run(tmp_path / "load", words)
    try:
        outcome = run.outcome()
    finally:
        run.program.end()
    assert outcome.exit_code == 0, outcome.said + outcome.log
    said = tomllib.loads(smoke.read_text(encoding="utf-8"))["tool"]["locust"]
    assert outcome.evidence["told"]["pressed"] == said["users"]
    assert outcome.evidence["run"]["profile"] == "smoke"


@pytest.mark.parametrize("profile", PROFILES, ids=lambda path: path.stem)
def test_every_profile_gets_as_far_as_the_server(profile: Path, tmp_path: Path) -> None:
    """Its options are all known, with values that can be; here is no server, and that is all there is to complain of."""
    words = [
        "--config",
        str(profile),
        "-H",
        "http://127.0.0.1:9",
        "--users",
        "10",
    ]  # so few have room on any machine
    run = Run(tmp_path / "load", words, KEYS)
    try:
        outcome = run.outcome()
    finally:
        run.program.end()
    assert outcome.exit_code == 2
    assert "no answer from http://127.0.0.1:9" in outcome.said


def test_more_shoppers_than_a_process_may_have_connections_is_said_beforehand(tmp_path: Path) -> None:
    load = [
        sys.executable,
        "-m",
        "locust",
        "-f",
        str(ROOT / "loadtest"),
        "--headless",
        "-H",
        "http://127.0.0.1:9",
    ]
    limited = [
        "sh",
        "-c",
        'ulimit -n 1000 && exec "$@"',
        "sh",
        *load,
        "--users",
        "2000",
        "--report",
        str(tmp_path),
    ]
    done = subprocess.run(
        limited, env=os.environ | KEYS, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 2
    assert "--processes 3" in done.stdout
