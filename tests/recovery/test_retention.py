"""Trimming: what may leave Redis, and what has to stay for whom; and a sale goes on, and is audited, with the rest."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from flashsale.archive import Archive
from flashsale.engine.audit import Audit, AuditReport
from flashsale.engine.cloudevents import EventMaker
from flashsale.engine.guard import Guard
from flashsale.engine.publisher import Publisher
from flashsale.engine.recovery import Recovery
from flashsale.engine.retention import Retention, Trimmed
from flashsale.keys import WEBHOOKS, SaleKeys, WebhookKeys
from flashsale.model.events import event_type
from flashsale.model.facts import Fact, FactType
from flashsale.model.outcomes import Reserve
from flashsale.model.webhooks import Webhook
from flashsale.store.guarding import GuardStore
from flashsale.store.orders import OrderStore
from flashsale.store.retention import RetentionStore
from flashsale.store.sales import SaleStore
from flashsale.store.webhooks import WebhookStore
from tests.recovery.archived import Archived, put_back, save
from tests.support.sales import OPENS_MS, SALE
from tests.support.server import PATIENCE_S
from tests.support.shop import Shop

DAY_S = 86_400
KEYS = SaleKeys.of(SALE)
TRIMMED = "a journal that was trimmed adds up with the archive only, of which the check after the test knows nothing"

pytestmark = pytest.mark.breaks_the_books(TRIMMED)


class OldFacts:
    """The archive as the audit reads it."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive

    async def facts(self, sale: str, after: int, limit: int) -> list[Fact]:
        return self._archive.facts(sale, after=after, limit=limit)

    async def books(self, sale: str) -> Any:
        return self._archive.books(sale)


class Old:
    """A sale whose facts are a day apart: it is `days` old."""

    def __init__(self, shop: Shop, archived: Archived, sales: SaleStore, store: GuardStore) -> None:
        self.shop = shop
        self.archived = archived
        self.sales = sales
        self.redis: Any = store.store.redis
        self.store = RetentionStore(store.store)
        self.orders = OrderStore(store.store, timeout_s=PATIENCE_S)

    async def goes_on(self, days: int) -> None:
        """Each day somebody buys."""
        for _ in range(days):
            self.shop.clock.advance(DAY_S)
            number = (await self.shop.state()).place
            await self.shop.paid(f"c-{number}", reference=f"sim:{number}")

    async def publish(self) -> None:
        publisher = Publisher(self.sales, self.orders, EventMaker(self.sales, "flashsale"))
        await publisher.follow([SALE])
        while await publisher.publish(block_ms=1):
            pass

    async def trim(self, days: float, archive: Archive | None = None) -> Trimmed:
        """With the clock of the sale, not that of the server."""
        retention = Retention(Today(self.store, self.shop), archive or self.archived.archive, days=days)
        return await retention.trim(SALE)

    async def left(self) -> tuple[int, int]:
        """The first fact and the first order that are still there."""
        extent = await self.store.extent(SALE)
        return extent.oldest, extent.first_order

    async def audit(self, *, archive: bool = True) -> AuditReport:
        old = OldFacts(self.archived.archive) if archive else None
        report = await Audit(self.sales, SALE, orders=self.orders, old=old).run()
        assert report is not None
        return report


class Today(RetentionStore):
    """A store whose clock is that of the sale."""

    def __init__(self, store: RetentionStore, shop: Shop) -> None:
        self.__dict__.update(store.__dict__)
        self._shop = shop

    async def now_ms(self) -> int:
        return self._shop.clock.now_ms


@pytest.fixture
async def old(
    shop: Shop, archived: Archived, sales: SaleStore, guard_store: GuardStore
) -> AsyncIterator[Old]:
    """Defined and opened (facts 1 and 2), then held and bought each day for ten days: facts 3 and 4, 5 and 6, ..."""
    old = Old(shop, archived, sales, guard_store)
    await shop.open({"car": 100}, hold_seconds=60)
    await old.goes_on(10)
    yield old
    await old.orders.close()


async def test_what_is_old_and_archived_and_published_goes(old: Old) -> None:
    await old.publish()
    await old.archived.keep()
    assert await old.trim(days=3.5) == Trimmed(facts=14, orders=6)
    assert await old.left() == (15, 7)
    assert await old.trim(days=3.5) == Trimmed()
    await old.goes_on(1)
    await old.publish()
    await old.archived.keep()
    assert await old.trim(days=3.5) == Trimmed(facts=2, orders=1)
    report = await old.audit()
    assert report.findings == []
    assert (report.facts, report.orders.behind if report.orders else None) == (24, 0)


async def test_nothing_that_is_not_archived_goes(old: Old, archive: Archive) -> None:
    await old.publish()
    assert await old.trim(days=1) == Trimmed()
    await old.archived.keep(limit=6)
    assert await old.trim(days=1) == Trimmed(facts=5, orders=1), "the last one archived stays for the guard"
    assert await old.left() == (6, 2)


async def test_nothing_that_is_not_published_goes(old: Old) -> None:
    await old.archived.keep()
    assert await old.trim(days=1) == Trimmed()
    await old.publish()
    await old.goes_on(1)
    await old.archived.keep()
    assert await old.trim(days=0.1) == Trimmed(facts=22, orders=9)
    assert await old.left() == (23, 10), "what comes next is not published, and the newest order stays"
    await old.publish()
    assert (await old.audit()).findings == []


async def test_a_consumer_group_has_time_to_read(old: Old) -> None:
    await old.publish()
    await old.archived.keep()
    await old.redis.xgroup_create(KEYS.orders, "warehouse", id="0")
    assert await old.trim(days=1) == Trimmed(facts=18)
    taken = await old.redis.xreadgroup("warehouse", "w", {KEYS.orders: ">"}, count=4)
    assert await old.trim(days=1) == Trimmed(), "four are read, and none is acknowledged"
    entries = next(iter(taken.values()))[0] if isinstance(taken, dict) else taken[0][1]
    ids = [entry_id for entry_id, _ in entries]
    await old.redis.xack(KEYS.orders, "warehouse", *ids[1:])
    assert await old.trim(days=1) == Trimmed()
    await old.redis.xack(KEYS.orders, "warehouse", ids[0])
    assert await old.trim(days=1) == Trimmed(orders=4)
    assert await old.left() == (19, 5)


@pytest.mark.parametrize(
    ("kind", "position", "trimmed"),
    [
        (FactType.CONFIRMED, 4, Trimmed(facts=18, orders=4)),
        (FactType.HELD, 4, Trimmed(facts=4, orders=8)),
    ],
)
async def test_a_webhook_has_time_to_be_told(
    old: Old, guard_store: GuardStore, kind: FactType, position: int, trimmed: Trimmed
) -> None:
    await old.publish()
    await old.archived.keep()
    webhooks = WebhookStore(guard_store.store)
    webhook = Webhook("https://example.com", (event_type(kind),), None, 0, "whsec_x")
    await webhooks.add("wh", webhook, {SALE: position})
    assert await old.trim(days=1) == trimmed
    await old.redis.delete(WEBHOOKS, *WebhookKeys.of("wh").all())


async def test_without_the_archive_the_audit_says_what_it_lacks(old: Old) -> None:
    await old.publish()
    await old.archived.keep()
    await old.trim(days=3.5)
    (finding, *_) = (await old.audit(archive=False)).findings
    assert finding.seq == 15
    assert "14 facts are missing. If they were trimmed, the archive has them" in finding.detail
    await old.redis.xdel(KEYS.journal, (await old.redis.xrange(KEYS.journal))[2][0])
    (finding, *_) = (await old.audit()).findings
    assert "1 facts are missing" in finding.detail


async def test_a_trimmed_sale_is_guarded_and_recovered_in_whole(
    old: Old, guard_store: GuardStore, shop: Shop
) -> None:
    await old.publish()
    await old.archived.keep()
    await old.trim(days=1)
    assert await Guard(guard_store, old.archived.archive).verify() == []
    yesterday = await save(guard_store.store)
    await old.goes_on(2)
    await old.archived.keep()
    await put_back(guard_store.store, yesterday)
    assert len(await Guard(guard_store, old.archived.archive).verify()) == 1
    assert await old.trim(days=0.01) == Trimmed()
    done = await Recovery(guard_store, old.archived.archive, SALE).run()
    assert (done.facts, done.missing, done.orders) == (26, 4, 12)
    assert (await old.left())[0] == 1, "the journal is whole again"
    await old.publish()
    report = await old.audit()
    assert report.findings == []
    assert report.orders is not None
    assert (report.orders.sequence, report.orders.published) == (12, 12)
    assert await old.trim(days=1) == Trimmed(facts=22, orders=2)
    await shop.hold("ann")
    assert shop.clock.now_ms > OPENS_MS
    assert await shop.refused("bob", ("car", 100)) is Reserve.SOLD_OUT
