"""Definitions at hand, and how a worker notices that there is another."""

import asyncio
from dataclasses import replace

import pytest
from redis.asyncio import Redis

from flashsale.engine.catalog import Catalog
from flashsale.engine.sales import Sales
from flashsale.model.outcomes import OpenSale, Reserve
from flashsale.model.schedule import Schedule
from flashsale.store.sales import SaleStore, StoredDefinition
from tests.engine.conftest import Put
from tests.engine.worker import Worker
from tests.support.sales import OPENS_MS, SALE, definition


async def test_a_definition_is_read_once(sale_store: SaleStore, put: Put) -> None:
    await put({"car": 1}, price=7)
    catalog = Catalog(sale_store)
    assert catalog.known(SALE) is None
    offer = await catalog.get(SALE)
    assert offer is not None
    assert (offer.sale, offer.prices, offer.amount((("car", 3),))) == (SALE, {"car": 7}, 21)
    assert await catalog.get(SALE) is offer
    assert catalog.known(SALE) is offer
    assert await catalog.fresh(SALE, offer.version) is offer


async def test_those_who_come_together_read_it_once(
    sale_store: SaleStore, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put({"car": 1}, price=7)
    asked, read = [], sale_store.definition

    async def definition_of(sale: str) -> StoredDefinition | None:
        asked.append(sale)
        return await read(sale)

    monkeypatch.setattr(sale_store, "definition", definition_of)
    catalog = Catalog(sale_store)
    offers = await asyncio.gather(*(catalog.get(SALE) for _ in range(100)), catalog.get("nowhere"))
    assert sorted(asked) == sorted([SALE, "nowhere"])
    assert offers[0] is not None
    assert all(offer is offers[0] for offer in offers[:100])
    assert offers[100] is None


async def test_a_schedule_is_made_once_for_each_amount_and_few_are_kept(
    sale_store: SaleStore, put: Put
) -> None:
    await put({"car": 1}, price=7)
    offer = await Catalog(sale_store).get(SALE)
    assert offer is not None
    first = offer.schedule(7)
    assert first == Schedule(7, 0, ())
    assert offer.schedule(7) is first
    for amount in range(1, 5000):
        assert offer.schedule(amount).deposit == amount
    assert len(offer._schedules) <= 1000
    assert offer == replace(offer)


async def test_a_later_version_is_read_again(sale_store: SaleStore, put: Put) -> None:
    await put({"car": 1}, opens_in=60, price=7)
    catalog = Catalog(sale_store)
    first = await catalog.get(SALE)
    await put({"car": 1}, opens_in=60, price=8)
    assert await catalog.get(SALE) is first  # nobody has said so yet
    assert first is not None
    second = await catalog.fresh(SALE, first.version + 1)
    assert second is not None
    assert second.version > first.version
    assert second.prices == {"car": 8}
    assert await catalog.get(SALE) is second


async def test_a_store_that_lost_its_data_and_was_filled_again_is_read_again(
    sale_store: SaleStore, redis: "Redis", put: Put
) -> None:
    await put({"car": 1}, price=7)
    catalog = Catalog(sale_store)
    first = await catalog.get(SALE)
    await redis.flushall()
    await asyncio.sleep(0.002)  # versions are instants in milliseconds
    await put({"bus": 1}, price=8)
    stored = await sale_store.definition(SALE)
    assert first is not None
    assert stored is not None
    assert stored.version != first.version
    second = await catalog.fresh(SALE, stored.version)
    assert second is not None
    assert second.prices == {"bus": 8}


async def test_an_unknown_sale_is_none_until_it_is_there(sale_store: SaleStore, put: Put) -> None:
    catalog = Catalog(sale_store)
    assert await catalog.get(SALE) is None
    assert await catalog.fresh(SALE, 1) is None
    await put({"car": 1})
    assert await catalog.get(SALE) is not None


async def test_a_redefinition_elsewhere_is_seen_with_the_next_answer(
    worker: Worker, other_worker: Worker, put: Put
) -> None:
    await put({"car": 1}, opens_in=60, price=7)
    first, _ = await worker.reservations.reserve(SALE, "ann", (("car", 1),))
    assert first is not None
    assert first.prices == {"car": 7}
    await put({"car": 1, "bus": 1}, opens_in=-1, price=8)
    offer, _ = await worker.reservations.reserve(SALE, "ann", (("bus", 1),))
    assert offer is not None
    assert offer.version > first.version
    assert offer.prices == {"car": 8, "bus": 8}
    assert await other_worker.outcome("bob", ("bus", 1)) is Reserve.SOLD_OUT


async def test_views_of_all_sales(sale_store: SaleStore, put: Put) -> None:
    sales = Sales(sale_store, Catalog(sale_store))
    assert await sales.views() == []
    names = [f"sale-{n:02d}" for n in range(40)]
    await asyncio.gather(*[put({"car": n}, sale=name) for n, name in enumerate(names)])
    views = await sales.views()
    assert [view.offer.sale for view in views] == names
    assert [view.state.stock[0].available for view in views] == list(range(40))
    assert await sales.view("no-such") is None


async def test_what_a_brand_does_to_a_sale(sale_store: SaleStore) -> None:
    catalog = Catalog(sale_store)
    sales = Sales(sale_store, catalog)
    assert await sales.define(SALE, definition({"car": 1}, opens_ms=2 * OPENS_MS)) is OpenSale.CREATED
    assert await sales.define(SALE, definition({"car": 2}, opens_ms=2 * OPENS_MS)) is OpenSale.REDEFINED
    known = catalog.known(SALE)
    assert known is not None
    assert known.definition.items[0].stock == 2
    assert (await sales.set_state(SALE, "pause")).name == "DONE"
    assert (await sales.restock(SALE, sku="car", units=1, reason="", repeat_key="")).name == "DONE"
    report = await sales.audit(SALE)
    assert report is not None
    assert report.ok
    assert await sales.audit("no-such") is None
