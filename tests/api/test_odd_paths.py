"""Paths that are unusual: an item may have any printable name, and escapes that are no text name nothing."""

import asyncio
import json

import pytest

from tests.process.clients import Connection
from tests.support_http.bad_requests import ODD_ESCAPES
from tests.support_http.client import ROOT_KEY, Shop, label, lines, new_sale_id, token, untouched
from tests.support_http.server import Server


@pytest.mark.parametrize(
    ("sku", "path"),
    [
        ("}", "%7D"), ("{x}", "%7Bx%7D"), ("{", "{"), ("*", "*"), ("a/b", "a%2Fb"), ("a b", "a%20b"), ("a+b", "a+b"),
        ("%", "%25"), ("%2F", "%252F"), ("a?b#c", "a%3Fb%23c"), ("🚗", "%F0%9F%9A%97"), ("a:b", "a:b"), ("x" * 64, "x" * 64),
        ("stock:x", "stock:x"), ("...", "..."), ('"\\', "%22%5C"),
    ],
    ids=label,
)  # fmt: skip
async def test_an_item_with_an_odd_name_is_sold_and_restocked(shop: Shop, sku: str, path: str) -> None:
    sale = new_sale_id()
    (await shop.define(sale, items=[{"sku": sku, "price": 1, "stock": 1}])).must(201)
    (await shop.restock(sale, 1, sku=path)).must(200)
    held = (await shop.reserve(sale, "c-1", lines(sku, 2))).must(201)
    assert held["items"] == [{"sku": sku, "quantity": 2}]
    assert (await shop.reserve(sale, "c-2", lines(sku))).refused(409, "sold_out")["sku"] == sku
    (await shop.cancel(held["id"], "c-1")).must(200)
    (item,) = (await shop.audit(sale))["items"]
    assert item == {"sku": sku, "stock": 2, "available": 2, "held": 0, "sold": 0}


def ask(server: Server, method: str, path: bytes, credentials: str, body: object = None) -> tuple[int, str]:
    """Status and code of the answer to a request with this path as it is, byte by byte."""
    content = b"" if body is None else json.dumps(body).encode()
    head = f"Host: test\r\nAuthorization: Bearer {credentials}\r\nContent-Length: {len(content)}\r\n"
    connection = Connection(server.port)
    connection.send(method.encode() + b" " + path + b" HTTP/1.1\r\n" + head.encode() + b"\r\n" + content)
    status, headers, answer = connection.answer()
    connection.close()
    assert headers["content-type"] == "application/problem+json", answer
    return status, json.loads(answer)["code"]


@pytest.mark.parametrize("odd", ODD_ESCAPES, ids=label)
def test_escapes_that_are_no_text(shared_server: Server, odd: bytes) -> None:
    shopper = token("c-1")
    for method, path, credentials, code in (
        ("GET", b"/v1/sales/%b", shopper, "unknown_sale"),
        ("GET", b"/v1/reservations/%b", shopper, "unknown_reservation"),
        ("DELETE", b"/v1/reservations/%b", shopper, "unknown_reservation"),
        ("DELETE", b"/v1/keys/%b", ROOT_KEY, "not_found"),
        ("GET", b"/%b", shopper, "not_found"),
    ):
        assert ask(shared_server, method, path % odd, credentials) == (404, code)
    reserve = b"/v1/sales/%b/reservations" % odd
    assert ask(shared_server, "POST", reserve, shopper, lines()) == (404, "unknown_sale")
    restock = b"/v1/sales/%b/items/x/restock" % odd
    assert ask(shared_server, "POST", restock, ROOT_KEY, {"units": 1}) == (404, "unknown_sale")
    assert ask(shared_server, "PUT", b"/v1/sales/%b" % odd, ROOT_KEY, {}) == (422, "invalid")


@pytest.mark.parametrize("odd", [b"%FF", b"%ED%A0%80", b"%00", b"%", b"x" * 10_000], ids=label)
async def test_no_item_has_such_a_name(shop: Shop, shared_server: Server, sale: str, odd: bytes) -> None:
    path = b"/v1/sales/%b/items/%b/restock" % (sale.encode(), odd)
    async with untouched(shop, sale):
        answer = await asyncio.to_thread(ask, shared_server, "POST", path, ROOT_KEY, {"units": 1})
        assert answer == (404, "unknown_item")


@pytest.mark.parametrize("odd", [b"\xff", b"\xed\xa0\x80", "🚗".encode()], ids=label)
def test_bytes_that_are_no_text_in_headers(shared_server: Server, odd: bytes) -> None:
    body = json.dumps(lines()).encode()
    for name, statuses in (
        (b"Authorization: Bearer ", {401}),
        (b"Idempotency-Key: ", {401, 422}),
        (b"Content-Type: ", {415}),
        (b"X-Anything: ", {401}),
    ):
        connection = Connection(shared_server.port)
        connection.send(b"POST /v1/sales/x/reservations HTTP/1.1\r\nHost: test\r\n")
        connection.send(b"Content-Length: %d\r\n%b%b\r\n\r\n%b" % (len(body), name, odd, body))
        status, headers, answer = connection.answer()
        connection.close()
        assert headers["content-type"] == "application/problem+json", answer
        assert status in statuses, answer
