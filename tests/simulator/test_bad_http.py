"""The simulator, sent what is no request, or one that no client of ours would send: refused as JSON, and not logged."""

import json
from collections.abc import Iterator

import pytest

from tests.process.clients import Connection
from tests.support.simulator import Simulator, run_simulator

BODY = b'{"amount":1,"currency":"EUR","method":"card"}'
LENGTH = b"Content-Length: %d\r\n" % len(BODY)


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with run_simulator() as running:
        yield running
        log = running.program.err()
        assert "Traceback" not in log
        assert len(log.splitlines()) == 2  # nobody is charged; ready


def exchange(simulator: Simulator, request: bytes) -> tuple[int, dict[str, str], bytes]:
    connection = Connection(simulator.port)
    connection.send(request.replace(b"SECRET", simulator.secret.encode()))
    answer = connection.answer()
    connection.close()
    return answer


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nName : x\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nlong: " + b"x" * 20_000 + b"\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
)
def test_what_is_not_http_is_refused(simulator: Simulator, request_bytes: bytes) -> None:
    status, headers, body = exchange(simulator, request_bytes)
    assert (status, headers["content-type"].partition(";")[0]) == (400, "application/json")
    assert json.loads(body)["error"]["code"] == "unreadable"


@pytest.mark.parametrize(
    ("head", "status", "code"),
    [
        (b"GET /v1/nothing", 404, "not_found"),
        (b"GET /", 404, "not_found"),
        (b"DELETE /v1/payments", 405, "method_not_allowed"),
        (b"PUT /pay/pay_1", 405, "method_not_allowed"),
        (b"GET /v1/payments/%ff", 404, "unknown_payment"),
        (b"GET /v1/payments?after=%ff", 400, "invalid"),
        (b"GET /v1/payments?" + b"a=b&" * 20, 400, "invalid"),
        (b"GET /pay/pay_1?k=%ff", 400, "invalid"),
    ],
)
def test_what_is_not_there_is_refused(simulator: Simulator, head: bytes, status: int, code: str) -> None:
    request = head + b" HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer SECRET\r\n\r\n"
    answered, headers, body = exchange(simulator, request)
    assert (answered, json.loads(body)["error"]["code"]) == (status, code)
    assert (status == 405) == ("allow" in headers)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (b"", 400),
        (b"Idempotency-Key: \r\n", 400),
        (b"Idempotency-Key: a\tb\r\n", 400),
        (b"Idempotency-Key: \xff\r\n", 400),
        (b"Idempotency-Key: k\r\nContent-Encoding: gzip\r\n", 200),
        (b"Idempotency-Key: k\r\nContent-Type: \xff;;=\r\n", 200),
    ],
)
def test_strange_headers(simulator: Simulator, headers: bytes, status: int) -> None:
    start = b"POST /v1/payments HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer SECRET\r\n"
    answered, _, body = exchange(simulator, start + LENGTH + headers + b"\r\n" + BODY)
    assert answered == status
    assert status == 200 or json.loads(body)["error"]["code"] == "invalid"


def test_a_secret_that_is_no_text_is_wrong(simulator: Simulator) -> None:
    status, _, body = exchange(
        simulator, b"GET /v1/payments HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \xff\r\n\r\n"
    )
    assert (status, json.loads(body)["error"]["code"]) == (401, "unauthenticated")


def test_requests_follow_each_other_on_one_connection_whatever_is_refused(simulator: Simulator) -> None:
    connection = Connection(simulator.port)
    for path, status in (("/healthz", 200), ("/nothing", 404), ("/v1/payments", 401), ("/healthz", 200)):
        connection.send(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert connection.answer()[0] == status
    connection.close()
