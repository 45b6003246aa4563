"""What an analyst asks the archive: the queries of docs/orders.md, and what they answer."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from flashsale.archive import Archive
from flashsale.model.instants import from_datetime
from tests.model import journals
from tests.support.archived import archived, fill
from tests.support.sales import OPENS_MS, SALE

REVENUE = """
SELECT sale, currency,
       count(*)                                            AS orders,
       sum(amount)                                         AS sold,
       sum(amount_due)                                     AS paid_at_once,
       sum(CASE WHEN late THEN 1 ELSE 0 END)               AS late
FROM orders
WHERE status = 'confirmed'
GROUP BY sale, currency
ORDER BY sale
"""
UNITS = {
    "postgresql": """
SELECT item ->> 'sku' AS sku, sum((item ->> 'quantity')::int) AS units
FROM orders, json_array_elements(items) AS item
WHERE sale = 'giulia' AND status = 'confirmed'
GROUP BY sku
ORDER BY units DESC
""",
    "sqlite": """
SELECT item.value ->> 'sku' AS sku, sum(item.value ->> 'quantity') AS units
FROM orders, json_each(items) AS item
WHERE sale = 'giulia' AND status = 'confirmed'
GROUP BY sku
ORDER BY units DESC
""",
}
HISTORY = """
SELECT seq, at, type, data
FROM facts
WHERE sale = 'giulia' AND reservation = '{reservation}'
ORDER BY seq
"""
NOTHING_IS_MISSING = """
SELECT p.sale, p.seq, count(f.seq) AS facts, max(f.seq) AS last
FROM positions p
JOIN facts f ON f.sale = p.sale AND f.shard = p.shard
GROUP BY p.sale, p.seq
HAVING count(f.seq) <> p.seq OR max(f.seq) <> p.seq
"""


@pytest.fixture
def ask(archive: Archive) -> Iterator[Any]:
    fill(archive, archived(journals.paid()))
    with archive._transaction() as connection:

        def ask(query: str | dict[str, str]) -> list[tuple[Any, ...]]:
            text = query if isinstance(query, str) else query[connection.dialect.name]
            return [tuple(row) for row in connection.exec_driver_sql(text)]

        yield ask


def test_what_was_sold(ask: Any) -> None:
    assert ask(REVENUE) == [(SALE, "CNY", 2, 300, 300, 1)]


def test_units_of_each_item(ask: Any) -> None:
    assert ask(UNITS) == [("car", 3)]


def test_what_happened_to_a_reservation(ask: Any) -> None:
    found = ask(HISTORY.format(reservation=f"{SALE}.0.{journals.BOB}"))
    assert [(seq, kind) for seq, _, kind, _ in found] == [
        (5, "reservation.held"),
        (11, "reservation.confirmed"),
        (13, "reservation.refunded"),
        (15, "charge.refunded"),
    ]
    at = found[1][1]
    instant = at if isinstance(at, datetime) else datetime.fromisoformat(at).replace(tzinfo=UTC)
    assert from_datetime(instant) == OPENS_MS + 40


def test_that_nothing_is_missing(ask: Any) -> None:
    assert ask(NOTHING_IS_MISSING) == []


def test_that_something_is_missing(archive: Archive, ask: Any) -> None:
    with archive._transaction(writes=True) as connection:
        connection.exec_driver_sql("DELETE FROM facts WHERE seq = 7")
    with archive._transaction() as connection:
        assert [tuple(row) for row in connection.exec_driver_sql(NOTHING_IS_MISSING)] == [(SALE, 19, 18, 19)]
