"""What `reserve` grants and refuses, in order of precedence; a refused claim leaves everything as it was."""

import itertools
from collections.abc import Awaitable, Callable

import pytest

from flashsale.model.ids import new_tokens
from flashsale.model.outcomes import Reserve
from flashsale.model.reservation import State, pack_record
from flashsale.scripts.reserve import Claim, Held, Refused, Replayed
from tests.support.sales import OPENS_MS, claim
from tests.support.shop import Shop

ODD_NAMES = ["", " ", "\0", "}", "{a}", "*", "é", "Ł\u0301", "🏎️", "a\nb", "fs:sales", "0", "-1", "x" * 10_240]


async def granted(shop: Shop, *claims: Claim) -> list[int]:
    """The places of claims that must all be granted."""
    decisions = await shop.reserve(*claims)
    assert all(type(decision) is Held for decision in decisions), decisions
    return [decision.reservation.place for decision in decisions if type(decision) is Held]


async def test_a_hold_moves_a_unit_and_is_written_down(shop: Shop) -> None:
    await shop.open({"car": 3}, hold_seconds=60)
    wanted = claim("ann", ("car", 2))
    (decision,) = await shop.reserve(wanted)
    assert isinstance(decision, Held)
    held = decision.reservation
    assert (held.token, held.customer, held.lines, held.place) == (wanted.token, "ann", (("car", 2),), 1)
    assert (held.state, held.held_ms, held.held_until_ms) == (State.HELD, OPENS_MS, OPENS_MS + 60_000)
    look = await shop.look(customers=["ann"], tokens=[held.token])
    assert look.reservations == (held,)
    assert look.ends_ms == (held.held_until_ms,)
    assert [(entry.token, entry.units) for entry in look.entries[0]] == [(held.token, 2)]
    stock = await shop.stock()
    assert (stock.stock, stock.available, stock.held, stock.sold) == (3, 1, 2, 0)
    facts = await shop.facts()
    assert [fact.type for fact in facts] == ["item.restocked", "sale.opened", "reservation.held"]
    assert facts[-1].held() == held
    assert (await shop.store.redis.hget(shop.keys.reservations, held.token)) == pack_record(held)


@pytest.mark.parametrize("name", ODD_NAMES)
async def test_no_customer_id_corrupts_anything(shop: Shop, name: str) -> None:
    await shop.open({"car": 4}, limit=2)
    held = await shop.hold(name)
    other = await shop.hold(name + "~", ("car", 2))
    look = await shop.look(customers=[name, name + "~"], tokens=[held.token, other.token])
    assert [reservation and reservation.customer for reservation in look.reservations] == [name, name + "~"]
    assert [entries[0].token for entries in look.entries] == [held.token, other.token]
    assert (await shop.refusal(name, ("car", 2))).outcome is Reserve.LIMIT_REACHED


@pytest.mark.parametrize(
    "sku", ["}", "{a}", "*", "é", "🏎️", "available:car", "a:b:c", "stock:", "%", "\\", "x" * 64]
)
async def test_no_sku_corrupts_anything(shop: Shop, sku: str) -> None:
    await shop.open({sku: 2, "car": 2})
    await shop.hold("ann", (sku, 1))
    await shop.hold("bob", (sku, 1), ("car", 1))
    assert (await shop.refusal("cem", (sku, 1))).sku == sku
    assert (await shop.stock(sku)).held == 2


async def test_places_seqs_and_records_are_right_in_batches_of_every_size(shop: Shop) -> None:
    """Past 100 facts and 256 places, and with names whose lengths MessagePack writes in one, two and three bytes."""
    await shop.open({"car": 2_000, "x" * 40: 10})
    numbers = itertools.count(1)
    held = []
    for size in (1, 31, 32, 33, 58, 100, 1, 144, 112, 300):
        names = [f"{number}".ljust(number % 600, ".") for number in itertools.islice(numbers, size)]
        skus = ["x" * 40 if size == 31 and number % 5 == 0 else "car" for number in range(size)]
        decisions = await shop.reserve(
            *[claim(name, (sku, 1)) for name, sku in zip(names, skus, strict=True)]
        )
        held += [decision.reservation for decision in decisions if type(decision) is Held]
        assert [reservation.customer for reservation in held[-size:]] == names
    assert [reservation.place for reservation in held] == list(range(1, 813))
    facts = await shop.facts(after=3)
    assert [fact.seq for fact in facts] == list(range(4, 816))
    assert [fact.held() for fact in facts] == held
    records = await shop.store.redis.hmget(shop.keys.reservations, [each.token for each in held])
    assert records == [pack_record(reservation) for reservation in held]


async def test_a_key_is_repeated_in_the_same_call(shop: Shop) -> None:
    await shop.open({"car": 3, "bus": 3}, limit=2)
    first, again = claim("ann", key="k"), claim("ann", key="k")
    other, many = claim("ann", ("bus", 1), key="k"), claim("ann", ("bus", 1), ("car", 1), key="k")
    decisions = await shop.reserve(first, again, other, many, claim("ann"))
    assert isinstance(decisions[0], Held)
    assert decisions[1] == Replayed(decisions[0].reservation, OPENS_MS)
    assert [each.outcome for each in decisions[2:4] if isinstance(each, Refused)] == [
        Reserve.IDEMPOTENCY_MISMATCH
    ] * 2
    assert isinstance(decisions[4], Held)


async def test_places_and_seqs_have_no_gaps(shop: Shop) -> None:
    await shop.open({"car": 3, "bus": 1})
    first = [claim("a"), claim("b", ("bus", 2)), claim("c", ("bus", 1)), claim("d", ("van", 1)), claim("e")]
    assert [type(decision) for decision in await shop.reserve(*first)] == [Held, Refused, Held, Refused, Held]
    assert await granted(shop, claim("f")) == [4]
    state = await shop.state()
    assert (state.place, state.seq) == (4, 7)  # two items defined, the opening, four holds
    assert [fact.seq for fact in await shop.facts()] == [1, 2, 3, 4, 5, 6, 7]


async def test_one_customer_twice_in_a_batch_is_counted_twice(shop: Shop) -> None:
    await shop.open({"car": 9}, limit=3)
    decisions = await shop.reserve(claim("ann"), claim("ann", ("car", 2)), claim("ann"), claim("bob"))
    assert [type(decision) for decision in decisions] == [Held, Held, Refused, Held]
    assert [entry.units for entry in await shop.entries("ann")] == [1, 2]


# --- replays ---


async def test_the_same_key_and_payload_is_answered_again(shop: Shop) -> None:
    await shop.open({"car": 3}, limit=1)
    held = await shop.hold("ann", key="k")
    before = await shop.snapshot()
    shop.clock.advance(1)
    (again,) = await shop.reserve(claim("ann", key="k"))
    assert again == Replayed(held, shop.now_ms)
    assert await shop.snapshot() == before


async def test_the_same_key_with_another_payload_is_a_mismatch(shop: Shop) -> None:
    await shop.open({"car": 3, "bus": 3})
    await shop.hold("ann", ("car", 1), key="k")
    before = await shop.snapshot()
    for lines in ([("car", 2)], [("bus", 1)], [("car", 1), ("bus", 1)]):
        assert await shop.refused("ann", *lines, key="k") is Reserve.IDEMPOTENCY_MISMATCH
    assert await shop.snapshot() == before


async def test_the_same_key_twice_in_one_batch_holds_once(shop: Shop) -> None:
    await shop.open({"car": 3, "bus": 3})
    one, two = claim("ann", key="k"), claim("ann", key="k")
    other = claim("ann", ("bus", 1), key="k")
    first, second, third = await shop.reserve(one, two, other)
    assert isinstance(first, Held)
    assert isinstance(second, Replayed)
    assert second.reservation == first.reservation
    assert isinstance(third, Refused)
    assert third.outcome is Reserve.IDEMPOTENCY_MISMATCH
    assert (await shop.stock()).held == 1


async def test_a_refused_key_is_decided_afresh(shop: Shop) -> None:
    await shop.open({"car": 0})
    decisions = await shop.reserve(claim("ann", key="k"), claim("ann", key="k"))
    assert [d.outcome for d in decisions if isinstance(d, Refused)] == [Reserve.SOLD_OUT] * 2
    await shop.restock("car", 1)
    await shop.hold("ann", key="k")


async def test_a_replay_tells_what_became_of_the_reservation(shop: Shop) -> None:
    await shop.open({"car": 3}, hold_seconds=10)
    cancelled = await shop.hold("ann", key="k")
    await shop.cancel(cancelled.token)
    (again,) = await shop.reserve(claim("ann", key="k"))
    assert isinstance(again, Replayed)
    assert again.reservation.state is State.CANCELLED
    await shop.hold("bob", key="k")
    shop.clock.advance(10)
    (overdue,) = await shop.reserve(claim("bob", key="k"))
    assert isinstance(overdue, Replayed)
    assert overdue.reservation.state_at(overdue.now_ms) is State.EXPIRED


# --- refusals ---

Arrange = Callable[[Shop], Awaitable[object]]


async def opened(shop: Shop) -> None:
    """One car and one bus left, three vans gone; ann holds a car of her two. The opening is in the journal."""
    await shop.open(
        {"car": 2, "bus": 1, "van": 0}, limit=2, item_limits={"bus": 1}, closes_ms=OPENS_MS + 60_000
    )
    await shop.hold("ann", ("car", 1), key="k")


async def closed(shop: Shop) -> None:
    await shop.set_state("close")


async def paused(shop: Shop) -> None:
    await shop.set_state("pause")


async def over(shop: Shop) -> None:
    shop.clock.advance(60)


async def early(shop: Shop) -> None:
    """No sale opens twice, but the clock of this test goes back."""
    shop.clock.advance(-60)


async def nothing(shop: Shop) -> None:
    """As it is."""


REFUSALS: dict[str, tuple[Arrange, Claim, Reserve]] = {
    "mismatch before closed": (closed, claim("ann", ("car", 2), key="k"), Reserve.IDEMPOTENCY_MISMATCH),
    "mismatch before unknown": (nothing, claim("ann", ("no", 1), key="k"), Reserve.IDEMPOTENCY_MISMATCH),
    "unknown item": (nothing, claim("bob", ("no", 1)), Reserve.UNKNOWN_ITEM),
    "unknown item among others": (nothing, claim("bob", ("car", 1), ("no", 1)), Reserve.UNKNOWN_ITEM),
    "unknown item before not open": (early, claim("bob", ("no", 1)), Reserve.UNKNOWN_ITEM),
    "unknown item before paused": (paused, claim("bob", ("no", 1)), Reserve.UNKNOWN_ITEM),
    "unknown item before closed": (closed, claim("bob", ("no", 1)), Reserve.UNKNOWN_ITEM),
    "not open": (early, claim("bob"), Reserve.NOT_OPEN),
    "not open before the limit": (early, claim("ann", ("car", 2)), Reserve.NOT_OPEN),
    "paused": (paused, claim("bob"), Reserve.PAUSED),
    "paused before the limit": (paused, claim("ann", ("car", 2)), Reserve.PAUSED),
    "paused before sold out": (paused, claim("bob", ("van", 1)), Reserve.PAUSED),
    "closed": (closed, claim("bob"), Reserve.CLOSED),
    "closed by the clock": (over, claim("bob"), Reserve.CLOSED),
    "closed before the limit": (closed, claim("ann", ("car", 2)), Reserve.CLOSED),
    "limit of the sale": (nothing, claim("bob", ("car", 3)), Reserve.LIMIT_REACHED),
    "limit of the sale with what is held": (nothing, claim("ann", ("car", 2)), Reserve.LIMIT_REACHED),
    "limit of the item": (nothing, claim("bob", ("bus", 2)), Reserve.LIMIT_REACHED),
    "limit before sold out": (nothing, claim("ann", ("van", 2)), Reserve.LIMIT_REACHED),
    "sold out": (nothing, claim("bob", ("van", 1)), Reserve.SOLD_OUT),
    "too few left": (nothing, claim("bob", ("car", 2)), Reserve.SOLD_OUT),
    "sold out among others": (nothing, claim("bob", ("bus", 1), ("van", 1)), Reserve.SOLD_OUT),
}


@pytest.mark.parametrize("case", REFUSALS)
async def test_a_refused_claim_writes_nothing(shop: Shop, case: str) -> None:
    arrange, wanted, outcome = REFUSALS[case]
    await opened(shop)
    await arrange(shop)
    before = await shop.snapshot()
    (decision,) = await shop.reserve(wanted)
    assert isinstance(decision, Refused)
    assert decision.outcome is outcome
    assert await shop.snapshot() == before


async def test_an_unknown_sale_is_said_before_everything_and_leaves_no_key(shop: Shop) -> None:
    decisions = await shop.reserve(claim("ann"), claim("bob", ("no", 1), key="k"))
    assert [d.outcome for d in decisions if isinstance(d, Refused)] == [Reserve.UNKNOWN_SALE] * 2
    assert await shop.store.redis.dbsize() == 0


async def test_a_sale_paused_before_it_opens_is_not_open_yet(shop: Shop) -> None:
    await shop.open({"car": 1}, opens_ms=OPENS_MS + 1000)
    await shop.set_state("pause")
    refusal = await shop.refusal("ann")
    assert (refusal.outcome, refusal.opens_ms) == (Reserve.NOT_OPEN, OPENS_MS + 1000)
    shop.clock.advance(1)
    assert await shop.refused("ann") is Reserve.PAUSED
    await shop.set_state("resume")
    await shop.hold("ann")


async def test_a_sale_closed_before_it_opens_is_closed(shop: Shop) -> None:
    await shop.open({"car": 1}, opens_ms=OPENS_MS + 1000)
    await shop.set_state("close")
    assert await shop.refused("ann") is Reserve.CLOSED
    shop.clock.advance(1)
    assert await shop.refused("ann") is Reserve.CLOSED


async def test_a_paused_sale_whose_time_is_over_is_closed(shop: Shop) -> None:
    await opened(shop)
    await shop.set_state("pause")
    shop.clock.advance(60)
    assert await shop.refused("bob") is Reserve.CLOSED


async def test_opening_and_closing_are_exact_to_the_millisecond(shop: Shop) -> None:
    await shop.open({"car": 9}, opens_ms=OPENS_MS + 5, closes_ms=OPENS_MS + 10)
    outcomes = []
    for _ in range(12):
        (decision,) = await shop.reserve(claim("c", ("car", 1)))
        outcomes.append(decision.outcome if isinstance(decision, Refused) else Reserve.HELD)
        shop.clock.advance(0.001)
    assert outcomes == [Reserve.NOT_OPEN] * 5 + [Reserve.HELD] * 5 + [Reserve.CLOSED] * 2


async def test_sold_out_says_what_may_come_back(shop: Shop) -> None:
    await shop.open({"car": 3, "bus": 1}, hold_seconds=60)
    await shop.hold("cem", ("bus", 1))
    shop.clock.advance(1)
    first = await shop.hold("ann", ("car", 2))
    shop.clock.advance(1)
    await shop.hold("bob")
    others = await shop.refusal("dan")
    assert (others.sku, others.held_by_others, others.next_release_ms) == ("car", 3, first.held_until_ms)
    own = await shop.refusal("ann")
    assert own.held_by_others == 1
    some_left = await shop.refusal("dan", ("bus", 2))
    assert (some_left.sku, some_left.held_by_others) == ("bus", 1)
    none_held = await shop.refusal("dan", ("car", 4))
    assert none_held.outcome is Reserve.SOLD_OUT


async def test_behind_many_other_holds_a_release_is_bounded_not_guessed(shop: Shop) -> None:
    await shop.open({"car": 1, "bus": 100})
    others = [await shop.hold(f"c{number}", ("bus", 1)) for number in range(32)]
    shop.clock.advance(0.001)
    await shop.hold("ann", ("car", 1))
    batch = await shop.reserve_batch(claim("bob", ("car", 1)))
    car = batch.items["car"]
    assert (car.available, car.held, car.next_release_ms) == (0, 1, 0)
    assert car.certain_until_ms == others[-1].held_until_ms


async def test_a_limit_says_what_the_customer_has(shop: Shop) -> None:
    await shop.open({"car": 9, "bus": 9}, limit=3, item_limits={"bus": 1})
    first, second = await shop.hold("ann", ("bus", 1)), await shop.hold("ann", ("car", 2))
    of_sale = await shop.refusal("ann")
    assert (of_sale.outcome, of_sale.sku) == (Reserve.LIMIT_REACHED, "")
    assert [(entry.token, entry.units) for entry in of_sale.entries] == [(first.token, 1), (second.token, 2)]
    of_item = await shop.refusal("ann", ("bus", 1))
    assert (of_item.outcome, of_item.sku) == (Reserve.LIMIT_REACHED, "bus")


# --- all or nothing ---


@pytest.mark.parametrize("count", range(1, 11))
async def test_one_short_line_refuses_all_lines(shop: Shop, count: int) -> None:
    stock = {f"i{n}": 1 for n in range(count)}
    await shop.open({**stock, "none": 0, "few": 5}, item_limits={"few": 1})
    await shop.expire()  # puts the opening into the journal
    before = await shop.snapshot()
    skus = list(stock)
    bad = {("none", 1): Reserve.SOLD_OUT, ("no", 1): Reserve.UNKNOWN_ITEM, ("few", 2): Reserve.LIMIT_REACHED}
    for at in range(count):
        for line, outcome in bad.items():
            lines = [(sku, 1) for sku in skus]
            lines[at] = line
            refusal = await shop.refusal("ann", *lines)
            assert (refusal.outcome, refusal.sku) == (outcome, line[0])
    assert await shop.snapshot() == before
    held = await shop.hold("ann", *[(sku, 1) for sku in skus])
    assert held.units == count
    assert all(item.held == 1 for item in (await shop.state()).stock if item.sku in stock)


async def test_a_batch_goes_on_after_a_refusal(shop: Shop) -> None:
    await shop.open({"car": 1, "bus": 1})
    both = [("car", 1), ("bus", 1)]
    decisions = await shop.reserve(
        claim("a", ("car", 1)), claim("b", *both), claim("c", ("bus", 1)), claim("d", *both)
    )
    assert [type(decision) for decision in decisions] == [Held, Refused, Held, Refused]


async def test_a_random_token_is_a_url_safe_word_of_16(shop: Shop) -> None:
    await shop.open({"car": 1})
    token = new_tokens(1)[0]
    wanted = Claim(token, "ann", (("car", 1),), repeatable=False)
    (decision,) = await shop.reserve(wanted)
    assert isinstance(decision, Held)
    assert len(decision.reservation.token) == 16
