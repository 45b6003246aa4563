"""The feed of orders while the server, or the way to it, is in trouble: it waits, and nothing is lost or said twice."""

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from types import SimpleNamespace

import pytest

from flashsale.client import ApiError, OrderFeed, UnreachableError
from flashsale.client import feed as feed_module
from flashsale.client.waiting import MOST_RETRY_AFTER_SECONDS, Backoff, seconds_of
from flashsale.process.ports import ReservedPort
from tests.client.lying_shop import KEY, Lie, LyingShop, cut_off, gives, lying_shop, orders, refuses, says
from tests.support_http.client import eventually


async def given(feed: OrderFeed, into: list[int] | None = None) -> list[int]:
    """The numbers of what a feed gives until it ends; `into` has them meanwhile."""
    numbers = [] if into is None else into
    async for each in feed:
        numbers += [each.sequence]
    return numbers


@pytest.mark.parametrize(
    "lie",
    [
        refuses(500),
        refuses(502),
        refuses(503, "recovering"),
        refuses(429),
        says(b"<html>Bad Gateway</html>", 502, "text/html"),
        says(b'{"events": [{"specv'),
        says(b"[]"),
        says(b'{"events": {}, "cursor": "", "more": false}'),
        says(b'{"events": []}'),
        says(b"", 302),
        cut_off(0),
        cut_off(700),
    ],
    ids=[
        "500",
        "502",
        "503",
        "429",
        "a page of a proxy",
        "half an answer",
        "a list",
        "no list of events",
        "no cursor",
        "a redirection",
        "cut off before the body",
        "cut off within the body",
    ],
)
async def test_it_is_asked_again(shop: LyingShop, lie: Lie, caplog: pytest.LogCaptureFixture) -> None:
    shop.events = orders(1, 3)
    shop.lies += [lie, lie]
    assert await given(OrderFeed(shop.url, KEY, follow=False)) == [1, 2, 3]
    said = [record for record in caplog.records if record.name == "flashsale.client"]
    assert [record.levelno for record in said] == [logging.WARNING] * 2
    assert "trying again in" in caplog.text
    assert KEY not in caplog.text


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
async def test_what_will_not_change_is_raised(shop: LyingShop, status: int) -> None:
    shop.lies.append(refuses(status, "no"))
    with pytest.raises(ApiError) as error:
        await given(OrderFeed(shop.url, KEY))
    assert error.value.status == status
    assert len(shop.asked) == 1
    assert KEY not in str(error.value)


async def test_retry_after_is_heeded(shop: LyingShop) -> None:
    shop.events = orders(1, 1)
    shop.lies.append(refuses(503, "busy", Retry_After="1"))
    clock = asyncio.get_running_loop().time
    began = clock()
    assert await given(OrderFeed(shop.url, KEY, follow=False)) == [1]
    assert clock() - began >= 1.0


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("0", 0),
        ("120", 120),
        (" 7 ", 7),
        ("soon", None),
        ("-1", None),
        ("1.5", None),
        ("", None),
    ],
)
def test_retry_after_in_seconds(header: str | None, seconds: float | None) -> None:
    assert seconds_of(header) == seconds


def test_retry_after_as_a_date() -> None:
    later = datetime.now(UTC) + timedelta(seconds=90)
    found = seconds_of(format_datetime(later, usegmt=True))
    assert found is not None
    assert 60 < found <= 90
    assert seconds_of("Wed, 21 Oct 2015 07:28:00 GMT") == 0


def test_each_wait_is_longer_up_to_a_limit_and_never_sooner_than_asked() -> None:
    backoff = Backoff()
    waits = [backoff.next() for _ in range(2000)]
    for number, wait in enumerate(waits[:9]):
        assert 0.05 * 2**number <= wait <= min(0.1 * 2**number, 30)
    assert all(15 <= wait <= 30 for wait in waits[9:])
    assert len(set(waits[9:])) > 1900
    assert backoff.next(100) > 100
    assert backoff.next(10**9) <= MOST_RETRY_AFTER_SECONDS + 30
    backoff.reset()
    assert backoff.next() <= 0.1


@pytest.fixture
def counting(shop: LyingShop, monkeypatch: pytest.MonkeyPatch) -> None:
    """For the feed, each question takes 0.15 seconds, however long it took on this machine."""
    clock = SimpleNamespace(monotonic=lambda: 0.15 * len(shop.asked))
    monkeypatch.setattr(feed_module, "time", clock)


async def test_patience_can_end(shop: LyingShop, counting: None) -> None:
    shop.lies += [refuses(500)] * 100
    with pytest.raises(ApiError, match="Busy"):
        await given(OrderFeed(shop.url, KEY, patience_seconds=0.3))
    assert len(shop.asked) == 2


async def test_patience_ends_where_nobody_can_be_reached() -> None:
    with pytest.raises(UnreachableError, match="no server can be reached"):
        await given(OrderFeed("http://127.0.0.1:1", KEY, patience_seconds=0.1))


async def test_a_wait_that_is_too_long_for_the_patience_is_not_begun(shop: LyingShop) -> None:
    shop.lies += [refuses(503, "busy", Retry_After="60")]
    with pytest.raises(ApiError):
        await asyncio.wait_for(given(OrderFeed(shop.url, KEY, patience_seconds=50)), 40)


async def test_patience_begins_anew_with_each_answer(shop: LyingShop, counting: None) -> None:
    shop.events = orders(1, 4)
    for number in range(1, 4):
        shop.lies += [refuses(500), refuses(500), gives(*orders(number, number), more=True)]
    assert await given(OrderFeed(shop.url, KEY, follow=False, patience_seconds=0.6)) == [1, 2, 3, 4]


async def test_a_server_that_was_away_is_found_again() -> None:
    found: list[int] = []

    async def seen(number: int) -> None:
        async def look() -> bool:
            return number in found

        await eventually(look, f"order {number} has come")

    with ReservedPort() as reserved:
        async with lying_shop(reserved.port) as first:
            first.events = orders(1, 2)
            consumer = asyncio.create_task(given(OrderFeed(first.url, KEY, wait_seconds=1), found))
            await seen(2)
        async with lying_shop(reserved.port) as second:
            second.events = orders(1, 4)
            await seen(4)
        consumer.cancel()
    assert found == [1, 2, 3, 4]


async def test_a_server_that_does_not_wait_is_not_asked_without_end(shop: LyingShop) -> None:
    """The lying shop never waits for orders."""
    feed = asyncio.create_task(given(OrderFeed(shop.url, KEY, wait_seconds=60)))

    async def again() -> bool:
        return len(shop.asked) > 1

    await eventually(again, "it asks again")
    await asyncio.sleep(0.5)
    assert len(shop.asked) < 10
    feed.cancel()


async def test_cancelled_while_it_waits(shop: LyingShop) -> None:
    shop.events = orders(1, 1)
    found: list[int] = []
    consumer = asyncio.create_task(given(OrderFeed(shop.url, KEY), found))

    async def look() -> bool:
        return len(shop.asked) > 1

    await eventually(look, "the first order was given, and the next asked for")
    consumer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await consumer
    assert found == [1]


async def test_left_in_the_middle_it_leaves_nothing_open(shop: LyingShop) -> None:
    """What is left open warns when it is collected, and warnings are errors here."""
    shop.events = orders(1, 3)
    async for each in OrderFeed(shop.url, KEY):
        assert each.sequence == 1
        break
    await asyncio.sleep(0)
    async for page in OrderFeed(shop.url, KEY).pages():
        assert len(page) == 3
        break
    await asyncio.sleep(0)
