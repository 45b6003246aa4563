"""The settings of the simulator: what goes together is asked for at the start, by name, and the secret is never shown."""

import subprocess
import sys
from pathlib import Path

import pytest

from flashsale.settings import Purpose, SettingsError, load_settings
from tests.process.programs import clean_env

SECRET = "the-secret-of-a-test"
REDIS = {"FLASHSALE_REDIS_URL": "redis://127.0.0.1:6379"}
URL = {"FLASHSALE_SIMULATOR_URL": "http://127.0.0.1:8090"}
CHOSEN = {"FLASHSALE_PAYMENT_PROVIDER": "simulator"}


@pytest.mark.parametrize(
    ("env", "purpose", "missing"),
    [
        ({**REDIS, **URL}, "work", "FLASHSALE_SIMULATOR_SECRET"),
        ({**REDIS, **CHOSEN}, "work", "FLASHSALE_SIMULATOR_URL"),
        ({}, "simulator", "FLASHSALE_SIMULATOR_SECRET"),
    ],
)
def test_what_is_missing_is_named(env: dict[str, str], purpose: Purpose, missing: str) -> None:
    with pytest.raises(SettingsError) as error:
        load_settings(env, purpose=purpose)
    assert [fault.name for fault in error.value.faults] == [missing]


@pytest.mark.parametrize(
    ("env", "purpose"),
    [
        ({"FLASHSALE_EMBEDDED": "1", **CHOSEN}, "work"),
        ({**REDIS, **CHOSEN, **URL, "FLASHSALE_SIMULATOR_SECRET": SECRET}, "work"),
        ({**REDIS}, "work"),
        ({"FLASHSALE_SIMULATOR_SECRET": SECRET}, "simulator"),
    ],
)
def test_what_is_enough_is_taken(env: dict[str, str], purpose: Purpose) -> None:
    settings = load_settings(env, purpose=purpose)
    assert SECRET not in repr(settings)
    assert load_settings(settings.to_env()) == settings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LOSE_PERCENT", "100.5"),
        ("LOSE_PERCENT", "-1"),
        ("DELAY_PERCENT", "nan"),
        ("DELAY_SECONDS", "inf"),
        ("LATENCY_MS", "1.5"),
        ("PORT", "65536"),
        ("URL", "ftp://x"),
        ("SECRET", "with a blank"),
    ],
)
def test_what_cannot_be_is_refused(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"FLASHSALE_SIMULATOR_{name}"):
        load_settings({f"FLASHSALE_SIMULATOR_{name}": value})


def test_an_address_that_cannot_be_had_is_an_error_in_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "flashsale", "simulator", "--simulator-host", "192.0.2.1"]
    env = clean_env({"FLASHSALE_SIMULATOR_SECRET": SECRET})
    done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "flashsale cannot listen on 192.0.2.1" in done.stderr
    assert "Traceback" not in done.stderr
