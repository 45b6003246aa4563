"""The curve as a worker follows it: out of the journal, of which the older part may be in the archive, bit by bit."""

import asyncio
from pathlib import Path

import pytest

from flashsale.archive import Archive
from flashsale.engine.cloudevents import EventMaker
from flashsale.engine.curve import Curves, Told
from flashsale.engine.history import History
from flashsale.engine.older import OldBooks
from flashsale.model.facts import Fact
from flashsale.store.client import Store, StoreUnavailableError
from flashsale.store.sales import SaleStore
from tests.support.sales import SALE, claim
from tests.support.selling import Seller
from tests.support.shop import Shop


async def told(curves: Curves) -> Told:
    found = await curves.of(SALE)
    assert found is not None
    return found


async def test_it_is_advanced_by_what_is_new(
    shop: Shop, sale_store: SaleStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flashsale.engine.curve.FRESH_S", 0.0)
    history = History(sale_store, None)
    curves = Curves(sale_store, history)
    assert await curves.of("nobody") is None
    await shop.open({"car": 10})
    first = await told(curves)
    assert (first.course.points(10), first.complete, first.exact) == ([], True, True)
    for number in range(5):
        await shop.hold(f"c{number}")
    found = await told(curves)
    assert found.complete
    assert found.exact
    assert found.course.counters() == {"car": (5, 5, 0)}
    pages: list[int] = []

    class Watched(History):
        async def page(self, sale: str, after: int, limit: int = 500) -> list[Fact]:
            pages.append(after)
            return await super().page(sale, after, limit)

    curves._history = Watched(sale_store, None)
    shop.clock.advance(1)
    await shop.cancel((await shop.hold("late")).token)
    again = await told(curves)
    assert again is found
    assert again.exact
    assert again.course.counters() == {"car": (5, 5, 0)}
    assert min(pages) >= found.course.seq - 3
    await curves.close()


async def test_a_long_journal_is_read_while_nobody_waits(shop: Shop, sale_store: SaleStore) -> None:
    await shop.open({"car": 3000})
    for start in range(0, 3000, 500):
        await shop.reserve(*[claim(f"c{number}") for number in range(start, start + 500)])
    curves = Curves(sale_store, History(sale_store, None))
    first = await curves.of(SALE, wait_s=0)
    assert first is not None
    assert not first.complete
    while not (found := await told(curves)).complete:
        pass
    assert found.exact
    assert found.course.counters() == {"car": (0, 3000, 0)}
    assert found.course.sold_out_ms
    await curves.close()


async def test_a_reading_that_ended_when_nobody_waited_is_not_told_as_of_now(
    shop: Shop, sale_store: SaleStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flashsale.engine.curve.FRESH_S", 0.0)
    monkeypatch.setattr("flashsale.engine.curve.MOST", 0)
    curves = Curves(sale_store, History(sale_store, None))
    await shop.open({"car": 10})
    await shop.hold("ann")
    first = await curves.of(SALE, wait_s=0)
    assert first is not None
    assert first.task is not None
    await asyncio.wait({first.task})
    await shop.hold("bob")
    assert (await told(curves)).course.counters() == {"car": (8, 2, 0)}
    assert not curves._told  # nothing keeps it
    await curves.close()


async def test_a_fault_that_nobody_waited_for_is_not_told_to_the_next(
    shop: Shop, sale_store: SaleStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    curves = Curves(sale_store, History(sale_store, None))
    await shop.open({"car": 10})

    lost = asyncio.Event()

    async def away(_sale: str) -> None:
        await lost.wait()
        raise StoreUnavailableError("away", applied=False)

    with monkeypatch.context() as patch:
        patch.setattr(sale_store, "shared_look", away)
        first = await curves.of(SALE, wait_s=0)
        assert first is not None
        assert first.task is not None
        lost.set()
        await asyncio.wait({first.task})
    assert (await told(curves)).complete
    await curves.close()


async def test_a_journal_that_is_another_one_is_read_anew(
    shop: Shop, sale_store: SaleStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flashsale.engine.curve.FRESH_S", 0.0)
    curves = Curves(sale_store, History(sale_store, None))
    await shop.open({"car": 10})
    await shop.hold("ann")
    assert (await told(curves)).course.counters() == {"car": (9, 1, 0)}
    await shop.store.redis.flushall()
    await shop.open({"car": 7})
    await shop.hold("bob")
    await shop.hold("cem")
    found = await told(curves)
    assert found.exact
    assert found.course.counters() == {"car": (5, 2, 0)}
    await curves.close()


@pytest.mark.breaks_the_books("the journal is trimmed by hand")
async def test_what_was_trimmed_comes_from_the_archive(
    store: Store, sale_store: SaleStore, tmp_path: Path
) -> None:
    seller = Seller(store, sale_store, "giulia")
    await seller.begin()
    await seller.sell(12, refunds=0.3)
    facts = await seller.facts()
    url = f"sqlite:///{tmp_path / 'archive.sqlite'}"
    archive = Archive.open(url)
    made = await EventMaker(sale_store, "test").make("giulia", facts)
    assert archive.append("giulia", 0, list(zip(facts, made, strict=True)))
    archive.close()
    await store.redis.xtrim(seller.keys.journal, minid=f"{len(facts) - 2}-0", approximate=False)
    old = OldBooks(url)
    curves = Curves(sale_store, History(sale_store, old.facts))
    found = await curves.of("giulia")
    assert found is not None
    assert (found.complete, found.exact) == (True, True)
    # Without the archive nothing is made up.
    blind = await Curves(sale_store, History(sale_store, None)).of("giulia")
    assert blind is not None
    assert (blind.complete, blind.exact, blind.course.points(9)) == (False, False, [])
    await old.close()
