"""What payment providers send: known by their signature alone, queued at once, and never seen in a log."""

import json
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

import pytest
from redis.asyncio import Redis

from flashsale.keys import STRAY, SaleKeys
from flashsale.process.embedded import EmbeddedValkey
from flashsale.providers.signature import HEADER, signature
from tests.support_http.client import ROOT_KEY, Answer, Shop, new_sale_id, token, untouched
from tests.support_http.server import Server, app_on

SECRET: Final = "secret-of-the-simulator-0123456789"
MARK: Final = "mark-of-a-customer-4711"
EVENTS: Final = "/v1/payments/simulator/events"
PROVIDER: Final = {
    "FLASHSALE_PAYMENT_PROVIDER": "simulator",
    "FLASHSALE_SIMULATOR_URL": "http://127.0.0.1:1",
    "FLASHSALE_SIMULATOR_SECRET": SECRET,
    "FLASHSALE_LOG_LEVEL": "debug",
}


@pytest.fixture(scope="module")
def paid_server(server: EmbeddedValkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("events"), ["--redis-url", server.url], env=PROVIDER)
    yield running
    log = running.program.err()
    running.stop()
    assert "internal_error" not in log, log
    assert SECRET not in log
    assert MARK not in log


@pytest.fixture
async def till(paid_server: Server, valkey: str) -> AsyncIterator[Shop]:
    async with Shop(paid_server.url) as shop:
        yield shop


def event(reservation: str, **changes: Any) -> bytes:
    """A message that a payment was declined, as the simulator writes it."""
    payment = {
        "id": "pay_1",
        "status": "failed",
        "amount": 3_300_000,
        "currency": "CNY",
        "method": "card",
        "metadata": {"shop": "flashsale", "reservation": reservation, "attempt": "1", "customer": MARK},
        "refunded": 0,
        "refunds": [],
        "error": f"declined {MARK}",
        "final": False,
        "created_ms": 1_795_341_600_000,
        **changes,
    }
    return json.dumps({"id": "evt_1", "type": "payment.failed", "payment": payment}).encode()


def signed(body: bytes, secret: str = SECRET, age_s: int = 0) -> str:
    return signature(secret.encode(), int(time.time()) - age_s, body)


async def send(shop: Shop, body: bytes, header: str | None, path: str = EVENTS, **more: str) -> Answer:
    headers = {**more, **({HEADER: header} if header is not None else {})}
    return await shop.ask("POST", path, headers=headers, data=body)


async def queued(redis: "Redis", sale: str) -> int:
    return int(await redis.xlen(SaleKeys.of(sale).payments))


async def test_a_signed_message_is_queued_in_its_sale(till: Shop, redis: "Redis") -> None:
    sale = new_sale_id()
    (await till.define(sale)).must(201)
    hold = (await till.reserve(sale, "c-1")).must(201)
    body = event(hold["id"])
    assert (await send(till, body, signed(body))).must(202) == {"received": True}
    assert await queued(redis, sale) == 1
    # Once more, as providers do when they did not hear the answer: the worker sees to it that nothing happens twice.
    (await send(till, body, signed(body, age_s=299))).must(202)
    assert await queued(redis, sale) == 2


async def test_nothing_but_the_signature_counts(till: Shop, redis: "Redis") -> None:
    sale = new_sale_id()
    (await till.define(sale)).must(201)
    body = event((await till.reserve(sale, "c-1")).must(201)["id"])
    for more in (
        {"Content-Type": "text/plain"},
        {"Authorization": f"Bearer {token('c-1')}"},
        {"Authorization": "nonsense"},
        {HEADER.lower(): signed(body)},
    ):
        (await send(till, body, None if HEADER.lower() in more else signed(body), **more)).must(202)
    assert await queued(redis, sale) == 4


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "v1=00",
        "t=1795341600",
        "t=x,v1=y",
        "t=1,t=2,v1=00",
        signed(b"other"),
        signed(event("x"), secret="secret-of-somebody-else-0123456789"),
        f"t={int(time.time())},v1={'0' * 64}",
    ],
    # Named, as what is signed differs from one process that runs tests to the other.
    ids=[
        "none",
        "empty",
        "no time",
        "no mark",
        "nonsense",
        "two times",
        "another's",
        "other secret",
        "zeros",
    ],
)
async def test_a_forged_message_is_refused(till: Shop, redis: "Redis", header: str | None) -> None:
    sale = new_sale_id()
    (await till.define(sale)).must(201)
    hold = (await till.reserve(sale, "c-1")).must(201)
    async with untouched(till, sale):
        problem = (await send(till, event(hold["id"]), header)).refused(400, "bad_signature")
        assert SECRET not in problem["detail"]
        as_brand = await send(till, event(hold["id"]), header, Authorization=f"Bearer {ROOT_KEY}")
        as_brand.refused(400, "bad_signature")
    assert await queued(redis, sale) == 0


async def test_an_old_message_and_one_of_the_future_are_refused(till: Shop) -> None:
    body = event("x")
    for age_s in (302, 86_400, -302):
        (await send(till, body, signed(body, age_s=age_s))).refused(400, "bad_signature")
    (await send(till, body + b" ", signed(body))).refused(400, "bad_signature")


async def test_what_is_signed_and_no_event_is_refused(till: Shop) -> None:
    for body in (b"", b"{", b"[]", b'{"id": 7}', b"\xff\xfe", event("x", amount="much")):
        (await send(till, body, signed(body))).refused(400, "bad_signature")


async def test_what_is_about_nothing_of_ours_is_received_and_left_alone(till: Shop, redis: "Redis") -> None:
    sale = new_sale_id()
    (await till.define(sale)).must(201)
    hold = (await till.reserve(sale, "c-1")).must(201)
    other_shop = {"shop": "other", "reservation": hold["id"], "attempt": "1"}
    for body in (
        event(hold["id"], metadata=other_shop),
        event(hold["id"], metadata={}),
        b'{"id": "e", "type": "ping"}',
    ):
        assert (await send(till, body, signed(body))).must(202) == {"received": True}
    assert (await queued(redis, sale), await queued(redis, STRAY)) == (0, 0)


@pytest.mark.parametrize("reservation", ["", "nonsense", "{x}", f"no-such-sale.0.{'A' * 16}", "é" * 300])
async def test_a_reservation_nobody_knows_is_kept_for_a_worker(
    till: Shop, redis: "Redis", reservation: str
) -> None:
    body = event(reservation)
    (await send(till, body, signed(body))).must(202)
    assert await queued(redis, STRAY) == 1


async def test_a_provider_that_is_not_set_up(till: Shop, shop: Shop) -> None:
    body = event("x")
    for name in ("stripe", "none", "paymall", "%7B", "_"):
        path = f"/v1/payments/{name}/events"
        (await send(till, body, signed(body), path)).refused(404, "unknown_provider")
    (await send(shop, body, signed(body))).refused(404, "unknown_provider")


async def test_a_message_that_is_too_large(till: Shop) -> None:
    body = b" " * (64 * 1024 + 1)
    (await send(till, body, signed(body))).refused(413, "too_large")
    (await send(till, body, signed(body), "/v1/payments/paymall/events")).refused(413, "too_large")
    packed = await send(till, b"not gzip", "t=1,v1=00", **{"Content-Encoding": "gzip"})
    packed.refused(400, "malformed")


async def test_a_queue_that_is_far_too_long(valkey: str, redis: "Redis") -> None:
    """Far longer than that of payments may be: what a provider tells is money that has moved already."""
    env = {**PROVIDER, "FLASHSALE_PAYMENT_QUEUE_LIMIT": "1"}
    sale = new_sale_id()
    async with app_on(valkey, env) as url, Shop(url) as shop:
        (await shop.define(sale)).must(201)
        body = event((await shop.reserve(sale, "c-1")).must(201)["id"])
        for _ in range(10):
            (await send(shop, body, signed(body))).must(202)
    async with app_on(valkey, env) as url, Shop(url) as shop:
        problem = (await send(shop, body, signed(body))).refused(503, "busy")
        assert "send it again" in problem["detail"]
    assert await queued(redis, sale) == 10
