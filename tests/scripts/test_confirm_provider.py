"""`confirm` and whose money it is: simulated money pays for rehearsals, and elsewhere only where there is no other."""

import pytest

from flashsale.model.outcomes import Confirm
from flashsale.model.payment import Fate
from flashsale.model.reservation import Reservation, State
from flashsale.scripts.payments import ChargeClaim, ChargeDecision
from tests.support.shop import Shop


async def refused(shop: Shop, charge: ChargeClaim) -> None:
    """It is given back, by one fact and one job."""
    assert await shop.confirm(charge) == [ChargeDecision(Confirm.WRONG_PROVIDER, Fate.REFUNDING)]
    fact, job = (await shop.facts())[-1], (await shop.jobs())[-1]
    said = fact.charge_refused()
    assert (fact.token, said.reason, said.reference) == (
        charge.token,
        Confirm.WRONG_PROVIDER,
        charge.reference,
    )
    assert (job.kind, job.refunded()) == ("refund", (charge.money, charge.reference))


async def state(shop: Shop, held: Reservation) -> State:
    (found,) = (await shop.look(tokens=[held.token])).reservations
    assert found is not None
    return found.state


async def test_simulated_money_pays_only_where_the_shop_takes_all_its_money_from_there(shop: Shop) -> None:
    await shop.open({"car": 2}, hold_seconds=10)
    held = await shop.hold("ann")
    await shop.pay(held, rate=0)
    strange = shop.charge(held, "simulator:1")
    await refused(shop, strange)
    assert await state(shop, held) is State.HELD
    assert await shop.confirm(strange, simulated=True) == [ChargeDecision(Confirm.REPLAYED, Fate.REFUNDING)]
    other = await shop.confirm(shop.charge(held, "simulator:2"), simulated=True)
    assert other == [ChargeDecision(Confirm.CONFIRMED, Fate.ORDER)]
    await refused(shop, shop.charge(held, "simulator:3"))  # not PAID_TWICE
    assert (await shop.audit()).findings == []


@pytest.mark.parametrize("simulated", [True, False])
async def test_a_rehearsal_is_paid_by_the_simulator_and_nobody_else(shop: Shop, simulated: bool) -> None:
    await shop.open({"car": 2}, hold_seconds=10, rehearsal=True)
    held, late = await shop.hold("ann"), await shop.hold("bob")
    for each in (held, late):
        await shop.pay(each, rate=0)
        for reference in ("stripe:1", "simulator", "simulators:1", "Simulator:1"):
            charge = shop.charge(each, f"{reference}-{each.token}")
            assert await shop.confirm(charge, simulated=simulated) == [
                ChargeDecision(Confirm.WRONG_PROVIDER, Fate.REFUNDING)
            ]
    paid = await shop.confirm(shop.charge(held, "simulator:1"), simulated=simulated)
    assert paid == [ChargeDecision(Confirm.CONFIRMED, Fate.ORDER)]
    shop.clock.advance(11)
    await refused(shop, shop.charge(late, "stripe:2"))  # not CONFIRMED_LATE
    assert await shop.confirmed(shop.charge(late, "simulator:2")) == [Confirm.CONFIRMED_LATE]
    assert (await shop.audit()).findings == []
