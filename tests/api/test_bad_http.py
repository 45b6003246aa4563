"""What is wrong with a request before it reaches a handler."""

import asyncio
import gzip
import json
import logging

import pytest

from tests.process.clients import Connection
from tests.support_http.bad_requests import NO_HTTP
from tests.support_http.client import ROOT_KEY, Shop, eventually, lines, token, untouched
from tests.support_http.server import Server

PATHS = (
    "/v1/sales",
    "/v1/sales/x",
    "/v1/sales/x/reservations",
    "/v1/reservations/x",
    "/v1/keys",
    "/healthz",
    "/docs",
)


def exchange(server: Server, request: bytes) -> tuple[int, dict[str, str], bytes]:
    connection = Connection(server.port)
    connection.send(request)
    answer = connection.answer()
    connection.close()
    return answer


async def refused_so_far(shop: Shop) -> int:
    """How many reservations were answered 400, by /metrics."""
    metrics = (await shop.ask("GET", "/metrics")).body.decode()
    return sum(
        int(float(line.rpartition(" ")[2]))
        for line in metrics.splitlines()
        if line.startswith("flashsale_http_requests_total")
        and "reservations" in line
        and 'status="400"' in line
    )


@pytest.mark.parametrize(
    "path", ["/", "/v1", "/v1/", "/v1/sales/", "/v2/sales", "/v1/sales/a/b/c", "//healthz", "/V1/sales"]
)
async def test_no_such_path(shop: Shop, path: str) -> None:
    for method in ("GET", "POST", "PUT", "DELETE", "OPTIONS"):
        (await shop.ask(method, path)).refused(404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/healthz", {"GET", "HEAD"}),
        ("DELETE", "/v1/sales/x", {"GET", "HEAD", "PUT"}),
        ("GET", "/v1/sales/x/reservations", {"POST"}),
        ("PATCH", "/v1/reservations/x", {"DELETE", "GET", "HEAD"}),
        ("PUT", "/v1/keys", {"GET", "HEAD", "POST"}),
        ("GET", "/v1/sales/x/pause", {"POST"}),
        ("TRACE", "/v1/sales", {"GET", "HEAD"}),
        ("PROPFIND", "/v1/sales", {"GET", "HEAD"}),
    ],
)
async def test_no_such_method(shop: Shop, method: str, path: str, allowed: set[str]) -> None:
    answer = await shop.ask(method, path)
    answer.refused(405, "method_not_allowed")
    assert set(answer.headers["Allow"].split(",")) == allowed


@pytest.mark.parametrize("path", PATHS)
async def test_head_and_options_fail_no_server(shop: Shop, path: str) -> None:
    get = await shop.ask("GET", path)
    head = await shop.ask("HEAD", path)
    assert head.status == get.status
    assert head.body == b""
    assert head.headers["Content-Type"] == get.headers["Content-Type"]
    (await shop.ask("OPTIONS", path)).refused(405, "method_not_allowed")


async def test_head_of_an_open_sale(shop: Shop, sale: str) -> None:
    for path in (f"/v1/sales/{sale}", "/v1/sales", "/openapi.json", "/docs", "/metrics", "/readyz"):
        assert (await shop.ask("HEAD", path)).status == 200


@pytest.mark.parametrize("request_head", NO_HTTP.values(), ids=NO_HTTP.keys())
async def test_no_http(shop: Shop, shared_server: Server, request_head: bytes) -> None:
    status, headers, body = exchange(shared_server, request_head)
    assert status == 400
    assert headers["content-type"] == "application/problem+json"
    assert json.loads(body)["code"] == "malformed"
    assert await shop.ready()


async def test_a_token_in_an_unreadable_request_is_not_logged(shop: Shop, shared_server: Server) -> None:
    shopper = token("talkative").encode()
    for bad in (b"\0", b"x" * 70_000):
        head = b"GET /healthz HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer %b%b\r\n\r\n" % (shopper, bad)
        assert exchange(shared_server, head)[0] == 400
    _, payload, signature = shopper.decode().split(".")
    log = shared_server.program.err()
    assert signature not in log
    assert payload not in log


async def test_a_chunk_that_is_none(shop: Shop, shared_server: Server, sale: str) -> None:
    head = f"POST /v1/sales/{sale}/reservations HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with untouched(shop, sale):
        assert exchange(shared_server, head.encode() + b"zz\r\n")[0] == 400


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "nonsense"])
async def test_a_body_that_is_not_packed_as_it_says(shop: Shop, sale: str, encoding: str) -> None:
    path = f"/v1/sales/{sale}/reservations"
    headers = {"Content-Encoding": encoding, "Content-Type": "application/json"}
    async with untouched(shop, sale):
        answer = await shop.ask("POST", path, bearer=token("c-1"), headers=headers, data=b"no such thing")
        assert answer.status == 400
        if encoding in {
            "gzip",
            "deflate",
        }:  # the others may be unknown to the parser, which answers by itself
            answer.refused(400, "malformed")


async def test_a_body_that_is_cut_off_is_no_fault_of_the_server(
    shop: Shop, shared_server: Server, sale: str
) -> None:
    head = f"POST /v1/sales/{sale}/reservations HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {token('c-1')}\r\n"
    async with untouched(shop, sale):
        before, met = shared_server.program.err(), await refused_so_far(shop)
        for rest in (b"Content-Length: 50\r\n\r\n{", b"Transfer-Encoding: chunked\r\n\r\n5\r\n{"):
            connection = Connection(shared_server.port)
            connection.send(head.encode() + rest)
            connection.close()

        async def met_both() -> bool:
            return await refused_so_far(shop) >= met + 2

        await eventually(met_both, "the server has met both")
        assert "internal_error" not in shared_server.program.err().removeprefix(before)


async def test_a_packed_body_is_bounded_unpacked(shop: Shop, shared_server: Server, sale: str) -> None:
    head = (
        f"POST /v1/sales/{sale}/reservations HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {token('c-1')}\r\n"
        "Content-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n"
    )
    async with untouched(shop, sale):
        bomb = gzip.compress(b" " * 50_000_000)
        assert len(bomb) < 64 * 1024
        status, _, body = exchange(shared_server, (head % len(bomb)).encode() + bomb)
        assert (status, json.loads(body)["code"]) == (413, "too_large")
    good = gzip.compress(json.dumps(lines()).encode())
    assert exchange(shared_server, (head % len(good)).encode() + good)[0] == 201


async def test_expectations(shop: Shop, shared_server: Server, sale: str) -> None:
    body = json.dumps(lines()).encode()
    head = f"POST /v1/sales/{sale}/reservations HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {token('c-1')}\r\n"
    rest = b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(body)
    connection = Connection(shared_server.port)
    connection.send(head.encode() + rest)
    assert connection.answer()[0] == 100
    connection.send(body)
    assert connection.answer()[0] == 201
    connection.close()
    async with untouched(shop, sale):
        status, _, answer = exchange(
            shared_server, head.encode() + b"Expect: a miracle\r\nContent-Length: 0\r\n\r\n"
        )
        assert status == 417, answer
        status, _, answer = exchange(
            shared_server, head.encode() + b"Expect: \xff\r\nContent-Length: 0\r\n\r\n"
        )
        assert (status, json.loads(answer)["code"]) == (400, "malformed")


async def test_who_has_left_when_it_is_asked_to_go_on_is_no_fault_of_the_server(
    url: str, near: Shop, sale: str, caplog: pytest.LogCaptureFixture
) -> None:
    head = f"POST /v1/sales/{sale}/reservations HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\n"
    connection = Connection(int(url.rpartition(":")[2]))
    connection.send(b"GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n")
    assert (await asyncio.to_thread(connection.answer))[0] == 200
    # The server, in this same loop, reads both at once: what is asked, and that nobody waits for the answer.
    connection.send(head.encode() + b"Content-Length: 5\r\n\r\n")
    connection.close()
    for _ in range(3):
        (await near.ask("GET", "/healthz")).must(200)
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_the_first_of_two_authorizations_does_not_win_by_chance(
    shop: Shop, shared_server: Server, sale: str
) -> None:
    body = json.dumps(lines()).encode()
    both = f"Authorization: Bearer {token('c-1')}\r\nAuthorization: Bearer {ROOT_KEY}\r\n".encode()
    path = f"POST /v1/sales/{sale}/reservations HTTP/1.1\r\nHost: test\r\n".encode()
    status, _, answer = exchange(
        shared_server, path + both + b"Content-Length: %d\r\n\r\n" % len(body) + body
    )
    assert status == 400 or json.loads(answer).get("customer") == "c-1"
