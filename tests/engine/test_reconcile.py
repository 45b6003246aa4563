"""The comparison of books where some payments cannot be compared: they are named once each, and all others are compared."""

import time
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from flashsale.engine.catalog import Catalog
from flashsale.engine.reconcile import UNKNOWN_SALE_ACTION, Reconciler
from flashsale.engine.settlement import Settlement
from flashsale.engine.till import Till
from flashsale.keys import STRAY
from flashsale.model.payment import Fate
from flashsale.model.reservation import Reservation, State
from flashsale.providers.protocol import PaymentState, ProviderPayment
from flashsale.settings import load_settings
from flashsale.store.payments import PaymentStore
from tests.support.ledger_provider import Ledger, payment_for
from tests.support.server import PATIENCE_S
from tests.support.shop import Shop


@pytest.fixture
async def till(shop: Shop) -> AsyncIterator[Till]:
    shop.clock.now_ms = time.time_ns() // 1_000_000  # engine and store go by the store's own time
    await shop.open({"car": 10}, opens_ms=shop.now_ms, hold_seconds=3600)
    payments, ledger = PaymentStore(shop.store, timeout_s=PATIENCE_S), Ledger()
    catalog = Catalog(shop.sale_store)
    yield Till.of(
        load_settings({"FLASHSALE_PAYMENT_PROVIDER": "simulator"}),
        payments,
        shop.sale_store,
        catalog,
        {ledger.name: ledger},
    )
    await payments.close()


async def charged(shop: Shop, till: Till, customer: str, number: int) -> tuple[Reservation, ProviderPayment]:
    """A hold that is paid for, and nobody has told us."""
    held = await shop.hold(customer)
    await shop.pay(held)
    payment = payment_for(shop, held, f"pay-{number}", account=till.name)
    ledger = till.providers["simulator"]
    assert isinstance(ledger, Ledger)
    ledger.payments_by_id[payment.id] = payment
    return held, payment


async def compare(till: Till, since_ms: int = 0) -> tuple[int, int, list[tuple[str, str]]]:
    """Charges, those applied, and what is open with what is to be done about it."""
    report = await Reconciler(till, Settlement(till)).run(since_ms=since_ms)
    assert report.open_count == len(report.open)
    return report.charges, report.applied, [(each.reference, each.action) for each in report.open]


async def test_a_charge_that_no_record_can_hold_is_named_and_counted_once(shop: Shop, till: Till) -> None:
    first, _ = await charged(shop, till, "ann", 1)
    _, strange = await charged(shop, till, "bob", 2)
    ledger = till.providers["simulator"]
    assert isinstance(ledger, Ledger)
    ledger.payments_by_id[strange.id] = replace(strange, currency="GOLD")
    assert await compare(till) == (2, 1, [("simulator:pay-2", "look at it by hand")])
    (found,) = (await shop.look(tokens=[first.token])).reservations
    assert found is not None
    assert found.state is State.CONFIRMED


@pytest.mark.breaks_the_books("a payment record is damaged")
@pytest.mark.parametrize("damage", [b"?", b"\1\1\1" + b"\0" * 7 + b"EUR" + b"\0\0\1" + b"x" * 9])
@pytest.mark.parametrize("state", [PaymentState.PAID, PaymentState.AUTHORISED, PaymentState.CANCELLED])
@pytest.mark.parametrize("since_ms", [0, 1])
async def test_a_record_that_cannot_be_read_keeps_no_other_from_being_compared(
    shop: Shop, till: Till, damage: bytes, state: PaymentState, since_ms: int
) -> None:
    damaged, payment = await charged(shop, till, "ann", 1)
    other, _ = await charged(shop, till, "bob", 2)
    ledger = till.providers["simulator"]
    assert isinstance(ledger, Ledger)
    ledger.payments_by_id[payment.id] = replace(payment, state=state, created_ms=1)
    ledger.payments_by_id["pay-2"] = replace(ledger.payments_by_id["pay-2"], created_ms=1)
    await shop.store.redis.hset(shop.keys.attempts, damaged.token, damage)
    charges, applied, still_open = await compare(till, since_ms)
    assert (charges, applied) == (1 + (state is PaymentState.PAID), 1)
    assert ("simulator:pay-1", "look at it by hand") in still_open
    await shop.store.redis.hdel(shop.keys.attempts, damaged.token)  # so that the other can be read
    (found,) = (await shop.look(tokens=[other.token])).reservations
    assert found is not None
    assert found.state is State.CONFIRMED


async def test_charges_of_sales_that_nobody_knows_are_given_back_only_when_asked_for(
    shop: Shop, till: Till
) -> None:
    """As when a worker with the live keys looks at an emptied store."""
    _, payment = await charged(shop, till, "ann", 1)
    ledger = till.providers["simulator"]
    assert isinstance(ledger, Ledger)
    lost = replace(payment, id="pay-2", reservation=f"lost.0.{'A' * 16}")
    ledger.payments_by_id[lost.id] = lost
    assert await compare(till) == (2, 1, [("simulator:pay-2", UNKNOWN_SALE_ACTION)])
    assert await till.payments.all_records(STRAY) == {}
    report = await Reconciler(till, Settlement(till)).run(STRAY)
    assert (report.charges, report.applied, report.open) == (1, 1, [])
    ((_, record),) = (await till.payments.all_records(STRAY)).items()
    assert [charge.fate for charge in record.charges] == [Fate.REFUNDING]
    assert (await compare(till))[2] == []
