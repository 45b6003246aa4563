"""Listening sockets: one per worker on one port, and nobody else's."""

import socket

import pytest

from flashsale.process.listeners import (
    CannotListenError,
    listening_url,
    open_listeners,
    refuse_connections,
    welcome_connections,
)


def close_all(listeners: list[socket.socket]) -> None:
    for listener in listeners:
        listener.close()


@pytest.mark.parametrize("count", [1, 4])
def test_all_share_one_free_port(count: int) -> None:
    listeners = open_listeners("127.0.0.1", 0, count)
    addresses = {listener.getsockname() for listener in listeners}
    assert len(listeners) == count
    assert len(addresses) == 1
    assert addresses.pop()[1] > 0
    close_all(listeners)


@pytest.mark.parametrize(("first", "second"), [(1, 1), (1, 4), (4, 1), (4, 4)])
def test_a_port_that_is_in_use_is_refused(first: int, second: int) -> None:
    listeners = open_listeners("127.0.0.1", 0, first)
    for listener in listeners:
        listener.listen()
    with pytest.raises(CannotListenError, match=r"cannot listen on 127\.0\.0\.1:\d+: Address already in use"):
        open_listeners("127.0.0.1", listeners[0].getsockname()[1], second)
    close_all(listeners)


def test_a_port_just_given_up_can_be_had_again() -> None:
    (listener,) = open_listeners("127.0.0.1", 0, 1)
    listener.listen()
    port = listener.getsockname()[1]
    with socket.create_connection(("127.0.0.1", port)):
        listener.setblocking(True)
        accepted, _ = listener.accept()
        accepted.close()
    listener.close()
    close_all(open_listeners("127.0.0.1", port, 2))


@pytest.mark.parametrize(
    ("host", "start"),
    [("127.0.0.1", "http://127.0.0.1:"), ("localhost", "http://localhost:"), ("::1", "http://[::1]:")],
)
def test_the_address_is_written_as_a_client_needs_it(host: str, start: str) -> None:
    listeners = open_listeners(host, 0, 2)
    port = listeners[0].getsockname()[1]
    assert listening_url(listeners[0], host) == f"{start}{port}"
    close_all(listeners)


def test_no_address_is_an_error() -> None:
    with pytest.raises(CannotListenError, match="cannot listen on no such host:0: "):
        open_listeners("no such host", 0, 1)


def test_new_connections_can_be_refused_while_old_ones_go_on() -> None:
    (listener,) = open_listeners("127.0.0.1", 0, 1)
    listener.listen()
    address = listener.getsockname()
    early = socket.create_connection(address)
    assert refuse_connections(listener)
    with pytest.raises(TimeoutError):
        socket.create_connection(address, timeout=0.3)
    listener.setblocking(True)
    accepted, _ = listener.accept()
    early.sendall(b"hello")
    assert accepted.recv(5) == b"hello"
    early.close()
    assert accepted.recv(1) == b""
    welcome_connections(listener)
    welcome_connections(listener)
    socket.create_connection(address, timeout=60).close()
    for sock in (accepted, listener):
        sock.close()
