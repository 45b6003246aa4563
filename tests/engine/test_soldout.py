"""The sold-out memory answers for the store only when the store's answer is certain to be the same."""

from flashsale.engine.soldout import LIFETIME_S, PROBE_AFTER_S, Memory
from flashsale.scripts.reserve import Availability, Batch

NOW_MS = 1_800_000_000_000


def batch(
    *,
    place: int = 5,
    available: int = 0,
    held: int = 3,
    next_release_ms: int = 0,
    sku: str = "car",
    closes_ms: int = 0,
    is_open: bool = True,
) -> Batch:
    return Batch(
        NOW_MS,
        1,
        place,
        closes_ms,
        is_open,
        {sku: Availability(available, held, next_release_ms, next_release_ms)},
        [],
    )


def wants_holders(known: Memory) -> bool:
    return known.wants_holders


def memory(*, sent_at: float = 100.0, next_release_ms: int = 0) -> Memory:
    """Of a car that was sold out at 100 s, when ann and bob had all there is."""
    found = Memory()
    found.observe(batch(next_release_ms=next_release_ms), sent_at)
    found.learn_holders(5, {"ann", "bob"})
    return found


def test_it_answers_for_an_item_just_seen_sold_out() -> None:
    answer = memory(next_release_ms=NOW_MS + 9000).answer("car", "cem", 100.001)
    assert answer is not None
    assert (answer.held_by_others, answer.next_release_ms) == (3, NOW_MS + 9000)


def test_what_it_has_not_seen_it_does_not_know() -> None:
    assert memory().answer("bus", "cem", 100.001) is None
    assert Memory().answer("car", "cem", 100.001) is None


def test_it_is_never_older_than_50_ms() -> None:
    assert (LIFETIME_S, PROBE_AFTER_S) == (0.050, 0.040)
    assert memory().answer("car", "cem", 100.039) is not None
    fresh = memory()
    fresh.answer("car", "dan", 100.041)
    assert fresh.answer("car", "cem", 100.049) is not None
    assert fresh.answer("car", "cem", 100.050) is None
    assert memory(sent_at=99.95).answer("car", "cem", 100.001) is None


def test_after_40_ms_one_request_is_let_through_and_the_others_wait_for_it() -> None:
    known = memory()
    asked = [known.answer("car", f"c{n}", 100.041 + n / 1000) is None for n in range(5)]
    assert asked == [True, False, False, False, False]


def test_each_item_has_its_own_probe() -> None:
    known = memory()
    known.observe(batch(sku="bus"), 100.0)
    assert known.answer("car", "cem", 100.041) is None
    assert known.answer("bus", "cem", 100.041) is None
    assert known.answer("car", "cem", 100.042) is not None
    assert known.answer("bus", "cem", 100.042) is not None


def test_a_probes_answer_renews_it() -> None:
    known = memory()
    assert known.answer("car", "cem", 100.041) is None
    known.observe(batch(), 100.041)
    assert known.answer("car", "dan", 100.080) is not None


def test_it_ends_when_the_next_hold_ends() -> None:
    known = memory(next_release_ms=NOW_MS + 10)
    assert known.answer("car", "cem", 100.009) is not None
    assert known.answer("car", "cem", 100.010) is None
    assert memory(next_release_ms=NOW_MS).answer("car", "cem", 100.0) is None
    assert memory(next_release_ms=NOW_MS - 1).answer("car", "cem", 100.0) is None


def test_whoever_has_something_is_sent_to_the_store() -> None:
    known = memory()
    assert known.answer("car", "ann", 100.001) is None
    assert known.answer("car", "bob", 100.001) is None
    assert known.answer("car", "cem", 100.001) is not None


def test_it_answers_nobody_while_it_does_not_know_who_has_something() -> None:
    known = Memory()
    assert not wants_holders(known)
    known.observe(batch(), 100.0)
    assert wants_holders(known)
    assert known.answer("car", "cem", 100.001) is None
    known.learn_holders(5, {"ann"})
    assert not wants_holders(known)
    assert known.answer("car", "cem", 100.001) is not None
    # Another place was granted: by whom is not known.
    known.observe(batch(place=6, available=1, sku="bus"), 100.01)
    assert wants_holders(known)
    assert known.answer("car", "cem", 100.011) is None
    known.learn_holders(6, {"ann", "cem"})
    assert known.answer("car", "cem", 100.012) is None


def test_a_list_older_than_the_last_place_is_of_no_use() -> None:
    known = memory()
    known.observe(batch(place=7), 100.0)
    known.learn_holders(6, {"ann"})
    assert wants_holders(known)
    assert known.answer("car", "cem", 100.001) is None


def test_units_that_came_back_end_it() -> None:
    known = memory()
    known.observe(batch(available=1), 100.01)
    assert known.answer("car", "cem", 100.011) is None
    assert not wants_holders(known)


def test_it_forgets_when_told_to() -> None:
    known = memory()
    known.forget(100.01)
    assert known.answer("car", "cem", 100.011) is None


def test_a_batch_sent_before_it_forgot_teaches_it_nothing() -> None:
    """The batch was on its way when the units came back: it may have been decided before that."""
    known = memory()
    known.forget(100.01)
    known.observe(batch(), 100.01)
    assert known.answer("car", "cem", 100.012) is None
    known.observe(batch(), 100.011)
    assert known.answer("car", "cem", 100.012) is not None


def test_places_never_go_back() -> None:
    known = memory()
    known.observe(batch(place=3), 100.0)
    assert known.place == 5


def test_a_sale_that_is_not_open_is_no_sold_out_item() -> None:
    known = Memory()
    known.observe(batch(), 10.0)
    known.learn_holders(5, frozenset())
    assert known.answer("car", "ann", 10.001) is not None
    known.observe(batch(is_open=False), 10.002)
    assert known.answer("car", "ann", 10.003) is None


def test_it_ends_when_the_sale_closes() -> None:
    known = Memory()
    known.observe(batch(closes_ms=NOW_MS + 20), 10.0)
    known.learn_holders(5, frozenset())
    assert known.answer("car", "ann", 10.019) is not None
    assert known.answer("car", "ann", 10.021) is None
