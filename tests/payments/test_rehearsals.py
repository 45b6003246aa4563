"""A shop with Stripe that rehearses: its rehearsals are paid at the simulator, and simulated money buys nothing else.

Server, worker, simulator, store and a Stripe server (localstripe) are processes of their own.
"""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.payments.conftest import had_no_fault
from tests.support.house import House, Till, click
from tests.support.stripe import LocalStripe
from tests.support_http.client import ROOT_KEY

PRICE = 33_000_000


@pytest.fixture(scope="module")
def stripe_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("house")
    with LocalStripe(folder) as stripe:
        env = {name: value for name, value in stripe.settings().to_env().items() if "STRIPE" in name}
        with House(folder, env={**env, "FLASHSALE_PAYMENT_PROVIDER": "stripe"}) as house:
            yield house
            had_no_fault(house)


@pytest.fixture
async def till(stripe_house: House) -> AsyncIterator[Till]:
    async with Till(stripe_house) as till:
        yield till


async def test_a_rehearsal_is_paid_at_the_simulator(till: Till) -> None:
    await till.open(stock=2, rehearsal=True)
    held = ""
    for customer, method in (("ann", "card"), ("bob", "alipay")):
        held = await till.hold(customer)
        await click(await till.ask(held, customer, method))
        found = await till.until(held, "confirmed", "paid")
        assert found["payment"]["provider"] == "simulator"
    await till.settled()
    await till.verdict(orders=2)
    await till.refund(held)
    await till.settled()
    await till.verdict(orders=1, refunds=1)


async def test_simulated_money_buys_nothing_in_a_shop_with_stripe(till: Till) -> None:
    await till.open()
    held = await till.hold("ann")
    (await till.start(held, "ann", "card")).must(202)
    await till.until(held, "held", "requires_action")
    await click(await till.opened_elsewhere(held, "alipay"))  # charged at once
    await click(await till.opened_elsewhere(held, "card", attempt=2))  # a consent
    await till.settled()
    assert (await till.read(held))["status"] == "held"
    assert await till.charged() == [(PRICE, PRICE)]
    released = [each["status"] for each in await till.ledger() if each["method"] == "card"]
    assert released == ["cancelled"]
    await till.verdict(refunds=1)
    events = (await till.shop.ask("GET", f"/v1/sales/{till.sale}/events?limit=1000", bearer=ROOT_KEY)).must(
        200
    )["events"]
    reasons = [each["data"]["reason"] for each in events if each["type"].endswith("charge.refused.v1")]
    assert reasons == ["wrong_provider"]
