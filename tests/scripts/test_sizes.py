"""The largest calls that settings and definitions allow: Lua's stack holds 8,000 values, and every call must fit."""

import pytest

from flashsale.scripts.reserve import Claim, Held, Refused, Replayed
from tests.support.sales import claim
from tests.support.shop import Shop

MOST_CLAIMS = 1000  # FLASHSALE_BATCH_LIMIT allows no more


def of_ten_lines(number: int, key: str | None) -> Claim:
    return claim(f"customer {number}", *[(f"item-{n}", 1) for n in range(10)], key=key)


async def test_the_settings_allow_no_larger_batch() -> None:
    from flashsale.settings import Settings  # noqa: PLC0415

    limits = Settings.model_fields["batch_limit"].metadata
    assert [getattr(limit, "le", None) for limit in limits if hasattr(limit, "le")] == [MOST_CLAIMS]


@pytest.mark.parametrize("key", [None, "key"])
async def test_a_thousand_claims_of_one_unit(shop: Shop, key: str | None) -> None:
    await shop.open({"car": MOST_CLAIMS - 1}, limit=1, hold_seconds=10)
    claims = [claim(f"customer {n}", key=key) for n in range(MOST_CLAIMS)]
    decisions = await shop.reserve(*claims)
    assert [type(decision) for decision in decisions] == [Held] * (MOST_CLAIMS - 1) + [Refused]
    again = await shop.reserve(*claims)
    assert {type(decision) for decision in again[:-1]} == {Refused if key is None else Replayed}
    assert type(again[-1]) is Refused
    shop.clock.advance(10)
    assert (await shop.expire(limit=1000)).expired == MOST_CLAIMS - 1


@pytest.mark.parametrize("key", [None, "key"])
async def test_a_thousand_claims_of_ten_lines(shop: Shop, key: str | None) -> None:
    await shop.open({f"item-{n}": MOST_CLAIMS for n in range(10)}, limit=10, hold_seconds=10)
    decisions = await shop.reserve(*[of_ten_lines(n, key) for n in range(MOST_CLAIMS)])
    assert {type(decision) for decision in decisions} == {Held}
    shop.clock.advance(10)
    # All of them are overdue; each of these claims has to take some back.
    decisions = await shop.reserve(*[of_ten_lines(n, None) for n in range(MOST_CLAIMS)])
    assert {type(decision) for decision in decisions} == {Held}
    assert (await shop.state()).holds == MOST_CLAIMS


async def test_a_thousand_claims_of_a_thousand_items(shop: Shop) -> None:
    await shop.open({f"item-{n}": 1 for n in range(1000)}, item_limits={"item-999": 1})
    decisions = await shop.reserve(*[claim(f"c{n}", (f"item-{n}", 1)) for n in range(1000)])
    assert {type(decision) for decision in decisions} == {Held}
    decisions = await shop.reserve(*[claim(f"d{n}", (f"item-{n}", 1)) for n in range(1000)])
    assert {decision.sku for decision in decisions if isinstance(decision, Refused)} == {
        f"item-{n}" for n in range(1000)
    }


async def test_a_thousand_claims_of_one_customer(shop: Shop) -> None:
    await shop.open({"car": 5000}, item_limits={"car": MOST_CLAIMS})
    decisions = await shop.reserve(*[claim("ann", key=f"{n}") for n in range(MOST_CLAIMS)])
    assert {type(decision) for decision in decisions} == {Held}
    entries = await shop.entries("ann")
    assert len(entries) == MOST_CLAIMS
    look = await shop.look(tokens=[entry.token for entry in entries])
    assert all(look.reservations)
    assert type((await shop.reserve(claim("ann")))[0]) is Refused
