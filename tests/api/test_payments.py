"""Starting a payment, and undoing an order, as callers see it: who may, what is refused, and in which order.

The server here has a provider that nobody answers for, and no worker runs: what is queued stays queued.
"""

import json
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from typing import Any

import pytest

from flashsale.process.embedded import EmbeddedValkey
from tests.support_http.client import (
    ROOT_KEY,
    Answer,
    Shop,
    eventually,
    lines,
    new_sale_id,
    token,
    untouched,
)
from tests.support_http.server import Server, app_on

PROVIDER = {
    "FLASHSALE_PAYMENT_PROVIDER": "simulator",
    "FLASHSALE_SIMULATOR_URL": "http://127.0.0.1:1",
    "FLASHSALE_SIMULATOR_SECRET": "secret-of-the-simulator-0123456789",
}
METHODS = ["card", "alipay"]
TERMS = {"methods": METHODS, "deposit_percent": 10, "instalments": 36}
NOBODY = f"no-such-sale.0.{'A' * 16}"


@pytest.fixture(scope="module")
def paid_server(server: EmbeddedValkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("paid"), ["--redis-url", server.url], env=PROVIDER)
    yield running
    log = running.program.err()
    running.stop()
    assert "internal_error" not in log, log


@pytest.fixture
async def till(paid_server: Server, valkey: str) -> AsyncIterator[Shop]:
    """A client of a server that takes payments."""
    async with Shop(paid_server.url) as shop:
        yield shop


async def held(shop: Shop, customer: str = "c-1", **terms: Any) -> dict[str, Any]:
    """A hold in a sale of its own."""
    sale = new_sale_id()
    (await shop.define(sale, **{"payment": TERMS, **terms})).must(201)
    body: dict[str, Any] = (await shop.reserve(sale, customer)).must(201)
    return body


async def raw(shop: Shop, path: str, data: bytes, bearer: str | None = None, kind: str = "") -> Answer:
    headers = {"Content-Type": kind or "application/json"}
    return await shop.ask("POST", path, bearer=bearer, headers=headers, data=data)


def instant(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


async def test_a_payment_is_queued_and_shown_wherever_the_reservation_is(till: Shop) -> None:
    sale = new_sale_id()
    (await till.define(sale, payment=TERMS)).must(201)
    hold = (await till.reserve(sale, "c-1", key="k")).must(201)
    assert hold["payment"] is None
    answer = await till.pay(hold["id"], "c-1")
    paying = answer.must(202)
    assert answer.headers["Location"] == f"/v1/reservations/{hold['id']}"
    payment = {
        "status": "queued",
        "method": "card",
        "attempt": 1,
        "amount": 3_300_000,
        "currency": "CNY",
        "provider": None,
        "reference": None,
        "action": None,
        "error": None,
        "wait_seconds": 0,
    }
    assert paying == {**hold, "payment": payment}
    assert (await till.read(hold["id"], "c-1")).must(200) == paying
    assert await till.mine(sale, "c-1") == [paying]
    assert (await till.reserve(sale, "c-1", key="k")).must(200) == paying
    as_support = await till.ask("GET", f"/v1/reservations/{hold['id']}", bearer=ROOT_KEY)
    assert as_support.must(200) == paying


async def test_the_same_method_again_changes_nothing_and_another_is_a_new_attempt(till: Shop) -> None:
    hold = await held(till)
    first = (await till.pay(hold["id"], "c-1")).must(202)
    async with untouched(till, hold["sale"]):
        assert (await till.pay(hold["id"], "c-1")).must(202) == first
    other = (await till.pay(hold["id"], "c-1", "alipay")).must(202)
    assert (other["payment"]["method"], other["payment"]["attempt"]) == ("alipay", 2)


async def test_the_hold_is_extended_once(till: Shop) -> None:
    hold = await held(till, payment={**TERMS, "hold_extension_seconds": 60})
    paying = (await till.pay(hold["id"], "c-1")).must(202)
    assert round(instant(paying["held_until"]) - instant(hold["held_until"]), 3) == 60
    again = (await till.pay(hold["id"], "c-1", "alipay")).must(202)
    assert again["held_until"] == paying["held_until"]


async def test_too_many_attempts(till: Shop) -> None:
    hold = await held(till)
    for attempt in range(20):
        paying = (await till.pay(hold["id"], "c-1", METHODS[attempt % 2])).must(202)
        assert paying["payment"]["attempt"] == attempt + 1
    async with untouched(till, hold["sale"]):
        (await till.pay(hold["id"], "c-1", "card")).refused(409, "too_many_attempts")


async def test_what_has_ended_cannot_be_paid(till: Shop) -> None:
    hold = await held(till)
    paying = (await till.pay(hold["id"], "c-1")).must(202)
    gone = (await till.cancel(hold["id"], "c-1")).must(200)
    cancelled = {**paying["payment"], "status": "cancelled", "wait_seconds": None}
    assert gone == {**paying, "status": "cancelled", "payment": cancelled}
    assert (await till.cancel(hold["id"], "c-1")).must(200) == gone
    assert (await till.pay(hold["id"], "c-1")).refused(409, "already_cancelled")["detail"].endswith("paid.")

    brief = await held(till, hold_seconds=1)

    async def over() -> bool:
        return bool((await till.read(brief["id"], "c-1")).must(200)["status"] == "expired")

    await eventually(over, "the hold ends")
    (await till.pay(brief["id"], "c-1")).refused(409, "already_expired")


async def test_a_method_the_sale_does_not_offer(till: Shop) -> None:
    hold = await held(till)
    async with untouched(till, hold["sale"]):
        error = (await till.pay(hold["id"], "c-1", "klarna")).invalid("method")["errors"][0]
        assert error["detail"] == "is not offered by this sale, which takes card, alipay"
    without = await held(till, payment=None)
    error = (await till.pay(without["id"], "c-1")).invalid("method")["errors"][0]
    assert "no payment method" in error["detail"]


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, ["method"]),
        ({"method": None}, ["method"]),
        ({"method": "cash"}, ["method"]),
        ({"method": ["card"]}, ["method"]),
        ({"method": "card", "amount": 1}, ["amount"]),
        ({"Method": "card"}, ["Method", "method"]),
        ([], [""]),
    ],
)
async def test_bodies_of_a_payment(till: Shop, body: Any, fields: list[str]) -> None:
    answer = await raw(till, f"/v1/reservations/{NOBODY}/payment", json.dumps(body).encode())
    answer.invalid(*fields)


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, ["restock"]),
        ({"restock": 1}, ["restock"]),
        ({"restock": "true", "reason": 7}, ["restock", "reason"]),
        ({"restock": True, "reason": "x" * 201}, ["reason"]),
        ({"restock": True, "reason": "a\nb"}, ["reason"]),
        ({"restock": True, "amount": 1}, ["amount"]),
        ("restock", [""]),
    ],
)
async def test_bodies_of_a_refund(till: Shop, body: Any, fields: list[str]) -> None:
    answer = await raw(till, f"/v1/reservations/{NOBODY}/refund", json.dumps(body).encode())
    answer.invalid(*fields)


@pytest.mark.parametrize(
    ("path", "field"), [("/v1/payments/reconcile", "sale"), ("/v1/sales/none/payments/dead/retry", "id")]
)
async def test_bodies_that_name_one_or_all(till: Shop, path: str, field: str) -> None:
    for value in (7, "", "No Sale", ["a"], "a" * 64 if field == "sale" else "1"):
        (await raw(till, path, json.dumps({field: value}).encode())).invalid(field)
    (await raw(till, path, b'{"all": true}')).invalid("all")
    (await raw(till, path, b"{}")).refused(401, "unauthenticated")


@pytest.mark.parametrize(
    "path",
    [
        f"/v1/reservations/{NOBODY}/payment",
        f"/v1/reservations/{NOBODY}/refund",
        "/v1/payments/reconcile",
        "/v1/sales/none/payments/dead/retry",
    ],
)
async def test_the_body_comes_before_the_caller_and_the_caller_before_all_else(till: Shop, path: str) -> None:
    (await raw(till, path, b" " * (64 * 1024 + 1))).refused(413, "too_large")
    (await raw(till, path, b"{}", kind="text/plain")).refused(415, "unsupported_media_type")
    (await raw(till, path, b"{")).refused(400, "malformed")
    good = {"payment": b'{"method": "card"}', "refund": b'{"restock": true}'}.get(
        path.rpartition("/")[2], b"{}"
    )
    (await raw(till, path, good)).refused(401, "unauthenticated")
    (await raw(till, path, good, bearer="nobody")).refused(401, "unauthenticated")
    if "payment" not in good.decode() and not path.endswith("/payment"):
        (await raw(till, path, good, bearer=token("c-1"))).refused(401, "unauthenticated")


async def test_only_the_customer_pays(till: Shop) -> None:
    hold = await held(till)
    async with untouched(till, hold["sale"]):
        (await till.pay(hold["id"], "c-2")).refused(403, "forbidden")
        (await till.pay(hold["id"], "c-2", "klarna")).refused(403, "forbidden")
        as_brand = await till.ask(
            "POST", f"/v1/reservations/{hold['id']}/payment", bearer=ROOT_KEY, json={"method": "card"}
        )
        as_brand.refused(401, "unauthenticated")
    for unknown in (
        NOBODY,
        f"{hold['sale']}.0.{'A' * 16}",
        f"{hold['sale']}.1.{hold['id'][-16:]}",
        "none",
        "%7B",
    ):
        (await till.pay(unknown, "c-1")).refused(404, "unknown_reservation")


async def test_only_support_refunds_reconciles_and_looks_after_dead_jobs(till: Shop) -> None:
    hold = await held(till)
    made = await till.ask(
        "POST", "/v1/keys", bearer=ROOT_KEY, json={"name": "weak", "scopes": ["sales", "orders"]}
    )
    weak = made.must(201)["key"]
    made = await till.ask(
        "POST", "/v1/keys", bearer=ROOT_KEY, json={"name": "support", "scopes": ["support"]}
    )
    support = made.must(201)["key"]
    dead = f"/v1/sales/{hold['sale']}/payments/dead"
    for bearer, status, code in ((weak, 403, "forbidden"), (token("c-1"), 401, "unauthenticated")):
        (await till.refund(hold["id"], restock=True, bearer=bearer)).refused(status, code)
        (await till.ask("GET", dead, bearer=bearer)).refused(status, code)
        (await till.ask("POST", f"{dead}/retry", bearer=bearer, json={})).refused(status, code)
        (await till.ask("POST", "/v1/payments/reconcile", bearer=bearer, json={})).refused(status, code)
    (await till.refund(NOBODY, restock=True, bearer=support)).refused(404, "unknown_reservation")
    assert (await till.ask("GET", dead, bearer=support)).must(200) == {"jobs": []}
    assert (await till.ask("POST", f"{dead}/retry", bearer=support, json={})).must(200) == {"retried": 0}
    one = await till.ask("POST", f"{dead}/retry", bearer=support, json={"id": "1-0"})
    one.refused(404, "not_found")
    for unknown in ("none", "No%20Sale", "%7B", "_other"):
        path = f"/v1/sales/{unknown}/payments/dead"
        (await till.ask("GET", path, bearer=support)).refused(404, "unknown_sale")
        (await till.ask("POST", f"{path}/retry", bearer=support, json={})).refused(404, "unknown_sale")
    stray = await till.ask("GET", "/v1/sales/_stray/payments/dead", bearer=support)
    assert stray.must(200) == {"jobs": []}


async def test_only_an_order_is_refunded(till: Shop) -> None:
    hold = await held(till)
    async with untouched(till, hold["sale"]):
        assert (
            "is held" in (await till.refund(hold["id"], restock=True)).refused(409, "not_confirmed")["detail"]
        )
    (await till.cancel(hold["id"], "c-1")).must(200)
    assert (
        "is cancelled"
        in (await till.refund(hold["id"], restock=True)).refused(409, "not_confirmed")["detail"]
    )


async def test_a_provider_that_is_away_cannot_be_compared_with(till: Shop) -> None:
    answer = await till.ask("POST", "/v1/payments/reconcile", bearer=ROOT_KEY, json={"sale": None})
    problem = answer.refused(503, "payments_unavailable")
    assert problem["detail"].startswith("The payment provider does not answer: ")
    answer = await till.ask("POST", "/v1/payments/reconcile", bearer=ROOT_KEY, json={"sale": "none"})
    answer.refused(404, "unknown_sale")


async def test_a_shop_without_a_provider(shop: Shop) -> None:
    hold = await held(shop)
    (await shop.pay(hold["id"], "c-2")).refused(403, "forbidden")
    async with untouched(shop, hold["sale"]):
        problem = (await shop.pay(hold["id"], "c-1")).refused(503, "payments_unavailable")
        assert problem["detail"] == "This server is not set up to take payments."
    answer = await shop.ask("POST", "/v1/payments/reconcile", bearer=ROOT_KEY, json={})
    answer.refused(503, "payments_unavailable")
    assert (await shop.read(hold["id"], "c-1")).must(200) == hold


async def test_a_full_queue(valkey: str) -> None:
    async with app_on(valkey, {**PROVIDER, "FLASHSALE_PAYMENT_QUEUE_LIMIT": "3"}) as url, Shop(url) as shop:
        sale = new_sale_id()
        (await shop.define(sale, payment=TERMS)).must(201)
        holds = [(await shop.reserve(sale, f"c-{n}")).must(201) for n in range(6)]
        answers = [await shop.pay(hold["id"], f"c-{n}") for n, hold in enumerate(holds)]
        taken = [answer.status for answer in answers].count(202)
        assert 1 <= taken <= 3
        for answer in answers[taken:]:
            assert answer.refused(503, "busy")["detail"].startswith("Too many payments are waiting.")
        unpaid = (await shop.read(holds[-1]["id"], "c-5")).must(200)
        assert unpaid == holds[-1]
        await shop.audit(sale)


async def test_the_wait_is_told_and_the_hold_allows_for_it(valkey: str) -> None:
    async with app_on(valkey, {**PROVIDER, "FLASHSALE_SIMULATOR_RATE": "2"}) as url, Shop(url) as shop:
        sale = new_sale_id()
        (await shop.define(sale, payment=TERMS)).must(201)
        holds = [(await shop.reserve(sale, f"c-{n}", lines())).must(201) for n in range(6)]
        for n, hold in enumerate(holds):
            paying = (await shop.pay(hold["id"], f"c-{n}")).must(202)
            assert paying["payment"]["wait_seconds"] == (n + 1) // 2
            assert round(instant(paying["held_until"]) - instant(hold["held_until"]), 3) == n / 2
        (await shop.cancel(holds[0]["id"], "c-0")).must(200)
        last = (await shop.read(holds[5]["id"], "c-5")).must(200)
        assert last["payment"]["wait_seconds"] == 2
