"""The order of refusals: where several would do, the one that comes first in the table is the answer."""

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import pytest

from tests.support_http.client import Shop, instant, lines, new_sale_id, token, untouched

ORDER = (
    "too_large",
    "unsupported_media_type",
    "malformed",
    "invalid",
    "unauthenticated",
    "replayed",
    "idempotency_mismatch",
    "unknown_sale",
    "unknown_item",
    "not_open",
    "paused",
    "closed",
    "limit_reached",
    "sold_out",
)
"""What the caller gets wrong comes first, what the sale says after that."""

STATUS = {
    "too_large": 413,
    "unsupported_media_type": 415,
    "malformed": 400,
    "invalid": 422,
    "unauthenticated": 401,
    "replayed": 200,
    "idempotency_mismatch": 422,
    "unknown_sale": 404,
    "unknown_item": 404,
    "not_open": 409,
    "paused": 409,
    "closed": 410,
    "limit_reached": 409,
    "sold_out": 409,
}

IMPOSSIBLE = {
    frozenset(pair)
    for pair in (
        ("malformed", "invalid"),  # what is no JSON has no fields
        ("malformed", "unknown_item"),
        ("invalid", "idempotency_mismatch"),  # a payload that cannot be is never compared
        ("replayed", "idempotency_mismatch"),  # the payload is the same or it is not
        ("replayed", "unknown_sale"),  # nothing was reserved in a sale that is not there
        ("replayed", "unknown_item"),  # nor of an item
        ("replayed", "not_open"),  # nor before the opening
        ("idempotency_mismatch", "unknown_sale"),
        ("idempotency_mismatch", "not_open"),
        ("unknown_sale", "unknown_item"),  # a sale that is not there has no items, no state and no stock
        ("unknown_sale", "not_open"),
        ("unknown_sale", "paused"),
        ("unknown_sale", "closed"),
        ("unknown_sale", "limit_reached"),
        ("unknown_sale", "sold_out"),
        ("paused", "closed"),  # one state at a time
        ("not_open", "closed"),
    )
}

PAIRS = [pair for pair in combinations(ORDER, 2) if frozenset(pair) not in IMPOSSIBLE]


@dataclass
class Situation:
    """A sale, and a request to reserve in it, in which all of `wrong` hold."""

    wrong: frozenset[str]

    async def ask(self, shop: Shop) -> Any:
        wrong, sale = self.wrong, new_sale_id()
        limit = 5 if "limit_reached" in wrong else None
        stock = 5 if "sold_out" in wrong else 50
        opens_at = instant(3600) if "not_open" in wrong else instant(-60)
        (await shop.define(sale, stock=stock, limit_per_customer=limit, opens_at=opens_at)).must(201)
        keyed = bool(wrong & {"replayed", "idempotency_mismatch"})
        scarce = bool(wrong & {"limit_reached", "sold_out"})
        reserved = lines(quantity=5 if scarce else 2)
        if "not_open" not in wrong:
            (await shop.reserve(sale, "c-1", lines("none"))).refused(
                404, "unknown_item"
            )  # its opening is a fact
            if keyed or "limit_reached" in wrong:
                (await shop.reserve(sale, "c-1", reserved, key="k" if keyed else None)).must(201)
            left = (await shop.view(sale))["items"][0]["available"]
            if "sold_out" in wrong and left:
                (await shop.reserve(sale, "c-2", lines(quantity=left))).must(201)
        for verb, state in (("pause", "paused"), ("close", "closed")):
            if state in wrong:
                (await shop.steer(sale, verb)).must(200)
        async with untouched(shop, sale):
            return await shop.reserve(
                "no-such-sale" if "unknown_sale" in wrong else sale,
                "c-1",
                reserved
                if "replayed" in wrong and "invalid" not in wrong
                else self._body(6 if scarce else 3),
                key="k" if keyed else None,
                data=self._data(),
                content_type="text/plain" if "unsupported_media_type" in wrong else "application/json",
                bearer=token("c-1", exp=1) if "unauthenticated" in wrong else token("c-1"),
            )

    def _body(self, quantity: int) -> Any:
        """A request for what was not reserved before, with the faults asked for."""
        sku = "stelvio" if "unknown_item" in self.wrong else "giulia"
        return lines(sku, 0 if "invalid" in self.wrong else quantity)

    def _data(self) -> bytes | None:
        if "too_large" in self.wrong:
            return b" " * (64 * 1024 + 1)
        return b"{" if "malformed" in self.wrong else None


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
async def test_the_first_of_two_is_the_answer(shop: Shop, pair: tuple[str, str]) -> None:
    answer = await Situation(frozenset(pair)).ask(shop)
    if pair[0] == "replayed":
        answer.must(200)
    else:
        answer.refused(STATUS[pair[0]], pair[0])


@pytest.mark.parametrize("single", ORDER)
async def test_each_alone(shop: Shop, single: str) -> None:
    answer = await Situation(frozenset({single})).ask(shop)
    if single == "replayed":
        answer.must(200)
    else:
        answer.refused(STATUS[single], single)


async def test_a_sale_that_was_closed_before_it_opened_is_closed(shop: Shop) -> None:
    sale = new_sale_id()
    (await shop.define(sale, opens_at=instant(3600))).must(201)
    (await shop.steer(sale, "close")).must(200)
    async with untouched(shop, sale):
        (await shop.reserve(sale, "c-1")).refused(410, "closed")


async def test_forbidden_comes_before_unknown(shop: Shop, sale: str) -> None:
    for path in ("stats", "audit"):
        (await shop.ask("GET", f"/v1/sales/no-such-sale/{path}", bearer="nobody")).refused(
            401, "unauthenticated"
        )
    (await shop.steer("no-such-sale", "close", bearer=token("c-1"))).refused(401, "unauthenticated")
    (await shop.ask("GET", "/v1/reservations/none", bearer="nobody")).refused(401, "unauthenticated")
