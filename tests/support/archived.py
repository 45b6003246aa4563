"""Facts with the events made of them, as the archive takes them in, without a Redis.

- `archived(facts)`: each fact with its event; what a reservation is about is taken from its own `reservation.held`.
- `many(count)`: a journal of so many facts, about one order in three facts, made without any script.
- `fill(archive, facts)`: takes them all in, in batches.
"""

import random
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from flashsale.archive import Archive, ArchivedFact
from flashsale.model.events import make_event, needs_reservation
from flashsale.model.facts import Fact, FactType
from flashsale.model.ids import new_tokens
from flashsale.model.outcomes import Confirm
from flashsale.model.reservation import Reservation
from flashsale.model.terms import Terms
from tests.model import journals
from tests.support.sales import OPENS_MS, SALE, definition

SHOP: Final = "test"


def archived(facts: Iterable[Fact], sale: str = SALE) -> list[ArchivedFact]:
    terms: Terms | None = None
    known: dict[str, Reservation] = {}
    found = []
    for fact in facts:
        if fact.type == FactType.SALE_OPENED:
            terms = Terms.read(fact.data)
        elif fact.type == FactType.HELD:
            held = fact.held()
            known[held.token] = held
        elif fact.type == FactType.CONFIRMED:
            known[fact.token] = replace(known[fact.token], late=fact.confirmed().late)
        about = known.get(fact.token) if needs_reservation(fact) else None
        found.append((fact, make_event(SHOP, sale, fact, terms, about)))
    return found


def many(count: int, seed: int = 1) -> list[Fact]:
    """Held, confirmed, extended, expired, paid late, refused and refunded, in a mix that `seed` decides."""
    chance = random.Random(seed)
    terms = definition({"car": count, "bus": count}, hold_seconds=60, deposit_percent=30)
    facts = [
        journals.restocked("car", count),
        journals.restocked("bus", count),
        journals.opened(terms.canonical()),
    ]
    place = 0
    while len(facts) < count:
        place += 1
        at, token, reference = OPENS_MS + place, new_tokens(1)[0], f"sim:{place}"
        units = chance.randrange(1, 4)
        facts.append(journals.held(token, f"customer-{place}", place, ("car", units), at_ms=at))
        end = at + journals.HOLD_MS
        price = (units * 100 * 30 + 50) // 100
        what = chance.random()
        if what < 0.1:
            facts.append(journals.ended(FactType.EXPIRED, token, end))
            facts.append(journals.confirmed(token, reference, end + 5, late=True, amount=price))
        elif what < 0.2:
            facts.append(journals.ended(FactType.CANCELLED, token, at + 1))
            facts.append(journals.refused(token, reference, Confirm.CANCELLED, at + 5, amount=price))
            facts.append(journals.given_back(token, reference, at + 9))
        else:
            facts.append(journals.extended(token, end + 1000, at + 2))
            facts.append(journals.confirmed(token, reference, at + 5, amount=price))
        if 0.2 <= what < 0.3:
            facts.append(
                journals.refunded(token, reference, at + 50, restock=chance.random() < 0.5, amount=price)
            )
            facts.append(journals.given_back(token, reference, at + 90))
    return journals.renumbered(facts[:count])


def fill(archive: Archive, facts: Sequence[ArchivedFact], *, batch: int = 500) -> None:
    for start in range(0, len(facts), batch):
        assert archive.append(facts[0][1].sale, start, facts[start : start + batch])
