"""The embedded server: real processes, real files."""

import json
import os
import signal
import socket
import stat
import threading
from pathlib import Path

import psutil
import pytest
import redis

from flashsale.process.data_dir import DataDirError, DataDirInUseError
from flashsale.process.embedded import (
    EmbeddedError,
    EmbeddedValkey,
    StartInterruptedError,
    bundled_server,
    find_running,
)
from flashsale.process.ports import ReservedPort
from flashsale.process.valkey_config import Health
from tests.process.conftest import alive
from tests.process.programs import DEADLINE_SECONDS, Program, eventually

HOLDER = """
import sys, time
from pathlib import Path
from flashsale.process.embedded import EmbeddedValkey

binary = Path(sys.argv[2]) if len(sys.argv) > 2 else None
server = EmbeddedValkey(Path(sys.argv[1]), binary=binary)
print(server.start(), flush=True)
time.sleep(600)
"""


def set_value(url: str, value: str) -> None:
    with redis.Redis.from_url(url) as client:
        client.set("key", value)


def get_value(url: str) -> object:
    with redis.Redis.from_url(url) as client:
        return client.get("key")


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A start waits for as long as the end of another may take on a machine that stalls."""
    monkeypatch.setattr("flashsale.process.embedded.LOCK_WAIT_SECONDS", DEADLINE_SECONDS)


def start_holder(folder: Path, data_dir: Path, binary: Path | None, programs: list[Program]) -> Program:
    """A program that starts an embedded server and does nothing more."""
    program = Program(["-c", HOLDER, str(data_dir), *([str(binary)] if binary else [])], folder)
    programs.append(program)
    eventually(program.out, "the server has started")
    return program


def last_file(data_dir: Path) -> Path:
    return next((data_dir / "appendonlydir").glob("*.incr.aof"))


def test_it_is_a_real_server_with_the_promised_settings(embedded: EmbeddedValkey) -> None:
    with redis.Redis.from_url(embedded.url) as client:
        assert client.config_get("appendfsync") == {"appendfsync": "always"}
        assert client.config_get("appendonly") == {"appendonly": "yes"}
        assert client.config_get("save") == {"save": ""}
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert client.info("server")["process_id"] == embedded.pid
    assert embedded.is_running()
    eventually(lambda: embedded.health() is Health.READY, "it says that it is ready")


def test_nobody_else_can_read_anything_of_it(embedded: EmbeddedValkey, data_dir: Path) -> None:
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in [data_dir, *data_dir.rglob("*")]}
    assert len(modes) >= 6
    assert not [path for path, mode in modes.items() if mode & 0o077]
    addresses = {
        item.laddr for item in psutil.Process(embedded.pid).net_connections() if item.status == "LISTEN"
    }
    assert addresses == {("127.0.0.1", embedded.port)}
    with redis.Redis(port=embedded.port) as stranger, pytest.raises(redis.AuthenticationError):
        stranger.ping()
    password = json.loads((data_dir / "valkey.json").read_text())["password"]
    assert password in embedded.url
    for process in psutil.Process().children(recursive=True):
        assert password not in str(process.cmdline())
    assert password not in (data_dir / "valkey.log").read_text()


def test_a_restart_finds_everything_again(data_dir: Path, server_binary: Path | None) -> None:
    for round_number in range(3):
        with EmbeddedValkey(data_dir, binary=server_binary) as server:
            expected = None if round_number == 0 else str(round_number - 1).encode()
            assert get_value(server.url) == expected
            set_value(server.url, str(round_number))
    assert find_running(data_dir) is None


def test_after_kill_9_it_comes_back_where_it_was(embedded: EmbeddedValkey) -> None:
    url, pid = embedded.url, embedded.pid
    set_value(url, "kept")
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not embedded.is_running(), "it has ended")
    assert embedded.exit_report()["exit_code"] == -signal.SIGKILL
    assert embedded.health() is Health.SILENT
    assert embedded.restart() == url
    assert embedded.pid != pid
    assert get_value(url) == b"kept"


def test_its_port_is_its_own_while_it_is_away(embedded: EmbeddedValkey) -> None:
    os.kill(embedded.pid, signal.SIGKILL)
    eventually(lambda: not embedded.is_running(), "it has ended")
    # Otherwise a client that tries to reconnect may be given this port for its own end, and connect to itself.
    with socket.socket() as stranger, pytest.raises(OSError, match="in use"):
        stranger.bind(("127.0.0.1", embedded.port))
    with EmbeddedValkey(embedded._data_dir.path.with_name("another"), binary=embedded._binary) as another:
        assert another.port != embedded.port
    embedded.restart()
    eventually(lambda: embedded.health() is Health.READY, "it is there again")


def test_two_servers_run_side_by_side(
    embedded: EmbeddedValkey, tmp_path: Path, server_binary: Path | None
) -> None:
    with EmbeddedValkey(tmp_path / "second", binary=server_binary) as second:
        set_value(second.url, "second")
        assert get_value(embedded.url) is None


def test_a_second_start_is_refused_and_names_the_holder(embedded: EmbeddedValkey, data_dir: Path) -> None:
    with pytest.raises(DataDirInUseError, match="is in use by process") as refused:
        EmbeddedValkey(data_dir).start()
    assert refused.value.pids == [os.getpid(), embedded.pid]
    assert str(data_dir) in str(refused.value)
    assert get_value(embedded.url) is None


def test_it_is_refused_too_while_only_the_server_itself_lives(
    embedded: EmbeddedValkey, data_dir: Path
) -> None:
    # As when whoever started it is gone and the server, for whatever reason, is not.
    embedded._data_dir.release()
    (data_dir / "lock").write_text("")
    with pytest.raises(DataDirInUseError) as refused:
        EmbeddedValkey(data_dir).start()
    assert refused.value.pids == [embedded.pid]


def test_a_running_server_is_found(embedded: EmbeddedValkey, data_dir: Path, tmp_path: Path) -> None:
    assert find_running(data_dir) == embedded.url
    assert find_running(tmp_path) is None
    assert find_running(tmp_path / "nowhere") is None
    os.kill(embedded.pid, signal.SIGKILL)
    eventually(lambda: not embedded.is_running(), "it has ended")
    assert find_running(data_dir) is None


def test_a_running_server_is_found_though_it_stalls(embedded: EmbeddedValkey, data_dir: Path) -> None:
    os.kill(embedded.pid, signal.SIGSTOP)
    timer = threading.Timer(2, os.kill, (embedded.pid, signal.SIGCONT))
    timer.start()
    assert find_running(data_dir) == embedded.url
    timer.join()


@pytest.mark.parametrize("note", ["", "{}", "[]", '{"pid": "x", "port": 1, "password": ""}', "\x00"])
def test_an_unreadable_note_of_the_server_is_none(tmp_path: Path, note: str) -> None:
    (tmp_path / "valkey.json").write_text(note)
    assert find_running(tmp_path) is None


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=str)
def test_it_ends_with_its_parent(
    patient: None,
    data_dir: Path,
    tmp_path: Path,
    server_binary: Path | None,
    programs: list[Program],
    number: signal.Signals,
) -> None:
    holder = start_holder(tmp_path, data_dir, server_binary, programs)
    url = holder.out().strip()
    set_value(url, "kept")
    family = holder.family()
    assert len(family) == 2
    holder.send(number)
    holder.wait()
    eventually(lambda: not any(map(alive, family)), "the server has ended with its parent")
    # The next start waits for the lock if it has to, and finds what was answered.
    with EmbeddedValkey(data_dir, binary=server_binary) as server:
        assert get_value(server.url) == b"kept"


def test_a_start_just_after_the_parent_was_killed_waits_for_the_rest_to_end(
    patient: None, data_dir: Path, tmp_path: Path, server_binary: Path | None, programs: list[Program]
) -> None:
    for round_number in range(5):
        holder = start_holder(tmp_path, data_dir, server_binary, programs)
        set_value(holder.out().strip(), str(round_number))
        holder.send(signal.SIGKILL)
        with EmbeddedValkey(data_dir, binary=server_binary) as server:
            assert get_value(server.url) == str(round_number).encode()


def test_started_in_another_thread_it_outlives_the_thread_but_not_the_process(
    data_dir: Path, tmp_path: Path, server_binary: Path | None, programs: list[Program]
) -> None:
    threaded = HOLDER.replace(
        "print(server.start(), flush=True)",
        "import threading\nt = threading.Thread(target=server.start)\nt.start()\nt.join()\n"
        "time.sleep(1.5)\nprint(server.url, flush=True)",
    )
    assert threaded != HOLDER
    program = Program(
        ["-c", threaded, str(data_dir), *([str(server_binary)] if server_binary else [])], tmp_path
    )
    programs.append(program)
    eventually(program.out, "the server has started")
    set_value(program.out().strip(), "kept")
    family = program.family()
    assert len(family) == 3  # the program, the server, and who waits for the end of the program
    program.send(signal.SIGKILL)
    eventually(lambda: not any(map(alive, family)), "the server has ended with its parent")


def test_it_can_be_stopped_from_another_thread_and_leaves_nothing(
    data_dir: Path, server_binary: Path | None
) -> None:
    own = psutil.Process()
    before = set(own.children(recursive=True))  # such as the server that the other tests share
    server = EmbeddedValkey(data_dir, binary=server_binary)
    for act in (server.start, server.stop, server.stop):
        thread = threading.Thread(target=act)
        thread.start()
        thread.join()
    eventually(
        lambda: not [child for child in set(own.children(recursive=True)) - before if alive(child)],
        "nothing is left",
    )
    assert find_running(data_dir) is None


def test_a_torn_last_entry_is_dropped(data_dir: Path, server_binary: Path | None) -> None:
    with EmbeddedValkey(data_dir, binary=server_binary) as server:
        set_value(server.url, "kept")
        whole = last_file(data_dir).read_bytes()
        set_value(server.url, "torn")
    last_file(data_dir).write_bytes(last_file(data_dir).read_bytes()[: len(whole) + 9])
    with EmbeddedValkey(data_dir, binary=server_binary) as server:
        assert get_value(server.url) == b"kept"


def test_a_file_damaged_in_the_middle_is_an_error_in_the_servers_own_words(
    data_dir: Path, server_binary: Path | None
) -> None:
    with EmbeddedValkey(data_dir, binary=server_binary) as server:
        for number in range(100):
            set_value(server.url, f"value-{number}")
    content = bytearray(last_file(data_dir).read_bytes())
    content[len(content) // 2 : len(content) // 2 + 20] = b"x" * 20
    last_file(data_dir).write_bytes(bytes(content))
    with pytest.raises(EmbeddedError, match="Bad file format") as failed:
        EmbeddedValkey(data_dir, binary=server_binary).start()
    assert str(data_dir / "valkey.log") in str(failed.value)
    assert find_running(data_dir) is None
    # It was let go of: another try says the same, not that it is in use.
    with pytest.raises(EmbeddedError, match="Bad file format"):
        EmbeddedValkey(data_dir, binary=server_binary).start()


def test_a_configuration_the_server_refuses_is_an_error(data_dir: Path, server_binary: Path | None) -> None:
    with pytest.raises(EmbeddedError, match="no-such-setting"):
        EmbeddedValkey(data_dir, binary=server_binary, extra_config=["no-such-setting 1"]).start()


def test_extra_configuration_wins(data_dir: Path, server_binary: Path | None) -> None:
    extra = ["maxmemory 64mb", "appendfsync everysec"]
    with EmbeddedValkey(data_dir, binary=server_binary, extra_config=extra) as server:
        client = redis.Redis.from_url(server.url)
        assert client.config_get("appendfsync") == {"appendfsync": "everysec"}
        assert client.config_get("maxmemory") == {"maxmemory": str(64 * 1024 * 1024)}
        client.close()


def test_a_directory_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataDirError, match="cannot use the data directory"):
        EmbeddedValkey(tmp_path / "file" / "data").start()


def test_a_server_that_is_not_one_is_an_error(data_dir: Path) -> None:
    with pytest.raises(EmbeddedError, match="could not start"):
        EmbeddedValkey(data_dir, binary=Path("/bin/false")).start()
    with pytest.raises(EmbeddedError, match="could not start"):
        EmbeddedValkey(data_dir, binary=data_dir / "nothing-here").start()


def test_a_start_can_be_given_up(data_dir: Path, server_binary: Path | None) -> None:
    with pytest.raises(StartInterruptedError):
        # A program that never answers stands for a server that takes long.
        EmbeddedValkey(data_dir, binary=Path("/bin/cat")).start(should_stop=lambda: True)
    with EmbeddedValkey(data_dir, binary=server_binary) as server:
        assert server.is_running()


def test_a_port_that_is_lost_is_replaced_by_another(
    data_dir: Path, server_binary: Path | None, embedded: EmbeddedValkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = iter([embedded.port, embedded.port])

    class Contested:
        """What happens where a port cannot be reserved: somebody else was faster, twice."""

        def __init__(self) -> None:
            self._real = ReservedPort()
            self.port = next(taken, self._real.port)

        def close(self) -> None:
            self._real.close()

    monkeypatch.setattr("flashsale.process.embedded.ReservedPort", Contested)
    with EmbeddedValkey(data_dir.with_name("contested"), binary=server_binary) as server:
        assert server.port != embedded.port
        assert get_value(server.url) is None


def test_a_large_data_set_is_waited_for(data_dir: Path, server_binary: Path | None) -> None:
    with EmbeddedValkey(data_dir, binary=server_binary, extra_config=["appendfsync no"]) as server:
        client = redis.Redis.from_url(server.url)
        client.eval("for i = 1, 300000 do redis.call('RPUSH', 'list', i) end", 0)
        client.set("key", "last")
        client.close()
    with EmbeddedValkey(data_dir, binary=server_binary) as server:
        assert get_value(server.url) == b"last"


def test_the_server_of_the_wheel_is_there() -> None:
    assert os.access(bundled_server(), os.X_OK)


def test_before_the_start_there_is_nothing_to_tell(data_dir: Path) -> None:
    server = EmbeddedValkey(data_dir)
    assert not server.is_running()
    assert server.exit_report() == {}
    for ask in (lambda: server.pid, lambda: server.port, lambda: server.url):
        with pytest.raises(EmbeddedError, match="was not started"):
            ask()
    server.stop()
    assert not data_dir.exists()
