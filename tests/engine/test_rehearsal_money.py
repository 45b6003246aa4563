"""Who may pay for what: the simulator for rehearsals, the shop's own provider for all other sales, whoever that is."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from flashsale import keys
from flashsale.engine.catalog import Catalog
from flashsale.engine.payments import NoProviderError, Payments
from flashsale.engine.reconcile import Reconciler
from flashsale.engine.reservations import Found
from flashsale.engine.settlement import NOT_POSSIBLE, HopelessJobError, Settlement
from flashsale.engine.till import Till
from flashsale.model.ids import ReservationId
from flashsale.model.outcomes import Pay
from flashsale.model.payment import Charge, Fate, PaymentStatus
from flashsale.model.reservation import Reservation, State
from flashsale.providers.protocol import PaymentState, ProviderError
from flashsale.settings import Settings
from flashsale.store.payments import PaymentStore
from flashsale.workers.payments import PaymentWorker
from tests.support.ledger_provider import Ledger, payment_for
from tests.support.sales import definition
from tests.support.server import PATIENCE_S
from tests.support.shop import Shop

OWN = ("stripe", "simulator", "none")


class OtherLedger(Ledger):
    """Stands for a provider whose money is money."""

    name = "stripe"


@asynccontextmanager
async def till_of(shop: Shop, own: str, *names: str, rehearsal: bool) -> AsyncIterator[Till]:
    """The till of a shop whose own provider is this one, and a sale that is a rehearsal, or is none."""
    shop.clock.now_ms = time.time_ns() // 1_000_000  # engine and store go by the store's own time
    await shop.open({"car": 10}, opens_ms=shop.now_ms, hold_seconds=3600, rehearsal=rehearsal)
    payments = PaymentStore(shop.store, timeout_s=PATIENCE_S)
    ledgers = {each.name: each for each in (Ledger(), OtherLedger()) if each.name in names}
    settings = Settings.model_validate({"payment_provider": own})
    yield Till.of(settings, payments, shop.sale_store, Catalog(shop.sale_store), ledgers)
    await payments.close()


def ledger(till: Till, name: str) -> Ledger:
    found = till.providers[name]
    assert isinstance(found, Ledger)
    return found


async def taken(shop: Shop, till: Till, name: str, state: PaymentState) -> Reservation:
    """A hold for which this provider has the money, or a consent, and has told nobody."""
    held = await shop.hold("ann")
    await shop.pay(held, rate=0)
    payment = payment_for(shop, held, "pay-1", account=till.name, state=state)
    ledger(till, name).payments_by_id[payment.id] = payment
    ledger(till, name).refunds["pay-1"] = []
    return held


def may_pay(own: str, name: str, *, rehearsal: bool) -> bool:
    return name == "simulator" if rehearsal else name != "simulator" or own == "simulator"


@pytest.mark.parametrize("own", OWN)
@pytest.mark.parametrize("name", ["stripe", "simulator"])
@pytest.mark.parametrize("rehearsal", [True, False])
@pytest.mark.parametrize("state", [PaymentState.PAID, PaymentState.AUTHORISED])
async def test_money_that_nobody_has_told_of_pays_only_where_it_may(
    shop: Shop, own: str, name: str, rehearsal: bool, state: PaymentState
) -> None:
    async with till_of(shop, own, "stripe", "simulator", rehearsal=rehearsal) as till:
        held = await taken(shop, till, name, state)
        settlement = Settlement(till)
        report = await Reconciler(till, settlement).run()
        assert (report.applied, report.open) == (1, [])
        (found,) = (await shop.look(tokens=[held.token])).reservations
        record = await shop.payment(held.token)
        assert found is not None
        assert record is not None
        there = ledger(till, name).payments_by_id["pay-1"]
        charge = (f"{name}:pay-1", shop.due(held))
        if may_pay(own, name, rehearsal=rehearsal):
            assert (found.state, there.state) == (State.CONFIRMED, PaymentState.PAID)
            assert record.charges == (Charge(*charge, Fate.ORDER),)
        elif state is PaymentState.AUTHORISED:
            assert (found.state, there.state) == (State.HELD, PaymentState.CANCELLED)  # nobody was charged
            assert record.charges == ()
        else:
            assert found.state is State.HELD
            assert record.charges == (Charge(*charge, Fate.REFUNDING),)
            for job in await shop.take_jobs():
                if job.kind == "refund":
                    await settlement.do(shop.sale, job)
            assert ledger(till, name).payments_by_id["pay-1"].refunded == charge[1].amount
        again = await Reconciler(till, settlement).run()
        assert (again.applied, again.open) == (0, [])
        assert (await shop.audit()).findings == []


@pytest.mark.parametrize("own", OWN)
async def test_a_simulator_that_was_there_for_a_rehearsal_may_go(shop: Shop, own: str) -> None:
    """What the other provider has taken is compared all the same; where its money is the shop's, that is told."""
    async with till_of(shop, own, "stripe", "simulator", rehearsal=False) as till:
        held = await taken(shop, till, "stripe", PaymentState.PAID)
        reconciler = Reconciler(till, Settlement(till))
        ledger(till, "simulator").faults += ["away"] * 20
        if own == "simulator":
            with pytest.raises(ProviderError):
                await reconciler.run()
            return
        report = await reconciler.run()
        assert (report.charges, report.applied, report.open) == (1, 1, [])
        record = await shop.payment(held.token)
        assert record is not None
        assert record.status is PaymentStatus.PAID
        with pytest.raises(ProviderError):
            await reconciler.run(shop.sale)  # whoever asks for one sale wants all of it


@pytest.mark.parametrize("own", OWN[:2])
@pytest.mark.parametrize("rehearsal", [True, False])
async def test_a_payment_begins_at_the_provider_that_its_sale_has(
    shop: Shop, own: str, rehearsal: bool
) -> None:
    async with till_of(shop, own, "stripe", "simulator", rehearsal=rehearsal) as till:
        held = await shop.hold("ann")
        await shop.pay(held, rate=0)
        (job,) = await shop.take_jobs()
        await Settlement(till).do(shop.sale, job)
        asked = "simulator" if rehearsal else own
        assert {name: len(ledger(till, name).payments_by_id) for name in till.providers} == {
            name: int(name == asked) for name in till.providers
        }
        record = await shop.payment(held.token)
        assert record is not None
        assert record.reference == f"{asked}:p0"


async def test_a_worker_without_a_simulator_asks_nobody_else_for_a_rehearsal(shop: Shop) -> None:
    async with till_of(shop, "stripe", "stripe", rehearsal=True) as till:
        held = await shop.hold("ann")
        await shop.pay(held, rate=0)
        (job,) = await shop.take_jobs()
        settlement = Settlement(till)
        with pytest.raises(HopelessJobError, match="'simulator' is not set up"):
            await settlement.do(shop.sale, job)
        await settlement.given_up(shop.sale, job)
        assert ledger(till, "stripe").payments_by_id == {}
        record = await shop.payment(held.token)
        assert record is not None
        assert (record.status, record.error) == (PaymentStatus.FAILED, NOT_POSSIBLE)


@pytest.mark.parametrize("rehearsal", [True, False])
async def test_turns_are_those_of_the_provider_that_is_asked(shop: Shop, rehearsal: bool) -> None:
    async with till_of(shop, "stripe", "stripe", "simulator", rehearsal=rehearsal) as till:
        for name in till.providers:
            ledger(till, name).rate = 1000
        await shop.pay(await shop.hold("ann"))
        await till.payments.join(shop.sale)
        worker = PaymentWorker(till, Settlement(till), tries=3, claim_ms=1000)
        await worker._find_sales()
        await worker._dispatch()
        paced = {str(name) for name in await shop.store.redis.hkeys(keys.PACE)}
        assert paced == {str(b"simulator" if rehearsal else b"stripe")}
        assert not await shop.waiting()


async def test_the_server_takes_the_wish_to_pay_for_a_rehearsal_only_with_a_simulator(shop: Shop) -> None:
    async with till_of(shop, "stripe", "stripe", rehearsal=True) as till:
        held = await shop.hold("ann")
        offer = await till.catalog.get(shop.sale)
        assert offer is not None
        about = (ReservationId(shop.sale, 0, held.token), Found(offer, held, shop.now_ms), "card")

        def serving() -> Payments:
            reconciler = Reconciler(till, Settlement(till))
            return Payments(
                till.payments,
                till.catalog,
                till.providers,
                reconciler,
                provider="stripe",
                shop=till.name,
                queue_limit=10,
            )

        with pytest.raises(NoProviderError, match="simulator"):
            await serving().start(*about)
        assert await shop.payment(held.token) is None
        simulator = Ledger()
        simulator.rate, ledger(till, "stripe").rate = 7, 100
        assert isinstance(till.providers, dict)
        till.providers["simulator"] = simulator
        serving_now = serving()
        assert (await serving_now.start(*about)).outcome is Pay.DONE
        assert serving_now.rate(offer) == 7
        ordinary = type(offer)("other", 1, definition({"car": 1}), {"car": 100})
        assert serving_now.rate(ordinary) == 100
