"""Stories of long sales: whose journal was trimmed, with customers of many reservations, and told to few at once."""

import asyncio
from pathlib import Path

import pytest

from flashsale.api.console.told import summary
from flashsale.archive import Archive
from flashsale.engine import story
from flashsale.engine.batcher import BusyError
from flashsale.engine.cloudevents import EventMaker
from flashsale.engine.curve import Curves
from flashsale.engine.curve import Told as Followed
from flashsale.engine.history import PAGE, History
from flashsale.engine.older import OldBooks
from flashsale.engine.story import AT_ONCE, MOST_RESERVATIONS, Stories, Story
from flashsale.store.sales import SaleStore
from tests.engine.worker import Worker
from tests.support.sales import SALE, claim
from tests.support.shop import Shop


def stories(sale_store: SaleStore, worker: Worker, old: OldBooks | None = None) -> Stories:
    history = History(sale_store, old.facts if old is not None else None)
    return Stories(sale_store, history, Curves(sale_store, history), worker.reservations, None)


async def told(stories: Stories, customer: str) -> Story:
    found = await stories.tell(SALE, customer=customer, token=None)
    assert found is not None
    return found


async def test_one_among_thousands_is_found(shop: Shop, sale_store: SaleStore, worker: Worker) -> None:
    await shop.open({"car": 5000})
    for start in range(0, 2000, 500):
        await shop.reserve(*[claim(f"c{number}") for number in range(start, start + 500)])
    mine = await shop.hold("ann")
    for start in range(2000, 4000, 500):
        await shop.reserve(*[claim(f"c{number}") for number in range(start, start + 500)])
    await shop.cancel(mine.token)
    found = await told(stories(sale_store, worker), "ann")
    assert [fact.type for fact in found.facts] == ["reservation.held", "reservation.cancelled"]
    assert found.complete
    assert [each.reservation.token for each in found.found] == [mine.token]


async def test_what_the_store_has_forgotten_of_a_customer_is_in_the_journal(
    shop: Shop, sale_store: SaleStore, worker: Worker
) -> None:
    await shop.open({"car": 10})
    count = 80
    for _ in range(count):
        await shop.hold("bob")
        await shop.cancel((await shop.hold("ann")).token)
        await shop.cancel((await shop.entries("bob"))[-1].token)
    assert len(await shop.entries("ann")) < count
    found = await told(stories(sale_store, worker), "ann")
    assert (len(found.found), len(found.facts), found.complete) == (count, 2 * count, True)
    for _ in range(MOST_RESERVATIONS):
        await shop.cancel((await shop.hold("ann")).token)
    found = await told(stories(sale_store, worker), "ann")
    assert len(found.found) == MOST_RESERVATIONS
    assert not found.complete
    newest = [entry.token for entry in await shop.entries("ann")]
    told_of = [each.reservation.token for each in found.found]
    assert set(newest) <= set(told_of)
    assert told_of[-1] == newest[-1]  # in order, though the oldest are found last
    about = [fact.type for fact in found.facts if fact.token == newest[-1]]
    assert about == ["reservation.held", "reservation.cancelled"]


async def test_facts_that_are_too_many_make_room_for_newer_ones(
    shop: Shop, sale_store: SaleStore, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(story, "MOST_FACTS", 3)
    await shop.open({"car": 10})
    mine = [await shop.hold("ann") for _ in range(3)]
    for each in mine:
        await shop.cancel(each.token)
    found = await told(stories(sale_store, worker), "ann")
    assert [fact.type.rpartition(".")[2] for fact in found.facts] == ["cancelled"] * 3
    assert (found.facts[-1].token, found.complete) == (mine[-1].token, False)


async def test_a_story_takes_so_long_and_no_longer(
    shop: Shop, sale_store: SaleStore, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    await shop.open({"car": 1000})
    mine = await shop.hold("ann")
    await shop.reserve(*[claim(f"c{number}") for number in range(PAGE)])
    await shop.cancel(mine.token)
    teller = stories(sale_store, worker)
    monkeypatch.setattr(story, "MOST_S", 0.0)
    found = await told(teller, "ann")
    assert ([fact.type for fact in found.facts], found.complete) == (["reservation.held"], False)
    assert [each.reservation.token for each in found.found] == [mine.token]
    monkeypatch.undo()
    assert len((await told(teller, "ann")).facts) == 2


async def test_a_sale_that_could_not_be_looked_at_in_time_is_not_unknown(
    shop: Shop, sale_store: SaleStore, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    await shop.open({"car": 10})
    mine = await shop.hold("ann")
    teller = stories(sale_store, worker)

    async def slow(sale: str) -> Followed:
        return Followed(sale)

    monkeypatch.setattr(teller._curves, "of", slow)
    found = await told(teller, "ann")
    assert ([each.reservation.token for each in found.found], found.complete) == ([mine.token], False)


@pytest.mark.breaks_the_books("the journal is trimmed by hand")
async def test_who_has_a_reservation_was_seen(shop: Shop, sale_store: SaleStore, worker: Worker) -> None:
    await shop.open({"car": 10})
    await shop.hold("ann")
    await shop.hold("bob")
    await shop.store.redis.xtrim(shop.keys.journal, maxlen=1, approximate=False)
    found = await told(stories(sale_store, worker), "ann")
    assert (len(found.found), found.facts) == (1, [])
    assert [each["code"] for each in summary(found)] == ["attempts_not_kept"]
    nobody = await told(stories(sale_store, worker), "cem")
    assert [each["code"] for each in summary(nobody)] == ["never_seen", "attempts_not_kept"]


async def test_no_more_than_two_are_told_at_once(shop: Shop, sale_store: SaleStore, worker: Worker) -> None:
    await shop.open({"car": 10})
    await shop.hold("ann")
    teller = stories(sale_store, worker)
    asked = [teller.tell(SALE, customer="ann", token=None) for _ in range(AT_ONCE + 2)]
    found = await asyncio.gather(*asked, return_exceptions=True)
    assert sum(isinstance(each, Story) for each in found) == AT_ONCE
    assert sum(isinstance(each, BusyError) for each in found) == 2
    assert (await told(teller, "ann")).found  # there is room again
    assert await teller.tell("nobody", customer="ann", token=None) is None


@pytest.mark.breaks_the_books("the journal is trimmed by hand")
async def test_what_was_trimmed_comes_from_the_archive_or_is_said_to_be_missing(
    shop: Shop, sale_store: SaleStore, worker: Worker, tmp_path: Path
) -> None:
    await shop.open({"car": 10})
    mine = await shop.hold("ann")
    for number in range(5):
        await shop.hold(f"c{number}")
    await shop.cancel(mine.token)
    facts = await shop.facts()
    url = f"sqlite:///{tmp_path / 'archive.sqlite'}"
    archive = Archive.open(url)
    made = await EventMaker(sale_store, "test").make(SALE, facts)
    assert archive.append(SALE, 0, list(zip(facts, made, strict=True)))
    archive.close()
    await shop.store.redis.xtrim(shop.keys.journal, minid=f"{len(facts) - 1}-0", approximate=False)
    old = OldBooks(url)
    found = await told(stories(sale_store, worker, old), "ann")
    assert [fact.type for fact in found.facts] == ["reservation.held", "reservation.cancelled"]
    assert found.complete
    blind = await told(stories(sale_store, worker), "ann")
    assert [fact.type for fact in blind.facts] == ["reservation.cancelled"]
    assert not blind.complete
    await old.close()
