"""The audit of stores that somebody has damaged, and of a sale that goes on meanwhile."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from flashsale.engine.audit import MOST_FINDINGS, Audit
from flashsale.keys import SaleKeys
from flashsale.model.reservation import Reservation
from tests.engine.conftest import Put
from tests.engine.worker import Worker
from tests.support.sales import OPENS_MS, SALE, claim
from tests.support.shop import Shop

K = SaleKeys.of(SALE)
STRANGER = "s" * 16


class Scene:
    """A sale with something of everything, and the client that damages it."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.redis: Any = shop.store.redis
        self.ann: Reservation
        self.bob: Reservation
        self.cem: Reservation

    async def arrange(self) -> None:
        """ann holds two cars, bob's bus was cancelled, cem's car has expired. Ten facts."""
        await self.shop.open({"car": 5, "bus": 1}, limit=3, item_limits={"car": 2}, hold_seconds=10)
        self.cem = await self.shop.hold("cem")
        self.shop.clock.advance(10)
        await self.shop.expire()
        self.ann = await self.shop.hold("ann", ("car", 2))
        self.bob = await self.shop.hold("bob", ("bus", 1))
        await self.shop.cancel(self.bob.token)
        await self.shop.extend(self.ann.token, 60)
        await self.shop.restock("bus", 2)
        assert (await self.shop.state()).seq == 10

    async def change_record(self, token: str, at: int, value: bytes) -> None:
        record = await self.redis.hget(K.reservations, token)
        await self.redis.hset(K.reservations, token, record[:at] + value + record[at + len(value) :])

    async def rewrite_journal(self, change: Callable[[list[Any]], None]) -> None:
        facts = await self.redis.xrange(K.journal)
        change(facts)
        await self.redis.delete(K.journal)
        for entry_id, fields in facts:
            await self.redis.xadd(K.journal, fields, id=entry_id)


@pytest.fixture
async def scene(shop: Shop) -> Scene:
    scene = Scene(shop)
    await scene.arrange()
    return scene


Damage = Callable[[Scene], Awaitable[Any]]


def altered(at: int, fields: dict[bytes, bytes]) -> Callable[[list[Any]], None]:
    def change(facts: list[Any]) -> None:
        facts[at] = (facts[at][0], fields)

    return change


DAMAGES: dict[str, tuple[Damage, int | None, str]] = {
    # what is done, the fact that is named, a part of what is said
    "stock one more": (lambda s: s.redis.hincrby(K.stock, "stock:car", 1), None, "car: "),
    "available one more": (lambda s: s.redis.hincrby(K.stock, "available:car", 1), None, "car: "),
    "available one less": (lambda s: s.redis.hincrby(K.stock, "available:car", -1), None, "car: "),
    "held one less": (lambda s: s.redis.hincrby(K.stock, "held:car", -1), None, "car: "),
    "sold one more": (lambda s: s.redis.hincrby(K.stock, "sold:car", 1), None, "car: "),
    "a unit moved": (
        lambda s: s.redis.hset(K.stock, mapping={"available:car": 2, "held:car": 3}),
        None,
        "car: stock, available, held, sold are (5, 2, 3, 0), the facts say (5, 3, 2, 0)",
    ),
    "less than nothing": (
        lambda s: s.redis.hset(K.stock, mapping={"available:car": -1, "held:car": 6}),
        None,
        "car: available + held + sold is not the stock",
    ),
    "a counter removed": (lambda s: s.redis.hdel(K.stock, "available:car"), None, "car: "),
    "all counters removed": (lambda s: s.redis.delete(K.stock), None, "car: "),
    "an item added": (
        lambda s: s.redis.hset(
            K.stock, mapping=dict.fromkeys(["stock:van", "available:van", "held:van", "sold:van"], 0)
        ),
        None,
        "van: ",
    ),
    "the limit of an item": (lambda s: s.redis.hset(K.stock, "limit:car", 3), None, "limit of car"),
    "the limit of the sale": (lambda s: s.redis.hset(K.sale, "limit", 4), None, "limit per customer is 4"),
    "the hold length": (
        lambda s: s.redis.hset(K.sale, "hold_ms", 11_000),
        None,
        "hold length in ms is 11000",
    ),
    "the place": (lambda s: s.redis.hincrby(K.sale, "place", 1), None, "place is 4, the facts say 3"),
    "the state": (lambda s: s.redis.hset(K.sale, "state", "paused"), None, "state is paused"),
    "the opening": (lambda s: s.redis.hdel(K.sale, "opened"), None, "opening is False"),
    "the seq too high": (lambda s: s.redis.hincrby(K.sale, "seq", 1), 11, "the journal ends"),
    "the seq too low": (lambda s: s.redis.hincrby(K.sale, "seq", -1), None, "number of facts is 10"),
    "a hold removed": (lambda s: s.redis.zrem(K.holds, s.ann.token), None, "ann's token"),
    "a hold moved": (lambda s: s.redis.zincrby(K.holds, 1, s.ann.token), None, "ann's token"),
    "a hold that has ended": (lambda s: s.redis.zadd(K.holds, {s.bob.token: OPENS_MS}), None, "bob's token"),
    "a hold of nothing": (
        lambda s: s.redis.zadd(K.holds, {STRANGER: OPENS_MS}),
        None,
        "number of holds is 2",
    ),
    "a record removed": (lambda s: s.redis.hdel(K.reservations, s.ann.token), None, "ann's token"),
    "a record added": (
        lambda s: s.redis.hset(K.reservations, STRANGER, b"\1" + b"\0" * 19 + b"\x93\xa1c\xa3car\1"),
        None,
        "number of reservations is 4",
    ),
    "a state changed": (lambda s: s.change_record(s.ann.token, 0, b"\2"), None, "ann's token"),
    "a flag changed": (lambda s: s.change_record(s.ann.token, 1, b"\0"), None, "ann's token"),
    "an instant changed": (lambda s: s.change_record(s.ann.token, 7, b"\0"), None, "ann's token"),
    "an end changed": (lambda s: s.change_record(s.ann.token, 13, b"\0"), None, "ann's token"),
    "a place changed": (lambda s: s.change_record(s.ann.token, 19, b"\7"), None, "ann's token"),
    "a customer changed": (lambda s: s.change_record(s.ann.token, 22, b"e"), None, "ann's token"),
    "a record that cannot be read": (
        lambda s: s.redis.hset(K.reservations, s.ann.token, b"?"),
        None,
        "ann's token",
    ),
    "entries removed": (lambda s: s.redis.hdel(K.customers, "ann"), None, "customer 'ann'"),
    "entries of nobody": (
        lambda s: s.redis.hset(K.customers, "eve", STRANGER.encode() + b"\0\0\0\0"),
        None,
        "number of customers is 4",
    ),
    "entries that count less": (
        lambda s: s.redis.hset(K.customers, "ann", s.ann.token.encode() + b"\0\0\0\1"),
        None,
        "customer 'ann'",
    ),
    "entries that count again": (
        lambda s: s.redis.hset(K.customers, "bob", s.bob.token.encode() + b"\0\0\0\1"),
        None,
        "customer 'bob'",
    ),
    "entries of another": (
        lambda s: s.redis.hset(
            K.customers, "bob", s.bob.token.encode() + bytes(4) + s.cem.token.encode() + bytes(4)
        ),
        None,
        "customer 'bob'",
    ),
    "entries that cannot be read": (lambda s: s.redis.hset(K.customers, "ann", b"?"), None, "customer 'ann'"),
    "the first fact deleted": (
        lambda s: s.rewrite_journal(lambda facts: facts.pop(0)),
        2,
        "1 facts are missing",
    ),
    "a fact deleted": (lambda s: s.rewrite_journal(lambda facts: facts.pop(4)), 6, "1 facts are missing"),
    "the last fact deleted": (lambda s: s.rewrite_journal(lambda facts: facts.pop()), 10, "the journal ends"),
    "the journal deleted": (lambda s: s.redis.delete(K.journal), 1, "the journal ends"),
    "a fact doubled": (
        lambda s: s.rewrite_journal(lambda facts: facts.insert(5, (b"5-9999999999999", facts[4][1]))),
        5,
        "twice or out of order",
    ),
    "the last fact doubled": (
        lambda s: s.redis.xadd(K.journal, {"reservation.expired": s.ann.token}, id="10-9999999999999"),
        None,
        "number of facts is 11",
    ),
    "a fact that nobody counted": (
        lambda s: s.redis.xadd(K.journal, {"reservation.expired": s.ann.token}, id=f"11-{OPENS_MS}"),
        None,
        "number of facts is 11",
    ),
    "a fact of another type": (
        lambda s: s.rewrite_journal(altered(4, {b"reservation.sold": b""})),
        5,
        "reservation.sold is not a type of fact",
    ),
    "a fact that cannot be read": (
        lambda s: s.rewrite_journal(altered(9, {b"item.restocked": b"?"})),
        10,
        "item.restocked cannot be read",
    ),
    "a fact of two types": (
        lambda s: s.rewrite_journal(altered(9, {b"item.restocked": b"?", b"sale.closed": b""})),
        10,
        "",
    ),
    "a restock of more": (
        lambda s: s.rewrite_journal(altered(9, {b"item.restocked": b"\x93\xa3bus\3\xa0"})),
        None,
        "bus: ",
    ),
}


@pytest.mark.breaks_the_books("that is what the test is about")
@pytest.mark.parametrize("case", DAMAGES)
async def test_damage_is_named(scene: Scene, case: str) -> None:
    damage, seq, said = DAMAGES[case]
    assert (await scene.shop.audit()).ok
    await damage(scene)
    report = await scene.shop.audit()
    assert not report.ok
    said = said.replace("ann's token", scene.ann.token).replace("bob's token", scene.bob.token)
    found = [finding for finding in report.findings if said in finding.detail]
    assert found, report.findings
    assert seq in [finding.seq for finding in found]
    if seq is not None:
        assert report.findings[0].seq == seq


async def test_a_clean_report_tells_what_there_is(scene: Scene) -> None:
    report = await scene.shop.audit()
    assert report.ok
    assert (report.sale, report.facts, report.customers, report.last_place) == (SALE, 10, 3, 3)
    assert report.reservations == {"held": 1, "expired": 1, "cancelled": 1}
    assert [(item.sku, item.available, item.held) for item in report.items] == [("car", 3, 2), ("bus", 3, 0)]


async def test_an_unknown_sale_has_no_report(shop: Shop) -> None:
    assert await Audit(shop.sale_store, "no-such").run() is None


@pytest.mark.breaks_the_books("every record is removed")
async def test_there_are_never_more_findings_than_anybody_reads(shop: Shop) -> None:
    await shop.open({"car": 200})
    await shop.reserve(*[claim(f"c{n}") for n in range(200)])
    await shop.store.redis.delete(K.reservations)
    assert len((await shop.audit()).findings) == MOST_FINDINGS


async def test_a_sale_that_goes_on_is_audited_clean(worker: Worker, other_worker: Worker, put: Put) -> None:
    """Reservations, cancellations and expiries go on between the audit's looks; not one of its findings is false."""
    await put({"car": 100_000, "bus": 500}, limit=3, hold_seconds=1)
    stop = asyncio.Event()

    async def shop_until_stopped(number: int) -> None:
        seller, round_ = (worker, other_worker)[number % 2], 0
        while not stop.is_set():
            round_ += 1
            decision = await seller.ask(f"customer {number}.{round_}", ("car", 1), ("bus", 1))
            if number % 3 == 0 and hasattr(decision, "reservation"):
                await seller.store.cancel(SALE, decision.reservation.token, reason="")

    async def sweep_until_stopped() -> None:
        while not stop.is_set():
            await worker.store.expire(SALE, limit=50)
            await asyncio.sleep(0.01)

    crowd = [asyncio.create_task(shop_until_stopped(number)) for number in range(20)]
    crowd.append(asyncio.create_task(sweep_until_stopped()))
    facts = [0]
    while facts[-1] < 5000 or len(facts) <= 3:
        report = await Audit(worker.store, SALE).run()
        assert report is not None
        assert report.findings == []
        facts.append(report.facts)
    stop.set()
    await asyncio.gather(*crowd)
    assert facts == sorted(facts)
