"""Every outcome of a reservation, on connections that stay open, told alike by both lanes: places and all."""

import json

from tests.lane.pair import Pair
from tests.lane.plain import Request, get
from tests.lane.wire import Conversation
from tests.support_http.bad_requests import LINE
from tests.support_http.client import instant, lines, token

STELVIO = {"sku": "stelvio", "quantity": 1}


def body(*items: object) -> bytes:
    return json.dumps({"items": items}).encode()


def reserve(sale: str, customer: str, *items: object, key: str | None = None) -> bytes:
    """A reservation of one unit, or of these lines."""
    request = Request.plain(sale, customer, body=body(*(items or (LINE,))))
    return bytes(request.more(b"Idempotency-Key: " + key.encode()) if key is not None else request)


def mine(sale: str, customer: str) -> bytes:
    return get(f"/v1/sales/{sale}/reservations/mine", b"Authorization: Bearer " + token(customer).encode())


async def test_a_sale_until_it_is_sold_out(pair: Pair) -> None:
    items = [
        {"sku": "giulia", "price": 33_000_000, "stock": 5, "limit_per_customer": 2},
        {"sku": "stelvio", "price": 1, "stock": 5},
    ]
    async with pair.sold(items=items) as sale:
        two, three = {**LINE, "quantity": 2}, {**STELVIO, "quantity": 3}
        story = [
            Conversation.of("held", reserve(sale, "a")),
            Conversation.of("replayed", reserve(sale, "b", key="k"), reserve(sale, "b", key="k"), mine(sale, "b")),
            Conversation.of("another payload", reserve(sale, "b", two, key="k")),
            Conversation.of("another customer, the same key", reserve(sale, "c", STELVIO, key="k")),
            Conversation.of("over the limit", reserve(sale, "a", two), reserve(sale, "a"), reserve(sale, "a")),
            Conversation.of("two lines of one item", reserve(sale, "d", STELVIO, STELVIO)),
            Conversation.of("all or nothing", reserve(sale, "d", LINE, three)),
            Conversation.of("unknown beside known", reserve(sale, "e", LINE, {"sku": "none", "quantity": 1})),
            Conversation.of("the last ones", reserve(sale, "e", LINE, STELVIO), reserve(sale, "f", LINE, STELVIO)),
            *(Conversation.of(f"sold out, {n}", reserve(sale, "g"), reserve(sale, "g", key=f"k{n}")) for n in range(5)),
            Conversation.of("what is left of none", reserve(sale, "g", LINE, STELVIO)),
            Conversation.of("replayed when sold out", reserve(sale, "b", key="k")),
            Conversation.of("everybody's", *(mine(sale, each) for each in "abcdefg")),
        ]  # fmt: skip
        await pair.must_agree_in_turn(story)


async def test_a_sale_through_its_states(pair: Pair) -> None:
    async with pair.sold(stock=10) as sale:

        def all_kinds(state: str) -> list[Conversation]:
            return [
                Conversation.of(f"{state}: new", reserve(sale, "a"), reserve(sale, "a", key=state)),
                Conversation.of(f"{state}: replayed", reserve(sale, "a", key="k")),
                Conversation.of(f"{state}: mismatch", reserve(sale, "a", {**LINE, "quantity": 2}, key="k")),
                Conversation.of(f"{state}: unknown", reserve(sale, "a", STELVIO)),
                Conversation.of(f"{state}: invalid", reserve(sale, "a", {})),
                Conversation.of(f"{state}: too many", reserve(sale, "a", {**LINE, "quantity": 100})),
            ]

        await pair.must_agree_in_turn(
            [Conversation.of("first", reserve(sale, "a", key="k")), *all_kinds("open")]
        )
        await pair.put("POST", f"/v1/sales/{sale}/pause")
        await pair.must_agree_in_turn(all_kinds("paused"))
        await pair.put("POST", f"/v1/sales/{sale}/resume")
        await pair.must_agree_in_turn(all_kinds("resumed"))
        await pair.put("POST", f"/v1/sales/{sale}/items/giulia/restock", {"units": 200})
        await pair.must_agree_in_turn(all_kinds("restocked"))
        await pair.put("POST", f"/v1/sales/{sale}/close")
        await pair.must_agree_in_turn(all_kinds("closed"))


async def test_a_sale_that_is_yet_to_open(pair: Pair) -> None:
    # Hours away, so that Retry-After is the most it can be.
    async with pair.sold(opens_at=instant(7200)) as sale:
        story = [
            Conversation.of(
                "not open", reserve(sale, "a"), reserve(sale, "a", key="k"), reserve(sale, "a", STELVIO)
            )
        ]
        await pair.must_agree_in_turn(story)


async def test_a_sale_whose_definition_changes(pair: Pair) -> None:
    sale = await pair.sale(opens_at=instant(7200))
    await pair.must_agree_in_turn([Conversation.of("before", reserve(sale, "a"))])
    await pair.put("PUT", f"/v1/sales/{sale}", _definition(price=7, opens_at=instant(-60)))
    await pair.must_agree_in_turn([Conversation.of("after", reserve(sale, "a"), reserve(sale, "b", STELVIO))])
    seen = await pair.counters(sale)
    assert seen["ours"] == seen["reference"]
    assert seen["ours"]["reservations"] == 2


def _definition(*, price: int, opens_at: str) -> dict[str, object]:
    items = [{"sku": sku, "price": price, "stock": 5} for sku in ("giulia", "stelvio")]
    return {"title": "Changed", "opens_at": opens_at, "currency": "EUR", "items": items}


async def test_one_that_can_be_paid_for(pair: Pair) -> None:
    terms = {"methods": ["card", "alipay"], "deposit_percent": 10, "instalments": 36}
    async with pair.sold(payment=terms) as sale:
        story = [
            Conversation.of("held", reserve(sale, "a", key="k")),
            Conversation.of("replayed", reserve(sale, "a", key="k"), reserve(sale, "a", key="k")),
            Conversation.of("more", reserve(sale, "b", {**LINE, "quantity": 3})),
        ]
        await pair.must_agree_in_turn(story)


async def test_the_first_fault_of_several_is_the_answer(pair: Pair) -> None:
    async with pair.sold(stock=1) as sale:
        faults: dict[str, dict[str, bytes | None]] = {
            "type": {"content_type": b"Content-Type: text/plain"},
            "token": {"authorization": b"Authorization: Bearer x"},
            "nobody": {"authorization": None},
        }
        bodies = [
            b"{",
            b"{}",
            b" " * 70_000,
            json.dumps(lines("none")).encode(),
            json.dumps(lines(quantity=9)).encode(),
        ]
        story = []
        for name, changes in faults.items():
            for wrong in bodies:
                for where in (sale, "no-such-sale"):
                    for key in (None, b"", b"k"):
                        request = Request.plain(where, "a", body=wrong).but(**changes)
                        more = () if key is None else (b"Idempotency-Key: " + key,)
                        story.append(
                            Conversation.of(f"{name}, {wrong[:10]!r}, {key!r}", bytes(request.more(*more)))
                        )
        await pair.must_agree(story)
