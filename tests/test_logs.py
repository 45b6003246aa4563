"""Logs: one JSON object a line, nothing lost that was not caught, and no secret anywhere."""

import asyncio
import gc
import io
import json
import logging
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from flashsale.logs import REDACTED, Redactor, configure_logs
from flashsale.settings import Settings

ROOT_KEY = "root\"key'with\\quotes"
REDIS_PASSWORD = "redis-password"
TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJjLTE3In0.c2lnbmF0dXJl"


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """What was logged, with the logging of this process as it was afterwards."""
    root = logging.getLogger()
    before = root.handlers[:], root.level, sys.excepthook, threading.excepthook
    stream = io.StringIO()
    settings = Settings.model_validate(
        {"root_key": ROOT_KEY, "redis_url": f"redis://user:{REDIS_PASSWORD}@h/0", "log_format": "json"}
    )
    with warnings.catch_warnings():
        configure_logs(settings, "test", stream=stream)
        yield stream
    root.handlers[:], level, sys.excepthook, threading.excepthook = before
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


def events(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_an_event_is_one_json_object(lines: io.StringIO) -> None:
    structlog.get_logger("some.module").info("it happened", units=3, reason="two\nlines")
    (event,) = events(lines)
    assert event.pop("timestamp").endswith("Z")
    assert event.pop("pid") > 0
    assert event == {
        "event": "it happened",
        "level": "info",
        "logger": "some.module",
        "process": "test",
        "units": 3,
        "reason": "two\nlines",
    }


def test_the_loggers_of_others_come_in_the_same_form(lines: io.StringIO) -> None:
    logging.getLogger("aiohttp.server").error("cannot %s", "answer", extra={"units": 3})
    (event,) = events(lines)
    assert (event["event"], event["logger"], event["units"]) == ("cannot answer", "aiohttp.server", 3)


def test_the_level_holds(lines: io.StringIO) -> None:
    structlog.get_logger("x").debug("too quiet")
    logging.getLogger("x").debug("too quiet")
    assert lines.getvalue() == ""


@pytest.mark.parametrize(
    "fields",
    [
        {"reason": f"the key {ROOT_KEY} is wrong"},
        {"reason": ValueError(ROOT_KEY)},
        {"reason": ROOT_KEY.encode()},
        {"deep": [{"deeper": (ROOT_KEY, {"deepest": ROOT_KEY})}]},
        {ROOT_KEY: 1, "n": {ROOT_KEY: 2}},
        {"url": f"redis://user:{REDIS_PASSWORD}@h/0"},
        {"headers": {"Authorization": ROOT_KEY}},
    ],
    ids=str,
)
def test_a_known_secret_never_gets_into_the_log(lines: io.StringIO, fields: dict[Any, Any]) -> None:
    logging.getLogger("x").info("with %s", ROOT_KEY)
    structlog.get_logger("x").info("event", **{str(name): value for name, value in fields.items()})
    text = lines.getvalue()
    assert len(events(lines)) == 2
    for secret in (ROOT_KEY, REDIS_PASSWORD):
        assert secret not in text
        assert json.dumps(secret)[1:-1] not in text
        assert repr(secret)[1:-1] not in text
    assert REDACTED in text


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("Authorization: Bearer abcdef123456", "abcdef123456"),
        ("authorization: basic dXNlcjpwYXNz", "dXNlcjpwYXNz"),
        (f"token {TOKEN} refused", TOKEN.split(".")[1]),
        (f"a token without its signature {TOKEN.rsplit('.', 1)[0]}.", TOKEN.split(".")[1]),
        ("key fsk_abc-DEF_123 revoked", "fsk_abc"),
        ("cannot reach redis://user:another-password@10.0.0.1:6379/0", "another-password"),
        ("cannot reach rediss://:another-password@h", "another-password"),
        ("cannot reach redis://h?password=another-password&db=1", "another-password"),
        ("-----BEGIN PRIVATE KEY-----\nMC4CAQAw\n-----END PRIVATE KEY-----", "MC4CAQAw"),
    ],
)
def test_what_looks_like_a_secret_is_taken_out(text: str, secret: str) -> None:
    cleaned = Redactor([]).text(text)
    assert secret not in cleaned
    assert REDACTED in cleaned


@pytest.mark.parametrize(
    "key", ["token", "Authorization", "api_key", "api-key", "shopper_secret", "Set-Cookie"]
)
def test_the_value_of_a_secret_name_is_taken_out(key: str) -> None:
    event = Redactor([])(
        None, "info", {key: "harmless to look at", "tokens": 3, "kept": "harmless to look at"}
    )
    assert event == {key: REDACTED, "tokens": 3, "kept": "harmless to look at"}


@pytest.mark.parametrize(
    "text", ["sale giulia-milano sold out", "redis://h:6379/0", "bearer of news", "a-b@example.com"]
)
def test_ordinary_words_are_left_alone(text: str) -> None:
    assert Redactor(["", "abc"]).text(text) == text


def test_an_exception_nobody_caught_is_an_event(lines: io.StringIO) -> None:
    def fail() -> None:
        raise RuntimeError(f"in a thread, with {ROOT_KEY}")

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()

    async def leave_behind() -> None:
        task = asyncio.create_task(asyncio.to_thread(fail))
        await asyncio.wait({task})

    asyncio.run(leave_behind())
    gc.collect()
    for kind in (RuntimeError, KeyError):
        error = kind("at the top")
        sys.excepthook(kind, error, None)

    logged = events(lines)
    assert len(logged) == 4
    assert all("exception" in event for event in logged)
    assert [event["level"] for event in logged] == ["critical", "error", "critical", "critical"]
    assert ROOT_KEY not in lines.getvalue()


def test_a_process_that_dies_of_an_exception_says_so_in_json() -> None:
    program = (
        "from flashsale.logs import configure_logs\n"
        "from flashsale.settings import Settings\n"
        "configure_logs(Settings(root_key='a-root-key-of-16'), 'x')\n"
        "raise RuntimeError('boom a-root-key-of-16')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    event = json.loads(line)
    assert (event["event"], event["level"]) == ("uncaught exception", "critical")
    assert f"RuntimeError: boom {REDACTED}" in event["exception"]
    assert "a-root-key" not in line


def test_the_console_form_has_no_secret_either() -> None:
    program = (
        "import structlog\n"
        "from flashsale.logs import configure_logs\n"
        "from flashsale.settings import Settings\n"
        "configure_logs(Settings(root_key='a-root-key-of-16', log_format='console'), 'x')\n"
        "try:\n"
        "    raise RuntimeError('boom a-root-key-of-16')\n"
        "except RuntimeError:\n"
        "    structlog.get_logger().exception('failed', key='a-root-key-of-16')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "failed" in done.stderr
    assert f"RuntimeError: boom {REDACTED}" in done.stderr
    assert "a-root-key" not in done.stderr
    assert not done.stderr.startswith("{")
