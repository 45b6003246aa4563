"""Defining a sale, and defining it anew until it has opened."""

from collections.abc import Mapping

import pytest

from flashsale.model.outcomes import OpenSale, Reserve, Restock
from tests.support.sales import OPENS_MS, definition
from tests.support.shop import Shop

EARLY = OPENS_MS - 60_000


@pytest.fixture
def early(shop: Shop) -> Shop:
    """The shop a minute before its sale opens."""
    shop.clock.now_ms = EARLY
    return shop


async def restocked(shop: Shop) -> list[tuple[str, int, str]]:
    return [fact.restocked() for fact in await shop.facts() if fact.type == "item.restocked"]


async def test_a_sale_is_created_with_all_its_terms(early: Shop) -> None:
    terms = definition(
        {"car": 3, "bus": 0},
        limit=2,
        item_limits={"bus": 1},
        hold_seconds=60,
        closes_ms=OPENS_MS + 9,
    )
    assert await early.define(terms) is OpenSale.CREATED
    state = await early.state()
    assert (state.state, state.public_state, state.opened, state.version) == (
        "open",
        "scheduled",
        False,
        early.now_ms,
    )
    assert (state.opens_ms, state.closes_ms, state.limit, state.hold_ms) == (
        OPENS_MS,
        OPENS_MS + 9,
        2,
        60_000,
    )
    assert [(item.sku, item.stock, item.available, item.held, item.sold) for item in state.stock] == [
        ("car", 3, 3, 0, 0),
        ("bus", 0, 0, 0, 0),
    ]
    assert await restocked(early) == [("car", 3, "defined"), ("bus", 0, "defined")]
    stored = await early.sale_store.definition(early.sale)
    assert stored is not None
    assert (stored.definition, stored.version) == (terms, early.now_ms)
    assert await early.sale_store.sale_ids() == [early.sale]


async def test_the_same_definition_again_changes_nothing(early: Shop) -> None:
    await early.open({"car": 3})
    before = await early.snapshot()
    assert await early.define(definition({"car": 3})) is OpenSale.SAME
    assert await early.snapshot() == before
    # Another way to write the same.
    assert await early.define(definition({"car": 3}, limit=None)) is OpenSale.SAME


@pytest.mark.parametrize(
    ("first", "second", "facts"),
    [
        ({"car": 3}, {"car": 5}, [("car", 2, "defined")]),
        ({"car": 3}, {"car": 1}, [("car", -2, "defined")]),
        ({"car": 3}, {"bus": 4}, [("bus", 4, "defined"), ("car", -3, "defined")]),
        ({"car": 3, "bus": 1, "van": 2}, {"bus": 1}, [("car", -3, "defined"), ("van", -2, "defined")]),
        ({"car": 3}, {"car": 3, "bus": 0}, [("bus", 0, "defined")]),
        ({"car": 3, "bus": 0}, {"car": 3}, [("bus", 0, "defined")]),
        ({"car": 0}, {"car": 2}, [("car", 2, "defined")]),
    ],
)
async def test_another_definition_replaces_the_first_before_it_opens(
    early: Shop, first: Mapping[str, int], second: Mapping[str, int], facts: list[tuple[str, int, str]]
) -> None:
    await early.open(first)
    version = (await early.state()).version
    assert await early.define(definition(second, limit=1)) is OpenSale.REDEFINED
    state = await early.state()
    assert (state.version, state.limit) == (version + 1, 1)
    assert {item.sku: (item.stock, item.available) for item in state.stock} == {
        sku: (units, units) for sku, units in second.items()
    }
    assert (await restocked(early))[len(first) :] == facts
    # The books add up after the opening as well, and each item can be sold and restocked.
    early.clock.now_ms = OPENS_MS
    for number, (sku, units) in enumerate(second.items()):
        if units:
            await early.hold(f"c{number}", (sku, 1))
        assert await early.restock(sku, 1) is Restock.DONE


async def test_an_item_may_go_and_come_back(early: Shop) -> None:
    await early.open({"car": 3, "bus": 2})
    for stock in ({"car": 3}, {"car": 3, "bus": 5}, {"bus": 1}, {"car": 7, "bus": 1}):
        assert await early.define(definition(stock)) is OpenSale.REDEFINED
    assert (await early.stock("car")).stock == 7


async def test_what_was_restocked_before_the_opening_is_replaced_too(early: Shop) -> None:
    await early.open({"car": 3})
    await early.restock("car", 4)
    assert await early.define(definition({"car": 5})) is OpenSale.REDEFINED
    assert (await early.stock("car")).stock == 5
    assert await restocked(early) == [("car", 3, "defined"), ("car", 4, "found"), ("car", -2, "defined")]


async def test_a_pause_outlives_a_redefinition(early: Shop) -> None:
    await early.open({"car": 3})
    await early.set_state("pause")
    assert await early.define(definition({"car": 5})) is OpenSale.REDEFINED
    early.clock.now_ms = OPENS_MS
    assert await early.refused("ann") is Reserve.PAUSED


async def test_the_opening_may_be_moved_until_it_has_come(early: Shop) -> None:
    await early.open({"car": 3})
    assert await early.define(definition({"car": 3}, opens_ms=OPENS_MS + 5000)) is OpenSale.REDEFINED
    early.clock.now_ms = OPENS_MS + 4999
    assert await early.refused("ann") is Reserve.NOT_OPEN
    assert await early.define(definition({"car": 3}, opens_ms=OPENS_MS)) is OpenSale.REDEFINED
    await early.hold("ann")


@pytest.mark.parametrize("late_ms", [0, 1, 60_000])
async def test_another_definition_after_the_opening_is_refused(early: Shop, late_ms: int) -> None:
    await early.open({"car": 3})
    early.clock.now_ms = OPENS_MS + late_ms
    await early.expire()  # puts the opening into the journal
    before = await early.snapshot()
    assert await early.define(definition({"car": 4})) is OpenSale.ALREADY_OPENED
    assert await early.define(definition({"car": 3})) is OpenSale.SAME
    assert await early.snapshot() == before


async def test_another_definition_after_it_was_closed_is_refused(early: Shop) -> None:
    await early.open({"car": 3})
    await early.set_state("close")
    assert await early.define(definition({"car": 4})) is OpenSale.ALREADY_OPENED


async def test_a_sale_of_1000_items_can_be_defined_redefined_and_bought(early: Shop) -> None:
    await early.open({f"item-{n}": n for n in range(1000)})
    assert await early.define(definition({f"item-{n}": n for n in range(500, 1500)})) is OpenSale.REDEFINED
    early.clock.now_ms = OPENS_MS
    held = await early.hold("ann", *[(f"item-{n}", n // 100) for n in range(500, 1500, 100)])
    assert held.units == sum(range(5, 15))
    state = await early.state()
    assert len(state.stock) == 1000
    assert sum(item.held for item in state.stock) == held.units


async def test_a_sale_may_become_a_rehearsal_and_cease_to_be_one_until_it_opens(early: Shop) -> None:
    async def mark() -> tuple[bool, bool]:
        found = (await early.sale_store.marks([early.sale]))[early.sale]
        return found.rehearsal, found.settled

    assert await mark() == (False, False)
    assert await early.define(definition({"car": 3}, rehearsal=True)) is OpenSale.CREATED
    assert await mark() == (True, False)
    assert await early.define(definition({"car": 3}, rehearsal=True)) is OpenSale.SAME
    assert await early.define(definition({"car": 3})) is OpenSale.REDEFINED
    assert await mark() == (False, False)
    assert await early.define(definition({"car": 3}, rehearsal=True)) is OpenSale.REDEFINED
    early.clock.now_ms = OPENS_MS
    await early.hold("ann")
    assert await early.define(definition({"car": 3})) is OpenSale.ALREADY_OPENED
    assert await mark() == (True, True)
