"""The feed of orders: what it gives, when it keeps the position, and what it does not let pass."""

import asyncio
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from flashsale.client import GapError, Order, OrderFeed, UnreadableOrderError
from flashsale.model.cursor import Cursor
from tests.client.lying_shop import KEY, SALE, LyingShop, gives, order, orders

REFUNDED = "io.flashsale.reservation.refunded.v1"


def all_of(shop: LyingShop, **options: Any) -> OrderFeed:
    """A feed that ends when there is no more."""
    return OrderFeed(shop.url, KEY, follow=False, **options)


async def given(feed: OrderFeed, into: list[Order] | None = None) -> list[int]:
    """The numbers of what a feed gives until it ends; `into` gets the orders even when it fails."""
    into = [] if into is None else into
    async for each in feed:
        into.append(each)
    return [each.sequence for each in into]


async def test_an_order_is_typed_and_whole(shop: LyingShop) -> None:
    shop.events = [order(1), order(2, undone=1)]
    made, undone = [each async for each in all_of(shop)]
    assert (made.id, made.sale, made.sequence, made.status) == ("giulia.0.3", SALE, 1, "confirmed")
    assert made.time == datetime(2027, 1, 15, 8, 0, 0, 1000, tzinfo=UTC)
    assert made.reservation == "giulia.0.0000000000000001"
    assert [(item.sku, item.quantity, item.price) for item in made.items] == [("car", 1, 100)]
    assert (made.customer, made.place, made.late, made.currency) == ("c-1", 1, False, "CNY")
    assert made.amount == made.amount_due + made.payment_schedule.balance + sum(
        made.payment_schedule.instalments
    )
    assert made.payment is not None
    assert (made.payment.provider, made.payment.reference, made.payment.method) == ("sim", "1", "card")
    assert made.refund is None
    assert made.event == shop.events[0]
    assert (undone.status, undone.type, undone.reservation) == ("refunded", REFUNDED, made.reservation)
    assert undone.refund is not None
    assert (undone.refund.restocked, undone.refund.reason) == (True, "why")
    assert shop.keys == {f"Bearer {KEY}"}


async def test_all_pages_are_read_and_each_order_once(shop: LyingShop) -> None:
    shop.events = [*orders(1, 7), *orders(1, 4, "levante")]
    found: list[Order] = []
    await given(all_of(shop, page_size=3), found)
    assert [(each.sale, each.sequence) for each in found] == [
        (each["data"]["sale"], int(each["sequence"])) for each in shop.events
    ]
    assert len(shop.asked) == 4


async def test_pages_come_whole(shop: LyingShop) -> None:
    shop.events = orders(1, 5)
    feed = all_of(shop, page_size=2)
    pages = [[each.sequence for each in page] async for page in feed.pages()]
    assert pages == [[1, 2], [3, 4], [5]]


async def test_a_new_order_comes_as_soon_as_there_is_one(shop: LyingShop) -> None:
    shop.events = orders(1, 1)
    feed = aiter(OrderFeed(shop.url, KEY, wait_seconds=1))
    assert (await anext(feed)).sequence == 1
    waiting = asyncio.ensure_future(anext(feed))
    await asyncio.sleep(0)
    shop.events += orders(2, 2)
    assert (await waiting).sequence == 2
    assert {each["wait"] for each in shop.asked} == {"1"}


async def test_doubles_are_dropped(shop: LyingShop) -> None:
    shop.lies += [gives(*orders(1, 3), more=True), gives(*orders(2, 5), more=True), gives(*orders(5, 6))]
    assert await given(all_of(shop)) == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("events", "good", "expected", "got"),
    [
        ([1, 2, 4, 5], [1, 2], 3, 4),
        ([2], [], 1, 2),
        ([1, 3, 2], [1], 2, 3),
        ([2, 1], [], 1, 2),
    ],
    ids=["one is missing", "the first is missing", "two changed places", "begins with the second"],
)
async def test_a_gap_raises_behind_what_was_good(
    shop: LyingShop, tmp_path: Path, events: list[int], good: list[int], expected: int, got: int
) -> None:
    shop.lies.append(gives(*(order(each) for each in events)))
    found: list[Order] = []
    feed = all_of(shop, cursor=tmp_path / "cursor")
    with pytest.raises(GapError) as gap:
        await given(feed, found)
    assert [each.sequence for each in found] == good
    assert (gap.value.sale, gap.value.expected, gap.value.got) == (SALE, expected, got)
    assert f"orders of the sale {SALE} are missing" in str(gap.value)
    # The position stands before the gap: when the shop has the missing ones after all, everything is there.
    shop.events = orders(1, 5)
    assert await given(all_of(shop, cursor=tmp_path / "cursor")) == list(range(len(good) + 1, 6))


async def test_a_gap_is_found_between_answers_and_between_runs(shop: LyingShop) -> None:
    shop.lies += [gives(*orders(1, 3), more=True), gives(order(5))]
    found: list[Order] = []
    with pytest.raises(GapError):
        await given(all_of(shop), found)
    shop.lies.append(gives(order(5)))
    with pytest.raises(GapError):
        await given(all_of(shop, after=found[-1].cursor))


async def test_sales_are_checked_each_by_itself(shop: LyingShop) -> None:
    shop.lies.append(gives(order(1), order(1, "levante"), order(2), order(3, "levante")))
    with pytest.raises(GapError) as gap:
        await given(all_of(shop))
    assert (gap.value.sale, gap.value.expected) == ("levante", 2)


async def test_a_position_can_be_taken_from_any_order(shop: LyingShop) -> None:
    shop.events = [event for n in range(1, 6) for event in (order(n), order(n, "levante"))]
    found: list[Order] = []
    await given(all_of(shop, page_size=4), found)
    for number, each in reversed(list(enumerate(found, start=1))):
        rest: list[Order] = []
        await given(all_of(shop, after=each.cursor), rest)
        assert [one.id for one in rest] == [one.id for one in found[number:]]


async def test_only_some_types_are_given_and_all_are_checked(shop: LyingShop, tmp_path: Path) -> None:
    shop.events = [order(1), order(2, undone=1), order(3), order(4, undone=3), order(5)]
    feed = all_of(shop, types=["refunded"], cursor=tmp_path / "cursor")
    assert await given(feed) == [2, 4]
    # The last one was passed by for good.
    assert await given(all_of(shop, cursor=tmp_path / "cursor")) == []
    shop.lies.append(gives(order(2, undone=1)))
    with pytest.raises(GapError):
        await given(all_of(shop, types=["refunded"]))


async def test_only_one_sale_is_given(shop: LyingShop) -> None:
    shop.events = [*orders(1, 2), *orders(1, 2, "levante")]
    found: list[Order] = []
    await given(all_of(shop, sale="levante"), found)
    assert {each.sale for each in found} == {"levante"}
    assert shop.asked[0]["sale"] == "levante"


async def test_what_is_new_in_an_event_is_left_alone(shop: LyingShop) -> None:
    event = order(1)
    event["traceparent"] = "00-1"
    event["data"]["gift_wrap"] = {"paper": "red"}
    event["data"]["items"][0]["colour"] = "red"
    shop.events = [event]
    (made,) = [each async for each in all_of(shop)]
    assert made.event["data"]["gift_wrap"] == {"paper": "red"}


async def test_events_that_have_no_number_are_no_orders(
    shop: LyingShop, caplog: pytest.LogCaptureFixture
) -> None:
    other = {"specversion": "1.0", "type": "io.flashsale.weather.changed.v1", "id": "w-1", "data": None}
    lie = gives(other, cursor=Cursor.at({"weather": 1}).encode(), more=True)
    shop.lies += [lie, gives(other, order(1), other, more=True), lie]
    shop.events = orders(1, 2)
    assert await given(all_of(shop)) == [1, 2]
    assert caplog.text.count("io.flashsale.weather.changed.v1") == 1


async def test_orders_of_an_unknown_type_are_not_passed_by_in_silence(
    shop: LyingShop, tmp_path: Path
) -> None:
    new = "io.flashsale.reservation.exchanged.v1"
    shop.events = orders(1, 3)
    shop.events[1]["type"] = new
    found: list[Order] = []
    with pytest.raises(UnreadableOrderError, match=f"does not know {re.escape(new)}"):
        await given(all_of(shop, cursor=tmp_path / "cursor"), found)
    assert [each.sequence for each in found] == [1]
    assert await given(all_of(shop, cursor=tmp_path / "cursor", ignore={new})) == [3]


def without(event: dict[str, Any], *path: str) -> dict[str, Any]:
    inner = event
    for name in path[:-1]:
        inner = inner[name]
    del inner[path[-1]]
    return event


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        (lambda: without(order(2), "sequence"), "or its number"),
        (lambda: {**order(2), "sequence": "two"}, "or its number"),
        (lambda: {**order(2), "data": None}, "of which sale"),
        (lambda: without(order(2), "data", "customer"), "customer"),
        (lambda: {**order(2), "time": "yesterday"}, "time"),
        (lambda: {**order(2), "data": {**order(2)["data"], "sequence": 3}}, "two different numbers"),
        (lambda: "an order", "no CloudEvent"),
    ],
    ids=["no number", "a strange number", "no data", "no customer", "no time", "two numbers", "a text"],
)
async def test_an_event_that_cannot_be_read_ends_the_feed(
    shop: LyingShop, broken: Callable[[], Any], why: str
) -> None:
    shop.lies.append(gives(order(1), broken(), order(3)))
    found: list[Order] = []
    with pytest.raises(UnreadableOrderError, match=why):
        await given(all_of(shop), found)
    assert [each.sequence for each in found] == [1]


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"after": "nonsense"}, "`after` cannot be used"),
        ({"after": "AQ", "cursor": "file"}, "give one of them"),
        ({"types": ["expired"]}, "may be confirmed and refunded, not expired"),
        ({"page_size": 1001}, "between 1 and 1000"),
        ({"wait_seconds": 0}, "between 1 and 60"),
        ({"save_every": 0}, "save_every"),
    ],
    ids=str,
)
def test_what_cannot_be_is_said_at_once(options: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        OrderFeed("http://127.0.0.1:1", KEY, **options)


def test_an_address_has_to_be_one() -> None:
    with pytest.raises(ValueError, match="http:// or https://"):
        OrderFeed("localhost:8080", KEY)
    with pytest.raises(ValueError, match="must not have a name and a password") as error:
        OrderFeed("http://ann:sesame@localhost:8080", KEY)
    assert "sesame" not in str(error.value)


def test_the_key_is_never_shown() -> None:
    assert KEY not in repr(OrderFeed("http://127.0.0.1:1", KEY))


async def test_one_loop_at_a_time(shop: LyingShop) -> None:
    shop.events = orders(1, 3)
    feed = all_of(shop, page_size=1)
    first = aiter(feed)
    assert (await anext(first)).sequence == 1
    assert await given(feed) == [1, 2, 3]
    with pytest.raises(RuntimeError, match="another loop reads this feed"):
        await anext(first)
