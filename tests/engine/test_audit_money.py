"""The audit of money in stores that somebody has damaged, and in a sale that is paid meanwhile."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from flashsale.engine.audit import Audit
from flashsale.keys import STRAY, SaleKeys
from flashsale.model.ledger import MoneySums, Sum
from flashsale.model.payment import Charge, Fate, Money, PaymentRecord, PaymentStatus, pack_record
from flashsale.model.reservation import Reservation
from flashsale.scripts import payments
from flashsale.scripts.payments import ChargeClaim
from tests.support.books import faults_of
from tests.support.sales import SALE, claim
from tests.support.shop import Shop

K = SaleKeys.of(SALE)
STRANGER = "s" * 16


class Scene:
    """A sale with money in every fate, and the client that damages it."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.redis: Any = shop.store.redis
        self.ann: Reservation
        self.bob: Reservation

    async def arrange(self) -> None:
        """ann has paid two cars, and once too much; bob's bus is refunded; a stranger's euro is on its way back."""
        await self.shop.open({"car": 5, "bus": 1}, limit=3, hold_seconds=10)
        self.ann = await self.shop.paid("ann", ("car", 2), reference="sim:1")
        await self.shop.confirm(self.shop.charge(self.ann, "sim:2"))
        self.bob = await self.shop.paid("bob", ("bus", 1), reference="sim:3")
        await self.shop.refund(self.bob.token, restock=False)
        await self.shop.settle(self.bob.token, "sim:3")
        await self.shop.confirm(ChargeClaim(STRANGER, 1, "card", Money(1, "EUR"), "sim:4"))

    async def payment(self, token: str) -> PaymentRecord:
        found = await self.shop.payment(token)
        assert found is not None
        return found

    async def store(self, token: str, record: PaymentRecord) -> None:
        await self.redis.hset(K.attempts, token, pack_record(record))

    async def change(self, token: str, **changes: Any) -> None:
        await self.store(token, replace(await self.payment(token), **changes))

    async def change_charge(self, token: str, nth: int, **changes: Any) -> None:
        charges = list((await self.payment(token)).charges)
        charges[nth] = replace(charges[nth], **changes)
        await self.change(token, charges=tuple(charges))


@pytest.fixture
async def scene(shop: Shop) -> Scene:
    scene = Scene(shop)
    await scene.arrange()
    return scene


Damage = Callable[[Scene], Awaitable[Any]]
DAMAGES: dict[str, tuple[Damage, str]] = {
    # what is done, a part of what is said
    "a payment removed": (lambda s: s.redis.hdel(K.attempts, s.ann.token), "ann's token has the charges ()"),
    "all payments removed": (lambda s: s.redis.delete(K.attempts), "has the charges ()"),
    "a payment that cannot be read": (
        lambda s: s.redis.hset(K.attempts, s.ann.token, b"?"),
        "cannot be read",
    ),
    "a charge removed": (lambda s: s.change(s.ann.token, charges=()), "ann's token has the charges ()"),
    "a charge added": (
        lambda s: s.change(s.ann.token, charges=(Charge("sim:9", Money(1, "CNY"), Fate.ORDER),)),
        "ann's token has the charges",
    ),
    "an amount changed": (lambda s: s.change_charge(s.ann.token, 0, money=Money(1, "CNY")), "ann's token"),
    "a currency changed": (lambda s: s.change_charge(s.ann.token, 0, money=Money(200, "EUR")), "ann's token"),
    "a reference changed": (lambda s: s.change_charge(s.ann.token, 0, reference="sim:9"), "ann's token"),
    "an order that was given back": (
        lambda s: s.change_charge(s.ann.token, 0, fate=Fate.REFUNDED),
        "ann's token",
    ),
    "money back that pays again": (lambda s: s.change_charge(s.bob.token, 0, fate=Fate.ORDER), "bob's token"),
    "money back that is under way again": (
        lambda s: s.change_charge(s.bob.token, 0, fate=Fate.REFUNDING),
        "bob's token",
    ),
    "an order that is not paid": (
        lambda s: s.change(s.ann.token, status=PaymentStatus.PROCESSING),
        "payment of reservation ann's token is PROCESSING",
    ),
    "a refunded one that is paid": (
        lambda s: s.change(s.bob.token, status=PaymentStatus.PAID),
        "payment of reservation bob's token is PAID",
    ),
    "a refund that is still under way": (
        lambda s: s.change(s.bob.token, status=PaymentStatus.REFUNDING),
        "payment of reservation bob's token is REFUNDING",
    ),
    "a stranger's money removed": (
        lambda s: s.redis.hdel(K.attempts, STRANGER),
        f"{STRANGER} has the charges ()",
    ),
    "a unit sold more": (lambda s: s.redis.hincrby(K.stock, "sold:car", 1), "car: "),
    "a unit sold less": (lambda s: s.redis.hincrby(K.stock, "sold:bus", -1), "bus: "),
    "an order whose limit is lost": (
        lambda s: s.redis.hset(K.customers, "ann", s.ann.token.encode() + bytes(4)),
        "customer 'ann'",
    ),
    "a refund that still counts": (
        lambda s: s.redis.hset(K.customers, "bob", s.bob.token.encode() + b"\0\0\0\1"),
        "customer 'bob'",
    ),
    "an order among the holds": (lambda s: s.redis.zadd(K.holds, {s.ann.token: 1}), "ends as a hold at 1"),
}


@pytest.mark.breaks_the_books("that is what the test is about")
@pytest.mark.parametrize("case", DAMAGES)
async def test_damage_is_named(scene: Scene, case: str) -> None:
    damage, said = DAMAGES[case]
    assert (await scene.shop.audit()).ok
    await damage(scene)
    report = await scene.shop.audit()
    assert not report.ok
    said = said.replace("ann's token", scene.ann.token).replace("bob's token", scene.bob.token)
    assert any(said in finding.detail for finding in report.findings), report.findings


async def test_a_clean_report_tells_the_money(scene: Scene) -> None:
    report = await scene.shop.audit()
    assert report.ok
    assert report.money == MoneySums("CNY", Sum(3, 500), Sum(1, 200), Sum(1, 200), Sum(1, 100))
    assert report.other_money == (MoneySums("EUR", Sum(1, 1), Sum(), Sum(1, 1), Sum()),)
    assert report.reservations == {"confirmed": 1, "refunded": 1}
    assert [(item.sku, item.available, item.sold) for item in report.items] == [("car", 3, 2), ("bus", 0, 1)]


async def test_a_sale_without_payments_has_no_money(shop: Shop) -> None:
    await shop.open({"car": 1})
    report = await shop.audit()
    assert (report.ok, report.money, report.other_money) == (True, MoneySums(None), ())


# --- charges of sales that nobody knows ---


async def stray(shop: Shop) -> None:
    names = SaleKeys.of(STRAY)
    charge = ChargeClaim(STRANGER, 1, "card", Money(7, "EUR"), "sim:1")
    (decision,) = await payments.confirm(shop.store.redis, names, [charge], now_ms=shop.now_ms)
    assert decision.fate is Fate.REFUNDING


async def test_charges_of_unknown_sales_add_up(shop: Shop, valkey: str) -> None:
    await stray(shop)
    assert await faults_of(valkey) == []


@pytest.mark.breaks_the_books("that is what the test is about")
@pytest.mark.parametrize("part", ["attempts", "journal"])
async def test_charges_of_unknown_sales_that_are_lost_are_named(shop: Shop, valkey: str, part: str) -> None:
    await stray(shop)
    names = SaleKeys.of(STRAY)
    if part == "attempts":
        await shop.store.redis.delete(names.attempts)
    else:
        await shop.store.redis.xadd(names.journal, {"charge.refunded": STRANGER + "\x05sim:9re"}, id="2-1")
    (fault,) = await faults_of(valkey)
    assert fault.startswith(f"{STRAY}: ")


# --- while the sale goes on ---


async def test_a_sale_that_is_paid_meanwhile_is_audited_clean(shop: Shop) -> None:
    """Holds, charges, refunds and settlements go on between the audit's looks; not one of its findings is false."""
    await shop.open({"car": 100_000}, hold_seconds=2)
    stop = asyncio.Event()

    async def sell_until_stopped(number: int) -> None:
        round_ = 0
        while not stop.is_set():
            round_ += 1
            decisions = await shop.reserve(*[claim(f"{number}.{round_}.{n}") for n in range(5)])
            holds = [each.reservation for each in decisions if hasattr(each, "reservation")]
            for held in holds:
                await shop.pay(held, rate=0, queue_limit=1_000_000)
            shop.clock.advance(0.1)
            charges = [shop.charge(held, f"sim:{held.place}.{try_}") for held in holds for try_ in (1, 2)]
            await shop.confirm(*charges[: 2 * len(holds) - number])
            await shop.refund(holds[0].token, restock=number % 2 == 0)
            await shop.settle(holds[0].token, f"sim:{holds[0].place}.1")
            await shop.expire(3)

    crowd = [asyncio.create_task(sell_until_stopped(number)) for number in range(4)]
    facts = [0]
    while facts[-1] < 2000 or len(facts) <= 3:
        report = await Audit(shop.sale_store, SALE).run()
        assert report is not None
        assert report.findings == []
        facts.append(report.facts)
    stop.set()
    await asyncio.gather(*crowd)
    assert facts == sorted(facts)
