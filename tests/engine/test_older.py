"""What is no longer in Redis comes from the archive, and nobody who reads notices."""

from pathlib import Path

import pytest

from flashsale.archive import Archive, ArchivedFact
from flashsale.engine.cloudevents import EventMaker
from flashsale.engine.facts import FactReader
from flashsale.engine.feed import Feed
from flashsale.engine.older import OldBooks
from flashsale.engine.refusals import CursorExpiredError
from flashsale.model.cursor import Cursor
from flashsale.store.client import Store, StoreUnavailableError
from flashsale.store.orders import OrderStore
from flashsale.store.sales import SaleStore
from tests.support.selling import Seller, publish_all
from tests.support.server import PATIENCE_S


@pytest.mark.breaks_the_books("the journal is trimmed by hand")
async def test_the_feed_and_the_facts_reach_into_the_archive(
    store: Store, sale_store: SaleStore, tmp_path: Path
) -> None:
    seller, orders, maker = (
        Seller(store, sale_store, "giulia"),
        OrderStore(store, timeout_s=PATIENCE_S),
        EventMaker(sale_store, "test"),
    )
    await seller.begin()
    await seller.sell(12, refunds=0.3)
    await publish_all(seller)
    facts = await seller.facts()
    url = f"sqlite:///{tmp_path / 'archive.sqlite'}"
    archive = Archive.open(url)
    made = await maker.make("giulia", facts)
    rows: list[ArchivedFact] = list(zip(facts, made, strict=True))
    assert archive.append("giulia", 0, rows)
    archive.close()
    published = [event.body for event in await orders.read("giulia")]
    await store.redis.xtrim(seller.keys.orders, minid=f"{seller.told - 1}-0", approximate=False)
    await store.redis.xtrim(seller.keys.journal, minid=f"{len(facts) - 2}-0", approximate=False)

    old = OldBooks(url)
    feed = Feed(sale_store, orders, older=old.events)
    with feed.reader(Cursor()) as reader:
        found, more = [], True
        while more:
            batch = await reader.take(5, 1 << 20)
            found += [event.body for event in batch.events]
            more = batch.more
    assert found == published
    reader_of_facts = FactReader(sale_store, maker, older=old.facts)
    bodies: list[bytes] = []
    while events := await reader_of_facts.read("giulia", len(bodies), 7):
        bodies += [event.body for event in events]
    assert bodies == [event.body for event in made]
    with pytest.raises(CursorExpiredError, match="the facts of giulia behind number 0 are gone"):
        await FactReader(sale_store, maker).read("giulia", 0, 7)
    await feed.close()
    await old.close()
    await orders.close()


async def test_an_archive_that_is_away_is_the_store_being_away(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailableError, match="archive"):
        await OldBooks(f"sqlite:///{tmp_path}").events("giulia", 0, 1)
