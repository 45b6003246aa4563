"""The opening is recorded by whichever script comes first, whatever that script then decides."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.support.sales import OPENS_MS, definition
from tests.support.shop import Shop

UNKNOWN = "x" * 16

FIRST: dict[str, Callable[[Shop], Awaitable[Any]]] = {
    "expire": lambda shop: shop.expire(),
    "reserve": lambda shop: shop.hold("bob"),
    "reserve, refused": lambda shop: shop.refusal("bob", ("no", 1)),
    "cancel of nothing": lambda shop: shop.cancel(UNKNOWN),
    "extend of nothing": lambda shop: shop.extend(UNKNOWN, 1),
    "restock": lambda shop: shop.restock("car", 1),
    "restock of nothing": lambda shop: shop.restock("no", 1),
    "pause": lambda shop: shop.set_state("pause"),
    "resume of an open sale": lambda shop: shop.set_state("resume"),
    "close": lambda shop: shop.set_state("close"),
    "the same definition": lambda shop: shop.define(definition({"car": 3})),
    "another definition": lambda shop: shop.define(definition({"car": 4})),
}


@pytest.mark.parametrize("first", FIRST)
async def test_it_is_recorded_once_and_the_journal_goes_on_without_a_gap(shop: Shop, first: str) -> None:
    shop.clock.now_ms = OPENS_MS - 1000
    await shop.open({"car": 3})
    assert "sale.opened" not in await shop.fact_types()
    shop.clock.now_ms = OPENS_MS
    await FIRST[first](shop)
    assert (await shop.state()).opened
    # The next change, in this millisecond or a later one, has the next number.
    await shop.restock("car", 1)
    shop.clock.advance(1)
    await shop.restock("car", 1)
    facts = await shop.facts()
    assert [fact.seq for fact in facts] == list(range(1, len(facts) + 1))
    assert [fact.type for fact in facts].count("sale.opened") == 1
    assert (await shop.state()).seq == len(facts)


async def test_it_carries_the_definition_in_force(shop: Shop) -> None:
    shop.clock.now_ms = OPENS_MS - 1000
    await shop.open({"car": 3})
    second = definition({"car": 4}, limit=2)
    await shop.define(second)
    shop.clock.advance(1)
    await shop.expire()
    (opened,) = [fact for fact in await shop.facts() if fact.type == "sale.opened"]
    assert opened.data == second.canonical()
    assert opened.at_ms == OPENS_MS


async def test_a_refused_claim_may_be_what_records_it(shop: Shop) -> None:
    await shop.open({"car": 0})
    await shop.refusal("ann")
    assert (await shop.fact_types())[-1] == "sale.opened"
