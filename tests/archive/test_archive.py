"""Facts go in exactly once, in order, together with their orders and the position; and come out as they were."""

import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier

import orjson
import pytest
from sqlalchemy import Row, select

from flashsale.archive import Archive, ArchivedFact, ArchiveError, Position
from flashsale.archive.tables import FACTS, ORDERS
from flashsale.model.audit import Replay
from flashsale.model.events import Tally
from flashsale.model.facts import Fact, FactType
from flashsale.model.reservation import State
from tests.model import journals
from tests.support.archived import archived, fill, many
from tests.support.sales import OPENS_MS, SALE


@pytest.fixture(scope="module")
def paid() -> list[ArchivedFact]:
    return archived(journals.paid())


def orders_of(archive: Archive) -> list[Row[tuple[object, ...]]]:
    with archive._transaction() as connection:
        return list(connection.execute(select(ORDERS).order_by(ORDERS.c.confirmed_seq)))


def test_an_archive_is_empty_at_first(archive: Archive) -> None:
    assert archive.positions() == {}
    assert archive.position(SALE) is None
    assert archive.facts(SALE) == []
    assert archive.events(SALE) == []
    books = archive.books(SALE)
    assert (books.facts, books.seq, books.confirmed, books.currency) == (0, 0, 0, None)


def test_facts_come_out_as_they_went_in(archive: Archive, paid: list[ArchivedFact]) -> None:
    assert archive.append(SALE, 0, paid[:7])
    assert archive.append(SALE, 7, paid[7:])
    facts = [fact for fact, _ in paid]
    assert archive.facts(SALE) == facts
    assert archive.facts(SALE, after=3, limit=2) == facts[3:5]
    last = facts[-1]
    assert archive.positions() == {SALE: Position(SALE, 0, last.seq, last.at_ms, sequence=6)}
    assert archive.position(SALE) == archive.positions()[SALE]


def test_events_come_out_byte_for_byte(archive: Archive, paid: list[ArchivedFact]) -> None:
    fill(archive, paid, batch=4)
    told = [event for _, event in paid if event.sequence]
    found = archive.events(SALE)
    assert [(each.sequence, each.seq, each.body) for each in found] == [
        (event.sequence, event.seq, event.body) for event in told
    ]
    assert archive.events(SALE, after=2, limit=2) == found[2:4]
    with archive._transaction() as connection:
        rows = list(connection.execute(select(FACTS).order_by(FACTS.c.seq)))
    assert [row.event.encode() for row in rows] == [event.body for _, event in paid]
    assert [row.data for row in rows] == [event.data | _as_lists(event.data) for _, event in paid]
    assert rows[0].reservation is None
    assert rows[3].reservation == f"{SALE}.0.{journals.ANN}"


def _as_lists(data: dict[str, object]) -> dict[str, object]:
    """What a tuple of Python becomes in JSON."""
    return {key: orjson.loads(orjson.dumps(value)) for key, value in data.items()}


def test_orders_are_as_they_stand_now(archive: Archive, paid: list[ArchivedFact]) -> None:
    fill(archive, paid, batch=12)  # bob's order is undone in a later batch, and so is dan's
    ann, bob, dan, cem = orders_of(archive)
    assert (ann.sale, ann.shard, ann.reservation) == (SALE, 0, f"{SALE}.0.{journals.ANN}")
    assert (ann.sequence, ann.status, ann.customer, ann.place, ann.late) == (1, "confirmed", "ann", 1, False)
    assert ann.items == [{"sku": "car", "quantity": 2, "price": 100}]
    assert (ann.amount, ann.amount_due, ann.deposit, ann.balance, ann.instalments) == (200, 200, 200, 0, [])
    assert (ann.currency, ann.method, ann.provider, ann.reference) == ("CNY", "card", "sim", "2")
    assert (ann.held_at, ann.confirmed_at, ann.confirmed_seq) == (OPENS_MS, OPENS_MS + 20, 9)
    assert (ann.refunded_at, ann.refund_reason, ann.restocked, ann.refunded_seq) == (None, None, None, None)
    assert (bob.status, bob.sequence, bob.confirmed_seq) == ("refunded", 2, 11)
    assert (bob.refunded_at, bob.refund_reason, bob.restocked, bob.refunded_seq) == (
        OPENS_MS + 60,
        "why",
        False,
        13,
    )
    assert (dan.status, dan.restocked, dan.refunded_seq) == ("refunded", True, 14)
    assert (cem.status, cem.late, cem.sequence) == ("confirmed", True, 6)


def test_an_order_made_and_undone_in_one_batch(archive: Archive, paid: list[ArchivedFact]) -> None:
    fill(archive, paid, batch=len(paid))
    assert [order.status for order in orders_of(archive)] == [
        "confirmed",
        "refunded",
        "refunded",
        "confirmed",
    ]


def test_a_deposit_and_instalments(archive: Archive) -> None:
    terms = journals.TERMS.model_copy(
        update={
            "payment": journals.TERMS.payment.model_copy(update={"deposit_percent": 10, "instalments": 4})
        }
    )
    facts = journals.renumbered(
        [
            journals.restocked("car", 3),
            journals.restocked("bus", 2),
            journals.opened(terms.canonical()),
            journals.held(journals.ANN, "ann", 1, ("car", 1), ("bus", 1)),
            journals.confirmed(journals.ANN, "sim:9", OPENS_MS + 5, amount=20),
        ]
    )
    fill(archive, archived(facts))
    (order,) = orders_of(archive)
    assert (order.amount, order.amount_due, order.deposit, order.balance) == (200, 20, 20, 0)
    assert order.instalments == [45, 45, 45, 45]
    assert [item["sku"] for item in order.items] == ["bus", "car"] or len(order.items) == 2


def test_every_character_and_byte_comes_back(archive: Archive) -> None:
    odd = "".join(map(chr, [*range(1, 32), 0x7F, 0x2028, 0xFFFD, 0x1F697])) + "\\u0000'\"%s%(a)s:b\0"
    token = journals.ANN
    facts = journals.renumbered(
        [
            journals.restocked("car", 3),
            journals.restocked("bus", 2),
            journals.opened(),
            journals.held(token, odd, 1),
            journals.confirmed(token, "sim:" + "%s" * 20, OPENS_MS + 5),
            Fact(0, OPENS_MS + 9, FactType.SALE_PAUSED, odd.encode()),
        ]
    )
    pairs = archived(facts)
    fill(archive, pairs)
    assert archive.facts(SALE) == facts
    assert [each.body for each in archive.events(SALE)] == [pairs[4][1].body]
    assert orders_of(archive)[0].customer == odd.replace("\0", "\ufffd")


# --- exactly once ---


def test_what_is_there_is_not_taken_in_again(archive: Archive, paid: list[ArchivedFact]) -> None:
    assert archive.append(SALE, 0, paid[:5])
    assert not archive.append(SALE, 0, paid[:5])
    assert not archive.append(SALE, 0, paid)
    assert not archive.append(SALE, 4, paid[4:9])
    assert not archive.append(SALE, 6, paid[6:9])
    assert archive.append(SALE, 5, paid[5:])
    assert archive.facts(SALE) == [fact for fact, _ in paid]
    assert archive.books(SALE).facts == len(paid)


def test_nothing_can_be_left_out(archive: Archive, paid: list[ArchivedFact]) -> None:
    with pytest.raises(ValueError, match="fact 2 cannot follow fact 0"):
        archive.append(SALE, 0, paid[1:])
    with pytest.raises(ValueError, match="fact 4 cannot follow fact 2"):
        archive.append(SALE, 0, [*paid[:2], *paid[3:]])
    with pytest.raises(ValueError, match="the event of fact 2 came with fact 1"):
        archive.append(SALE, 0, [(paid[0][0], paid[1][1])])
    assert archive.positions() == {}


def test_orders_are_numbered_without_a_gap(archive: Archive, paid: list[ArchivedFact]) -> None:
    def numbered(at: int, sequence: int) -> list[ArchivedFact]:
        fact, event = paid[at]
        return [(fact, replace(event, sequence=sequence))]

    assert archive.append(SALE, 0, paid[:8])
    with pytest.raises(ValueError, match="order 2 of giulia cannot follow order 0"):
        archive.append(SALE, 8, numbered(8, 2))
    assert archive.append(SALE, 8, paid[8:10])
    with pytest.raises(ValueError, match=r"numbered \[2, 4\]"):
        archive.append(SALE, 10, [paid[10], *numbered(11, 4)])
    assert archive.position(SALE) == Position(SALE, 0, 10, paid[9][0].at_ms, sequence=1)


def test_facts_and_position_are_one_transaction(archive: Archive, paid: list[ArchivedFact]) -> None:
    """Orders are written last; when they cannot be, nothing is."""
    assert archive.append(SALE, 0, paid[:8])
    _run(archive, "ALTER TABLE orders RENAME TO elsewhere")
    with pytest.raises(ArchiveError, match="orders"):
        archive.append(SALE, 8, paid[8:])
    assert archive.position(SALE) == Position(SALE, 0, 8, paid[7][0].at_ms)
    assert len(archive.facts(SALE)) == 8
    _run(archive, "ALTER TABLE elsewhere RENAME TO orders")
    assert archive.append(SALE, 8, paid[8:])


def _run(archive: Archive, statement: str) -> None:
    with archive._transaction(writes=True) as connection:
        connection.exec_driver_sql(statement)


def test_tables_that_somebody_has_changed(archive: Archive, paid: list[ArchivedFact]) -> None:
    assert archive.append(SALE, 0, paid[:8])
    _run(archive, "UPDATE positions SET seq = 7")
    with pytest.raises(ArchiveError, match="other facts than its positions say"):
        archive.append(SALE, 7, paid[7:])


def test_two_archivers_at_once(archive_url: str, archive: Archive) -> None:
    """Each tries every batch; each batch is taken in once."""
    facts = archived(many(2000))
    others = [archive, Archive.open(archive_url), Archive.open(archive_url)]
    start = Barrier(len(others))

    def work(number: int) -> int:
        chance, taken = random.Random(number), 0
        start.wait()
        while (place := _seq(others[number])) < len(facts):
            batch = facts[place : place + chance.randrange(1, 120)]
            if others[number].append(SALE, place, batch):
                taken += len(batch)
        return taken

    with ThreadPoolExecutor(len(others)) as threads:
        assert sum(threads.map(work, range(len(others)))) == len(facts)
    for other in others[1:]:
        other.close()
    assert archive.facts(SALE, limit=10_000) == [fact for fact, _ in facts]
    assert archive.books(SALE).facts == len(facts)


def _seq(archive: Archive) -> int:
    position = archive.position(SALE)
    return position.seq if position is not None else 0


# --- sums ---


@pytest.mark.parametrize("seed", range(4))
def test_the_books_are_those_of_the_facts(archive: Archive, seed: int) -> None:
    facts = many(600, seed)
    pairs, replay, tally = archived(facts), Replay(), Tally()
    fill(archive, pairs, batch=random.Random(seed).randrange(1, 200))
    for fact, event in pairs:
        replay.apply(fact)
        tally = tally.plus(event.data) if event.sequence else tally
    books, claimed = archive.books(SALE), list(replay.reservations.values())
    standing = [each for each in claimed if each.state is State.CONFIRMED]
    sums, _ = replay.ledger.sums(replay.currency)
    assert (books.facts, books.seq, books.sequence) == (len(facts), replay.seq, replay.orders)
    assert books.confirmed - books.refunded == len(standing) == sums.orders.count
    assert books.confirmed_amount - books.refunded_amount == sums.orders.amount
    assert books.refunded == sum(each.state is State.REFUNDED for each in claimed)
    assert (
        books.confirmed,
        books.confirmed_amount,
        books.refunded,
        books.refunded_amount,
        books.currency,
    ) == (
        tally.confirmed,
        tally.confirmed_amount,
        tally.refunded,
        tally.refunded_amount,
        tally.currency,
    )
    assert sum(order.late for order in orders_of(archive)) == sum(each.late for each in claimed)


def test_sales_are_kept_apart(archive: Archive) -> None:
    for sale in ("one", "two"):
        fill(archive, archived(journals.paid(), sale))
    assert archive.append("three", 0, archived(journals.good(), "three")[:4])
    assert {sale: position.seq for sale, position in archive.positions().items()} == {
        "one": 19,
        "two": 19,
        "three": 4,
    }
    assert archive.books("one").confirmed == archive.books("two").confirmed == 4
    assert {order.reservation for order in orders_of(archive) if order.sale == "two"} == {
        f"two.0.{token}" for token in (journals.ANN, journals.BOB, journals.CEM, journals.DAN)
    }


def test_a_damaged_journal_is_kept_as_it_is(archive: Archive) -> None:
    """An order made twice: the audit's business. Of the two, the table has the later one."""
    twice = journals.renumbered(
        [
            *journals.paid()[:9],
            journals.confirmed(journals.ANN, "sim:8", OPENS_MS + 99, amount=200),
        ]
    )
    pairs = archived(twice)
    fill(archive, pairs, batch=9)
    assert archive.facts(SALE) == twice
    (order,) = orders_of(archive)
    assert (order.sequence, order.reference, order.confirmed_seq) == (2, "8", 10)
