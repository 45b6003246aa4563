"""A consumer's own books, and what is said when they are not those of the shop."""

from typing import Any, cast

import pytest

from flashsale.client import Books, Order, OrderFeed, OrdersSummary
from tests.client.lying_shop import KEY, SALE, LyingShop, order


async def given(shop: LyingShop, *events: dict[str, Any]) -> list[Order]:
    shop.events = list(events)
    return [each async for each in OrderFeed(shop.url, KEY, follow=False)]


def summary_of(books: Books, **changes: Any) -> OrdersSummary:
    """A summary that agrees, but for the changes."""
    own = books.tally(SALE)
    whole = {
        "sale": SALE,
        "sequence": own.sequence,
        "confirmed": {"count": own.confirmed, "amount": own.confirmed_amount},
        "refunded": {"count": own.refunded, "amount": own.refunded_amount},
        "digest": own.digest,
        **changes,
    }
    return cast("OrdersSummary", whole)


async def test_sums_of_what_was_added(shop: LyingShop) -> None:
    books = Books()
    for each in await given(shop, order(1), order(2), order(3, undone=1)):
        books.add(each)
    own = books.tally(SALE)
    assert (own.sequence, own.confirmed, own.refunded) == (3, 2, 1)
    assert (own.confirmed_amount, own.refunded_amount, own.currency) == (200, 100, "CNY")
    assert books.differences(summary_of(books)) == []
    assert books.tally("levante").sequence == 0


async def test_sums_can_be_kept_and_gone_on_from(shop: LyingShop) -> None:
    first, second = await given(shop, order(1), order(2))
    whole, later = Books(), Books({SALE: Books().add(first)})
    for each in (first, second):
        whole.add(each)
    later.add(second)
    assert later.tally(SALE) == whole.tally(SALE)


async def test_nothing_is_left_out_or_added_twice(shop: LyingShop) -> None:
    first, second, third = await given(shop, order(1), order(2), order(3))
    books = Books()
    books.add(first)
    for wrong in (first, third):
        with pytest.raises(ValueError, match="number 1 was the last"):
            books.add(wrong)
    books.add(second)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sequence": 5}, "the last order here is number 2, that of the shop 5"),
        ({"confirmed": {"count": 3, "amount": 200}}, "orders made: 2 here, 3 in the shop"),
        ({"confirmed": {"count": 2, "amount": 300}}, "paid for them: 200 here, 300 in the shop"),
        ({"refunded": {"count": 1, "amount": 0}}, "orders undone: 0 here, 1 in the shop"),
        ({"refunded": {"count": 0, "amount": 5}}, "given back for them: 0 here, 5 in the shop"),
        ({"digest": "another"}, "another in the shop"),
    ],
)
async def test_each_difference_is_named(shop: LyingShop, changes: dict[str, Any], said: str) -> None:
    books = Books()
    for each in await given(shop, order(1), order(2)):
        books.add(each)
    (difference,) = books.differences(summary_of(books, **changes))
    assert difference.startswith(f"{SALE}: ")
    assert said in difference
