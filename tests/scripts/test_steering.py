"""`restock` and `set_state`: each outcome in order of precedence, and what it writes."""

import pytest

from flashsale.model.outcomes import Reserve, Restock, SetState
from tests.support.sales import OPENS_MS
from tests.support.shop import Shop


async def test_restocked_units_can_be_bought(shop: Shop) -> None:
    await shop.open({"car": 1, "bus": 1})
    await shop.hold("ann")
    assert await shop.restock("car", 2, reason="found two") is Restock.DONE
    stock = await shop.stock()
    assert (stock.stock, stock.available, stock.held) == (3, 2, 1)
    assert (await shop.facts())[-1].restocked() == ("car", 2, "found two")
    await shop.hold("bob", ("car", 2))
    assert (await shop.stock("bus")).stock == 1


async def test_a_billion_units_may_come(shop: Shop) -> None:
    await shop.open({"car": 1_000_000_000})
    assert await shop.restock("car", 1_000_000_000) is Restock.DONE
    assert (await shop.stock()).stock == 2_000_000_000


async def test_a_repeated_restock_adds_its_units_once(shop: Shop) -> None:
    await shop.open({"car": 1, "bus": 1})
    assert await shop.restock("car", 2, repeat_key="k") is Restock.DONE
    before = await shop.snapshot()
    assert await shop.restock("car", 2, repeat_key="k") is Restock.REPLAYED
    assert await shop.restock("car", 3, repeat_key="k") is Restock.REPEAT_MISMATCH
    assert await shop.restock("bus", 2, repeat_key="k") is Restock.REPEAT_MISMATCH
    assert await shop.snapshot() == before
    assert await shop.restock("car", 2, repeat_key="other") is Restock.DONE
    assert await shop.restock("car", 2) is Restock.DONE
    assert await shop.restock("car", 2) is Restock.DONE


async def test_restocking_nothing_known_changes_nothing(shop: Shop) -> None:
    assert await shop.restock("car", 1) is Restock.UNKNOWN_SALE
    assert await shop.store.redis.dbsize() == 0
    await shop.open({"car": 1})
    await shop.restock("car", 1, repeat_key="k")
    before = await shop.snapshot()
    assert await shop.restock("no", 1) is Restock.UNKNOWN_ITEM
    assert await shop.restock("no", 1, repeat_key="k") is Restock.UNKNOWN_ITEM
    assert await shop.snapshot() == before


@pytest.mark.parametrize("by_clock", [False, True])
async def test_a_closed_sale_gets_no_units_but_remembers(shop: Shop, by_clock: bool) -> None:
    await shop.open({"car": 1}, closes_ms=OPENS_MS + 1000)
    await shop.restock("car", 1, repeat_key="k")
    if by_clock:
        shop.clock.advance(1)
    else:
        await shop.set_state("close")
    before = await shop.snapshot()
    assert await shop.restock("car", 1, repeat_key="k") is Restock.REPLAYED
    assert await shop.restock("car", 2, repeat_key="k") is Restock.REPEAT_MISMATCH
    assert await shop.restock("car", 1, repeat_key="new") is Restock.CLOSED
    assert await shop.restock("car", 1) is Restock.CLOSED
    assert await shop.snapshot() == before


async def test_a_sale_is_restocked_before_it_opens_and_while_it_is_paused(shop: Shop) -> None:
    await shop.open({"car": 0}, opens_ms=OPENS_MS + 1000)
    assert await shop.restock("car", 1) is Restock.DONE
    await shop.set_state("pause")
    assert await shop.restock("car", 1) is Restock.DONE
    shop.clock.advance(1)
    await shop.set_state("resume")
    await shop.hold("ann", ("car", 2))


async def test_pause_and_resume(shop: Shop) -> None:
    await shop.open({"car": 2})
    await shop.expire()
    assert await shop.set_state("pause") is SetState.DONE
    before = await shop.snapshot()
    assert await shop.set_state("pause") is SetState.ALREADY
    assert await shop.refused("ann") is Reserve.PAUSED
    assert await shop.snapshot() == before
    assert (await shop.state()).public_state == "paused"
    assert await shop.set_state("resume") is SetState.DONE
    assert await shop.set_state("resume") is SetState.ALREADY
    await shop.hold("ann")
    assert await shop.fact_types(after=2) == ["sale.paused", "sale.resumed", "reservation.held"]


@pytest.mark.parametrize("first", ["close", "pause"])
async def test_closed_is_for_good(shop: Shop, first: str) -> None:
    await shop.open({"car": 2})
    assert await shop.set_state(first) is SetState.DONE
    await shop.set_state("close")
    before = await shop.snapshot()
    assert await shop.set_state("pause") is SetState.CLOSED
    assert await shop.set_state("resume") is SetState.CLOSED
    assert await shop.set_state("close") is SetState.ALREADY
    assert await shop.snapshot() == before
    assert (await shop.state()).public_state == "closed"


@pytest.mark.parametrize(
    ("verb", "outcome"),
    [("pause", SetState.CLOSED), ("resume", SetState.CLOSED), ("close", SetState.ALREADY)],
)
async def test_a_sale_whose_time_is_over_is_closed_first(shop: Shop, verb: str, outcome: SetState) -> None:
    await shop.open({"car": 2}, closes_ms=OPENS_MS + 1000)
    shop.clock.advance(1)
    assert await shop.set_state(verb) is outcome
    assert (await shop.fact_types())[1:] == ["sale.opened", "sale.closed"]


@pytest.mark.parametrize("verb", ["pause", "resume", "close"])
async def test_an_unknown_sale_stays_unknown(shop: Shop, verb: str) -> None:
    assert await shop.set_state(verb) is SetState.UNKNOWN_SALE
    assert await shop.store.redis.dbsize() == 0
