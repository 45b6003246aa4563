"""What the failures of a server mean to us, in our own words."""

import pytest
from redis import exceptions

from flashsale.store.client import Store, StoreUnavailableError, describe, explain, explain_reply


@pytest.mark.parametrize(
    ("reply", "applied", "reason"),
    [
        ("OOM command not allowed", False, "memory is full"),
        ("READONLY You can't write", False, "read-only replica"),
        ("LOADING Valkey is loading", False, "loading its data"),
        ("MISCONF Errors writing to the AOF file", False, "cannot write to its disk"),
        ("NOAUTH Authentication required.", False, "wants a password"),
        ("WRONGPASS invalid username-password pair", False, "refuses our user or password"),
        ("NOPERM No permissions to access a key", False, "does not allow our user"),
        ("MASTERDOWN Link with MASTER is down", False, "lost its primary"),
        ("CLUSTERDOWN The cluster is down", False, "cluster is down"),
        ("NOREPLICAS Not enough good replicas", False, "too few replicas"),
        ("ERR user_script:1: secret", None, "refused the command"),
        ("BUSY Valkey is busy running a script", None, "refused the command"),
    ],
)
def test_error_replies(reply: str, applied: bool | None, reason: str) -> None:
    for error in (explain_reply(reply), explain(exceptions.ResponseError(reply))):
        assert error.applied is applied
        assert reason in error.reason
        assert "secret" not in error.reason


@pytest.mark.parametrize(
    ("error", "applied", "reason"),
    [
        (exceptions.TimeoutError("secret"), None, "did not answer in time"),
        (TimeoutError("secret"), None, "did not answer in time"),
        (exceptions.ConnectionError("secret"), None, "cannot be reached"),
        (ConnectionResetError("secret"), None, "cannot be reached"),
        (exceptions.AuthenticationError("secret"), False, "refuses our user or password"),
        (exceptions.BusyLoadingError("secret"), False, "loading its data"),
        (exceptions.ReadOnlyError("secret"), False, "read-only replica"),
        (exceptions.OutOfMemoryError("secret"), False, "memory is full"),
        (exceptions.NoPermissionError("secret"), False, "does not allow our user"),
        (exceptions.ResponseError("secret"), None, "refused the command"),
    ],
)
def test_errors_of_the_client(error: Exception, applied: bool | None, reason: str) -> None:
    explained = explain(error)
    assert explained.applied is applied
    assert reason in explained.reason
    assert "secret" not in explained.reason


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://user:secret@store.example:6380/2", "redis://store.example:6380/2"),
        ("rediss://:secret@store.example/0", "rediss://store.example/0"),
        ("unix:///run/valkey.sock?password=secret", "unix:///run/valkey.sock"),
    ],
)
def test_an_address_for_logs_has_no_password(url: str, shown: str) -> None:
    assert describe(url) == shown


async def test_a_connection_that_ends_before_its_first_bytes_is_a_store_that_cannot_be_reached() -> None:
    """uvloop raises a RuntimeError of its own then, which redis-py lets pass; any other is a fault of ours."""
    store = Store.connect("redis://127.0.0.1:1")
    with pytest.raises(StoreUnavailableError, match="cannot be reached"):
        async with store.guard():
            raise RuntimeError(
                "unable to perform operation on <TCPTransport closed=True>; the handler is closed"
            )
    with pytest.raises(RuntimeError, match="another"):
        async with store.guard():
            raise RuntimeError("another")
    await store.close()


@pytest.mark.parametrize("timeout_ms", [500, 20_000])
def test_a_connection_may_take_as_long_as_any_command(timeout_ms: int) -> None:
    options = Store.connect("redis://127.0.0.1:1", timeout_ms=timeout_ms).redis.get_connection_kwargs()
    assert options["socket_connect_timeout"] == options["socket_timeout"] == timeout_ms / 1000
