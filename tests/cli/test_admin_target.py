"""Which server the client commands talk to, and what they say when there is none."""

import asyncio
import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from flashsale.cli.target import Target, run
from flashsale.client import Client
from flashsale.process.embedded import EmbeddedValkey, find_running
from tests.cli.conftest import Commands
from tests.process.programs import Program, clean_env, eventually
from tests.support.world import definition

NOWHERE = "http://127.0.0.1:1"


def flashsale(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """One command in a process of its own, as a person runs it."""
    command = [sys.executable, "-m", "flashsale", *arguments]
    return subprocess.run(
        command, env=clean_env(env), capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[EmbeddedValkey]:
    with EmbeddedValkey(tmp_path / "data") as valkey:
        yield valkey


def put(*arguments: str, tmp_path: Path, env: dict[str, str] | None = None) -> dict[str, object]:
    file = tmp_path / "giulia-milano.json"
    file.write_text(json.dumps(definition()))
    done = flashsale("sale", "put", str(file), "--json", *arguments, env=env)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    sale: dict[str, object] = json.loads(done.stdout)
    return sale


def test_a_redis_needs_neither_server_nor_key(valkey: EmbeddedValkey, tmp_path: Path) -> None:
    assert put("--redis-url", valkey.url, tmp_path=tmp_path)["id"] == "giulia-milano"
    done = flashsale("audit", "giulia-milano", env={"FLASHSALE_REDIS_URL": valkey.url})
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("clean  giulia-milano: ")


def test_a_running_valkey_is_found_in_its_directory(valkey: EmbeddedValkey, tmp_path: Path) -> None:
    assert put("--data-dir", str(tmp_path / "data"), tmp_path=tmp_path)["state"] == "open"
    assert valkey.is_running()
    listed = flashsale("sale", "list", env={"FLASHSALE_DATA_DIR": str(tmp_path / "data")})
    assert "giulia-milano" in listed.stdout


def test_a_stopped_valkey_is_started_for_the_while(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    with EmbeddedValkey(data_dir) as valkey:
        put("--redis-url", valkey.url, tmp_path=tmp_path)
    done = flashsale("sale", "show", "giulia-milano", "--data-dir", str(data_dir), "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["id"] == "giulia-milano"
    assert find_running(data_dir) is None
    with EmbeddedValkey(data_dir):
        assert find_running(data_dir) is not None


def test_a_directory_that_is_not_there_is_not_made(commands: Commands, tmp_path: Path) -> None:
    error = commands.fails("sale", "list", "--data-dir", str(tmp_path / "none"))
    assert error == f"Error: there is no data directory {tmp_path / 'none'}\n"
    assert not (tmp_path / "none").exists()


def test_an_audit_that_does_not_add_up_names_the_first_fact(valkey: EmbeddedValkey, tmp_path: Path) -> None:
    """One unit is taken out of a counter behind the engine's back."""
    put("--redis-url", valkey.url, tmp_path=tmp_path)
    with redis.Redis.from_url(valkey.url) as store:
        assert store.hincrby("fs:{giulia-milano.0}:stock", "available:giulia", -1) == 4
    done = flashsale("audit", "giulia-milano", "--redis-url", valkey.url)
    assert done.returncode == 1, done.stdout
    assert done.stdout.startswith("NOT CLEAN  giulia-milano: ")
    assert re.search(r"^first: .*available", done.stdout, re.MULTILINE)
    as_json = flashsale("audit", "giulia-milano", "--redis-url", valkey.url, "--json")
    assert as_json.returncode == 1
    assert json.loads(as_json.stdout)["ok"] is False


def test_an_address_wins_and_the_command_line_before_the_environment(
    commands: Commands, tmp_path: Path
) -> None:
    commands.define("here")
    none = str(tmp_path / "none")
    assert "here" in commands.must("sale", "list", "--data-dir", none, "--url", commands.server.url)
    assert "here" in commands.must("sale", "list", FLASHSALE_REDIS_URL="redis://127.0.0.1:1")
    assert "here" in commands.must("sale", "list", FLASHSALE_DATA_DIR=none)
    assert "no data directory" in commands.fails("sale", "list", "--data-dir", none)
    assert NOWHERE in commands.fails("sale", "list", "--url", NOWHERE)


def test_no_server_says_what_to_do(commands: Commands) -> None:
    for arguments in (["sale", "list"], ["audit", "x"], ["keys", "list"]):
        error = commands.fails(*arguments, FLASHSALE_URL=NOWHERE)
        assert error.startswith(f"Error: no server can be reached at {NOWHERE}: Connection refused. ")
        assert "flashsale serve" in error
        assert error.count("\n") == 1


def test_what_is_no_address_is_refused(commands: Commands) -> None:
    assert "FLASHSALE_URL (--url)" in commands.fails("sale", "list", "--url", "ftp://x", exit_code=2)
    error = commands.fails("sale", "list", "--redis-url", "http://user:secret@x", exit_code=2)
    assert "FLASHSALE_REDIS_URL (--redis-url)" in error
    assert "secret" not in error


def test_a_server_of_another_kind_is_named_so(commands: Commands, valkey: EmbeddedValkey) -> None:
    error = commands.fails("sale", "list", FLASHSALE_URL=f"http://127.0.0.1:{valkey.port}")
    assert error.startswith("Error: ")
    assert str(valkey.port) in error


def test_a_redis_that_is_away_is_one_line(tmp_path: Path) -> None:
    done = flashsale("sale", "list", "--redis-url", "redis://user:secret@127.0.0.1:1")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("Error: Store unavailable: ")
    assert done.stderr.count("\n") == 1
    assert "secret" not in done.stderr


def test_a_redis_that_stalls_is_waited_for(valkey: EmbeddedValkey, tmp_path: Path) -> None:
    """Longer than a server would wait that has a crowd before it."""
    put("--redis-url", valkey.url, tmp_path=tmp_path)

    async def listed(client: Client) -> Any:
        os.kill(valkey.pid, signal.SIGSTOP)
        asyncio.get_running_loop().call_later(4.0, os.kill, valkey.pid, signal.SIGCONT)
        return await client.request("GET", "/v1/sales")

    assert "giulia-milano" in str(run(Target(redis_url=valkey.url), listed))


@pytest.mark.parametrize(
    "command",
    [
        "sale",
        "sale put",
        "sale show",
        "sale list",
        "sale watch",
        "sale pause",
        "sale resume",
        "sale close",
        "sale restock",
        "audit",
        "keys",
        "keys create",
        "keys list",
        "keys revoke",
        "payments",
        "payments dead",
        "payments dead list",
        "payments dead retry",
        "payments reconcile",
        "openapi",
    ],
)
def test_help_names_each_variable(commands: Commands, command: str) -> None:
    text = commands.must(*command.split(), "--help", FLASHSALE_URL=None)
    assert "Usage: " in text
    if command not in {"sale", "keys", "payments", "payments dead", "openapi"}:
        for variable in ("URL", "API_KEY", "ROOT_KEY", "REDIS_URL", "DATA_DIR"):
            assert f"FLASHSALE_{variable}" in text


def test_watching_ends_with_ctrl_c_and_exit_code_0(commands: Commands, tmp_path: Path) -> None:
    commands.define("until-interrupted")
    program = Program(
        ["-m", "flashsale", "sale", "watch", "until-interrupted"],
        tmp_path,
        {"FLASHSALE_URL": commands.server.url},
    )
    try:
        eventually(program.out, "the first line is there")
        commands.must("sale", "restock", "until-interrupted", "giulia", "2")
        eventually(lambda: "giulia 7 of 7" in program.out(), "the change is there")
        program.send(signal.SIGINT)
        assert program.wait() == 0
        assert "Traceback" not in program.err()
        assert len(program.out().splitlines()) == 2
    finally:
        program.end()


def test_a_terminal_shows_a_live_picture(commands: Commands, tmp_path: Path) -> None:
    commands.define("on-screen", title="Giulia on screen")
    parent, child = pty.openpty()
    command = [sys.executable, "-m", "flashsale", "sale", "watch", "on-screen", "--interval", "0.25"]
    env = clean_env({"FLASHSALE_URL": commands.server.url, "TERM": "xterm-256color", "COLUMNS": "100"})
    process = subprocess.Popen(command, env=env, stdin=child, stdout=child, stderr=child)
    os.close(child)
    seen = b""
    closed = False
    try:
        # The picture ends with the sale.
        while chunk := read(parent):
            seen += chunk
            if not closed and b"5 of 5 available" in seen:
                commands.must("sale", "close", "on-screen")
                closed = True
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
        os.close(parent)
    assert b"Giulia on screen" in seen
    assert b"closed" in seen


def read(terminal: int) -> bytes:
    """What the terminal shows next; nothing once the program has ended."""
    try:
        return os.read(terminal, 65536)
    except OSError:
        return b""
