"""The largest calls that settings and definitions allow: Lua's stack holds 8,000 values, and every call must fit."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from redis.exceptions import ResponseError

from flashsale.model.jobs import Job
from flashsale.model.outcomes import Confirm, Settle
from flashsale.model.payment import Money, PaymentStatus
from flashsale.model.reservation import Reservation
from flashsale.scripts.reserve import Claim, Held, Refused, Replayed
from flashsale.settings import Settings
from flashsale.store.client import Store
from flashsale.store.sales import SaleStore
from tests.support.sales import claim
from tests.support.shop import Shop

MOST_CLAIMS = 1000  # FLASHSALE_BATCH_LIMIT allows no more


@pytest.fixture
async def sale_store(store: Store) -> AsyncIterator[SaleStore]:
    """One that waits: it is the size that matters here, and not how busy the machine is."""
    sale_store = SaleStore(store, timeout_s=60)
    yield sale_store
    await sale_store.close()


def of_ten_lines(number: int, key: str | None) -> Claim:
    return claim(f"customer {number}", *[(f"item-{n}", 1) for n in range(10)], key=key)


async def test_the_settings_allow_no_larger_batch() -> None:
    limits = Settings.model_fields["batch_limit"].metadata
    assert [getattr(limit, "le", None) for limit in limits if hasattr(limit, "le")] == [MOST_CLAIMS]


@pytest.mark.parametrize("key", [None, "key"])
async def test_a_thousand_claims_of_one_unit(shop: Shop, key: str | None) -> None:
    await shop.open({"car": MOST_CLAIMS - 1}, limit=1, hold_seconds=10)
    claims = [claim(f"customer {n}", key=key) for n in range(MOST_CLAIMS)]
    decisions = await shop.reserve(*claims)
    assert [type(decision) for decision in decisions] == [Held] * (MOST_CLAIMS - 1) + [Refused]
    again = await shop.reserve(*claims)
    assert {type(decision) for decision in again[:-1]} == {Refused if key is None else Replayed}
    assert type(again[-1]) is Refused
    shop.clock.advance(10)
    assert (await shop.expire(limit=1000)).expired == MOST_CLAIMS - 1


@pytest.mark.parametrize("key", [None, "key"])
async def test_a_thousand_claims_of_ten_lines(shop: Shop, key: str | None) -> None:
    await shop.open({f"item-{n}": MOST_CLAIMS for n in range(10)}, limit=10, hold_seconds=10)
    decisions = await shop.reserve(*[of_ten_lines(n, key) for n in range(MOST_CLAIMS)])
    assert {type(decision) for decision in decisions} == {Held}
    shop.clock.advance(10)
    # All of them are overdue; each of these claims has to take some back.
    decisions = await shop.reserve(*[of_ten_lines(n, None) for n in range(MOST_CLAIMS)])
    assert {type(decision) for decision in decisions} == {Held}
    assert (await shop.state()).holds == MOST_CLAIMS


async def test_a_thousand_claims_of_a_thousand_items(shop: Shop) -> None:
    await shop.open({f"item-{n}": 1 for n in range(1000)}, item_limits={"item-999": 1})
    decisions = await shop.reserve(*[claim(f"c{n}", (f"item-{n}", 1)) for n in range(1000)])
    assert {type(decision) for decision in decisions} == {Held}
    decisions = await shop.reserve(*[claim(f"d{n}", (f"item-{n}", 1)) for n in range(1000)])
    assert {decision.sku for decision in decisions if isinstance(decision, Refused)} == {
        f"item-{n}" for n in range(1000)
    }


async def test_a_thousand_claims_of_one_customer(shop: Shop) -> None:
    await shop.open({"car": 5000}, item_limits={"car": MOST_CLAIMS})
    decisions = await shop.reserve(*[claim("ann", key=f"{n}") for n in range(MOST_CLAIMS)])
    assert {type(decision) for decision in decisions} == {Held}
    entries = await shop.entries("ann")
    assert len(entries) == MOST_CLAIMS
    look = await shop.look(tokens=[entry.token for entry in entries])
    assert all(look.reservations)
    assert type((await shop.reserve(claim("ann")))[0]) is Refused


async def thousand_paying(shop: Shop, *, lines: int) -> list[Reservation]:
    """A thousand holds, each with a payment that the provider knows."""
    skus = [f"item-{n}" for n in range(lines)]
    await shop.open(dict.fromkeys(skus, MOST_CLAIMS), hold_seconds=10)
    claims = [claim(f"c{n}", *[(sku, 1) for sku in skus]) for n in range(MOST_CLAIMS)]
    holds = [held.reservation for held in await shop.reserve(*claims) if isinstance(held, Held)]
    assert len(holds) == MOST_CLAIMS
    for number, held in enumerate(holds):
        await shop.pay(held, rate=0, queue_limit=10_000)
        await shop.attempt(held.token, PaymentStatus.PROCESSING, f"sim:{number}")
    return holds


@pytest.mark.parametrize("lines", [1, 10])
@pytest.mark.parametrize("late", [False, True])
async def test_a_thousand_charges(shop: Shop, lines: int, late: bool) -> None:
    holds = await thousand_paying(shop, lines=lines)
    if late:
        shop.clock.advance(10)
    jobs = await shop.take_jobs()
    charges = [
        replace(shop.charge(held, f"sim:{number}"), entry_id=job.entry_id)
        for number, (held, job) in enumerate(zip(holds, jobs, strict=True))
    ]
    expected = Confirm.CONFIRMED_LATE if late else Confirm.CONFIRMED
    assert await shop.confirmed(*charges) == [expected] * MOST_CLAIMS
    assert await shop.jobs() == []
    assert await shop.confirmed(*charges) == [Confirm.REPLAYED] * MOST_CLAIMS
    assert (await shop.stock("item-0")).sold == MOST_CLAIMS


async def test_a_thousand_charges_that_are_given_back(shop: Shop) -> None:
    holds = await thousand_paying(shop, lines=1)
    charges = [
        replace(shop.charge(held, f"sim:{number}"), money=Money(1, "EUR"))
        for number, held in enumerate(holds)
    ]
    await shop.done(*await shop.jobs())
    assert await shop.confirmed(*charges) == [Confirm.WRONG_AMOUNT] * MOST_CLAIMS
    jobs = await shop.jobs()
    assert len(jobs) == MOST_CLAIMS
    for job in jobs:
        _, reference = job.refunded()
        assert await shop.settle(job.token, reference, entry_id=job.entry_id) is Settle.DONE
    report = await shop.audit()
    assert [(each.currency, each.refunds.count) for each in report.other_money] == [("EUR", MOST_CLAIMS)]


async def test_many_charges_of_one_reservation(shop: Shop) -> None:
    await shop.open({"car": 1})
    held = await shop.hold("ann")
    await shop.pay(held)
    charges = [shop.charge(held, f"sim:{number}") for number in range(MOST_CLAIMS)]
    assert await shop.confirmed(*charges) == [Confirm.CONFIRMED] + [Confirm.PAID_TWICE] * (MOST_CLAIMS - 1)
    payment = await shop.payment(held.token)
    assert payment is not None
    assert len(payment.charges) == MOST_CLAIMS
    assert await shop.settle(held.token, f"sim:{MOST_CLAIMS - 1}") is Settle.DONE
    await shop.refund(held.token)


async def test_a_charge_for_which_a_record_has_no_room_is_an_error_and_changes_nothing(shop: Shop) -> None:
    await shop.open({"car": 1})
    held = await shop.hold("ann")
    await shop.pay(held)
    room = 65_535 // (12 + 255)
    charges = [shop.charge(held, f"sim:{number:0251}") for number in range(room + 1)]
    assert (await shop.confirmed(*charges[:room]))[-1] is Confirm.PAID_TWICE
    before = await shop.snapshot()
    with pytest.raises(ResponseError, match="no room"):
        await shop.confirm(charges[room])
    assert await shop.snapshot() == before


async def test_a_thousand_turns_retries_and_dead_jobs(shop: Shop) -> None:
    await shop.open({"car": MOST_CLAIMS})
    for held in await shop.reserve(*[claim(f"c{n}") for n in range(MOST_CLAIMS)]):
        assert isinstance(held, Held)
        await shop.pay(held.reservation, queue_limit=10_000)
    assert (await shop.dispatch(MOST_CLAIMS)).started == MOST_CLAIMS
    jobs = await shop.take_jobs()
    for job in jobs:
        await shop.defer(job, 1)
    shop.clock.advance(1)
    assert (await shop.dispatch(retries=MOST_CLAIMS)).retried == MOST_CLAIMS
    again: list[Job] = await shop.take_jobs()
    for job in again:
        await shop.defer(job, None)
    assert await shop.revive(*[job.entry_id for job in again]) == MOST_CLAIMS
