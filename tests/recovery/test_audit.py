"""The audit of what goes out: the archive, and the stream of orders. Behind is no fault, something else is."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from flashsale.archive import Archive
from flashsale.engine.audit import Audit, AuditReport
from flashsale.engine.cloudevents import EventMaker
from flashsale.engine.publisher import Publisher
from flashsale.keys import SaleKeys
from flashsale.store.client import SaleRecoveringError
from flashsale.store.guarding import GuardStore
from flashsale.store.orders import OrderStore
from flashsale.store.sales import SaleStore
from tests.recovery.archived import Archived
from tests.recovery.test_retention import OldFacts
from tests.support.sales import SALE
from tests.support.server import PATIENCE_S
from tests.support.shop import Shop

KEYS = SaleKeys.of(SALE)
DAMAGE = "what is damaged here is what goes out"


class Books:
    """A sale with two orders, one of them undone; facts 1 to 7."""

    def __init__(self, shop: Shop, archived: Archived, sales: SaleStore, store: GuardStore) -> None:
        self.shop = shop
        self.archived = archived
        self.archive: Archive = archived.archive
        self.sales = sales
        self.redis: Any = store.store.redis
        self.orders = OrderStore(store.store, timeout_s=PATIENCE_S)

    async def publish(self) -> None:
        publisher = Publisher(self.sales, self.orders, EventMaker(self.sales, "flashsale"))
        await publisher.follow([SALE])
        while await publisher.publish(block_ms=1):
            pass

    async def audit(self) -> AuditReport:
        report = await Audit(self.sales, SALE, orders=self.orders, old=OldFacts(self.archive)).run()
        assert report is not None
        return report

    async def found(self) -> str:
        """The one thing that is wrong."""
        (finding,) = (await self.audit()).findings
        return finding.detail

    def damage_archive(self, statement: str) -> None:
        database = create_engine(f"sqlite:///{self.archive.where.removeprefix('in ')}")
        with database.begin() as connection:
            connection.execute(text(statement))
        database.dispose()


@pytest.fixture
async def books(
    shop: Shop, archived: Archived, sales: SaleStore, guard_store: GuardStore
) -> AsyncIterator[Books]:
    await shop.open({"car": 9})
    ann = await shop.paid("ann", reference="sim:1")
    await shop.paid("bob", reference="sim:2")
    await shop.refund(ann.token)
    books = Books(shop, archived, sales, guard_store)
    yield books
    await books.orders.close()


async def test_who_is_behind_is_told_and_is_no_fault(books: Books) -> None:
    report = await books.audit()
    assert report.ok
    assert report.archive is not None
    assert report.orders is not None
    assert (report.archive.seq, report.archive.behind) == (0, 7)
    assert (report.orders.sequence, report.orders.published, report.orders.behind) == (3, 0, 3)
    await books.archived.keep(limit=5)
    await books.publish()
    report = await books.audit()
    assert report.ok
    assert report.archive is not None
    assert report.orders is not None
    assert (report.archive.seq, report.archive.behind, report.archive.books.confirmed) == (5, 2, 1)
    assert (report.orders.sequence, report.orders.published, report.orders.behind) == (3, 3, 0)
    await books.archived.keep()
    await books.shop.hold("cem")
    report = await books.audit()
    assert report.ok
    assert report.archive is not None
    sums = report.archive.books
    assert (report.archive.behind, sums.confirmed, sums.confirmed_amount, sums.refunded_amount) == (
        1,
        2,
        200,
        100,
    )


async def test_another_fact_in_the_archive_is_found(books: Books) -> None:
    await books.archived.keep()
    books.damage_archive("UPDATE facts SET raw = X'00' WHERE seq = 4")
    report = await books.audit()
    assert report.findings[0].seq == 4
    assert "the journal has reservation.confirmed" in report.findings[0].detail


async def test_a_fact_that_the_archive_lacks_is_found(books: Books) -> None:
    await books.archived.keep()
    books.damage_archive("DELETE FROM facts WHERE seq = 7")
    report = await books.audit()
    assert "the archive lacks it" in report.findings[0].detail


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("DELETE FROM orders WHERE sequence = 2", "1 as its confirmed orders"),
        ("UPDATE orders SET amount_due = 99 WHERE sequence = 2", "199 as its amount of the confirmed orders"),
        ("UPDATE orders SET refunded_at = NULL", "0 as its refunded orders"),
    ],
)
async def test_other_orders_in_the_archive_are_found(books: Books, statement: str, found: str) -> None:
    await books.archived.keep()
    books.damage_archive(statement)
    details = [finding.detail for finding in (await books.audit()).findings]
    assert any(found in detail for detail in details), details


@pytest.mark.breaks_the_books(DAMAGE)
async def test_an_archive_that_is_ahead_is_found(books: Books) -> None:
    await books.archived.keep()
    await books.redis.hset(KEYS.sale, "recovering", 9)
    assert "the archive has 9 facts and the journal 7: flashsale recover giulia" in await books.found()
    await books.redis.delete(*KEYS.all())
    await books.redis.hset(KEYS.sale, "recovering", 9)
    with pytest.raises(SaleRecoveringError):
        await books.audit()


async def test_another_order_in_the_stream_is_found(books: Books) -> None:
    await books.publish()
    entries = await books.redis.xrange(KEYS.orders)
    await books.redis.delete(KEYS.orders)
    for entry_id, fields in entries:
        event = fields[b"event"].replace(b'"amount_due":100', b'"amount_due":101')
        changed = {**fields, b"event": event if entry_id == entries[1][0] else fields[b"event"]}
        await books.redis.xadd(KEYS.orders, changed, id=entry_id)
    assert await books.found() == "order 2 was published as something else"


async def test_a_gap_in_the_stream_is_found(books: Books) -> None:
    await books.publish()
    entries = await books.redis.xrange(KEYS.orders)
    await books.redis.xdel(KEYS.orders, entries[1][0])
    assert await books.found() == "order 2 is missing among those published"


async def test_other_sums_in_the_stream_are_found(books: Books) -> None:
    await books.publish()
    entries = await books.redis.xrange(KEYS.orders)
    await books.redis.delete(KEYS.orders)
    for entry_id, fields in entries:
        tally = fields[b"tally"].replace(b'"digest":"', b'"digest":"00')
        await books.redis.xadd(KEYS.orders, {**fields, b"tally": tally}, id=entry_id)
    assert "the sums published with order 3" in await books.found()


async def test_an_order_that_was_never_made_is_found(books: Books) -> None:
    await books.publish()
    ((_, fields),) = await books.redis.xrevrange(KEYS.orders, count=1)
    await books.redis.xadd(KEYS.orders, fields, id="4-9")
    assert await books.found() == "order 4 was published, and the facts have 3"
