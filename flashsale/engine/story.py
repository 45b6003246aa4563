"""Everything that is known of one customer, or of one reservation: what support needs when somebody complains.

Whose reservations they are is in the store, so of somebody who never had one nothing is read but the notes of refused
tries. The facts about the others are looked for in the journal, from the first hold on: a page at a time, with rests in
between, and for few at once.
"""

import time
from dataclasses import dataclass, field
from typing import Final

from flashsale.engine import attempts
from flashsale.engine.attempts import Told
from flashsale.engine.batcher import BusyError
from flashsale.engine.curve import Curves
from flashsale.engine.history import Breather, History
from flashsale.engine.reservations import Found, Reservations
from flashsale.model.course import Course
from flashsale.model.facts import Fact, FactType
from flashsale.scripts.calls import SaleState
from flashsale.store.attempts import AttemptStore
from flashsale.store.sales import SaleStore

AT_ONCE: Final = 2
"""Stories that one worker tells at the same time."""
MOST_RESERVATIONS: Final = 100
"""Of one customer: those that the store knows, the newest, and then the oldest."""
MOST_FACTS: Final = 1000
"""The newest are told."""
MOST_S: Final = 10.0
"""How long the journal is read for one story."""
ENTRIES_KEPT: Final = 64
"""Of a customer with more reservations than that the store may have forgotten which have ended: lua/reserve.lua."""
_TOKEN_BYTES: Final = 16


@dataclass(slots=True)
class Story:
    """What is known."""

    sale: str
    customer: str | None
    token: str | None
    state: SaleState
    course: Course
    found: list[Found] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)
    attempts: Told | None = None
    """None when none are kept."""
    complete: bool = True


class Stories:
    """Tells them."""

    def __init__(
        self,
        store: SaleStore,
        history: History,
        curves: Curves,
        reservations: Reservations,
        noted: AttemptStore | None,
    ) -> None:
        """`noted` is None where refused tries are not kept."""
        self._store = store
        self._history = history
        self._curves = curves
        self._reservations = reservations
        self._noted = noted
        self._telling = 0

    async def tell(self, sale: str, *, customer: str | None, token: str | None) -> Story | None:
        """The story of a customer, or of the reservation with this token; None when there is no such sale.

        Raises:
            BusyError: others are being told.
            StoreUnavailableError: the store or the archive failed, or the sale waits to be recovered.
        """
        if self._telling >= AT_ONCE:
            raise BusyError
        self._telling += 1
        try:
            return await self._tell(sale, customer, token)
        finally:
            self._telling -= 1

    async def _tell(self, sale: str, customer: str | None, token: str | None) -> Story | None:
        curve = await self._curves.of(sale)
        if curve is None:
            return None
        look = await self._store.look(
            sale, customers=[customer] if customer is not None else (), tokens=[token] if token else ()
        )
        if look.sale is None:
            return None
        story = Story(sale, customer, token, look.sale, curve.course, complete=curve.complete)
        if customer is not None:
            tokens = [entry.token for entry in look.entries[0]]
            every = len(tokens) < ENTRIES_KEPT
        else:
            tokens, every = [token] if token else [], True
            reservation = look.reservations[0]
            story.customer = reservation.customer if reservation is not None else None
            if reservation is None and look.payments[0] is None:
                tokens = []  # of one that was never granted there is something if somebody has paid for it all the same
        if len(tokens) > MOST_RESERVATIONS:
            tokens, story.complete = tokens[-MOST_RESERVATIONS:], False
        if tokens:
            tokens = await self._read(story, tokens, None if every else customer)
            found = await self._reservations.of_tokens(sale, tokens)
            story.found = sorted(found, key=lambda each: each.reservation.place)
        if story.customer is not None and self._noted is not None:
            story.attempts = await attempts.attempts_of(self._noted, sale, story.customer)
            story.complete = story.complete and story.attempts.complete
        return story

    async def _read(self, story: Story, tokens: list[str], customer: str | None) -> list[str]:
        """Finds the facts about these reservations, and with `customer` those of their other ones; all tokens there are."""
        about = {token.encode(): None for token in tokens}
        first = 0 if customer is not None else await self._first(story, tokens)
        seq, breather, until = first, Breather(), time.monotonic() + MOST_S
        while seq < story.state.seq:
            facts = await self._history.page(story.sale, seq)
            if not facts or facts[0].seq != seq + 1:
                story.complete = False
                if not facts or facts[0].seq <= seq:
                    break
            _take(story, facts, about, customer)
            seq = facts[-1].seq
            if seq < story.state.seq and time.monotonic() >= until:
                story.complete = False
                break
            await breather.rest()
        return [token.decode() for token in about]

    async def _first(self, story: Story, tokens: list[str]) -> int:
        """A fact before all that are about these reservations: each place is granted by a fact of its own."""
        try:
            found = await self._store.reservations(story.sale, tokens)
        except ValueError:
            return 0
        return min((each.place for each in found if each is not None), default=1) - 1


def _take(story: Story, facts: list[Fact], about: dict[bytes, None], customer: str | None) -> None:
    """Adds what is about these reservations to the story, and to them the others of the customer."""
    needle = customer.encode() if customer is not None else b""
    for fact in facts:
        token = fact.data[:_TOKEN_BYTES]
        if needle and fact.type == FactType.HELD and needle in fact.data and _is_of(fact, customer):
            if len(about) < MOST_RESERVATIONS:
                about[token] = None
            elif token not in about:
                story.complete = False
        if token in about and fact.type not in _OF_THE_SALE:
            story.facts.append(fact)
    if len(story.facts) > MOST_FACTS:
        story.complete = False
        del story.facts[:-MOST_FACTS]


_OF_THE_SALE: Final = frozenset(
    {
        FactType.SALE_OPENED,
        FactType.SALE_PAUSED,
        FactType.SALE_RESUMED,
        FactType.SALE_CLOSED,
        FactType.ITEM_RESTOCKED,
    }
)


def _is_of(fact: Fact, customer: str | None) -> bool:
    try:
        return fact.held().customer == customer
    except (ValueError, IndexError):
        return False
